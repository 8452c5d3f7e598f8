"""One company's books as a posting needs them: periods by date, accounts by code; and journals as moves of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec

from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.settings import TrytonSettings
from tillwire.errors import ConfigurationError
from tillwire.model.ledger import Journal


class Company(msgspec.Struct, frozen=True):
    """The numbers that Tryton gave to what the settings name."""

    company_id: int
    currency: str
    journal_id: int


class Period(msgspec.Struct, frozen=True):
    """An accounting period; ``state`` is Tryton's open, closed or locked."""

    period_id: int
    name: str
    start: date
    end: date
    state: str


class Books(msgspec.Struct, frozen=True):
    """What was looked up for one batch of journals. Fresh for each: an accountant may close a period any time."""

    company: Company
    periods: tuple[Period, ...]
    accounts: dict[str, tuple[int, ...]]

    def objection(self, journal: Journal, settings: TrytonSettings) -> str | None:
        """Why this journal cannot be posted, in words that name it; none if nothing is known against it."""
        reason = self._objection(journal, settings)
        return f"{journal.reference}: {reason}" if reason else None

    def _objection(self, journal: Journal, settings: TrytonSettings) -> str | None:
        if not journal.reference or journal.reference != journal.reference.strip():
            return "the reference is empty or has blanks around it, which Tryton would strip"
        if settings.hub_companies and journal.company not in settings.hub_companies:
            return f"company {journal.company!r} is not one whose journals go to the books of {settings.company!r}"
        if journal.currency != self.company.currency:
            return f"the journal is in {journal.currency}, the books of {settings.company!r} in {self.company.currency}"
        if not journal.lines:
            return "the journal has no lines"
        if not journal.balances():
            # Tryton would take the draft and refuse to post it.
            return f"the journal does not balance: debit {journal.debit()}, credit {journal.credit()}"
        return self._period_objection(journal.business_date) or self._account_objection(journal)

    def _period_objection(self, day: date) -> str | None:
        period = self._period(day)
        if period is None:
            return f"the ERP has no accounting period for {day}: open its fiscal year"
        if period.state != "open":
            return f"the accounting period {period.name} of {day} is {period.state}"
        return None

    def _account_objection(self, journal: Journal) -> str | None:
        codes = {line.account for line in journal.lines}
        if unknown := sorted(code for code in codes if not self.accounts.get(code)):
            return f"the ERP's chart has no account {', '.join(unknown)}"
        if doubtful := sorted(code for code in codes if len(self.accounts[code]) > 1):
            return f"the ERP's chart has several accounts {', '.join(doubtful)}"
        return None

    def _period(self, day: date) -> Period | None:
        return next((period for period in self.periods if period.start <= day <= period.end), None)

    def move(self, journal: Journal) -> dict[str, Any]:
        """The journal as values for ``account.move``. Only for one without an objection.

        The reference is the move's description, the only free text Tryton gives a move; a line without a text of
        its own therefore carries the journal's.
        """
        period = self._period(journal.business_date)
        assert period is not None
        lines = [
            {
                "account": self.accounts[line.account][0],
                "debit": line.debit,
                "credit": line.credit,
                "description": line.description or journal.description,
            }
            for line in journal.lines
        ]
        return {
            "company": self.company.company_id,
            "journal": self.company.journal_id,
            "period": period.period_id,
            "date": journal.business_date,
            "description": journal.reference,
            "lines": [["create", lines]],
        }


def find_company(client: TrytonClient, settings: TrytonSettings) -> Company:
    """Look up company and journal. Raises ``ConfigurationError`` if the ERP has none, or several, of such a name."""
    companies = client.call(
        "model.company.company.search_read",
        [["party.name", "=", settings.company]], 0, None, None, ["currency.code"],
    )  # fmt: skip
    company = _only(companies, f"company {settings.company!r}")
    journals = client.call(
        "model.account.journal.search_read", [["code", "=", settings.journal_code]], 0, None, None, ["id"]
    )
    journal = _only(journals, f"journal of code {settings.journal_code!r}")
    return Company(company["id"], company["currency."]["code"], journal["id"])


def look_up(client: TrytonClient, company: Company, journals: Sequence[Journal]) -> Books:
    """What ``journals`` need of the books, by two calls."""
    days = [journal.business_date for journal in journals]
    codes = sorted({line.account for journal in journals for line in journal.lines})
    mine = ["company", "=", company.company_id]
    periods = client.call(
        "model.account.period.search_read",
        [mine, ["type", "=", "standard"], ["start_date", "<=", max(days)], ["end_date", ">=", min(days)]],
        0, None, [["start_date", "ASC"]], ["name", "start_date", "end_date", "state"],
    )  # fmt: skip
    accounts = client.call("model.account.account.search_read", [mine, ["code", "in", codes]], 0, None, None, ["code"])
    by_code: dict[str, tuple[int, ...]] = {}
    for account in accounts:
        by_code[account["code"]] = (*by_code.get(account["code"], ()), account["id"])
    return Books(
        company,
        tuple(Period(row["id"], row["name"], row["start_date"], row["end_date"], row["state"]) for row in periods),
        by_code,
    )


def _only(rows: list[dict[str, Any]], what: str) -> dict[str, Any]:
    if len(rows) != 1:
        raise ConfigurationError(f"the ERP has {len(rows)} of {what}, not one: check the connector's settings")
    return rows[0]
