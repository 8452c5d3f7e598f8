"""What a transaction moves: per line the item, the quantity in its stock unit, and where the goods lie afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tillwire.model.transaction import Disposition, Kind, LineKind, Transaction

ON_HAND = "on_hand"
UNAVAILABLE = "unavailable"
"""Came back damaged, or waits for the vendor: in the house, not to be sold."""
UNMOVED = "unmoved"
"""Sold or refunded on paper: the goods stay where they are. Kept, because returns are counted against it."""

_ITEM = LineKind.ITEM
_NOT_SELLABLE = frozenset({Disposition.DAMAGED, Disposition.VENDOR})

Movement = tuple[int, str, Decimal, str]
"""Line, item, quantity (positive into the store, in the product's stock unit), bucket."""


def movements_of(transaction: Transaction, factors: Sequence[Decimal | None]) -> list[Movement]:
    """The movements of a transaction that sells, ``factors`` being those of its enrichment."""
    is_void = transaction.kind is Kind.POST_VOID
    found: list[Movement] = []
    for i, line in enumerate(transaction.lines):
        quantity = line.quantity
        if not quantity or line.voided or line.kind is not _ITEM:
            continue
        factor = factors[i] if factors else None
        bucket = ON_HAND
        if not line.moves_stock:
            bucket = UNMOVED
        elif line.disposition in _NOT_SELLABLE and (quantity < 0 or is_void):
            bucket = UNAVAILABLE
        found.append((i, line.sku, -quantity if factor is None else -quantity * factor, bucket))
    return found
