"""The gate before an ERP: its budget, its pauses and its breaker, whoever of all dispatchers comes by."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from driving import rows, scalar
from erp_fake import FakeErp, Hours, make_lane, policies, states, three_journals
from hypothesis import given
from hypothesis import strategies as st

from tillwire.errors import RateLimitedError, TransientError
from tillwire.posting.gate import MARGIN_S, MOST_PAUSE_S, Budget, Gate, probe_now

POLICY = policies(breaker_failures=3, retry_first_s=2.0, retry_most_s=16.0)[0]


@pytest.fixture
def hours(connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Hours:
    return Hours(connection, monkeypatch)


@contextlib.contextmanager
def gates(url: str, count: int, **more: Any) -> Iterator[list[Gate]]:
    """Gates of as many processes."""
    with contextlib.ExitStack() as stack:
        given: dict[str, Any] = {"wait": lambda _: None, "budget": Budget(0.0, 0.0), **more}
        connections = [stack.enter_context(psycopg.connect(url, autocommit=True)) for _ in range(count)]
        yield [Gate(connection, POLICY, **given) for connection in connections]


def call(gate: Gate, *, fails: bool = False) -> None:
    """One call that goes well or does not."""
    gate.before_call()
    if fails:
        gate.failed("unavailable", "503")
    gate.finished()


# ---------------------------------------------------------------- the budget


@given(limit=st.integers(1, 20_000), burst_at=st.lists(st.floats(0, 200), max_size=40))
def test_no_minute_of_the_erps_own_has_more_calls_than_the_limit(limit: int, burst_at: list[float]) -> None:
    """Whenever calls are wanted, and however late (within the margin) each reaches the ERP."""
    budget = Budget.of(limit)
    most = min(limit + 50, 300)
    wanted = sorted([*burst_at, *([0.0] * most), *([90.0] * most)])
    arrival, slots = -math.inf, []
    for moment in wanted:
        arrival = max(arrival, moment) + budget.interval_s
        slots.append(max(moment, arrival - budget.interval_s - budget.burst_s))
    first = 0
    for last, slot in enumerate(slots):
        while slot - slots[first] >= 60 + MARGIN_S - 1e-6:  # sums of binary fractions
            first += 1
        assert last - first + 1 <= limit


def test_a_budget_is_used(database_url: str) -> None:
    """Most of the limit can be used, and a burst needs no waiting."""
    budget = Budget.of(600)
    assert 60 / budget.interval_s > 0.9 * 600
    waited: list[float] = []
    with gates(database_url, 1, budget=budget, wait=waited.append) as (gate,):
        for _ in range(30):
            call(gate)
        assert waited == []
        call(gate)
    assert len(waited) == 1
    assert 0 < waited[0] <= budget.interval_s


def test_the_budget_is_shared_by_all(database_url: str) -> None:
    budget = Budget(0.01, 0.05)
    moments: list[float] = []

    def run(gate: Gate) -> None:
        for _ in range(20):
            gate.before_call()
            moments.append(time.monotonic())

    with gates(database_url, 4, budget=budget, wait=time.sleep) as several:
        began = time.monotonic()
        threads = [threading.Thread(target=run, args=(gate,)) for gate in several]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(moments) == 80
    assert max(moments) - began >= (80 - 6) * 0.01 - 0.01, "all of them together made more calls than the budget allows"


def test_who_dies_in_the_middle_holds_up_nobody(database_url: str, connection: psycopg.Connection) -> None:
    with gates(database_url, 2) as (first, second):
        first.before_call()  # and is never heard of again
        call(second)
    assert scalar(connection, "SELECT failures FROM erp_gate") == 0


# ---------------------------------------------------------------- pauses


def test_what_one_was_told_all_keep(database_url: str, connection: psycopg.Connection, hours: Hours) -> None:
    with gates(database_url, 2) as (first, second):
        first.before_call()
        first.failed("rate_limited", "429", 33.0)
        first.finished()
        assert not second.admit()
        with pytest.raises(TransientError) as caught:
            second.before_call()
        assert 32 < (caught.value.retry_after_s or 0) <= 33
        hours(34)
        assert second.admit()
        call(second)
    assert rows(connection, "SELECT failures, throttled FROM erp_gate") == [(0, 0)]
    assert rows(connection, "SELECT erp, kind FROM erp_incident") == [("erp", "rate_limited")]


def test_without_a_time_pauses_grow(database_url: str, connection: psycopg.Connection, hours: Hours) -> None:
    query = "SELECT extract(epoch FROM paused_until - clock_timestamp())::float8 FROM erp_gate"
    seen = []
    with gates(database_url, 1) as (gate,):
        for _ in range(5):
            gate.before_call()
            gate.failed("rate_limited", "429")
            seen.append(round(scalar(connection, query)))
            hours(20)
    assert seen == [2, 4, 8, 16, 16]


def test_a_short_pause_is_waited_for_in_the_middle_of_a_batch(
    database_url: str, connection: psycopg.Connection, hours: Hours
) -> None:
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        hours(seconds)

    with gates(database_url, 1, wait=wait) as (gate,):
        gate.pause(2.0)
        gate.before_call()
    assert len(waited) == 1
    assert 1.9 < waited[0] <= 2


@pytest.mark.parametrize(("asked_s", "kept_s"), [(1e9, MOST_PAUSE_S), (float("inf"), 0), (-5.0, 0)])
def test_absurd_pauses_are_bounded(
    database_url: str, connection: psycopg.Connection, asked_s: float, kept_s: float
) -> None:
    with gates(database_url, 1) as (gate,):
        gate.pause(asked_s)
    query = "SELECT greatest(0, extract(epoch FROM paused_until - clock_timestamp())) FROM erp_gate"
    connection.execute("UPDATE erp_gate SET paused_until = clock_timestamp() WHERE paused_until = '-infinity'")
    assert round(scalar(connection, query)) == kept_s


def test_who_is_asked_to_stop_stops_while_waiting(database_url: str) -> None:
    stopped: list[float] = []
    more: dict[str, Any] = {"wait": stopped.append, "stopping": lambda: bool(stopped), "budget": Budget(60.0, 0.0)}
    with gates(database_url, 1, **more) as (gate,):
        gate.before_call()
        with pytest.raises(TransientError, match="asked to stop"):
            gate.before_call()


# ---------------------------------------------------------------- the breaker


def open_breaker(gate: Gate) -> None:
    """As many failures as it takes."""
    for _ in range(POLICY.breaker_failures):
        assert gate.admit()
        call(gate, fails=True)


def test_failures_in_a_row_open_it_for_all(database_url: str, connection: psycopg.Connection) -> None:
    with gates(database_url, 2) as (first, second):
        call(first, fails=True)
        call(second, fails=True)
        call(first)  # a success between: they are not in a row
        call(first, fails=True)
        call(second, fails=True)
        assert first.admit()
        call(first, fails=True)
        assert not first.admit()
        assert not second.admit()
        with pytest.raises(TransientError, match="left alone after failures in a row, the last: unavailable: 503"):
            second.before_call()
    assert scalar(connection, "SELECT count(*) FROM erp_incident") == 5


def test_one_of_all_probes_and_a_success_closes_it(
    database_url: str, connection: psycopg.Connection, hours: Hours
) -> None:
    with gates(database_url, 4) as several:
        open_breaker(several[0])
        hours(1.9)
        assert [gate.admit() for gate in several] == [False] * 4
        hours(0.2)
        assert [gate.admit() for gate in several] == [True, False, False, False]
        assert several[0].probing
        several[0].before_call()
        assert not several[1].admit()
        several[0].before_call()  # the first went well
        assert not several[0].probing
        assert [gate.admit() for gate in several] == [True] * 4
    assert rows(connection, "SELECT failures, opened_at, probe_at, reason FROM erp_gate") == [(0, None, None, None)]


def test_probes_that_fail_come_ever_more_rarely(
    database_url: str, connection: psycopg.Connection, hours: Hours
) -> None:
    query = "SELECT extract(epoch FROM probe_at - clock_timestamp())::float8 FROM erp_gate"
    seen = []
    with gates(database_url, 2) as (first, second):
        open_breaker(first)
        seen.append(round(scalar(connection, query)))
        for gate in (second, first, second, first):
            hours(seen[-1] + 0.1)
            assert gate.admit()
            call(gate, fails=True)
            seen.append(round(scalar(connection, query)))
    assert seen == [2, 4, 8, 16, 16]


def test_a_probe_that_died_is_made_by_another_in_time(database_url: str, hours: Hours) -> None:
    with gates(database_url, 2) as (first, second):
        open_breaker(first)
        hours(3)
        assert first.admit()  # and is never heard of again
        hours(POLICY.settle_s - 1)
        assert not second.admit()
        hours(2)
        assert second.admit()


def test_a_probe_that_nothing_was_sent_with_is_given_back(database_url: str, hours: Hours) -> None:
    with gates(database_url, 2) as (first, second):
        open_breaker(first)
        hours(3)
        assert first.admit()
        first.finished()
        assert second.admit()


def test_what_was_under_way_when_it_opened_does_not_put_off_the_probe(
    database_url: str, connection: psycopg.Connection
) -> None:
    with gates(database_url, 2) as (first, second):
        second.before_call()
        open_breaker(first)
        before = rows(connection, "SELECT failures, probe_at FROM erp_gate")
        second.failed("unavailable", "503")
        assert rows(connection, "SELECT failures, probe_at FROM erp_gate") == before


def test_too_many_calls_is_a_sign_of_life(database_url: str, connection: psycopg.Connection, hours: Hours) -> None:
    with gates(database_url, 1) as (gate,):
        open_breaker(gate)
        hours(3)
        assert gate.admit()
        gate.before_call()
        gate.failed("rate_limited", "429", 1.0)
        assert scalar(connection, "SELECT opened_at IS NULL FROM erp_gate")


def test_somebody_may_ask_for_a_probe_at_once(database_url: str, connection: psycopg.Connection) -> None:
    with gates(database_url, 1) as (gate,):
        open_breaker(gate)
        gate.pause(1000)
        assert not gate.admit()
        probe_now(connection, POLICY.name)
        assert gate.admit()


# ---------------------------------------------------------------- with lanes


def test_while_it_is_open_nothing_is_marked_sent(
    database_url: str, connection: psycopg.Connection, hours: Hours
) -> None:
    built = three_journals(database_url, connection)
    erp = FakeErp()
    erp.always = TransientError("away")
    with psycopg.connect(database_url, autocommit=True) as own:
        lane = make_lane(own, erp.connector(), POLICY)
        for _ in range(3):
            lane.work()
            hours(17)
        assert len(erp.calls) == 3
        lane.work()
        assert erp.calls[-1] == ("post", built[:1]), "a probe is one journal"
        attempts = rows(connection, "SELECT reference, attempts FROM journal ORDER BY 1")
        for _ in range(5):
            lane.work()
        assert rows(connection, "SELECT reference, attempts FROM journal ORDER BY 1") == attempts
        assert len(erp.calls) == 4
        erp.always = None
        hours(60)
        lane.work()
        lane.work()
    assert states(connection) == dict.fromkeys(built, "posted")


def test_an_erp_that_asks_for_time_gets_it_from_every_lane(
    database_url: str, connection: psycopg.Connection, hours: Hours
) -> None:
    three_journals(database_url, connection)
    erp = FakeErp()
    erp.script.append(RateLimitedError("slow down", retry_after_s=33))
    with psycopg.connect(database_url, autocommit=True) as own:
        lane = make_lane(own, erp.connector(), POLICY)
        lane.work()
        hours(32)
        lane.work()
        assert len(erp.calls) == 1
        hours(2)
        assert lane.work() == 3


def test_times_of_slots_are_the_databases(database_url: str) -> None:
    """Slots never run backwards, whoever takes them."""
    waited: list[float] = []
    with gates(database_url, 3, budget=Budget(10.0, 0.0), wait=waited.append) as several:
        for gate in several:
            gate.before_call()
    assert [round(seconds) for seconds in waited] == [10, 20]
    assert all(before < after for before, after in pairwise(waited))
