"""Journals as rows of ``GlInterface.csv``, the file of Oracle's JournalImportTemplate, and the zip that carries it.

The file has no header; columns count by their place, and trailing ones may be missing. Ours are 95, the last empty:
older templates end there with the word END, newer ones have the period's name, which Oracle finds by the date.

Each journal has a ``GROUP_ID`` of its own: Journal Import takes in or refuses a group as a whole, so that an error in
one journal leaves the others alone.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import secrets
import zipfile
from collections.abc import Iterable
from decimal import Decimal

from tillwire.connectors.erp import RejectionKind
from tillwire.connectors.oracle_fusion.settings import ACCOUNT, OracleFusionSettings
from tillwire.model.ledger import Journal, JournalLine
from tillwire.model.money import quantum

FILE = "GlInterface.csv"
COLUMNS = 95
PLACES = {
    "STATUS": 0,
    "LEDGER_ID": 1,
    "ACCOUNTING_DATE": 2,
    "USER_JE_SOURCE_NAME": 3,
    "USER_JE_CATEGORY_NAME": 4,
    "CURRENCY_CODE": 5,
    "DATE_CREATED": 6,
    "ACTUAL_FLAG": 7,
    "SEGMENT1": 8,
    "ENTERED_DR": 38,
    "ENTERED_CR": 39,
    "ACCOUNTED_DR": 40,
    "ACCOUNTED_CR": 41,
    "REFERENCE1": 42,
    "REFERENCE2": 43,
    "REFERENCE4": 45,
    "REFERENCE5": 46,
    "REFERENCE10": 51,
    "USER_CURRENCY_CONVERSION_TYPE": 63,
    "CURRENCY_CONVERSION_DATE": 64,
    "GROUP_ID": 66,
}
"""Where what stands, counted from 0. ``REFERENCE1`` is the batch's name, ``REFERENCE2`` its description, ``REFERENCE4``
and ``REFERENCE5`` those of the journal, ``REFERENCE10`` the line's description."""
MOST_TEXT = 240
_PLAIN = re.compile(r"[A-Za-z0-9/.:@+-]{1,48}")
_TOTAL = re.compile(r" \| debits (\d+(?:\.\d+)?) ([A-Z]{3}) \|")


def batch_name(reference: str) -> str:
    """The first word of the batch that Oracle makes of a journal, by which it is found.

    The reference itself, if it has at most 48 letters, digits and ``/ . : @ + -``; else ``~`` and the first 120 bits of
    its SHA-256 in base 32. Oracle keeps 50 characters and puts source, request and group behind, after a blank.
    """
    if _PLAIN.fullmatch(reference):
        return reference
    return "~" + base64.b32encode(hashlib.sha256(reference.encode()).digest()[:15]).decode()


def batch_description(journal: Journal) -> str:
    """The whole reference, what it must come to (see ``told_total``), and the description."""
    description = f"{journal.reference} | debits {journal.debit():f} {journal.currency} | {journal.description}"
    return _one_line(description)


def told_total(description: str) -> Decimal | None:
    """What the debits of a batch must come to, by its description; none where that says nothing.

    Two loads of one file whose rows meet in the interface become one journal with every line twice. This tells it.
    """
    found = _TOTAL.search(description)
    return Decimal(found[1]) if found else None


def objection(journal: Journal, settings: OracleFusionSettings) -> tuple[str, RejectionKind] | None:
    """Why a journal is not sent at all, and what kind of refusal that is; none if Oracle is to judge it."""
    ledger = settings.ledgers.get(journal.company)
    if ledger is None:
        known = ", ".join(sorted(settings.ledgers))
        return f"company {journal.company} has no ledger in Oracle: the setting ledgers has {known}", "other"
    if not journal.balances():
        # Some ledgers take it in, and leave it unposted without a word.
        return f"debits of {journal.debit()} and credits of {journal.credit()} differ", "unbalanced"
    lines = _lines(journal)
    if not lines:
        return "it has no line with an amount", "other"
    for line in lines:
        for name, value in _combination(line, journal, settings).items():
            if not value or not re.fullmatch(r"[A-Za-z0-9_. -]{1,25}", value):
                return f"segment {name} of account {line.account} is {value!r}: give it a value (segments)", "other"
    return None


def rows(journals: Iterable[Journal], settings: OracleFusionSettings) -> list[list[str]]:
    """The rows of these journals; each gets a group that no other import has."""
    made: list[list[str]] = []
    for journal in journals:
        group = str(secrets.randbelow(9 * 10**14) + 10**14)
        made += [_row(journal, line, group, settings) for line in _lines(journal)]
    return made


def packed(file_rows: Iterable[list[str]]) -> bytes:
    """The zip that ``importBulkData`` takes: rows as CSV with CRLF."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(file_rows)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(zipfile.ZipInfo(FILE, (1980, 1, 1, 0, 0, 0)), text.getvalue().encode(), zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _lines(journal: Journal) -> list[JournalLine]:
    return [line for line in journal.lines if line.debit or line.credit]


def _combination(line: JournalLine, journal: Journal, settings: OracleFusionSettings) -> dict[str, str]:
    """The segments of a line by their names; empty where nobody says."""
    fixed = settings.ledgers[journal.company].values
    return {
        name: line.account
        if name == ACCOUNT
        else fixed.get(name) or line.dimensions.get(name) or settings.segment_defaults.get(name, "")
        for name in settings.segments
    }


def _row(journal: Journal, line: JournalLine, group: str, settings: OracleFusionSettings) -> list[str]:
    ledger = settings.ledgers[journal.company]
    text = line.description
    if line.foreign is not None:
        text = f"{line.foreign.amount:f} {line.foreign.currency} {text}"
    reverses = f"Reverses {journal.reverses}. " if journal.reverses else ""
    day = f"{journal.books_date:%Y/%m/%d}"
    told = {
        "STATUS": "NEW",
        "LEDGER_ID": ledger.ledger_id,
        "ACCOUNTING_DATE": day,
        "USER_JE_SOURCE_NAME": settings.source,
        "USER_JE_CATEGORY_NAME": settings.category,
        "CURRENCY_CODE": journal.currency,
        "DATE_CREATED": f"{journal.business_date:%Y/%m/%d}",
        "ACTUAL_FLAG": "A",
        "ENTERED_DR": _amount(line.debit, journal.currency),
        "ENTERED_CR": _amount(line.credit, journal.currency),
        "REFERENCE1": batch_name(journal.reference),
        "REFERENCE2": batch_description(journal),
        "REFERENCE4": batch_name(journal.reference),
        "REFERENCE5": _one_line(reverses + journal.description),
        "REFERENCE10": _one_line(text),
        "GROUP_ID": group,
    }
    if journal.currency != ledger.currency:
        told |= {"USER_CURRENCY_CONVERSION_TYPE": settings.conversion_type, "CURRENCY_CONVERSION_DATE": day}
    row = [""] * COLUMNS
    for name, value in told.items():
        row[PLACES[name]] = value
    for place, value in enumerate(_combination(line, journal, settings).values(), start=PLACES["SEGMENT1"]):
        row[place] = value
    return row


def _amount(amount: Decimal, currency: str) -> str:
    if not amount:
        return ""
    smallest = quantum(currency)
    return f"{amount.quantize(smallest) if amount == amount.quantize(smallest) else amount:f}"


def _one_line(text: str) -> str:
    """Without line breaks and controls, which the loader takes for the end of a row; cut to what a reference holds."""
    return "".join(character if character.isprintable() else " " for character in text)[:MOST_TEXT]
