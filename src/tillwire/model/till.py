"""Till and store-day events, with the source's own control totals: the first half of every proof."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from msgspec import Meta, Struct

from tillwire.model.fields import Amount, Code, Count, Currency, Identifier, Sequence, Text, Timestamp
from tillwire.model.money import ZERO


class ControlTotals(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What the source says it sold, in the event's currency: transactions that sell (sale, return, exchange,
    post-void) counted, and their totals added. The sequence numbers span those of every kind.
    """

    transactions: Count
    amount: Amount
    first_sequence: Sequence | None = None
    last_sequence: Sequence | None = None


class TenderCount(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One tender type at till close: what should be there and what was counted."""

    type: Code
    calculated: Amount
    counted: Amount


class TillOpened(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A register's till is opened with a float of cash."""

    store: Identifier
    register: Identifier
    business_date: date
    currency: Currency
    opening_float: Amount = ZERO
    shift: Identifier = "1"
    operator: Text | None = None
    at: Timestamp | None = None

    @property
    def key(self) -> str:
        """store/register/business date/till-open/shift."""
        return f"{self.store}/{self.register}/{self.business_date}/till-open/{self.shift}"


class TillClosed(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A register's till is closed: control totals, and per tender counted against calculated (over/short)."""

    store: Identifier
    register: Identifier
    business_date: date
    currency: Currency
    totals: ControlTotals
    tenders: Annotated[tuple[TenderCount, ...], Meta(max_length=200)] = ()
    shift: Identifier = "1"
    operator: Text | None = None
    at: Timestamp | None = None
    version: Annotated[int, Meta(ge=1, le=10**9)] = 1
    """Above one: a correction, which takes the place of every earlier version."""

    @property
    def base_key(self) -> str:
        """store/register/business date/till-close/shift."""
        return f"{self.store}/{self.register}/{self.business_date}/till-close/{self.shift}"

    @property
    def key(self) -> str:
        """store/register/business date/till-close/shift, from version 2 on with @version."""
        return self.base_key if self.version == 1 else f"{self.base_key}@{self.version}"


class DayOpened(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A store begins a business date."""

    store: Identifier
    business_date: date
    at: Timestamp | None = None

    @property
    def key(self) -> str:
        """store/business date/day-open."""
        return f"{self.store}/{self.business_date}/day-open"


class DayClosed(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A store ends a business date, with the control totals of the whole store."""

    store: Identifier
    business_date: date
    currency: Currency
    totals: ControlTotals
    at: Timestamp | None = None
    version: Annotated[int, Meta(ge=1, le=10**9)] = 1
    """Above one: a correction, which takes the place of every earlier version."""

    @property
    def base_key(self) -> str:
        """store/business date/day-close."""
        return f"{self.store}/{self.business_date}/day-close"

    @property
    def key(self) -> str:
        """store/business date/day-close, from version 2 on with @version."""
        return self.base_key if self.version == 1 else f"{self.base_key}@{self.version}"
