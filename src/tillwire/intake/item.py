"""What a worker's transaction works on: accepted events on their way, and the rows of the queue they came from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from tillwire.events.recorded import Enrichment
from tillwire.exceptions.codes import BLOCKING
from tillwire.intake.rules import Fault

_NOTHING = Enrichment()


class Item(msgspec.Struct, gc=False):
    """One accepted event on its way: where its raw bytes are, and what came of it."""

    partition: int
    group_id: int
    ordinal: int
    raw: bytes
    retry: int
    """Which retry asked for it, after an exception; 0 the first time."""
    event: Any = None
    """In our words: translated, where its source has mappings. None: it cannot be read."""
    recorded_as: bytes = b""
    """What goes to the event store: the raw bytes, or the translated event."""
    enrichment: Enrichment = _NOTHING
    faults: list[Fault] = []
    """Every fault of an event that is not recorded, blocking ones first."""
    warnings: Sequence[Fault] = ()
    """The faults of an event that is recorded all the same."""
    waits_for: str | None = None
    """The entity behind which it waits."""

    has_past: bool = False
    """What was recorded before matters to it, or it to others in the batch: see ``history``."""
    looked_back: bool = False
    """Its past has been looked at: its faults and its enrichment depend on the batch before it."""

    @property
    def place(self) -> tuple[int, int]:
        """Group and ordinal: the identity of an accepted event."""
        return self.group_id, self.ordinal

    def take(self, faults: Sequence[Fault]) -> None:
        """Blocking faults keep an event from being recorded, and take its warnings along; warnings alone do not."""
        blocking = [fault for fault in faults if fault.severity == BLOCKING]
        warnings = [fault for fault in faults if fault.severity != BLOCKING]
        if blocking:
            self.faults = blocking + warnings
        else:
            self.warnings = warnings


class Claim(msgspec.Struct):
    """What one transaction works on."""

    offsets: dict[int, int]
    queue_rows: list[tuple[int, int, int]]
    items: list[Item]
    left: list[tuple[int, int, int, list[int]]] = []
    """Rows of the queue that were taken in part, with what stays of them."""
    accepted: dict[int, datetime] = {}
    """Per partition, when the first of its events was accepted that comes for the first time."""
