"""The reversal: made by the hub when a correction takes the place of a recorded transaction. Nobody sends it."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from msgspec import Meta, Struct

from tillwire.model.fields import Identifier, Text
from tillwire.model.transaction import Transaction


class TransactionReversed(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A recorded transaction has no effect any more: a later version of it follows."""

    store: Identifier
    business_date: date
    transaction: Transaction
    """The transaction as it was recorded. Its effects are taken back as they were, whatever master data says now."""
    by_version: Annotated[int, Meta(ge=2, le=10**9)]
    """The version that takes its place."""
    reason: Text = ""

    @property
    def key(self) -> str:
        """The key of what is reversed, and /reversed."""
        return f"{self.transaction.key}/reversed"
