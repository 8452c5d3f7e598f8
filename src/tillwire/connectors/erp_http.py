"""Calls to an ERP over HTTP: watched, within its limits, and every failure one of the classes that dispatch acts on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import msgspec

from tillwire import clock
from tillwire.connectors.erp import CallWatch, Unwatched, tell_failure
from tillwire.errors import (
    AuthenticationError,
    ConfigurationError,
    ContractChangedError,
    OutcomeUnknownError,
    RateLimitedError,
    TillwireError,
    TransientError,
)

MOST_WORDS = 2_000
"""So much of an ERP's answer is kept as its own words."""


_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Reply(msgspec.Struct, frozen=True):
    """An answer that was received whole."""

    status: int
    headers: httpx2.Headers
    body: bytes
    writes: bool
    where: str

    def json(self) -> Any:
        """The body as JSON with decimals for numbers. One that is none is a changed contract, or an unknown outcome."""
        try:
            return _decode(self.body)
        except (msgspec.DecodeError, RecursionError) as cause:
            raise self.unreadable(f"no JSON: {cause}") from cause

    def text(self) -> str:
        """The body as text, shortened to what fits an exception."""
        return self.body[:MOST_WORDS].decode("utf-8", "replace")

    def unreadable(self, why: str) -> TillwireError:
        """The error for an answer that is not what the contract says."""
        message = f"{self.where} answered {self.status} with {why}: {self.text()[:300]!r}"
        return OutcomeUnknownError(message) if self.writes else ContractChangedError(message)


class ErpHttp:
    """An HTTP client for one ERP. For one thread at a time.

    Every request has a connection of its own: on a kept one, a server that hangs up as we send makes a write's outcome
    unknown for no reason.
    """

    def __init__(
        self,
        base_url: str,
        *,
        authorize: Callable[[], Mapping[str, str]],
        renew: Callable[[], None] = lambda: None,
        timeout_s: float = 90.0,
        connect_timeout_s: float = 5.0,
        headers: Mapping[str, str] | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """``authorize`` gives the headers that prove who we are (and may ask for a token first); ``renew`` makes it ask
        anew, after the ERP refused what it gave.
        """
        self.watch: CallWatch = Unwatched()
        self.base_url = base_url.rstrip("/")
        self._authorize = authorize
        self._renew = renew
        self._http = httpx2.Client(
            timeout=httpx2.Timeout(timeout_s, connect=connect_timeout_s),
            limits=httpx2.Limits(max_keepalive_connections=0),
            headers=dict(headers or {}),
            trust_env=False,
            transport=transport,
        )

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        writes: bool,
        content: bytes | Callable[[], bytes] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        throttled: Callable[[Reply], bool] = lambda _: False,
        expired: Callable[[Reply], bool] = lambda _: False,
        read_by_caller: Callable[[Reply], bool] = lambda _: False,
    ) -> Reply:
        """The ERP's answer, whatever it says about the document: 2xx, or 4xx for the caller to read.

        Credentials that the ERP refuses are renewed once; ``content`` that is called is made after ``authorize``, for
        ERPs whose bodies say who calls. ``throttled`` and ``expired`` recognise ERPs that say "too many" and "log in"
        by other answers than 429 and 401; ``read_by_caller`` those that refuse a document by a 5xx (SOAP faults), which
        would else be an outcome that nobody knows. Raises ``TransientError`` (``RateLimitedError``) and
        ``AuthenticationError`` when nothing has happened, ``OutcomeUnknownError`` when a call that ``writes`` got no
        full reply or failed inside the ERP.
        """
        for last in (False, True):
            given = {**self._authorize(), **(headers or {})}
            body = content() if callable(content) else content
            try:
                return self._watched(method, path, writes, body, params, given, throttled, expired, read_by_caller)
            except AuthenticationError:
                if last:
                    raise
            self._renew()
        raise AssertionError("unreachable")

    def plain(
        self, method: str, path: str, *, writes: bool = False, content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:  # fmt: skip
        """A request without credentials of ours, such as the one for a token."""
        return self._watched(method, path, writes, content, None, headers or {}, _no, _no, _no)

    def _watched(
        self,
        method: str,
        path: str,
        writes: bool,
        content: bytes | None,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        throttled: Callable[[Reply], bool],
        expired: Callable[[Reply], bool],
        read_by_caller: Callable[[Reply], bool],
    ) -> Reply:
        self.watch.before_call()
        try:
            reply = self._exchange(method, path, writes, content, params, headers)
            if not read_by_caller(reply):
                _raise_for(reply, throttled, expired)
        except TillwireError as error:
            tell_failure(self.watch, error)
            raise
        return reply

    def _exchange(
        self,
        method: str,
        path: str,
        writes: bool,
        content: bytes | None,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> Reply:
        url = path if path.startswith(("http://", "https://")) else self.base_url + path
        where = f"{method} {url.split('?')[0]}"
        try:
            got = self._http.request(method, url, content=content, params=params, headers=dict(headers))
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as cause:
            raise TransientError(f"no connection to the ERP at {where}: {cause}") from cause
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as cause:
            raise ConfigurationError(f"the ERP's URL cannot be used, {where}: {cause}") from cause
        except (httpx2.TransportError, httpx2.DecodingError) as cause:
            words = f"no full reply from the ERP at {where}: {str(cause) or type(cause).__name__}"
            raise (OutcomeUnknownError(words) if writes else TransientError(words)) from cause
        return Reply(got.status_code, got.headers, got.content, writes, where)


def _no(_: Reply) -> bool:
    return False


def _raise_for(reply: Reply, throttled: Callable[[Reply], bool], expired: Callable[[Reply], bool]) -> None:
    words = f"{reply.where} answered {reply.status}: {reply.text()[:300]}"
    if reply.status == 429 or throttled(reply):
        raise RateLimitedError(words, retry_after_s=retry_after_s(reply.headers))
    if reply.status in (401, 407) or expired(reply):
        raise AuthenticationError(words)
    if reply.status == 503:
        raise TransientError(words, retry_after_s=retry_after_s(reply.headers))
    if reply.status >= 500 or reply.status == 408:
        raise OutcomeUnknownError(words) if reply.writes else TransientError(words)
    if 300 <= reply.status < 400 and reply.status != 304:
        raise reply.unreadable("a redirect")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The header ``Retry-After``, seconds or a date, as seconds from now; none where there is none that can be read."""
    told = headers.get("retry-after", "").strip()
    if told.isdigit():
        return float(told)
    if not told:
        return None
    try:
        at = parsedate_to_datetime(told)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - clock.now()).total_seconds())
