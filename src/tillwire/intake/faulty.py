"""From a faulty event to the row of its exception: who owns it, its root cause, and the money at risk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tillwire.exceptions.causes import HELD, cause_of, decoded, entity_of, held_behind
from tillwire.exceptions.codes import owner_of
from tillwire.exceptions.raising import Row
from tillwire.intake.rules import Fault
from tillwire.model.event import EVENT_DECODER, business_date_of, key_of, store_of, type_of
from tillwire.model.transaction import Transaction

MASTER_CAUSES = frozenset(
    {
        "unknown_store",
        "unknown_register",
        "unknown_product",
        "unknown_uom",
        "unknown_tender",
        "unknown_tax_code",
        "unknown_account",
        "customer_unknown",
        "currency_mismatch",
        "tax_group_invalid",
        "period_closed",
    }
)
"""Codes of faults that master data can mend without anybody touching the event."""


def failed_processing(error: Exception) -> Fault:
    """The fault of an event that the hub could not process, in the error's own words."""
    words = f"{type(error).__name__}: {str(error).strip()}".replace("\x00", "\ufffd")
    return Fault("processing_failed", words, "")


def held_back(entity: str) -> Fault:
    """The fault of an event that waits behind another: none of its own."""
    return Fault(HELD, f"waits until {entity} has left the exception queue", "")


def exception_row(
    raw: bytes,
    group_id: int,
    ordinal: int,
    partition: int,
    faults: Sequence[Fault],
    *,
    severity: str = "blocking",
    waits_for: str | None = None,
    owner: Callable[[str], str] = owner_of,
    judged: bytes = b"",
) -> Row:
    """An exception as ``raise_all`` takes it; the first fault gives its code. Whatever ``raw`` is, there is a row.

    ``judged`` is the event in our words, where it was translated before it was checked.
    """
    first = faults[0]
    identity = _identity(raw)
    if waits_for is None:
        cause = cause_of(first.code, first.message, first.pointer, str(identity["source"]), decoded(judged or raw))
    else:
        cause = held_behind(waits_for)
    return {
        "code": first.code,
        "owner": owner(first.code),
        "state": "open" if waits_for is None else "waiting",
        "severity": severity,
        "message": first.message,
        "pointer": first.pointer,
        "faults": faults,
        "cause": cause,
        "waits_for": waits_for,
        "group_id": group_id,
        "ordinal": ordinal,
        "partition": partition,
        **identity,
    }


def _identity(raw: bytes) -> Row:
    try:
        event = EVENT_DECODER.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        names = ("store", "register", "business_date", "kind", "amount", "currency", "revision")
        return {"event_type": "unreadable", "source": "", "key": "", "entity": "", "version": 1, **dict.fromkeys(names)}
    return identity_of(event)


def identity_of(event: Any) -> Row:
    """What an exception shows of an event that can be read. ``amount`` is the money at risk, in ``currency``."""
    message = event.data
    transaction = message if isinstance(message, Transaction) else None
    return {
        "event_type": type_of(event),
        "source": event.source,
        "key": key_of(message),
        "entity": entity_of(message),
        "store": store_of(message),
        "register": getattr(message, "register", None),
        "business_date": business_date_of(message),
        "kind": transaction.kind.value if transaction else None,
        "amount": transaction.total if transaction else None,
        "currency": transaction.currency if transaction else None,
        "version": transaction.version if transaction else 1,
        "revision": getattr(message, "revision", None),
    }
