"""What goes wrong in the demo, and where: chosen by seed before anything is sent.

At the registers (a product that master data does not know, a line lost on the way, so that the total does not add up),
on the line (batches sent again, contents changed under a used key, stores offline for days), and before the ERP.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from itertools import islice

import msgspec

from tillwire.connectors.tryton.faults import FaultPlan
from tillwire.model.transaction import Transaction

UNKNOWN_PRODUCT = "unknown_product"
LOST_LINE = "total_mismatch"
"""Named as the exceptions they become."""

NEW = "NEW-"
"""Begins the number of a product that the stores sell before head office has told of it."""

SEASONAL = f"{NEW}SEASONAL"

_SHARE = {UNKNOWN_PRODUCT: 0.003, LOST_LINE: 0.002}
_CONFLICTS = 0.003
_OFFLINE_STORES = 0.04
_LONGEST_OFFLINE_DAYS = 3
_FEWEST = 2
"""Of every kind of fault, however few baskets there are."""

_RESEND_EVERY = 8
"""Every so many batches one is sent again, in turn by each of the ways."""


class Resend(StrEnum):
    """When a batch is sent again: while the first is still on its way, right after it twice at once, or a day later."""

    TOGETHER = "together"
    AFTERWARDS = "afterwards"
    NEXT_DAY = "next_day"


class Troubles(msgspec.Struct, frozen=True):
    """Where the faults are."""

    at_register: dict[str, str]
    """Receipt -> what is wrong with the transaction as it is sent."""
    conflicting: frozenset[str]
    """Receipts of transactions that are sent again with other content."""
    offline: dict[str, tuple[date, date]]
    """Store -> first and last business date of its silence."""

    def is_offline(self, store: str, day: date) -> bool:
        """True while the store cannot reach the hub."""
        first, last = self.offline.get(store, (date.max, date.min))
        return first <= day <= last


def choose(receipts: Sequence[str], days_of_store: dict[str, list[date]], *, seed: int) -> Troubles:
    """Spread the faults over transactions (by receipt) and stores. The same input and seed give the same faults."""
    chance = random.Random(f"faults/{seed}")
    counts = {kind: _some(len(receipts), share) for kind, share in _SHARE.items()}
    conflicts = _some(len(receipts), _CONFLICTS)
    chosen = iter(chance.sample(receipts, min(len(receipts), sum(counts.values()) + conflicts)))
    at_register = {receipt: kind for kind, count in counts.items() for receipt in islice(chosen, count)}
    return Troubles(at_register, frozenset(chosen), _offline(days_of_store, chance))


def _some(of: int, share: float) -> int:
    return max(_FEWEST, round(of * share))


def _offline(days_of_store: dict[str, list[date]], chance: random.Random) -> dict[str, tuple[date, date]]:
    most = max(map(len, days_of_store.values()))
    stores = sorted(store for store, days in days_of_store.items() if 2 * len(days) >= most)
    # Somebody must be open, or nobody is late.
    chosen = chance.sample(stores, min(len(stores) // 2, _some(len(stores), _OFFLINE_STORES)))
    offline = {}
    for store in chosen:
        days = days_of_store[store]
        first = chance.randrange(len(days))
        last = min(len(days) - 1, first + chance.randrange(_LONGEST_OFFLINE_DAYS))
        offline[store] = (days[first], days[last])
    return offline


def resend_of(batch_number: int) -> Resend | None:
    """Whether and how the batch of this running number is sent again."""
    if batch_number % _RESEND_EVERY != 1:
        return None
    return list(Resend)[batch_number // _RESEND_EVERY % len(Resend)]


def spoil(tx: Transaction, kind: str) -> Transaction:
    """The transaction with the fault in it, as it is sent; header and tenders stay as the register has them."""
    if kind == UNKNOWN_PRODUCT:
        first, *rest = tx.lines
        # Half of them are one seasonal article that many stores sell: one cause, and one fix, for all its sales.
        sku = SEASONAL if int(tx.receipt or 0) % 2 else f"{NEW}{first.sku}"
        lines = (msgspec.structs.replace(first, sku=sku), *rest)
    else:
        dearest = max(range(len(tx.lines)), key=lambda i: tx.lines[i].amount)
        lines = tx.lines[:dearest] + tx.lines[dearest + 1 :]
    return msgspec.structs.replace(tx, lines=lines)


def contradict(tx: Transaction) -> Transaction:
    """The same key with other content: the amounts of another basket, say."""
    tender, *rest = tx.tenders
    tenders = (msgspec.structs.replace(tender, amount=tender.amount + 1), *rest)
    return msgspec.structs.replace(tx, total=tx.total + 1, tenders=tenders)


def erp_plan(seed: int) -> FaultPlan:
    """Now and then the ERP is "unavailable", or does what it is asked and its reply gets lost."""
    return FaultPlan(rates={"unavailable": 0.06, "lose_reply": 0.06}, seed=seed)
