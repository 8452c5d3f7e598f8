"""From a faulty event to the row of its exception: who owns it, and the money at risk."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tillwire.intake.rules import Fault, Policy
from tillwire.model.event import EVENT_DECODER, business_date_of, key_of, store_of, type_of
from tillwire.model.transaction import Transaction


def failed_processing(error: Exception) -> Fault:
    """The fault of an event that the hub could not process, in the error's own words."""
    return Fault("processing_failed", f"{type(error).__name__}: {str(error).strip()}", "")


def exception_row(
    raw: bytes, group_id: int, ordinal: int, faults: Sequence[Fault], policy: Policy
) -> dict[str, object]:
    """The parameters of an exception; the first fault gives its code. Whatever ``raw`` is, there is a row."""
    first = faults[0]
    row: dict[str, object] = {
        "code": first.code,
        "owner": policy.owner(first.code),
        "message": first.message,
        "pointer": first.pointer,
        "faults": msgspec.json.encode(faults).decode(),
        "group_id": group_id,
        "ordinal": ordinal,
    }
    row.update(_identity(raw))
    return row


def _identity(raw: bytes) -> dict[str, object]:
    try:
        event = EVENT_DECODER.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        unknown = dict.fromkeys(("store", "register", "business_date", "kind", "amount", "currency"))
        return {"event_type": "unreadable", "source": "", "key": "", **unknown}
    message = event.data
    transaction = message if isinstance(message, Transaction) else None
    return {
        "event_type": type_of(event),
        "source": event.source,
        "key": key_of(message),
        "store": store_of(message),
        "register": getattr(message, "register", None),
        "business_date": business_date_of(message),
        "kind": transaction.kind.value if transaction else None,
        "amount": transaction.total if transaction else None,
        "currency": transaction.currency if transaction else None,
    }
