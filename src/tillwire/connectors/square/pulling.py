"""What changed at Square: SearchOrders, ListPayments and ListPaymentRefunds, in the order of their updates, by cursor.

Location by location: ListPayments and ListPaymentRefunds take one at a time. Each reaches back to a little before the
pass before it began, by Square's clock. A cursor keeps the place in it; one that Square does not take any more (they
expire) begins anew.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tillwire.connectors.inbound import Deliver, Delivery
from tillwire.connectors.payload import joined, members, parsed
from tillwire.connectors.square.client import Reply, SquareClient
from tillwire.connectors.square.settings import SquareSettings
from tillwire.errors import RejectedError, TransientError

_FORM = "%Y-%m-%dT%H:%M:%SZ"

Ask = Callable[[str, str], Reply]


def pull_all(client: SquareClient, settings: SquareSettings, state: dict[str, Any], deliver: Deliver) -> None:
    """Everything that changed since ``state``, which is kept true. Raises what the client raises."""

    for location in settings.locations:
        _pass(_orders(client, settings, location), "orders", location, settings, state, deliver)
        _pass(_listed(client, settings, location, "payments"), "payments", location, settings, state, deliver)
        _pass(_listed(client, settings, location, "refunds"), "refunds", location, settings, state, deliver)


def _orders(client: SquareClient, settings: SquareSettings, location: str) -> Ask:
    def ask(since: str, cursor: str) -> Reply:
        query = {
            "filter": {
                "date_time_filter": {"updated_at": {"start_at": since}},
                "state_filter": {"states": ["COMPLETED", "CANCELED"]},
            },
            "sort": {"sort_field": "UPDATED_AT", "sort_order": "ASC"},
        }
        body: dict[str, object] = {"location_ids": [location], "limit": settings.page_size, "query": query}
        return client.ask("POST", "orders/search", body={**body, "cursor": cursor} if cursor else body)

    return ask


def _listed(client: SquareClient, settings: SquareSettings, location: str, path: str) -> Ask:
    def ask(since: str, cursor: str) -> Reply:
        parameters: dict[str, str | int] = {
            "location_id": location,
            "limit": settings.page_size,
            "sort_field": "UPDATED_AT",
            "sort_order": "ASC",
            "updated_at_begin_time": since,
        }
        return client.ask("GET", path, {**parameters, "cursor": cursor} if cursor else parameters)

    return ask


def _pass(
    ask: Ask, what: str, location: str, settings: SquareSettings, state: dict[str, Any], deliver: Deliver
) -> None:
    key = f"{what}:{location}"
    place: dict[str, Any] = dict(state.get(key) or {"after": settings.since})
    while True:
        cursor = str(place.get("cursor", ""))
        try:
            reply = ask(place["after"], cursor)
        except RejectedError:
            if not cursor:
                raise
            place.pop("cursor")
            continue
        place.setdefault("started", reply.sent_at.strftime(_FORM))
        deliveries, cursor = _page(reply.body, what)
        if not cursor:
            started = datetime.strptime(place["started"], _FORM)  # noqa: DTZ007  written so by ourselves, in UTC
            state[key] = {"after": (started - timedelta(seconds=settings.overlap_s)).strftime(_FORM)}
            deliver(deliveries, dict(state))
            return
        place["cursor"] = cursor
        state[key] = dict(place)
        deliver(deliveries, dict(state))


def _page(body: bytes, what: str) -> tuple[list[Delivery], str]:
    """One delivery per resource, and the cursor of the next page."""
    found = members(body, what)
    if not isinstance(found, dict):
        raise TransientError(f"{what}: Square answered with no object")
    inner = members(found.get(what, b"[]"), what)
    single = what.removesuffix("s")
    elements = inner if isinstance(inner, list) else []
    deliveries = [Delivery(body=joined(**{single: raw}), topic=f"{single}.updated") for raw in elements]
    cursor = parsed(found.get("cursor", b'""'), what)
    return deliveries, cursor if isinstance(cursor, str) else ""
