"""Tokens of OAuth 2.0 (RFC 6749, client credentials) for calls to an ERP: at hand, and asked for anew in time."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from urllib.parse import quote, urlencode

from tillwire import clock
from tillwire.connectors.erp_http import ErpHttp
from tillwire.errors import AuthenticationError

USUAL_S = 3600.0
"""How long a token lasts, where its giver does not say."""


def basic(username: str, password: str) -> str:
    """The header ``Authorization`` of basic authentication."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class TokenKeeper:
    """Has a token at hand, and asks for another before it runs out or when the ERP refuses it."""

    def __init__(self, fetch: Callable[[], tuple[str, float]], *, early_s: float = 60.0) -> None:
        """``fetch`` gives a token and how long it lasts, in seconds; it is used no more ``early_s`` before that."""
        self._fetch = fetch
        self._early_s = early_s
        self._token = ""
        self._until_s = 0.0

    def forget(self) -> None:
        """Ask anew next time."""
        self._token = ""

    def headers(self) -> dict[str, str]:
        """The header that proves who we are. Raises what ``fetch`` raises."""
        if not self._token or clock.monotonic_s() >= self._until_s:
            asked_s = clock.monotonic_s()
            self._token, lasts_s = self._fetch()
            self._until_s = asked_s + max(1.0, lasts_s - self._early_s)
        return {"Authorization": f"Bearer {self._token}"}


def ask_for_token(
    http: ErpHttp, url: str, form: Mapping[str, str], *, client: tuple[str, str] | None = None, hint: str = ""
) -> tuple[str, float]:
    """A token for client credentials, and how long it lasts, in seconds; ``client`` goes by basic authentication.

    Raises ``AuthenticationError`` with ``hint`` if none is given, ``TransientError`` if there is no answer, and
    ``ContractChangedError`` for an answer that is none.
    """
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    if client is not None:
        headers["Authorization"] = basic(quote(client[0], ""), quote(client[1], ""))
    content = urlencode({"grant_type": "client_credentials", **form}).encode()
    reply = http.plain("POST", url, content=content, headers=headers)
    if reply.status != 200:
        raise AuthenticationError(f"{reply.where} gives no token, {reply.status}: {reply.text()[:300]}{hint}")
    given = reply.json()
    if not isinstance(given, dict) or not isinstance(given.get("access_token"), str):
        raise reply.unreadable("no access_token")
    return given["access_token"], _seconds(given.get("expires_in"))


def _seconds(told: object) -> float:
    try:
        lasts = Decimal(str(told))
    except InvalidOperation:
        return USUAL_S
    return float(lasts) if lasts.is_finite() and lasts > 0 else USUAL_S
