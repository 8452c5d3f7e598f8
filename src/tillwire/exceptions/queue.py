"""The exception queue: list, show with raw bytes, retry."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.events import frames
from tillwire.events.log import lock_partitions
from tillwire.events.partitions import PARTITIONS, partition_for

_sql = sql.load("tillwire.exceptions", "exceptions.sql")


class ExceptionRow(msgspec.Struct, frozen=True):
    """One exception. ``amount`` is the money at risk, in ``currency``."""

    exception_id: int
    code: str
    owner: str
    state: str
    message: str
    pointer: str
    event_type: str
    source: str
    key: str
    store: str | None
    business_date: date | None
    amount: Decimal | None
    currency: str | None
    attempts: int
    raised_at: datetime


class ExceptionDetail(msgspec.Struct, frozen=True):
    """An exception with every fault found and the raw bytes that were accepted (as text, if they are JSON)."""

    exception: ExceptionRow
    faults: list[dict]
    raw: msgspec.Raw


def listed(
    connection: psycopg.Connection,
    *,
    state: str | None = "open",
    code: str | None = None,
    after: int = 0,
    most: int = 100,
) -> list[ExceptionRow]:
    """Exceptions in the order they were raised, from after an id on."""
    parameters = {"state": state, "code": code, "after": after, "most": most}
    return [ExceptionRow(*row) for row in connection.execute(_sql.listed, parameters)]


def detail(connection: psycopg.Connection, exception_id: int) -> ExceptionDetail | None:
    """One exception with its raw bytes, or none."""
    row = connection.execute(_sql.one, (exception_id,)).fetchone()
    if row is None:
        return None
    *fields, faults, ordinal, body = row
    return ExceptionDetail(ExceptionRow(*fields), faults, msgspec.Raw(frames.unpack(bytes(body))[ordinal]))


def retry(connection: psycopg.Connection, *, exception_id: int | None = None, code: str | None = None) -> int:
    """Put open exceptions back into the workers' queue, one or all of a code; returns how many.

    What fails again is open again; what passes now is recorded with exactly the effect it would have had, and resolved.
    """
    chosen = {"exception_id": exception_id, "code": code}
    with connection.transaction():
        # A worker holds its partitions to its commit: what it has taken off the queue must not be added to meanwhile.
        lock_partitions(connection, list(PARTITIONS))
        rows = connection.execute(_sql.retriable, chosen).fetchall()
        parameters = chosen | {
            "groups": [group_id for group_id, _, _, _ in rows],
            "ordinals": [ordinal for _, ordinal, _, _ in rows],
            "partitions": [partition_for(event_type, store) for _, _, store, event_type in rows],
        }
        row = connection.execute(_sql.retry, parameters).fetchone()
    assert row is not None
    return int(row[0])


def dismiss(connection: psycopg.Connection, exception_id: int, reason: str) -> bool:
    """Close an open exception without any effect, with the reason; false if there is none. Its raw bytes stay."""
    return connection.execute(_sql.dismiss, {"exception_id": exception_id, "reason": reason}).rowcount == 1
