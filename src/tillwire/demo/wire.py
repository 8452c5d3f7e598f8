"""Events as a register sends them: the canonical model in CloudEvents form."""

from __future__ import annotations

from typing import Any

import msgspec

from tillwire.model.event import EVENTS, MESSAGES

_TYPES = {message: name for name, message in MESSAGES.items()}
_encoder = msgspec.json.Encoder()

HEAD_OFFICE = "urn:head-office"
"""The source of master data."""


def source_of(store: str) -> str:
    """The CloudEvents source of a store's registers."""
    return f"urn:pos:store-{store}"


def event_bytes(message: Any, *, source: str, event_id: str | None = None) -> bytes:
    """A message as one event in structured mode. Its id is the business key unless the source has one of its own."""
    event = EVENTS[_TYPES[type(message)]]
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
