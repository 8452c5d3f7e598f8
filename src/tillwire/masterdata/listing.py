"""Master records as they are and were: lists by type, one record, its versions."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.governance.access import ALL, Reach
from tillwire.masterdata.lookup import NoSuchRecordError
from tillwire.model.event import MASTER_TYPES
from tillwire.model.identifiers import gtin14, is_gtin

_sql = sql.load("tillwire.masterdata", "masterdata.sql")

KINDS = {name.removeprefix("tillwire.master.").removesuffix(".v1"): name for name in sorted(MASTER_TYPES)}
"""What master records are called in paths and commands, and their event types."""

MOST_REVISION = 2**63 - 1


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Records in the order of their identifiers, and where the next page begins."""

    records: list[msgspec.Raw]
    after: str | None
    """Ask with this as ``after`` for the next page; none: this was the last."""


class Version(msgspec.Struct, frozen=True):
    """One revision of a record."""

    revision: int
    record: msgspec.Raw


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """The revisions of one record, the newest first."""

    kind: str
    id: str
    versions: list[Version]


class Within(msgspec.Struct, frozen=True):
    """Which records may be seen: of these stores and these companies, and what belongs to none; as a rule, all."""

    reach: Reach = ALL
    companies: frozenset[str] = frozenset()

    def parameters(self) -> dict[str, Any]:
        """For SQL."""
        return {"reach": self.reach.parameter, "companies": sorted(self.companies)}


EVERYTHING = Within()


def listed(
    connection: psycopg.Connection,
    kind: str,
    *,
    after: str = "",
    prefix: str = "",
    text: str = "",
    active: bool | None = None,
    most: int = 100,
    within: Within = EVERYTHING,
) -> Page:
    """Records of a kind from after an identifier on; with identifiers that begin with ``prefix``, with ``text``
    anywhere in the record, of one state, where these are given. Only those that may be seen.
    """
    parameters = {
        "type": KINDS[kind],
        "after": after,
        "prefix": prefix,
        "text": text.lower(),
        "active": active,
        "most": most + 1,
        **within.parameters(),
    }
    rows = connection.execute(_sql.listed, parameters).fetchall()
    more = len(rows) > most
    records = [msgspec.Raw(body) for _, body in rows[:most]]
    return Page(records=records, after=rows[most - 1][0] if more else None)


def one(connection: psycopg.Connection, kind: str, identifier: str, *, within: Within = EVERYTHING) -> msgspec.Raw:
    """The newest revision of a record, active or not; a product also by any of its GTINs.

    Raises ``NoSuchRecordError``, also for one that may not be seen.
    """
    parameters = {"type": KINDS[kind], "id": identifier, **within.parameters()}
    row = connection.execute(_sql.one_in_reach, parameters).fetchone()
    if row is not None:
        return msgspec.Raw(row[1])
    if kind == "product" and is_gtin(identifier):
        row = connection.execute(_sql.product_of_gtin, (gtin14(identifier),)).fetchone()
        if row is not None:
            return msgspec.Raw(row[0])
    raise NoSuchRecordError(f"there is no {kind} {identifier!r}")


def versions(
    connection: psycopg.Connection,
    kind: str,
    identifier: str,
    *,
    before: int = MOST_REVISION,
    most: int = 100,
    within: Within = EVERYTHING,
) -> Versions:
    """The revisions of a record below ``before``, the newest first. Raises ``NoSuchRecordError`` if there is none that
    may be seen.
    """
    parameters: dict[str, Any] = {"type": KINDS[kind], "id": identifier, "before": before, "most": most}
    parameters |= within.parameters()
    rows = connection.execute(_sql.versions, parameters).fetchall()
    if not rows and before == MOST_REVISION:
        raise NoSuchRecordError(f"there is no {kind} {identifier!r}")
    found = [Version(revision, msgspec.Raw(body)) for revision, body in rows]
    return Versions(kind=kind, id=identifier, versions=found)


def set_at(connection: psycopg.Connection, places: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The offset of the event that set the newest revision of each record, by event type and identifier.

    Records are an inline projection of their events, in the same transaction: this is never behind the event store.
    """
    parameters = {"types": [kind for kind, _ in places], "ids": [name for _, name in places]}
    return {(kind, name): offset for kind, name, offset in connection.execute(_sql.set_at, parameters)}
