"""Master records as an inline projection: the newest revision of each, published to workers by its offset."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.events.recorded import InlineProjection, Recorded
from tillwire.masterdata.snapshot import identifier_of
from tillwire.model.event import MASTER_TYPES

_sql = sql.load("tillwire.masterdata", "masterdata.sql")


class MasterRecords(InlineProjection):
    """Gathers master records, the newest revision of each within the batch."""

    tables: Sequence[str] = ("master_record",)

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was gathered."""
        self._records: dict[tuple[str, str], tuple[int, bytes, int]] = {}

    def apply(self, recorded: Recorded) -> None:
        """Gather one master record; an older revision than one already gathered is superseded."""
        if recorded.type not in MASTER_TYPES:
            return
        place = (recorded.type, identifier_of(recorded.message))
        known = self._records.get(place)
        if known is None or recorded.message.revision > known[0]:
            body = msgspec.json.encode(recorded.message)
            self._records[place] = (recorded.message.revision, body, recorded.offset)

    def write(self, connection: psycopg.Connection) -> None:
        """Upsert the records whose revision is newer than the stored one."""
        if self._records:
            places = sorted(self._records)
            values = [self._records[place] for place in places]
            parameters = {
                "types": [event_type for event_type, _ in places],
                "ids": [identifier for _, identifier in places],
                "revisions": [revision for revision, _, _ in values],
                "bodies": [body for _, body, _ in values],
                "changed": [offset for _, _, offset in values],
            }
            connection.execute(_sql.upsert, parameters)
        self.begin()
