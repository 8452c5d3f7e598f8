"""Simulated stores: their registers ring up the day's baskets, take goods back, void, train, and close with totals."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

import msgspec

from tillwire.demo.books import Books
from tillwire.demo.faults import Troubles, contradict, spoil
from tillwire.demo.retailer import CURRENCY
from tillwire.demo.tendering import CARD, CASH
from tillwire.demo.wire import event_bytes, source_of
from tillwire.model.money import ZERO
from tillwire.model.till import ControlTotals, DayClosed, DayOpened, TenderCount, TillClosed, TillOpened
from tillwire.model.transaction import SELLING, Discount, Kind, Line, Original, Tax, Tender, Transaction

_Part = TypeVar("_Part", Discount, Tax)

_RETURNS, _POST_VOIDS, _TRAINING, _CANCELLED, _NO_SALES = 0.03, 0.01, 0.005, 0.01, 0.015
"""How often such a transaction follows a sale."""
_OVER_SHORT = 0.04
"""Share of tills whose cash is not what it should be."""
_MOST_RETURNABLE = 50
_FLOAT = Decimal("200.00")
_EXEMPT_FROM_RETURN = frozenset({"MGL"})
"""Fuel does not come back."""


class StoreDay(msgspec.Struct, frozen=True):
    """One store's business date as its registers send it, in order, and what contradicts it later."""

    store: str
    business_date: date
    events: list[bytes]
    conflicting: list[tuple[str, bytes]]
    """Key and event of transactions that come again with other content."""


class _Register:
    """One register on one business date: gives out sequence numbers and keeps the till's totals."""

    def __init__(self, number: str, opened_at: datetime) -> None:
        self.number = number
        self.opened_at = opened_at
        self.last_at = opened_at
        self.sequence = 0
        self.sold = 0
        self.amount = ZERO
        self.tenders: dict[str, Decimal] = defaultdict(Decimal)

    def ring(self, tx: Transaction) -> Transaction:
        """The transaction with this register's next number, counted if it sells."""
        self.sequence += 1
        self.last_at = tx.ended_at or self.last_at
        if tx.kind in SELLING:
            self.sold += 1
            self.amount += tx.total
            for tender in tx.tenders:
                self.tenders[tender.type] += tender.amount
        return msgspec.structs.replace(tx, register=self.number, sequence=self.sequence)

    def totals(self) -> ControlTotals:
        """What the till close says."""
        return ControlTotals(transactions=self.sold, amount=self.amount, first_sequence=1, last_sequence=self.sequence)


class Store:
    """One simulated store. Its days must be traded in order; ``books`` learn everything it does."""

    def __init__(self, number: str, books: Books, troubles: Troubles, *, seed: int) -> None:
        self.number = number
        self._books = books
        self._troubles = troubles
        self._seed = seed
        self._returnable: deque[Transaction] = deque(maxlen=_MOST_RETURNABLE)

    def trade(self, day: date, sales: Iterable[Transaction]) -> StoreDay:
        """A business date: everything the store's registers say on it. ``sales`` are in the order of time."""
        chance = random.Random(f"{self._seed}/{self.number}/{day}")
        sent = _Sent(self.number)
        registers: dict[str, _Register] = {}
        conflicting = []
        for sale in sales:
            assert sale.ended_at is not None
            register = registers.get(sale.register)
            if register is None:
                opened_at = sale.ended_at - timedelta(minutes=10)
                if not registers:
                    sent.say(DayOpened(store=self.number, business_date=day, at=opened_at - timedelta(minutes=20)))
                register = registers[sale.register] = _Register(sale.register, opened_at)
                sent.say(_till_opened(self.number, day, register))
            fault = self._troubles.at_register.get(sale.receipt or "")
            rung = self._ring(register, sale, sent, fault)
            if rung.receipt in self._troubles.conflicting:
                changed = contradict(rung)
                conflicting.append((rung.key, event_bytes(changed, source=sent.source, event_id=rung.receipt)))
            for extra in self._extras(rung, chance, sound=fault is None):
                self._ring(register, extra, sent, None)
        self._close(day, registers, sent, chance)
        return StoreDay(self.number, day, sent.events, conflicting)

    def _ring(self, register: _Register, tx: Transaction, sent: _Sent, fault: str | None) -> Transaction:
        rung = register.ring(tx)
        said = spoil(rung, fault) if fault else rung
        sent.say(said)
        self._books.enter(rung, fault)
        if fault:
            self._books.spoilt[said.key] = said
        return rung

    def _extras(self, sale: Transaction, chance: random.Random, *, sound: bool) -> Iterable[Transaction]:
        """What happens at the register after a sale, now and then."""
        voided = sound and sale.total > 0 and chance.random() < _POST_VOIDS
        if voided:
            yield reversal(sale, sale.lines, sale.tenders, Kind.POST_VOID, seconds=60)
        elif sound and sale.total > 0:
            self._returnable.append(sale)
        if self._returnable and chance.random() < _RETURNS:
            original = self._returnable[chance.randrange(len(self._returnable))]
            taken_back = _taken_back(original, chance)
            if taken_back:
                self._returnable.remove(original)
                tenders = _refund(taken_back, CASH if chance.random() < 0.3 else CARD)
                yield reversal(original, taken_back, tenders, Kind.RETURN, seconds=90, at=sale.ended_at)
        if chance.random() < _TRAINING:
            yield _without_effect(sale, Kind.TRAINING, lines=sale.lines, tenders=sale.tenders, total=sale.total)
        if chance.random() < _CANCELLED:
            yield _without_effect(sale, Kind.CANCELLED, lines=sale.lines[:2])
        if chance.random() < _NO_SALES:
            yield _without_effect(sale, Kind.NO_SALE)

    def _close(self, day: date, registers: dict[str, _Register], sent: _Sent, chance: random.Random) -> None:
        for register in registers.values():
            tenders = _counted(register, chance)
            self._books.over_short += sum((one.counted - one.calculated for one in tenders), ZERO)
            sent.say(
                TillClosed(
                    store=self.number, register=register.number, business_date=day, currency=CURRENCY,
                    totals=register.totals(), tenders=tenders, at=register.last_at + timedelta(minutes=15),
                )
            )  # fmt: skip
        amount = sum((register.amount for register in registers.values()), ZERO)
        totals = ControlTotals(transactions=sum(register.sold for register in registers.values()), amount=amount)
        closed_at = max(register.last_at for register in registers.values()) + timedelta(minutes=30)
        sent.say(DayClosed(store=self.number, business_date=day, currency=CURRENCY, totals=totals, at=closed_at))
        self._books.store_days.add((self.number, day))


class _Sent:
    """The events of a day, in order."""

    def __init__(self, store: str) -> None:
        self.source = source_of(store)
        self.events: list[bytes] = []

    def say(self, message: object) -> None:
        receipt = message.receipt if isinstance(message, Transaction) and message.kind is Kind.SALE else None
        self.events.append(event_bytes(message, source=self.source, event_id=receipt))


def _till_opened(store: str, day: date, register: _Register) -> TillOpened:
    return TillOpened(
        store=store, register=register.number, business_date=day, currency=CURRENCY, opening_float=_FLOAT,
        at=register.opened_at,
    )  # fmt: skip


def reversal(
    original: Transaction,
    lines: tuple[Line, ...],
    tenders: tuple[Tender, ...],
    kind: Kind,
    *,
    seconds: int,
    at: datetime | None = None,
) -> Transaction:
    """These lines and tenders of ``original`` the other way round, as a return or post-void of the same store."""
    moment = at or original.ended_at
    assert moment is not None
    turned = tuple(_negated(line) for line in lines)
    tax = sum((tax.amount for line in turned for tax in line.taxes), ZERO)
    return msgspec.structs.replace(
        original,
        business_date=moment.date(),
        kind=kind,
        total=sum((line.amount for line in turned), ZERO) + tax,
        tax=tax,
        discount=sum((discount.amount for line in turned for discount in line.discounts), ZERO),
        lines=turned,
        tenders=tuple(msgspec.structs.replace(tender, amount=-tender.amount) for tender in tenders),
        ended_at=moment + timedelta(seconds=seconds),
        receipt=None,
        original=Original(original.store, original.register, original.business_date, original.sequence),
    )


def _negated(line: Line) -> Line:
    return msgspec.structs.replace(
        line,
        quantity=-line.quantity,
        amount=-line.amount,
        discounts=tuple(_negative(discount) for discount in line.discounts),
        taxes=tuple(_negative(tax) for tax in line.taxes),
    )


def _negative(part: _Part) -> _Part:
    return msgspec.structs.replace(part, amount=-part.amount)


def _taken_back(original: Transaction, chance: random.Random) -> tuple[Line, ...]:
    """A few lines of an earlier sale that the customer brings back whole."""
    lines = [line for line in original.lines if line.quantity and line.amount and line.unit not in _EXEMPT_FROM_RETURN]
    return tuple(chance.sample(lines, min(len(lines), chance.randint(1, 3))))


def _refund(lines: tuple[Line, ...], kind: str) -> tuple[Tender, ...]:
    paid = sum((line.amount + sum((tax.amount for tax in line.taxes), ZERO) for line in lines), ZERO)
    return (Tender(kind, paid),)


def _without_effect(
    sale: Transaction,
    kind: Kind,
    *,
    lines: tuple[Line, ...] = (),
    tenders: tuple[Tender, ...] = (),
    total: Decimal = ZERO,
) -> Transaction:
    assert sale.ended_at is not None
    return msgspec.structs.replace(
        sale, kind=kind, lines=lines, tenders=tenders, total=total, tax=None, discount=None, receipt=None,
        ended_at=sale.ended_at + timedelta(seconds=120),
    )  # fmt: skip


def _counted(register: _Register, chance: random.Random) -> tuple[TenderCount, ...]:
    """What should be in the till and what was counted: now and then some cash too much or too little."""
    counts = []
    for kind, amount in sorted(({CASH: ZERO} | register.tenders).items()):
        calculated = amount + _FLOAT if kind == CASH else amount
        off = ZERO
        if kind == CASH and chance.random() < _OVER_SHORT:
            off = Decimal(chance.choice((-500, -200, -100, -25, -5, 5, 25, 100))).scaleb(-2)
        counts.append(TenderCount(type=kind, calculated=calculated, counted=calculated + off))
    return tuple(counts)
