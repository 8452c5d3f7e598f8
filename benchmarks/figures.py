"""The figures of the performance budget and how each is measured."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg
import uvloop

from benchmarks import client, sales
from benchmarks.client import BATCH, ONE, Connection, request
from tillwire.hub import Hub


@dataclass(frozen=True)
class Figure:
    """One measured figure against its budget; ``None`` as budget: told for information."""

    figure: str
    value: float
    unit: str
    budget: float | None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """True if the budget is kept."""
        if self.budget is None:
            return None
        return self.value <= self.budget if self.at_most else self.value >= self.budget


def recorded(connection: psycopg.Connection) -> int:
    """How many events the event store holds."""
    row = connection.execute("SELECT sum(next_offset) FROM event_partition").fetchone()
    return int(row[0]) if row else 0


def wait_for(what: str, condition: Callable[[], bool], timeout_s: float = 300.0, every_s: float = 0.02) -> None:
    """Wait until a condition holds. Raises ``TimeoutError`` that says what never came."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s} s")
        time.sleep(every_s)


def drain(connection: psycopg.Connection) -> None:
    """Wait until no event waits for a worker and the relay has caught up."""
    behind = (
        "SELECT coalesce((SELECT sum(cardinality(ordinals)) FROM intake_queue), 0)"
        " + (SELECT sum(next_offset) FROM event_partition)"
        " - coalesce((SELECT sum(next_offset) FROM projection_position WHERE projection = 'relay'), 0)"
    )
    wait_for("the hub to be idle", lambda: connection.execute(behind).fetchone() == (0,))


def send(hub: Hub, bodies: Sequence[bytes], kind: str, *, connections: int) -> dict[int, int]:
    """Send bodies; returns the statuses."""
    prepared = iter([request(body, kind) for body in bodies])
    return dict(uvloop.run(client.send_all(hub.url, prepared, connections=connections)))


def throughput(hub: Hub, bodies: Sequence[bytes], count: int) -> float:
    """Sales per second from the first request to the last of ``count`` sales recorded with all inline effects."""
    prepared = [request(body, BATCH) for body in bodies]
    with psycopg.connect(hub.settings.database_url, autocommit=True) as connection:
        target = recorded(connection) + count
        started = time.monotonic()
        statuses = uvloop.run(client.send_all(hub.url, iter(prepared), connections=4))
        accepted = time.monotonic() - started
        wait_for("sales to be recorded", lambda: recorded(connection) >= target)
        seconds = time.monotonic() - started
        if set(statuses) != {202}:
            raise RuntimeError(f"not everything was accepted: {statuses}")
    print(f"  {count:,} sales: accepted in {accepted:.1f} s, recorded in {seconds:.1f} s")
    return count / seconds


def single_requests(hub: Hub, events: Sequence[dict[str, Any]], *, clients: int = 64) -> float:
    """Single-sale requests per second, validated and on disk."""
    bodies = [request(body[1:-1], ONE) for body in sales.batches(events, 1)]
    started = time.monotonic()
    statuses = uvloop.run(client.send_all(hub.url, iter(bodies), connections=clients))
    seconds = time.monotonic() - started
    if set(statuses) != {202}:
        raise RuntimeError(f"not everything was accepted: {statuses}")
    return len(events) / seconds


def accept_to_visible_ms(
    hub: Hub,
    load: Iterator[dict[str, Any]],
    *,
    per_s: int = 500,
    seconds: int = 20,
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> float:
    """p99 of the time from a sale's answer to its stock being visible, at ``per_s`` sales a second, in ms.

    With ``beside``, for as long as that takes instead of ``seconds``.
    """
    delays: list[float] = []
    every = 10
    over = False

    async def background(until: float) -> None:
        connection = await Connection.open(hub.url)
        started = time.monotonic()
        for n in itertools.count():
            due = started + n * every / per_s
            if over or due > until:
                break
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            body = sales.batches([next(load) for _ in range(every)], every)[0]
            await connection.send(request(body, BATCH))
        connection.close()

    async def probe(n: int, connection: Connection, database: psycopg.AsyncConnection) -> None:
        sale = next(load)
        store = sale["data"]["store"]
        # A probe is known by its sequence number: its movement lies in the ledger once it is visible.
        query = (
            "SELECT 1 FROM sale s JOIN stock_movement m USING (store, business_date, event_offset)"
            " WHERE s.store = %s AND s.business_date = %s AND s.sequence = %s LIMIT 1"
        )
        key = (store, sale["data"]["business_date"], sale["data"]["sequence"])
        await connection.send(request(sales.batches([sale], 1)[0][1:-1], ONE))
        answered = time.monotonic()
        # The database tells nobody when a row becomes visible: looking is the measurement.
        while await (await database.execute(query, key)).fetchone() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        delays.append((time.monotonic() - answered) * 1000)

    async def probes(until: float) -> None:
        connection = await Connection.open(hub.url)
        async with await psycopg.AsyncConnection.connect(hub.settings.database_url, autocommit=True) as database:
            n = 0
            while not over and time.monotonic() < until:
                await probe(n, connection, database)
                n += 1
                await asyncio.sleep(0.02)
        connection.close()

    async def run() -> None:
        nonlocal over
        until = time.monotonic() + (seconds if beside is None else 600)
        going = asyncio.gather(background(until), probes(until))
        if beside is not None:
            await beside()
            over = True
        await going

    uvloop.run(run())
    return statistics.quantiles(delays, n=100)[98]


def sales_beside_prices(hub: Hub, load: Iterator[dict[str, Any]], count: int = 100_000) -> tuple[float, float]:
    """While ``count`` price changes are taken in: p99 of accept to visible at 500 sales/s in ms; and prices a second,
    from the first row sent to the last one recorded.
    """
    bodies = [request(body, client.CSV, "/v1/masterdata/price") for body in sales.price_tables(count, 5_000)]
    seconds = 0.0

    async def prices() -> None:
        nonlocal seconds
        async with await psycopg.AsyncConnection.connect(hub.settings.database_url, autocommit=True) as database:
            query = "SELECT next_offset FROM event_partition WHERE partition = 17"

            async def done() -> int:
                row = await (await database.execute(query)).fetchone()
                return int(row[0]) if row else 0

            target = await done() + count
            connection = await Connection.open(hub.url)
            started = time.monotonic()
            for body in bodies:
                status, _ = await connection.send(body)
                if status != 200:
                    raise RuntimeError(f"prices were answered {status}")
            accepted = time.monotonic() - started
            while await done() < target:  # noqa: ASYNC110 - looking is the measurement
                await asyncio.sleep(0.05)
            seconds = time.monotonic() - started
            connection.close()
            print(f"  {count:,} prices: accepted in {accepted:.1f} s, recorded in {seconds:.1f} s")

    p99 = accept_to_visible_ms(hub, load, beside=prices)
    return p99, count / seconds


def price_lookup_ms(hub: Hub, *, count: int = 2_000) -> float:
    """p99 of a price look-up by HTTP, one after the other, in ms."""
    delays: list[float] = []

    async def run() -> None:
        connection = await Connection.open(hub.url)
        for n in range(count):
            path = f"/v1/masterdata/prices?store=B{n % 4 + 1}&sku=P{n * 7919 % sales.PRODUCTS:07}"
            started = time.monotonic()
            status, _ = await connection.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            delays.append((time.monotonic() - started) * 1000)
            if status != 200:
                raise RuntimeError(f"a price look-up was answered {status}")
        connection.close()

    uvloop.run(run())
    return statistics.quantiles(delays, n=100)[98]


COPIED = (
    "intake_group",
    "intake",
    "event",
    "event_chunk",
    "sale",
    "stock_document",
    "stock_balance",
    "completeness",
)


def plain_copy(hub: Hub, sales_recorded: int) -> float:
    """Sales per second if the same rows are merely copied into the same tables, over two connections."""
    url = hub.settings.database_url
    halves: list[list[tuple[str, bytes]]] = [[], []]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS plain CASCADE; CREATE SCHEMA plain")
        for table in COPIED:
            connection.execute(f"CREATE TABLE plain.{table} (LIKE public.{table} INCLUDING ALL)".encode())
            for half in (0, 1):
                halves[half].append((table, _rows(connection, table, half)))
        connection.execute("CHECKPOINT")
    started = time.monotonic()
    with _threads(lambda half: _copy(url, half), halves):
        pass
    seconds = time.monotonic() - started
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA plain CASCADE")
    return sales_recorded / seconds


def _rows(connection: psycopg.Connection, table: str, half: int) -> bytes:
    """Every second page of a table's rows in the order they were written, as COPY text."""
    query = f"COPY (SELECT * FROM {table} WHERE ((ctid::text::point)[0]::int8 % 2) = {half}) TO STDOUT"
    with connection.cursor() as cursor, cursor.copy(query.encode()) as copy:
        return b"".join(bytes(piece) for piece in copy)


def _copy(url: str, tables: list[tuple[str, bytes]]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for table, rows in tables:
            columns = connection.execute(
                "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
                (f"plain.{table}",),
            ).fetchone()
            assert columns is not None
            statement = f"COPY plain.{table} ({columns[0]}) FROM STDIN"
            with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
                for start in range(0, len(rows), 1 << 20):
                    copy.write(rows[start : start + (1 << 20)])


@contextmanager
def _threads(work: Callable[[Any], None], shares: Sequence[Any]) -> Iterator[None]:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(shares)) as pool:
        list(pool.map(work, shares))
    yield


def memory_mb(hub: Hub) -> float:
    """Resident memory of one API process and one worker at rest, in MB; shared pages counted in each."""
    pids = hub.supervisor.pids
    return sum(psutil.Process(pids[name]).memory_info().rss for name in ("api", "worker-1")) / 1e6
