"""The stores' own books: what the simulation knows it sold, kept apart from the hub, to prove the hub against."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from tillwire.demo.retailer import GALLONS_PER_THOUSANDTH, THOUSANDTH
from tillwire.intake.rules import UNIT_CONVERTED, ZERO_AMOUNT, ZERO_QUANTITY
from tillwire.model.money import ZERO
from tillwire.model.transaction import SELLING, Transaction
from tillwire.reconciliation.days import Figure


@dataclass
class Tally:
    """Transactions that sell, and their totals in dollars."""

    count: int = 0
    amount: Decimal = ZERO

    def add(self, amount: Decimal) -> None:
        """One more."""
        self.count += 1
        self.amount += amount

    def figure(self) -> Figure:
        """The same as reconciliation says it."""
        return Figure(self.count, self.amount)


@dataclass
class Books:
    """What all stores together know of their business."""

    captured: Tally = field(default_factory=Tally)
    """Every transaction that sells, whatever becomes of it later."""
    faulty: Tally = field(default_factory=Tally)
    """Those that were sent with a fault in them."""
    faulty_keys: dict[str, str] = field(default_factory=dict)
    """Key of a faulty transaction -> the kind of its fault."""
    spoilt: dict[str, Transaction] = field(default_factory=dict)
    """Faulty transactions as they were sent, by key."""
    mended_keys: set[str] = field(default_factory=set)
    """Those whose cause was mended since: they are recorded as they were sent."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Transactions of every kind, faulty ones left out."""
    stock: defaultdict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """(store, sku) -> what has left the store (negative) or come back, in the product's stock unit."""
    notes: Counter[str] = field(default_factory=Counter)
    """Lines with a peculiarity that the rules let through on purpose."""
    store_days: set[tuple[str, date]] = field(default_factory=set)
    closed_later: set[tuple[str, date]] = field(default_factory=set)
    """Days of online shops, which head office closes when all are over."""
    over_short: Decimal = ZERO

    def enter(self, tx: Transaction, fault: str | None) -> None:
        """A register finished a transaction; ``fault`` says what is wrong with it as it will be sent."""
        selling = tx.kind in SELLING
        if selling:
            self.captured.add(tx.total)
        if fault is not None:
            self.faulty.add(tx.total)
            self.faulty_keys[tx.key] = fault
            return
        self.kinds[tx.kind.value] += 1
        if selling:
            self._lines(tx)

    def mend(self, sent: Transaction) -> None:
        """A transaction that was sent with a fault is recorded after all, as it was sent."""
        self.mended_keys.add(sent.key)
        self.faulty.count -= 1
        self.faulty.amount -= sent.total
        self.kinds[sent.kind.value] += 1
        self._lines(sent)

    def _lines(self, tx: Transaction) -> None:
        for line in tx.lines:
            quantity = line.quantity
            if line.unit == THOUSANDTH:
                self.notes[UNIT_CONVERTED] += 1
                quantity *= GALLONS_PER_THOUSANDTH
            if not quantity:
                self.notes[ZERO_QUANTITY] += 1
                continue
            if not line.amount:
                self.notes[ZERO_AMOUNT] += 1
            self.stock[(tx.store, line.sku)] -= quantity

    def recorded(self) -> Figure:
        """What the hub should have recorded: everything but the faulty ones."""
        return self.captured.figure() - self.faulty.figure()
