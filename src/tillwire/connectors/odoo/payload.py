"""Journals as rows of Odoo's ``load``: each a draft entry with external ids for itself and for every line.

An external id (``ir.model.data``) is unique in Odoo, so loading the same journal twice finds the entry again. Its lines
have ids of their own, or a second load would add them a second time.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from tillwire.model.ledger import ZERO, Journal, JournalLine
from tillwire.model.money import rounded

MODULE = "tillwire"
"""The first half of our external ids."""

FIELDS = (
    "id",
    "move_type",
    "journal_id/.id",
    "date",
    "ref",
    "narration",
    "line_ids/id",
    "line_ids/account_id/.id",
    "line_ids/name",
    "line_ids/debit",
    "line_ids/credit",
    "line_ids/currency_id/.id",
    "line_ids/amount_currency",
    "line_ids/analytic_distribution",
)
_HEAD = 6
"""Of these fields, so many are the entry's own: empty in every row but its first."""


class Place(NamedTuple):
    """Numbers of Odoo's records that a journal's rows name."""

    journal_id: int
    currency_id: int
    """Of the journal's currency."""
    accounts: Mapping[str, int]
    analytic: Mapping[str, int]
    """Analytic accounts by their codes."""


def external_name(reference: str) -> str:
    """The second half of an external id: readable, without dots, and of each reference another one by its digest."""
    readable = re.sub(r"[^A-Za-z0-9]+", "_", reference)[:60].strip("_")
    digest = hashlib.sha256(reference.encode()).hexdigest()[:24]
    return f"{readable}_{digest}"


def rows(journal: Journal, place: Place, amounts: Sequence[Decimal], dimensions: Sequence[str]) -> list[list[str]]:
    """The rows of one journal; ``amounts`` are its lines' in the company's currency, debit positive."""
    name = f"{MODULE}.{external_name(journal.reference)}"
    head = [
        name,
        "entry",
        str(place.journal_id),
        journal.books_date.isoformat(),
        journal.reference,
        _narration(journal),
    ]
    found = []
    for number, (line, amount) in enumerate(zip(journal.lines, amounts, strict=True), 1):
        own = [
            f"{name}_l{number}",
            str(place.accounts[line.account]),
            _label(line) or journal.description or journal.reference,
            f"{max(amount, ZERO):f}",
            f"{max(-amount, ZERO):f}",
            str(place.currency_id),
            f"{line.debit - line.credit:f}",
            _distribution(line, place, dimensions),
        ]
        found.append((head if number == 1 else [""] * _HEAD) + own)
    return found


def analytic_codes(lines: Sequence[JournalLine], dimensions: Sequence[str]) -> set[str]:
    """The codes of analytic accounts that lines name."""
    return {line.dimensions[name] for line in lines for name in dimensions if line.dimensions.get(name)}


def in_company_currency(journal: Journal, factor: Decimal | None, currency: str) -> list[Decimal]:
    """Each line's amount in the company's ``currency``, debit positive: by ``factor``, or as it is without one.

    What rounding leaves over goes to the greatest line, so that what balances in one currency does in the other.
    """
    given = [line.debit - line.credit for line in journal.lines]
    if factor is None:
        return given
    converted = [rounded(amount * factor, currency) for amount in given]
    rest = sum(converted, ZERO)
    if rest:
        greatest = max(range(len(converted)), key=lambda at: abs(converted[at]))
        converted[greatest] -= rest
    return converted


def _narration(journal: Journal) -> str:
    """Odoo's notes are HTML."""
    parts = [journal.description] if journal.description else []
    if journal.reverses:
        parts.append(f"reverses {journal.reverses}")
    return "<br/>".join(html.escape(part) for part in parts)


def _label(line: JournalLine) -> str:
    if line.foreign is None:
        return line.description
    return f"{line.description} ({line.foreign.amount} {line.foreign.currency})".strip()


def _distribution(line: JournalLine, place: Place, dimensions: Sequence[str]) -> str:
    codes = [line.dimensions[name] for name in dimensions if line.dimensions.get(name)]
    if not codes:
        return ""
    shares: dict[str, Any] = {",".join(str(place.analytic[code]) for code in codes): 100}
    return msgspec.json.encode(shares).decode()
