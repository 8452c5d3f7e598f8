"""Rules that need the past: is the original known, was it voided already, is no more taken back than was sold.

Pure functions over what the hub knows of earlier transactions; see ``history`` for where that comes from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal

import msgspec

from tillwire.events.recorded import Reference
from tillwire.exceptions.codes import WARNING
from tillwire.intake.rules import Fault
from tillwire.inventory.movements import Movement, movements_of
from tillwire.model.fields import iso_text
from tillwire.model.money import ZERO, quantum
from tillwire.model.transaction import SELLING, Kind, Line, Original, Transaction

_NAMING = frozenset({Kind.RETURN, Kind.EXCHANGE, Kind.POST_VOID})
"""Kinds whose original must be known if they name one. A sale may name the layaway that it redeems, and the like."""

_HISTORY_WORDS = "/data/original"


class Fact(msgspec.Struct, frozen=True, gc=False):
    """A recorded transaction, as far as others depend on it: its newest version."""

    version: int
    partition: int
    offset: int
    kind: str | None
    currency: str | None
    total: Decimal
    moved: tuple[tuple[str, Decimal], ...]
    """Item and quantity in its stock unit; negative: out of the store."""

    def sold(self) -> dict[str, Decimal]:
        """How much of each item it sold."""
        found: dict[str, Decimal] = defaultdict(Decimal)
        for sku, quantity in self.moved:
            if quantity < 0:
                found[sku] -= quantity
        return found


class Standing(msgspec.Struct, frozen=True, gc=False):
    """An original, what was done to it so far, and what it did to others."""

    fact: Fact
    voids: int
    returned: dict[str, Decimal]
    made: tuple[Reference, ...]


def originals_of(tx: Transaction) -> Iterable[tuple[Original, str]]:
    """The originals that a transaction names and that must be known, with the pointer to each."""
    if tx.kind not in SELLING:
        return
    if tx.original is not None and tx.kind in _NAMING:
        yield tx.original, _HISTORY_WORDS
    if tx.kind is Kind.POST_VOID:
        return  # its lines repeat what the lines of the voided one named
    for i, line in enumerate(tx.lines):
        if line.original is not None and not line.voided:
            yield line.original, f"/data/lines/{i}/original"


def unknown(original: Original, pointer: str, accepted: bool) -> Fault:
    """The fault of a transaction whose original is not recorded."""
    why = "was accepted and is not recorded yet, or waits in the exceptions" if accepted else "is not known"
    return Fault("original_unknown", f"the original {original.key} {why}", pointer)


def void(tx: Transaction, factors: Sequence[Decimal | None], key: str, standing: Standing) -> list[Fault]:
    """What is wrong with a post-void, compared with a transaction that it voids: the one that it names, or one that the
    void which it brings back into force had voided.
    """
    fact = standing.fact
    if standing.voids > 0:
        return [Fault("already_voided", f"{key} is voided already", _HISTORY_WORDS)]
    faults: list[Fault] = []
    if fact.currency != tx.currency or fact.total != -tx.total:
        text = f"the post-void is of {tx.total} {tx.currency}, {key} of {fact.total} {fact.currency}: not the opposite"
        faults.append(Fault("void_mismatch", text, "/data/total"))
    moved: dict[str, Decimal] = defaultdict(Decimal)
    for sku, quantity in fact.moved:
        moved[sku] += quantity
    for _, sku, quantity, _ in movements_of(tx, factors):
        moved[sku] += quantity
    for sku, quantity in moved.items():
        if quantity:
            text = f"{sku!r}: the post-void and {key} together move {quantity}, not nothing"
            faults.append(Fault("void_mismatch", text, "/data/lines"))
    taken_back = {sku: quantity for sku, quantity in standing.returned.items() if quantity > 0}
    if taken_back:
        words = ", ".join(f"{quantity} of {sku!r}" for sku, quantity in sorted(taken_back.items()))
        faults.append(Fault("return_exceeds_original", f"of {key} were returned before: {words}", _HISTORY_WORDS))
    return faults


def undone(original: str, standing: Standing) -> list[Reference]:
    """What a post-void does: it voids its original, and what that one did to others is undone."""
    return [
        Reference(original, 1),
        *(
            Reference(one.original, -one.voids, one.skus, tuple(-quantity for quantity in one.quantities))
            for one in standing.made
        ),
    ]


def together(references: Iterable[Reference]) -> list[Reference]:
    """What references do to each original in sum."""
    voids: dict[str, int] = defaultdict(int)
    quantities: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for one in references:
        voids[one.original] += one.voids
        for sku, quantity in zip(one.skus, one.quantities, strict=True):
            quantities[one.original][sku] += quantity
    return [Reference(key, sign, *_pair(quantities[key])) for key, sign in voids.items()]


def _pair(quantities: dict[str, Decimal]) -> tuple[tuple[str, ...], tuple[Decimal, ...]]:
    return tuple(quantities), tuple(quantities.values())


def brought_back(
    tx: Transaction, factors: Sequence[Decimal | None], effect: Reference, standing: Standing
) -> list[Fault]:
    """What is wrong with what a post-void brings back into force: a void, or a return, of an earlier transaction. It
    must be allowed as that one stands now, through whatever chain of voids it comes.
    """
    if effect.voids > 0:
        return void(tx, factors, effect.original, standing)
    lines = {line.sku: i for i, line in reversed(list(enumerate(tx.lines)))}
    pairs = zip(effect.skus, effect.quantities, strict=True)
    back = {sku: (quantity, lines.get(sku, 0)) for sku, quantity in pairs if quantity > 0}
    return beyond(effect.original, back, standing) if back else []


def taken_back(tx: Transaction, factors: Sequence[Decimal | None]) -> dict[str, dict[str, tuple[Decimal, int]]]:
    """Per original (its key) and item: how much comes back, in its stock unit, and the first line that says so."""
    found: dict[str, dict[str, tuple[Decimal, int]]] = defaultdict(dict)
    movements: list[Movement] = movements_of(tx, factors)
    for i, sku, quantity, _ in movements:
        original = tx.lines[i].original or (tx.original if tx.kind in _NAMING else None)
        if original is not None and quantity > 0:
            before, first = found[original.key].get(sku, (ZERO, i))
            found[original.key][sku] = (before + quantity, first)
    return found


def beyond(key: str, back: dict[str, tuple[Decimal, int]], standing: Standing) -> list[Fault]:
    """Items of which more comes back than the original sold and is not back already."""
    if standing.voids > 0:
        return [Fault("return_exceeds_original", f"{key} is voided: nothing of it is left to return", _HISTORY_WORDS)]
    sold = standing.fact.sold()
    faults = []
    for sku, (quantity, i) in back.items():
        before = standing.returned.get(sku, ZERO)
        if before + quantity > sold.get(sku, ZERO):
            text = f"{quantity} of {sku!r} come back; {key} sold {sold.get(sku, ZERO)}, {before} are back already"
            faults.append(Fault("return_exceeds_original", text, f"/data/lines/{i}/quantity"))
    return faults


def overpaid(
    key: str,
    tx: Transaction,
    factors: Sequence[Decimal | None],
    sold: Transaction,
    its_factors: Sequence[Decimal | None],
) -> list[Fault]:
    """Lines that refund more per unit than the original got for that item: at its dearest, where several lines sold it.

    A minor unit, per unit or in all, is rounding: the last of three that were sold for 10.00 is refunded at 3.34. With
    tax where some lines include it and others do not. Other currencies cannot be compared.
    """
    if tx.currency != sold.currency:
        return []
    gross = len({_included(one, line) for one in (tx, sold) for line in one.lines}) > 1
    dearest: dict[str, tuple[Decimal, Decimal]] = {}
    for i, sku, quantity, _ in movements_of(sold, its_factors):
        if quantity < 0:
            amount = _amount(sold, i, gross)
            before = dearest.get(sku)
            if before is None or amount * before[1] > before[0] * -quantity:
                dearest[sku] = (amount, -quantity)
    unit = quantum(tx.currency)
    faults = []
    for i, sku, quantity, _ in movements_of(tx, factors):
        original = tx.lines[i].original or (tx.original if tx.kind in _NAMING else None)
        if quantity <= 0 or sku not in dearest or original is None or original.key != key:
            continue
        refund, (paid, count) = -_amount(tx, i, gross), dearest[sku]
        excess = refund * count - paid * quantity  # times both quantities: nothing is rounded
        if excess > unit * count and excess > unit * count * quantity:
            text = f"{refund} is refunded for {quantity} of {sku!r}; {key} got {paid} for {count}"
            faults.append(Fault("refund_exceeds_price", text, f"/data/lines/{i}/amount"))
    return faults


def _included(tx: Transaction, line: Line) -> bool:
    return tx.tax_included if line.tax_included is None else line.tax_included


def _amount(tx: Transaction, i: int, gross: bool) -> Decimal:
    line = tx.lines[i]
    if not gross or _included(tx, line):
        return line.amount
    return line.amount + sum((tax.amount for tax in line.taxes), ZERO)


def fewer(key: str, tx: Transaction, factors: Sequence[Decimal | None], standing: Standing) -> list[Fault]:
    """Items of which a correction leaves less sold than is back already. Never more than a warning: the correction says
    what was sold, and the refund has been paid.
    """
    sold: dict[str, Decimal] = defaultdict(Decimal)
    for _, sku, quantity, _ in movements_of(tx, factors):
        if quantity < 0:
            sold[sku] -= quantity
    return [
        Fault(
            "return_exceeds_original",
            f"{returned} of {sku!r} are back already; corrected, {key} sold {sold.get(sku, ZERO)}",
            "/data/lines",
            WARNING,
        )
        for sku, returned in sorted(standing.returned.items())
        if returned > max(sold.get(sku, ZERO), ZERO)
    ]


class LatePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a transaction that comes after its store's day was closed."""

    policy: str = "reopen"
    """``reopen``: posted to its own day, in a further journal; ``adjust``: to the store's open day, naming its own."""
    most_days: int = 60
    """How old a business date may be before a person has to look at it."""


def too_late(business_date: date, today: date, policy: LatePolicy) -> Fault | None:
    """The fault of a late arrival that is older than the policy lets through."""
    age = (today - business_date).days
    if age <= policy.most_days:
        return None
    text = f"business date {iso_text(business_date)} was closed, and is {age} days ago; the limit is {policy.most_days}"
    return Fault("late_arrival", text, "/data/business_date")
