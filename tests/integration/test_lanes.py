"""Lanes: who sends what when, whichever process is alive, and whatever ERPs there are."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from builders import DAY, sale
from driving import rows, scalar, until
from erp_fake import (
    STORES,
    FakeErp,
    Hours,
    Killed,
    assert_booked_once,
    build,
    deal,
    make_lane,
    policies,
    references,
    several_days,
    states,
    three_journals,
)
from plain_erp import PlainConnector, PlainErp

from tillwire.config import ErpInstance, ErpPolicy
from tillwire.config import Posting as PostingSettings
from tillwire.connectors.simulation import Faults
from tillwire.database import sql
from tillwire.errors import TransientError
from tillwire.posting.dispatch import Dispatcher
from tillwire.posting.gate import Budget
from tillwire.posting.lane import Lane

TWO = policies(concurrency=2)[0]
THREE = policies(concurrency=3)[0]


@pytest.fixture
def hours(connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Hours:
    return Hours(connection, monkeypatch)


@pytest.fixture
def erp() -> FakeErp:
    return FakeErp()


@contextlib.contextmanager
def a_lane(url: str, erp: FakeErp, policy: ErpPolicy | None = None, **more: Any) -> Iterator[Lane]:
    """A lane of a process of its own."""
    connector = erp.connector(**{name: more.pop(name) for name in ("takes", "most_lanes") if name in more})
    with psycopg.connect(url, autocommit=True) as connection:
        yield make_lane(connection, connector, policy, **more)


def sent(erp: FakeErp) -> list[str]:
    """References in the order in which they were sent."""
    return [reference for name, some in erp.calls if name == "post" for reference in some]


# ---------------------------------------------------------------- order


def test_oldest_business_date_first(database_url: str, connection: psycopg.Connection, erp: FakeErp) -> None:
    several_days(database_url, connection, 3)
    with a_lane(database_url, erp, policies(batch_journals=2)[0]) as lane:
        while lane.work():
            pass
    assert sent(erp) == references(connection)
    dates = [reference.split("/")[2] for reference in sent(erp)]
    assert dates == sorted(dates)


def test_a_store_keeps_to_its_lane_and_its_order(
    database_url: str, connection: psycopg.Connection, erp: FakeErp
) -> None:
    several_days(database_url, connection, 2)
    deal(connection)
    with a_lane(database_url, erp, TWO, number=0) as first, a_lane(database_url, erp, TWO, number=1) as second:
        assert second.work() == 2
        assert {reference.split("/")[1] for reference in sent(erp)} == {STORES[1]}
        assert first.work() == 4
    assert_booked_once(erp, references(connection))


def test_what_was_built_first_goes_first_within_a_day(
    database_url: str, connection: psycopg.Connection, erp: FakeErp
) -> None:
    """Whatever stands in the references: a day's second journal is its later one."""
    three_journals(database_url, connection)
    connection.execute("UPDATE journal SET store = '101', reference = 'x/' || 9 - journal_id")
    built = rows(connection, "SELECT reference FROM journal ORDER BY journal_id")
    with a_lane(database_url, erp) as lane:
        lane.work()
    assert sent(erp) == [reference for (reference,) in built]
    assert sent(erp) != sorted(sent(erp))


@pytest.mark.parametrize("stock", [False, True])
def test_what_waits_is_read_in_the_order_of_its_index(
    database_url: str, connection: psycopg.Connection, erp: FakeErp, stock: bool
) -> None:
    """However much waits, a batch costs a batch: nothing is sorted but what was found."""
    three_journals(database_url, connection)
    connection.execute("SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off")
    query = sql.load("tillwire.posting", "lane.sql").to_send
    asked = {"companies": ["ACME"], "stock": stock, "lanes": 2, "number": 1, "never": ["invoice"], "most": 50}
    steps = [step for (step,) in connection.execute(b"EXPLAIN (COSTS OFF) " + query.encode(), asked)]
    index = next(place for place, step in enumerate(steps) if "Index Scan using journal_to_send" in step)
    assert sum("Sort Key" in step for step in steps) == 1, steps
    condition = next(step for step in steps[index:] if "Index Cond" in step)
    assert all(part in condition for part in ("company", "kind", "% 32")), steps


def test_money_goes_ahead_of_goods(database_url: str, connection: psycopg.Connection, erp: FakeErp) -> None:
    several_days(database_url, connection, 2)
    stock_of(connection, str(DAY))
    with a_lane(database_url, erp) as lane:
        assert [lane.work() for _ in range(3)] == [3, 3, 0]
    days = [reference.split("/")[2] for reference in sent(erp)]
    assert days == [str(DAY + timedelta(days=1))] * 3 + [str(DAY)] * 3
    kinds = {type(one).__name__ for documents in erp.posted.values() for one in documents}
    assert kinds == {"Journal", "StockDocument"}


def stock_of(connection: psycopg.Connection, day: str) -> None:
    """Make stock documents of a day's journals."""
    body = '{"lines": [{"sku": "milk", "quantity": "-2", "unit": "EA", "reason": "sale"}]}'
    connection.execute(
        "WITH made AS (UPDATE journal SET kind = 'stock' WHERE business_date = %s RETURNING journal_id)"
        " INSERT INTO document_body SELECT journal_id, %s FROM made",
        (day, body),
    )


def test_what_an_erp_does_not_take_waits(database_url: str, connection: psycopg.Connection, erp: FakeErp) -> None:
    several_days(database_url, connection, 2)
    stock_of(connection, str(DAY))
    with a_lane(database_url, erp, takes=frozenset(("journal",))) as lane:
        assert [lane.work() for _ in range(3)] == [3, 0, 0]
        assert lane.idle()
    assert rows(connection, "SELECT kind, state, count(*) FROM journal GROUP BY 1, 2 ORDER BY 1") == [
        ("sales", "posted", 3),
        ("stock", "built", 3),
    ]


def test_a_reversal_goes_after_what_it_takes_back(
    database_url: str, connection: psycopg.Connection, erp: FakeErp, hours: Hours
) -> None:
    several_days(database_url, connection, 2, ("101",))
    first, second = references(connection)
    connection.execute(
        "UPDATE journal SET kind = 'reversal', reverses = (SELECT journal_id FROM journal WHERE reference = %s)"
        " WHERE reference = %s",
        (second, first),
    )
    erp.refused[second] = ("no", "other")
    with a_lane(database_url, erp) as lane:
        lane.work()
        hours(1000)
        lane.work()
        assert states(connection) == {first: "built", second: "rejected"}
        del erp.refused[second]
        connection.execute("UPDATE journal SET state = 'unknown' WHERE state = 'rejected'")
        while lane.work():
            pass
    assert sent(erp) == [second, second, first]
    assert erp.posted[first][0].reverses == second


# ---------------------------------------------------------------- owners


def test_a_lane_has_one_owner_and_others_stand_by(
    database_url: str, connection: psycopg.Connection, erp: FakeErp
) -> None:
    built = three_journals(database_url, connection)
    with a_lane(database_url, erp) as second:
        with a_lane(database_url, erp) as first:
            assert first.own()
            assert not second.own()
            assert second.work() == 0
            assert first.work() == 3
            assert first.own()
        assert until(second.own)
        assert second.work() == 0
    assert_booked_once(erp, built)


def test_a_dead_owners_journals_are_looked_up_by_the_next_and_by_no_other_lane(
    database_url: str, connection: psycopg.Connection, erp: FakeErp, hours: Hours
) -> None:
    built = three_journals(database_url, connection)
    deal(connection)
    erp.script.append("is killed after")
    with a_lane(database_url, erp, TWO, number=0) as dead, pytest.raises(Killed):
        dead.work()
    with a_lane(database_url, erp, TWO, number=1) as other:
        until(other.own)
        other.work()
        assert states(connection) == {built[0]: "sent", built[1]: "posted", built[2]: "sent"}
        with a_lane(database_url, erp, TWO, number=0) as successor:
            until(successor.own)
            successor.work()
    assert [name for name, _ in erp.calls] == ["post", "post", "find"]
    assert_booked_once(erp, built)


def test_lanes_of_two_counts_are_never_owned_at_once(database_url: str, erp: FakeErp) -> None:
    with a_lane(database_url, erp, TWO, number=0) as old, a_lane(database_url, erp, THREE, number=1) as new:
        assert old.own()
        for _ in range(3):
            assert not new.own(), "lane 1 of 3 shares stores with lane 0 of 2"
    until(lambda: a_new_owner(database_url, erp))


def a_new_owner(url: str, erp: FakeErp) -> bool:
    """Whether a lane of the new count can be owned, and then none of the old."""
    with a_lane(url, erp, THREE, number=1) as new, a_lane(url, erp, TWO, number=0) as old:
        return new.own() and not old.own()


def test_after_a_change_of_count_every_journal_is_sent_once(
    database_url: str, connection: psycopg.Connection, erp: FakeErp, hours: Hours
) -> None:
    """A configuration rolls out while lanes of the old one are busy, and one of them dies."""
    several_days(database_url, connection, 3)
    deal(connection)
    small = policies(concurrency=2, batch_journals=1)[0]
    grown = policies(concurrency=3, batch_journals=1)[0]
    with contextlib.ExitStack() as new:
        lanes = [new.enter_context(a_lane(database_url, erp, grown, number=n)) for n in range(3)]
        with contextlib.ExitStack() as old:
            before = [old.enter_context(a_lane(database_url, erp, small, number=n)) for n in range(2)]
            assert all(until(lane.own) for lane in before)
            assert [lane.work() for lane in before] == [1, 1]
            assert [lane.work() for lane in lanes] == [0, 0, 0]
            erp.script.append("is killed after")
            with pytest.raises(Killed):
                before[0].work()
        until(lambda: all(lane.own() for lane in lanes))
        while any(lane.work() for lane in lanes):
            pass
    assert_booked_once(erp, references(connection))


def test_an_erp_may_allow_fewer_lanes_than_asked_for(database_url: str, erp: FakeErp) -> None:
    with a_lane(database_url, erp, policies(concurrency=10)[0], most_lanes=1) as lane:
        assert lane.lanes == 1


# ---------------------------------------------------------------- several ERPs


WEST = ErpInstance(name="west", kind="fake", companies=("WEST*",))
REST = ErpInstance(name="rest", kind="fake")


def two_companies(connection: psycopg.Connection) -> None:
    """The second store belongs to another company."""
    connection.execute("UPDATE journal SET company = 'WEST-1' WHERE store = %s", (STORES[1],))


def test_the_first_erp_that_serves_a_company_gets_its_journals(
    database_url: str, connection: psycopg.Connection, erp: FakeErp
) -> None:
    three_journals(database_url, connection)
    two_companies(connection)
    other = FakeErp()
    all_ = policies(WEST, REST)
    with (
        a_lane(database_url, erp, all_[0], policies=all_) as west,
        a_lane(database_url, other, all_[1], policies=all_) as rest,
    ):
        assert west.work() == 1
        assert rest.work() == 2
        assert west.work() + rest.work() == 0
    query = "SELECT store, erp FROM journal ORDER BY store"
    assert rows(connection, query) == [("101", "rest"), ("102", "west"), ("103", "rest")]


def test_what_is_surely_not_there_may_go_elsewhere(
    database_url: str, connection: psycopg.Connection, erp: FakeErp, hours: Hours
) -> None:
    """A company moves to another ERP: what the old one may hold is settled there first."""
    built = three_journals(database_url, connection)
    old, new = FakeErp(), erp
    before, after = policies(WEST, REST), policies(ErpInstance(name="new", kind="fake"), REST)
    old.script.append("loses the reply")
    with a_lane(database_url, old, before[1], policies=before) as lane:
        lane.work()
    old.posted.pop(built[0])  # of the three, the request of this one was lost as well
    with (
        a_lane(database_url, new, after[0], policies=after) as taker,
        a_lane(database_url, old, after[1], policies=after) as giver,
    ):
        hours(1000)
        assert taker.work() == 0
        giver.work()
        assert rows(connection, "SELECT erp, state FROM journal ORDER BY reference") == [
            (None, "built"),
            ("rest", "posted"),
            ("rest", "posted"),
        ]
        assert giver.work() == 0
        assert taker.work() == 1
    assert sent(new) == [built[0]]


def test_an_erp_down_for_a_day_slows_no_other_and_drains_oldest_first(
    database_url: str, connection: psycopg.Connection, erp: FakeErp, hours: Hours
) -> None:
    several_days(database_url, connection, 4)
    two_companies(connection)
    down, up = erp, FakeErp()
    down.always = TransientError("503")
    all_ = policies(WEST, REST, batch_journals=1)
    with (
        a_lane(database_url, down, all_[0], policies=all_) as west,
        a_lane(database_url, up, all_[1], policies=all_) as rest,
    ):
        turns = 0
        while rest.work():
            west.work()
            turns += 1
        assert turns == 8
        assert len(sent(up)) == 8
        for _ in range(24 * 60):
            hours(60)
            west.work()
        assert len(down.calls) < 24 * 60 + 10, "more than a probe a minute"
        attempts = len(down.calls)
        down.always = None
        hours(60)
        while west.work():
            pass
        assert west.work() == 0
    drained = sent(down)[attempts:]
    assert [one.split("/")[2] for one in drained] == [str(DAY + timedelta(days=n)) for n in range(4)]
    assert scalar(connection, "SELECT count(*) FROM journal WHERE state <> 'posted'") == 0


# ---------------------------------------------------------------- dispatchers at once


class Stop:
    """As a process is asked to stop."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        self._event.wait(seconds)


@contextlib.contextmanager
def dispatchers(url: str, erp_url: str, policy: ErpPolicy, count: int) -> Iterator[None]:
    """So many dispatchers at once, stopped in the end."""
    stop = Stop()
    several = [
        Dispatcher(
            (policy,),
            PostingSettings(idle_ms=20),
            stop,
            connect=lambda: psycopg.connect(url, autocommit=True),
            make_connector=lambda _: PlainConnector(erp_url),
        )
        for _ in range(count)
    ]
    try:
        for one in several:
            one.start()
        yield
    finally:
        stop.set()
        for one in several:
            one.join()


def many_stores(url: str, connection: psycopg.Connection, stores: int, days: int) -> None:
    """Journals of many stores, dealt to lanes."""
    numbers = [str(201 + n) for n in range(stores)]
    several_days(url, connection, days, numbers)
    deal(connection)


def test_four_dispatchers_at_once_keep_the_budget_and_the_concurrency(
    database_url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured at the ERP. The window is scaled: half a second stands for the minute."""
    many_stores(database_url, connection, 25, 4)
    budget = Budget(0.02, 0.1)
    monkeypatch.setattr(Budget, "of", classmethod(lambda *_: budget))
    policy = policies(concurrency=3, batch_journals=3)[0]
    with PlainErp(limit_at_once=3) as erp:
        erp.latency_s = 0.01
        with dispatchers(database_url, erp.url, policy, 4):
            until(lambda: scalar(connection, "SELECT count(*) = 0 FROM journal WHERE state <> 'posted'"), 60)
    assert erp.refused == 0
    assert erp.peak_at_once <= 3
    jitter_s = 0.1
    assert erp.most_in(0.5) <= 6 + (0.5 + jitter_s) / 0.02
    check_books(connection, erp)
    by_store: dict[str, list[str]] = {}
    for reference in erp.order:
        by_store.setdefault(reference.split("/")[1], []).append(reference.split("/")[2])
    assert len(by_store) == 25
    assert all(days == sorted(days) for days in by_store.values())


def check_books(connection: psycopg.Connection, erp: PlainErp) -> None:
    """Every journal is in the ERP's books once, and nothing else."""
    booked = sorted(document.reference for document in erp.books.documents.values())
    assert booked == sorted(references(connection))
    ours = rows(
        connection, "SELECT account, sum(debit - credit) FROM journal_line GROUP BY 1 HAVING sum(debit - credit) <> 0"
    )
    theirs: dict[str, Any] = {}
    for (_, _, account), amount in erp.books.trial_balance().items():
        theirs[account] = theirs.get(account, 0) + amount
    assert theirs == dict(ours)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_four_dispatchers_on_a_bad_line_book_everything_once(
    database_url: str, connection: psycopg.Connection, asynchronous: bool
) -> None:
    many_stores(database_url, connection, 10, 3)
    policy = policies(concurrency=4, batch_journals=4, settle_s=0.5, retry_first_s=0.02, retry_most_s=0.1, poll_s=0.05)[
        0
    ]
    rates: dict[Any, float] = dict.fromkeys(("lost_request", "lost_reply", "cut_reply", "unavailable", "broken"), 0.06)
    faults = Faults(rates=rates, everywhere=True, seed=5, retry_after_s=0)
    with PlainErp(asynchronous=asynchronous, faults=faults) as erp:
        with dispatchers(database_url, erp.url, policy, 4):
            until(lambda: _finished(connection, erp), 90)
        assert sum(erp.injected.values()) > 5
    check_books(connection, erp)


def _finished(connection: psycopg.Connection, erp: PlainErp) -> bool:
    if erp.asynchronous:
        with erp._lock:
            erp.finish_work()
    return bool(scalar(connection, "SELECT count(*) = 0 FROM journal WHERE state <> 'posted'"))


def test_a_lane_that_breaks_down_begins_again(database_url: str, connection: psycopg.Connection) -> None:
    """A fault of ours in the middle of a batch: what was sent is looked up, and nobody need restart anything."""
    built = three_journals(database_url, connection)
    erp = FakeErp()
    erp.script.append(ZeroDivisionError("a bug"))
    stop = Stop()
    dispatcher = Dispatcher(
        policies(settle_s=0.0, retry_first_s=0.01),
        PostingSettings(idle_ms=10),
        stop,
        connect=lambda: psycopg.connect(database_url, autocommit=True),
        make_connector=lambda _: erp.connector(),
    )
    dispatcher.start()
    try:
        until(lambda: set(states(connection).values()) == {"posted"})
    finally:
        stop.set()
        dispatcher.join()
    assert_booked_once(erp, built)


def test_chores_are_done_while_nothing_waits(database_url: str, connection: psycopg.Connection) -> None:
    three_journals(database_url, connection)
    erp, stop = FakeErp(), Stop()
    seen: list[Sequence[str]] = []

    def chore(lane: Lane, own: psycopg.Connection, gate: object) -> None:
        seen.append(list(states(own).values()))

    dispatcher = Dispatcher(
        policies(),
        PostingSettings(idle_ms=10),
        stop,
        connect=lambda: psycopg.connect(database_url, autocommit=True),
        make_connector=lambda _: erp.connector(),
        chore=chore,
    )
    dispatcher.start()
    try:
        until(lambda: seen)
    finally:
        stop.set()
        dispatcher.join()
    assert seen[0] == ["posted"] * 3


def test_taking_from_a_large_backlog_is_quick(database_url: str, connection: psycopg.Connection, erp: FakeErp) -> None:
    """Another ERP's backlog, however large and old, is not looked through."""
    assert build(database_url, connection, sale(1, store="101"))
    connection.execute(
        "INSERT INTO journal (reference, company, store, business_date, version, currency, partition, from_offset,"
        " to_offset, transactions, amount) SELECT 'WEST/' || n, 'WEST', 'w' || n % 500, '2025-01-01'::date + n / 500, 1,"
        " 'USD', 1, n, n + 1, 1, 1 FROM generate_series(1, 50000) AS n"
    )
    connection.execute("ANALYZE journal")
    all_ = policies(WEST, REST)
    with a_lane(database_url, erp, all_[1], policies=all_) as lane:
        lane.own()
        began = time.monotonic()
        assert lane.work() == 1
        for _ in range(20):
            assert lane.work() == 0
        assert time.monotonic() - began < 2
