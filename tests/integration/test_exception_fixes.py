"""Fixes by people: edits, dismissals and approvals; what a dry run shows is what happens."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from builders import (
    Event,
    changed,
    line,
    masters,
    movement,
    product,
    raw,
    returned,
    sale,
    store,
    tender,
    till_close,
)
from driving import NOW, accept, check_event_store, load, make_worker, record, rows, scalar, state
from fixture_types import NewDatabase
from posting_kit import BOOK, policy_of

from tillwire.exceptions import fixes, queue
from tillwire.exceptions.changes import diff, money_moved
from tillwire.exceptions.dry_run import DryRun, Rehearsal
from tillwire.exceptions.fixes import FixRefused, PayloadRefused
from tillwire.posting.build import build_journals
from tillwire.reconciliation.trace import trace

WRONG = sale(1, line("milk", "1", "50.00"), total="60.00", tenders=[tender("60.00")])
RIGHT = sale(1, line("milk", "1", "50.00"))
HOW: dict[str, Any] = {"by": "anna", "reason": "the till's software was wrong", "limit": Decimal(100)}


def rehearsal(connection: psycopg.Connection) -> Rehearsal:
    """Dry runs at the tests' time."""
    return Rehearsal(connection, make_worker, BOOK)


def only(connection: psycopg.Connection, state: str | None = "open") -> int:
    """The id of the only exception in a state."""
    (row,) = queue.listed(connection, state=state)
    return row.exception_id


def everything(connection: psycopg.Connection) -> dict[str, Any]:
    """The whole database, as far as a dry run may not touch it."""
    tables = (
        "exception",
        "exception_action",
        "exception_proposal",
        "intake",
        "intake_queue",
        "event",
        "event_partition",
    )
    return {name: rows(connection, f"SELECT * FROM {name} ORDER BY 1, 2") for name in tables} | state(connection)


# ---------------------------------------------------------------- edits


def test_an_edit_has_the_effect_that_the_right_payload_would_have_had(new_database: NewDatabase) -> None:
    with new_database() as straight, new_database() as mended:
        load(straight, *masters(), RIGHT, sale(2))
        load(mended, *masters(), WRONG, sale(2))
        with psycopg.connect(straight, autocommit=True) as one, psycopg.connect(mended, autocommit=True) as other:
            fixed = fixes.edit(other, only(other), raw(RIGHT), **HOW)
            assert (fixed.state, fixed.moved, fixed.currency) == ("retrying", Decimal("10.00"), "USD")
            assert {entry["pointer"] for entry in fixed.diff} == {"/data/total", "/data/tenders/0/amount"}
            record(mended)
            assert state(one) == state(other)
            check_event_store(other, len(masters()) + 2)
            shown = queue.detail(other, only(other, "resolved"))
            assert shown is not None
            assert bytes(shown.raw) == raw(WRONG)
            (proposal,) = shown.proposals
            assert (proposal.author, proposal.reason, proposal.state) == ("anna", HOW["reason"], "applied")
            assert proposal.payload is not None
            assert bytes(proposal.payload) == raw(RIGHT)  # type: ignore[arg-type]
            assert [(one.action, one.actor) for one in shown.actions] == [
                ("raise", "hub"),
                ("edit", "anna"),
                ("retry", "anna"),
                ("resolve", "hub"),
            ]
            assert accept(mended, [WRONG]) == [["duplicate"]], "what was accepted is known as it was"


def test_an_edit_that_is_still_wrong_is_open_again_and_can_be_edited_further(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(), WRONG)
    exception_id = only(connection)
    fixes.edit(connection, exception_id, raw(changed(WRONG, total="55.00")), **HOW)
    record(database_url)
    assert queue.listed(connection)[0].amount == Decimal("55.00")
    fixed = fixes.edit(connection, exception_id, raw(RIGHT), **HOW)
    assert [entry["before"] for entry in fixed.diff if entry["pointer"] == "/data/total"] == ["55.00"]
    record(database_url)
    assert scalar(connection, "SELECT total FROM sale") == Decimal("50.00")


@pytest.mark.parametrize(
    ("payload", "pointer"),
    [
        (b"{", ""),
        (raw({**RIGHT, "type": "tillwire.nothing.v1"}), "/type"),
        (raw({**movement(), "source": RIGHT["source"]}), "/type"),
        (raw({**RIGHT, "source": "urn:pos:other"}), "/source"),
        (raw(changed(RIGHT, total="1e99")), "/data/total"),
        (raw(WRONG), ""),
        (raw(changed(RIGHT, sequence=2)), "/data"),
    ],
)
def test_a_payload_that_is_wrong_in_itself_is_refused(
    database_url: str, connection: psycopg.Connection, payload: bytes, pointer: str
) -> None:
    load(database_url, *masters(), WRONG, sale(2))
    before = everything(connection)
    with pytest.raises(PayloadRefused) as refused:
        fixes.edit(connection, only(connection), payload, **(HOW | {"limit": Decimal(10**6)}))
    assert refused.value.pointer == pointer
    assert everything(connection) == before


def test_an_edit_may_move_a_sale_to_the_store_it_was_sold_in(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(store("101"), store("102")), sale(1, store="999"))
    moved = sale(1, store="102")
    fixed = fixes.edit(connection, only(connection), raw(moved), **HOW)
    assert fixed.moved == Decimal("4.40"), "another store's books are other books"
    record(database_url)
    assert rows(connection, "SELECT store, total FROM sale") == [("102", Decimal("4.40"))]
    assert accept(database_url, [changed(moved, operator="x")]) == [["conflict"]]
    (traced,) = trace(connection, "999/1/2026-03-02/1")
    assert bytes(traced.raw) == raw(sale(1, store="999"))
    assert bytes(traced.translated or b"") == raw(moved), "what was recorded in its place"
    assert [one["component"] for one in traced.entries] == ["revenue", "tax", "tender"]


def test_what_waits_for_an_entity_goes_on_when_an_edit_shows_it_was_another(
    database_url: str, connection: psycopg.Connection
) -> None:
    wrong = sale(1, line("pear"), line("milk"))
    names = ("store", "register", "business_date", "sequence")
    load(database_url, *masters(), wrong, returned(5, original={name: wrong["data"][name] for name in names}))
    fixes.edit(connection, only(connection), raw(sale(3, line("milk"))), **HOW)
    record(database_url)
    assert rows(connection, "SELECT sequence FROM sale ORDER BY 1") == [(3,)]
    codes = "SELECT code FROM exception WHERE state = 'open'"
    assert rows(connection, codes) == [("original_unknown",)], "what it returns was never sold"


def test_a_conflict_may_be_given_the_number_it_should_have_had(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(), sale(1))
    accept(database_url, [changed(sale(1), operator="x")])
    with pytest.raises(PayloadRefused, match="another event's"):
        fixes.edit(connection, only(connection), raw(changed(sale(1), operator="y")), **HOW)
    fixes.edit(connection, only(connection), raw(changed(sale(2), operator="x")), **HOW)
    record(database_url)
    assert rows(connection, "SELECT sequence FROM sale ORDER BY 1") == [(1,), (2,)]


# ---------------------------------------------------------------- the second person


def large(**more: Any) -> Event:
    """A sale whose mending moves more than the limit."""
    return sale(1, line("milk", "1", "500.00"), **more)


def test_an_edit_above_the_limit_waits_for_a_second_person(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), large(total="900.00", tenders=[tender("900.00")]))
    exception_id = only(connection)
    assert fixes.edit(connection, exception_id, raw(large()), **HOW).state == "approval"
    assert record(database_url) == 0
    for refused in (
        lambda: fixes.approve(connection, exception_id, by=" Anna "),
        lambda: fixes.edit(connection, exception_id, raw(large()), **HOW),
        lambda: fixes.dismiss(connection, exception_id, **HOW),
    ):
        with pytest.raises(FixRefused):
            refused()
    assert queue.retry(connection, exception_id=exception_id) == 0
    assert fixes.approve(connection, exception_id, by="berta", note="seen the receipt").state == "retrying"
    record(database_url)
    assert scalar(connection, "SELECT total FROM sale") == 500
    shown = queue.detail(connection, exception_id)
    assert shown is not None
    assert [(one.action, one.actor, one.note) for one in shown.actions][1:3] == [
        ("propose", "anna", HOW["reason"]),
        ("approve", "berta", "seen the receipt"),
    ]
    assert shown.proposals[0].decided_by == "berta"


@pytest.mark.parametrize(("by", "outcome"), [("berta", "refused"), ("ANNA", "withdrawn")])
def test_a_refused_edit_leaves_everything_as_it_was(
    database_url: str, connection: psycopg.Connection, by: str, outcome: str
) -> None:
    load(database_url, *masters(), large(total="900.00", tenders=[tender("900.00")]))
    exception_id = only(connection)
    fixes.edit(connection, exception_id, raw(large()), **HOW)
    fixes.refuse(connection, exception_id, by=by, reason="no receipt")
    record(database_url)
    shown = queue.detail(connection, exception_id)
    assert shown is not None
    assert (shown.exception.state, shown.exception.amount) == ("open", Decimal("900.00"))
    assert shown.proposals[0].state == outcome
    assert fixes.dismiss(connection, exception_id, **HOW).state == "approval", "a dismissal of so much waits, too"
    fixes.approve(connection, exception_id, by="berta")
    assert queue.listed(connection, state="dismissed")[0].exception_id == exception_id


def test_many_small_edits_are_as_much_money_as_a_large_one(database_url: str, connection: psycopg.Connection) -> None:
    """Each is measured from what was accepted, or from what a second person approved last."""
    load(database_url, *masters(), large(total="900.00", tenders=[tender("900.00")]))
    exception_id = only(connection)

    def edit(total: str) -> fixes.Fixed:
        payload = raw(large(total=total, tenders=[tender(total)]))
        fixed = fixes.edit(connection, exception_id, payload, **HOW)
        record(database_url)
        return fixed

    assert (edit("805.00").state, edit("810.00").moved) == ("retrying", Decimal("90.00"))
    fixed = edit("715.00")
    assert (fixed.state, fixed.moved) == ("approval", Decimal("185.00"))
    fixes.approve(connection, exception_id, by="berta")
    record(database_url)
    assert (edit("620.00").state, edit("525.00").state) == ("retrying", "approval")


def test_two_who_approve_at_once_apply_it_once(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), large(total="900.00", tenders=[tender("900.00")]))
    exception_id = only(connection)
    fixes.edit(connection, exception_id, raw(large()), **HOW)
    outcomes: list[str] = []

    def approve(by: str) -> None:
        with psycopg.connect(database_url, autocommit=True) as own:
            try:
                outcomes.append(fixes.approve(own, exception_id, by=by).state)
            except FixRefused:
                outcomes.append("refused")

    threads = [threading.Thread(target=approve, args=(by,)) for by in ("berta", "cleo", "dora")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["refused", "refused", "retrying"]
    assert record(database_url) == 1


def test_many_small_dismissals_are_as_much_money_as_a_large_one(
    database_url: str, connection: psycopg.Connection
) -> None:
    small = [sale(number, line("pear", "1", "30.00")) for number in range(4)]
    load(database_url, *masters(), *small, movement(lines=(("pear", "1"),)))
    counts = fixes.dismiss_cause(connection, "unknown_product:pear", **HOW)
    assert counts == {"dismissed": 1, "approval": 4}
    more = HOW | {"limit": Decimal(120)}
    for row in queue.listed(connection, state="approval"):
        fixes.refuse(connection, row.exception_id, by="berta", reason="one by one")
    record(database_url)
    assert fixes.dismiss_cause(connection, "unknown_product:pear", **more) == {"dismissed": 4, "approval": 0}


@pytest.mark.parametrize("tenders", [[], [tender("5000.00")]])
def test_a_total_of_nothing_hides_no_money(
    database_url: str, connection: psycopg.Connection, tenders: list[dict[str, Any]]
) -> None:
    load(database_url, *masters(), sale(1, line("milk", "1", "5000.00"), total="0.00", tenders=tenders))
    assert fixes.dismiss(connection, only(connection), **HOW).state == "approval"


MOVES: list[tuple[Event, Event, str | None]] = [
    (sale(1), changed(sale(1), sequence=2), "4.40"),
    (sale(1, line("milk", "9", "2.00", amount="18.00")), sale(1, line("milk", "1", "2.00", amount="18.00")), "16.00"),
    (sale(1), changed(sale(1), operator="x"), None),
    (sale(1, line("pear")), sale(1, line("milk")), None),
    (sale(1), changed(sale(1), total="5.40"), "1.00"),
    (sale(1), changed(sale(1), tenders=[tender("4.40", "card")]), "8.80"),
    (sale(1), changed(sale(1), tenders=[tender("4.40", voided=True)]), "4.40"),
    (sale(1), changed(sale(1), register="2"), "4.40"),
    (sale(1), changed(sale(1), kind="training"), "4.40"),
    (sale(1), sale(1, line("milk", "1", "1.00"), line("milk", "1", "3.00")), "0.40"),
    (till_close(), till_close(counts=[("cash", "10", "7")]), "10"),
    (movement(), movement(lines=(("milk", "9"),)), None),
]


@pytest.mark.parametrize(("before", "after", "moved"), MOVES)
def test_money_moves_wherever_an_amount_or_its_place_changes(before: Event, after: Event, moved: str | None) -> None:
    found, _ = money_moved(raw(before), raw(after))
    assert found == (None if moved is None else Decimal(moved))
    assert diff(raw(before), raw(after))


# ---------------------------------------------------------------- dry runs


def shown_and_done(shown: DryRun, connection: psycopg.Connection) -> None:
    """Assert that what a dry run showed is what has happened since."""
    build_journals(connection, BOOK, policy_of("transaction"))
    for one in shown.results:
        (row,) = rows(
            connection, "SELECT state, group_id, ordinal FROM exception WHERE exception_id = %s", one.exception_id
        )
        assert row[0] == one.state
        recorded = rows(connection, "SELECT event_offset FROM event WHERE group_id = %s AND ordinal = %s", *row[1:])
        assert bool(recorded) == one.clears
        if not recorded:
            continue
        lines = rows(
            connection,
            "SELECT store, component || ' ' || l.code, account, debit, credit FROM journal_line l JOIN journal j"
            " USING (journal_id) WHERE j.from_offset = %s AND store = %s ORDER BY 1, 2",
            recorded[0][0],
            one.key.partition("/")[0],
        )
        told = sorted(
            (part.store, posted.description, posted.account, posted.debit, posted.credit)
            for part in one.journals
            for posted in part.lines
        )
        assert told == lines
        moved = rows(
            connection,
            "SELECT store, sku, reason, quantity FROM stock_movement WHERE event_offset = %s AND store = %s ORDER BY line",
            recorded[0][0],
            one.key.partition("/")[0],
        )
        assert [(m.store, m.sku, m.reason, m.quantity) for m in one.movements] == moved


def test_what_a_dry_run_of_an_edit_shows_is_what_happens(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), WRONG)
    before = everything(connection)
    shown = rehearsal(connection).of_edit(only(connection), raw(RIGHT), limit=Decimal(5))
    assert everything(connection) == before, "nothing has happened"
    (one,) = shown.results
    assert (one.clears, one.faults, shown.needs_second_person, shown.moved) == (True, [], True, Decimal("10.00"))
    assert bytes(one.event or b"") == raw(RIGHT)
    (part,) = one.journals
    assert [(posted.account, posted.debit, posted.credit) for posted in part.lines] == [
        ("4000", Decimal(0), Decimal("50.00")),
        ("1010", Decimal("50.00"), Decimal(0)),
    ]
    fixes.edit(connection, only(connection), raw(RIGHT), **HOW)
    record(database_url)
    load(database_url, *day_closed())
    shown_and_done(shown, connection)


def day_closed() -> list[Event]:
    """The day's close, so that journals are built."""
    from builders import day_close

    return [day_close()]


def test_a_dry_run_of_an_edit_that_is_not_enough(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), WRONG)
    payload = raw(changed(WRONG, total="55.00"))
    (one,) = rehearsal(connection).of_edit(only(connection), payload, limit=Decimal(100)).results
    assert (one.clears, one.event, one.journals) == (False, None, [])
    assert {fault["code"] for fault in one.faults} == {"total_mismatch", "tender_mismatch"}
    assert queue.listed(connection)[0].amount == Decimal("60.00")


def test_a_dry_run_of_master_data_tells_what_would_clear(database_url: str, connection: psycopg.Connection) -> None:
    wrong = sale(1, line("pear"), line("milk", "2"))
    names = ("store", "register", "business_date", "sequence")
    load(
        database_url,
        *masters(store("101"), store("102")),
        wrong,
        sale(2, line("pear"), line("plum")),
        sale(1, line("pear", "3"), store="102"),
        sale(3, line("fig")),
        returned(4, original={name: wrong["data"][name] for name in names}),
        movement(lines=(("pear", "7"),)),
    )
    before = everything(connection)
    shown = rehearsal(connection).of_master_data([raw(product("pear", "fruit"))])
    assert everything(connection) == before, "nothing has happened"
    assert {one.key: one.clears for one in shown.results} == {
        "101/1/2026-03-02/1": True,
        "101/1/2026-03-02/2": False,
        "102/1/2026-03-02/1": True,
        "101/1/2026-03-02/4": True,
        "101/movement/D-1": True,
    }
    load(database_url, product("pear", "fruit"))
    from builders import day_close

    load(database_url, day_close(), day_close(store="102"))
    shown_and_done(shown, connection)


def test_a_dry_run_of_a_cause_and_of_nothing(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1, line("pear")), sale(2, line("pear")))
    shown = rehearsal(connection).of_retry(cause="unknown_product:pear")
    assert [one.clears for one in shown.results] == [False, False]
    assert [row.attempts for row in queue.listed(connection)] == [1, 1]
    assert rehearsal(connection).of_retry(cause="unknown_product:nothing").results == []
    with pytest.raises(PayloadRefused) as refused:
        rehearsal(connection).of_master_data([raw(product("pear")), raw(sale(1))])
    assert refused.value.pointer == "/1/type"
    with pytest.raises(FixRefused):
        rehearsal(connection).of_retry()


def test_the_tests_own_time_is_no_matter_of_now(database_url: str, connection: psycopg.Connection) -> None:
    """A sale whose date was out of range is judged by the worker's clock, in dry runs as in earnest."""
    from datetime import timedelta

    ahead = NOW.date() + timedelta(days=9)
    load(database_url, *masters(), sale(1, day=ahead))
    (one,) = rehearsal(connection).of_retry(exception_id=only(connection)).results
    assert [fault["code"] for fault in one.faults] == ["business_date_invalid"]


def test_a_warning_is_acknowledged_and_never_retried(database_url: str, connection: psycopg.Connection) -> None:
    """Its event is recorded: nothing waits for it, and no second person is asked, whatever it is worth."""
    load(database_url, *masters(), sale(1, line("milk", "1", "5000.00"), item_count="9"), sale(2, line("pear")))
    (warning,) = queue.found(connection, queue.Filter(severity="warning"))
    assert (warning.code, warning.state) == ("item_count_mismatch", "open")
    assert rows(connection, "SELECT sequence FROM sale") == [(1,)]
    assert queue.retry(connection) == 1, "only what is blocked"
    record(database_url)
    with pytest.raises(FixRefused):
        fixes.edit(connection, warning.exception_id, raw(sale(1)), **HOW)
    assert [one.cause for one in queue.causes(connection)] == ["unknown_product:pear"]
    assert fixes.dismiss(connection, warning.exception_id, **HOW).state == "dismissed"
    shown = queue.detail(connection, warning.exception_id)
    assert shown is not None
    assert [(one.action, one.actor) for one in shown.actions] == [("raise", "hub"), ("acknowledge", "anna")]


def test_what_was_blocked_and_is_recorded_with_a_warning(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1, line("pear"), item_count="9"))
    load(database_url, product("pear"))
    found = rows(connection, "SELECT severity, code, state FROM exception ORDER BY 1")
    assert found == [("blocking", "unknown_product", "resolved"), ("warning", "item_count_mismatch", "open")]


def test_the_dry_run_of_a_correction_shows_what_it_takes_back(
    database_url: str, connection: psycopg.Connection
) -> None:
    first = sale(1, line("milk", "2", "2.00"))
    wrong = changed(sale(1, line("milk", "4", "2.00")), version=2, total="9.99")
    right = changed(sale(1, line("milk", "4", "2.00")), version=2)
    load(database_url, *masters(), first)
    load(database_url, wrong)
    (one,) = rehearsal(connection).of_edit(only(connection), raw(right), limit=Decimal(1000)).results
    assert one.reversal is not None
    assert [move.quantity for move in one.movements] == [Decimal(2), Decimal(-4)]
    shown = sum(
        ledger.debit - ledger.credit for part in one.journals for ledger in part.lines if ledger.account == "1010"
    )
    fixes.edit(connection, only(connection), raw(right), **HOW)
    record(database_url)
    after = scalar(connection, "SELECT sum(amount) FROM ledger_entry WHERE component = 'tender'")
    assert after - Decimal(str(first["data"]["total"])) == shown
    assert scalar(connection, "SELECT on_hand FROM stock_balance WHERE sku = 'milk'") == -4
