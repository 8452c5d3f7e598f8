"""Corrections: a later version takes back what was recorded and takes its place, whatever order the versions come in."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from builders import (
    Event,
    batch,
    changed,
    corrected,
    day_close,
    line,
    masters,
    product,
    raw,
    sale,
    store,
    till_close,
)
from driving import (
    accept,
    check_effects,
    check_event_store,
    exception_codes,
    load,
    record,
    rows,
    scalar,
    settings_for,
)
from posting_kit import BOOK, policy_of

from tillwire.events import follow
from tillwire.events.log import next_offsets, read_chunks
from tillwire.exceptions import fixes, queue
from tillwire.intake.door import BodyRefused, Refusal, read_batch
from tillwire.model.event import MESSAGE_DECODER, TRANSACTION_REVERSED
from tillwire.posting.build import build_journals
from tillwire.reconciliation.days import reconcile
from tillwire.reconciliation.trace import trace
from tillwire.replay import replay_inline
from tillwire.sales.hourly import HourlySales

FIRST = sale(1, line("milk", "2", "2.00", tax=("STD", "0.40")), line("beer", "1", "24.00", unit="CS"))
SECOND = corrected(FIRST, 2, line("milk", "1", "2.00", tax=("STD", "0.20")), line("bread", "3", "1.00"))
THIRD = corrected(FIRST, 3, line("beer", "2", "6.00", unit="SIX"))


def final(one: Event) -> Event:
    """The event as if it had been the first version."""
    data = {name: value for name, value in one["data"].items() if name != "version"}
    return {**one, "data": data}


def post(connection: psycopg.Connection) -> None:
    build_journals(connection, BOOK, policy_of())
    connection.execute(
        "UPDATE journal SET state = 'posted', document_id = '1', posted_at = now(), confirmed_at = now()"
    )


def check(url: str, connection: psycopg.Connection, *finals: Event) -> None:
    """Assert that the hub's effects are those of the final versions alone, and that a replay gives the same tables."""
    check_effects(connection, [*masters(), *map(final, finals)])
    assert replay_inline(settings_for(url), processes=1).identical


def versions(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return rows(connection, "SELECT version, outcome, by_version FROM version ORDER BY event_offset")


def test_a_correction_takes_back_the_old_and_records_the_new(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), FIRST)
    load(database_url, SECOND)
    check(database_url, connection, SECOND)
    assert versions(connection) == [(1, "reversed", 2), (2, "recorded", None)]
    sold = rows(connection, "SELECT kind, effect, total FROM sale ORDER BY event_offset")
    assert sold == [("sale", 1, Decimal("28.40")), ("sale", -1, Decimal("-28.40")), ("sale", 1, Decimal("5.20"))]
    check_event_store(connection, len(masters()) + 3)
    assert exception_codes(connection) == []


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", list(itertools.permutations((FIRST, SECOND, THIRD))), ids=lambda _: "")
def test_versions_in_any_order(
    database_url: str, connection: psycopg.Connection, order: tuple[Event, ...], together: bool
) -> None:
    load(database_url, *masters())
    if together:
        load(database_url, *order)
    else:
        for one in order:
            load(database_url, one)
    check(database_url, connection, THIRD)
    assert exception_codes(connection) == []
    assert scalar(connection, "SELECT count(*) FROM awaited") == 0


def test_sending_versions_again_has_no_effect(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), FIRST, SECOND)
    before = rows(connection, "SELECT sale::text FROM sale ORDER BY 1")
    assert accept(database_url, [SECOND, FIRST, SECOND]) == [["duplicate"] * 3]
    assert record(database_url) == 0
    assert rows(connection, "SELECT sale::text FROM sale ORDER BY 1") == before
    assert accept(database_url, [changed(SECOND, receipt="other")]) == [["conflict"]]


def test_a_reversal_uses_the_enrichment_of_its_time(database_url: str, connection: psycopg.Connection) -> None:
    """Class and conversion have changed since: what is taken back is what was given."""
    load(database_url, *masters(), FIRST)
    load(database_url, product("milk", "drinks", revision=2), product("beer", "drinks", units={"CS": "12"}, revision=2))
    load(database_url, SECOND)
    left = rows(connection, "SELECT sku, on_hand FROM stock_balance WHERE on_hand <> 0 ORDER BY 1")
    assert left == [("bread", Decimal(-3)), ("milk", Decimal(-1))]
    revenue = (
        "SELECT code, sum(amount) FROM ledger_entry WHERE component = 'revenue' GROUP BY 1 HAVING sum(amount) <> 0"
    )
    assert dict(rows(connection, revenue)) == {"bakery": Decimal("-3.00"), "drinks": Decimal("-2.00")}


def test_a_correction_may_change_what_the_transaction_is(database_url: str, connection: psycopg.Connection) -> None:
    training = corrected(FIRST, 2, kind="training")
    load(database_url, *masters(), FIRST, training)
    check(database_url, connection, training)


def dismiss(connection: psycopg.Connection, code: str) -> None:
    (row,) = [row for row in queue.listed(connection) if row.code == code]
    fixes.dismiss(connection, row.exception_id, by="ada", reason="corrected", limit=Decimal(10**6))


WRONG = sale(1, line("pear"))
RIGHT = corrected(WRONG, 2, line("milk"))


def test_a_correction_drains_behind_what_was_mended(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), WRONG)
    load(database_url, RIGHT)
    assert exception_codes(connection) == ["unknown_product"]  # the correction is held behind it
    load(database_url, product("pear", "fruit"))
    assert exception_codes(connection) == []
    assert versions(connection) == [(1, "reversed", 2), (2, "recorded", None)]
    check(database_url, connection, RIGHT)


def test_a_correction_stands_alone_when_the_first_is_dismissed(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(), WRONG, RIGHT)
    dismiss(connection, "unknown_product")
    record(database_url)
    assert versions(connection) == [(2, "recorded", None)]
    check(database_url, connection, RIGHT)


@pytest.mark.parametrize("together", [True, False])
def test_what_is_superseded_needs_no_mending(database_url: str, connection: psycopg.Connection, together: bool) -> None:
    """A first version that breaks a rule and comes after its correction: it is recorded, without effect."""
    load(database_url, *masters())
    for some in ([RIGHT, WRONG],) if together else ([RIGHT], [WRONG]):
        load(database_url, *some)
    assert exception_codes(connection) == []
    assert versions(connection) == [(2, "recorded", None), (1, "superseded", 2)]
    check(database_url, connection, RIGHT)


def test_a_correction_counts_once_while_it_waits(database_url: str, connection: psycopg.Connection) -> None:
    wrong = corrected(FIRST, 2, line("pear"))
    load(database_url, *masters(), FIRST, wrong, day_close([FIRST]))
    post(connection)
    (day,) = reconcile(connection).days
    assert (day.recorded.count, day.in_exceptions.count) == (1, 0)
    (difference,) = day.differences
    assert (difference.code, difference.count) == ("others_in_exceptions", 1)
    assert difference.message == "1 correction of a sale of 2.00 USD in exceptions"


def test_of_versions_that_wait_the_newest_counts(database_url: str, connection: psycopg.Connection) -> None:
    first = sale(1, line("pear"))
    load(database_url, *masters(), first, corrected(first, 2, line("pear", "3", "2.00")), day_close([first]))
    (day,) = reconcile(connection).days
    assert (day.in_exceptions.count, day.in_exceptions.amount) == (1, Decimal("6.00"))


def test_a_corrected_day_is_proven(database_url: str, connection: psycopg.Connection) -> None:
    """Posted first, corrected then: the reversal and the new version go into the day's next journal."""
    load(database_url, *masters(), FIRST, sale(2), day_close([FIRST, sale(2)]))
    post(connection)
    load(database_url, SECOND)
    (day,) = reconcile(connection).days
    assert [one.code for one in day.differences] == ["missing_transactions", "not_in_journals"]
    load(database_url, corrected(day_close([SECOND, sale(2)]), 2))
    post(connection)
    (day,) = reconcile(connection).days
    assert day.differences == ()
    assert (day.captured, day.recorded, day.posted) == (day.recorded, day.posted, day.acknowledged)
    journals = rows(connection, "SELECT transactions, amount FROM journal ORDER BY journal_id")
    assert sorted(journals) == [(-1, Decimal("-28.40")), (1, Decimal("5.20")), (2, Decimal("32.80"))]
    unbalanced = "SELECT 1 FROM journal_line GROUP BY journal_id HAVING sum(debit) <> sum(credit)"
    assert rows(connection, unbalanced) == []


def test_both_modes_post_the_same(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), FIRST, SECOND, day_close([SECOND]))
    assert build_journals(connection, BOOK, policy_of("transaction")) == 3
    assert scalar(connection, "SELECT sum(transactions) FROM journal") == 1
    total = (
        "SELECT account, sum(debit - credit) FROM journal_line GROUP BY 1 HAVING sum(debit - credit) <> 0 ORDER BY 1"
    )
    assert dict(rows(connection, total)) == {
        "1010": Decimal("5.20"),
        "2200": Decimal("-0.20"),
        "4000": Decimal("-5.00"),
    }


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_a_till_close_is_corrected(database_url: str, connection: psycopg.Connection, order: tuple[int, ...]) -> None:
    closes = {
        number: corrected(till_close([sale(1)], counts=[("cash", "4.40", found)]), number)
        for number, found in ((1, "4.00"), (2, "4.30"), (3, "4.50"))
    }
    load(database_url, *masters(), sale(1))
    for number in order:
        load(database_url, final(closes[1]) if number == 1 else closes[number])
    check(database_url, connection, sale(1), closes[3])


def test_the_hours_follow_corrections(database_url: str, connection: psycopg.Connection) -> None:
    first = sale(1, ended_at="2026-03-02T09:30:00-05:00")
    second = corrected(first, 2, line("bread"), ended_at="2026-03-02T10:30:00-05:00")
    load(database_url, *masters(), second, corrected(second, 3, line("bread", "2", "1.00")), first)
    while follow.follow_once(connection, HourlySales()):
        pass
    sold = "SELECT hour, transactions, amount FROM hourly_sales WHERE transactions <> 0 OR amount <> 0"
    assert rows(connection, sold) == [(10, 1, Decimal("2.00"))]


def test_a_reversal_is_an_event_that_nobody_may_send(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), FIRST, SECOND)
    (partition,) = [number for number, count in next_offsets(connection).items() if number and count]
    stored = [one for chunk in read_chunks(connection, partition, 0, most_chunks=9) for one in chunk]
    assert [one.type_and_store()[0] for one in stored][1] == TRANSACTION_REVERSED
    message = MESSAGE_DECODER.decode(stored[1].raw).data
    assert (message.transaction.key, message.by_version) == ("101/1/2026-03-02/1", 2)
    assert message.reason == "corrected by version 2"
    try:
        (refusal,) = read_batch(batch([stored[1].raw]), most_events=9)
    except BodyRefused as refused:
        refusal = refused.refusal
    assert isinstance(refusal, Refusal)
    assert refusal.pointer == "/type"


def test_a_trace_shows_versions_and_reversals(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), FIRST, THIRD, SECOND)
    first, second, third = trace(connection, "101/1/2026-03-02/1")
    assert (first.version, second.version["outcome"], third.version["outcome"]) == (None, "superseded", "recorded")
    assert (second.version["by_version"], second.entries, second.movements) == (3, [], [])
    assert first.reversal is not None
    assert first.reversal["by_version"] == 3
    assert sum(one["amount"] for one in first.reversal["entries"] if one["component"] == "tender") == Decimal("-28.40")
    assert {(one["sku"], one["quantity"]) for one in first.reversal["movements"]} == {("milk", 2), ("beer", 24)}
    (only,) = trace(connection, "101/1/2026-03-02/1@3")
    assert only.key.endswith("@3")


def test_two_sources_correct_their_own(database_url: str, connection: psycopg.Connection) -> None:
    other = sale(1, line("bread"), source="urn:pos:other")
    load(database_url, *masters(), FIRST, other, SECOND)
    assert scalar(connection, "SELECT sum(selling) FROM completeness") == 2
    assert scalar(connection, "SELECT on_hand FROM stock_balance WHERE sku = 'bread'") == -4


def test_two_currencies_of_a_day_do_not_add(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1))
    load(database_url, store(currency="EUR", revision=2), sale(2, currency="EUR"), sale(3, currency="EUR"))
    load(database_url, day_close([sale(2), sale(3)], currency="EUR"))
    post(connection)
    euros, dollars = reconcile(connection).days
    assert (euros.currency, euros.captured, euros.differences) == ("EUR", euros.recorded, ())
    assert (dollars.currency, dollars.recorded.amount) == ("USD", Decimal("4.40"))
    assert [one.code for one in dollars.differences] == ["currency_changed"]


def test_raw_of_versions_is_kept(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), FIRST, SECOND)
    assert [bytes(one.raw) for one in trace(connection, "101/1/2026-03-02/1")] == [raw(FIRST), raw(SECOND)]
