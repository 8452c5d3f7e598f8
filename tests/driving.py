"""Driving the parts of a hub inside a test: accept, record, and look at everything that came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import psycopg
from builders import SELLING, Event, raw
from straight import Straight, known

from tillwire import bootstrap
from tillwire.config import Settings
from tillwire.events.recorded import InlineProjection
from tillwire.intake.door import Prepared, read_event
from tillwire.intake.group_commit import GroupCommit
from tillwire.intake.rules import Policy
from tillwire.intake.worker import Worker

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
"""The hub's time in tests: some days after the builders' business dates."""

T = TypeVar("T")


def until(condition: Callable[[], T | None], timeout_s: float = 30.0) -> T:
    """The condition's first true answer."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.02)
    return answer


def prepared(one: Event | bytes) -> Prepared:
    """An event as the door lets it in."""
    read = read_event(one if isinstance(one, bytes) else raw(one))
    assert isinstance(read, Prepared), read
    return read


async def submit(commit: GroupCommit, events: Iterable[Event | bytes]) -> list[str]:
    """Submit events as one request; their statuses."""
    return await commit.submit([prepared(one) for one in events])


def accept(url: str, *requests: Sequence[Event | bytes]) -> list[list[str]]:
    """Accept requests one after the other; the statuses of each."""

    async def run() -> list[list[str]]:
        commit = GroupCommit(url, writers=1)
        await commit.start()
        try:
            return [await submit(commit, request) for request in requests]
        finally:
            await commit.stop()

    return asyncio.run(run())


def make_worker(
    connection: psycopg.Connection,
    projections: Sequence[InlineProjection] | None = None,
    *,
    policy: Policy | None = None,
    **more: Any,
) -> Worker:
    """A worker at the tests' time."""
    chosen = bootstrap.inline_projections() if projections is None else projections
    return Worker(connection, chosen, policy or Policy(), now=lambda: NOW, **more)


def record(url: str, **more: Any) -> int:
    """Record everything that waits; how many events were taken off the queue."""
    with psycopg.connect(url, autocommit=True) as connection:
        worker = make_worker(connection, **more)
        done = 0
        while taken := worker.work_once():
            done += taken
        return done


def load(url: str, *events: Event) -> None:
    """Accept events in one request, and record them."""
    statuses = set(accept(url, events)[0])
    assert statuses == {"accepted"}, statuses
    record(url)


def rows(connection: psycopg.Connection, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    return connection.execute(query.encode(), parameters or None).fetchall()


def scalar(connection: psycopg.Connection, query: str, *parameters: Any) -> Any:
    """The first column of the only row of a query."""
    ((value,),) = rows(connection, query, *parameters)
    return value


_STATE = {
    "sale": "SELECT store, business_date, register, sequence, kind, currency, total, tax, discount FROM sale"
    " ORDER BY 1, 2, 3, 4 NULLS FIRST, total",
    "ledger_entry": "SELECT store, business_date, component, code, currency, amount FROM ledger_entry"
    " ORDER BY 1, 2, 3, 4, 5, 6",
    "stock_movement": "SELECT store, business_date, line, sku, reason, quantity FROM stock_movement"
    " ORDER BY 1, 2, 3, 4, 5, 6",
    "stock_balance": "SELECT store, sku, on_hand FROM stock_balance ORDER BY 1, 2",
    "completeness": "SELECT store, register, business_date, recorded, selling, amount, currency, sequences::text"
    " FROM completeness ORDER BY 1, 2, 3",
    "till_close": "SELECT store, business_date, register, shift, currency, transactions, amount, over_short"
    " FROM till_close ORDER BY 1, 2, 3, 4",
    "store_day": "SELECT store, business_date, opened_offset IS NULL, closed_offset IS NULL, currency, transactions,"
    " amount FROM store_day ORDER BY 1, 2",
    "rule_note": "SELECT store, business_date, rule, lines FROM rule_note ORDER BY 1, 2, 3",
    "master_record": "SELECT type, id, revision, body FROM master_record ORDER BY 1, 2",
    "exception": "SELECT code, key, source, state, message, pointer, amount FROM exception WHERE state <> 'resolved'"
    " ORDER BY 1, 2, 3, 5",
}


def state(connection: psycopg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Everything the hub knows of the business, without the offsets at which it learned it."""
    return {name: rows(connection, query) for name, query in _STATE.items()}


def exception_codes(connection: psycopg.Connection) -> list[str]:
    """The codes of open exceptions that keep an event from being recorded, sorted."""
    query = "SELECT code FROM exception WHERE state = 'open' AND severity = 'blocking' ORDER BY 1"
    return [code for (code,) in rows(connection, query)]


def settings_for(url: str, **more: Any) -> Settings:
    """Settings on a database."""
    return Settings(database_url=url, **more)


def check_projections(connection: psycopg.Connection, events: Iterable[Event]) -> None:
    """Assert that stock, subledger, completeness and control totals are what a straight computation says."""
    expected = Straight(events)

    def table(query: str, keys: int) -> dict[tuple[Any, ...], Any]:
        return {tuple(row[:keys]): row[keys] if len(row) == keys + 1 else row[keys:] for row in rows(connection, query)}

    assert known(table("SELECT store, sku, on_hand FROM stock_balance", 2)) == known(expected.stock)
    moved = table("SELECT store, sku, sum(quantity) FROM stock_movement GROUP BY 1, 2", 2)
    assert known(moved) == known(expected.stock)
    entries = "SELECT store, business_date::text, component, code, sum(amount) FROM ledger_entry GROUP BY 1, 2, 3, 4"
    assert known(table(entries, 4)) == known(expected.ledger)
    counters = table("SELECT store, register, business_date::text, recorded, selling, amount FROM completeness", 3)
    assert counters == {
        place: (count, len(expected.selling[place]), sum(expected.selling[place]))
        for place, count in expected.recorded.items()
    }
    runs = "SELECT store, register, business_date::text, lower(r), upper(r) FROM completeness, unnest(sequences) AS r"
    numbers: dict[tuple[Any, ...], set[int]] = {}
    for *place, first, end in rows(connection, runs):
        numbers.setdefault(tuple(place), set()).update(range(first, end))
    assert numbers == expected.sequences
    tills = "SELECT store, business_date::text, register, shift, transactions, amount, over_short FROM till_close"
    assert table(tills, 4) == expected.tills
    days = "SELECT store, business_date::text, transactions, amount FROM store_day WHERE closed_offset IS NOT NULL"
    assert table(days, 2) == expected.days
    sales = "SELECT store, register, business_date::text, count(*), sum(total) FROM sale WHERE kind = ANY(%s) GROUP BY 1, 2, 3"
    sold = {tuple(row[:3]): tuple(row[3:]) for row in rows(connection, sales, list(SELLING))}
    assert sold == {place: (len(totals), sum(totals)) for place, totals in expected.selling.items() if totals}


def check_effects(connection: psycopg.Connection, events: Iterable[Event]) -> None:
    """The same for events some of which took the place of others, which left rows that add up to nothing."""
    expected = Straight(events)

    def table(query: str, keys: int) -> dict[tuple[Any, ...], Any]:
        found = {tuple(row[:keys]): row[keys:] for row in rows(connection, query)}
        return {place: values[0] if len(values) == 1 else values for place, values in found.items() if any(values)}

    assert table("SELECT store, sku, on_hand FROM stock_balance", 2) == known(expected.stock)
    assert table("SELECT store, sku, sum(quantity) FROM stock_movement GROUP BY 1, 2", 2) == known(expected.stock)
    entries = "SELECT store, business_date::text, component, code, sum(amount) FROM ledger_entry GROUP BY 1, 2, 3, 4"
    assert table(entries, 4) == known(expected.ledger)
    assert table("SELECT store, register, business_date::text, recorded, selling, amount FROM completeness", 3) == {
        place: (count, len(expected.selling[place]), sum(expected.selling[place]))
        for place, count in expected.recorded.items()
    }
    tills = "SELECT store, business_date::text, register, shift, transactions, amount, over_short FROM till_close"
    assert table(tills, 4) == {place: values for place, values in expected.tills.items() if any(values)}
    sales = "SELECT store, register, business_date::text, sum(effect), sum(total) FROM sale WHERE kind = ANY(%s) GROUP BY 1, 2, 3"
    sold = {tuple(row[:3]): tuple(row[3:]) for row in rows(connection, sales, list(SELLING)) if any(row[3:])}
    assert sold == {place: (len(totals), sum(totals)) for place, totals in expected.selling.items() if totals}


def check_event_store(connection: psycopg.Connection, events: int) -> None:
    """Assert that so many events are recorded, each once, with offsets that have no gap, and that no queue is left."""
    partitions = dict(rows(connection, "SELECT partition, next_offset FROM event_partition"))
    assert sum(partitions.values()) == events
    found: dict[int, list[int]] = {partition: [] for partition in partitions}
    for partition, offset in rows(connection, "SELECT partition, event_offset FROM event ORDER BY 1, 2"):
        found[partition].append(offset)
    assert found == {partition: list(range(count)) for partition, count in partitions.items()}
    for partition, count in partitions.items():
        chunks = rows(
            connection, "SELECT first_offset, event_count FROM event_chunk WHERE partition = %s ORDER BY 1", partition
        )
        position = 0
        for first, size in chunks:
            assert first == position
            position += size
        assert position == count
    assert scalar(connection, "SELECT count(*) FROM intake_queue") == 0
