"""Journals for people: list them by state, send rejected ones again after their cause was mended in the ERP."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import psycopg

from tillwire.database import sql

_sql = sql.load("tillwire.posting", "posting.sql")


class JournalRow(msgspec.Struct, frozen=True):
    """One journal: its state, how many transactions it holds and their totals added, in ``currency``."""

    reference: str
    state: str
    transactions: int
    amount: Decimal
    currency: str
    document_number: str | None
    attempts: int
    last_error: str | None


def listed(connection: psycopg.Connection, *, state: str | None = None, most: int = 50) -> list[JournalRow]:
    """Journals by business date and store, of one state or of all."""
    rows = connection.execute(_sql.listed, {"state": state, "most": most})
    return [JournalRow(*row) for row in rows]


def retry_rejected(connection: psycopg.Connection, reference: str | None = None) -> int:
    """Put rejected journals back in the lane, one or all; returns how many. Their references stay the same."""
    return connection.execute(_sql.retry_rejected, {"reference": reference}).rowcount
