"""The payloads of an exception: what was accepted, what would be processed now, and what two people stand for."""

from __future__ import annotations

import psycopg

from tillwire.database import sql
from tillwire.events import frames

_sql = sql.load("tillwire.exceptions", "fixes.sql")


def current(connection: psycopg.Connection, exception_id: int, group_id: int, ordinal: int) -> bytes:
    """What would be processed now: the newest edit, or else what was accepted."""
    row = connection.execute(_sql.newest_edit, (exception_id,)).fetchone()
    return accepted(connection, group_id, ordinal) if row is None else bytes(row[0])


def accepted(connection: psycopg.Connection, group_id: int, ordinal: int) -> bytes:
    """The bytes as they were accepted."""
    row = connection.execute(_sql.accepted, (group_id,)).fetchone()
    assert row is not None
    return frames.unpack(bytes(row[0]))[ordinal]


def vouched(connection: psycopg.Connection, exception_id: int, group_id: int, ordinal: int) -> bytes:
    """What more than one person stands for: the newest edit that a second person approved, or else what was accepted.

    Money is measured from here, lest many small edits move alone what a large one may not.
    """
    row = connection.execute(_sql.newest_approved_edit, (exception_id,)).fetchone()
    return accepted(connection, group_id, ordinal) if row is None else bytes(row[0])
