"""Stock movements that are not sales: receipts, transfers, adjustments, counts' differences."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from tillwire.model.fields import Code, Identifier, Quantity, Sequence, Text, Timestamp


class MovementReason(StrEnum):
    """Why stock moves. Sales and returns move it through transactions, not through this."""

    RECEIPT = "receipt"
    TRANSFER_SHIPPED = "transfer_shipped"
    TRANSFER_RECEIVED = "transfer_received"
    SHRINK = "shrink"
    DAMAGE = "damage"
    FOUND = "found"
    COUNT = "count"


class MovementLine(Struct, frozen=True, gc=False, omit_defaults=True):
    """One item of a movement: positive into the location, negative out of it."""

    sku: Code
    quantity: Quantity
    unit: Code = "EA"


class StockMovement(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Goods into or out of one location, under one document of the source."""

    store: Identifier
    """The location: a store or warehouse of the master data."""
    business_date: date
    document: Identifier
    reason: MovementReason
    lines: Annotated[tuple[MovementLine, ...], Meta(min_length=1, max_length=20_000)]
    at: Timestamp | None = None
    note: Text | None = None

    @property
    def key(self) -> str:
        """store/movement/document."""
        return f"{self.store}/movement/{self.document}"


class StockLevel(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What a system says lies in a location: a state as of a moment, not a movement. A later revision supersedes it."""

    store: Identifier
    business_date: date
    """The store's trading day of ``at``."""
    sku: Code
    quantity: Quantity
    unit: Code = "EA"
    at: Timestamp
    """The moment the level is as of, which is not the moment it was sent."""
    revision: Sequence
    """Rises with each change at its source; an older one never overwrites a newer one."""

    @property
    def key(self) -> str:
        """store/level/sku@revision."""
        return f"{self.store}/level/{self.sku}@{self.revision}"


class FulfilmentState(StrEnum):
    """How far a fulfilment has come."""

    OPEN = "open"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Fulfilment(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Goods of an order that leave a location for the customer, under one document of the source."""

    store: Identifier
    business_date: date
    document: Identifier
    order: Text
    """The order's number or id, as the transaction that sold it names it."""
    state: FulfilmentState
    revision: Sequence
    lines: Annotated[tuple[MovementLine, ...], Meta(max_length=20_000)] = ()
    carrier: Text | None = None
    tracking: Text | None = None
    at: Timestamp | None = None

    @property
    def key(self) -> str:
        """store/fulfilment/document@revision."""
        return f"{self.store}/fulfilment/{self.document}@{self.revision}"
