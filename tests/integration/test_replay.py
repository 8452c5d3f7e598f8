"""Projections are rebuilt from the event store, identical, while the hub goes on."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from builders import DAY, Event, day_close, line, masters, movement, sale, store, till_close, trading_day
from driving import (
    accept,
    check_event_store,
    check_projections,
    load,
    make_worker,
    record,
    rows,
    scalar,
    settings_for,
    state,
    until,
)
from posting_kit import policy_of

from tillwire import bootstrap, replay
from tillwire.errors import TillwireError
from tillwire.events import follow
from tillwire.posting.build import build_journals
from tillwire.replay import inline_tables, replay_async, replay_inline
from tillwire.sales.hourly import HourlySales

STORES = ("101", "102", "81")
EVENTS: list[Event] = [
    *masters(store("101"), store("102"), store("81")),
    *(one for number in STORES for one in trading_day(number)),
    *trading_day("101", DAY + timedelta(days=1)),
    movement("D-1", [("milk", "100"), ("beer", "3")], unit="EA"),
]
POSTING = (
    "SELECT reference, version, from_offset, to_offset, transactions, amount, state FROM journal ORDER BY 1",
    "SELECT * FROM posting_cursor ORDER BY 1, 2",
    "SELECT * FROM posting_due ORDER BY 1, 2",
    "SELECT reference, line, account, debit, credit FROM journal_line JOIN journal USING (journal_id) ORDER BY 1, 2",
)


@pytest.fixture
def recorded(database_url: str) -> str:
    """A database with some recorded days, one more event that waits in the exceptions, and journals."""
    load(database_url, *EVENTS, sale(99, line("pear")))
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert build_journals(connection, bootstrap.account_book(settings_for(database_url)), policy_of()) == 4
    return database_url


def posting(connection: psycopg.Connection) -> list[list[tuple[Any, ...]]]:
    return [rows(connection, query) for query in POSTING]


def exactly(connection: psycopg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """The inline tables as they are, offsets and all."""
    return {table: sorted(rows(connection, f"SELECT t::text FROM {table} t")) for table in inline_tables()}


def shape(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Columns, indexes, constraints and storage parameters of the inline tables, and the views over them."""
    tables = inline_tables()
    columns = (
        "SELECT table_name, ordinal_position, column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
    )
    indexes = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s) ORDER BY 1, 2"
    options = "SELECT relname, reloptions FROM pg_class WHERE relkind = 'r' AND relname = ANY(%s) ORDER BY 1"
    constraints = (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid::regclass::text = ANY(%s) ORDER BY 1, 2"
    )
    return [
        *rows(connection, columns),
        *rows(connection, indexes, tables),
        *rows(connection, options, tables),
        *rows(connection, constraints, tables),
    ]


def test_a_replay_is_identical_and_leaves_the_rest_alone(recorded: str, connection: psycopg.Connection) -> None:
    before, books, known = exactly(connection), posting(connection), state(connection)
    outcome = replay_inline(settings_for(recorded))
    assert outcome.identical
    assert outcome.events == len(EVENTS)
    assert [table for table, _, _ in outcome.tables] == inline_tables()
    assert {table: count for table, count, _ in outcome.tables} == {
        table: len(found) for table, found in before.items()
    }
    assert exactly(connection) == before
    assert posting(connection) == books
    assert state(connection) == known
    check_projections(connection, EVENTS)


def test_a_replay_leaves_the_schema_as_it_was(recorded: str, connection: psycopg.Connection) -> None:
    before = shape(connection)
    replay_inline(settings_for(recorded), processes=1)
    assert shape(connection) == before


def test_a_replay_mends_what_was_damaged_and_says_so(recorded: str, connection: psycopg.Connection) -> None:
    before = exactly(connection)
    connection.execute("UPDATE stock_balance SET on_hand = on_hand + 1 WHERE store = '101'")
    connection.execute("DELETE FROM sale WHERE store = '102'")
    connection.execute("INSERT INTO rule_note VALUES ('101', '2026-03-02', 'invented', 7)")
    outcome = replay_inline(settings_for(recorded), processes=1)
    assert not outcome.identical
    assert {table for table, _, same in outcome.tables if not same} == {"stock_balance", "sale", "rule_note"}
    assert exactly(connection) == before


def test_a_replay_of_an_empty_hub(database_url: str) -> None:
    outcome = replay_inline(settings_for(database_url))
    assert outcome.identical
    assert outcome.events == 0


def test_the_hub_goes_on_after_a_replay(recorded: str, connection: psycopg.Connection) -> None:
    more = sale(50, line("beer", "2", "24.00", unit="CS"))
    with psycopg.connect(recorded, autocommit=True, prepare_threshold=0) as own:
        worker = make_worker(own)  # with statements prepared on the tables of before
        accept(recorded, [sale(49)])
        assert worker.work_once() == 1
        replay_inline(settings_for(recorded), processes=1)
        accept(recorded, [more])
        assert worker.work_once() == 1
    check_projections(connection, [*EVENTS, sale(49), more])
    assert scalar(connection, "SELECT count(*) FROM posting_due") == 1
    assert replay_inline(settings_for(recorded), processes=1).identical


def test_a_replay_while_workers_record(recorded: str, connection: psycopg.Connection) -> None:
    numbers = iter(range(1000, 100_000))
    done = threading.Event()
    sent: list[Event] = []

    def go_on() -> None:
        while not done.is_set():
            some = [sale(next(numbers), store=STORES[n % 3]) for n in range(6)]
            accept(recorded, some)
            sent.extend(some)
            record(recorded)

    worker = threading.Thread(target=go_on)
    worker.start()
    try:
        until(lambda: len(sent) > 12)
        before = len(sent)
        outcome = replay_inline(settings_for(recorded))
        after = len(sent)
        until(lambda: len(sent) > after)
    finally:
        done.set()
        worker.join(60)
    assert outcome.identical
    assert len(EVENTS) + before <= outcome.events <= len(EVENTS) + after + 6
    record(recorded)
    check_event_store(connection, len(EVENTS) + len(sent))
    check_projections(connection, [*EVENTS, *sent])


def test_a_damaged_event_store_is_told_and_nothing_is_swapped(recorded: str, connection: psycopg.Connection) -> None:
    before = exactly(connection)
    connection.execute(
        "DELETE FROM event_chunk WHERE (partition, first_offset) IN"
        " (SELECT partition, max(first_offset) FROM event_chunk WHERE partition > 0 GROUP BY partition LIMIT 1)"
    )
    with pytest.raises(TillwireError, match="damaged"):
        replay_inline(settings_for(recorded), processes=1)
    assert exactly(connection) == before


def test_replays_do_not_run_side_by_side(
    recorded: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = exactly(connection)
    rebuilt, may_swap = threading.Event(), threading.Event()
    original = replay._catch_up

    def catch_up(*arguments: Any) -> Any:
        if threading.current_thread() is first:
            rebuilt.set()
            assert may_swap.wait(60)
        return original(*arguments)

    monkeypatch.setattr(replay, "_catch_up", catch_up)
    outcomes: list[replay.Outcome] = []
    first = threading.Thread(target=lambda: outcomes.append(replay_inline(settings_for(recorded), processes=1)))
    first.start()
    try:
        assert rebuilt.wait(60)
        with pytest.raises(TillwireError, match="another replay"):
            replay_inline(settings_for(recorded), processes=1)
    finally:
        may_swap.set()
        first.join(60)
    assert [outcome.identical for outcome in outcomes] == [True]
    assert exactly(connection) == before
    assert replay_inline(settings_for(recorded), processes=1).identical


def test_journals_are_built_while_tables_are_swapped(recorded: str, connection: psycopg.Connection) -> None:
    """A builder that has looked at the closed days waits for no table that the swap has taken before it."""
    load(recorded, sale(60))
    failures: list[BaseException] = []

    def run_replay() -> None:
        try:
            replay_inline(settings_for(recorded), processes=1)
        except psycopg.Error as error:
            failures.append(error)

    thread = threading.Thread(target=run_replay)
    book = bootstrap.account_book(settings_for(recorded))
    with psycopg.connect(recorded, autocommit=True) as own:
        with own.transaction():
            own.execute(
                "SELECT 1 FROM posting_due JOIN store_day USING (store, business_date) FOR UPDATE OF posting_due"
            )
            thread.start()
            until(lambda: not thread.is_alive() or waits_for_a_lock(connection))
            assert build_journals(own, book, policy_of()) == 1
        thread.join(60)
    assert failures == []


def waits_for_a_lock(connection: psycopg.Connection) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(scalar(connection, query))


# ---------------------------------------------------------------- async projections


def hourly(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return rows(connection, "SELECT store, business_date::text, hour, currency, transactions, amount FROM hourly_sales")


def timed(one: Event, at: str) -> Event:
    return {**one, "data": {**one["data"], "ended_at": at}}


TIMED = [
    timed(sale(1), "2026-03-02T09:59:59-05:00"),
    timed(sale(2), "2026-03-02T10:00:00-05:00"),
    timed(sale(3), "2026-03-02T10:30:00Z"),
    timed(sale(4, store="102"), "2026-03-03T00:30:00+05:45"),
    {**sale(5), "data": {**sale(5)["data"], "began_at": "2026-03-02T10:15:00-05:00"}},
    sale(6),
    till_close(),
    day_close(),
]
EXPECTED = {
    ("101", "2026-03-02", 9, "USD"): (1, Decimal("4.40")),
    ("101", "2026-03-02", 10, "USD"): (3, Decimal("13.20")),
    ("102", "2026-03-02", 0, "USD"): (1, Decimal("4.40")),
}


def as_expected(connection: psycopg.Connection) -> bool:
    return {row[:4]: row[4:] for row in hourly(connection)} == EXPECTED


@pytest.fixture
def timed_sales(database_url: str) -> str:
    """A database with sales that have a time."""
    load(database_url, *masters(store("101"), store("102")))
    for one in TIMED:
        load(database_url, one)
    return database_url


def test_an_async_projection_follows_at_its_own_pace(timed_sales: str, connection: psycopg.Connection) -> None:
    applied = 0
    steps = 0
    while done := follow.follow_once(connection, HourlySales(), most_chunks=1):
        applied += done
        steps += 1
    assert steps > 2
    assert applied == scalar(connection, "SELECT sum(next_offset) FROM event_partition")
    assert follow.behind(connection, "hourly_sales") == []
    assert as_expected(connection)


def test_a_follower_that_dies_applies_nothing_twice(timed_sales: str, connection: psycopg.Connection) -> None:
    class Dying(HourlySales):
        left = 3

        def project(self, inside: psycopg.Connection, events: Any) -> None:
            super().project(inside, events)
            self.left -= 1
            if self.left == 0:
                raise RuntimeError("killed before the commit")

    dying = Dying()
    with pytest.raises(RuntimeError):
        follow.follow_once(connection, dying, most_chunks=2)
    until(lambda: follow.follow_once(connection, HourlySales()) == 0)
    assert as_expected(connection)


def test_followers_of_one_projection_take_turns(timed_sales: str, connection: psycopg.Connection) -> None:
    barrier = threading.Barrier(3)

    def run() -> None:
        with psycopg.connect(timed_sales, autocommit=True) as own:
            barrier.wait(30)
            while follow.follow_once(own, HourlySales(), most_chunks=1):
                pass

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert as_expected(connection)


def test_an_async_projection_starts_over(timed_sales: str, connection: psycopg.Connection) -> None:
    events = scalar(connection, "SELECT sum(next_offset) FROM event_partition")
    until(lambda: follow.follow_once(connection, HourlySales()) == 0)
    connection.execute("UPDATE hourly_sales SET amount = 0")
    assert replay_async(settings_for(timed_sales), "hourly_sales") == events
    assert as_expected(connection)
    load(timed_sales, timed(sale(7), "2026-03-02T10:59:59-05:00"))
    assert follow.follow_once(connection, HourlySales()) == 1
    totals: dict[int, int] = defaultdict(int)
    for _, _, hour, _, count, _ in hourly(connection):
        totals[hour] += count
    assert totals == {9: 1, 10: 4, 0: 1}


def test_a_projection_that_there_is_not(database_url: str) -> None:
    with pytest.raises(TillwireError, match=r"inline.*hourly_sales"):
        replay_async(settings_for(database_url), "weekly_sales")
    assert {projection.name for projection in bootstrap.async_projections()} == {"hourly_sales"}


def test_every_table_of_a_projection_is_in_the_schema(database_url: str, connection: psycopg.Connection) -> None:
    tables = {table for (table,) in rows(connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    makers: list[Callable[[], Any]] = [bootstrap.inline_projections, bootstrap.async_projections]
    owned = [table for make in makers for projection in make() for table in projection.tables]
    assert set(owned) <= tables
    assert len(owned) == len(set(owned))
