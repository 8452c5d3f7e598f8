"""What the connector must know of a company's books in Odoo before it posts: numbers, currencies, rates, lock dates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from tillwire.connectors.erp import RejectionKind
from tillwire.connectors.odoo.payload import Place, analytic_codes
from tillwire.connectors.odoo.rpc import OdooRpc
from tillwire.connectors.odoo.settings import OdooSettings
from tillwire.errors import ConfigurationError
from tillwire.model.ledger import Journal, JournalLine

LOCKS = (
    ("user_hard_lock_date", "hard_lock_date"),
    ("user_fiscalyear_lock_date", "fiscalyear_lock_date"),
    ("period_lock_date",),
)
"""The lock dates that concern a miscellaneous entry without taxes. Of each, the first field that this release of Odoo
has: from 18.0 on those of the user, which know exceptions and the companies above."""


class Company(NamedTuple):
    """A company and our journal in it."""

    company_id: int
    currency: str
    currency_id: int
    journal_id: int
    lock_fields: tuple[str, ...]


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """The books as one ``post`` found them."""

    company: Company
    accounts: Mapping[str, int]
    analytic: Mapping[str, int]
    currencies: Mapping[str, int]
    rates: Mapping[str, Sequence[tuple[date, Decimal]]]
    """By currency, latest first: how much of it one unit of Odoo's base is worth from that day on."""
    locks: Mapping[str, date]

    def objection(self, journal: Journal, dimensions: Sequence[str]) -> tuple[str, RejectionKind] | None:
        """Why this journal must not be sent. Odoo would refuse it with fewer words, or do something else with it."""
        for line in journal.lines:
            if line.account not in self.accounts:
                return f"Odoo has no account {line.account!r} in this company, or it is not in use", "unknown_account"
        for code in sorted(analytic_codes(journal.lines, dimensions)):
            if code not in self.analytic:
                return f"Odoo has no analytic account {code!r} in this company", "other"
        for field, last in self.locks.items():
            if journal.books_date <= last:
                # Odoo would post it all the same, at the first day after the lock.
                return f"Odoo's {field} is {last}: {journal.books_date} is closed", "closed_period"
        if journal.currency not in self.currencies:
            return f"Odoo has no active currency {journal.currency}", "other"
        if journal.currency != self.company.currency:
            if not journal.balances():
                return f"debits {journal.debit()} and credits {journal.credit()} differ", "unbalanced"
            if self.factor(journal) is None:
                return f"Odoo has no rate of {journal.currency} for {journal.books_date}", "other"
        return None

    def place(self, journal: Journal) -> Place:
        """The numbers of Odoo's records for one journal, of which there is no objection."""
        return Place(self.company.journal_id, self.currencies[journal.currency], self.accounts, self.analytic)

    def factor(self, journal: Journal) -> Decimal | None:
        """By what an amount of the journal is multiplied to be one of the company's currency; none without a rate."""
        theirs = self._rate(journal.currency, journal.books_date)
        own = self._rate(self.company.currency, journal.books_date)
        return None if theirs is None or not theirs else (own or Decimal(1)) / theirs

    def _rate(self, currency: str, on: date) -> Decimal | None:
        return next((rate for since, rate in self.rates.get(currency, ()) if since <= on), None)


def find_company(rpc: OdooRpc, settings: OdooSettings) -> Company:
    """Company and journal by the settings. Raises ``ConfigurationError`` if Odoo does not have them."""
    companies = rpc.read(
        "res.company", "search_read", [["name", "=", settings.company]], fields=["id", "name", "currency_id"]
    )
    if len(companies) != 1:
        raise ConfigurationError(f"company: Odoo shows {len(companies)} companies named {settings.company!r}")
    company_id = companies[0]["id"]
    rpc.context = {**rpc.context, "allowed_company_ids": [company_id]}
    domain = [["code", "=", settings.journal_code], ["company_id", "=", company_id]]
    journals = rpc.read("account.journal", "search_read", domain, fields=["id", "type"])
    if len(journals) != 1 or journals[0]["type"] != "general":
        raise ConfigurationError(
            f"journal_code: Odoo has no miscellaneous journal {settings.journal_code!r} in {settings.company!r}"
        )
    wanted = [field for group in LOCKS for field in group]
    there = rpc.read("res.company", "fields_get", wanted, ["type"])
    locks = tuple(next(field for field in group if field in there) for group in LOCKS if set(group) & set(there))
    currency_id, currency = companies[0]["currency_id"]
    return Company(company_id, currency, currency_id, journals[0]["id"], locks)


def look_up(rpc: OdooRpc, company: Company, journals: Sequence[Journal], dimensions: Sequence[str]) -> Books:
    """What these journals name, by one call for each kind of record."""
    lines: list[JournalLine] = [line for journal in journals for line in journal.lines]
    foreign = {journal.currency for journal in journals} - {company.currency}
    currencies = {company.currency: company.currency_id}
    rates: dict[str, list[tuple[date, Decimal]]] = {}
    if foreign:
        rows = rpc.read("res.currency", "search_read", [["name", "in", sorted(foreign)]], fields=["id", "name"])
        currencies |= {row["name"]: row["id"] for row in rows}
        rates = _rates(rpc, company, currencies)
    return Books(
        company=company,
        accounts=_by_code(rpc, "account.account", {line.account for line in lines}, [["deprecated", "=", False]]),
        analytic=_by_code(rpc, "account.analytic.account", analytic_codes(lines, dimensions), []),
        currencies=currencies,
        rates=rates,
        locks=_locks(rpc, company),
    )


def _by_code(rpc: OdooRpc, model: str, codes: Iterable[str], domain: list[Any]) -> dict[str, int]:
    wanted = sorted(codes)
    if not wanted:
        return {}
    rows = rpc.read(model, "search_read", [["code", "in", wanted], *domain], fields=["id", "code"])
    return {row["code"]: row["id"] for row in rows}


def _rates(rpc: OdooRpc, company: Company, currencies: Mapping[str, int]) -> dict[str, list[tuple[date, Decimal]]]:
    names = {number: name for name, number in currencies.items()}
    domain = [["currency_id", "in", sorted(names)], ["company_id", "in", [company.company_id, False]]]
    rows = rpc.read("res.currency.rate", "search_read", domain, fields=["currency_id", "name", "rate", "company_id"])
    found: dict[str, list[tuple[date, Decimal]]] = {}
    for currency_id in names:
        own = [row for row in rows if row["currency_id"][0] == currency_id]
        # Odoo prefers the company's own rates to those of all companies.
        own = [row for row in own if row["company_id"]] or own
        dated = ((date.fromisoformat(row["name"]), Decimal(row["rate"])) for row in own)
        found[names[currency_id]] = sorted(dated, reverse=True)
    return found


def _locks(rpc: OdooRpc, company: Company) -> dict[str, date]:
    if not company.lock_fields:
        return {}
    (row,) = rpc.read("res.company", "read", [company.company_id], list(company.lock_fields))
    return {field: date.fromisoformat(row[field]) for field in company.lock_fields if row.get(field)}
