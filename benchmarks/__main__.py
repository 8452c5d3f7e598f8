"""``make bench``: the table of the performance budget, and ``benchmarks/latest.json``."""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks import figures, poison, posting, sales
from benchmarks.client import BATCH
from benchmarks.figures import Figure
from tillwire import config
from tillwire.hub import Hub
from tillwire.replay import replay_inline

console = Console()


def settings() -> config.Settings:
    """The defaults, on a free port, without keys."""
    plain = config.Settings()
    http = msgspec.structs.replace(plain.http, port=0, api_keys="off")
    # The real baskets are of 2017, and stay so.
    rules = msgspec.structs.replace(plain.rules, past_days=36_600)
    return msgspec.structs.replace(plain, http=http, rules=rules)


def measure(folder: Path, count: int, *, real: bool) -> list[Figure]:
    """Every figure, one after the other, on one hub."""
    found: list[Figure] = []
    hub = Hub(folder, settings())
    hub.start()
    try:
        with psycopg.connect(hub.settings.database_url, autocommit=True) as connection:
            found.append(Figure("memory of API and worker at rest", figures.memory_mb(hub), "MB", 250, at_most=True))
            figures.send(hub, sales.batches(sales.master(), 500), BATCH, connections=2)
            figures.drain(connection)
            console.print("sales of four lines")
            rate = figures.throughput(hub, sales.batches(list(sales.generated(count, seed=1)), 100), count)
            found.append(Figure("sales recorded from HTTP, four lines", rate, "sales/s", 6000))
            figures.drain(connection)
            plain = figures.plain_copy(hub, count)
            found.append(Figure("plain COPY of the same rows, two connections", plain, "sales/s", None))
            found.append(Figure("sales recorded as a share of plain COPY", rate / plain, "", 0.18))
            console.print("replay")
            outcome = replay_inline(hub.settings)
            if not outcome.identical:
                raise RuntimeError(f"a replay gave other tables: {outcome.tables}")
            found.append(Figure("rebuild of every projection", outcome.events / outcome.seconds, "events/s", 20_000))
            if real:
                _real_baskets(hub, connection, count, found)
            console.print("single requests")
            singles = list(sales.generated(20_000, seed=3))
            found.append(
                Figure("single-sale requests, 64 clients", figures.single_requests(hub, singles), "requests/s", 4000)
            )
            figures.drain(connection)
            console.print("accept to visible")
            load = itertools.chain(sales.generated(200_000, seed=4))
            p99 = figures.accept_to_visible_ms(hub, load)
            found.append(Figure("accept to visible in stock, p99 at 500 sales/s", p99, "ms", 250, at_most=True))
            figures.drain(connection)
            found += _prices(hub, connection, load)
            console.print("posting")
            found += posting.measure(connection, folder.with_name("posting"), settings())
    finally:
        hub.stop()
    return found


def _prices(hub: Hub, connection: psycopg.Connection, load: Iterator[dict[str, Any]]) -> list[Figure]:
    console.print("sales beside 100,000 price changes")
    p99, per_s = figures.sales_beside_prices(hub, load)
    figures.drain(connection)
    name = "accept to visible, p99 at 500 sales/s while 100,000 price changes are taken in"
    return [
        Figure(name, p99, "ms", 250, at_most=True),
        Figure("prices taken in meanwhile", per_s, "prices/s", None),
        Figure("price look-up, p99", figures.price_lookup_ms(hub), "ms", 10, at_most=True),
    ]


def _real_baskets(hub: Hub, connection: psycopg.Connection, count: int, found: list[Figure]) -> None:
    from tillwire.demo import retailer

    console.print("real baskets")
    known = retailer.Retailer()
    figures.send(hub, sales.joined(retailer.master_events(known), 500), BATCH, connections=2)
    figures.drain(connection)
    rate = figures.throughput(hub, sales.joined(list(retailer.baskets(limit=count, retailer=known)), 100), count)
    found.append(Figure("sales recorded from HTTP, real baskets", rate, "sales/s", 6000))
    figures.drain(connection)


def measure_prices(folder: Path) -> list[Figure]:
    """The figures of sales beside price changes, alone."""
    hub = Hub(folder, settings())
    hub.start()
    try:
        with psycopg.connect(hub.settings.database_url, autocommit=True) as connection:
            figures.send(hub, sales.batches(sales.master(), 500), BATCH, connections=2)
            figures.drain(connection)
            load = sales.generated(200_000, seed=4)
            p99 = figures.accept_to_visible_ms(hub, load, seconds=10)
            alone = Figure("accept to visible in stock, p99 at 500 sales/s", p99, "ms", 250, at_most=True)
            return [alone, *_prices(hub, connection, load)]
    finally:
        hub.stop()


def measure_posting(folder: Path, count: int) -> list[Figure]:
    """The figures of posting, alone."""
    hub = Hub(folder, settings())
    hub.start()
    try:
        with psycopg.connect(hub.settings.database_url, autocommit=True) as connection:
            figures.send(hub, sales.batches(sales.master(), 500), BATCH, connections=2)
            figures.send(hub, sales.batches(list(sales.generated(count, seed=1)), 100), BATCH, connections=4)
            figures.drain(connection)
            return posting.measure(connection, folder.with_name("posting"), settings())
    finally:
        hub.stop()


def show(found: list[Figure]) -> None:
    """The table."""
    table = Table("figure", "value", "unit", "budget", "met")
    for figure in found:
        limit = "" if figure.budget is None else f"{'≤' if figure.at_most else '≥'} {figure.budget:,g}"
        met = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[figure.met]
        value = f"{figure.value:,.2f}" if figure.value < 10 else f"{figure.value:,.0f}"
        table.add_row(figure.figure, value, figure.unit, limit, met)
    console.print(table)


def main() -> None:
    """Measure, print, write JSON."""
    arguments = argparse.ArgumentParser(prog="benchmarks")
    arguments.add_argument("--sales", type=int, default=50_000)
    arguments.add_argument("--prices", action="store_true", help="sales beside price changes, and nothing else")
    arguments.add_argument("--posting", action="store_true", help="journals and their dispatch, and nothing else")
    arguments.add_argument("--poison", action="store_true", help="faulty events among good ones, and nothing else")
    arguments.add_argument("--no-real", action="store_true", help="leave out the real baskets")
    arguments.add_argument("--output", type=Path, default=Path(__file__).with_name("latest.json"))
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="tillwire-bench-") as folder:
        if given.prices:
            show(measure_prices(Path(folder) / "hub"))
            return
        if given.posting:
            show(measure_posting(Path(folder) / "hub", given.sales))
            return
        if given.poison:
            show(poison.measure(Path(folder) / "postgres", given.sales))
            return
        found = measure(Path(folder) / "hub", given.sales, real=not given.no_real)
    show(found)
    rows = [
        {"figure": f.figure, "value": round(f.value, 4), "unit": f.unit, "budget": f.budget, "met": f.met}
        for f in found
    ]
    given.output.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
