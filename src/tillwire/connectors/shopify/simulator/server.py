"""The simulated shop over HTTP: its GraphQL endpoint with a cost bucket, its webhooks, and faults on order.

Written from the public contract of the Admin API; it speaks HTTP on a free port of this machine.
"""

from __future__ import annotations

import base64
import hmac
import json
import random
import re
import socket
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
from graphql import execute_sync, parse, validate
from msgspec import Struct

from tillwire import clock
from tillwire.connectors.shopify.settings import API_VERSION
from tillwire.connectors.shopify.simulator import rendering
from tillwire.connectors.shopify.simulator.schema import cost_of, resolve, schema
from tillwire.connectors.shopify.simulator.shop import Shop

ANSWER_FAULTS = ("429", "429-hint", "500", "503", "drop", "cut", "throttled")
"""Faults of one answer: too many calls without and with Retry-After, failures, a dropped connection, half an answer,
the cost bucket empty."""
_SINCE = re.compile(r"updated_at:>='?([0-9TZ:+-]+)'?")


class Hook(Struct, kw_only=True):
    """A webhook on its way."""

    topic: str
    body: bytes
    event_id: str
    webhook_id: str
    triggered_at: str
    tries: int = 0


class Faults(Struct, kw_only=True):
    """Shares of webhooks, from 0 to 1, that go wrong."""

    duplicated: float = 0.0
    lost: float = 0.0
    late: float = 0.0
    shuffled: bool = False


class ShopifySimulator:
    """One shop with one app. Use it as a context manager; ``url`` is where its Admin API is."""

    def __init__(
        self,
        *,
        seed: int = 1,
        shop: str = "tilly-test.myshopify.com",
        token: str = "shpat_simulated",
        secret: str = "simulated-secret",
        began: datetime = datetime(2026, 3, 2, 12, tzinfo=UTC),
        faults: Faults | None = None,
        bucket: float = 2000.0,
        restore_rate: float = 1000.0,
        most_cost: int = 1000,
        monotonic: Callable[[], float] = clock.monotonic_s,
    ) -> None:
        self.domain, self.token, self.secret = shop, token, secret
        self.faults = faults or Faults()
        self.bucket, self.restore_rate, self.most_cost = bucket, restore_rate, most_cost
        self._left, self._seen, self._monotonic = bucket, monotonic(), monotonic
        self._random = random.Random(seed + 1)
        self._answers: deque[str] = deque()
        self._lock = threading.RLock()
        self._schema = schema()
        self.waiting: list[Hook] = []
        self.late: list[Hook] = []
        self.lost: list[Hook] = []
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, int, float]] = []
        """Operation, cost asked for, and points that were there, of each query that was looked at."""
        self.throttled = 0
        self.shop = Shop(seed=seed, began=began, changed=self._changed)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> ShopifySimulator:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The base of the Admin API."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail_next(self, *faults: str) -> None:
        """The next answers go wrong in these ways, one after the other; see ``ANSWER_FAULTS``."""
        unknown = [fault for fault in faults if fault not in ANSWER_FAULTS]
        if unknown:
            raise ValueError(f"no faults of an answer: {unknown}")
        self._answers.extend(faults)

    def next_answer_fault(self) -> str:
        """The fault of the answer that is about to be given; empty: none."""
        with self._lock:
            return self._answers.popleft() if self._answers else ""

    def drop_subscriptions(self, *topics: str) -> None:
        """Subscriptions vanish, as Shopify's do when their receiver fails for long; without topics all."""
        with self._lock:
            gone = {topic.replace("/", "_").upper() for topic in topics}
            self.subscriptions = {
                key: one for key, one in self.subscriptions.items() if gone and one["topic"] not in gone
            }

    def _changed(self, topic: str, body: dict[str, Any]) -> None:
        number = self._random.getrandbits(64)
        hook = Hook(
            topic=topic,
            body=json.dumps(body, separators=(",", ":")).encode(),
            event_id=f"{number:016x}-event",
            webhook_id=f"{number:016x}-hook",
            triggered_at=self.shop.now.isoformat() if hasattr(self, "shop") else "",
        )
        chance = self._random.random()
        if chance < self.faults.lost:
            self.lost.append(hook)
        elif chance < self.faults.lost + self.faults.late:
            self.late.append(hook)
        else:
            self.waiting.append(hook)
            if self._random.random() < self.faults.duplicated:
                self.waiting.append(hook)

    def release_late(self) -> None:
        """Webhooks that were held back go out with the next delivery."""
        self.waiting += self.late
        self.late = []

    def headers_of(self, hook: Hook) -> dict[str, str]:
        """A webhook's headers, signed over the raw bytes."""
        signature = base64.b64encode(hmac.digest(self.secret.encode(), hook.body, "sha256")).decode()
        return {
            "Content-Type": "application/json",
            "X-Shopify-Topic": hook.topic,
            "X-Shopify-Hmac-Sha256": signature,
            "X-Shopify-Shop-Domain": self.domain,
            "X-Shopify-API-Version": API_VERSION,
            "X-Shopify-Webhook-Id": hook.webhook_id,
            "X-Shopify-Event-Id": hook.event_id,
            "X-Shopify-Triggered-At": hook.triggered_at,
        }

    def deliver(self) -> int:
        """Send the waiting webhooks to who subscribed; those that are refused are tried again at the next delivery, at
        most eight times. Returns how many were taken.
        """
        hooks, self.waiting = self.waiting, []
        if self.faults.shuffled:
            self._random.shuffle(hooks)
        taken = 0
        with httpx2.Client(timeout=5) as client:
            for hook in hooks:
                uri = next((s["uri"] for s in self.subscriptions.values() if s["topic"] == _enum(hook.topic)), None)
                if uri is None:
                    self.lost.append(hook)
                    continue
                try:
                    status = client.post(uri, content=hook.body, headers=self.headers_of(hook)).status_code
                except httpx2.TransportError:
                    status = 0
                if 200 <= status < 300:
                    taken += 1
                else:
                    hook.tries += 1
                    (self.waiting if hook.tries < 8 else self.lost).append(hook)
        return taken

    def answer(self, request: dict[str, Any], *, throttle: bool = False) -> dict[str, Any]:
        """A GraphQL answer with its cost; throttled where the bucket cannot pay."""
        with self._lock:
            document = parse(request["query"])
            variables = request.get("variables") or {}
            cost = cost_of(document, variables)
            now = self._monotonic()
            self._left = min(self.bucket, self._left + (now - self._seen) * self.restore_rate)
            self._seen = now
            if throttle:
                self._left = 0.0
            self.calls.append((request.get("operationName") or "", cost, self._left))
            if cost > self.most_cost:
                return self._refused("MAX_COST_EXCEEDED", f"Query cost is {cost}, the most is {self.most_cost}", cost)
            if cost > self._left:
                self.throttled += 1
                return self._refused("THROTTLED", "Throttled", cost)
            errors = validate(self._schema, document)
            if errors:
                return {"errors": [{"message": one.message} for one in errors]}
            self._left -= cost
            result = execute_sync(
                self._schema, document, self._root(), None, variables, request.get("operationName"), resolve
            )
            body: dict[str, Any] = {"data": result.data, "extensions": self._cost(cost)}
            if result.errors:
                body["errors"] = [{"message": one.message} for one in result.errors]
            return body

    def _refused(self, code: str, message: str, cost: int) -> dict[str, Any]:
        return {"errors": [{"message": message, "extensions": {"code": code}}], "extensions": self._cost(cost)}

    def _cost(self, cost: int) -> dict[str, Any]:
        status = {
            "maximumAvailable": self.bucket,
            "currentlyAvailable": int(self._left),
            "restoreRate": self.restore_rate,
        }
        return {"cost": {"requestedQueryCost": cost, "actualQueryCost": cost, "throttleStatus": status}}

    def _root(self) -> dict[str, Any]:
        shop = self.shop
        orders = [rendering.order_graphql(shop, order) for order in shop.orders.values()]
        products = [rendering.product_graphql(product) for product in shop.products.values()]
        items = rendering.items_graphql(shop)

        def changed(nodes: list[dict[str, Any]]) -> Callable[..., list[dict[str, Any]]]:
            def found(query: str = "", **_: Any) -> list[dict[str, Any]]:
                since = _SINCE.search(query or "")
                kept = [n for n in nodes if since is None or n["updatedAt"] >= since.group(1)]
                return sorted(kept, key=lambda n: (n["updatedAt"], n["id"]))

            return found

        def one(nodes: list[dict[str, Any]]) -> Callable[..., dict[str, Any] | None]:
            return lambda id: next((n for n in nodes if n["id"] == id), None)

        return {
            "orders": changed(orders),
            "products": changed(products),
            "inventoryItems": changed(items),
            "order": one(orders),
            "product": one(products),
            "inventoryItem": one(items),
            "refund": one([refund for order in orders for refund in order["refunds"]]),
            "fulfillment": one([sent for order in orders for sent in order["fulfillments"]]),
            "webhookSubscriptions": list(self.subscriptions.values()),
            "webhookSubscriptionCreate": self._subscribe,
            "webhookSubscriptionUpdate": self._redirect,
        }

    def _subscribe(self, topic: str, webhookSubscription: dict[str, Any]) -> dict[str, Any]:
        uri = webhookSubscription.get("uri")
        if any(one["topic"] == topic and one["uri"] == uri for one in self.subscriptions.values()):
            message = "Address for this topic has already been taken"
            return {"webhookSubscription": None, "userErrors": [{"field": ["uri"], "message": message}]}
        own = f"gid://shopify/WebhookSubscription/{self._random.getrandbits(40)}"
        self.subscriptions[own] = {"id": own, "topic": topic, "uri": uri, "format": "JSON"}
        return {"webhookSubscription": self.subscriptions[own], "userErrors": []}

    def _redirect(self, id: str, webhookSubscription: dict[str, Any]) -> dict[str, Any]:
        self.subscriptions[id] = {**self.subscriptions[id], "uri": webhookSubscription.get("uri")}
        return {"webhookSubscription": self.subscriptions[id], "userErrors": []}


def _enum(topic: str) -> str:
    return topic.replace("/", "_").upper()


def _handler(simulator: ShopifySimulator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = simulator.next_answer_fault()
            if fault == "drop":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            elif self.headers.get("X-Shopify-Access-Token") != simulator.token:
                self._send(401, {"errors": "[API] Invalid API key or access token"})
            elif not re.fullmatch(r"/admin/api/[0-9]{4}-[0-9]{2}/graphql\.json", self.path):
                self._send(404, {"errors": "Not Found"})
            elif fault in ("429", "429-hint"):
                hint = {"Retry-After": "0.1"} if fault == "429-hint" else {}
                self._send(429, {"errors": "Exceeded calls per second"}, hint)
            elif fault in ("500", "503"):
                self._send(int(fault), {"errors": "Internal Server Error"})
            else:
                answer = simulator.answer(json.loads(body), throttle=fault == "throttled")
                self._send(200, answer, cut=fault == "cut")

        def _send(
            self, status: int, body: dict[str, Any], more: dict[str, str] | None = None, cut: bool = False
        ) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(more or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            if cut:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: tests and the demo have their own screen."""

    return Handler
