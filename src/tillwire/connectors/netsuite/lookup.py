"""What NetSuite holds under our references: documents by external id, and their lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from tillwire.connectors.erp import DuplicatePostingError
from tillwire.connectors.erp_run import pieces
from tillwire.connectors.netsuite.books import external_id
from tillwire.connectors.netsuite.client import NetSuiteClient, Row, quoted
from tillwire.connectors.netsuite.settings import NetSuiteSettings
from tillwire.model.ledger import DocumentKind, ErpDocument, JournalLine, StockLine

MOST_NAMED = 500
"""So many are named in one query (SuiteQL takes a thousand)."""

_TABLES = {"location": "location", "department": "department", "class": "classification"}
_HEAD = (
    "SELECT t.id, t.externalid, t.tranid, TO_CHAR(t.trandate, 'YYYY-MM-DD') AS trandate, t.posting, "
    "t.approvalstatus FROM transaction t WHERE "
)
_TYPES: dict[DocumentKind, str] = {"journal": "Journal", "stock": "InvAdjst"}
_APPROVAL_REJECTED = "3"


class Found(msgspec.Struct, frozen=True):
    """A journal entry as NetSuite has it."""

    document: ErpDocument
    refused: bool
    """Somebody there has rejected it when it was to be approved."""


def by_reference(
    client: NetSuiteClient, references: Sequence[str], kind: DocumentKind = "journal"
) -> dict[str, ErpDocument]:
    """What is under these references. Raises ``DuplicatePostingError`` where two are posted under one."""
    by_external = {external_id(reference): reference for reference in references}
    found: dict[str, list[ErpDocument]] = defaultdict(list)
    for named in pieces(sorted(by_external), MOST_NAMED):
        listed = ", ".join(map(quoted, named))
        condition = f"t.type = {quoted(_TYPES[kind])} AND t.externalid IN ({listed})"
        for row in client.query(f"{_HEAD}{condition} ORDER BY t.id"):
            reference = by_external.get(row["externalid"])
            if reference is not None:  # another by nothing but capitals is none of ours
                found[reference].append(_document(reference, row))
    return _only(found)


def by_id(client: NetSuiteClient, ids: Iterable[str]) -> dict[str, Found]:
    """Entries by their internal ids; the reference of each is its external id."""
    known: dict[str, Found] = {}
    for named in pieces(sorted(set(ids)), MOST_NAMED):
        for row in client.query(f"{_HEAD}t.id IN ({', '.join(named)}) ORDER BY t.id"):
            document = _document(row.get("externalid", ""), row)
            known[row["id"]] = Found(document, row.get("approvalstatus") == _APPROVAL_REJECTED)
    return known


def with_lines(
    client: NetSuiteClient, settings: NetSuiteSettings, documents: dict[str, ErpDocument]
) -> dict[str, ErpDocument]:
    """The same documents with what stands in the ledger under them, in the currency of the transaction."""
    lines: dict[str, list[JournalLine]] = defaultdict(list)
    for named in pieces([document.document_id for document in documents.values()], MOST_NAMED):
        for row in client.query(_lines_of(settings, named)):
            lines[row["transaction"]].append(_line(settings, row))
    return {
        reference: msgspec.structs.replace(document, lines=tuple(lines[document.document_id]))
        for reference, document in documents.items()
    }


def with_goods(client: NetSuiteClient, documents: dict[str, ErpDocument]) -> dict[str, ErpDocument]:
    """The same inventory adjustments with what moved."""
    goods: dict[str, list[StockLine]] = defaultdict(list)
    for named in pieces([document.document_id for document in documents.values()], MOST_NAMED):
        for row in client.query(
            "SELECT tl.transaction, i.itemid, tl.quantity, tl.memo "
            "FROM transactionline tl JOIN item i ON i.id = tl.item "
            f"WHERE tl.transaction IN ({', '.join(named)}) ORDER BY tl.transaction, tl.id"
        ):
            reason, bucket, unit = [*row.get("memo", "").split(" ", 2), "", "", ""][:3]
            goods[row["transaction"]].append(
                StockLine(sku=row["itemid"], quantity=Decimal(row["quantity"]), unit=unit, reason=reason, bucket=bucket)
            )
    return {
        reference: msgspec.structs.replace(document, goods=tuple(goods[document.document_id]))
        for reference, document in documents.items()
    }


def _document(reference: str, row: Row) -> ErpDocument:
    posted = row.get("posting") == "T"
    return ErpDocument(
        reference=reference,
        document_id=row["id"],
        number=row.get("tranid") if posted else None,
        posted=posted,
        posting_date=date.fromisoformat(row["trandate"]),
    )


def _only(found: dict[str, list[ErpDocument]]) -> dict[str, ErpDocument]:
    duplicates: dict[str, tuple[ErpDocument, ...]] = {}
    single: dict[str, ErpDocument] = {}
    for reference, documents in found.items():
        posted = [document for document in documents if document.posted]
        if len(posted) > 1:
            duplicates[reference] = tuple(posted)
        else:
            single[reference] = (posted or documents)[0]
    if duplicates:
        raise DuplicatePostingError(duplicates, single)
    return single


def _lines_of(settings: NetSuiteSettings, ids: Sequence[str]) -> str:
    fields = sorted(settings.dimensions.values())
    columns = "".join(f", tl.{field}" for field in fields)
    columns += "".join(f", d_{field}.externalid AS {field}_external" for field in fields if field in _TABLES)
    joins = "".join(
        f" LEFT JOIN {_TABLES[field]} d_{field} ON d_{field}.id = tl.{field}" for field in fields if field in _TABLES
    )
    return (
        f"SELECT tl.transaction, a.acctnumber, tl.foreignamount, tl.memo{columns} FROM transactionline tl "
        "JOIN transactionaccountingline tal ON tal.transaction = tl.transaction AND tal.transactionline = tl.id "
        f"JOIN account a ON a.id = tal.account{joins} "
        f"WHERE tal.accountingbook = 1 AND tl.transaction IN ({', '.join(ids)}) ORDER BY tl.transaction, tl.id"
    )


def _line(settings: NetSuiteSettings, row: dict[str, Any]) -> JournalLine:
    amount = Decimal(row.get("foreignamount", "0"))
    dimensions = {}
    for dimension, field in settings.dimensions.items():
        if number := row.get(field):
            named = {there: ours for ours, there in settings.dimension_values.get(dimension, {}).items()}
            dimensions[dimension] = named.get(number) or row.get(f"{field}_external") or number
    return JournalLine(
        account=row["acctnumber"],
        debit=max(amount, Decimal(0)),
        credit=max(-amount, Decimal(0)),
        description=row.get("memo", ""),
        dimensions=dimensions,
    )
