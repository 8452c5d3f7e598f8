"""A journal as ``JournalEntryCreateRequest``, and several of them as one ``JournalEntryBulkCreateRequest``.

Elements stand in the order of the service's schema, which is a sequence. Amounts are signed (a credit is negative) and
carry ``DebitCreditCode`` beside (S debit, H credit), as SAP wants both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from tillwire.connectors.sap_s4hana.references import document_reference, header_references, message_id
from tillwire.connectors.sap_s4hana.settings import SapSettings
from tillwire.connectors.sap_s4hana.soap import envelope, optional, tag
from tillwire.model.ledger import Journal, JournalLine
from tillwire.model.money import quantum

MOST_ITEMS = 999
"""Items of one accounting document: their numbers have three digits."""
ASSIGNMENT_LENGTHS = {"ProfitCenter": 10, "Segment": 10, "CostCenter": 10, "FunctionalArea": 16, "OrderID": 12}
"""Account assignments in the order of the schema, with the characters they hold."""


def objection(journal: Journal, settings: SapSettings) -> str | None:
    """Why a journal is not sent at all; none if SAP is to judge it."""
    if journal.company not in settings.company_codes:
        known = ", ".join(sorted(settings.company_codes))
        return f"company {journal.company} has no company code in SAP: the setting company_codes has {known}"
    lines = _lines(journal)
    if not lines:
        return "it has no line with an amount"
    if len(lines) > MOST_ITEMS:
        return f"it has {len(lines)} lines, SAP takes {MOST_ITEMS} in a document: summarise more, or post in parts"
    for line in lines:
        if len(line.account) > 10:
            return f"account {line.account} is longer than the 10 characters of SAP's"
        for dimension, value in line.dimensions.items():
            field = settings.dimensions.get(dimension)
            if field and len(value) > ASSIGNMENT_LENGTHS[field]:
                return f"{dimension} {value} is longer than the {ASSIGNMENT_LENGTHS[field]} characters of {field}"
    return None


def content_digest(journals: Sequence[Journal], settings: SapSettings) -> bytes:
    """What a message says, whenever it is sent."""
    content = bulk_request(journals, settings, bulk_id="", now=datetime(1970, 1, 1, tzinfo=UTC))
    return hashlib.sha256(content).digest()


def bulk_request(journals: Iterable[Journal], settings: SapSettings, *, bulk_id: str, now: datetime) -> bytes:
    """The SOAP envelope that posts these journals; ``bulk_id`` is the message's own ID (at most 35 characters)."""
    created = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    header = _message_header(bulk_id, created, settings.sender_system)
    entries = "".join(
        f"<JournalEntryCreateRequest>{_message_header(message_id(journal.reference), created, '')}"
        f"{_entry(journal, settings)}</JournalEntryCreateRequest>"
        for journal in journals
    )
    return envelope(f"<sfin:JournalEntryBulkCreateRequest>{header}{entries}</sfin:JournalEntryBulkCreateRequest>")


def _message_header(identifier: str, created: str, sender: str) -> str:
    return (
        f"<MessageHeader>{tag('ID', identifier)}{tag('CreationDateTime', created)}"
        f"{optional('SenderBusinessSystemID', sender)}</MessageHeader>"
    )


def _entry(journal: Journal, settings: SapSettings) -> str:
    first, second = header_references(journal.reference)
    items = "".join(
        _item(number, line, journal.currency, settings) for number, line in enumerate(_lines(journal), start=1)
    )
    return "".join(
        (
            "<JournalEntry>",
            tag("OriginalReferenceDocumentType", "BKPFF"),
            tag("BusinessTransactionType", "RFBU"),
            tag("AccountingDocumentType", settings.document_type),
            tag("DocumentReferenceID", document_reference(journal.reference)),
            tag("DocumentHeaderText", _header_text(journal)),
            tag("CreatedByUser", settings.created_by),
            tag("CompanyCode", settings.company_codes[journal.company]),
            tag("DocumentDate", journal.business_date.isoformat()),
            tag("PostingDate", journal.books_date.isoformat()),
            tag("Reference1InDocumentHeader", first),
            optional("Reference2InDocumentHeader", second),
            items,
            "</JournalEntry>",
        )
    )


def _header_text(journal: Journal) -> str:
    """What people read; of a reversal, the ``DocumentReferenceID`` of what it takes back."""
    if journal.reverses:
        return f"Reverses {document_reference(journal.reverses)}"[:25]
    return (journal.description or journal.reference)[:25]


def _lines(journal: Journal) -> list[JournalLine]:
    """Those with an amount: SAP takes no item without one, and it would book nothing."""
    return [line for line in journal.lines if line.debit or line.credit]


def _item(number: int, line: JournalLine, currency: str, settings: SapSettings) -> str:
    amount = line.debit - line.credit
    text = line.description
    if line.foreign is not None:
        text = f"{line.foreign.amount:f} {line.foreign.currency} {text}"
    return "".join(
        (
            "<Item>",
            tag("ReferenceDocumentItem", str(number)),
            tag("GLAccount", line.account),
            tag("AmountInTransactionCurrency", amount_text(amount, currency), currencyCode=currency),
            tag("DebitCreditCode", "S" if amount > 0 else "H"),
            optional("DocumentItemText", text[:50]),
            _assignment(line, settings),
            "</Item>",
        )
    )


def _assignment(line: JournalLine, settings: SapSettings) -> str:
    told: dict[str, str] = {
        settings.dimensions[name]: value for name, value in line.dimensions.items() if name in settings.dimensions
    }
    fields = "".join(optional(field, told.get(field, "")) for field in ASSIGNMENT_LENGTHS)
    return f"<AccountAssignment>{fields}</AccountAssignment>" if fields else ""


def amount_text(amount: Decimal, currency: str) -> str:
    """An amount with the decimals of its currency, never in exponents."""
    smallest = quantum(currency)
    return f"{amount.quantize(smallest) if amount == amount.quantize(smallest) else amount:f}"
