"""Journals as documents of the DocType ``Journal Entry``, and how their references are carried."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from tillwire.connectors.erpnext.settings import ErpNextSettings
from tillwire.model.ledger import ZERO, Journal, JournalLine
from tillwire.model.money import rounded

DOCTYPE = "Journal Entry"
LONGEST = 140
"""The length of Frappe's Data fields."""
_DIGEST = 32


class Account(NamedTuple):
    """An account of ERPNext: its name there and the one currency that it is kept in."""

    name: str
    currency: str


class Valuation(NamedTuple):
    """How the company values a journal: its own currency, and one unit of the journal's currency in it."""

    currency: str
    rate: Decimal
    exchange_account: Account | None


def carried(reference: str) -> str:
    """The reference as the field carries it: as it is, or its beginning and its digest where it is too long."""
    if len(reference) <= LONGEST:
        return reference
    digest = hashlib.sha256(reference.encode()).hexdigest()[:_DIGEST]
    return f"{reference[: LONGEST - _DIGEST - 1]}~{digest}"


def entry(
    journal: Journal, accounts: Mapping[str, Account], valuation: Valuation, settings: ErpNextSettings, *, submit: bool
) -> dict[str, Any]:
    """The document. Raises ``ValueError`` in words for what ERPNext has no place for."""
    foreign = journal.currency != valuation.currency
    rows = [_row(line, accounts[line.account], valuation.rate if foreign else None, settings) for line in journal.lines]
    if foreign:
        rows += _left_over(journal, valuation)
    made = {
        "doctype": DOCTYPE,
        "docstatus": 1 if submit else 0,
        "voucher_type": "Journal Entry",
        "company": settings.company,
        "posting_date": journal.books_date.isoformat(),
        "title": (journal.description or journal.reference)[:LONGEST],
        "cheque_no": carried(journal.reference),
        "cheque_date": journal.business_date.isoformat(),
        "user_remark": _remark(journal),
        "multi_currency": 1 if foreign else 0,
        "accounts": rows,
    }
    if settings.reference_field:
        made[settings.reference_field] = carried(journal.reference)
    if settings.naming_series:
        made["naming_series"] = settings.naming_series
    return made


def _row(line: JournalLine, account: Account, rate: Decimal | None, settings: ErpNextSettings) -> dict[str, Any]:
    words = line.description
    if line.foreign is not None:
        words = f"{words} ({line.foreign.amount} {line.foreign.currency})".strip()
    row: dict[str, Any] = {
        "account": account.name,
        "debit_in_account_currency": line.debit,
        "credit_in_account_currency": line.credit,
        "user_remark": words,
    }
    if rate is not None:
        row |= {"account_currency": account.currency, "exchange_rate": rate}
    for name, field in settings.dimensions.items():
        value = line.dimensions.get(name)
        if value:
            row[field] = settings.dimension_values.get(name, "{value}").replace("{value}", value)
    return row


def _left_over(journal: Journal, valuation: Valuation) -> list[dict[str, Any]]:
    """A row for the cents by which the valued lines, each rounded as ERPNext does, are out of balance."""
    rest = sum((_valued(line, valuation) for line in journal.lines), ZERO)
    if not rest or not journal.balances():
        return []
    if valuation.exchange_account is None:
        raise ValueError(
            f"valued in {valuation.currency} at {valuation.rate} its lines differ by {rest}: set exchange_account"
        )
    return [
        {
            "account": valuation.exchange_account.name,
            "account_currency": valuation.currency,
            "exchange_rate": Decimal(1),
            "debit_in_account_currency": max(-rest, ZERO),
            "credit_in_account_currency": max(rest, ZERO),
            "user_remark": "cents left over by the exchange rate",
        }
    ]


def _valued(line: JournalLine, valuation: Valuation) -> Decimal:
    return rounded(line.debit * valuation.rate, valuation.currency) - rounded(
        line.credit * valuation.rate, valuation.currency
    )


def _remark(journal: Journal) -> str:
    parts = [f"Tillwire {journal.reference}", journal.description]
    if journal.reverses:
        parts.append(f"reverses {journal.reverses}")
    return "; ".join(part for part in parts if part)
