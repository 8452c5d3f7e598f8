"""Odoo's JSON-RPC: one call, and every failure as one of the classes that dispatch acts on."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import msgspec

from tillwire.connectors.erp import CallWatch, failure_kind
from tillwire.connectors.erp_http import MOST_WORDS, ErpHttp, Reply
from tillwire.connectors.odoo.settings import OdooSettings
from tillwire.errors import (
    AuthenticationError,
    ConfigurationError,
    ContractChangedError,
    OutcomeUnknownError,
    RejectedError,
    TillwireError,
    TransientError,
)

_DENIED = {"odoo.exceptions.AccessDenied", "odoo.http.SessionExpiredException"}
_REFUSALS = {
    "odoo.exceptions.UserError",
    "odoo.exceptions.ValidationError",
    "odoo.exceptions.MissingError",
    "odoo.exceptions.RedirectWarning",
    "odoo.exceptions.CacheMiss",
}
_ROLLED_BACK = ("psycopg2.", "odoo.exceptions.ConcurrencyError", "odoo.exceptions.LockError", "odoo.sql_db.PoolError")
"""What Odoo itself has tried again and given up, all of it undone."""


class OdooRpc:
    """Calls to the methods of Odoo's models as one user. Every call is a transaction of Odoo's: all of it or nothing.

    For one thread at a time.
    """

    def __init__(self, settings: OdooSettings) -> None:
        self._settings = settings
        self._uid: int | None = None
        self._numbers = count(1)
        self.context: dict[str, Any] = {"lang": "en_US"}
        """Goes with every call. The language, so that Odoo's words can be told apart."""
        self._http = ErpHttp(
            settings.url,
            authorize=self._logged_in,
            renew=self._forget,
            timeout_s=settings.timeout_s,
            connect_timeout_s=settings.connect_timeout_s,
            headers={"Content-Type": "application/json"},
        )

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call from now on."""
        self._http.watch = watch

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def read(self, model: str, method: str, *args: Any, **named: Any) -> Any:
        """What a method answers that changes nothing. Raises what ``request`` of the kit does."""
        return self._call(model, method, args, named, writes=False)

    def write(self, model: str, method: str, *args: Any, **named: Any) -> Any:
        """What a method answers that changes the books; as ``read``, and ``RejectedError`` in Odoo's words."""
        return self._call(model, method, args, named, writes=True)

    def _call(self, model: str, method: str, args: tuple[Any, ...], named: Mapping[str, Any], *, writes: bool) -> Any:
        def body() -> bytes:
            settings = self._settings
            kwargs = {**named, "context": self.context}
            given = [settings.database, self._uid, settings.api_key, model, method, list(args), kwargs]
            return self._body("object", "execute_kw", given)

        reply = self._http.request("POST", "/jsonrpc", writes=writes, content=body, expired=_is_denied)
        return self._result(reply, f"{model}.{method}")

    def _logged_in(self) -> Mapping[str, str]:
        if self._uid is None:
            settings = self._settings
            given = [settings.database, settings.username, settings.api_key, {}]
            body = self._body("common", "authenticate", given)
            reply = self._http.plain("POST", "/jsonrpc", content=body, headers={"Content-Type": "application/json"})
            uid = self._result(reply, "authenticate")
            if not isinstance(uid, int) or isinstance(uid, bool):
                raise self._told(
                    AuthenticationError(
                        f"Odoo does not know {settings.username!r} with this API key in {settings.database!r}: make a "
                        "new key in the user's preferences"
                    )
                )
            self._uid = uid
        return {}

    def _forget(self) -> None:
        self._uid = None

    def _body(self, service: str, method: str, args: list[Any]) -> bytes:
        params = {"service": service, "method": method, "args": args}
        number = next(self._numbers)
        return msgspec.json.encode({"jsonrpc": "2.0", "method": "call", "params": params, "id": number})

    def _result(self, reply: Reply, what: str) -> Any:
        if reply.status != 200:
            words = f"{reply.where} answered {reply.status}: {reply.text()[:300]}"
            raise self._told(ContractChangedError(f"{words}; is this Odoo's address, and JSON-RPC on?"))
        content = reply.json()
        if not isinstance(content, dict) or content.get("jsonrpc") != "2.0":
            raise self._told(reply.unreadable("no JSON-RPC answer"))
        if "error" in content:
            error = _error(content["error"], what, writes=reply.writes)
            if not reply.writes and isinstance(error, RejectedError):
                # What is only read is not ours to be refused: a record or a method is not there.
                error = ContractChangedError(f"Odoo, {what}: {error}")
            raise self._told(error)
        return content.get("result")  # Odoo leaves it out where a method returns nothing

    def _told(self, error: TillwireError) -> TillwireError:
        """The error, once who watches has been told of it."""
        kind = failure_kind(error)
        if kind is not None:
            self._http.watch.failed(kind, str(error))
        return error


def _fault(content: Any) -> tuple[str, str]:
    """The name of the exception in Odoo, and its words."""
    error = content if isinstance(content, dict) else {}
    data = error.get("data")
    data = data if isinstance(data, dict) else {}
    words = data.get("message") or error.get("message") or "no words"
    return str(data.get("name") or ""), str(words)[:MOST_WORDS]


def _is_denied(reply: Reply) -> bool:
    """True for "log in", which Odoo says with status 200."""
    if reply.status != 200 or b'"error"' not in reply.body:
        return False
    try:
        content = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, RecursionError):
        return False
    error = content.get("error") if isinstance(content, dict) else None
    return isinstance(error, dict) and (error.get("code") == 100 or _fault(error)[0] in _DENIED)


def _error(content: Any, what: str, *, writes: bool) -> TillwireError:
    name, words = _fault(content)
    told = f"Odoo, {what}: {words}"
    if name in _REFUSALS:
        return RejectedError(words)
    if name in _DENIED or name == "odoo.exceptions.AccessError":
        return AuthenticationError(told)
    if "database" in words and "does not exist" in words:
        return ConfigurationError(told)
    if name.startswith(_ROLLED_BACK):
        # An exception is an answer: Odoo has undone the call's transaction before it told.
        lost = name in ("psycopg2.InterfaceError", "psycopg2.OperationalError") and "closed" in words
        return OutcomeUnknownError(told) if lost and writes else TransientError(told)
    return ContractChangedError(f"{told} ({name or 'no name'})")
