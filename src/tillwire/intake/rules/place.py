"""Rules of the place: what every message of a store says of store, register, business date, currency and customer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from tillwire.intake.rules.policy import Policy
from tillwire.intake.rules.registry import Finding, Given, Scope, StoreMessage, rule
from tillwire.masterdata.snapshot import Snapshot
from tillwire.model.stock import StockLevel
from tillwire.model.till import DayClosed, DayOpened, TillOpened
from tillwire.model.transaction import WITHOUT_EFFECT, Transaction

_IN_NO_BOOKS = (StockLevel, TillOpened, DayOpened, DayClosed)


def date_is_sound(day: date, today: date, policy: Policy) -> bool:
    """True if a business date is neither too far ahead of the hub's date nor too long ago."""
    return -policy.past_days <= (day - today).days <= policy.future_days


def closed_period(master: Snapshot, company: str, day: date) -> tuple[date, date] | None:
    """The closed fiscal period that a day falls into; none if it is open. What no period covers, nobody has closed."""
    for first, last, is_open in reversed(master.periods.get(company, ())):
        if first <= day <= last:
            return None if is_open else (first, last)
    return None


@rule("business_date_invalid", Scope.PLACE)
def business_date(message: StoreMessage, given: Given) -> Iterator[Finding]:
    """The business date is within the policy's days around the hub's date."""
    if not date_is_sound(message.business_date, given.today, given.policy):
        yield f"business date {message.business_date} is out of range at {given.today}", "/business_date"


@rule("unknown_store", Scope.PLACE)
def store_known(message: StoreMessage, given: Given) -> Iterator[Finding]:
    """The store has an active master record."""
    if message.store not in given.master.stores:
        yield f"store {message.store!r} is not in master data", "/store"


@rule("unknown_register", Scope.PLACE)
def register_known(message: StoreMessage, given: Given) -> Iterator[Finding]:
    """The store's record names the register."""
    register = getattr(message, "register", None)
    registers = given.master.registers.get(message.store)
    if register is not None and registers is not None and register not in registers:
        yield f"register {register!r} is not in the record of store {message.store!r}", "/register"


@rule("currency_mismatch", Scope.PLACE)
def currency_of_the_store(message: StoreMessage, given: Given) -> Iterator[Finding]:
    """The message is in the currency the store trades in."""
    store = given.master.stores.get(message.store)
    currency = getattr(message, "currency", None)
    if store is not None and currency is not None and currency != store.currency:
        yield f"currency {currency}, but store {message.store!r} trades in {store.currency}", "/currency"


@rule("period_closed", Scope.PLACE)
def period_open(message: StoreMessage, given: Given) -> Iterator[Finding]:
    """The business date is in no closed period of the store's company, where the message changes the books."""
    store = given.master.stores.get(message.store)
    if store is None or isinstance(message, _IN_NO_BOOKS):
        return
    if isinstance(message, Transaction) and message.kind in WITHOUT_EFFECT:
        return
    closed = closed_period(given.master, store.company, message.business_date)
    if closed is not None:
        text = f"business date {message.business_date} is in the period {closed[0]} to {closed[1]} of company"
        yield f"{text} {store.company!r}, which is closed", "/business_date"


@rule("customer_unknown", Scope.PLACE)
def customer_known(message: StoreMessage, given: Given) -> Iterator[Finding]:
    """The customer (a pseudonym) has a master record, where customers are kept at all."""
    customer = getattr(message, "customer", None)
    if customer is not None and given.master.customers and customer not in given.master.customers:
        yield f"customer {customer!r} is not in master data", "/customer"
