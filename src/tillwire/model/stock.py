"""Stock movements that are not sales: receipts, transfers, adjustments, counts' differences."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from tillwire.model.fields import Code, Identifier, Quantity, Text, Timestamp


class MovementReason(StrEnum):
    """Why stock moves. Sales and returns move it through transactions, not through this."""

    RECEIPT = "receipt"
    TRANSFER_SHIPPED = "transfer_shipped"
    TRANSFER_RECEIVED = "transfer_received"
    SHRINK = "shrink"
    DAMAGE = "damage"
    FOUND = "found"
    COUNT = "count"


class MovementLine(Struct, frozen=True, gc=False):
    """One item of a movement: positive into the location, negative out of it."""

    sku: Code
    quantity: Quantity
    unit: Code = "EA"


class StockMovement(Struct, frozen=True, kw_only=True, gc=False):
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
