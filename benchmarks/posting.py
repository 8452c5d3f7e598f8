"""The figures of posting: journals built, what dispatch costs a journal, and how long a sale takes to the ERP."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import uvloop

from benchmarks import sales
from benchmarks.client import BATCH, Connection, request
from benchmarks.figures import Figure, drain, send, wait_for
from tillwire import bootstrap, config
from tillwire.connectors import registry
from tillwire.connectors.erp import CallWatch, Pending, Posted, PostingOutcome, Rejected
from tillwire.hub import Hub
from tillwire.model.ledger import Document, DocumentKind, ErpDocument
from tillwire.posting.build import build_journals
from tillwire.posting.gate import Budget, Gate
from tillwire.posting.lane import Lane
from tillwire.posting.policy import PostingPolicy

ERP_MS = 50
"""How long the ERP takes to answer a call."""
PER_S = 20
SECONDS = 30


class _Instant:
    """An ERP that takes everything at once, in no time."""

    name = "instant"
    takes: frozenset[DocumentKind] = frozenset({"journal"})
    most_lanes = 1

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call."""
        self._watch = watch

    def post(self, documents: Sequence[Document]) -> list[PostingOutcome]:
        """Post them."""
        self._watch.before_call()
        return [Posted(one.reference, one.reference, one.reference) for one in documents]

    def find(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """Nothing is ever looked up."""
        return {}

    def finish(self, documents: Sequence[ErpDocument], kind: DocumentKind = "journal") -> list[PostingOutcome]:
        """Nothing is ever left."""
        return [Rejected(one.reference, "no draft is ever left") for one in documents]

    def poll(self, pending: Sequence[Pending]) -> list[PostingOutcome]:
        """Nothing is ever accepted only."""
        return [Rejected(one.reference, "nothing is ever accepted") for one in pending]

    def read_back(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """Nothing is read back."""
        return {}

    def close(self) -> None:
        """Nothing to close."""


def built(connection: psycopg.Connection, plain: config.Settings) -> Iterator[Figure]:
    """How fast journals are built of what was recorded, one per transaction and in summary; leaves those per
    transaction. The days are open: they are trickled."""
    row = connection.execute("SELECT count(*) FROM sale").fetchone()
    assert row is not None
    recorded = row[0]
    book = bootstrap.account_book(plain)
    for mode, unit in (("summary", "transactions/s"), ("transaction", "journals/s")):
        posting = config.Posting(mode=mode, trickle_transactions=1)  # type: ignore[arg-type]
        policy = PostingPolicy(posting)
        with connection.transaction(force_rollback=mode == "summary"):
            started = time.monotonic()
            count = 0
            while made := build_journals(connection, book, policy):
                count += made
            seconds = time.monotonic() - started
        print(f"  {mode}: {count:,} journals of {recorded:,} transactions in {seconds:.1f} s")
        name = "transactions put into summary journals" if mode == "summary" else "journals built, one per transaction"
        yield Figure(name, (recorded if mode == "summary" else count) / seconds, unit, None)


def overhead_ms(connection: psycopg.Connection, most: int = 10_000) -> float:
    """What dispatch itself costs a journal, in ms: states, lines, outcomes, with an ERP that takes no time."""
    (policy,) = config.erp_policies(config.Posting(), config.Erp(), [config.ErpInstance(name="instant", kind="odoo")])
    connector = _Instant()
    gate = Gate(connection, policy, wait=time.sleep, budget=Budget(0.0, 0.0))
    connector.watched_by(gate)
    lane = Lane(connection, connector, policy, gate)
    if not lane.own():
        raise RuntimeError("the lane is taken")
    started = time.monotonic()
    done = 0
    while done < most and (count := lane.work()):
        done += count
    return (time.monotonic() - started) * 1000 / done


def latency(folder: Path, plain: config.Settings) -> list[Figure]:
    """From accepted to acknowledged by an ERP that answers in 50 ms, one journal per sale, as sales come."""
    spec = registry.spec_of("odoo")
    with spec.simulated() as simulator:
        simulator.latency_s = ERP_MS / 1000
        simulator.open_accounts({rule.account for rule in config.DEFAULT_ACCOUNTS})
        erp = config.ErpInstance(name="sim", kind="odoo", settings=simulator.settings(), companies=("1",))
        posting = config.Posting(mode="transaction", trickle_transactions=1, limit_per_min=60_000, idle_ms=20)
        settings = msgspec.structs.replace(plain, posting=posting, erps=(erp,))
        hub = Hub(folder, settings)
        hub.start()
        try:
            with psycopg.connect(hub.settings.database_url, autocommit=True) as connection:
                send(hub, sales.batches(sales.master(), 500), BATCH, connections=2)
                drain(connection)
                uvloop.run(_trickle(hub))
                wait_for("everything to be posted", lambda: _posted(connection) >= PER_S * SECONDS)
                delays = sorted(row[0] for row in connection.execute(_DELAYS).fetchall())
        finally:
            hub.stop()
    rate = f"{PER_S} sales/s, ERP answers in {ERP_MS} ms"
    return [
        Figure(f"accept to acknowledged, p50 at {rate}", statistics.median(delays), "ms", None),
        Figure(f"accept to acknowledged, p99 at {rate}", delays[int(len(delays) * 0.99)], "ms", None),
    ]


_DELAYS = """SELECT extract(epoch FROM j.posted_at - g.received_at)::float8 * 1000
FROM journal j
JOIN event e ON e.partition = j.partition AND e.event_offset = j.from_offset
JOIN intake_group g ON g.group_id = e.group_id
WHERE j.state = 'posted'"""


def _posted(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM journal WHERE state = 'posted'").fetchone()
    return int(row[0]) if row else 0


async def _trickle(hub: Hub) -> None:
    connection = await Connection.open(hub.url)
    started = time.monotonic()
    # A hundred sales in a row are of one store: take them from all of them in turn, as they come in life.
    made: list[dict[str, Any]] = list(sales.generated(PER_S * SECONDS * 20, seed=9))[::20]
    for number, one in enumerate(made):
        await asyncio.sleep(max(0.0, started + number / PER_S - time.monotonic()))
        await connection.send(request(sales.batches([one], 1)[0], BATCH))
    connection.close()


def measure(connection: psycopg.Connection, folder: Path, plain: config.Settings) -> list[Figure]:
    """All figures of posting, on a hub that has recorded sales and closed no day."""
    found = list(built(connection, plain))
    cost = Figure("dispatch, what it costs a journal", overhead_ms(connection), "ms", None)
    return [*found, cost, *latency(folder, plain)]
