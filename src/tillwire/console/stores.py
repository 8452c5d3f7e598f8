"""``/stores``: every store as a cell, one store, and one of its days."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

import psycopg
from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import Parameter

from tillwire import bootstrap
from tillwire.console.days import HELD, UNDER_WAY, asked_day
from tillwire.console.shell import AnyRequest, node_of, render, words_of
from tillwire.console.tables import Column, exported, table, wants_csv
from tillwire.database import sql
from tillwire.events.partitions import partition_of
from tillwire.exceptions import queue
from tillwire.governance.access import Operation, Reach
from tillwire.http.access import needs, principal_of, reach_of
from tillwire.reconciliation.days import reconcile

_sql = sql.load("tillwire.console", "console.sql")

Number = Annotated[str, Parameter(max_length=64, pattern=r"^[^\x00/]*$")]
STATES = {
    "proven": ("✓", "good", "closed, posted, without a difference"),
    "broken": ("!", "bad", "closed, with a difference"),
    "exceptions": ("?", "warn", "something of it is in exceptions"),
    "selling": ("•", "info", "sells; its day is open"),
    "closed": ("=", "plain", "closed; not all of it is posted yet"),
    "quiet": ("–", "plain", "nothing came on this date"),
}
"""Of a store on a date: a letter, a tone, and what it means."""


class Cell(NamedTuple):
    """One store on one business date."""

    store: str
    name: str
    company: str
    region: str
    currency: str
    zone: str
    state: str
    transactions: int
    amount: Decimal | None
    exceptions: int
    last_seen: datetime | None


def cells(connection: psycopg.Connection, day: date | None, reach: Reach, *, erp: bool) -> list[Cell]:
    """Every store within reach on a business date."""
    known = connection.execute(_sql.stores, {"reach": reach.parameter}).fetchall()
    if day is None:
        return [Cell._make([*row, "quiet", 0, None, 0, None]) for row in known]
    numbers = [row[0] for row in known]
    parameters = {"stores": numbers, "partitions": [partition_of(one) for one in numbers], "day": day}
    figures = {row[0]: row[1:] for row in connection.execute(_sql.store_days, parameters)}
    proofs: dict[str, list[Any]] = {}
    for one in reconcile(connection, first=day, last=day, erp=erp, reach=reach).days:
        proofs.setdefault(one.store, []).append(one)
    found = []
    for row in known:
        transactions, amount, closed, exceptions, seen = figures[row[0]]
        days = proofs.get(row[0], [])
        found.append(
            Cell._make([*row, _state(days, bool(closed), exceptions), transactions or 0, amount, exceptions, seen])
        )
    return found


def _state(days: list[Any], closed: bool, exceptions: int) -> str:
    if not days:
        return "exceptions" if exceptions else "quiet"
    codes = {difference.code for day in days for difference in day.differences}
    if not closed:
        return "exceptions" if exceptions else "selling"
    if not codes:
        return "proven"
    if codes <= UNDER_WAY | HELD:
        return "exceptions" if codes & HELD else "closed"
    return "broken"


_COLUMNS = (
    Column("store", "Store", lambda cell: cell.store),
    Column("name", "Name", lambda cell: cell.name),
    Column("company", "Company", lambda cell: cell.company),
    Column("region", "Region", lambda cell: cell.region),
    Column("state", "State", lambda cell: cell.state),
    Column("transactions", "Transactions", lambda cell: cell.transactions, numeric=True),
    Column("amount", "Sold", lambda cell: cell.amount, numeric=True),
    Column("exceptions", "Exceptions", lambda cell: cell.exceptions, numeric=True),
    Column("seen", "Last recorded", lambda cell: cell.last_seen),
)


@get("/stores", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_SALES))
def stores(request: AnyRequest) -> Response[Any]:
    """Every store, as cells and as a table."""
    node, reach = node_of(request), reach_of(request)
    asked = request.query_params
    with node.reading() as connection:
        day = asked_day(request, connection, reach)
        everything = cells(connection, day, reach, erp=bool(bootstrap.erps(node.settings)))
    companies = sorted({cell.company for cell in everything})
    regions = sorted({cell.region for cell in everything if cell.region})
    chosen = [
        cell
        for cell in everything
        if asked.get("company", "") in ("", cell.company)
        and asked.get("region", "") in ("", cell.region)
        and asked.get("state", "") in ("", cell.state)
    ]
    made = table(request, _COLUMNS, chosen, sort="store", descending=False)
    if wants_csv(request):
        return exported(made, "stores")
    counts = {state: sum(cell.state == state for cell in everything) for state in STATES}
    return render(
        request,
        "stores.html",
        title="Stores",
        day=day,
        cells=chosen,
        made=made,
        states=STATES,
        counts=counts,
        companies=companies,
        regions=regions,
        asked=asked,
    )


def _store(connection: psycopg.Connection, number: str, reach: Reach) -> tuple[Any, ...]:
    rows = connection.execute(_sql.stores, {"reach": sorted(reach.narrowed(number).stores or ())}).fetchall()
    if not rows:
        raise NotFoundException(f"there is no store {number}")
    return tuple(rows[0])


@get("/stores/{number:str}", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_SALES))
def store(request: AnyRequest, number: Number) -> Response[str]:
    """One store: its latest days and what is open."""
    node, reach = node_of(request), reach_of(request)
    with node.reading() as connection:
        record = _store(connection, number, reach)
        days = connection.execute(_sql.recent_days, {"store": number, "most": 35}).fetchall()
        waiting = []
        if principal_of(request).may(Operation.READ_EXCEPTIONS):
            wanted = queue.Filter(
                states=queue.IN_QUEUE, store=number, most=20, reach=reach_of(request, Operation.READ_EXCEPTIONS)
            )
            waiting = queue.found(connection, wanted)
    words = words_of(request)

    def days_words(rows: list[Any]) -> list[str]:
        return [
            f"{words.money(amount, money, record[2])}, {words.number(count)}"
            for _, count, amount, money in reversed(rows)
        ]

    return render(
        request, "store.html", title=f"Store {number}", record=record, days=days, waiting=waiting, days_words=days_words
    )


@get("/stores/{number:str}/{day:date}", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_SALES))
def store_day(request: AnyRequest, number: Number, day: date) -> Response[str]:
    """One day of a store: registers, control totals, gaps, and its proof."""
    node, reach = node_of(request), reach_of(request)
    with node.reading() as connection:
        record = _store(connection, number, reach)
        registers = connection.execute(_sql.registers, {"store": number, "day": day}).fetchall()
        erp = bool(bootstrap.erps(node.settings))
        proof = reconcile(connection, store=number, first=day, last=day, erp=erp, reach=reach)
    return render(
        request,
        "store_day.html",
        title=f"Store {number}, {day}",
        record=record,
        day=day,
        registers=registers,
        proof=proof,
    )


ROUTES = (stores, store, store_day)
