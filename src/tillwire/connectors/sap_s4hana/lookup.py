"""What SAP's books hold under our references, by API_OPLACCTGDOCITEMCUBE_SRV: the items of accounting documents.

API_JOURNALENTRYITEMBASIC_SRV cannot tell: its items have neither a document's number nor its reference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tillwire.connectors.erp import DuplicatePostingError
from tillwire.connectors.erp_run import pieces
from tillwire.connectors.sap_s4hana.client import Row, SapClient
from tillwire.connectors.sap_s4hana.confirmations import document_id
from tillwire.connectors.sap_s4hana.odata import day, decimal, flag, one_of, optional_text, text
from tillwire.connectors.sap_s4hana.references import document_reference
from tillwire.errors import ContractChangedError
from tillwire.model.ledger import ZERO, ErpDocument, JournalLine

SERVICE = "API_OPLACCTGDOCITEMCUBE_SRV"
ENTITY_SET = "A_OperationalAcctgDocItemCube"
KEY = ("CompanyCode", "FiscalYear", "AccountingDocument")
HEADER = (*KEY, "AccountingDocumentItem", "DocumentReferenceID", "PostingDate", "IsReversal", "IsReversed")
ITEM = ("GLAccount", "DebitCreditCode", "AmountInTransactionCurrency", "DocumentItemText", "IsNegativePosting")
ORDER = "CompanyCode,FiscalYear,AccountingDocument,AccountingDocumentItem"
ASSIGNMENTS = ("CostCenter", "ProfitCenter", "Segment", "FunctionalArea", "OrderID")


def documents(client: SapClient, references: Sequence[str], *, lines: bool) -> dict[str, ErpDocument]:
    """By reference, with their lines if asked for. Raises ``DuplicatePostingError``.

    Documents that were reversed in SAP, and those that reverse them, do not count: together they book nothing.
    """
    ours = {document_reference(reference): reference for reference in references}
    found: dict[str, list[ErpDocument]] = defaultdict(list)
    for some in pieces(sorted(ours), client.settings.batch_references):
        for rows in _by_document(client, some, lines=lines):
            document = _document(rows, ours, client, lines=lines)
            if document is not None:
                found[document.reference].append(document)
    single = {reference: many[0] for reference, many in found.items() if len(many) == 1}
    several = {reference: tuple(many) for reference, many in found.items() if len(many) > 1}
    if several:
        raise DuplicatePostingError(several, single)
    return single


def _by_document(client: SapClient, short: Sequence[str], *, lines: bool) -> list[list[Row]]:
    codes = sorted(set(client.settings.company_codes.values()))
    condition = f"{one_of('CompanyCode', codes)} and {one_of('DocumentReferenceID', short)}"
    if not lines:
        condition += " and AccountingDocumentItem eq '001'"
    assignments = sorted(set(client.settings.dimensions.values())) if lines else []
    select = ",".join((*HEADER, *ITEM, *assignments) if lines else HEADER)
    by_key: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in client.rows(SERVICE, ENTITY_SET, filter=condition, select=select, orderby=ORDER):
        by_key[tuple(text(row, name) for name in KEY)].append(row)
    return list(by_key.values())


def _document(rows: list[Row], ours: dict[str, str], client: SapClient, *, lines: bool) -> ErpDocument | None:
    first = rows[0]
    reference = ours.get(text(first, "DocumentReferenceID"))
    if reference is None or flag(first, "IsReversal") or flag(first, "IsReversed"):
        return None
    company_code, fiscal_year, number = (text(first, name) for name in KEY)
    names: dict[str, str] = {field: name for name, field in client.settings.dimensions.items()}
    return ErpDocument(
        reference=reference,
        document_id=document_id(company_code, fiscal_year, number),
        number=number,
        posted=True,
        posting_date=day(first, "PostingDate"),
        lines=tuple(_line(row, names) for row in rows) if lines else (),
    )


def _line(row: Row, names: dict[str, str]) -> JournalLine:
    """Of an item: its amount is signed, and must agree with its code unless it is a negative posting."""
    amount = decimal(row, "AmountInTransactionCurrency")
    code = text(row, "DebitCreditCode")
    if amount and (amount > 0) != (code == "S") and not flag(row, "IsNegativePosting"):
        raise ContractChangedError(f"SAP answers {amount} with DebitCreditCode {code}, for {row}: sign and code differ")
    return JournalLine(
        account=account_of(text(row, "GLAccount")),
        debit=max(amount, ZERO),
        credit=max(-amount, ZERO),
        description=optional_text(row, "DocumentItemText"),
        dimensions={name: text(row, field) for field, name in names.items() if row.get(field)},
    )


def account_of(told: str) -> str:
    """A numeric account without the zeros before it, as people write it."""
    return told.lstrip("0") or told if told.isdigit() else told
