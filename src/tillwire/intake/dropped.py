"""Files that came by an inbox: what became of each, for who looks after them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import psycopg

from tillwire.database import sql

_sql = sql.load("tillwire.intake", "dropfolder.sql")


class FileRow(msgspec.Struct, frozen=True):
    """A file that came by an inbox."""

    file_id: int
    connection: str
    name: str
    state: str
    bytes: int
    next_record: int
    counts: dict[str, Any]
    began_at: datetime
    finished_at: datetime | None
    report: dict[str, Any] | None


def listed(
    connection: psycopg.Connection, *, name: str | None = None, state: str | None = None, most: int = 50
) -> list[FileRow]:
    """Files of a connection, or of all, in a state, or in any; the latest first."""
    parameters = {"connection": name, "state": state, "most": most}
    return [FileRow(*row) for row in connection.execute(_sql.listed, parameters)]


def report_of(connection: psycopg.Connection, file_id: int) -> dict[str, Any] | None:
    """A file's report, as it lies beside it; none if there is no such file, or it has not come to its end."""
    row = connection.execute(_sql.report_of, (file_id,)).fetchone()
    found: dict[str, Any] | None = row[0] if row else None
    return found
