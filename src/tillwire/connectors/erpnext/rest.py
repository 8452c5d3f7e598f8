"""Frappe's REST API: one call, and every failure as one of the classes that dispatch acts on."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from tillwire.connectors.erp import CallWatch, RejectionKind, failure_kind
from tillwire.connectors.erp_http import MOST_WORDS, ErpHttp, Reply
from tillwire.connectors.erpnext.settings import ErpNextSettings
from tillwire.errors import AuthenticationError, ContractChangedError, RejectedError, TillwireError

_TAGS = re.compile(r"<[^>]*>")
_CLOSED = ("accounting period", "entries before", "fiscal year", "books have been closed")
_NO_ACCOUNT = ("could not find", "does not exist", "is disabled", "group account")
_DOUBLES = {"DuplicateEntryError", "UniqueValidationError"}
_encode = msgspec.json.Encoder(decimal_format="number").encode


MOST_OF_URL = 2_500
"""So many characters of a URL may be values that are looked for: a site's web server takes 4,094 for all of its first
line."""


def looked_for(values: Iterable[str], most: int) -> Iterator[list[str]]:
    """Values in runs that fit one URL, of at most ``most``, in order."""
    run: list[str] = []
    length = 0
    for value in sorted(values):
        own = len(quote(f'"{value}",', safe=""))
        if run and (len(run) >= most or length + own > MOST_OF_URL):
            yield run
            run, length = [], 0
        run.append(value)
        length += own
    if run:
        yield run


class AlreadyThereError(RejectedError):
    """ERPNext refuses a second document with a value that must be unique."""


class GoneError(RejectedError):
    """ERPNext does not have the document that was named."""


class FrappeRest:
    """Calls to one site as one user. Every call is a transaction of Frappe's. For one thread at a time."""

    def __init__(self, settings: ErpNextSettings) -> None:
        self._http = ErpHttp(
            settings.url,
            authorize=lambda: {"Authorization": f"token {settings.api_key}:{settings.api_secret}"},
            timeout_s=settings.timeout_s,
            connect_timeout_s=settings.connect_timeout_s,
            headers={"Accept": "application/json"},
        )

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call from now on."""
        self._http.watch = watch

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def rows(self, doctype: str, filters: Sequence[Any], fields: Sequence[str], *, order: str) -> list[Any]:
        """Every document that matches, with some of its fields."""
        params = {
            "filters": _encode(filters).decode(),
            "fields": _encode(fields).decode(),
            "order_by": order,
            "limit_page_length": "0",
        }
        return list(self._asked("GET", _resource(doctype), params=params))

    def document(self, doctype: str, name: str) -> dict[str, Any]:
        """One document with its tables. Raises ``GoneError``."""
        return dict(self._asked("GET", _resource(doctype, name)))

    def value(self, method: str, params: Mapping[str, str]) -> Any:
        """What a method answers that changes nothing."""
        return self._asked("GET", f"/api/method/{method}", params=params, key="message")

    def insert_many(self, documents: Sequence[Mapping[str, Any]]) -> list[str]:
        """Insert documents, all of them or none; their names in order. Raises ``RejectedError`` in ERPNext's words."""
        names = self._asked("POST", "/api/method/frappe.client.insert_many", body={"docs": documents}, key="message")
        return list(names)

    def submit(self, doctype: str, name: str) -> None:
        """Submit a draft. Raises ``RejectedError`` in ERPNext's words."""
        self._asked("PUT", _resource(doctype, name), body={"docstatus": 1})

    def delete(self, doctype: str, name: str) -> None:
        """Delete a draft."""
        self._asked("DELETE", _resource(doctype, name), key="message")

    def _asked(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        key: str = "data",
    ) -> Any:
        content = None if body is None else _encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        reply = self._http.request(
            method, path, writes=method != "GET", content=content, params=params, headers=headers
        )
        if reply.status != 200 and reply.status != 202:
            error = _error(reply)
            if not reply.writes and type(error) is RejectedError:
                # What is only read is not ours to be refused: a field or a method is not there.
                error = ContractChangedError(f"{reply.where}: {error}")
            raise self._told(error)
        answer = reply.json()
        if not isinstance(answer, dict) or key not in answer:
            raise self._told(reply.unreadable(f"no {key}"))
        return answer[key]

    def _told(self, error: TillwireError) -> TillwireError:
        """The error, once who watches has been told of it."""
        kind = failure_kind(error)
        if kind is not None:
            self._http.watch.failed(kind, str(error))
        return error


def _resource(doctype: str, name: str | None = None) -> str:
    path = f"/api/resource/{quote(doctype)}"
    return path if name is None else f"{path}/{quote(name, safe='')}"


def _error(reply: Reply) -> TillwireError:
    """What a status of 4xx says; 401, 429 and 5xx are told by the kit."""
    try:
        content = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, RecursionError):
        content = None
    if not isinstance(content, dict) or "exc_type" not in content:
        return ContractChangedError(f"{reply.where} answered {reply.status}: {reply.text()[:300]!r}")
    kind, words = str(content["exc_type"]), _words(content)
    if kind in _DOUBLES:
        return AlreadyThereError(words)
    if kind == "PermissionError":
        return AuthenticationError(f"{reply.where}: the user lacks a right: {words}")
    if kind == "DoesNotExistError":
        return GoneError(words)
    return RejectedError(words)


def _words(content: Mapping[str, Any]) -> str:
    """ERPNext's own words: the messages meant for the user, else those of the exception; markup taken out."""
    found: list[str] = []
    try:
        messages = msgspec.json.decode(str(content.get("_server_messages") or "[]"))
        for message in messages if isinstance(messages, list) else ():
            one = msgspec.json.decode(str(message))
            found.append(str(one.get("message", "")) if isinstance(one, dict) else str(one))
    except msgspec.DecodeError:
        found = []
    words = " ".join(found) or str(content.get("exception") or content["exc_type"]).partition(": ")[2]
    plain = html.unescape(_TAGS.sub(" ", words or str(content["exc_type"])))
    return " ".join(plain.split())[:MOST_WORDS]


def rejection_kind(words: str) -> RejectionKind:
    """What ERPNext's words mean, in the English of its sources."""
    told = words.lower()
    if "total debit must be equal to total credit" in told or "debit and credit not equal" in told:
        return "unbalanced"
    if any(one in told for one in _CLOSED):
        return "closed_period"
    if "account" in told and any(one in told for one in _NO_ACCOUNT):
        return "unknown_account"
    return "other"
