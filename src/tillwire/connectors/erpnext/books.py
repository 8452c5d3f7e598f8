"""What the connector must know of a company's books in ERPNext before it posts: accounts, currencies, rates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

import msgspec

from tillwire.connectors.erp import RejectionKind
from tillwire.connectors.erpnext.payload import Account, Valuation
from tillwire.connectors.erpnext.rest import FrappeRest, looked_for
from tillwire.connectors.erpnext.settings import ErpNextSettings
from tillwire.errors import ConfigurationError
from tillwire.model.ledger import Journal


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """The books as one ``post`` found them."""

    currency: str
    """The company's."""
    accounts: Mapping[str, Account]
    rates: Mapping[tuple[str, date], Decimal]
    """By currency and day; 0 where ERPNext has none."""
    exchange_account: Account | None

    def objection(self, journal: Journal) -> tuple[str, RejectionKind] | None:
        """Why this journal must not be sent: ERPNext would refuse it with fewer words."""
        for line in journal.lines:
            account = self.accounts.get(line.account)
            if account is None:
                return (
                    f"ERPNext has no account {line.account!r} in this company that can be posted to",
                    "unknown_account",
                )
            if account.currency != journal.currency:
                return (
                    f"ERPNext keeps account {account.name} in {account.currency} and takes nothing else there, but the "
                    f"journal is in {journal.currency}: give {journal.currency} an account of its own",
                    "other",
                )
        if journal.currency != self.currency and not self.valuation(journal).rate:
            return f"ERPNext has no exchange rate of {journal.currency} for {journal.books_date}", "other"
        return None

    def valuation(self, journal: Journal) -> Valuation:
        """How the company values the journal."""
        rate = self.rates.get((journal.currency, journal.books_date), Decimal(1))
        return Valuation(self.currency, rate, self.exchange_account)


def company_currency(rest: FrappeRest, settings: ErpNextSettings) -> str:
    """The company's currency. Raises ``ConfigurationError`` if ERPNext does not have the company."""
    rows = rest.rows("Company", [["name", "=", settings.company]], ["name", "default_currency"], order="name asc")
    if not rows:
        raise ConfigurationError(f"company: ERPNext shows no company {settings.company!r} to this user")
    return str(rows[0]["default_currency"])


def look_up(rest: FrappeRest, settings: ErpNextSettings, currency: str, journals: Sequence[Journal]) -> Books:
    """What these journals name."""
    codes = {line.account for journal in journals for line in journal.lines}
    foreign = {(one.currency, one.books_date) for one in journals if one.currency != currency}
    if foreign and settings.exchange_account:
        codes.add(settings.exchange_account)
    accounts = _accounts(rest, settings, currency, codes)
    return Books(
        currency=currency,
        accounts=accounts,
        rates={(name, day): _rate(rest, name, currency, day) for name, day in sorted(foreign)},
        exchange_account=accounts.get(settings.exchange_account),
    )


def _accounts(rest: FrappeRest, settings: ErpNextSettings, currency: str, codes: Iterable[str]) -> dict[str, Account]:
    field = "account_number" if settings.accounts_by == "number" else "name"
    found: dict[str, Account] = {}
    for some in looked_for(codes, settings.batch_references):
        filters = [
            ["company", "=", settings.company],
            [field, "in", some],
            ["is_group", "=", 0],
            ["disabled", "=", 0],
        ]
        for row in rest.rows("Account", filters, ["name", "account_number", "account_currency"], order="name asc"):
            found[row[field]] = Account(row["name"], row["account_currency"] or currency)
    return found


def _rate(rest: FrappeRest, foreign: str, own: str, on: date) -> Decimal:
    params = {"from_currency": foreign, "to_currency": own, "transaction_date": on.isoformat()}
    return Decimal(rest.value("erpnext.setup.utils.get_exchange_rate", params) or 0)
