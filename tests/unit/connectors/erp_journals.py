"""Journals for the tests of ERP connectors, in the accounts of their simulators."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any

from tillwire.connectors.simulation import ErpSimulator
from tillwire.model.ledger import Journal, JournalLine

DAY = date(2026, 2, 14)

_numbers = count(1)


def sale(company: str, accounts: tuple[str, ...], /, **changes: Any) -> Journal:
    """A balanced journal with a reference of its own: 108.25 of cash against sales and tax."""
    cash, sales, tax = accounts[:3]
    told: dict[str, Any] = {
        "reference": f"{company}/101/{DAY}/{next(_numbers)}/USD",
        "company": company,
        "store": "101",
        "business_date": DAY,
        "currency": "USD",
        "description": f"Store 101, {DAY}, no. 1: 12 transactions",
        "lines": (
            JournalLine(account=cash, debit=Decimal("108.25"), description="tender cash", dimensions={"store": "101"}),
            JournalLine(
                account=sales, credit=Decimal("100.00"), description="sales grocery", dimensions={"store": "101"}
            ),
            JournalLine(account=tax, credit=Decimal("8.25"), description="tax CA", dimensions={"store": "101"}),
        ),
    }
    return Journal(**told | changes)


def unbalanced(journal: Journal) -> tuple[JournalLine, ...]:
    """Its lines, one cent off."""
    first, *rest = journal.lines
    return (JournalLine(account=first.account, debit=first.debit + Decimal("0.01")), *rest)


def booked(simulator: ErpSimulator) -> int:
    """How many documents the simulated books hold."""
    return len(simulator.books.documents)
