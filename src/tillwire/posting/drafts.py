"""Journals in the making: what of the subledger is in each, before accounts are chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from tillwire.model.money import ZERO
from tillwire.posting.due import Day

SALES = "sales"
PAYMENTS = "payments"
REVERSAL = "reversal"
INTERCOMPANY = "intercompany"
RECLASSIFICATION = "reclassification"
STOCK = "stock"
INVOICE = "invoice"


class EntryKey(NamedTuple):
    """What entries are added up by: the finest that a rule of the rule book can look at."""

    kind: str
    """The transaction's kind; ``till`` for over and short."""
    component: str
    code: str
    """With what rules also look at, behind semicolons."""
    original_date: date | None = None
    """The own business date of late arrivals that are posted to another day."""
    foreign_currency: str | None = None


class Claim(NamedTuple):
    """A gift card that this company's store took and another company owes on."""

    event_offset: int
    number: str
    issuer: str
    kind: str
    code: str
    original_date: date | None
    amount: Decimal


class DraftKey(NamedTuple):
    """Which journal: a range of a day (or one transaction of it), one currency, perhaps what it takes back."""

    day: int
    item: int | None
    """The offset of the one transaction; none: the range's."""
    reverses: int | None
    """The journal whose transactions it takes back."""
    currency: str


@dataclass
class Draft:
    """A journal in the making."""

    day: Day
    from_offset: int
    to_offset: int
    currency: str
    kind: str
    company: str
    reverses: int | None = None
    suffix: str = ""
    rule_book: int | None = None
    """The book that the journal it takes back was built by, whatever is in force now."""
    entries: dict[EntryKey, list[Decimal]] = field(default_factory=dict)
    """Amount (debit positive) and amount in the foreign currency."""
    transactions: int = 0
    amount: Decimal = ZERO
    version: int = 1
    claims: list[Claim] = field(default_factory=list)
    body: bytes | None = None
    """The content of a document that is no journal, as JSON."""

    @property
    def reference(self) -> str:
        """The idempotency key towards the ERP."""
        return (
            f"{self.company}/{self.day.store}/{self.day.business_date}/{self.from_offset}/{self.currency}{self.suffix}"
        )

    def add(self, key: EntryKey, amount: Decimal, foreign: Decimal = ZERO) -> None:
        """Add to an entry; debit positive."""
        entry = self.entries.setdefault(key, [ZERO, ZERO])
        entry[0] += amount
        entry[1] += foreign


def draft_of(day: Day, key: DraftKey) -> Draft:
    """An empty journal of a whole range, or of the one transaction at ``key.item``."""
    first, end = (day.from_offset, day.to_offset) if key.item is None else (key.item, key.item + 1)
    return Draft(
        day=day,
        from_offset=first,
        to_offset=end,
        currency=key.currency,
        kind=SALES if key.reverses is None else REVERSAL,
        company=day.company,
        reverses=key.reverses,
        suffix="" if key.reverses is None else f"/reversal-{key.reverses}",
    )
