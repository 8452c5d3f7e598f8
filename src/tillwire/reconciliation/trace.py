"""The way of one sale, from its raw bytes to the ERP's document, by its business key."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.events import frames
from tillwire.events.log import read_chunks
from tillwire.governance.access import ALL, Reach
from tillwire.intake.foreign import origin_of
from tillwire.model.event import EVENT_DECODER, MASTER_TYPES, business_date_of, store_of

_sql = sql.load("tillwire.reconciliation", "reconciliation.sql")


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted event and everything that came of it. What has not happened yet is none or empty."""

    key: str
    source: str
    received_at: datetime
    raw: msgspec.Raw
    """As it was accepted."""
    origin: dict[str, Any] | None
    """Where it came in its source's own words: the connection, the message or file, and the bytes as they came."""
    translated: msgspec.Raw | None
    """As it was recorded, where its source's identifiers were translated into ours."""
    recorded: dict[str, Any] | None
    entries: list[dict[str, Any]]
    movements: list[dict[str, Any]]
    beside: list[dict[str, Any]]
    """Further journals and documents of it: payments, stock, another company's share."""
    published: bool
    journal: dict[str, Any] | None
    exceptions: list[dict[str, Any]]
    version: dict[str, Any] | None = None
    """Of a correction: its number, and what became of it (recorded; superseded, and by which version)."""
    posted_date: date | None = None
    """Of what came after its day was closed: the business date it is posted to."""
    reversal: dict[str, Any] | None = None
    """Where it was corrected: the version that took its place, and the effects that were taken back."""
    originals: list[dict[str, Any]] = []
    """What it did to earlier transactions: voided them (1; -1 takes a void back), took goods back."""
    referred_to_by: list[dict[str, Any]] = []
    """What later transactions did to it, reversals of corrections included."""


class _Place(msgspec.Struct, frozen=True):
    store: str | None = None


class _Sent(msgspec.Struct, frozen=True):
    type: str
    data: _Place


_sent_decoder = msgspec.json.Decoder(_Sent)


def _store_sent(raw: bytes) -> str | None:
    """The store that an event says it is of; none for master records, and for what cannot be read."""
    try:
        sent = _sent_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if sent.type in MASTER_TYPES else sent.data.store


def _rows(
    connection: psycopg.Connection, query: str, parameters: tuple[object, ...] | dict[str, object]
) -> list[dict[str, Any]]:
    cursor = connection.execute(query.encode(), parameters)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def trace(connection: psycopg.Connection, key: str, *, reach: Reach = ALL) -> list[Trace]:
    """What is known of a business key (store/register/business date/sequence) of a store within reach: a trace for each
    source and version. Of what was not recorded yet the store is what was sent; master records are of all stores.
    """
    rows = connection.execute(_sql.accepted, {"key": key}).fetchall()
    found = [_trace(connection, reach, *row) for row in rows]
    return [one for one in found if one is not None]


def _trace(
    connection: psycopg.Connection,
    reach: Reach,
    key: str,
    source: str,
    group_id: int,
    ordinal: int,
    received_at: datetime,
    body: bytes,
) -> Trace | None:
    raw = frames.unpack(body)[ordinal]
    recorded = next(iter(_rows(connection, _sql.recorded, (group_id, ordinal))), None)
    effects: dict[str, Any] = {"entries": [], "movements": [], "journal": None, "beside": [], "published": False}
    past: dict[str, Any] = {}
    translated = None
    if recorded is not None:
        stored = next(read_chunks(connection, recorded["partition"], recorded["event_offset"], most_chunks=1))[0]
        translated = msgspec.Raw(stored.raw) if stored.raw != raw else None
        message = EVENT_DECODER.decode(stored.raw).data  # an edit may have moved it to another store or day
        if not reach.covers(store_of(message)):
            return None
        place = (recorded["partition"], recorded["event_offset"])
        effects = _effects(connection, message, *place)
        version = getattr(message, "version", 1)
        base = getattr(message, "base_key", key)
        past = {
            "version": next(iter(_rows(connection, _sql.version, place)), None),
            "originals": _rows(connection, _sql.did_to_others, place),
            "referred_to_by": _rows(connection, _sql.done_by_others, {"key": base, "reach": reach.parameter}),
        }
        for found in _rows(connection, _sql.reversal, (base, source, version)):
            past["reversal"] = found | _effects(connection, message, found["partition"], found["event_offset"])
    elif not reach.covers(_store_sent(raw)):
        return None
    return Trace(
        key=key,
        source=source,
        received_at=received_at,
        raw=msgspec.Raw(raw),
        origin=origin_of(connection, group_id, ordinal, whole=reach.stores is None),
        translated=translated,
        recorded=recorded,
        exceptions=_rows(connection, _sql.exceptions_of, (key, source)),
        **effects,
        **past,
    )


def _effects(connection: psycopg.Connection, message: Any, partition: int, offset: int) -> dict[str, Any]:
    """What an event at an offset did: entries and journal on the day it is posted to, movements on its own."""
    store, day = store_of(message), business_date_of(message)
    late = connection.execute(_sql.posted_date, (store, day, offset)).fetchone()
    posted = late[0] if late else day
    row = connection.execute(_sql.published, (offset, partition)).fetchone()
    journals = _rows(connection, _sql.journals, (store, posted, offset, offset))
    return {
        "entries": _rows(connection, _sql.entries, (store, posted, offset)),
        "movements": _rows(connection, _sql.movements, (store, day, offset)),
        "journal": next(iter(journals), None),
        "beside": journals[1:],
        "published": bool(row and row[0]),
        "posted_date": late[0] if late else None,
    }
