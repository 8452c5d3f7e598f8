"""The resource journalBatches of a simulated pod: queries, children in pages, deletions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from tillwire.connectors.oracle_fusion.client import BATCHES
from tillwire.connectors.oracle_fusion.simulator_files import InterfaceRow
from tillwire.connectors.simulation import Answer, Request, json_answer

MOST_ROWS = 500
_OPTIONS = {"q", "fields", "orderBy", "onlyData", "limit", "offset"}
_MEANINGS = {"U": "Unposted", "P": "Posted", "A": "Error"}
_FIELDS = (
    "JeBatchId",
    "BatchName",
    "BatchDescription",
    "Status",
    "StatusMeaning",
    "ErrorMessage",
    "RunningTotalDr",
    "UserJeSourceName",
)


class WrongQueryError(ValueError):
    """The query cannot be answered."""

    def __init__(self, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.status = status


class SimulatedBatch:
    """One journal batch with one journal."""

    def __init__(self, batch_id: int, name: str, rows: list[InterfaceRow]) -> None:
        self.batch_id = batch_id
        self.name = name
        self.rows = rows
        self.status = "U"
        self.trouble = ""

    @property
    def reference(self) -> str:
        """Ours."""
        return self.rows[0].reference

    @property
    def key(self) -> str:
        """Of its journal header: nothing that a client could compute."""
        return hashlib.sha256(self.name.encode()).hexdigest().upper()[:32]

    def told(self) -> dict[str, Any]:
        """As the resource answers it."""
        return {
            "JeBatchId": self.batch_id,
            "BatchName": self.name,
            "BatchDescription": self.rows[0].description,
            "Status": self.status,
            "StatusMeaning": _MEANINGS[self.status],
            "ErrorMessage": self.trouble or None,
            "RunningTotalDr": _number(sum((row.debit for row in self.rows), Decimal(0))),
            "UserJeSourceName": self.name.split(" ")[1],
        }


def answer_batches(batches: dict[int, SimulatedBatch], locked: set[int], request: Request) -> Answer:
    """The answer to a call of this resource. Raises ``WrongQueryError``."""
    parts = request.path.removeprefix(BATCHES).strip("/").split("/")
    if request.method == "DELETE":
        return _delete(batches, locked, parts)
    if request.method != "GET" or set(request.query) - _OPTIONS:
        raise WrongQueryError(f"{request.method} with {sorted(request.query)} isn't supported")
    if request.headers.get("rest-framework-version", "1") in ("1",):
        raise WrongQueryError("the query needs version 2 or later of the REST framework")
    if parts == [""]:
        keep = _condition(request.query.get("q", ""))
        return _page([batch.told() for batch in batches.values() if keep(batch)], request, _FIELDS)
    batch = batches.get(int(parts[0])) if parts[0].isdigit() else None
    if batch is None:
        raise WrongQueryError("Not Found", 404)
    if parts[1:] == ["child", "journalHeaders"]:
        return _page([_header(batch)], request, None)
    if parts[1:] == ["child", "journalHeaders", batch.key, "child", "journalLines"]:
        return _page([_line(number, row) for number, row in enumerate(batch.rows, start=1)], request, None)
    raise WrongQueryError("Not Found", 404)


def _delete(batches: dict[int, SimulatedBatch], locked: set[int], parts: list[str]) -> Answer:
    batch = batches.get(int(parts[0])) if len(parts) == 1 and parts[0].isdigit() else None
    if batch is None:
        raise WrongQueryError("Not Found", 404)
    if batch.status == "P" or batch.batch_id in locked:
        raise WrongQueryError("You can't delete this journal batch because it's posted, or being approved.")
    del batches[batch.batch_id]
    return Answer(204)


def _condition(told: str) -> Callable[[SimulatedBatch], bool]:
    """``BatchName LIKE 'x%' or ...``, or ``UserJeSourceName='x' and Status='U'``."""
    likes = re.findall(r"BatchName LIKE '([^'%]+)%'", told)
    if likes and told == " or ".join(f"BatchName LIKE '{like}%'" for like in likes):
        return lambda batch: batch.name.startswith(tuple(likes))
    equal = re.fullmatch(r"UserJeSourceName='([^']+)' and Status='([A-Z])'", told)
    if equal:
        return lambda batch: batch.name.split(" ")[1] == equal[1] and batch.status == equal[2]
    raise WrongQueryError(f"URL request parameter q with value {told} isn't valid")


def _page(items: list[dict[str, Any]], request: Request, fields: tuple[str, ...] | None) -> Answer:
    wanted = request.query.get("fields", "").split(",") if "fields" in request.query else None
    if wanted is not None and fields is not None and set(wanted) - set(fields):
        raise WrongQueryError(f"fields {sorted(set(wanted) - set(fields))} aren't valid")
    limit = min(int(request.query.get("limit", "25")), MOST_ROWS)
    offset = int(request.query.get("offset", "0"))
    page = [
        {name: value for name, value in item.items() if wanted is None or name in wanted}
        for item in items[offset : offset + limit]
    ]
    if request.query.get("onlyData") == "true":
        page = [{name: value for name, value in item.items() if name != "links"} for item in page]
    more = offset + limit < len(items)
    return json_answer({"items": page, "count": len(page), "hasMore": more, "limit": limit, "offset": offset})


def _header(batch: SimulatedBatch) -> dict[str, Any]:
    first = batch.rows[0]
    href = f"https://pod.example.com:443{BATCHES}/{batch.batch_id}/child/journalHeaders/{batch.key}"
    return {
        "JournalName": first.name,
        "JournalDescription": first.description,
        "CurrencyCode": first.currency,
        "DefaultEffectiveDate": first.on.isoformat(),
        "links": [
            {"rel": "self", "href": href, "name": "journalHeaders", "kind": "item"},
            {"rel": "child", "href": f"{href}/child/journalLines", "name": "journalLines", "kind": "collection"},
        ],
    }


def _line(number: int, row: InterfaceRow) -> dict[str, Any]:
    return {
        "JeLineNumber": number,
        "AccountCombination": "-".join(row.segments),
        "EnteredDr": _number(row.debit) if row.debit else None,
        "EnteredCr": _number(row.credit) if row.credit else None,
        "CurrencyCode": row.currency,
        "Description": row.text,
    }


def _number(amount: Decimal) -> msgspec.Raw:
    """A JSON number with the digits of a decimal."""
    return msgspec.Raw(f"{amount.normalize():f}".encode())
