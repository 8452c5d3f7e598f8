"""Journals as they are sent: from their rows to what a connector is given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.model.ledger import Document, DocumentKind, Invoice, Journal, JournalLine, StockDocument
from tillwire.model.money import ZERO, Money

_sql = sql.load("tillwire.posting", "documents.sql")

STOCK, INVOICE = "stock", "invoice"


def kind_sent(kind: str) -> DocumentKind:
    """What a journal of this kind (the column) is to an ERP."""
    return "stock" if kind == STOCK else "invoice" if kind == INVOICE else "journal"


class _Header(msgspec.Struct, array_like=True):
    journal_id: int
    reference: str
    kind: str
    company: str
    store: str
    business_date: date
    posting_date: date | None
    currency: str
    version: int
    transactions: int
    reverses: str | None
    body: Mapping[str, Any] | None


def load(connection: psycopg.Connection, journal_ids: Sequence[int]) -> list[Document]:
    """The documents of these journals, in this order."""
    headers = {row[0]: _Header(*row) for row in connection.execute(_sql.headers, (list(journal_ids),))}
    lines = _lines(connection, [one.journal_id for one in headers.values() if one.body is None])
    return [_document(headers[one], lines.get(one, ())) for one in journal_ids]


def _document(header: _Header, lines: Sequence[JournalLine]) -> Document:
    text = f"Store {header.store}, {header.business_date}, no. {header.version}: {header.transactions} transactions"
    if header.reverses:
        text += f", reversal of {header.reverses}"
    common: dict[str, Any] = {
        "reference": header.reference,
        "company": header.company,
        "store": header.store,
        "business_date": header.business_date,
        "posting_date": header.posting_date,
        "reverses": header.reverses,
        "description": text,
    }
    if header.body is not None:
        if header.kind == STOCK:
            return msgspec.convert({**header.body, **common}, StockDocument, strict=False)
        return msgspec.convert({**header.body, **common, "currency": header.currency}, Invoice, strict=False)
    return Journal(currency=header.currency, lines=tuple(lines), **common)


def _lines(connection: psycopg.Connection, journal_ids: Sequence[int]) -> dict[int, list[JournalLine]]:
    """The lines as the ERP gets them: those of one account and the same dimensions added up; what is zero is none."""
    found: dict[int, list[JournalLine]] = defaultdict(list)
    rows = connection.execute(_sql.erp_lines, (list(journal_ids),))
    for journal_id, account, balance, dimensions, parts, original_date, foreign, foreign_currency in rows:
        if not balance:
            continue
        text = ", ".join(parts) + (f", of {original_date}" if original_date else "")
        found[journal_id].append(
            JournalLine(
                account=account,
                debit=max(balance, ZERO),
                credit=max(-balance, ZERO),
                description=text,
                dimensions=dimensions or {},
                foreign=Money(foreign, foreign_currency) if foreign_currency and foreign else None,
            )
        )
    return found


def balances(lines: Sequence[JournalLine]) -> dict[str, Decimal]:
    """Balances by account, debit positive, without those that are zero."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        sums[line.account] += line.debit - line.credit
    return {account: amount for account, amount in sums.items() if amount}
