"""Calls to NetSuite's REST web services: records made, SuiteQL asked, refusals in NetSuite's own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import msgspec

from tillwire.connectors.erp import CallWatch, RejectionKind
from tillwire.connectors.erp_http import ErpHttp, Reply
from tillwire.connectors.erp_token import TokenKeeper
from tillwire.connectors.netsuite.access import new_token
from tillwire.connectors.netsuite.settings import NetSuiteSettings
from tillwire.errors import AuthenticationError, ContractChangedError, RejectedError

RECORDS = "/services/rest/record/v1/"
SUITEQL = "/services/rest/query/v1/suiteql"
PAGE = 1_000
"""Rows of one page of SuiteQL, the most there are."""

_encode = msgspec.json.Encoder(decimal_format="number").encode
_THROTTLED = frozenset({"CONCURRENCY_LIMIT_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "SSS_REQUEST_LIMIT_EXCEEDED"})

Row = dict[str, Any]
"""A row of SuiteQL: values are text, columns without a value are missing."""


class RefusalError(RejectedError):
    """NetSuite refuses a record; the message has its words."""

    def __init__(self, message: str, *, kind: RejectionKind, there_already: bool) -> None:
        super().__init__(message)
        self.kind = kind
        self.there_already = there_already


class NetSuiteClient:
    """One integration's calls. For one thread at a time."""

    def __init__(self, settings: NetSuiteSettings, *, transport: httpx2.BaseTransport | None = None) -> None:
        tokens = TokenKeeper(lambda: new_token(self._http, settings))
        self._http = ErpHttp(
            settings.base_url,
            authorize=tokens.headers,
            renew=tokens.forget,
            timeout_s=settings.timeout_s,
            connect_timeout_s=settings.connect_timeout_s,
            headers={"Accept": "application/json"},
            transport=transport,
        )

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call."""
        self._http.watch = watch

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def create(self, record: str, content: Mapping[str, Any]) -> str:
        """Make a record; its internal id. Raises ``RefusalError`` in NetSuite's words, ``OutcomeUnknownError``, and
        what says that nothing has happened."""
        reply = self._http.request(
            "POST",
            RECORDS + record,
            writes=True,
            content=_encode(content),
            headers={
                "Content-Type": "application/json",
                "X-NetSuite-PropertyNameValidation": "Error",
                "X-NetSuite-PropertyValueValidation": "Error",
            },
            throttled=_throttled,
        )
        if reply.status != 204:
            raise _refusal(reply)
        _, _, number = reply.headers.get("location", "").rpartition("/")
        if not number.isdigit():
            raise reply.unreadable("no Location of what was made")
        return number

    def query(self, suiteql: str) -> Iterator[Row]:
        """The rows of a query, page by page. Raises ``TransientError``, ``AuthenticationError``, or
        ``ContractChangedError`` for a query that NetSuite does not take."""
        offset = 0
        while True:
            page = self._page(suiteql, offset)
            yield from page["items"]
            if not page.get("hasMore"):
                return
            offset += PAGE

    def _page(self, suiteql: str, offset: int) -> Row:
        reply = self._http.request(
            "POST",
            SUITEQL,
            writes=False,
            content=_encode({"q": suiteql}),
            params={"limit": str(PAGE), "offset": str(offset)},
            headers={"Content-Type": "application/json", "Prefer": "transient"},
            throttled=_throttled,
        )
        if reply.status != 200:
            _forbidden(reply)
            raise ContractChangedError(f"NetSuite does not take a query: {_words(reply)}; it was: {suiteql[:300]}")
        page = reply.json()
        if not isinstance(page, dict) or not isinstance(page.get("items"), list):
            raise reply.unreadable("no items")
        return page


def quoted(text: str) -> str:
    """``text`` as a literal of SuiteQL."""
    return "'" + text.replace("'", "''") + "'"


def _details(reply: Reply) -> list[dict[str, Any]]:
    """``o:errorDetails`` of a problem; empty if the answer is none."""
    try:
        problem = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, RecursionError):
        return []
    details = problem.get("o:errorDetails") if isinstance(problem, dict) else None
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def _codes(reply: Reply) -> set[str]:
    return {str(detail.get("o:errorCode", "")) for detail in _details(reply)}


def _throttled(reply: Reply) -> bool:
    """NetSuite answers too many calls by 429, its RESTlets by 400 with a code."""
    return reply.status == 400 and bool(_codes(reply) & _THROTTLED)


def _words(reply: Reply) -> str:
    told = [
        " ".join(
            str(detail[name]) if name == "detail" else f"({detail[name]})"
            for name in ("detail", "o:errorCode", "o:errorPath")
            if detail.get(name)
        )
        for detail in _details(reply)
    ]
    return "; ".join(told) or f"{reply.status} {reply.text()[:300]}"


def _forbidden(reply: Reply) -> None:
    if reply.status == 403:
        raise AuthenticationError(f"NetSuite's role may not do this: {_words(reply)}; see the rights it needs")


def _refusal(reply: Reply) -> Exception:
    _forbidden(reply)
    if reply.status in (404, 405, 406, 415):
        return ContractChangedError(f"{reply.where} is not there as its contract says: {_words(reply)}")
    if reply.status < 400:
        return reply.unreadable("what is no answer to a record made")
    words = _words(reply)
    there = "DUP_RCRD" in _codes(reply) or "already exists" in words.lower()
    return RefusalError(words, kind=refusal_kind(words), there_already=there)


def refusal_kind(words: str) -> RejectionKind:
    """The kind of a refusal, by NetSuite's words: its codes (USER_ERROR, INVALID_CONTENT) do not tell."""
    lower = words.lower()
    if "postingperiod" in lower or "posting period" in lower or "accounting period" in lower:
        return "closed_period"
    if "balance" in lower:
        return "unbalanced"
    if ".account" in lower or "account reference key" in lower or "field: account" in lower:
        return "unknown_account"
    return "other"
