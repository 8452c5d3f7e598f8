"""What a connector that takes data in offers to intake, whatever the system: raw bytes in, canonical events out.

Mapping is pure: the same bytes give the same events, wherever and however often they are read. It knows no database, no
clock and no master data; what master data must judge (an unknown product, a total that does not add up) is recorded in
the source's own words and judged later by the rules. Only what cannot be said in canonical events is a trouble here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple, Protocol

from msgspec import Struct

from tillwire.errors import TillwireError


class MalformedError(TillwireError):
    """A payload that cannot be read as what it should be, with the place where reading stopped.

    Raised before or instead of records: nothing of the payload must have any effect.
    """

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


class Source(NamedTuple):
    """A payload to be read."""

    stream: BinaryIO
    """At its beginning; may be read again from there."""
    name: str = ""
    """The file's name, for messages; never a source of data unless a setting says so."""
    topic: str = ""
    """What its sender says it is, such as orders/create."""
    headers: Mapping[str, str] = {}
    """Names in lower case."""


def body_source(body: bytes, topic: str = "", headers: Mapping[str, str] | None = None, name: str = "") -> Source:
    """A payload that lies in memory."""
    return Source(BytesIO(body), name, topic, headers or {})


class Outgoing(Struct, frozen=True, kw_only=True, gc=False):
    """A canonical event that a connector makes. Its source and envelope are intake's to add."""

    type: str
    """An event type of ``tillwire.model.event``."""
    data: Any
    """The struct of that type."""
    id: str
    """Made from the payload alone, so that reading it again gives the same."""
    time: datetime | None = None
    """When it happened; none if the source does not say, or not in which zone."""
    correlation: str | None = None
    entity: str = ""
    """What the event is a state or version of, such as order:450789469, where the source sends it again when it
    changes; empty for facts that come once."""
    version: int = 0
    """Rises with each change of the entity at its source (its time of update, say). An older one than one already seen
    is superseded; a newer one with the same ``data`` is no change; a newer transaction is a correction."""


class Trouble(Struct, frozen=True, kw_only=True):
    """Why a record cannot be said in canonical events. Becomes an exception with the record's raw bytes."""

    code: str
    """A code of the exception catalogue: schema_drift for what the contract does not allow, else the rule's own."""
    message: str
    """What is wrong, in figures."""
    pointer: str = ""
    """Where in the record: a path, an element, a column."""
    store: str | None = None
    business_date: date | None = None
    amount: Decimal | None = None
    """The money at risk, in ``currency``."""
    currency: str | None = None


class Claim(Struct, frozen=True, kw_only=True, gc=False):
    """What the payload itself says its transactions come to: mapping must come to the same, or raise."""

    amount: Decimal
    """The sum of the totals of those that sell (returns negative), in ``currency``, read from the payload's own totals
    and not from what was mapped."""
    currency: str
    transactions: int = 1


class Record(Struct, frozen=True, kw_only=True):
    """One unit of a payload: a transaction of a POSLog, the rows of a receipt, a whole webhook. It has an effect as a
    whole or is raised as a whole."""

    place: str
    """Where in the payload, for a person: line 17, Transaction 3."""
    raw: bytes
    """Its bytes as they came, every field included. Readable alone by the same connector with the same settings and
    topic, to the same events: that is how a failed record is read again after its cause was mended."""
    events: tuple[Outgoing, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    """If there is any, no event of the record has an effect."""
    claims: tuple[Claim, ...] = ()
    ignored: str = ""
    """Why a record makes no event on purpose. A record without events, troubles and this is a defect."""
    note: str = ""
    """Why there is less than may be expected beside the events, such as a fulfilment of an order that is not paid."""


class Delivery(Struct, frozen=True, kw_only=True):
    """A body that was delivered or fetched, to be stored before anything else happens to it."""

    body: bytes
    topic: str = ""
    key: str = ""
    """The sender's own identifier of the delivery, by which a repetition is known; empty: the body's digest."""
    headers: Mapping[str, str] = {}
    """Those worth keeping, names in lower case; no secret among them."""


class InboundConnector(Protocol):
    """One instance reads the payloads of one connection."""

    def read(self, source: Source) -> Iterator[Record]:
        """The records of a payload, in order, in bounded memory whatever its size.

        Raises ``MalformedError`` for what cannot be read at all; callers read a payload to its end before they let any
        of it have an effect.
        """
        ...


class WebhookConnector(InboundConnector, Protocol):
    """Takes bodies from a system that signs them."""

    def verify(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """The delivery, if its signature over the raw bytes is right. Headers' names are in lower case.

        Raises ``AuthenticationError`` if it is not. Quick: nothing but the signature is looked at.
        """
        ...


Deliver = Callable[[Sequence[Delivery], Mapping[str, Any]], None]
"""Stores deliveries and the puller's new state in one transaction; returns once they are on disk."""


class PullConnector(InboundConnector, Protocol):
    """Fetches from a system: what was missed, what it does not push; and sees to its own subscriptions there."""

    def pull(self, state: Mapping[str, Any], deliver: Deliver) -> float:
        """Fetch what is new since ``state`` (empty at first), in steps that are delivered with their state, so that a
        pull that dies goes on where it was. Returns how many seconds to wait until the next.

        Raises ``TransientError`` (``RateLimitedError``), ``AuthenticationError`` or ``ConfigurationError``.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
