"""The way of one sale, from its raw bytes to the ERP's document, by its business key."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.events import frames
from tillwire.events.log import read_chunks
from tillwire.model.event import EVENT_DECODER, business_date_of, store_of

_sql = sql.load("tillwire.reconciliation", "reconciliation.sql")


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted event and everything that came of it. What has not happened yet is none or empty."""

    key: str
    source: str
    received_at: datetime
    raw: msgspec.Raw
    """As it was accepted."""
    translated: msgspec.Raw | None
    """As it was recorded, where its source's identifiers were translated into ours."""
    recorded: dict[str, Any] | None
    entries: list[dict[str, Any]]
    movements: list[dict[str, Any]]
    published: bool
    journal: dict[str, Any] | None
    exceptions: list[dict[str, Any]]


def _rows(connection: psycopg.Connection, query: str, parameters: tuple[object, ...]) -> list[dict[str, Any]]:
    cursor = connection.execute(query.encode(), parameters)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def trace(connection: psycopg.Connection, key: str) -> list[Trace]:
    """What is known of a business key (store/register/business date/sequence): a trace for each source that sent it."""
    return [_trace(connection, *row) for row in connection.execute(_sql.accepted, (key,)).fetchall()]


def _trace(
    connection: psycopg.Connection,
    key: str,
    source: str,
    group_id: int,
    ordinal: int,
    received_at: datetime,
    body: bytes,
) -> Trace:
    raw = frames.unpack(body)[ordinal]
    recorded = next(iter(_rows(connection, _sql.recorded, (group_id, ordinal))), None)
    entries: list[dict[str, Any]] = []
    movements: list[dict[str, Any]] = []
    journal = None
    published = False
    translated = None
    if recorded is not None:
        offset = recorded["event_offset"]
        stored = next(read_chunks(connection, recorded["partition"], offset, most_chunks=1))[0]
        translated = msgspec.Raw(stored.raw) if stored.raw != raw else None
        message = EVENT_DECODER.decode(raw).data
        place = (store_of(message), business_date_of(message), offset)
        entries = _rows(connection, _sql.entries, place)
        movements = _rows(connection, _sql.movements, place)
        journal = next(iter(_rows(connection, _sql.journal, (*place, offset))), None)
        row = connection.execute(_sql.published, (offset, recorded["partition"])).fetchone()
        published = bool(row and row[0])
    return Trace(
        key=key,
        source=source,
        received_at=received_at,
        raw=msgspec.Raw(raw),
        translated=translated,
        recorded=recorded,
        entries=entries,
        movements=movements,
        published=published,
        journal=journal,
        exceptions=_rows(connection, _sql.exceptions_of, (key, source)),
    )
