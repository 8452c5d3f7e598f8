"""The GraphQL Admin API over HTTP, within its cost budget.

Every app has a bucket of points per shop that refills by the second; a query takes what it asks for and gets back what
it did not use. The client waits before a call that the bucket cannot pay, and leaves a reserve to others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import stamina

from tillwire import clock
from tillwire.connectors.shopify.settings import ShopifySettings
from tillwire.errors import (
    AuthenticationError,
    ConfigurationError,
    RateLimitedError,
    RejectedError,
    TransientError,
)

_LONGEST_WAIT_S = 60.0
_ATTEMPTS = 6
_UNKNOWN_COST = 100.0


class TooCostlyError(RejectedError):
    """A query asks for more points than one query may: ask for less at once."""


class Budget:
    """The bucket of points as Shopify last described it (``extensions.cost.throttleStatus``)."""

    def __init__(self, reserve: float, monotonic: Callable[[], float] = clock.monotonic_s) -> None:
        self.reserve = reserve
        self.most = 1000.0
        self.rate = 50.0
        self._left = 1000.0
        self._monotonic = monotonic
        self._seen = monotonic()

    def available(self) -> float:
        """Points in the bucket now."""
        return min(self.most, self._left + (self._monotonic() - self._seen) * self.rate)

    def wait_s(self, cost: float) -> float:
        """Seconds until a query of ``cost`` points can be paid with the reserve left; 0 at once."""
        needed = min(cost + self.reserve * self.most, max(self.most, cost))
        missing = needed - self.available()
        return max(0.0, missing / self.rate) if self.rate > 0 else _LONGEST_WAIT_S

    def told(self, cost: Mapping[str, Any]) -> None:
        """Take in what an answer says of the bucket."""
        status = cost.get("throttleStatus")
        if isinstance(status, dict):
            self.most = _points(status.get("maximumAvailable"), self.most)
            self.rate = _points(status.get("restoreRate"), self.rate)
            self._left = _points(status.get("currentlyAvailable"), self._left)
            self._seen = self._monotonic()


def _points(value: object, otherwise: float) -> float:
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and value >= 0:
        return float(value)
    return otherwise


class AdminClient:
    """One shop's GraphQL Admin API."""

    def __init__(self, settings: ShopifySettings, wait: Callable[[float], None] = time.sleep) -> None:
        if not settings.token or not (settings.url or settings.shop):
            raise ConfigurationError("pulls need the settings token and shop")
        base = (settings.url or f"https://{settings.shop}").rstrip("/")
        self._url = f"{base}/admin/api/{settings.api_version}/graphql.json"
        self._client = httpx2.Client(
            timeout=settings.timeout_s,
            headers={"X-Shopify-Access-Token": settings.token, "Accept": "application/json"},
        )
        self._wait = wait
        self.budget = Budget(settings.reserve)
        self._costs: dict[str, float] = {}

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def call(self, name: str, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The ``data`` of an answer. Reads, and mutations that may be repeated, only: they are tried again.

        Raises ``TransientError`` (``RateLimitedError``) after several attempts, ``AuthenticationError``,
        ``ConfigurationError``, ``TooCostlyError``, ``RejectedError``.
        """
        content = json.dumps({"query": query, "variables": dict(variables), "operationName": name}).encode()
        for attempt in stamina.retry_context(
            on=_backoff, attempts=_ATTEMPTS, timeout=None, wait_initial=0.1, wait_max=10.0, wait_jitter=0.1
        ):
            with attempt:
                return self._once(name, content)
        raise AssertionError("a retry ends with an answer or an error")

    def _once(self, name: str, content: bytes) -> dict[str, Any]:
        waiting = self.budget.wait_s(self._costs.get(name, _UNKNOWN_COST))
        if waiting > _LONGEST_WAIT_S:
            raise RateLimitedError("the shop's cost bucket is empty", retry_after_s=waiting)
        if waiting > 0:
            self._wait(waiting)
        try:
            response = self._client.post(self._url, content=content, headers={"Content-Type": "application/json"})
        except httpx2.TransportError as error:
            raise TransientError(f"the shop does not answer: {type(error).__name__}: {error}") from error
        body = _answer(response)
        cost = (body.get("extensions") or {}).get("cost")
        if isinstance(cost, dict):
            self.budget.told(cost)
            self._costs[name] = _points(cost.get("requestedQueryCost"), self._costs.get(name, _UNKNOWN_COST))
        if body.get("errors"):
            raise _graphql_error(body["errors"], self.budget, self._costs.get(name, _UNKNOWN_COST))
        data = body.get("data")
        if not isinstance(data, dict):
            raise TransientError("the shop's answer has no data")
        return data


def _backoff(error: Exception) -> bool | float:
    if isinstance(error, TransientError):
        hint = error.retry_after_s
        if hint is not None:
            return hint if hint <= _LONGEST_WAIT_S else False
        return True
    return False


def _answer(response: httpx2.Response) -> dict[str, Any]:
    status = response.status_code
    if status in (401, 403):
        raise AuthenticationError(f"the shop answered {status}: the token is not valid, or lacks a scope")
    if status == 402:
        raise AuthenticationError("the shop answered 402: it is frozen until its owner pays")
    if status == 429:
        raise RateLimitedError("the shop asks for fewer calls", retry_after_s=_retry_after_s(response))
    if status == 404:
        raise ConfigurationError("the shop answered 404: is its domain right, and the api_version supported?")
    if status >= 500:
        raise TransientError(f"the shop answered {status}", retry_after_s=_retry_after_s(response))
    if 300 <= status < 400:
        raise ConfigurationError(f"the shop answered {status}: its URL leads elsewhere")
    if status >= 400:
        raise RejectedError(f"the shop answered {status}: {response.text[:200]}")
    try:
        body = json.loads(response.content, parse_float=Decimal)
    except ValueError as error:
        raise TransientError("the shop's answer was cut off or is no JSON") from error
    if not isinstance(body, dict):
        raise TransientError("the shop's answer is no object")
    return body


def _graphql_error(errors: object, budget: Budget, cost: float) -> Exception:
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    code = (first.get("extensions") or {}).get("code") if first else None
    said = str(first.get("message", errors))[:300]
    if code == "THROTTLED":
        return RateLimitedError(f"the shop throttles: {said}", retry_after_s=max(budget.wait_s(cost), 0.05))
    if code == "MAX_COST_EXCEEDED":
        return TooCostlyError(said)
    if code == "ACCESS_DENIED":
        return AuthenticationError(f"the token lacks a scope: {said}")
    if code in ("INTERNAL_SERVER_ERROR", "TIMEOUT"):
        return TransientError(said)
    return RejectedError(f"the shop refused the query: {said}")


def _retry_after_s(response: httpx2.Response) -> float | None:
    stated = response.headers.get("retry-after", "").strip()
    if not stated:
        return None
    try:
        return max(0.0, float(stated))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(stated)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - clock.now()).total_seconds())
