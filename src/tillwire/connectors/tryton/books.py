"""One company's books as a posting needs them: periods by date, accounts by code, what the ERP has installed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, NamedTuple

import msgspec

from tillwire.connectors.erp import RejectionKind
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.settings import TrytonSettings
from tillwire.errors import ConfigurationError

MOVE, INVOICE, STOCK_MOVE, ANALYTIC = "account.move", "account.invoice", "stock.move", "analytic_account.line"


class Company(msgspec.Struct, frozen=True):
    """The numbers that Tryton gave to what the settings name, and what its database has."""

    company_id: int
    currency: str
    currency_id: int
    journal_id: int
    has: frozenset[str] = frozenset()
    """Which of our models are there: what modules are activated."""
    unique: frozenset[str] = frozenset()
    """Which of them have the field of the server-side module that makes references unique."""


class Period(msgspec.Struct, frozen=True):
    """An accounting period; ``state`` is Tryton's open, closed or locked."""

    period_id: int
    name: str
    start: date
    end: date
    state: str


class Objection(NamedTuple):
    """Why something cannot be posted."""

    words: str
    kind: RejectionKind = "other"


class Books(msgspec.Struct, frozen=True):
    """What was looked up for one batch. Fresh for each: an accountant may close a period any time."""

    periods: tuple[Period, ...]
    accounts: dict[str, tuple[int, ...]]

    def period(self, day: date) -> Period | None:
        """The period of a day."""
        return next((period for period in self.periods if period.start <= day <= period.end), None)

    def account(self, code: str) -> int:
        """The number of an account that no objection was made to."""
        return self.accounts[code][0]

    def period_objection(self, day: date) -> Objection | None:
        """What is wrong with posting on a day."""
        period = self.period(day)
        if period is None:
            return Objection(f"the ERP has no accounting period for {day}: open its fiscal year", "closed_period")
        if period.state != "open":
            return Objection(f"the accounting period {period.name} of {day} is {period.state}", "closed_period")
        return None

    def account_objection(self, codes: Iterable[str]) -> Objection | None:
        """What is wrong with posting to accounts of these codes."""
        wanted = sorted(set(codes))
        if unknown := [code for code in wanted if not self.accounts.get(code)]:
            return Objection(f"the ERP's chart has no account {', '.join(unknown)}", "unknown_account")
        if doubtful := [code for code in wanted if len(self.accounts[code]) > 1]:
            return Objection(f"the ERP's chart has several accounts {', '.join(doubtful)}", "unknown_account")
        return None


def reference_objection(reference: str, of_company: str, settings: TrytonSettings) -> Objection | None:
    """What is wrong with a document's reference, or with its being sent here."""
    if not reference or reference != reference.strip():
        return Objection("the reference is empty or has blanks around it, which Tryton would strip")
    if settings.hub_companies and of_company not in settings.hub_companies:
        return Objection(f"company {of_company!r} is not one whose documents go to the books of {settings.company!r}")
    return None


def find_company(client: TrytonClient, settings: TrytonSettings) -> Company:
    """Look up company and journal. Raises ``ConfigurationError`` if the ERP has none, or several, of such a name, or if
    our user does not see the company's books.
    """
    companies = client.call(
        "model.company.company.search_read",
        [["party.name", "=", settings.company]], 0, None, None, ["currency.code"],
    )  # fmt: skip
    company = only(companies, f"company {settings.company!r}")
    _must_see(client, settings, company["id"])
    journals = client.call(
        "model.account.journal.search_read", [["code", "=", settings.journal_code]], 0, None, None, ["id"]
    )
    journal = only(journals, f"journal of code {settings.journal_code!r}")
    models = [["model", "in", [MOVE, INVOICE, STOCK_MOVE, ANALYTIC]], ["name", "in", ["id", "hub_reference"]]]
    fields = client.call("model.ir.model.field.search_read", models, 0, None, None, ["model", "name"])
    currency = company["currency."]
    return Company(
        company["id"],
        currency["code"],
        currency["id"],
        journal["id"],
        frozenset(field["model"] for field in fields),
        frozenset(field["model"] for field in fields if field["name"] == "hub_reference"),
    )


def _must_see(client: TrytonClient, settings: TrytonSettings, company: int) -> None:
    """What a user may not see is not there for it: a look-up would not fail, but say that nothing is posted."""
    fields = ["company", "companies", "company_filter"]
    (user,) = client.call("model.res.user.read", [client.user_id], fields)
    sees = user["companies"] if user["company_filter"] == "all" else [user["company"]]
    if company not in sees:
        raise ConfigurationError(
            f"user {settings.username!r} does not see the books of {settings.company!r}: in Tryton, make it this "
            "user's company, or add it to the user's companies and set the company filter to all"
        )


def look_up(client: TrytonClient, company: Company, days: Iterable[date], codes: Iterable[str]) -> Books:
    """The periods of these days and the accounts of these codes, by two calls."""
    wanted = sorted(days)
    mine = ["company", "=", company.company_id]
    periods = client.call(
        "model.account.period.search_read",
        [mine, ["type", "=", "standard"], ["start_date", "<=", wanted[-1]], ["end_date", ">=", wanted[0]]],
        0, None, [["start_date", "ASC"]], ["name", "start_date", "end_date", "state"],
    )  # fmt: skip
    by_code: dict[str, tuple[int, ...]] = {}
    named = ["code", "in", sorted(set(codes))]
    for account in client.call("model.account.account.search_read", [mine, named], 0, None, None, ["code"]):
        by_code[account["code"]] = (*by_code.get(account["code"], ()), account["id"])
    return Books(
        tuple(Period(row["id"], row["name"], row["start_date"], row["end_date"], row["state"]) for row in periods),
        by_code,
    )


def only(rows: list[dict[str, Any]], what: str) -> dict[str, Any]:
    """The one row that there must be. Raises ``ConfigurationError`` that says what there is none or several of."""
    if len(rows) != 1:
        raise ConfigurationError(f"the ERP has {len(rows)} of {what}, not one: check the connector's settings")
    return rows[0]
