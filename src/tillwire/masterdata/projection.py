"""Master records as an inline projection: the newest revision of each, all revisions, and whose each GTIN is."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.events.recorded import InlineProjection, Recorded
from tillwire.model.event import MASTER_TYPES
from tillwire.model.identifiers import gtin14
from tillwire.model.master import MasterRecord, ProductRecord

_sql = sql.load("tillwire.masterdata", "masterdata.sql")
_encode = msgspec.json.Encoder().encode

Version = tuple[str, str, int]
"""Type, identifier, revision."""


class MasterRecords(InlineProjection):
    """Gathers master records: each revision once, the first content of it that came."""

    tables: Sequence[str] = ("master_record", "master_version", "product_gtin")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was gathered."""
        self._versions: dict[Version, tuple[MasterRecord, int]] = {}

    def apply(self, recorded: Recorded) -> None:
        """Gather one master record."""
        if recorded.type in MASTER_TYPES:
            record = recorded.message
            place = (recorded.type, record.identifier, record.revision)
            self._versions.setdefault(place, (record, recorded.offset))

    def write(self, connection: psycopg.Connection) -> None:
        """Keep every revision; upsert the records whose revision is newer than the stored one."""
        if self._versions:
            # In one order for all, so that two writers wait for each other and never deadlock.
            places = sorted(self._versions)
            bodies = {place: _encode(self._versions[place][0]) for place in places}
            newest = list({(event_type, name): (event_type, name, n) for event_type, name, n in places}.values())
            connection.execute(_sql.keep_versions, self._parameters(places, bodies))
            parameters = self._parameters(newest, bodies)
            parameters["active"] = [self._versions[place][0].active for place in newest]
            changed = set(connection.execute(_sql.upsert, parameters).fetchall())
            products = [
                record
                for record in (self._versions[place][0] for place in newest if place[:2] in changed)
                if isinstance(record, ProductRecord)
            ]
            if products:
                _write_gtins(connection, products)
        self.begin()

    def _parameters(self, places: Sequence[Version], bodies: dict[Version, bytes]) -> dict[str, object]:
        return {
            "types": [event_type for event_type, _, _ in places],
            "ids": [name for _, name, _ in places],
            "revisions": [revision for _, _, revision in places],
            "bodies": [bodies[place] for place in places],
            "changed": [self._versions[place][1] for place in places],
        }


def _write_gtins(connection: psycopg.Connection, products: Sequence[ProductRecord]) -> None:
    connection.execute(_sql.forget_gtins, ([product.sku for product in products],))
    owned = {gtin14(code): product.sku for product in products if product.active for code in product.gtins}
    if owned:
        connection.execute(_sql.keep_gtins, {"gtins": list(owned), "skus": list(owned.values())})
