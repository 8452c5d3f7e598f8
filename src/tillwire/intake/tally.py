"""What became of a file's records, batch by batch: kept with the position in the file, told in its report."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tillwire.connectors.inbound import Record
from tillwire.intake.recording import Counts, claims_troubles
from tillwire.model.money import ZERO
from tillwire.model.transaction import SELLING, Transaction

_MOST_TOLD = 200


class Told(msgspec.Struct, frozen=True):
    """An exception that a record raised. The message begins with its place in the file."""

    exception_id: int
    code: str
    message: str


class FileTally(msgspec.Struct, kw_only=True):
    """Counts of a file so far. ``claimed`` and ``mapped`` are totals of transactions that sell, by currency."""

    records: int = 0
    events: int = 0
    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    superseded: int = 0
    unchanged: int = 0
    ignored: int = 0
    failed: int = 0
    claimed: dict[str, Decimal] = {}
    mapped: dict[str, Decimal] = {}
    troubles: list[Told] = []

    def add(self, records: Sequence[Record], counts: Counts, told: Sequence[tuple[Any, ...]]) -> None:
        """Add a batch, with the exceptions it raised (id, code, message)."""
        for name in ("records", "events", "accepted", "duplicate", "conflict"):
            setattr(self, name, getattr(self, name) + getattr(counts, name))
        for name in ("superseded", "unchanged", "ignored", "failed"):
            setattr(self, name, getattr(self, name) + getattr(counts, name))
        room = _MOST_TOLD - len(self.troubles)
        self.troubles = self.troubles + [Told(*one) for one in told[:room]]
        for record in records:
            for claim in record.claims:
                self.claimed[claim.currency] = self.claimed.get(claim.currency, ZERO) + claim.amount
            if record.troubles or claims_troubles(record):
                continue
            for event in record.events:
                data = event.data
                if isinstance(data, Transaction) and data.kind in SELLING:
                    self.mapped[data.currency] = self.mapped.get(data.currency, ZERO) + data.total

    def told(self) -> dict[str, Any]:
        """As it stands in the report."""
        found: dict[str, Any] = msgspec.to_builtins(self, builtin_types=(Decimal,))
        if self.failed > len(self.troubles):
            found["further_troubles"] = self.failed - len(self.troubles)
        return found
