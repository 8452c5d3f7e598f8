"""The shop's REST API (wc/v3) over HTTPS: one request, tried again where that can help, sorted into our errors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpx2
import msgspec
import stamina

from tillwire import clock
from tillwire.connectors.inbound import MalformedError
from tillwire.connectors.payload import parsed
from tillwire.connectors.woocommerce.settings import WooCommerceSettings
from tillwire.errors import (
    AuthenticationError,
    ConfigurationError,
    RateLimitedError,
    RejectedError,
    TransientError,
)

_MOST_BYTES = 64 * 2**20
_DEFAULT_WAIT_S = 30.0
"""After "too many requests" without a hint."""

Value = str | int | float | None


class Reply(NamedTuple):
    """An answer with its JSON as it came."""

    body: bytes
    total: int
    """As X-WP-Total says; -1 if it does not."""
    more: bool
    """Whether there is a next page, by Link or by X-WP-TotalPages."""
    sent_at: datetime
    """By the shop's clock (its header Date), so that a wrong clock of ours leaves no gap."""


class ShopClient:
    """Requests to one shop. For one thread at a time."""

    def __init__(self, settings: WooCommerceSettings, *, transport: httpx2.BaseTransport | None = None) -> None:
        self._settings = settings
        self._http = httpx2.Client(
            base_url=settings.checked_url() + "/wp-json/wc/v3/",
            auth=(settings.consumer_key, settings.consumer_secret),
            timeout=httpx2.Timeout(settings.timeout_s, connect=min(settings.timeout_s, 10)),
            headers={"Accept": "application/json", "User-Agent": "Tillwire"},
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    def get(self, path: str, parameters: Mapping[str, Value], page: int = 1) -> Reply:
        """A resource or one page of a collection. Raises ``TransientError``, ``RateLimitedError``,
        ``AuthenticationError``, ``ConfigurationError``, ``RejectedError``."""
        return self._tried("GET", path, {**parameters, "page": page} if page > 1 else parameters, None)

    def send(self, method: str, path: str, body: Mapping[str, object]) -> Reply:
        """A change whose repetition does no harm. Raises as ``get``."""
        return self._tried(method, path, {}, body)

    def _tried(
        self, method: str, path: str, parameters: Mapping[str, Value], body: Mapping[str, object] | None
    ) -> Reply:
        patience = self._settings.patience_s

        def worth_waiting(error: Exception) -> bool | float:
            if not isinstance(error, TransientError):
                return False
            wait = error.retry_after_s
            if wait is None:
                return True
            return wait if wait <= patience else False

        for attempt in stamina.retry_context(
            on=worth_waiting, attempts=self._settings.attempts, timeout=None, wait_initial=0.2, wait_max=5.0
        ):
            with attempt:
                return self._asked(method, path, parameters, body)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _asked(
        self, method: str, path: str, parameters: Mapping[str, Value], body: Mapping[str, object] | None
    ) -> Reply:
        try:
            with self._http.stream(method, path, params=dict(parameters), json=body) as response:
                content = bytearray()
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > _MOST_BYTES:
                        raise RejectedError(f"{path}: the shop's answer is longer than {_MOST_BYTES} bytes")
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise ConfigurationError(f"url: {error}") from error
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise TransientError(f"{path}: the shop could not be reached or hung up: {error}") from error
        raw = bytes(content)
        if not response.is_success:
            raise _refusal(path, response.status_code, response.headers, raw)
        if raw.lstrip()[:1] not in (b"[", b"{"):
            # A plugin's warning before the JSON, a page of maintenance or of a firewall.
            raise TransientError(
                f"{path}: the shop answered {response.status_code} with what is no JSON: {_shown(raw)}"
            )
        try:
            parsed(raw, path)
        except MalformedError as error:
            raise TransientError(f"the shop's answer is cut off or spoilt: {error}") from error
        return _reply(raw, response.headers, parameters)

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()


def _reply(raw: bytes, headers: httpx2.Headers, parameters: Mapping[str, Value]) -> Reply:
    pages = _count(headers.get("x-wp-totalpages"), 1)
    page = parameters.get("page", 1)
    more = 'rel="next"' in headers.get("link", "") or (isinstance(page, int) and page < pages)
    return Reply(raw, _count(headers.get("x-wp-total"), -1), more, _date(headers.get("date")))


def _count(stated: str | None, otherwise: int) -> int:
    return int(stated) if stated and stated.isascii() and stated.isdigit() and len(stated) < 12 else otherwise


def _date(stated: str | None) -> datetime:
    try:
        moment = parsedate_to_datetime(stated or "")
    except ValueError:
        return clock.now()
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _refusal(path: str, status: int, headers: httpx2.Headers, raw: bytes) -> Exception:
    said = f"{path}: the shop answered {status}: {_shown(raw)}"
    hint = _retry_after_s(headers.get("retry-after", ""))
    if status in (401, 403):
        return AuthenticationError(said)
    if status == 429:
        return RateLimitedError(said, retry_after_s=_DEFAULT_WAIT_S if hint is None else hint)
    if status in (408, 425) or status >= 500:
        return TransientError(said, retry_after_s=hint)
    if 300 <= status < 400:
        return ConfigurationError(f"{said}; set the url that it leads to: {headers.get('location', '')[:200]}")
    if status == 404 and b"rest_no_route" in raw:
        return ConfigurationError(f"{said}; is WooCommerce active there, and are permalinks on?")
    return RejectedError(said)


def _retry_after_s(stated: str) -> float | None:
    stated = stated.strip()
    if stated.isascii() and stated.isdigit() and len(stated) < 8:
        return int(stated) * 1.0
    try:
        moment = parsedate_to_datetime(stated)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - clock.now()).total_seconds())


def _shown(raw: bytes) -> str:
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if isinstance(found, dict) and isinstance(found.get("message"), str):
        return f"{found.get('code')}: {found['message']}"[:300]
    return " ".join(raw[:300].decode("utf-8", "replace").split())
