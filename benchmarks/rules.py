"""``python -m benchmarks.rules``: what a sale costs a worker, step by step, and which share of it the rules are.

Decoding, rules and projections are measured alone, in memory, as the best of several rounds; the whole is a worker's
own processor time with a real PostgreSQL, from taking a batch to its commit; the rest is what is left of it. Sales of
four lines, two of them discounted, all taxed by a rate, cash with change; and, for the rules alone, the same with
prices that include tax, with what a source may add, and with faults.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks import sales
from tillwire import bootstrap
from tillwire.database.migrate import migrate
from tillwire.engines.postgres import EmbeddedPostgres
from tillwire.engines.process import Child
from tillwire.events.log import Append
from tillwire.intake.door import Prepared, read_event
from tillwire.intake.group_commit import GroupCommit
from tillwire.intake.rules import Auditor, Policy
from tillwire.intake.worker import Worker
from tillwire.masterdata.snapshot import Snapshot
from tillwire.model.event import EVENT_DECODER, MESSAGE_DECODER

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TODAY = date(2026, 11, 20)
BATCH = 1_000
ROUNDS = 7
Events = list[dict[str, Any]]


def _raw(events: Iterable[dict[str, Any]]) -> list[bytes]:
    return [msgspec.json.encode(event) for event in events]


def best_us(count: int, work: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Microseconds of processor time per sale, in the best of several rounds: other work beside does not count."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found) / count * 1e6


def auditor(policy: Policy | None = None) -> Auditor:
    """An auditor with the master data of the generated sales."""
    snapshot = Snapshot()
    for raw in _raw(sales.master()):
        snapshot.put(EVENT_DECODER.decode(raw).data)
    return Auditor(snapshot, policy or Policy())


def _cents(amount: str) -> int:
    return int(Decimal(amount) * 100)


def _money(cents: int) -> str:
    return str(Decimal(cents).scaleb(-2))


def _inclusive(event: dict[str, Any]) -> None:
    """Prices that include tax, as in most of the world."""
    data = event["data"]
    data["tax_included"] = True
    for line in data["lines"]:
        amount = _cents(line["amount"])
        line["taxes"][0]["amount"] = _money(round(amount * 6 / 106))
    tax = sum(_cents(line["taxes"][0]["amount"]) for line in data["lines"])
    net = sum(_cents(line["amount"]) for line in data["lines"])
    data["tax"], data["total"] = _money(tax), _money(net)
    data["tenders"] = [{"type": "card", "amount": data["total"]}]


def _with_everything(event: dict[str, Any]) -> None:
    """Whatever a talkative source adds: line totals, flags, net, item count, customer."""
    data = event["data"]
    for line in data["lines"]:
        line["tax"] = line["taxes"][0]["amount"]
        line["discount"] = line["discounts"][0]["amount"] if "discounts" in line else "0.00"
        line["tax_included"] = False
    net = sum(_cents(line["amount"]) for line in data["lines"])
    data.update(net=_money(net), item_count="4", customer="c-1")


def _unknown_product(event: dict[str, Any]) -> None:
    event["data"]["lines"][0]["sku"] = "nobody's"


def _wrong_header(event: dict[str, Any]) -> None:
    event["data"]["tax"] = "999.00"


VARIANTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "prices that include tax": _inclusive,
    "with line totals, flags, net, item count": _with_everything,
    "one product unknown": _unknown_product,
    "tax total wrong": _wrong_header,
}


def of_variants(count: int) -> dict[str, float]:
    """Microseconds of the rules alone, per kind of sale."""
    judge = auditor()
    found = {}
    for name, change in {"plain": lambda event: None, **VARIANTS}.items():
        events = list(sales.generated(count, seed=2))
        for event in events:
            change(event)
        decoded = [MESSAGE_DECODER.decode(raw) for raw in _raw(events)]
        found[name] = best_us(
            count, lambda decoded=decoded: [judge.check(one.data, TODAY, one.source) for one in decoded]
        )
    return found


def in_memory(raws: list[bytes]) -> dict[str, float]:
    """Microseconds per sale of what a worker does before it writes."""
    count = len(raws)
    judge = auditor()
    decoded = [MESSAGE_DECODER.decode(raw) for raw in raws]
    checked = [(raw, one, judge.check(one.data, TODAY)[1]) for raw, one in zip(raws, decoded, strict=True)]

    def project() -> None:
        append = Append(dict.fromkeys(range(17), 0))
        projections = bootstrap.inline_projections()
        for projection in projections:
            projection.begin()
        applies = [projection.apply for projection in projections]
        for ordinal, (raw, one, enrichment) in enumerate(checked):
            recorded = append.add(one, raw, enrichment, partition=1, group_id=1, ordinal=ordinal)
            for apply in applies:
                apply(recorded)

    return {
        "decoding": best_us(count, lambda: [MESSAGE_DECODER.decode(raw) for raw in raws]),
        "rules": best_us(count, lambda: [judge.check(one.data, TODAY, one.source) for one in decoded]),
        "projections, in memory": best_us(count, project),
    }


def _prepared(raw: bytes) -> Prepared:
    read = read_event(raw)
    if not isinstance(read, Prepared):
        raise RuntimeError(f"the door refused a generated event: {read}")
    return read


async def _accept(url: str, raws: list[bytes]) -> None:
    commit = GroupCommit(url, writers=1, most_events=BATCH)
    await commit.start()
    try:
        for i in range(0, len(raws), BATCH):
            await commit.submit([_prepared(raw) for raw in raws[i : i + BATCH]])
    finally:
        await commit.stop()


def whole_us(folder: Path, raws: list[bytes]) -> tuple[float, float]:
    """Microseconds per sale of a worker on a real PostgreSQL: by the clock, and of its own processor time."""
    server = EmbeddedPostgres(folder / "postgres")
    with Child(server.spec()):
        server.create_database("bench")
        url = server.url("bench")
        migrate(url)
        asyncio.run(_accept(url, _raw(sales.master())))
        with psycopg.connect(url, autocommit=True) as connection:
            worker = Worker(connection, bootstrap.inline_projections(), Policy(), most_events=BATCH, now=lambda: NOW)
            while worker.work_once():
                pass
            asyncio.run(_accept(url, raws))
            began, own = time.perf_counter(), time.process_time()
            done = 0
            while taken := worker.work_once():
                done += taken
            wall, own = time.perf_counter() - began, time.process_time() - own
            (held,) = connection.execute("SELECT count(*) FROM exception").fetchone() or (None,)
    if done != len(raws) or held:
        raise RuntimeError(f"{done} of {len(raws)} sales were taken, {held} are in exceptions")
    return wall / done * 1e6, own / done * 1e6


def main() -> None:
    """Measure, and print the profile."""
    parser = argparse.ArgumentParser(description="What a sale costs a worker, and which share of it the rules are.")
    parser.add_argument("--sales", type=int, default=10_000)
    count = parser.parse_args().sales
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    raws = _raw(sales.generated(count, seed=1))
    pieces = in_memory(raws)
    with tempfile.TemporaryDirectory(prefix="tillwire-bench-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        wall, own = whole_us(Path(name), raws)
    console = Console()
    title = f"a worker's processor time for one sale of four lines ({count:,} sales)"
    table = Table("step", "us per sale", "share", title=title)
    for step, cost in {**pieces, "rest (reading, compressing, rows for COPY)": own - sum(pieces.values())}.items():
        table.add_row(step, f"{cost:.1f}", f"{cost / own:.0%}")
    table.add_row("the worker's own processor time", f"{own:.1f}", "")
    table.add_row("by the clock, waiting for the database included", f"{wall:.1f}", "")
    console.print(table)
    kinds = Table("kind of sale", "rules, us per sale")
    for kind, cost in of_variants(min(count, 3_000)).items():
        kinds.add_row(kind, f"{cost:.1f}")
    console.print(kinds)


if __name__ == "__main__":
    main()
