"""``tillwire levels``: service levels as they are now, and a figure's history."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.table import Table

from tillwire import clock
from tillwire.cli.clients import duration
from tillwire.cli.common import DATA, DataFolder, console, print_json, settings_of, styled
from tillwire.errors import TillwireError

app = cyclopts.App(name="levels", help="Service levels: figures, objectives and their error budgets.")

Store = Annotated[str | None, Parameter(help="Of this store only.")]
Json = Annotated[bool, Parameter(negative="", help="As JSON.")]


def in_words(value: Decimal | float | None, unit: str) -> str:
    """A figure's value with its unit, short."""
    if value is None:
        return "–"
    if unit == "ratio":
        return f"{value:.3%}"
    if unit == "seconds":
        if value < 1:
            return f"{value * 1000:.0f} ms"
        return f"{value:.1f} s" if value < 120 else str(timedelta(seconds=int(value)))
    return f"{value:,.2f}" if unit == "money" else f"{value:,.0f}"


@app.default
def show(*, store: Store = None, data: DataFolder = DATA, json: Json = False) -> int:
    """Show every figure and objective as it is now. Exit code 1 if an objective is not met."""
    import psycopg

    from tillwire.observability.levels import levels

    settings = settings_of(data)
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        found = levels(connection, settings.objectives, clock.now(), store=store)
    if json:
        print_json(found)
        return 0
    if found.sampled_at is None:
        console.print("nothing was measured yet: `tillwire observe` (part of `tillwire up`) measures every minute")
    table = Table("objective", "target", "attained", "budget left", "burns (1 h)", "of", "in")
    for one in found.objectives:
        met = "dim" if one.met is None else "green" if one.met else "red"
        table.add_row(
            f"{one.name}: {one.title}",
            f"{one.target:.2%}",
            styled((in_words(one.attained, "ratio"), met)),
            "–" if one.budget_left is None else f"{one.budget_left:.0%}",
            f"{one.burn['1h']:.1f}x",
            f"{one.total:,}",
            f"{one.window_days} d",
        )
    console.print(table)
    figures = Table("figure", "now", "p50", "p95", "by")
    for figure in found.figures:
        parts = ", ".join(f"{part.part} {in_words(part.value, figure.unit)}" for part in figure.parts)
        quantiles = [in_words(figure.quantiles.get(share), figure.unit) for share in ("0.5", "0.95")]
        empty = figure.value is None
        shown = ["" if empty or figure.kind != "distribution" else one for one in quantiles]
        figures.add_row(figure.title, "" if empty and parts else in_words(figure.value, figure.unit), *shown, parts)
    console.print(figures)
    return 1 if any(one.met is False for one in found.objectives) else 0


@app.command(name="history")
def levels_history(
    figure: str,
    *,
    last: Annotated[str, Parameter(help="So far back: 90m, 24h, 28d.")] = "24h",
    grain: Annotated[str, Parameter(help="minute, hour or day.")] = "hour",
    part: Annotated[str, Parameter(help="An ERP, an owner, a currency …, where the figure is told by one.")] = "",
    store: Store = None,
    data: DataFolder = DATA,
    json: Json = False,
) -> None:
    """Show a figure's history; docs/reference/service-levels.md has the names."""
    import psycopg

    from tillwire.observability.figures import FIGURES
    from tillwire.observability.history import history

    if figure not in FIGURES:
        raise TillwireError(f"there is no figure {figure!r}; there are {', '.join(FIGURES)}")
    if grain not in ("minute", "hour", "day"):
        raise TillwireError(f"there is no grain {grain!r}; there are minute, hour and day")
    now = clock.now()
    with psycopg.connect(settings_of(data).database_url, autocommit=True) as connection:
        found = history(
            connection,
            figure,
            since=now - duration(last),
            until=now,
            grain=grain,  # type: ignore[arg-type]
            part=part,
            store=store,
        )
    if json:
        print_json(found)
        return
    unit = FIGURES[figure].unit
    table = Table("at", "value", "p50", "p95", "least", "most", "n", title=FIGURES[figure].title)
    for one in found:
        quantiles = [in_words(one.quantiles.get(share), unit) if one.quantiles else "" for share in ("0.5", "0.95")]
        ends = [in_words(value, unit) for value in (one.least, one.most)]
        table.add_row(f"{one.at:%Y-%m-%d %H:%M}", in_words(one.value, unit), *quantiles, *ends, f"{one.n:,}")
    console.print(table)
