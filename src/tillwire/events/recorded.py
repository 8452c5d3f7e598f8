"""A recorded event, and the interface of what projects recorded events into tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import psycopg

RECORDED = "recorded"
SUPERSEDED = "superseded"
REVERSED = "reversed"


class Reference(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What an event does to an earlier transaction."""

    original: str
    """The business key of the earlier one, without version."""
    voids: int = 0
    """1 voids it, -1 takes a void of it back."""
    skus: tuple[str, ...] = ()
    quantities: tuple[Decimal, ...] = ()
    """What came back, in the products' stock units; negative: it did not after all."""


class Past(msgspec.Struct, frozen=True, gc=False, array_like=True, kw_only=True):
    """What the hub knew of the past when it recorded an event that has one: a correction, a late arrival, a return, a
    void, a sale of an order. Most events have none.
    """

    key: str
    """The business key without version."""
    source: str
    outcome: str = ""
    """Of versions: ``recorded``, ``superseded`` (a later one was there before: no effect), ``reversed``."""
    by_version: int | None = None
    """The version that took its place."""
    posted_date: date | None = None
    """Of what came after its store's day was closed: the business date that it is posted to."""
    references: tuple[Reference, ...] = ()
    order: str | None = None
    before: tuple[tuple[str, str, Decimal], ...] = ()
    """Of a corrected till close: the entries of the one it corrects."""


class Enrichment(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What master data said when the event was recorded; stored with it, so that a replay repeats it."""

    company: str = ""
    classes: tuple[str, ...] = ()
    """The product class of each line."""
    factors: tuple[Decimal | None, ...] = ()
    """What each line's quantity is multiplied by to be in the product's stock unit; none stands for one, and all are
    left out where no line is converted."""
    notes: dict[str, int] = {}
    past: Past | None = None


class Recorded(msgspec.Struct, gc=False):
    """An event at its place in the event store, with what master data said when it was recorded."""

    partition: int
    offset: int
    type: str
    store: str
    """Empty for master records."""
    day: str
    """The business date as ISO text, as rows need it; empty for master records."""
    message: Any
    enrichment: Enrichment
    plain: bool
    """True if no text in the event needs escaping (its raw JSON has no backslash, hence no control character)."""

    def superseded(self) -> bool:
        """True if a later version was recorded before: the event has no effect."""
        past = self.enrichment.past
        return past is not None and past.outcome == SUPERSEDED

    def posted_date(self) -> date:
        """The business date that the event is posted to: its own, unless it came late and its store adjusts."""
        past = self.enrichment.past
        own: date = self.message.business_date
        return own if past is None or past.posted_date is None else past.posted_date


class InlineProjection(ABC):
    """Tables that change in the same transaction as the event store; rebuilt from it at will.

    ``apply`` gathers in memory and touches nothing else; ``write`` sends what was gathered, in bulk, and forgets it.
    """

    tables: Sequence[str]
    copied: Sequence[str] = ()
    """Those of the tables that a rebuild only copies rows into: their indexes are made once, at the end of it."""

    @abstractmethod
    def begin(self) -> None:
        """Forget what an aborted transaction had gathered."""

    @abstractmethod
    def apply(self, recorded: Recorded) -> None:
        """Gather the effects of one event."""

    @abstractmethod
    def write(self, connection: psycopg.Connection) -> None:
        """Write what was gathered, inside the caller's transaction."""

    def finish(self, connection: psycopg.Connection) -> None:  # noqa: B027 - most keep nothing to the end
        """At the end of a rebuild of a partition into empty tables: write what was kept until then."""
