"""What a rule is: a small pure function with a code, found by its scope; and what it is given to judge by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from enum import Enum

import msgspec

from tillwire.exceptions.codes import BLOCKING, CODES, OFF
from tillwire.intake.rules.policy import Policy, Severities
from tillwire.masterdata.snapshot import Snapshot
from tillwire.model.cash import cash_unit
from tillwire.model.money import ZERO, minor_units, quantum
from tillwire.model.stock import Fulfilment, StockLevel, StockMovement
from tillwire.model.till import DayClosed, DayOpened, TillClosed, TillOpened
from tillwire.model.transaction import Transaction

StoreMessage = Transaction | StockMovement | StockLevel | Fulfilment | TillOpened | TillClosed | DayOpened | DayClosed
"""Every message that belongs to a store."""


class Fault(msgspec.Struct, frozen=True):
    """A broken rule: its code, what is wrong in figures, where, and how it weighs (blocking or warning)."""

    code: str
    message: str
    pointer: str
    severity: str = BLOCKING


Finding = tuple[str, str]
"""What a rule yields: what is wrong in figures, and where, as a JSON pointer below what the rule was given."""


class Scope(Enum):
    """What a rule looks at; its function takes that, and what it is to be judged by."""

    PLACE = "place"
    """(message of a store, given)"""
    GOODS = "goods"
    """(what has a sku and a unit, given)"""
    LINE = "line"
    """(line in force, transaction, given)"""
    HEADER = "header"
    """(transaction that sells, sums of its lines, given)"""
    TENDER = "tender"
    """(tender, or a till's count of one, given)"""
    PAYMENT = "payment"
    """(transaction that is paid, given)"""
    AMOUNTS = "amounts"
    """(transaction with an effect, given)"""
    KIND = "kind"
    """(transaction, given)"""
    TILL = "till"
    """(till close, given)"""


class Sums(msgspec.Struct, frozen=True, gc=False):
    """What the lines of a transaction add up to; voided lines are none of it. In the transaction's currency."""

    net: Decimal
    tax: Decimal
    discount: Decimal
    lines: int
    """Lines in force."""
    outside: Decimal
    """The tax that is not in the prices: it comes on top of ``net``."""


class Given(msgspec.Struct, frozen=True):
    """What rules judge by: master data, the hub's date (UTC), and the policy's limits in one currency."""

    master: Snapshot
    policy: Policy
    today: date
    currency: str
    decimals: int
    quantum: Decimal
    cash_unit: Decimal
    tolerances: dict[str, Decimal]
    """By code, in the currency; ``item_count_mismatch`` in pieces."""
    most_over: Decimal
    most_under: Decimal


def given(master: Snapshot, policy: Policy, today: date, currency: str) -> Given:
    """What messages in a currency (empty: one that has none) are judged by on a day."""
    unit = quantum(currency)
    tolerances = {}
    for code in CODES:
        units = policy.tolerance(code)
        if units is not None:
            tolerances[code] = units if code == "item_count_mismatch" else units * unit
    return Given(
        master,
        policy,
        today,
        currency,
        minor_units(currency),
        unit,
        cash_unit(currency),
        tolerances,
        policy.over_payment_units * unit,
        policy.under_payment_units * unit,
    )


Check = Callable[..., Iterator[Finding]]


class Rule(msgspec.Struct, frozen=True):
    """A rule that is registered."""

    code: str
    scope: Scope
    check: Check


RULES: list[Rule] = []
"""Every rule, in the order in which faults are told. A code may have several: one for each place it is judged at."""


def rule(code: str, scope: Scope) -> Callable[[Check], Check]:
    """Register a function as the rule of a code; a code that the catalogue does not have is a ``KeyError``."""
    CODES[code]

    def register(check: Check) -> Check:
        RULES.append(Rule(code, scope, check))
        return check

    return register


class Judge:
    """The rules of one scope that are in force, with their severities."""

    def __init__(self, scope: Scope, severities: Severities) -> None:
        found = [(one.code, severities[one.code], one.check) for one in RULES if one.scope is scope]
        self._rules = [one for one in found if one[1] != OFF]

    def __call__(self, faults: list[Fault], place: str, *subject: object) -> None:
        """Add a fault for whatever a rule finds at ``place``, a JSON pointer."""
        for code, severity, check in self._rules:
            for message, pointer in check(*subject):
                faults.append(Fault(code, message, place + pointer, severity))


def within(difference: Decimal, tolerance: Decimal) -> bool:
    """True if a difference is no larger than a tolerance, in either direction."""
    return -tolerance <= difference <= tolerance


def sums_of(tx: Transaction) -> Sums:
    """What the lines in force add up to."""
    lines = [line for line in tx.lines if not line.voided]
    return Sums(
        sum((line.amount for line in lines), ZERO),
        sum((tax.amount for line in lines for tax in line.taxes), ZERO),
        sum((discount.amount for line in lines for discount in line.discounts), ZERO),
        len(lines),
        outside_of(tx),
    )


def outside_of(tx: Transaction) -> Decimal:
    """The tax that comes on top of the lines in force: a line says so itself, or is as the transaction."""
    found = ZERO
    for line in tx.lines:
        included = tx.tax_included if line.tax_included is None else line.tax_included
        if not included and not line.voided:
            for tax in line.taxes:
                found += tax.amount
    return found
