"""The worker: every accepted event is recorded once with all its effects, or waits in the exceptions."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
import psycopg
import pytest
from builders import (
    DAY,
    STORE,
    Event,
    changed,
    day_close,
    day_open,
    line,
    masters,
    movement,
    product,
    raw,
    sale,
    store,
    till_close,
    trading_day,
    transaction,
)
from driving import (
    accept,
    check_event_store,
    check_projections,
    exception_codes,
    load,
    make_worker,
    record,
    rows,
    scalar,
    state,
    submit,
    until,
)
from fixture_types import NewDatabase

from tillwire import bootstrap
from tillwire.events.recorded import Recorded
from tillwire.exceptions import queue
from tillwire.intake.door import Prepared, read_event
from tillwire.intake.group_commit import GroupCommit
from tillwire.intake.rules import Policy

T = TypeVar("T")


class Watching:
    """A projection without tables that calls back."""

    tables: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        on_apply: Callable[[Recorded], None] = lambda _: None,
        on_write: Callable[[psycopg.Connection], None] = lambda _: None,
    ) -> None:
        self._on_apply, self._on_write = on_apply, on_write

    def begin(self) -> None:
        """Nothing is gathered."""

    def apply(self, recorded: Recorded) -> None:
        """Call back with an event."""
        self._on_apply(recorded)

    def write(self, connection: psycopg.Connection) -> None:
        """Call back with the connection."""
        self._on_write(connection)


def with_watching(**callbacks: Any) -> list[Any]:
    return [*bootstrap.inline_projections(), Watching(**callbacks)]


def test_what_was_accepted_is_recorded_with_all_its_effects(database_url: str, connection: psycopg.Connection) -> None:
    events = [*masters(), *trading_day(), movement(), movement("D-2", [("beer", "2")], unit="CS")]
    load(database_url, *events)
    check_event_store(connection, len(events))
    check_projections(connection, events)
    assert exception_codes(connection) == []


def test_offsets_are_dense_with_many_workers_and_slow_commits(
    database_url: str, connection: psycopg.Connection
) -> None:
    stores = [str(number) for number in range(30)]
    load(database_url, *masters(*(store(number) for number in stores)))
    before = scalar(connection, "SELECT sum(next_offset) FROM event_partition")
    events = [sale(number, store=where) for where in stores for number in range(12)]
    random.Random(3).shuffle(events)
    accepted = threading.Event()
    pauses = random.Random(5)

    def slowly(inside: psycopg.Connection) -> None:
        inside.execute("SELECT pg_sleep(%s)", (pauses.choice((0, 0.002, 0.02)),))

    def work() -> None:
        with psycopg.connect(database_url, autocommit=True) as own:
            worker = make_worker(own, with_watching(on_write=slowly), most_events=25, most_partitions=3)
            while worker.work_once() or not accepted.is_set():
                pass

    async def send() -> None:
        commit = GroupCommit(database_url, writers=3, most_events=7)
        await commit.start()
        await asyncio.gather(*(submit(commit, [one]) for one in events))
        await commit.stop()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for one in workers:
        one.start()
    try:
        asyncio.run(send())
    finally:
        accepted.set()
        for one in workers:
            one.join(60)
    until(lambda: record(database_url) == 0)
    check_event_store(connection, before + len(events))
    check_projections(connection, [*masters(), *events])


def test_a_business_fault_is_an_exception_and_spares_its_neighbours(
    database_url: str, connection: psycopg.Connection
) -> None:
    wrong = sale(2, line("pear"), currency="EUR")
    load(database_url, *masters(), sale(1), wrong, sale(3))
    check_event_store(connection, len(masters()) + 2)
    check_projections(connection, [*masters(), sale(1), sale(3)])
    (row,) = queue.listed(connection)
    assert (row.code, row.owner, row.key) == ("currency_mismatch", "integration", "101/1/2026-03-02/2")
    assert (row.amount, row.currency, row.pointer) == (Decimal("2.00"), "EUR", "/data/currency")
    shown = queue.detail(connection, row.exception_id)
    assert shown is not None
    assert bytes(shown.raw) == raw(wrong)
    assert [fault["code"] for fault in shown.faults] == ["currency_mismatch", "unknown_product"]
    assert queue.detail(connection, row.exception_id + 1) is None


def test_a_warning_is_recorded_with_all_its_effects_and_shown(
    database_url: str, connection: psycopg.Connection
) -> None:
    kept = sale(1, line("milk", "2", "2.00"), item_count="9")
    also_blocked = sale(2, line(), item_count="9", total="3.00")
    plain = sale(3)
    load(database_url, *masters(), kept, also_blocked, plain)
    recorded = [kept, plain]
    assert scalar(connection, "SELECT count(*) FROM sale") == len(recorded)
    check_projections(connection, [*masters(), *recorded])
    shown = "SELECT key, code, state, message, jsonb_array_length(faults) FROM exception ORDER BY key"
    warned, held = rows(connection, shown)
    assert warned[:3] == (f"{STORE}/1/{DAY}/1", "item_count_mismatch", "open")
    assert "9 items" in warned[3]
    assert (held[1], held[2], held[4]) == ("total_mismatch", "open", 2)
    noted = dict(rows(connection, "SELECT rule, lines FROM rule_note"))
    assert noted == {"item_count_mismatch": 1}
    assert queue.retry(connection, code="item_count_mismatch") == 0


def test_how_a_rule_weighs_may_depend_on_the_source(database_url: str, connection: psycopg.Connection) -> None:
    ours = sale(1, line(), total="3.00")
    theirs = sale(2, line(), total="3.00", source="urn:pos:franchise-7")
    accept(database_url, [*masters(), ours, theirs])
    record(database_url, policy=Policy(sources=[("urn:pos:franchise-*", {"total_mismatch": "warning"})]))
    found = rows(connection, "SELECT source, severity FROM exception ORDER BY source")
    assert found == [("urn:pos:franchise-7", "warning"), ("urn:pos:test", "blocking")]
    assert rows(connection, "SELECT total FROM sale") == [(Decimal("3.00"),)]
    balance = "SELECT sum(amount) FROM ledger_entry"
    assert scalar(connection, balance) == 0


@pytest.mark.parametrize("size", [1, 2, 7, 32])
@pytest.mark.parametrize("when", ["apply", "write"])
def test_poison_stands_alone_in_the_end(
    database_url: str, connection: psycopg.Connection, size: int, when: str
) -> None:
    load(database_url, *masters(store("101"), store("102")))
    poisonous = {0, size // 2}
    gathered: list[int] = []

    def apply(recorded: Recorded) -> None:
        gathered.append(recorded.message.sequence)
        if when == "apply" and recorded.message.sequence in poisonous:
            raise RuntimeError("cannot take this")

    def write(_: psycopg.Connection) -> None:
        seen, gathered[:] = set(gathered), []
        if when == "write" and seen & poisonous:
            raise RuntimeError("cannot take this")

    events = [sale(number, store=("101", "102")[number % 2]) for number in range(size)]
    accept(database_url, events)
    record(database_url, projections=with_watching(on_apply=apply, on_write=write))
    good = [one for one in events if one["data"]["sequence"] not in poisonous]
    check_projections(connection, [*masters(), *good])
    check_event_store(connection, len(masters()) + 1 + len(good))
    exceptions = queue.listed(connection)
    assert {row.key.rpartition("/")[2] for row in exceptions} == {str(number) for number in poisonous}
    for row in exceptions:
        assert (row.code, row.owner) == ("processing_failed", "integration")
        assert "cannot take this" in row.message
        shown = queue.detail(connection, row.exception_id)
        assert shown is not None
        assert bytes(shown.raw) in [raw(one) for one in events]


@pytest.mark.parametrize(
    "refused",
    [
        "SELECT 1/0",
        "SELECT repeat('x', 20)::numeric",
        "SELECT 'x' FROM no_such_table",
        "INSERT INTO event_partition VALUES (0)",
        "SELECT repeat('x', 1 << 30) || repeat('x', 1 << 30)",
    ],
)
def test_an_event_that_the_database_refuses_is_isolated(
    database_url: str, connection: psycopg.Connection, refused: str
) -> None:
    load(database_url, *masters())
    gathered: list[int] = []

    def write(inside: psycopg.Connection) -> None:
        seen, gathered[:] = set(gathered), []
        if 3 in seen:
            inside.execute(refused.encode())

    events = [sale(number) for number in range(6)]
    accept(database_url, events)
    watching = with_watching(on_apply=lambda one: gathered.append(one.message.sequence), on_write=write)
    record(database_url, projections=watching)
    assert [row.key for row in queue.listed(connection)] == ["101/1/2026-03-02/3"]
    check_projections(connection, [*masters(), *(one for one in events if one["data"]["sequence"] != 3)])


def test_a_batch_is_bounded_in_bytes(
    database_url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(database_url, *masters())
    monkeypatch.setattr("tillwire.intake.claims.MOST_BATCH_BYTES", 100_000)
    large = [sale(number, *[line(description="x" * 400)] * 100) for number in range(12)]
    accept(database_url, *([one] for one in large))
    with psycopg.connect(database_url, autocommit=True) as own:
        worker = make_worker(own)
        taken = []
        while done := worker.work_once():
            taken.append(done)
    assert max(taken) <= 3
    check_event_store(connection, len(masters()) + len(large))
    sequences = rows(connection, "SELECT sequence FROM sale ORDER BY event_offset")
    assert [number for (number,) in sequences] == list(range(12))


LARGEST = 2**63 - 1
LONG = "".join(chr(0x20000 + 13 * n) for n in range(900))
"""Printable characters of four bytes, none of which repeats: no index can compress them."""

EXTREMES: list[Event] = [
    sale(LARGEST),
    sale(LARGEST - 1),
    till_close(shift="名" * 500),
    {**till_close(store=LONG[:64], shift=LONG[64:564]), "source": LONG[600:856]},
    {**sale(1, store=LONG[:64], register=LONG[64:128]), "source": LONG[600:856]},
    till_close(shift="a/b"),
    till_close(totals={"transactions": LARGEST, "amount": "999999999999999.99"}),
    day_close(totals={"transactions": LARGEST, "amount": "-999999999999999.99"}),
    sale(1, line("milk", "999999999999", "0.00000001", amount="9999.99")),
    sale(1, line("milk", "1", "1.00", discount=("0.10", "\t\n\\N\"{}'"))),
    sale(1, line("milk", "1", "1.00", tax=("STD", "0E+100"), amount="1.00"), total="1.00"),
    transaction(1, "training", [line("x" * 64, "999999999999999", "0")] * 50, total="-0"),
    movement("D" * 64, [("milk", "0E+12"), ("milk", "-0")]),
    changed(sale(1), operator="x" * 500, customer="😀" * 500),
    day_open(store="名" * 64),
    product("s" * 64, "c" * 64, gtins=["1" * 64] * 100),
]


@pytest.mark.parametrize("extreme", EXTREMES, ids=lambda one: f"{one['type'].split('.')[1]}{EXTREMES.index(one)}")
def test_whatever_the_door_lets_in_can_be_stored_and_spares_its_neighbours(
    database_url: str, connection: psycopg.Connection, extreme: Event
) -> None:
    load(database_url, *masters())
    statuses = ["accepted", "accepted"]
    if isinstance(read_event(raw(extreme)), Prepared):
        assert accept(database_url, [sale(100), extreme, sale(101)]) == [["accepted"] * 3]
    else:
        assert accept(database_url, [sale(100), sale(101)]) == [statuses]
    record(database_url)
    ours = [sale(100), sale(101)]
    keys = [f"101/1/2026-03-02/{number}" for number in (100, 101)]
    recorded = rows(connection, "SELECT key FROM intake JOIN event USING (group_id, ordinal) WHERE key = ANY(%s)", keys)
    assert len(recorded) == len(ours)
    assert [code for code in exception_codes(connection) if code == "processing_failed"] == []


def test_no_number_of_a_report_overflows(database_url: str, connection: psycopg.Connection) -> None:
    from tillwire.reconciliation.days import reconcile

    most = {"transactions": LARGEST, "amount": "999999999999999.99"}
    accept(database_url, masters())
    accept(
        database_url,
        [one for one in (till_close([], "1", totals=most), till_close([], "2", totals=most)) if let_in(one)],
    )
    record(database_url)
    assert reconcile(connection).days is not None


def let_in(one: Event) -> bool:
    return isinstance(read_event(raw(one)), Prepared)


def deeper(frames: int, work: Callable[[], T]) -> T:
    """``work`` with so many more frames on the stack."""
    return work() if frames == 0 else deeper(frames - 1, work)


def test_an_event_that_is_deep_enough_for_one_stack_and_too_deep_for_another(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters())

    def nested(depth: int) -> bytes:
        return raw(sale(1) | {"x": 0}).replace(b'"x":0', b'"x":' + b"[" * depth + b"]" * depth)

    low, high = 1, sys.getrecursionlimit() * 2
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if isinstance(read_event(nested(middle)), Prepared) else (low, middle)
    assert accept(database_url, [nested(low - 20), sale(2)]) == [["accepted"] * 2]
    deeper(100, lambda: record(database_url))
    recorded = scalar(connection, "SELECT count(*) FROM event") - len(masters())
    assert recorded + len(exception_codes(connection)) == 2
    assert recorded >= 1


NAMES = ['TV 32"', "back\\slash", "a,b", "{}", "NULL", "Käse", "\\N", "a\\tb", "it's"]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_master_data_reach_the_books_as_they_are(
    database_url: str, connection: psycopg.Connection, name: str
) -> None:
    load(database_url, *masters(store(name)), product(name, name))
    events = [*masters(store(name)), product(name, name)]
    more = [sale(1, line(name), store=name), sale(2, line("gc", kind="gift_card"), line(name), store=name)]
    load(database_url, *more)
    assert exception_codes(connection) == []
    check_projections(connection, [*events, *more])


@pytest.mark.parametrize("name", NAMES)
def test_a_product_class_reaches_the_books_as_it_is(
    database_url: str, connection: psycopg.Connection, name: str
) -> None:
    events = [*masters(), product("set", name), sale(1, line("set"), line("milk"))]
    load(database_url, *events)
    assert exception_codes(connection) == []
    check_projections(connection, events)


def test_a_retry_has_exactly_the_effect_it_would_have_had(new_database: NewDatabase) -> None:
    newcomer, late = product("pear", "fruit"), [sale(1, line("pear")), sale(2, line("pear", "3"), line("milk"))]
    with new_database() as straight, new_database() as mended:
        load(straight, *masters(), newcomer, *late, day_open())
        load(mended, *masters(), *late, day_open())
        with psycopg.connect(straight, autocommit=True) as one, psycopg.connect(mended, autocommit=True) as other:
            assert exception_codes(other) == ["unknown_product"] * 2
            assert queue.retry(other, code="unknown_product") == 2
            assert queue.retry(other, code="unknown_product") == 0, "what is on its way is put there twice"
            record(mended)
            assert exception_codes(other) == ["unknown_product"] * 2
            assert {row.attempts for row in queue.listed(other)} == {2}
            assert queue.retry(other, code="unknown_tender") == 0
            load(mended, newcomer)  # what lacked it clears itself
            record(mended)
            assert state(one) == state(other)
            assert {row.state for row in queue.listed(other, state=None)} == {"resolved"}
            check_event_store(other, len(masters()) + 1 + len(late) + 1)
            assert queue.retry(other) == 0


def test_a_conflict_is_not_retried(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1))
    accept(database_url, [changed(sale(1), operator="x")])
    assert exception_codes(connection) == ["duplicate_conflict"]
    assert queue.retry(connection) == 0


def test_a_retry_asked_for_while_its_neighbour_is_being_retried(
    database_url: str, connection: psycopg.Connection
) -> None:
    late = [sale(1, line("pear")), sale(2, line("pear"))]
    load(database_url, *masters(), *late)
    first, second = (row.exception_id for row in queue.listed(connection))
    assert queue.retry(connection, exception_id=first) == 1
    asked: list[threading.Thread] = []

    def ask_for_the_second(_: psycopg.Connection) -> None:
        if not asked:
            asked.append(threading.Thread(target=retry_second))
            asked[0].start()
            until(lambda: not asked[0].is_alive() or waits_for_a_lock(connection))

    def retry_second() -> None:
        with psycopg.connect(database_url, autocommit=True) as own:
            assert queue.retry(own, exception_id=second) == 1

    record(database_url, projections=with_watching(on_write=ask_for_the_second))
    assert asked
    asked[0].join(30)
    record(database_url)
    assert [(row.state, row.attempts) for row in queue.listed(connection, state=None)] == [("open", 2)] * 2
    load(database_url, product("pear", "fruit"))
    record(database_url)
    assert [row.state for row in queue.listed(connection, state=None)] == ["resolved", "resolved"]
    check_projections(connection, [*masters(), product("pear", "fruit"), *late])


def waits_for_a_lock(connection: psycopg.Connection) -> bool:
    return bool(
        scalar(
            connection,
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
    )


def test_sales_wait_for_the_master_data_that_was_accepted_before_them(
    database_url: str, connection: psycopg.Connection
) -> None:
    accept(database_url, masters()[:1], masters()[1:], [sale(1)])
    with psycopg.connect(database_url) as another:  # a worker that holds the master partition and takes its time
        another.execute("SELECT 1 FROM event_partition WHERE partition = 0 FOR UPDATE")
        assert record(database_url) == 0
        another.rollback()
    assert record(database_url) == len(masters()) + 1
    assert exception_codes(connection) == []


def test_one_request_may_hold_master_data_and_what_needs_it(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, sale(1), *masters(), sale(2))
    assert exception_codes(connection) == []
    check_event_store(connection, len(masters()) + 2)


def test_an_older_revision_never_overwrites_a_newer_one(database_url: str, connection: psycopg.Connection) -> None:
    names = lambda: [  # noqa: E731
        msgspec.json.decode(bytes(body))["name"]
        for (body,) in rows(connection, "SELECT body FROM master_record WHERE type = 'tillwire.master.product.v1'")
    ]
    load(database_url, product("pear", revision=2, name="second"), product("pear", revision=1, name="first"))
    assert names() == ["second"]
    load(database_url, product("pear", revision=0, name="zeroth"))
    assert names() == ["second"]
    load(database_url, product("pear", revision=3, name="third"))
    assert names() == ["third"]


def test_workers_see_master_data_that_another_one_recorded(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters())
    with psycopg.connect(database_url, autocommit=True) as own:
        long_lived = make_worker(own)
        accept(database_url, [sale(1)])
        assert long_lived.work_once() == 1
        load(database_url, product("pear", "fruit"))
        load(database_url, product("milk", "dairy", revision=2, active=False))
        accept(database_url, [sale(2, line("pear")), sale(3)])
        assert long_lived.work_once() == 2
    assert exception_codes(connection) == ["unknown_product"]
    assert scalar(connection, "SELECT count(*) FROM sale") == 2


def test_a_worker_that_loses_its_database_leaves_nothing_half_done(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters())
    accept(database_url, [sale(number) for number in range(5)])

    def cut(inside: psycopg.Connection) -> None:
        connection.execute("SELECT pg_terminate_backend(%s)", (inside.info.backend_pid,))

    with pytest.raises(psycopg.OperationalError):
        record(database_url, projections=with_watching(on_write=cut))
    assert scalar(connection, "SELECT count(*) FROM sale") == 0
    assert exception_codes(connection) == []
    assert record(database_url) == 5
    check_event_store(connection, len(masters()) + 5)
    check_projections(connection, [*masters(), *(sale(number) for number in range(5))])
