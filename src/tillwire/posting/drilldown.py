"""From a journal's line back to what is in it: the transactions, the gift cards, the invoices."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.governance.access import ALL, Reach

_sql = sql.load("tillwire.posting", "drilldown.sql")


class JournalHead(msgspec.Struct, frozen=True, kw_only=True):
    """A journal, and where it stands."""

    reference: str
    kind: str
    state: str
    erp: str | None
    company: str
    store: str
    business_date: date
    posting_date: date | None
    currency: str
    transactions: int
    amount: Decimal
    """The transactions' totals added, in ``currency``."""
    reverses: str | None
    document_number: str | None
    rule_book: int | None
    built_at: datetime
    posted_at: datetime | None
    last_error: str | None


class ErpLine(msgspec.Struct, frozen=True):
    """One line as the ERP has it, and what it is made of."""

    line: int
    account: str
    amount: Decimal
    """Debit positive."""
    dimensions: Mapping[str, str]
    parts: list[str]
    """Component, code and kind of transaction."""


class JournalWithLines(msgspec.Struct, frozen=True):
    """A journal with its lines as the ERP has them."""

    journal: JournalHead
    lines: list[ErpLine]


class Part(msgspec.Struct, frozen=True):
    """What one transaction (or till close, gift card, invoice) has in a line."""

    key: str
    kind: str
    component: str
    code: str
    amount: Decimal
    """Debit positive."""
    original_date: date | None


def head(connection: psycopg.Connection, reference: str, *, reach: Reach = ALL) -> JournalHead | None:
    """The journal of a reference; none if there is none of a store within reach."""
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        row: dict[str, Any] | None = cursor.execute(_sql.head, (reference,)).fetchone()
    return None if row is None or not reach.covers(row["store"]) else JournalHead(**row)


def erp_lines(connection: psycopg.Connection, reference: str) -> list[ErpLine]:
    """The lines of a journal as the ERP gets them; those that come to zero, which it does not get, included."""
    return [
        ErpLine(line, account, amount, dimensions or {}, parts)
        for line, account, amount, dimensions, parts in connection.execute(_sql.lines, (reference,))
    ]


def parts_of(connection: psycopg.Connection, reference: str, line: int, *, most: int = 10_000) -> list[Part]:
    """What is in one line, transaction by transaction; the amounts add up to the line's."""
    parameters = {"reference": reference, "line": line, "most": most}
    return [Part(*row) for row in connection.execute(_sql.parts, parameters)]
