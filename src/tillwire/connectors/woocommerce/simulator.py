"""A WooCommerce shop that is not there: REST API wc/v3 and webhooks over real HTTP, for tests and demos.

Written from the public contract (REST API v3, webhooks as of WooCommerce 9): paging by X-WP-Total, X-WP-TotalPages and
Link, ``modified_after`` with ``dates_are_gmt``, errors with code and message, signed webhooks that are disabled after
more than five failures in a row. Two things differ: basic authentication is taken without TLS, and time is the shop's
own, so that a seeded run repeats. Faults are drawn from the same seed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from types import TracebackType
from typing import Any

import httpx2
import msgspec
from msgspec import Struct

from tillwire.connectors.woocommerce import simulator_data as data
from tillwire.connectors.woocommerce.connector import signature
from tillwire.connectors.woocommerce.simulator_http import Answer, Request, serve

Json = dict[str, Any]
MOST_FAILURES = 5
_BEGINNING = datetime(2026, 3, 2, 8, tzinfo=UTC)


class Faults(Struct, kw_only=True):
    """How often things go wrong, as shares from 0 to 1."""

    rate_limited: float = 0.0
    """Requests that are answered 429."""
    retry_after_s: int | None = None
    """The hint that a 429 carries; none: no hint."""
    failing: float = 0.0
    """Requests that are answered 500, 502 or 503."""
    dropped: float = 0.0
    """Requests whose connection is closed without an answer."""
    garbled: float = 0.0
    """Requests that are answered 200 with a page of HTML, or with JSON that is cut off."""
    lost: float = 0.0
    """Webhooks that are never delivered."""
    duplicated: float = 0.0
    """Webhooks that are delivered twice, with the same delivery id."""
    late: float = 0.0
    """Webhooks that are delivered with the next batch only."""
    shuffled: bool = False
    """Whether a batch of webhooks is delivered in any order."""


class Shop:
    """The shop: call its methods to make things happen there, ``deliver`` to let webhooks go out."""

    def __init__(
        self,
        seed: int = 0,
        *,
        faults: Faults | None = None,
        currency: str = "EUR",
        included: bool = False,
        products: int = 12,
    ) -> None:
        """``included``: whether the shop's prices include tax."""
        self.random = Random(seed)
        self.faults = faults or Faults()
        self.currency = currency
        self.included = included
        self.now = _BEGINNING
        self.consumer_key = f"ck_{self.random.getrandbits(80):020x}"
        self.consumer_secret = f"cs_{self.random.getrandbits(80):020x}"
        self.products = data.catalogue(self.random, products, self.now)
        self.orders: dict[int, Json] = {}
        self.refunds: dict[int, list[Json]] = {}
        self.webhooks: dict[int, Json] = {}
        self.requests: list[tuple[str, str, int]] = []
        """What was asked and how it was answered: method, path with query, status (0: the connection was dropped)."""
        self._secrets: dict[int, str] = {}
        self._failures: dict[int, int] = {}
        self._waiting: list[tuple[int, str, bytes]] = []
        self._last = 1000
        self._lock = threading.RLock()
        self._stop: Callable[[], None] | None = None
        self.url = ""

    def __enter__(self) -> Shop:
        self.url, self._stop = serve(self.answer, lambda: self.now)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stop is not None:
            self._stop()

    # ------------------------------------------------------------ what happens in the shop

    def _number(self) -> int:
        self._last += 1
        return self._last

    def pass_time(self, seconds: int = 7) -> None:
        """Let the shop's clock go on."""
        with self._lock:
            self.now += timedelta(seconds=seconds)

    def place_order(self, status: str = "processing") -> int:
        """A customer orders; its number."""
        with self._lock:
            self.pass_time()
            number = self._number()
            sold = [one for one in self.products.values() if one["type"] != "variable"]
            made = data.order(
                self.random, number, sold, self.now, currency=self.currency, included=self.included, status=status
            )
            self.orders[number] = made
            self._tell("order.created", made)
            return number

    def set_status(self, number: int, status: str) -> None:
        """An order goes on: completed, cancelled and so on."""
        with self._lock:
            self.pass_time()
            order = self.orders[number]
            order["status"] = status
            if status in ("processing", "completed") and order["date_paid_gmt"] is None:
                order["date_paid_gmt"] = data.written(self.now)
            self._touched(order)

    def refund(self, number: int, *, whole: bool = False) -> int:
        """An order is refunded, as a whole or by one piece; the refund's number. Its total stays what it was."""
        with self._lock:
            self.pass_time()
            order = self.orders[number]
            made = data.refund(self._number(), order, self.now, whole=whole)
            self.refunds.setdefault(number, []).append(made)
            order["refunds"] = [*order["refunds"], {"id": made["id"], "reason": "", "total": "-" + made["amount"]}]
            if whole:
                order["status"] = "refunded"
            self._touched(order)
            return int(made["id"])

    def set_stock(self, number: int, quantity: int) -> None:
        """A product's stock is set."""
        with self._lock:
            self.pass_time()
            one = self.products[number]
            one["stock_quantity"] = quantity
            one["date_modified_gmt"] = data.written(self.now)
            parent = self.products.get(one["parent_id"])
            if parent is not None:
                parent["date_modified_gmt"] = data.written(self.now)
            self._tell("product.updated", one)

    def trash_order(self, number: int) -> None:
        """An order is deleted: it is gone from lists, and the webhook has its number only."""
        with self._lock:
            self.pass_time()
            del self.orders[number]
            self._tell("order.deleted", {"id": number})

    def _touched(self, order: Json) -> None:
        order["date_modified_gmt"] = data.written(self.now)
        self._tell("order.updated", order)

    # ------------------------------------------------------------ webhooks

    def _tell(self, topic: str, resource: Json) -> None:
        for number, hook in self.webhooks.items():
            if hook["topic"] == topic and hook["status"] == "active":
                self._waiting.append((number, f"{self.random.getrandbits(128):032x}", msgspec.json.encode(resource)))

    def deliver(self, post: Callable[[str, bytes, Mapping[str, str]], int] | None = None) -> int:
        """Send what waits, with the faults; how many were taken. ``post`` stands in for HTTP and returns a status."""
        with self._lock:
            batch, self._waiting = self._waiting, []
            if self.faults.shuffled:
                self.random.shuffle(batch)
        taken = 0
        for one in batch:
            with self._lock:
                lot = self.random.random
                if lot() < self.faults.lost:
                    continue
                if lot() < self.faults.late:
                    self._waiting.append(one)
                    continue
                times = 2 if lot() < self.faults.duplicated else 1
            taken += sum(self._deliver_one(*one, post or _post) for _ in range(times))
        return taken

    def _deliver_one(
        self, number: int, delivery: str, body: bytes, post: Callable[[str, bytes, Mapping[str, str]], int]
    ) -> bool:
        with self._lock:
            hook = self.webhooks.get(number)
            if hook is None or hook["status"] != "active":
                return False
            headers = {"content-type": "application/json", "user-agent": "WooCommerce/9 Hookshot (WordPress/6)"}
            if body.startswith(b"webhook_id="):
                headers["content-type"] = "application/x-www-form-urlencoded"
            else:
                headers |= {
                    "x-wc-webhook-source": self.url + "/",
                    "x-wc-webhook-topic": hook["topic"],
                    "x-wc-webhook-resource": hook["topic"].partition(".")[0],
                    "x-wc-webhook-event": hook["topic"].partition(".")[2],
                    "x-wc-webhook-signature": signature(body, self._secrets[number]),
                    "x-wc-webhook-id": str(number),
                    "x-wc-webhook-delivery-id": delivery,
                }
        status = post(hook["delivery_url"], body, headers)
        with self._lock:
            good = 200 <= status < 303 or status == 410
            self._failures[number] = 0 if good else self._failures.get(number, 0) + 1
            if self._failures[number] > MOST_FAILURES:
                hook["status"] = "disabled"
        return good

    def rotate_secret(self, secret: str) -> None:
        """Every webhook is signed with another secret from now on."""
        with self._lock:
            self._secrets = dict.fromkeys(self._secrets, secret)

    # ------------------------------------------------------------ the REST API

    def answer(self, request: Request) -> Answer | None:
        """What the shop answers to a request; none: it hangs up."""
        with self._lock:
            made = self._faulty() if request.authorized(self.consumer_key, self.consumer_secret) else _NO_KEY
            if made == "dropped":
                self.requests.append((request.method, request.target, 0))
                return None
            if not isinstance(made, Answer):
                made = self._routed(request)
            self.requests.append((request.method, request.target, made.status))
            return made

    def _faulty(self) -> Answer | str:
        lot, faults = self.random.random, self.faults
        if lot() < faults.dropped:
            return "dropped"
        if lot() < faults.rate_limited:
            hint = {} if faults.retry_after_s is None else {"Retry-After": str(faults.retry_after_s)}
            return _error(429, "too_many_requests", "Slow down", hint)
        if lot() < faults.failing:
            return Answer(
                self.random.choice((500, 502, 503)), b"<html>Bad Gateway</html>", {"Content-Type": "text/html"}
            )
        if lot() < faults.garbled:
            if len(self.requests) % 2:
                return Answer(200, b'[{"id": 1, "status": "proc')
            return Answer(200, b"<br /><b>Warning</b>: a plugin is unwell", {"Content-Type": "text/html"})
        return ""

    def _routed(self, request: Request) -> Answer:
        match request.method, request.path.removeprefix("/wp-json/wc/v3/").strip("/").split("/"):
            case "GET", ["orders"]:
                return self._listed(request, list(self.orders.values()))
            case "GET", ["orders", number] if _number(number) in self.orders:
                return Answer(200, msgspec.json.encode(self.orders[_number(number)]))
            case "GET", ["orders", number, "refunds"] if _number(number) in self.orders:
                return self._listed(request, self.refunds.get(_number(number), []))
            case "GET", ["products"]:
                return self._listed(request, [one for one in self.products.values() if not one["parent_id"]])
            case "GET", ["products", number, "variations"] if _number(number) in self.products:
                inner = [one for one in self.products.values() if one["parent_id"] == _number(number)]
                return self._listed(request, inner)
            case "GET", ["webhooks"]:
                return self._listed(request, list(self.webhooks.values()))
            case "POST", ["webhooks"]:
                return self._subscribed(request)
            case "PUT", ["webhooks", number] if _number(number) in self.webhooks:
                return self._changed(request, _number(number))
            case "DELETE", ["webhooks", number] if _number(number) in self.webhooks:
                return Answer(200, msgspec.json.encode(self.webhooks.pop(_number(number))))
        return _error(
            404,
            "woocommerce_rest_invalid_id" if request.path.startswith("/wp-json/wc/v3/") else "rest_no_route",
            "Invalid ID.",
        )

    def _listed(self, request: Request, found: list[Json]) -> Answer:
        after, before = request.query.get("modified_after"), request.query.get("modified_before")
        status = request.query.get("status", "any")
        found = [
            one
            for one in found
            if (not after or one.get("date_modified_gmt", "9") > after)
            and (not before or one.get("date_modified_gmt", "") < before)
            and (status == "any" or one.get("status") == status)
        ]
        field = {"id": "id", "modified": "date_modified_gmt"}.get(request.query.get("orderby", ""), "date_created_gmt")
        found.sort(key=lambda one: (str(one.get(field, "")).zfill(20), one["id"]))
        if request.query.get("order", "desc") == "desc":
            found.reverse()
        size, page = _number(request.query.get("per_page", "10")), _number(request.query.get("page", "1"))
        if not 1 <= size <= 100 or page < 1:
            return _error(400, "rest_invalid_param", "Invalid parameter(s): per_page, page")
        pages = -(-len(found) // size)
        headers = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(pages)}
        if page < pages:
            headers["Link"] = f'<{self.url}{request.path}?page={page + 1}&per_page={size}>; rel="next"'
        start = _number(request.query["offset"]) if "offset" in request.query else (page - 1) * size
        return Answer(200, msgspec.json.encode(found[start : start + size]), headers)

    def _subscribed(self, request: Request) -> Answer:
        body = msgspec.json.decode(request.body)
        if not body.get("topic") or not body.get("delivery_url"):
            return _error(400, "woocommerce_rest_invalid_webhook", "Webhook topic and delivery URL are required.")
        number = self._number()
        self._secrets[number] = body.get("secret", "")
        hook = {"id": number, "name": body.get("name", ""), "status": body.get("status", "active")}
        hook |= {
            "topic": body["topic"],
            "delivery_url": body["delivery_url"],
            "date_created_gmt": data.written(self.now),
        }
        self.webhooks[number] = hook
        self._waiting.append((number, "", b"webhook_id=%d" % number))
        return Answer(201, msgspec.json.encode(hook))

    def _changed(self, request: Request, number: int) -> Answer:
        body = msgspec.json.decode(request.body)
        hook = self.webhooks[number]
        hook |= {name: body[name] for name in ("status", "topic", "delivery_url", "name") if name in body}
        if "secret" in body:
            self._secrets[number] = body["secret"]
        if hook["status"] == "active":
            self._failures[number] = 0
        return Answer(200, msgspec.json.encode(hook))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1


def _error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    body = {"code": code, "message": message, "data": {"status": status}}
    return Answer(status, msgspec.json.encode(body), headers or {})


_NO_KEY = _error(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Deliver over HTTP; a receiver that cannot be reached is a failure like any other."""
    try:
        return httpx2.post(url, content=body, headers=dict(headers), timeout=5, trust_env=False).status_code
    except httpx2.TransportError:
        return 0
