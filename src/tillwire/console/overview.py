"""``/``: the way of a sale as it is now, what was sold against what is proven, and what needs a person."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg
from litestar import Response, get

from tillwire import bootstrap
from tillwire.console.charts import Bar, Link, Stop
from tillwire.console.days import HELD, UNDER_WAY, asked_day
from tillwire.console.live import live_of
from tillwire.console.shell import AnyRequest, Words, node_of, render, words_of
from tillwire.database import sql
from tillwire.exceptions import queue
from tillwire.governance.access import Operation
from tillwire.http.access import needs, principal_of, reach_of
from tillwire.posting.backlog import ErpBacklog, backlog
from tillwire.reconciliation.days import Figure, Report, reconcile

_sql = sql.load("tillwire.console", "console.sql")

MOST_CAUSES = 8


class Task(NamedTuple):
    """Something that needs a person."""

    title: str
    detail: str
    money: str
    link: str
    tone: str


@get("/", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_SALES))
def overview(request: AnyRequest) -> Response[str]:
    """The overview of one business date; the newest, if none is asked for."""
    node, words = node_of(request), words_of(request)
    principal, reach = principal_of(request), reach_of(request)
    may_books = principal.may(Operation.READ_LEDGER)
    with node.reading() as connection:
        day = asked_day(request, connection, reach)
        erps = (
            backlog(connection, bootstrap.erps(node.settings), reach=reach_of(request, Operation.READ_LEDGER))
            if may_books
            else []
        )
        risks = connection.execute(_sql.risks, {"reach": reach.parameter}).fetchall()
        tasks = _tasks(connection, request, words, erps)
        report = None
        hours: list[tuple[Any, ...]] = []
        if day is not None:
            report = reconcile(connection, first=day, last=day, erp=bool(bootstrap.erps(node.settings)), reach=reach)
            hours = connection.execute(_sql.hours, {"day": day, "reach": reach.parameter}).fetchall()
    stops, links = _way(words, node.backlog, live_of(node).rate(), risks, erps, report, may_books=may_books)
    return render(
        request,
        "overview.html",
        title="Overview",
        day=day,
        stops=stops,
        links=links,
        proofs=_proofs(words, report) if report else [],
        hours=_hours(words, hours),
        tasks=tasks,
        figures=_figures(report),
    )


def _way(
    words: Words,
    waiting: int,
    rate: float | None,
    risks: list[tuple[Any, ...]],
    erps: list[ErpBacklog],
    report: Report | None,
    *,
    may_books: bool,
) -> tuple[list[Stop], list[Link]]:
    stores = len({day.store for day in report.days}) if report else 0
    held = sum(row[3] for row in risks)
    recorded = _total(report, "recorded") if report else Figure()
    stops = [
        Stop("Sources", f"{words.number(stores)} stores", "sold on this date", "plain", "/stores"),
        Stop("Hub", f"{words.number(recorded.count)} sales", "recorded on this date", "plain", "/transactions"),
    ]
    accepting = Link(
        "–" if rate is None else f"{words.number(round(rate, 1))}/s",
        f"{words.number(waiting)} waiting" if waiting else "nothing waits",
        "warn" if waiting > 10_000 else "good" if rate else "plain",
    )
    links = [accepting]
    if not may_books:
        return stops, links
    posted = _total(report, "posted") if report else Figure()
    backlogged = sum(one.states["waiting"].journals for one in erps if "waiting" in one.states)
    broken = [one for one in erps if one.breaker == "open" or "rejected" in one.states]
    links.append(
        Link(
            f"{words.number(backlogged)} journals",
            "wait to be sent" if backlogged else "nothing waits",
            "bad" if broken else "good" if erps else "plain",
        )
    )
    detail = f"{len(broken)} need somebody" if broken else "all are well" if erps else "none is configured"
    stops.append(Stop("ERPs", f"{words.number(posted.count)} posted", detail, "bad" if broken else "plain", "/posting"))
    if held:
        stops[1] = stops[1]._replace(detail=f"{words.number(held)} in exceptions", tone="warn")
    return stops, links


def _total(report: Report, name: str) -> Figure:
    found = Figure()
    for day in report.days:
        found = Figure(found.count + (getattr(day, name) or Figure()).count, found.amount)
    return found


def _figures(report: Report | None) -> dict[str, int]:
    if report is None:
        return {"days": 0, "proven": 0, "open": 0, "broken": 0}
    days = report.days
    broken = [day for day in days if any(one.code not in UNDER_WAY | HELD for one in day.differences)]
    proven = [day for day in days if day.captured is not None and not day.differences]
    return {
        "days": len(days),
        "proven": len(proven),
        "open": sum(day.captured is None for day in days),
        "broken": len([day for day in broken if day.captured is not None]),
    }


def _proofs(words: Words, report: Report) -> list[tuple[str, list[Bar]]]:
    """Per currency: what the stores say, what is recorded, posted and confirmed."""
    found = []
    for currency, sums in sorted(report.totals.items()):
        rows = [
            ("captured", "Told by the stores", "plain"),
            ("recorded", "Recorded", "info"),
            ("in_exceptions", "In exceptions", "warn"),
            ("posted", "Posted to the ERP", "accent"),
            ("acknowledged", "Read back and the same", "good"),
        ]
        found.append(
            (
                currency,
                [
                    Bar(
                        title,
                        sums[name].amount,
                        f"{words.money(sums[name].amount, currency)} · {words.number(sums[name].count)}",
                        tone,
                    )
                    for name, title, tone in rows
                    if name != "in_exceptions" or sums[name].count
                ],
            )
        )
    return found


def _hours(words: Words, rows: list[tuple[Any, ...]]) -> list[tuple[str, list[Any], list[str], list[str]]]:
    """Per currency: amounts by hour, the hours, and both in words."""
    by_currency: dict[str, dict[int, tuple[int, Decimal]]] = defaultdict(dict)
    for currency, hour, count, amount in rows:
        by_currency[currency][hour] = (count, amount)
    found = []
    for currency, hours in sorted(by_currency.items()):
        span = range(min(hours), max(hours) + 1)
        values = [hours.get(hour, (0, Decimal(0))) for hour in span]
        said = [f"{words.money(amount, currency)}, {words.number(count)} transactions" for count, amount in values]
        found.append((currency, [amount for _, amount in values], [f"{hour:02}" for hour in span], said))
    return found


def _tasks(connection: psycopg.Connection, request: AnyRequest, words: Words, erps: list[ErpBacklog]) -> list[Task]:
    """ERPs that are in trouble, then causes by the money at risk."""
    tasks = []
    for one in erps:
        rejected = one.states.get("rejected")
        if one.breaker == "open":
            tasks.append(Task(f"ERP {one.erp} is left alone", one.reason, _sum(words, one), "/posting", "bad"))
        elif rejected is not None:
            detail = f"{words.number(rejected.journals)} journals refused"
            money = ", ".join(words.money(amount, currency) for currency, amount in rejected.amounts.items())
            tasks.append(
                Task(f"ERP {one.erp} refuses journals", detail, money, "/posting/journals?state=rejected", "bad")
            )
    if principal_of(request).may(Operation.READ_EXCEPTIONS):
        for cause in queue.causes(connection, reach=reach_of(request, Operation.READ_EXCEPTIONS))[:MOST_CAUSES]:
            money = ", ".join(words.money(each.amount, each.currency) for each in cause.money) or "no money at risk"
            waits = cause.states["approval"]
            detail = f"{words.number(cause.exceptions)} exceptions, {cause.owner}" + (
                f", {waits} to approve" if waits else ""
            )
            tasks.append(Task(cause.cause.replace("_", " "), detail, money, f"/exceptions/causes/{cause.name}", "warn"))
    return tasks


def _sum(words: Words, one: ErpBacklog) -> str:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for state in one.states.values():
        for currency, amount in state.amounts.items():
            sums[currency] += amount
    return ", ".join(words.money(amount, currency) for currency, amount in sorted(sums.items())) or "nothing waits"
