"""What the shop holds that changed: orders with their refunds, products with their variations.

A pass lists what changed since a little before the pass before it began (by the shop's clock), in the order of
numbers: whatever changes meanwhile can only be added, so that pages never skip one, unless something is deleted; then
the total falls, and the pass begins anew. State is kept after every page, and, if a request fails, after what was
fetched before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from tillwire.connectors.inbound import Deliver, Delivery
from tillwire.connectors.payload import Node, joined, members, parsed
from tillwire.connectors.woocommerce.client import ShopClient, Value
from tillwire.connectors.woocommerce.settings import WooCommerceSettings
from tillwire.errors import RejectedError, TillwireError, TransientError

_FORM = "%Y-%m-%dT%H:%M:%S"
_MOST_RESTARTS = 5

Fetch = Callable[[Node, bytes], Iterator[Delivery]]


def pull_orders(client: ShopClient, settings: WooCommerceSettings, state: dict[str, Any], deliver: Deliver) -> None:
    """Orders that changed, each with its refunds. ``state`` is kept true. Raises what the client raises."""

    def fetched(order: Node, raw: bytes) -> Iterator[Delivery]:
        yield Delivery(body=raw, topic="order.updated")
        if order.data.get("refunds"):
            refunds = list(_collection(client, f"orders/{order.identity()}/refunds", settings.page_size))
            if refunds:
                yield Delivery(body=joined(order=raw, refunds=b"[" + b",".join(refunds) + b"]"), topic="order.updated")

    _pass(client, settings, state, deliver, "orders", fetched, {"status": "any"})


def pull_products(client: ShopClient, settings: WooCommerceSettings, state: dict[str, Any], deliver: Deliver) -> None:
    """Products that changed, each with its variations. ``state`` is kept true. Raises what the client raises."""

    def fetched(product: Node, raw: bytes) -> Iterator[Delivery]:
        yield Delivery(body=raw, topic="product.updated")
        if product.data.get("variations"):
            for one in _collection(client, f"products/{product.identity()}/variations", settings.page_size):
                yield Delivery(body=one, topic="product.updated")

    _pass(client, settings, state, deliver, "products", fetched, {})


def _collection(client: ShopClient, path: str, size: int) -> Iterator[bytes]:
    """The elements of a small collection. One that is gone since (404) has none."""
    page, more = 1, True
    while more:
        try:
            reply = client.get(path, page, per_page=size, orderby="id", order="asc")
        except RejectedError:
            if page > 1:
                raise
            return
        yield from _elements(reply.body, path)
        more, page = reply.more, page + 1


def _elements(body: bytes, path: str) -> list[bytes]:
    found = members(body, path)
    if not isinstance(found, list):
        raise TransientError(f"{path}: the shop answered with no list")
    return found


def _pass(
    client: ShopClient,
    settings: WooCommerceSettings,
    state: dict[str, Any],
    deliver: Deliver,
    what: str,
    fetched: Fetch,
    filters: dict[str, Value],
) -> None:
    """One pass over a collection, from its beginning or from where the one before broke off."""
    place: dict[str, Any] = dict(state.get(what) or {"after": settings.since})
    restarts = 0
    while True:
        page = int(place.get("page", 1))
        parameters: dict[str, Value] = {**filters, "per_page": settings.page_size, "orderby": "id", "order": "asc"}
        if place["after"]:
            parameters |= {"modified_after": place["after"], "dates_are_gmt": "true"}
        reply = client.get(what, page, **parameters)
        place.setdefault("started", reply.sent_at.strftime(_FORM))
        fallen = 0 <= reply.total < int(place.get("total", 0))
        place["total"] = max(reply.total, 0)
        if fallen and page > 1 and restarts < _MOST_RESTARTS:
            restarts += 1
            place |= {"page": 1, "last": 0}
            continue
        _one_page(_elements(reply.body, what), state, place, deliver, what, fetched)
        if not reply.more:
            break
        place |= {"page": page + 1, "last": 0}
        state[what] = dict(place)
        deliver([], dict(state))
    started = datetime.strptime(place["started"], _FORM)  # noqa: DTZ007  written so by ourselves, in UTC
    state[what] = {"after": (started - timedelta(seconds=settings.overlap_s)).strftime(_FORM)}
    deliver([], dict(state))


def _one_page(
    elements: list[bytes], state: dict[str, Any], place: dict[str, Any], deliver: Deliver, what: str, fetched: Fetch
) -> None:
    """Fetch what belongs to each element, and deliver: all at once, or, if one fails, those before it."""
    ready: list[Delivery] = []
    failure: TillwireError | None = None
    for raw in elements:
        element = parsed(raw, what)
        node = Node(element if isinstance(element, dict) else {})
        number = node.data.get("id")
        if isinstance(number, int) and number <= int(place.get("last", 0)):
            continue
        try:
            ready += list(fetched(node, raw))
        except TillwireError as error:
            failure = error
            break
        if isinstance(number, int):
            place["last"] = number
    if ready:
        state[what] = dict(place)
        deliver(ready, dict(state))
    if failure is not None:
        raise failure
