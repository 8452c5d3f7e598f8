"""Events as a register sends them: the canonical model without what it leaves at its default, in CloudEvents form."""

from __future__ import annotations

from typing import Any

import msgspec

from tillwire.model import transaction
from tillwire.model.event import EVENTS, MESSAGES, TRANSACTION


class SentDiscount(transaction.Discount, frozen=True, gc=False, omit_defaults=True):
    """A discount, sent sparsely."""


class SentTax(transaction.Tax, frozen=True, gc=False, omit_defaults=True):
    """A tax, sent sparsely."""


class SentLine(transaction.Line, frozen=True, gc=False, omit_defaults=True):
    """A line, sent sparsely."""


class SentTender(transaction.Tender, frozen=True, gc=False, omit_defaults=True):
    """A tender, sent sparsely."""


class SentTransaction(transaction.Transaction, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A transaction, sent sparsely."""


def _sparse(event_type: str) -> type[Any]:
    event = EVENTS[event_type]
    return msgspec.defstruct(
        event.__name__, [], bases=(event,), frozen=True, kw_only=True, gc=False, omit_defaults=True
    )


_EVENTS = {name: _sparse(name) for name in EVENTS}
_TYPES = {message: name for name, message in MESSAGES.items()} | {SentTransaction: TRANSACTION}
_encoder = msgspec.json.Encoder()

HEAD_OFFICE = "urn:head-office"
"""The source of master data."""


def source_of(store: str) -> str:
    """The CloudEvents source of a store's registers."""
    return f"urn:pos:store-{store}"


def event_bytes(message: Any, *, source: str, event_id: str | None = None) -> bytes:
    """A message as one event in structured mode. Its id is the business key unless the source has one of its own."""
    event = _EVENTS[_TYPES[type(message)]]
    return _encoder.encode(
        event(
            specversion="1.0",
            id=event_id or message.key,
            source=source,
            time=getattr(message, "ended_at", None) or getattr(message, "at", None),
            data=message,
        )
    )


def batch_bytes(events: list[bytes]) -> bytes:
    """The body of a batch (``application/cloudevents-batch+json``)."""
    return b"[" + b",".join(events) + b"]"
