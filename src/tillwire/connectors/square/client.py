"""Square's API over HTTPS: one request, tried again where that can help, sorted into our errors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpx2
import stamina

from tillwire import clock
from tillwire.connectors.inbound import MalformedError
from tillwire.connectors.payload import parsed
from tillwire.connectors.square.settings import SquareSettings
from tillwire.errors import (
    AuthenticationError,
    ConfigurationError,
    RateLimitedError,
    RejectedError,
    TransientError,
)

_MOST_BYTES = 64 * 2**20
_DEFAULT_WAIT_S = 30.0


class Reply(NamedTuple):
    """An answer as it came, and when, by Square's clock."""

    body: bytes
    sent_at: datetime


class SquareClient:
    """Requests for one seller. For one thread at a time."""

    def __init__(self, settings: SquareSettings, *, transport: httpx2.BaseTransport | None = None) -> None:
        self._settings = settings
        self._http = httpx2.Client(
            base_url=settings.checked_url() + "/v2/",
            timeout=httpx2.Timeout(settings.timeout_s, connect=min(settings.timeout_s, 10)),
            headers={
                "Authorization": f"Bearer {settings.access_token}",
                "Square-Version": settings.api_version,
                "Accept": "application/json",
                "User-Agent": "Tillwire",
            },
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    def ask(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str | int] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Reply:
        """The answer to a request that reads. Raises ``TransientError``, ``RateLimitedError``, ``AuthenticationError``,
        ``ConfigurationError``, ``RejectedError``."""
        patience = self._settings.patience_s

        def worth_waiting(error: Exception) -> bool | float:
            if not isinstance(error, TransientError):
                return False
            wait = error.retry_after_s
            return True if wait is None else wait if wait <= patience else False

        for attempt in stamina.retry_context(
            on=worth_waiting, attempts=self._settings.attempts, timeout=None, wait_initial=0.2, wait_max=5.0
        ):
            with attempt:
                return self._asked(method, path, parameters or {}, body)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _asked(
        self, method: str, path: str, parameters: Mapping[str, str | int], body: Mapping[str, object] | None
    ) -> Reply:
        try:
            with self._http.stream(method, path, params=dict(parameters), json=body) as response:
                content = bytearray()
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > _MOST_BYTES:
                        raise RejectedError(f"{path}: Square's answer is longer than {_MOST_BYTES} bytes")
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise ConfigurationError(f"url: {error}") from error
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise TransientError(f"{path}: Square could not be reached or hung up: {error}") from error
        raw = bytes(content)
        if not response.is_success:
            raise _refusal(path, response.status_code, response.headers, raw)
        if raw.lstrip()[:1] != b"{":
            raise TransientError(f"{path}: Square answered {response.status_code} with what is no JSON")
        try:
            parsed(raw, path)
        except MalformedError as error:
            raise TransientError(f"Square's answer is cut off or spoilt: {error}") from error
        return Reply(raw, _date(response.headers.get("date")))

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()


def _date(stated: str | None) -> datetime:
    try:
        moment = parsedate_to_datetime(stated or "")
    except ValueError:
        return clock.now()
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _refusal(path: str, status: int, headers: httpx2.Headers, raw: bytes) -> Exception:
    said = f"{path}: Square answered {status}: {' '.join(raw[:300].decode('utf-8', 'replace').split())}"
    stated = headers.get("retry-after", "").strip()
    hint = int(stated) * 1.0 if stated.isascii() and stated.isdigit() and len(stated) < 8 else None
    if status in (401, 403):
        return AuthenticationError(said)
    if status == 429:
        return RateLimitedError(said, retry_after_s=_DEFAULT_WAIT_S if hint is None else hint)
    if status in (408, 425) or status >= 500:
        return TransientError(said, retry_after_s=hint)
    if 300 <= status < 400:
        return ConfigurationError(f"{said}; set the url that it leads to")
    return RejectedError(said)
