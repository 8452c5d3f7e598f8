"""What faulty events among good ones cost: a worker's throughput with them as a share of the same without."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from benchmarks import sales
from benchmarks.figures import Figure
from tillwire import bootstrap
from tillwire.collector import quiet_garbage_collector
from tillwire.database.migrate import migrate
from tillwire.engines.postgres import EmbeddedPostgres
from tillwire.engines.process import Child
from tillwire.events.recorded import InlineProjection, Recorded
from tillwire.intake.door import Prepared, read_event
from tillwire.intake.group_commit import GroupCommit
from tillwire.intake.rules import Policy
from tillwire.intake.worker import Worker

EVERY = 1_000
"""One event in so many is faulty."""


class _Poisoned(InlineProjection):
    """Cannot take marked sales: at once, or only when the database is asked."""

    tables = ()

    def __init__(self, marked: Callable[[int], bool], *, when: str) -> None:
        self._marked = marked
        self._when = when
        self._seen = False

    def begin(self) -> None:
        self._seen = False

    def apply(self, recorded: Recorded) -> None:
        if self._marked(getattr(recorded.message, "sequence", 1)):
            if self._when == "apply":
                raise RuntimeError("cannot take this sale")
            self._seen = True

    def write(self, connection: psycopg.Connection) -> None:
        if self._seen:
            connection.execute("SELECT 1/0")


def _accept(url: str, events: list[dict[str, Any]]) -> None:
    read = [read_event(msgspec.json.encode(event)) for event in events]
    prepared = [one for one in read if isinstance(one, Prepared)]
    assert len(prepared) == len(events)

    async def run() -> None:
        commit = GroupCommit(url)
        await commit.start()
        try:
            for start in range(0, len(prepared), 100):
                await commit.submit(prepared[start : start + 100])
        finally:
            await commit.stop()

    asyncio.run(run())


def _drained_s(worker: Worker) -> float:
    started = time.monotonic()
    while worker.work_once():
        pass
    return time.monotonic() - started


def _marked(sequence: int) -> bool:
    return sequence % EVERY == 500


def measure(folder: Path, count: int) -> list[Figure]:
    """Four runs of ``count`` sales through one worker: clean, faulty in business, poison in memory, poison in SQL."""
    quiet_garbage_collector()
    server = EmbeddedPostgres(folder)
    with Child(server.spec()):
        server.create_database("poison")
        url = server.url("poison")
        migrate(url)
        with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
            policy = Policy(past_days=36_600)
            plain = Worker(connection, bootstrap.inline_projections(), policy)
            _accept(url, sales.master())
            _accept(url, list(sales.generated(10_000, seed=10)))
            _drained_s(plain)  # master data, warm caches and plans
            rates: dict[str, float] = {}
            for seed, name in enumerate(("clean", "business", "apply", "write"), 11):
                events = list(sales.generated(count, seed=seed))
                worker = plain
                if name == "business":
                    for event in events[500::EVERY]:
                        event["data"]["lines"][0]["sku"] = f"X{seed}"
                elif name != "clean":
                    projections = [*bootstrap.inline_projections(), _Poisoned(_marked, when=name)]
                    worker = Worker(connection, projections, policy)
                    worker.work_once()
                _accept(url, events)
                rates[name] = count / _drained_s(worker)
                print(f"  {name}: {rates[name]:,.0f} sales/s")
            row = connection.execute("SELECT count(*) FROM exception WHERE state = 'open'").fetchone()
            assert row == (3 * len(range(500, count, EVERY)),), row
    share = {name: rate / rates["clean"] for name, rate in rates.items()}
    return [
        Figure("one worker, clean", rates["clean"], "sales/s", None),
        Figure("share of that with 0.1 % faulty in business", share["business"], "", 0.9),
        Figure("share of that with 0.1 % that the hub cannot project", share["apply"], "", None),
        Figure("share of that with 0.1 % that the database refuses", share["write"], "", None),
    ]
