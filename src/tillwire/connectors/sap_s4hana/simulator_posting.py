"""What the simulated system books, and how it says so: the confirmation of one journal entry, with SAP's messages."""

from __future__ import annotations

import uuid
from datetime import date
from decimal import Decimal
from xml.sax.saxutils import escape

from tillwire import clock
from tillwire.connectors.sap_s4hana.simulator_messages import EntryRequest
from tillwire.connectors.sap_s4hana.soap import ENVELOPE, SFIN
from tillwire.connectors.simulated_books import BookLine, RefusalError, SimulatedBooks


def confirmation(books: SimulatedBooks, entry: EntryRequest, company_code: str, chart: str) -> tuple[str, bool]:
    """Post one entry: its confirmation, and whether it is booked."""
    on = date.fromisoformat(entry.fields["PostingDate"])
    lines = [BookLine(_plain(item.account), item.amount, item.text, dict(item.assignment)) for item in entry.items]
    if entry.fields["CompanyCode"] != company_code:
        said = [("165(F5)", f"Company code {entry.fields['CompanyCode']} is not defined")]
        return _told(entry, "", company_code, on, _refused(said)), False
    try:
        made = books.book(
            entry.fields.get("DocumentReferenceID", ""),
            on,
            entry.currency,
            lines,
            company=company_code,
            extra=dict(entry.fields),
        )
    except RefusalError as refusal:
        return _told(entry, "", company_code, on, _refused(_words(refusal, lines, chart, on))), False
    success = f"Document posted successfully: BKPFF {made.number}{company_code}{on.year} 0M4SIMU"
    return _told(entry, made.number, company_code, on, [("605(RW)", 1, success)]), True


def _plain(account: str) -> str:
    return account.lstrip("0") if account.isdigit() else account


def _words(refusal: RefusalError, lines: list[BookLine], chart: str, on: date) -> list[tuple[str, str]]:
    match refusal.kind:
        case "unknown_account":
            return [("507(F5)", f"G/L {refusal} in chart of accounts {chart}")]
        case "closed_period":
            return [("201(F5)", f"Posting period {on.month:03d} {on.year} is not open")]
        case "unbalanced":
            difference = sum((line.amount for line in lines), Decimal(0))
            return [("702(F5)", f"Balance in transaction currency: {difference}")]
    return [("000(RW)", str(refusal))]


def _refused(said: list[tuple[str, str]]) -> list[tuple[str, int, str]]:
    return [("609(RW)", 3, "Error in document: BKPFF $ 0M4SIMU"), *((code, 3, words) for code, words in said)]


def _told(
    entry: EntryRequest, number: str, company_code: str, on: date, log: list[tuple[str, int, str]]
) -> str:  # fmt: skip
    items = "".join(
        f"<Item><TypeID>{code}</TypeID><SeverityCode>{severity}</SeverityCode><Note>{escape(words)}</Note></Item>"
        for code, severity, words in log
    )
    document = (
        f"<AccountingDocument>{number or ' '}</AccountingDocument>"
        f"<CompanyCode>{company_code if number else ' '}</CompanyCode>"
        f"<FiscalYear>{on.year if number else '0000'}</FiscalYear>"
    )
    return (
        f"<JournalEntryCreateConfirmation>{_header(entry.message_id)}"
        f"<JournalEntryCreateConfirmation>{document}</JournalEntryCreateConfirmation>"
        f"<Log><MaximumLogItemSeverityCode>{max(severity for _, severity, _ in log)}</MaximumLogItemSeverityCode>"
        f"{items}</Log></JournalEntryCreateConfirmation>"
    )


def _header(reference_id: str) -> str:
    return (
        f"<MessageHeader><UUID>{uuid.uuid4()}</UUID><ReferenceID>{escape(reference_id)}</ReferenceID>"
        f"<CreationDateTime>{clock.now():%Y-%m-%dT%H:%M:%S}Z</CreationDateTime></MessageHeader>"
    )


def confirmations_message(entries: list[str], bulk_id: str) -> bytes:
    """The envelope around the confirmations of one message."""
    return (
        f'<soap-env:Envelope xmlns:soap-env="{ENVELOPE}"><soap-env:Header/><soap-env:Body>'
        f'<n0:JournalEntryBulkCreateConfirmation xmlns:n0="{SFIN}">{_header(bulk_id)}<ConfirmationInterfaceOrignName/>'
        f"{''.join(entries)}<Log/></n0:JournalEntryBulkCreateConfirmation></soap-env:Body></soap-env:Envelope>"
    ).encode()
