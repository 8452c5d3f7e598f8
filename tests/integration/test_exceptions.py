"""The exception queue: causes, holds in every order, self-clearing, superseded states, and an audit trail."""

from __future__ import annotations

import itertools
import threading
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from builders import (
    REGISTERS,
    Event,
    changed,
    corrected,
    event,
    fulfilment,
    level,
    line,
    mapping,
    masters,
    movement,
    post_void,
    product,
    raw,
    returned,
    sale,
    store,
    tax_code,
    tender,
    tender_type,
    till_close,
)
from driving import (
    accept,
    check_event_store,
    exception_codes,
    load,
    make_worker,
    record,
    rows,
    scalar,
    state,
    until,
)
from fixture_types import NewDatabase
from test_foreign import Order, body, normalise, receive

from tillwire import bootstrap
from tillwire.exceptions import fixes, queue
from tillwire.exceptions.queue import Filter

PEAR = line("pear")
LIMIT = Decimal(1000)
HOW: dict[str, Any] = {"by": "anna", "reason": "because", "limit": LIMIT}


def original(one: Event) -> dict[str, Any]:
    """What refers to a transaction."""
    return {name: one["data"][name] for name in ("store", "register", "business_date", "sequence")}


def states(connection: psycopg.Connection) -> dict[str, str]:
    """The state of every exception by its key."""
    return dict(rows(connection, "SELECT key, state FROM exception"))


def recorded(connection: psycopg.Connection) -> list[int]:
    """The sequence numbers of transactions, in the order they were recorded."""
    return [number for (number,) in rows(connection, "SELECT sequence FROM sale ORDER BY store, event_offset")]


# ---------------------------------------------------------------- causes and lists

CAUSES: list[tuple[Event, str]] = [
    (sale(1, PEAR), "unknown_product:pear"),
    (sale(1, line("pe'ar/1")), "unknown_product:pe'ar/1"),
    (sale(1, store="77"), "unknown_store:77"),
    (sale(1, register="9"), "unknown_register:101/9"),
    (sale(1, line("milk", unit="CS")), "unknown_uom:milk:CS"),
    (sale(1, tenders=[tender("4.40", "bitcoin")]), "unknown_tender:bitcoin"),
    (sale(1, line(tax=("X'1", "0.20"))), "unknown_tax_code:X'1"),
    (sale(1, total="9.99", tenders=[tender("9.99")]), "total_mismatch:urn:pos:test"),
    (sale(1, currency="EUR"), "currency_mismatch:101:EUR"),
    (movement(lines=(("pear", "3"),)), "unknown_product:pear"),
    (level("pear"), "unknown_product:pear"),
    (till_close(counts=[("wampum", "1", "1")]), "unknown_tender:wampum"),
]


@pytest.mark.parametrize(("one", "cause"), CAUSES, ids=[cause for _, cause in CAUSES])
def test_a_cause_is_the_code_and_what_offends(
    database_url: str, connection: psycopg.Connection, one: Event, cause: str
) -> None:
    load(database_url, *masters(), one)
    assert [row.cause for row in queue.listed(connection)] == [cause]


def test_causes_rank_by_money_at_risk_and_never_add_currencies(
    database_url: str, connection: psycopg.Connection
) -> None:
    yen = store("201", currency="JPY")
    load(
        database_url,
        *masters(store(), yen),
        sale(1, line("pear", "1", "5.00")),
        sale(2, line("pear", "1", "6.00")),
        sale(1, line("pear", "1", "9"), store="201", currency="JPY"),
        sale(3, line("plum", "1", "30.00")),
        movement(lines=(("fig", "1"),)),
    )
    causes = queue.causes(connection)
    assert [one.cause for one in causes] == ["unknown_product:plum", "unknown_product:pear", "unknown_product:fig"]
    pear = causes[1]
    assert [(str(one.amount), one.currency) for one in pear.money] == [("11.00", "USD"), ("9", "JPY")]
    assert (pear.exceptions, pear.states["open"]) == (3, 3)
    assert queue.cause_named(connection, pear.name) == queue.cause_named(connection, pear.cause) == pear.cause
    assert queue.cause_named(connection, "unknown_product:apple") is None
    assert [one.cause for one in queue.causes(connection, store="201")] == ["unknown_product:pear"]


def test_the_queue_is_listed_by_everything_that_people_look_for(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(), sale(1, PEAR), sale(2, line("plum", "1", "50.00")), sale(3, register="9"))
    first, second, third = queue.listed(connection)
    fixes.assign(connection, second.exception_id, "berta", by="anna")

    def ids(**wanted: Any) -> list[int]:
        return [row.exception_id for row in queue.found(connection, Filter(**wanted))]

    assert ids(cause="unknown_product:plum") == ids(least=Decimal(50)) == ids(assigned="berta") == [second.exception_id]
    assert ids(owner="store operations") == [third.exception_id]
    assert ids(store="102") == ids(severity="warning") == ids(before=first.raised_at) == []
    assert ids(before=third.raised_at) == [first.exception_id, second.exception_id]
    assert ids(states=None) == [row.exception_id for row in (first, second, third)]


def test_service_levels_say_when_an_exception_is_due(database_url: str, connection: psycopg.Connection) -> None:
    from tillwire.config import ServiceLevel

    load(database_url, *masters(), sale(1, PEAR), sale(3, register="9"))
    levels = [ServiceLevel(code="unknown_product", hours=2), ServiceLevel(owner="store operations", hours=50)]
    due = [(row.due_at - row.raised_at).total_seconds() / 3600 for row in queue.listed(connection, levels=levels)]
    assert due == [2, 50]
    wanted = Filter(overdue_at=queue.listed(connection, levels=levels)[1].due_at)
    assert [row.code for row in queue.found(connection, wanted, levels)] == ["unknown_product"]


# ---------------------------------------------------------------- holds

BROKEN = sale(1, PEAR, line("milk", "2", "2.00"))
RETURN = returned(2, original=original(BROKEN))
FOLLOWERS: dict[str, Event] = {
    "a correction": {**sale(1, line("milk")), "data": {**sale(1, line("milk"))["data"], "version": 2}},
    "a return": RETURN,
    "a line's return": returned(2, line("milk", "-1", "2.00", original=original(BROKEN))),
    "a post-void": post_void(2, BROKEN),
}


@pytest.mark.parametrize("follower", FOLLOWERS.values(), ids=FOLLOWERS)
@pytest.mark.parametrize("together", [True, False])
def test_what_refers_to_a_failed_sale_waits_and_the_rest_flows(
    new_database: NewDatabase, follower: Event, together: bool
) -> None:
    requests = [[BROKEN, follower, sale(7)]] if together else [[BROKEN], [follower], [sale(7)]]
    with new_database() as straight, new_database() as mended:
        load(straight, *masters(), product("pear", "fruit"))
        load(mended, *masters())
        for url in (straight, mended):
            for request in requests:
                accept(url, request)
                record(url)
        with psycopg.connect(straight, autocommit=True) as one, psycopg.connect(mended, autocommit=True) as other:
            held = [row for row in queue.listed(other, state="waiting") if row.code == "held"]
            if follower["data"]["kind"] == "post_void":  # lacks the product itself, which is worth more to know
                assert [row.cause for row in queue.listed(other)] == ["unknown_product:pear"] * 2
            else:
                assert [row.waits_for for row in held] == ["101/1/2026-03-02/1"]
            assert recorded(other) == [7]
            load(mended, product("pear", "fruit"))
            assert state(one) == state(other)
            assert set(states(other).values()) == {"resolved"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_versions_drain_in_order_whatever_is_mended_first(
    database_url: str, connection: psycopg.Connection, order: tuple[int, ...]
) -> None:
    """v1 lacks a pear, v2 a plum, v3 a fig; their records come in any order."""
    fruits = ("pear", "plum", "fig")
    versions = [changed(sale(1, line(fruit)), version=n) for n, fruit in enumerate(fruits, 1)]
    load(database_url, *masters(), *versions)
    assert exception_codes(connection) == ["unknown_product"] * 3, "each tells what it lacks itself"
    for n, which in enumerate(order):
        load(database_url, product(fruits[which]))
        mended = {fruits[i] for i in order[: n + 1]}
        clear = next((i for i, fruit in enumerate(fruits) if fruit not in mended), 3)
        rows_of = max(0, 2 * clear - 1)  # each version, and the reversal of the one before it
        assert len(recorded(connection)) == rows_of, "in order, and no earlier than those before"
    assert set(states(connection).values()) == {"resolved"}
    skus = rows(connection, "SELECT skus FROM stock_document ORDER BY event_offset")
    assert [name for (names,) in skus for name in names if name in fruits][:1] == ["pear"]


def test_a_return_in_another_store_waits_too(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(store("101"), store("102")), BROKEN)
    load(database_url, returned(5, store="102", original=original(BROKEN)))
    assert exception_codes(connection) == ["unknown_product"]
    assert [row.key for row in queue.listed(connection, state="waiting")] == ["102/1/2026-03-02/5"]
    load(database_url, product("pear"))
    assert len(recorded(connection)) == 2


def test_what_waits_behind_something_dismissed_goes_on_in_order(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(), BROKEN, *(corrected(BROKEN, version, line("milk")) for version in (2, 3)))
    assert list(states(connection).values()) == ["open", "waiting", "waiting"]
    (row,) = queue.listed(connection)
    fixes.dismiss(connection, row.exception_id, **HOW)
    record(database_url)
    assert list(states(connection).values()) == ["dismissed", "resolved", "resolved"]
    assert rows(connection, "SELECT effect FROM sale ORDER BY event_offset") == [(1,), (-1,), (1,)]


def test_a_return_of_what_was_dismissed_has_no_original(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), BROKEN, RETURN, returned(3, original=original(RETURN)))
    (row,) = queue.listed(connection)
    fixes.dismiss(connection, row.exception_id, **HOW)
    record(database_url)
    assert sorted(states(connection).values()) == ["dismissed", "open", "waiting"]
    assert exception_codes(connection) == ["original_unknown"]


def test_a_plain_sale_asks_the_queue_nothing(
    database_url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(database_url, *masters(), BROKEN)
    accept(database_url, [sale(number) for number in range(10, 20)])
    monkeypatch.setattr("tillwire.exceptions.moves.blockers", lambda *_: pytest.fail("a query for plain sales"))
    assert record(database_url) == 10
    assert len(recorded(connection)) == 10


def test_a_dismissal_while_something_is_being_put_behind_it(database_url: str, connection: psycopg.Connection) -> None:
    """The worker has seen that the sale is in the queue; it leaves it before the worker's commit."""
    load(database_url, *masters(), BROKEN)
    (row,) = queue.listed(connection)
    accept(database_url, [corrected(BROKEN, 2, line("milk"))])
    asked: list[threading.Thread] = []

    def dismiss() -> None:
        with psycopg.connect(database_url, autocommit=True) as own:
            fixes.dismiss(own, row.exception_id, **HOW)

    def meanwhile(_: psycopg.Connection) -> None:
        if not asked:
            asked.append(threading.Thread(target=dismiss))
            asked[0].start()
            until(lambda: not asked[0].is_alive() or waits_for_a_lock(connection))

    record(database_url, projections=watching(meanwhile))
    asked[0].join(30)
    record(database_url)
    assert states(connection) == {BROKEN_KEY: "dismissed", f"{BROKEN_KEY}@2": "resolved"}


BROKEN_KEY = "101/1/2026-03-02/1"


def waits_for_a_lock(connection: psycopg.Connection) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(scalar(connection, query))


def watching(on_write: Any) -> list[Any]:
    """The projections, and one that tells of each write."""

    class Watching(bootstrap.InlineProjection):
        tables = ()

        def begin(self) -> None:
            pass

        def apply(self, recorded: Any) -> None:
            pass

        def write(self, connection: psycopg.Connection) -> None:
            on_write(connection)

    return [*bootstrap.inline_projections(), Watching()]


def test_poison_holds_what_refers_to_it_in_its_own_batch(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters())
    good = sale(1)
    accept(database_url, [good, returned(2, original=original(good)), sale(3)])

    def apply(one: Any) -> None:
        if one.message.sequence == 1:
            raise RuntimeError("cannot take this")

    projections = watching(lambda _: None)
    projections[-1].apply = apply
    record(database_url, projections=projections)
    assert recorded(connection) == [3]
    assert [(row.code, row.state) for row in queue.listed(connection, state=None)] == [
        ("processing_failed", "open"),
        ("held", "waiting"),
    ]
    assert queue.listed(connection)[0].cause == "processing_failed:RuntimeError"
    queue.retry(connection, cause="processing_failed:RuntimeError")
    record(database_url)
    assert sorted(recorded(connection)) == [1, 2, 3]


# ---------------------------------------------------------------- what clears itself

CLEARING: list[tuple[Event, Event]] = [
    (sale(1, PEAR), product("pear")),
    (sale(1, line("milk", unit="CS")), product("milk", "dairy", revision=2, units={"CS": "12"})),
    (sale(1, store="77"), store("77")),
    (sale(1, register="9"), store(revision=2, registers=[*REGISTERS, "9"])),
    (sale(1, currency="EUR"), store(revision=2, currency="EUR")),
    (sale(1, tenders=[tender("4.40", "bitcoin")]), tender_type("bitcoin")),
    (sale(1, line(tax=("NEW", "0.20"))), tax_code("NEW")),
    (sale(1, line("EXT-9")), mapping("product", "EXT-9", "milk")),
    (sale(1, tenders=[tender("4.40", "C")]), mapping("tender", "C", "cash")),
    (sale(1, line(tax=("T1", "0.20"))), mapping("tax_code", "T1", "STD")),
    (sale(1, line("beer", unit="PK6")), mapping("unit", "PK6", "SIX")),
    (sale(1, register="9"), event("master.register", {"store": "101", "register": "9", "revision": 1})),
]


@pytest.mark.parametrize(
    ("one", "remedy"), CLEARING, ids=[f"{remedy['type']}-{n}" for n, (_, remedy) in enumerate(CLEARING)]
)
def test_what_master_data_mends_clears_itself(
    database_url: str, connection: psycopg.Connection, one: Event, remedy: Event
) -> None:
    load(database_url, *masters(), one)
    assert len(queue.listed(connection)) == 1
    load(database_url, remedy)
    assert queue.listed(connection) == []
    (row,) = queue.listed(connection, state="resolved")
    shown = queue.detail(connection, row.exception_id)
    assert shown is not None
    assert [(one.action, one.actor) for one in shown.actions] == [
        ("raise", "hub"),
        ("clear", "hub"),
        ("resolve", "hub"),
    ]


def test_a_period_that_is_opened_again_clears_what_came_into_it(
    database_url: str, connection: psycopg.Connection
) -> None:
    period = {"company": "ACME", "period": "2026-03", "first": "2026-03-01", "last": "2026-03-31"}
    closed = event("master.period", {**period, "open": False, "revision": 1})
    load(database_url, *masters(), closed)
    load(database_url, sale(1))
    assert [row.cause for row in queue.listed(connection)] == ["period_closed:2026-03-02"]
    load(database_url, event("master.period", {**period, "revision": 2}))
    assert recorded(connection) == [1]


def test_only_what_lacked_the_record_clears(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1, PEAR), sale(2, line("plum")))
    load(database_url, product("pear"), product("plum", active=False))
    assert [(row.cause, row.attempts) for row in queue.listed(connection)] == [("unknown_product:plum", 1)]


def test_a_sale_checked_while_its_product_is_being_recorded(database_url: str, connection: psycopg.Connection) -> None:
    """Its worker's copy of master data is a moment too old, and the recorder's look at the queue a moment too early."""
    load(database_url, *masters())
    accept(database_url, [sale(1, PEAR)])

    def meanwhile(_: psycopg.Connection) -> None:
        if not done:
            done.append(True)
            accept(database_url, [product("pear")])
            with psycopg.connect(database_url, autocommit=True) as own:
                assert make_worker(own).work_once() == 1

    done: list[bool] = []
    record(database_url, projections=watching(meanwhile))
    assert done
    assert recorded(connection) == [1]
    assert [(row.state, row.attempts) for row in queue.listed(connection, state=None)] == [("resolved", 1)]


def test_a_product_recorded_while_its_sale_is_being_raised(database_url: str, connection: psycopg.Connection) -> None:
    """The recorder waits until the exception is there to be cleared."""
    load(database_url, *masters())
    accept(database_url, [sale(1, PEAR)])
    threads: list[threading.Thread] = []

    def record_product() -> None:
        accept(database_url, [product("pear")])
        record(database_url)

    with psycopg.connect(database_url, autocommit=True) as own, own.transaction():
        worker = make_worker(own)
        worker.work_once()  # inside: raised, and not committed
        threads.append(threading.Thread(target=record_product))
        threads[0].start()
        until(lambda: waits_for_a_lock(connection))
    threads[0].join(30)
    record(database_url)
    assert recorded(connection) == [1]


# ---------------------------------------------------------------- states and facts


def test_a_newer_state_supersedes_what_failed_before_it_and_never_a_fact(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(), level("pear", revision=1), fulfilment(lines=[{"sku": "pear", "quantity": "1"}]))
    load(database_url, sale(1, PEAR), movement(lines=(("pear", "1"),)))
    assert len(queue.listed(connection)) == 4
    load(database_url, fulfilment(revision=2), level("milk", revision=9))
    load(database_url, level("pear", revision=3))  # fails itself: nothing newer than 1 is recorded
    assert states(connection)["101/fulfilment/F1@1"] == "superseded"
    assert states(connection)["101/level/pear@1"] == "open"
    load(database_url, product("pear"))
    assert set(states(connection).values()) == {"resolved", "superseded"}
    assert scalar(connection, "SELECT count(*) FROM sale") == 1


def test_a_state_that_fails_after_a_newer_one_is_recorded_is_superseded_at_once(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(), level("milk", revision=5))
    load(database_url, level("milk", revision=4, unit="CS"), level("milk", revision=6, unit="CS"))
    assert states(connection) == {"101/level/milk@4": "superseded", "101/level/milk@6": "open"}
    load(database_url, level("milk", revision=7))
    assert set(states(connection).values()) == {"superseded"}
    shown = queue.detail(connection, queue.listed(connection, state="superseded")[-1].exception_id)
    assert shown is not None
    assert [one.action for one in shown.actions] == ["raise", "supersede"]


# ---------------------------------------------------------------- the audit trail, and payloads in others' words


def test_the_audit_trail_is_never_rewritten(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), BROKEN)
    for statement in (
        "UPDATE exception_action SET actor = 'nobody'",
        "DELETE FROM exception_action",
        "TRUNCATE exception_action",
    ):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            connection.execute(statement.encode())


def test_a_message_in_its_sources_own_words_is_edited_and_mapped_again(connection: psycopg.Connection) -> None:
    broken, mended = body(Order(2, 0, "2.00", trouble="unknown_store")), body(Order(2, 0, "2.00"))
    receive(connection, broken)
    normalise(connection)
    (row,) = queue.listed(connection)
    assert queue.retry(connection, exception_id=row.exception_id) == 1
    assert normalise(connection) == 1
    assert [(one.state, one.attempts) for one in queue.listed(connection)] == [("open", 2)]
    fixed = fixes.edit(connection, row.exception_id, mended, **HOW)
    assert (fixed.state, [one["pointer"] for one in fixed.diff]) == ("retrying", ["/0/trouble"])
    normalise(connection)
    shown = queue.detail(connection, row.exception_id)
    assert shown is not None
    assert shown.exception.state == "resolved"
    assert bytes(shown.raw) == broken, "the bytes that were accepted stay"
    assert scalar(connection, "SELECT key FROM intake") == "101/web/2026-03-02/2"
    actions = [one.action for one in shown.actions]
    assert actions == ["raise", "retry", "raise", "edit", "retry", "resolve"]


def test_a_thousand_faults_are_raised_in_one_statement(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), *(sale(number, PEAR) for number in range(1000)))
    assert queue.causes(connection)[0].exceptions == 1000
    load(database_url, product("pear"))
    assert queue.causes(connection) == []
    check_event_store(connection, len(masters()) + 1001)


def test_raw_bytes_stay_whatever_is_edited(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), BROKEN)
    (row,) = queue.listed(connection)
    fixes.edit(connection, row.exception_id, raw(sale(1)), **HOW)
    record(database_url)
    shown = queue.detail(connection, row.exception_id)
    assert shown is not None
    assert bytes(shown.raw) == raw(BROKEN)
    assert shown.exception.state == "resolved"
