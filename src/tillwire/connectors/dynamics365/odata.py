"""Calls to Dynamics 365 Finance: OData entities, actions of data management, uploads; tokens of Microsoft Entra."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec

from tillwire.connectors.dynamics365 import batch
from tillwire.connectors.dynamics365.settings import Dynamics365Settings
from tillwire.connectors.erp import CallWatch
from tillwire.connectors.erp_http import ErpHttp, Reply
from tillwire.connectors.erp_token import TokenKeeper, ask_for_token
from tillwire.errors import AuthenticationError, ContractChangedError, RejectedError, TransientError

ACTION = "/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."
_EARLY_S = 120.0
"""So long before it runs out a token is used no more."""

Row = dict[str, Any]


class NotKnownError(RejectedError):
    """Finance knows nothing by this name."""


class FinanceClient:
    """One application's calls. For one thread at a time."""

    def __init__(self, settings: Dynamics365Settings, *, transport: httpx2.BaseTransport | None = None) -> None:
        self._settings = settings
        self._tokens = TokenKeeper(self._new_token, early_s=_EARLY_S)
        self._http = ErpHttp(
            settings.url,
            authorize=self._tokens.headers,
            renew=self._tokens.forget,
            timeout_s=settings.timeout_s,
            connect_timeout_s=settings.connect_timeout_s,
            headers={"Accept": "application/json", "OData-Version": "4.0", "OData-MaxVersion": "4.0"},
            transport=transport,
        )

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call."""
        self._http.watch = watch

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def _new_token(self) -> tuple[str, float]:
        settings = self._settings
        form = {
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
            "scope": f"{settings.url.rstrip('/')}/.default",
        }
        url = f"{settings.login_url.rstrip('/')}/{quote(settings.tenant, safe='')}/oauth2/v2.0/token"
        hint = f"; Microsoft Entra was asked for client {settings.client_id!r}"
        return ask_for_token(self._http, url, form, hint=hint)

    # ---- entities

    def rows(self, entity_set: str, condition: str, select: str) -> Iterator[Row]:
        """The rows that match, of all legal entities, page by page. Raises ``TransientError``, ``AuthenticationError``,
        ``ContractChangedError``."""
        params: dict[str, str] | None = {"$filter": condition, "$select": select, "cross-company": "true"}
        if not condition:
            params = {"$select": select, "cross-company": "true"}
        path = f"/data/{entity_set}"
        while path:
            reply = self._http.request("GET", path, writes=False, params=params)
            if reply.status != 200:
                _forbidden(reply)
                raise ContractChangedError(f"Finance does not take a query of {entity_set}: {words_of(reply)}")
            page = reply.json()
            if not isinstance(page, dict) or not isinstance(page.get("value"), list):
                raise reply.unreadable("no value")
            yield from page["value"]
            path, params = page.get("@odata.nextLink", ""), None

    def create(self, entity_set: str, content: Row) -> Row:
        """Make a row; as Finance has it. Raises ``RejectedError`` in Finance's words, ``OutcomeUnknownError``, and what
        says that nothing has happened."""
        reply = self._http.request(
            "POST",
            f"/data/{entity_set}",
            writes=True,
            content=msgspec.json.encode(content),
            headers={"Content-Type": "application/json"},
        )
        if reply.status != 201:
            raise _refusal(reply)
        made = reply.json()
        if not isinstance(made, dict):
            raise reply.unreadable("no row")
        return made

    def create_all(self, entity_set: str, contents: Sequence[dict[str, object]]) -> list[Row]:
        """Make rows by one call, all of them or none; in their order, as Finance has them. At most ``MOST_ROWS``.
        Raises as ``create``."""
        content_type, body = batch.change_set(entity_set, contents)
        reply = self._http.request(
            "POST", "/data/$batch", writes=True, content=body, headers={"Content-Type": content_type}
        )
        if reply.status not in (200, 202):
            raise _refusal(reply)
        try:
            parts = batch.responses(reply.headers.get("content-type", ""), reply.body)
            refused = next((part for part in parts if part.status >= 400), None)
            if refused is not None:
                raise _refusal(msgspec.structs.replace(reply, status=refused.status, body=refused.body))
            made = [msgspec.json.decode(part.body) for part in parts]
        except (ValueError, msgspec.DecodeError) as wrong:
            raise reply.unreadable(str(wrong)) from wrong
        if len(made) != len(contents) or not all(isinstance(row, dict) for row in made):
            raise reply.unreadable(f"{len(made)} rows for {len(contents)}")
        return made

    def delete(self, entity_set: str, keys: Mapping[str, str]) -> None:
        """Delete a row; one that is not there any more is as good. Raises as ``create``."""
        named = ",".join(f"{name}={quoted(value)}" for name, value in keys.items())
        path = f"/data/{entity_set}({quote(named, safe=chr(39) + '=,')})"
        reply = self._http.request("DELETE", path, writes=True, params={"cross-company": "true"})
        if reply.status not in (200, 204, 404):
            raise _refusal(reply)

    # ---- data management

    def action(self, name: str, content: Row, *, writes: bool = False) -> str:
        """What an action of data management returns. Raises as ``create``; ``NotKnownError`` for an execution that
        Finance does not know."""
        reply = self._http.request(
            "POST",
            ACTION + name,
            writes=writes,
            content=msgspec.json.encode(content),
            headers={"Content-Type": "application/json"},
        )
        if reply.status != 200:
            raise _refusal(reply)
        given = reply.json()
        if not isinstance(given, dict) or not isinstance(given.get("value"), str):
            raise reply.unreadable("no value")
        value: str = given["value"]
        return value

    def upload(self, url: str, package: bytes) -> None:
        """Write a package to where Finance wants it. Raises ``TransientError`` if that does not take it; nothing has
        happened then that matters: a blob that nobody imports is deleted after seven days."""
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/zip"}
        reply = self._http.plain("PUT", url, content=package, headers=headers)
        if reply.status not in (200, 201):
            raise TransientError(f"{reply.where} does not take the package: {reply.status} {reply.text()[:300]}")


def quoted(text: str) -> str:
    """``text`` as a literal of OData."""
    return "'" + text.replace("'", "''") + "'"


def words_of(reply: Reply) -> str:
    """What Finance says: of an error the innermost message, which is its information log."""
    try:
        error = msgspec.json.decode(reply.body)["error"]
        inner = error.get("innererror") or {}
        words = str(inner.get("message") or error["message"])
    except (msgspec.DecodeError, RecursionError, KeyError, TypeError, AttributeError):
        words = reply.text()[:300]
    return f"{words.strip()} ({reply.status})"


def _forbidden(reply: Reply) -> None:
    if reply.status == 403:
        raise AuthenticationError(f"Finance's user may not do this: {words_of(reply)}; see the rights it needs")


def _refusal(reply: Reply) -> Exception:
    _forbidden(reply)
    words = words_of(reply)
    if reply.status < 400:
        return reply.unreadable("what the contract does not say")
    if "not found" in words.lower() and ACTION in reply.where:
        return NotKnownError(words)
    if reply.status in (404, 405, 406, 415):
        return ContractChangedError(f"{reply.where} is not there as its contract says: {words}")
    return RejectedError(words)
