"""Reading back: what an ERP's own books hold under our references, compared with what was sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import psycopg

from tillwire.config import ONLY
from tillwire.connectors.erp import DuplicatePostingError, ErpConnector
from tillwire.database import sql
from tillwire.model.ledger import Document, DocumentKind, ErpDocument, Invoice, Journal, StockDocument
from tillwire.posting import documents
from tillwire.posting.documents import balances, kind_sent

_sql = sql.load("tillwire.posting", "read_back.sql")

_PIECE = 200

Sums = Mapping[str, Decimal]
"""Of a journal or an invoice: balances by account, debit positive. Of stock: quantities by product and bucket."""


def confirm(
    connection: psycopg.Connection, connector: ErpConnector, erp: str = ONLY, *, again: bool = False
) -> list[str]:
    """Read posted journals and documents back from an ERP and compare them with ours: journals and invoices account by
    account, stock by product and where it lies.

    Notes the time on those that agree; returns a sentence for each difference. ``again`` also reads those that were
    confirmed before. Raises ``TransientError`` or ``OutcomeUnknownError`` if the ERP cannot be read.
    """
    differences: list[str] = []
    after = ""
    while True:
        parameters = {"erp": erp, "again": again, "after": after, "most": _PIECE}
        rows = connection.execute(_sql.to_confirm, parameters).fetchall()
        if not rows:
            return differences
        after = rows[-1][1]
        ours = documents.load(connection, [journal_id for journal_id, _, _ in rows])
        by_kind: dict[DocumentKind, list[Document]] = defaultdict(list)
        for (_, _, kind), document in zip(rows, ours, strict=True):
            by_kind[kind_sent(kind)].append(document)
        for kind, some in by_kind.items():
            differences += _compare(connection, connector, erp, kind, some)


def note_twice(connection: psycopg.Connection, erp: str, references: Iterable[str]) -> None:
    """Note journals that were found more than once in an ERP's books: each once, however often it is found so."""
    connection.execute(_sql.note_twice, {"erp": erp, "references": sorted(references)})


def _compare(
    connection: psycopg.Connection, connector: ErpConnector, erp: str, kind: DocumentKind, ours: Sequence[Document]
) -> list[str]:
    differences: list[str] = []
    references = [one.reference for one in ours]
    twice: set[str] = set()
    try:
        theirs = connector.read_back(references, kind)
    except DuplicatePostingError as error:
        twice = set(error.duplicates)
        note_twice(connection, erp, twice)
        differences += [f"{reference}: posted more than once in the ERP" for reference in sorted(twice)]
        theirs = connector.read_back([one for one in references if one not in twice], kind)
    good: list[str] = []
    for one in ours:
        if one.reference in twice:
            continue
        difference = difference_of(one, theirs.get(one.reference))
        if difference is None:
            good.append(one.reference)
        else:
            differences.append(f"{one.reference}: {difference}")
    connection.execute(_sql.confirm, (good,))
    connection.execute(_sql.unconfirm, ([one for one in references if one not in good],))
    return differences


def difference_of(ours: Document, theirs: ErpDocument | None) -> str | None:
    """In what the ERP's document differs from ours, in words; none if they agree."""
    if theirs is None:
        return "the ERP does not have it"
    if not theirs.posted:
        return "the ERP has it as a draft only"
    word = "goods" if isinstance(ours, StockDocument) else "account"
    mine, its = sums_of(ours), _sums_in_erp(ours, theirs)
    for name in sorted(mine.keys() | its.keys()):
        here, there = mine.get(name, Decimal(0)), its.get(name, Decimal(0))
        if here != there:
            return f"{word} {name} is {there} in the ERP, {here} here"
    return None


def sums_of(document: Document) -> Sums:
    """What a document of ours comes to."""
    match document:
        case Journal():
            return balances(document.lines)
        case StockDocument():
            return _nonzero((f"{line.sku} {line.bucket}", line.quantity) for line in document.lines)
        case Invoice():
            entries = [(document.receivable_account, document.total)]
            entries += [(line.account, -line.amount) for line in document.lines]
            entries += [(tax.account, -tax.amount) for tax in document.taxes]
            return _nonzero(entries)


def _sums_in_erp(ours: Document, theirs: ErpDocument) -> Sums:
    if isinstance(ours, StockDocument):
        return _nonzero((f"{line.sku} {line.bucket}", line.quantity) for line in theirs.goods)
    return balances(theirs.lines)


def _nonzero(entries: Iterable[tuple[str, Decimal]]) -> Sums:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for name, amount in entries:
        sums[name] += amount
    return {name: amount for name, amount in sums.items() if amount}
