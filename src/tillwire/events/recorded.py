"""A recorded event, and the interface of what projects recorded events into tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import psycopg


class Enrichment(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What master data said when the event was recorded; stored with it, so that a replay repeats it."""

    company: str = ""
    classes: tuple[str, ...] = ()
    """The product class of each line."""
    factors: tuple[Decimal | None, ...] = ()
    """What each line's quantity is multiplied by to be in the product's stock unit; none stands for one, and all are
    left out where no line is converted."""
    notes: dict[str, int] = {}


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
