"""Pulling from a shop: what changed since last time, page by page, and the subscriptions kept alive."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from tillwire import clock
from tillwire.connectors.inbound import Deliver, Delivery
from tillwire.connectors.shopify import queries
from tillwire.connectors.shopify.client import AdminClient, TooCostlyError
from tillwire.connectors.shopify.settings import ShopifySettings
from tillwire.connectors.shopify.watchdog import Watchdog
from tillwire.errors import TransientError


class Feed(NamedTuple):
    """One kind of objects that a pull follows by their time of update."""

    name: str
    field: str
    """Of the query: orders, products, inventoryItems."""
    query_name: str
    query: str
    inner: str
    """The connection within each object that may have further pages."""
    more_name: str
    more: str
    single: str
    topic: str


FEEDS = (
    Feed(
        "orders",
        "orders",
        "Orders",
        queries.ORDERS,
        "lineItems",
        "OrderItems",
        queries.ORDER_ITEMS,
        "order",
        "graphql/order",
    ),
    Feed(
        "products",
        "products",
        "Products",
        queries.PRODUCTS,
        "variants",
        "ProductItems",
        queries.PRODUCT_ITEMS,
        "product",
        "graphql/product",
    ),
    Feed(
        "levels",
        "inventoryItems",
        "Levels",
        queries.LEVELS,
        "inventoryLevels",
        "LevelItems",
        queries.LEVEL_ITEMS,
        "inventoryItem",
        "graphql/inventory_level",
    ),
)
_INNER_PAGE = 50
_PARTS = (
    ("refunds", "refundLineItems", "RefundItems", queries.REFUND_ITEMS, "refund"),
    ("fulfillments", "fulfillmentLineItems", "FulfillmentItems", queries.FULFILLMENT_ITEMS, "fulfillment"),
)


class Puller:
    """Follows one shop. The state is plain JSON: for each feed where its window begins, where its page, what it saw."""

    def __init__(self, settings: ShopifySettings, wait: Callable[[float], None] = time.sleep) -> None:
        self.settings = settings
        self.client = AdminClient(settings, wait)
        self._watchdog = Watchdog(settings, self.client)
        self._page_size = max(1, settings.page_size)
        self._inner = _INNER_PAGE

    def close(self) -> None:
        """Let go of connections."""
        self.client.close()

    def pull(self, state: Mapping[str, Any], deliver: Deliver) -> float:
        """Follow each feed to its end. Each page is delivered with the state behind it.

        Windows overlap: each begins ``overlap_s`` before the newest change that the last one saw, since Shopify's
        search shows some changes late. What is fetched again is the same bytes, known by their digest.
        """
        kept = json.loads(json.dumps(state))
        kept = kept if isinstance(kept, dict) else {}
        self._watch(kept, deliver)
        for feed in FEEDS:
            self._follow(feed, kept, deliver)
        return self.settings.interval_s

    def _watch(self, state: dict[str, Any], deliver: Deliver) -> None:
        now = clock.now().timestamp()
        last = state.get("watched_at")
        if isinstance(last, int) and 0 <= now - last < self.settings.watch_interval_s:
            return
        self._watchdog.look()
        state["watched_at"] = int(now)
        deliver((), state)

    def _follow(self, feed: Feed, state: dict[str, Any], deliver: Deliver) -> None:
        own = state.get(feed.name)
        if not isinstance(own, dict) or not isinstance(own.get("since"), str):
            began = clock.now() - timedelta(days=self.settings.backfill_days)
            own = {"since": _stamp(began), "seen": "", "after": None}
        while True:
            page = self._page(feed, own)
            nodes = page.get("nodes") or []
            deliveries = [delivery for node in nodes for delivery in self._deliveries(feed, node)]
            seen = max([str(own.get("seen") or ""), *(_normal(node.get("updatedAt")) for node in nodes)])
            info = page.get("pageInfo") or {}
            if info.get("hasNextPage") and info.get("endCursor"):
                own = {"since": own["since"], "seen": seen, "after": info["endCursor"]}
                state[feed.name] = own
                deliver(deliveries, state)
                continue
            state[feed.name] = {"since": self._next_since(own["since"], seen), "seen": "", "after": None}
            deliver(deliveries, state)
            return

    def _next_since(self, since: str, seen: str) -> str:
        if not seen:
            return since
        return max(since, _stamp(datetime.fromisoformat(seen) - timedelta(seconds=self.settings.overlap_s)))

    def _page(self, feed: Feed, own: Mapping[str, Any]) -> dict[str, Any]:
        while True:
            variables = {
                "first": self._page_size,
                "after": own.get("after"),
                "query": f"updated_at:>='{own['since']}'",
                "items": self._inner,
            }
            try:
                data = self.client.call(feed.query_name, feed.query, variables)
            except TooCostlyError:
                if self._page_size == 1 and self._inner <= 5:
                    raise
                if self._page_size > 1:
                    self._page_size //= 2
                else:
                    self._inner //= 2
                continue
            page = data.get(feed.field)
            if not isinstance(page, dict):
                raise TransientError(f"the shop's answer has no {feed.field}")
            return page

    def _deliveries(self, feed: Feed, node: dict[str, Any]) -> list[Delivery]:
        whole = self._whole(feed, node)
        if feed.name != "levels":
            return [Delivery(body=_bytes(whole), topic=feed.topic)]
        levels = (whole.get(feed.inner) or {}).get("nodes") or []
        return [Delivery(body=_bytes(_level(level)), topic=feed.topic) for level in levels]

    def _whole(self, feed: Feed, node: dict[str, Any]) -> dict[str, Any]:
        """The object with all pages of what it holds: no line of a long order may be missing."""
        whole = self._filled(node, feed.inner, feed.more_name, feed.more, feed.single)
        for name, inner, more_name, more, single in _PARTS:
            if whole.get(name):
                whole[name] = [self._filled(part, inner, more_name, more, single) for part in whole[name]]
        return whole

    def _filled(self, node: dict[str, Any], name: str, more_name: str, more: str, single: str) -> dict[str, Any]:
        inner = node.get(name) or {}
        nodes = list(inner.get("nodes") or ())
        info = inner.get("pageInfo") or {}
        while info.get("hasNextPage") and info.get("endCursor"):
            variables = {"id": node["id"], "after": info["endCursor"], "items": self._inner}
            page = ((self.client.call(more_name, more, variables).get(single) or {}).get(name)) or {}
            if not page.get("nodes"):
                raise TransientError(f"a further page of {node['id']} is missing")
            nodes += page["nodes"]
            info = page.get("pageInfo") or {}
        return {**node, name: {"nodes": nodes}}


def _level(level: dict[str, Any]) -> dict[str, Any]:
    return {("inventoryItem" if name == "item" else name): value for name, value in level.items()}


def _bytes(node: dict[str, Any]) -> bytes:
    return json.dumps(node, ensure_ascii=False, separators=(",", ":"), default=_as_text).encode()


def _as_text(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not occur in JSON")


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _normal(value: object) -> str:
    if not isinstance(value, str) or not value:
        return ""
    try:
        return _stamp(datetime.fromisoformat(value))
    except ValueError:
        return ""
