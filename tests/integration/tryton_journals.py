"""Journals for the tests of the Tryton connector, and short forms for what it says of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any

from tillwire import clock
from tillwire.connectors.erp import Posted, PostingOutcome
from tillwire.connectors.tryton.faults import FaultProxy
from tillwire.model.ledger import Journal, JournalLine

CREATE = "model.account.move.create"
POST = "model.account.move.post"

_numbers = count(1)


def sales(*, day: date = date(2017, 3, 1), account: str = "4190", amount: str = "100.00", **changes: Any) -> Journal:
    """A balanced journal with a reference of its own: sales and tax against cash."""
    net, tax = Decimal(amount), Decimal("8.25")
    told: dict[str, Any] = {
        "reference": f"TW-{day}-{next(_numbers)}",
        "company": "TW",
        "store": "S001",
        "business_date": day,
        "currency": "USD",
        "description": f"Store S001, {day}",
        "lines": (
            JournalLine(account=account, credit=net, description="sales grocery"),
            JournalLine(account="2190", credit=tax, description="tax 8.25"),
            JournalLine(account="1190", debit=net + tax, description="tender cash"),
        ),
    }
    return Journal(**told | changes)


def until_idle(proxy: FaultProxy) -> None:
    """Wait until nothing is on its way through a proxy any more."""
    end_s = clock.monotonic_s() + 60
    while proxy.under_way:
        assert clock.monotonic_s() < end_s, "a request does not end"


def kinds(outcomes: Sequence[PostingOutcome]) -> list[type[Any]]:
    """The class of each outcome."""
    return [type(outcome) for outcome in outcomes]


def reasons(outcomes: Sequence[PostingOutcome]) -> list[str]:
    """Why each journal that was not posted was not."""
    return [outcome.reason for outcome in outcomes if not isinstance(outcome, Posted)]
