"""A JSON-RPC session with Tryton over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import httpx2
import structlog

from tillwire.connectors.erp import CallWatch, Unwatched, tell_failure
from tillwire.connectors.tryton import wire
from tillwire.connectors.tryton.settings import TrytonSettings
from tillwire.errors import (
    AuthenticationError,
    ConfigurationError,
    RejectedError,
    TillwireError,
    TransientError,
)

_READS = frozenset({"read", "search", "search_read", "search_count", "fields_get", "default_get", "get_id"})
_MOST_WARNINGS = 10

_log = structlog.get_logger(__name__)


class TrytonClient:
    """Calls methods of Tryton's models as one user; logs in when it must. For one thread at a time.

    Every request has a connection of its own: on a kept one, a server that hangs up as we send makes a write's
    outcome unknown for no reason.
    """

    def __init__(
        self,
        settings: TrytonSettings,
        *,
        watch: CallWatch | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """``watch`` is told of every request; ``transport`` stands in for the network, for tests."""
        self.watch = watch or Unwatched()
        self.settings = settings
        self.context: dict[str, object] = {}
        """Sent with every call, such as ``{"company": 1}``."""
        self._user_id: int | None = None
        self._session: str | None = None
        self._http = httpx2.Client(
            base_url=settings.url,
            timeout=httpx2.Timeout(settings.timeout_s, connect=settings.connect_timeout_s),
            limits=httpx2.Limits(max_keepalive_connections=0),
            # Long replies claim to be gzip even if it was not asked for; asked for, they are.
            headers={"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "gzip"},
            trust_env=False,
            transport=transport,
        )
        self._path = f"/{settings.database}/rpc/"

    @property
    def user_id(self) -> int:
        """The number of our user in Tryton; logs in if that has not happened. Raises as ``login`` does."""
        if self._user_id is None:
            self.login()
        assert self._user_id is not None
        return self._user_id

    def login(self) -> None:
        """Open a session. Raises ``AuthenticationError``, ``RateLimitedError`` (too many wrong passwords locks the
        user for a while) or ``TransientError``; nothing has happened then.
        """
        parameters = [self.settings.username, {"password": self.settings.password}]
        try:
            user_id, token, *_ = self._send("common.db.login", parameters, writes=False)
        except RejectedError as refusal:
            raise AuthenticationError(f"log-in to the ERP failed: {refusal}") from refusal
        except AuthenticationError as refusal:
            raise AuthenticationError(
                f"the ERP does not accept user {self.settings.username!r} in database {self.settings.database!r}: "
                f"{refusal}"
            ) from refusal
        self._user_id = user_id
        identity = f"{self.settings.username}:{user_id}:{token}"
        self._session = base64.b64encode(identity.encode()).decode()

    def logout(self) -> None:
        """End the session at the ERP, if there is one; a session that cannot be ended is left to expire."""
        if self._session is None:
            return
        try:
            self._send("common.db.logout", [], writes=False)
        except (TransientError, AuthenticationError, RejectedError) as cause:
            _log.info("erp session left to expire", reason=str(cause))
        self._session = None

    def close(self) -> None:
        """Log out and let go of the connection."""
        self.logout()
        self._http.close()

    def call(self, method: str, *parameters: object) -> Any:
        """What ``method`` (such as ``model.account.move.create``) returns; the context is added.

        A session that has expired is renewed once; warnings are confirmed and the call is repeated. Raises
        ``RejectedError`` in the ERP's own words, ``TransientError`` (``RateLimitedError``) and
        ``AuthenticationError`` when nothing has happened, ``OutcomeUnknownError`` when a call that may have changed
        something got no full reply.
        """
        writes = method.rpartition(".")[2] not in _READS
        confirmed: set[str] = set()
        while True:
            try:
                return self._call_in_session(method, parameters, writes=writes)
            except wire.ErpWarningError as warning:
                if warning.name in confirmed or len(confirmed) == _MOST_WARNINGS:
                    raise RejectedError(f"the ERP keeps warning: {warning.text}") from warning
                confirmed.add(warning.name)
                _log.warning("erp warning confirmed", method=method, warning=warning.text)
                self._call_in_session("model.res.user.warning.skip", (warning.name, False), writes=False)

    def _call_in_session(self, method: str, parameters: tuple[object, ...], *, writes: bool) -> Any:
        if self._session is None:
            self.login()
        try:
            return self._send(method, [*parameters, self.context], writes=writes)
        except wire.SessionExpiredError:
            self._session = None
        self.login()
        return self._send(method, [*parameters, self.context], writes=writes)

    def _send(self, method: str, parameters: Sequence[object], *, writes: bool) -> Any:
        self.watch.before_call()
        try:
            return self._exchange(method, parameters, writes=writes)
        except TillwireError as error:
            tell_failure(self.watch, error)
            raise

    def _exchange(self, method: str, parameters: Sequence[object], *, writes: bool) -> Any:
        body = wire.encode({"id": 1, "method": method, "params": [*parameters]})
        headers = {"Authorization": f"Session {self._session}"} if self._session else {}
        where = f"{self.settings.url} ({method})"
        try:
            reply = self._http.post(self._path, content=body, headers=headers)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as cause:
            raise TransientError(f"no connection to the ERP at {where}: {cause}") from cause
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as cause:
            raise ConfigurationError(f"the ERP's URL cannot be used, {where}: {cause}") from cause
        except httpx2.TransportError as cause:
            raise wire.lost(f"no reply from the ERP at {where}: {_say(cause)}", writes=writes) from cause
        except httpx2.DecodingError as cause:
            raise wire.lost(f"half a reply from the ERP at {where}: {cause}", writes=writes) from cause
        if reply.status_code != 200:
            raise wire.status_error(reply.status_code, reply.headers, reply.content, writes=writes)
        return wire.result_of(reply.content, writes=writes)


def _say(cause: Exception) -> str:
    return str(cause) or type(cause).__name__
