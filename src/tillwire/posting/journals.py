"""Journals for people: list them by state, send rejected ones again after their cause was mended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import msgspec
import psycopg

from tillwire.database import sql

_sql = sql.load("tillwire.posting", "journals.sql")


class JournalRow(msgspec.Struct, frozen=True):
    """One journal: its state, how many transactions it holds and their totals added, in ``currency``."""

    reference: str
    kind: str
    state: str
    erp: str | None
    """Where it was sent; none while it may still go anywhere."""
    business_date: date
    posting_date: date | None
    """The day it counts in the books, where that is not the business date."""
    transactions: int
    amount: Decimal
    currency: str
    document_number: str | None
    attempts: int
    last_error: str | None


def listed(
    connection: psycopg.Connection, *, state: str | None = None, erp: str | None = None, most: int = 50
) -> list[JournalRow]:
    """Journals by business date and store, of one state or of all, of one ERP or of all."""
    rows = connection.execute(_sql.listed, {"state": state, "erp": erp, "most": most})
    return [JournalRow(*row) for row in rows]


def rejected(connection: psycopg.Connection, reference: str | None = None) -> list[int]:
    """The rejected journals, all or the one of a reference."""
    return [one for (one,) in connection.execute(_sql.rejected_of, {"reference": reference})]


def send_again(connection: psycopg.Connection, journal_ids: Sequence[int]) -> int:
    """Put rejected journals back in their lanes, inside the caller's transaction; returns how many. References stay.

    The ERP is asked first whether it has them: a refusal as a duplicate, or one that came late, is no reason to post
    twice. What is unknown is looked up at once.
    """
    return connection.execute(_sql.send_again, (list(journal_ids),)).rowcount
