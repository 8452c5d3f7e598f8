"""What the shop holds that changed: orders with their refunds, products with their variations.

A pass lists what changed since a little before the pass before it began (by the shop's clock), in the order of
numbers, each page beginning with the last element of the one before: if it is not there any more, something before it
was deleted, what follows has moved up and might be skipped, and the pass begins anew. What changes meanwhile can only
be added. State is kept after every page, and, if a request fails, after what was fetched before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from tillwire.connectors.inbound import Deliver, Delivery
from tillwire.connectors.payload import DriftError, Node, joined, members, parsed
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
            reply = client.get(path, {"per_page": size, "orderby": "id", "order": "asc"}, page)
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
    more = True
    while more:
        done, last = int(place.get("done", 0)), int(place.get("last", 0))
        parameters: dict[str, Value] = {**filters, "per_page": settings.page_size, "orderby": "id", "order": "asc"}
        if place["after"]:
            parameters |= {"modified_after": place["after"], "dates_are_gmt": "true"}
        offset = max(done - 1, 0)
        if offset:
            parameters["offset"] = offset
        reply = client.get(what, parameters)
        place.setdefault("started", reply.sent_at.strftime(_FORM))
        elements = [(_numbered(raw, what), raw) for raw in _elements(reply.body, what)]
        if done and not any(number == last for (number, _), _ in elements):
            restarts += 1
            if restarts > _MOST_RESTARTS:
                raise TransientError(f"{what}: the shop's list changes faster than it can be read")
            place |= {"done": 0, "last": 0}
            continue
        more = offset + len(elements) < reply.total if reply.total >= 0 else len(elements) == settings.page_size
        _one_page(elements, offset, state, place, deliver, what, fetched)
    started = datetime.strptime(place["started"], _FORM)  # noqa: DTZ007  written so by ourselves, in UTC
    state[what] = {"after": (started - timedelta(seconds=settings.overlap_s)).strftime(_FORM)}
    deliver([], dict(state))


def _numbered(raw: bytes, what: str) -> tuple[int, Node]:
    """An element and its number, without which it cannot be paged."""
    element = parsed(raw, what)
    node = Node(element if isinstance(element, dict) else {})
    try:
        return node.identity(), node
    except DriftError as error:
        raise TransientError(f"{what}: the shop answered with an element that has no number") from error


def _one_page(
    elements: list[tuple[tuple[int, Node], bytes]],
    offset: int,
    state: dict[str, Any],
    place: dict[str, Any],
    deliver: Deliver,
    what: str,
    fetched: Fetch,
) -> None:
    """Fetch what belongs to each element, and deliver: all at once, or, if one fails, those before it."""
    ready: list[Delivery] = []
    failure: TillwireError | None = None
    for i, ((number, node), raw) in enumerate(elements):
        if number > int(place.get("last", 0)):
            try:
                ready += list(fetched(node, raw))
            except TillwireError as error:
                failure = error
                break
            place["last"] = number
        place["done"] = offset + i + 1
    if ready:
        state[what] = dict(place)
        deliver(ready, dict(state))
    if failure is not None:
        raise failure
