"""Journals: what posting builds from recorded events and an ERP connector carries to the books.

Double entry: a line has a debit or a credit, never both, never negative; the debits of a journal equal its credits.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

ZERO = Decimal(0)


class JournalLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of a journal. Amounts are in the journal's currency, in its minor units at the finest."""

    account: str
    """The account's code in the ERP's chart."""
    debit: Decimal = ZERO
    credit: Decimal = ZERO
    description: str = ""


class Journal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A balanced journal for one company, store, business date and currency.

    ``reference`` is the idempotency key: an ERP must never hold two posted journals with the same one.
    """

    reference: str
    company: str
    store: str
    business_date: date
    currency: str
    description: str
    lines: tuple[JournalLine, ...]

    def debit(self) -> Decimal:
        """The sum of debits, in the journal's currency."""
        return sum((line.debit for line in self.lines), ZERO)

    def credit(self) -> Decimal:
        """The sum of credits, in the journal's currency."""
        return sum((line.credit for line in self.lines), ZERO)

    def balances(self) -> bool:
        """True if debits equal credits exactly."""
        return self.debit() == self.credit()


class ErpDocument(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the ERP itself says it holds under one of our references."""

    reference: str
    document_id: str
    """The ERP's internal identifier."""
    number: str | None
    """The ERP's document number; none while it is a draft."""
    posted: bool
    posting_date: date | None = None
    lines: tuple[JournalLine, ...] = ()
    """Filled by ``read_back``; left empty by a plain look-up."""
