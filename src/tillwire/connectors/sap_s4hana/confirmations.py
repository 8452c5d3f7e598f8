"""``JournalEntryBulkCreateConfirmation``: what SAP says became of journal entries, in an answer or in a call to us."""

from __future__ import annotations

from typing import NamedTuple
from xml.etree.ElementTree import Element

from tillwire.connectors.erp import Posted, PostingOutcome, Rejected, RejectionKind
from tillwire.connectors.sap_s4hana.soap import NotReadableError, bare, child, children, text_of

ERROR = 3
"""``SeverityCode``: 1 is told for information, 2 a warning, 3 an error, 4 an abort."""

_KINDS: dict[str, RejectionKind] = {
    "201(F5)": "closed_period",
    "702(F5)": "unbalanced",
    "506(F5)": "unknown_account",
    "507(F5)": "unknown_account",
    "004(FH)": "unknown_account",
}
"""By message number and class, as ``TypeID`` has them."""
_FRAME = ("609(RW)", "605(RW)")
"""The messages around the ones that say something: "Error in document", "Document posted successfully"."""


class Confirmation(NamedTuple):
    """What one entry's confirmation says."""

    message_id: str
    """Of the request that it answers."""
    document: str
    """The accounting document; empty if there is none."""
    company_code: str
    fiscal_year: str
    reasons: tuple[str, ...]
    kind: RejectionKind

    def outcome(self, reference: str) -> PostingOutcome | None:
        """What it means; none if it says neither of a document nor of an error."""
        if self.document:
            return Posted(reference, document_id(self.company_code, self.fiscal_year, self.document), self.document)
        if self.reasons:
            return Rejected(reference, f"{reference}: {'; '.join(self.reasons)}", self.kind)
        return None


def document_id(company_code: str, fiscal_year: str, document: str) -> str:
    """An accounting document's number is unique within a company code and fiscal year only."""
    return f"{company_code}/{fiscal_year}/{document}"


def confirmations(message: Element) -> list[Confirmation]:
    """Every entry of a bulk confirmation. Raises ``NotReadableError`` if it is none."""
    if bare(message) != "JournalEntryBulkCreateConfirmation":
        raise NotReadableError(f"a JournalEntryBulkCreateConfirmation is expected, this is {bare(message)}")
    return [_confirmation(entry) for entry in children(message, "JournalEntryCreateConfirmation")]


def bulk_errors(message: Element) -> tuple[str, ...]:
    """What is wrong with the message as a whole."""
    log = child(message, "Log")
    return () if log is None else _errors(log)[0]


def _confirmation(entry: Element) -> Confirmation:
    inner = child(entry, "JournalEntryCreateConfirmation")
    document = text_of(inner, "AccountingDocument") if inner is not None else ""
    log = child(entry, "Log")
    reasons, kind = ((), "other") if log is None else _errors(log)
    return Confirmation(
        message_id=text_of(entry, "MessageHeader", "ReferenceID"),
        document="" if not document.strip("0") else document,
        company_code=text_of(inner, "CompanyCode") if inner is not None else "",
        fiscal_year=text_of(inner, "FiscalYear") if inner is not None else "",
        reasons=reasons,
        kind=kind,
    )


def _errors(log: Element) -> tuple[tuple[str, ...], RejectionKind]:
    """The errors of a log in SAP's words, each once; the frame around them only where there is nothing else."""
    kind: RejectionKind = "other"
    said: dict[str, bool] = {}
    for item in children(log, "Item"):
        severity = text_of(item, "SeverityCode")
        if not severity.isdigit() or int(severity) < ERROR:
            continue
        type_id = text_of(item, "TypeID")
        if kind == "other":
            kind = _KINDS.get(type_id, "other")
        said[f"{text_of(item, 'Note')} [{type_id}]"] = type_id in _FRAME
    telling = tuple(words for words, frame in said.items() if not frame)
    return (telling or tuple(said)), kind
