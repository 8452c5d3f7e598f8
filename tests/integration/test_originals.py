"""Returns, exchanges and post-voids against their originals; late arrivals; orders that two systems report."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from builders import (
    DAY,
    Event,
    changed,
    corrected,
    day_close,
    day_open,
    fulfilment,
    level,
    line,
    masters,
    original_of,
    post_void,
    product,
    returned,
    sale,
    store,
    till_close,
    transaction,
)
from driving import (
    accept,
    check_effects,
    check_projections,
    exception_codes,
    load,
    make_worker,
    record,
    rows,
    scalar,
    settings_for,
)
from posting_kit import BOOK, policy_of

from tillwire.bootstrap import late_policy
from tillwire.config import LateArrivals, LateStores
from tillwire.exceptions import fixes, queue
from tillwire.intake.rules import Policy
from tillwire.intake.rules_history import LatePolicy
from tillwire.posting.build import build_journals
from tillwire.reconciliation.days import reconcile
from tillwire.reconciliation.trace import trace
from tillwire.replay import replay_inline

SOLD = sale(1, line("milk", "3", "2.00"), line("beer", "1", "24.00", unit="CS"))
NEXT = DAY + timedelta(days=1)


def back(sequence: int, *lines: Any, original: Event = SOLD, **more: Any) -> Event:
    """A return that names its original."""
    return returned(sequence, *lines, original=original_of(original), **more)


def replayed(url: str) -> bool:
    return replay_inline(settings_for(url), processes=1).identical


def on_hand(connection: psycopg.Connection, sku: str) -> Decimal:
    return scalar(connection, "SELECT on_hand FROM stock_balance WHERE sku = %s", sku)


def messages(connection: psycopg.Connection) -> list[str]:
    return [row.message for row in queue.listed(connection)]


# ---------------------------------------------------------------- returns


def test_a_return_within_its_original(database_url: str, connection: psycopg.Connection) -> None:
    events = [SOLD, back(2, line("milk", "-2", "2.00")), back(3, line("beer", "-2", "6.00", unit="SIX"))]
    load(database_url, *masters(), *events)
    assert exception_codes(connection) == []
    check_projections(connection, [*masters(), *events])
    assert rows(connection, "SELECT original, by_key, voids, skus, quantities FROM reference_to ORDER BY 2") == [
        ("101/1/2026-03-02/1", "101/1/2026-03-02/2", 0, ["milk"], [Decimal(2)]),
        ("101/1/2026-03-02/1", "101/1/2026-03-02/3", 0, ["beer"], [Decimal(12)]),
    ]
    assert replayed(database_url)
    (found,) = trace(connection, "101/1/2026-03-02/1")
    assert [one["by_key"].rpartition("/")[2] for one in found.referred_to_by] == ["2", "3"]


@pytest.mark.parametrize("together", [True, False])
def test_more_than_was_sold_does_not_come_back(
    database_url: str, connection: psycopg.Connection, together: bool
) -> None:
    events = [SOLD, back(2, line("milk", "-2", "2.00")), back(3, line("milk", "-2", "2.00"))]
    load(database_url, *masters())
    for some in [events] if together else [[one] for one in events]:
        load(database_url, *some)
    assert exception_codes(connection) == ["return_exceeds_original"]
    assert messages(connection) == ["2 of 'milk' come back; 101/1/2026-03-02/1 sold 3, 2 are back already"]
    assert on_hand(connection, "milk") == -1


@pytest.mark.parametrize(
    "wrong",
    [
        back(2, line("bread", "-1", "1.00")),
        back(2, line("beer", "-25", "1.00", unit="EA")),
        back(2, line("milk", "-2", "2.00"), line("milk", "-2", "2.00")),
        transaction(
            2, "exchange", [line("bread", "1", "9.00"), line("milk", "-4", "2.00")], original=original_of(SOLD)
        ),
        returned(2, {**line("milk", "-4", "2.00"), "original": original_of(SOLD)}),
    ],
)
def test_what_exceeds_the_original(database_url: str, connection: psycopg.Connection, wrong: Event) -> None:
    load(database_url, *masters(), SOLD, wrong)
    assert exception_codes(connection) == ["return_exceeds_original"]


def test_a_return_without_a_receipt_names_nothing(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), returned(2, line("milk", "-7", "2.00")))
    assert exception_codes(connection) == []
    assert on_hand(connection, "milk") == 7


def test_a_return_of_lines_of_several_originals(database_url: str, connection: psycopg.Connection) -> None:
    other = sale(5, line("bread", "2", "1.00"))
    lines = [
        {**line("milk", "-1", "2.00"), "original": original_of(SOLD)},
        {**line("bread", "-2", "1.00"), "original": original_of(other)},
    ]
    load(database_url, *masters(), SOLD, other, returned(6, *lines))
    assert exception_codes(connection) == []
    assert scalar(connection, "SELECT count(*) FROM reference_to") == 2
    load(database_url, returned(7, *lines))
    assert exception_codes(connection) == ["return_exceeds_original"]


@pytest.mark.parametrize("where", ["101", "102"])
def test_a_return_before_its_original_mends_itself(
    database_url: str, connection: psycopg.Connection, where: str
) -> None:
    """Also across stores: the original is in another partition, and comes later."""
    load(database_url, *masters(store("101"), store("102")))
    taken = back(2, line("milk", "-1", "2.00"), store=where)
    load(database_url, taken)
    assert exception_codes(connection) == ["original_unknown"]
    assert messages(connection) == ["the original 101/1/2026-03-02/1 is not known"]
    load(database_url, SOLD)
    assert exception_codes(connection) == []
    check_projections(connection, [*masters(store("101"), store("102")), SOLD, taken])
    assert scalar(connection, "SELECT count(*) FROM awaited") == 0
    assert replayed(database_url)


def test_a_return_in_the_batch_before_its_original(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), back(2, line("milk", "-1", "2.00")), SOLD)
    assert exception_codes(connection) == []
    assert on_hand(connection, "milk") == -2


def test_an_original_that_waits_in_the_exceptions(database_url: str, connection: psycopg.Connection) -> None:
    wrong = sale(1, line("milk", "3", "2.00"), total="1.00")
    right = corrected(wrong, 2, line("milk", "3", "2.00"))
    load(database_url, *masters(), wrong, back(2, line("milk", "-1", "2.00"), original=wrong), right)
    assert exception_codes(connection) == ["total_mismatch"]  # the others are held behind it
    (row,) = [row for row in queue.listed(connection) if row.code == "total_mismatch"]
    fixes.dismiss(connection, row.exception_id, by="ada", reason="corrected", limit=Decimal(10**6))
    record(database_url)
    assert exception_codes(connection) == []
    assert on_hand(connection, "milk") == -2


@pytest.mark.parametrize("severity", ["warning", "off"])
def test_a_source_may_be_let_through(database_url: str, connection: psycopg.Connection, severity: str) -> None:
    """With a warning, or without: what comes back counts against the original, should that come."""
    accept(database_url, [*masters(), back(2, line("milk", "-2", "2.00")), post_void(4, sale(3))])
    record(database_url, policy=Policy(severities={"original_unknown": severity}))
    found = "SELECT code, severity FROM exception"
    assert rows(connection, found) == [("original_unknown", "warning")] * 2 * (severity == "warning")
    assert on_hand(connection, "milk") == 4
    load(database_url, SOLD, back(5, line("milk", "-2", "2.00")), sale(3), post_void(6, sale(3)))
    blocked = "SELECT code FROM exception WHERE severity = 'blocking' ORDER BY 1"
    assert rows(connection, blocked) == [("already_voided",), ("return_exceeds_original",)]


def test_a_wake_up_that_was_missed_is_made_good(database_url: str, connection: psycopg.Connection) -> None:
    """The original was recorded by another worker between our look and our commit: nobody saw that it is awaited."""
    load(database_url, *masters(), back(2, line("milk", "-1", "2.00")))
    kept = rows(connection, "SELECT * FROM awaited")
    connection.execute("DELETE FROM awaited")
    load(database_url, SOLD)
    assert exception_codes(connection) == ["original_unknown"]
    marks = ", ".join(["%s"] * len(kept[0]))
    connection.execute(f"INSERT INTO awaited VALUES ({marks})".encode(), kept[0])
    connection.execute("UPDATE awaited SET next_look_at = clock_timestamp()")
    record(database_url)
    assert exception_codes(connection) == []


def test_what_is_dismissed_is_not_waited_for(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), back(2, line("milk", "-1", "2.00")))
    (row,) = queue.listed(connection)
    fixes.dismiss(connection, row.exception_id, by="ada", reason="sold before the hub", limit=Decimal(10**6))
    load(database_url, SOLD)
    assert record(database_url) == 0
    assert scalar(connection, "SELECT count(*) FROM awaited") == 0
    assert on_hand(connection, "milk") == -3


def test_the_original_is_its_newest_version(database_url: str, connection: psycopg.Connection) -> None:
    """Corrected down, less may come back; corrected up again, what was refused comes back by itself."""
    fewer = corrected(SOLD, 2, line("milk", "1", "2.00"))
    load(database_url, *masters(), SOLD, fewer, back(2, line("milk", "-2", "2.00")))
    assert exception_codes(connection) == ["return_exceeds_original"]
    load(database_url, corrected(SOLD, 3, line("milk", "2", "2.00")))
    assert exception_codes(connection) == []
    assert on_hand(connection, "milk") == 0
    assert replayed(database_url)


def test_a_corrected_return_counts_once(database_url: str, connection: psycopg.Connection) -> None:
    first = back(2, line("milk", "-3", "2.00"))
    second = corrected(first, 2, line("milk", "-2", "2.00"))
    load(database_url, *masters(), SOLD, first, second, back(3, line("milk", "-1", "2.00")))
    assert exception_codes(connection) == []
    load(database_url, corrected(second, 3, line("milk", "-3", "2.00")))
    assert exception_codes(connection) == ["return_exceeds_original"]
    assert on_hand(connection, "milk") == 0
    assert replayed(database_url)


@pytest.mark.parametrize("together", [True, False])
def test_a_correction_to_less_than_is_back_is_recorded_with_a_warning(
    database_url: str, connection: psycopg.Connection, together: bool
) -> None:
    """It says what was sold; somebody has to see that more was refunded. Once, and not for what still suffices."""
    fewer = corrected(SOLD, 2, line("milk", "2", "2.00"), line("beer", "1", "24.00", unit="CS"))
    enough = corrected(SOLD, 3, line("milk", "3", "2.00"), line("beer", "1", "6.00", unit="SIX"))
    events = [SOLD, back(2, line("milk", "-3", "2.00")), back(3, line("beer", "-6", "1.00")), fewer, enough]
    load_both_ways(database_url, events, together)
    key = "101/1/2026-03-02/1"
    words = f"3 of 'milk' are back already; corrected, {key} sold 2"
    found = rows(connection, "SELECT code, severity, key, message FROM exception")
    assert found == [("return_exceeds_original", "warning", f"{key}@2", words)]
    assert on_hand(connection, "milk") == 0
    assert on_hand(connection, "beer") == 0
    assert replayed(database_url)


THIRDS = sale(1, line("milk", "3", "3.3333", amount="10.00"), line("bread", "1", "1.00"), line("bread", "1", "4.00"))


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("sold", "taken", "words"),
    [
        (SOLD, line("milk", "-2", "2.02"), "4.04 is refunded for 2 of 'milk'; 101/1/2026-03-02/1 got 6.00 for 3"),
        (SOLD, line("milk", "-2", "2.01"), None),
        (
            SOLD,
            line("beer", "-1", "6.07", unit="SIX"),
            "6.07 is refunded for 6 of 'beer'; 101/1/2026-03-02/1 got 24.00",
        ),
        (SOLD, line("beer", "-1", "6.00", unit="SIX"), None),
        (SOLD, {**line("milk", "-1", "9.00"), "original": original_of(SOLD)}, "9.00 is refunded for 1 of 'milk'"),
        (THIRDS, line("milk", "-1", "3.34"), None),
        (THIRDS, line("bread", "-1", "4.00"), None),
        (THIRDS, line("bread", "-2", "4.02"), "8.04 is refunded for 2 of 'bread'; 101/1/2026-03-02/1 got 4.00 for 1"),
        (THIRDS, line("milk", "-0.1", "3.40"), None),
    ],
)
def test_a_refund_above_the_price(
    database_url: str, connection: psycopg.Connection, sold: Event, taken: Any, words: str | None, together: bool
) -> None:
    """It is recorded, with a warning; in whatever unit it comes back. A minor unit is rounding."""
    events = [sold, returned(2, taken) if "original" in taken else back(2, taken, original=sold)]
    load_both_ways(database_url, events, together)
    found = rows(connection, "SELECT code, severity, message FROM exception")
    assert [one[:2] for one in found] == [("refund_exceeds_price", "warning")] * (words is not None)
    assert all(one[2].startswith(words) for one in found)
    assert scalar(connection, "SELECT count(*) FROM reference_to") == 1
    assert scalar(connection, "SELECT count(*) FROM awaited") == 0


@pytest.mark.parametrize(("price", "codes"), [("5.50", []), ("5.52", ["refund_exceeds_price"])])
def test_a_refund_is_compared_with_tax_where_only_one_includes_it(
    database_url: str, connection: psycopg.Connection, price: str, codes: list[str]
) -> None:
    sold = sale(1, line("milk", "2", "5.00", tax=("STD", "1.00")))
    load(database_url, *masters(), sold, back(2, line("milk", "-1", price), original=sold, tax_included=True))
    assert [code for (code,) in rows(connection, "SELECT code FROM exception")] == codes


def test_a_refund_is_compared_with_the_corrected_price(database_url: str, connection: psycopg.Connection) -> None:
    dearer = corrected(SOLD, 2, line("milk", "3", "3.00"))
    load(database_url, *masters(), SOLD, dearer, back(2, line("milk", "-1", "3.00")))
    assert rows(connection, "SELECT code FROM exception") == []


@pytest.mark.parametrize(("severity", "recorded"), [("blocking", 1), ("off", 2)])
def test_refunds_above_the_price_are_judged_as_configured(
    database_url: str, connection: psycopg.Connection, severity: str, recorded: int
) -> None:
    accept(database_url, [*masters(), SOLD, back(2, line("milk", "-1", "3.00"))])
    record(database_url, policy=Policy(severities={"refund_exceeds_price": severity}))
    assert exception_codes(connection) == ["refund_exceeds_price"] * (2 - recorded)
    assert scalar(connection, "SELECT sum(selling) FROM completeness") == recorded


# ---------------------------------------------------------------- voids


def test_a_void_of_a_void_restores(database_url: str, connection: psycopg.Connection) -> None:
    voided = post_void(2, SOLD)
    restored = post_void(3, voided)
    for events in ([SOLD, voided], [restored], [post_void(4, SOLD)], [post_void(5, post_void(4, SOLD))]):
        load(database_url, *(masters() if events[0] is SOLD else []), *events)
        assert exception_codes(connection) == []
    assert on_hand(connection, "milk") == -3
    assert scalar(connection, "SELECT sum(voids) FROM reference_to WHERE original = '101/1/2026-03-02/1'") == 0
    load(database_url, back(6, line("milk", "-1", "2.00")))
    assert exception_codes(connection) == []
    assert replayed(database_url)


def test_nothing_is_voided_twice(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), SOLD, post_void(2, SOLD), post_void(3, SOLD))
    assert exception_codes(connection) == ["already_voided"]
    assert on_hand(connection, "milk") == 0


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (changed(post_void(2, SOLD), original={**original_of(SOLD), "sequence": 77}), "original_unknown"),
        (changed(post_void(2, sale(1, line("milk", "2", "15.00"))), original=original_of(SOLD)), "void_mismatch"),
        (changed(post_void(2, sale(1, line("milk", "1", "1.00"))), original=original_of(SOLD)), "void_mismatch"),
    ],
)
def test_a_void_is_the_opposite_of_its_original(
    database_url: str, connection: psycopg.Connection, wrong: Event, code: str
) -> None:
    load(database_url, *masters(), SOLD, wrong)
    assert exception_codes(connection) == [code]


def test_a_voided_sale_cannot_be_returned_nor_corrected(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), SOLD, post_void(2, SOLD))
    load(database_url, back(3, line("milk", "-1", "2.00")), corrected(SOLD, 2, line("milk")))
    assert exception_codes(connection) == ["already_voided", "return_exceeds_original"]
    assert on_hand(connection, "milk") == 0


def test_a_return_that_is_voided_is_not_back(database_url: str, connection: psycopg.Connection) -> None:
    taken = back(2, line("milk", "-3", "2.00"))
    load(database_url, *masters(), SOLD, taken, post_void(3, taken), back(4, line("milk", "-3", "2.00")))
    assert exception_codes(connection) == []
    load(database_url, back(5, line("milk", "-1", "2.00")))
    assert exception_codes(connection) == ["return_exceeds_original"]


def test_a_sale_of_which_something_is_back_is_not_voided(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), SOLD, back(2, line("milk", "-1", "2.00")), post_void(3, SOLD))
    assert exception_codes(connection) == ["return_exceeds_original"]


def load_both_ways(url: str, events: list[Event], together: bool) -> None:
    """In one batch, or one after the other; with nothing left that would still be retried."""
    load(url, *masters())
    for some in [events] if together else [[one] for one in events]:
        load(url, *some)
    record(url)


def raised(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """Sequence and code of what is not recorded."""
    return [(row.key.rpartition("/")[2], row.code) for row in queue.listed(connection)]


def milk(sequence: int, quantity: int) -> Event:
    return sale(sequence, line("milk", str(quantity), "2.00"))


def milk_back(sequence: int, original: Event, quantity: int) -> Event:
    return back(sequence, line("milk", str(-quantity), "2.00"), original=original)


@pytest.mark.parametrize("together", [True, False])
def test_no_chain_of_voids_voids_a_sale_twice(
    database_url: str, connection: psycopg.Connection, together: bool
) -> None:
    sold = milk(1010, 2)
    first = post_void(1011, sold)
    restored = post_void(1012, first)
    events = [sold, first, restored, post_void(1013, sold), post_void(1014, restored)]
    load_both_ways(database_url, events, together)
    assert raised(connection) == [("1014", "already_voided")]
    assert messages(connection) == ["101/1/2026-03-02/1010 is voided already"]
    assert on_hand(connection, "milk") == 0
    assert replayed(database_url)


@pytest.mark.parametrize("together", [True, False])
def test_a_chain_of_voids_of_a_sale_that_is_in_force(
    database_url: str, connection: psycopg.Connection, together: bool
) -> None:
    """Each void takes back the one before it: right as long as the sale stands as that one left it."""
    chain = [milk(1, 2)]
    for sequence in range(2, 7):
        chain.append(post_void(sequence, chain[-1]))
    load_both_ways(database_url, chain, together)
    assert raised(connection) == []
    assert on_hand(connection, "milk") == 0
    assert replayed(database_url)


@pytest.mark.parametrize("together", [True, False])
def test_a_void_that_no_longer_fits_is_not_brought_back(
    database_url: str, connection: psycopg.Connection, together: bool
) -> None:
    """The sale was corrected, or something of it came back, after its void was taken back."""
    sold, other = milk(1, 3), milk(11, 3)
    voids, others = post_void(2, sold), post_void(12, other)
    restored, others_restored = post_void(3, voids), post_void(13, others)
    more = corrected(sold, 2, line("milk", "4", "2.00"))
    events = [sold, voids, restored, more, post_void(4, restored)]
    events += [other, others, others_restored, milk_back(14, other, 1), post_void(15, others_restored)]
    load_both_ways(database_url, events, together)
    assert sorted(raised(connection)) == [("15", "return_exceeds_original"), ("4", "void_mismatch")]
    assert on_hand(connection, "milk") == -4 - 3 + 1


@pytest.mark.parametrize("together", [True, False])
def test_no_chain_of_voids_brings_too_much_back(
    database_url: str, connection: psycopg.Connection, together: bool
) -> None:
    sold = milk(1020, 3)
    taken = milk_back(1021, sold, 2)
    voided = post_void(1022, taken)
    events = [sold, taken, voided, milk_back(1023, sold, 2), post_void(1024, voided)]
    load_both_ways(database_url, events, together)
    assert raised(connection) == [("1024", "return_exceeds_original")]
    assert messages(connection) == ["2 of 'milk' come back; 101/1/2026-03-02/1020 sold 3, 2 are back already"]
    assert on_hand(connection, "milk") == -1
    assert replayed(database_url)


@pytest.mark.parametrize("together", [True, False])
def test_no_chain_of_voids_returns_what_is_voided(
    database_url: str, connection: psycopg.Connection, together: bool
) -> None:
    sold = milk(1030, 3)
    taken = milk_back(1031, sold, 2)
    voided = post_void(1032, taken)
    load_both_ways(database_url, [sold, taken, voided, post_void(1033, sold), post_void(1034, voided)], together)
    assert raised(connection) == [("1034", "return_exceeds_original")]
    assert on_hand(connection, "milk") == 0
    assert replayed(database_url)


@pytest.mark.parametrize("together", [True, False])
def test_a_void_that_was_refused_does_not_mend_itself(
    database_url: str, connection: psycopg.Connection, together: bool
) -> None:
    """In its place it would have been refused: what is voided later does not make it right; a person may."""
    sold = milk(410, 2)
    first = post_void(411, sold)
    load_both_ways(database_url, [sold, first, post_void(412, sold), post_void(413, first)], together)
    assert raised(connection) == [("412", "already_voided")]
    assert on_hand(connection, "milk") == -2
    assert scalar(connection, "SELECT count(*) FROM awaited") == 0
    queue.retry(connection, code="already_voided")
    record(database_url)
    assert raised(connection) == []
    assert on_hand(connection, "milk") == 0
    assert replayed(database_url)


@pytest.mark.parametrize("together", [True, False])
def test_a_return_that_was_refused_is_not_mended_by_voids(
    database_url: str, connection: psycopg.Connection, together: bool
) -> None:
    """Neither by that of a return that was back at the time, nor by that of the void of its original."""
    sold, other = milk(1, 2), milk(11, 2)
    taken, voided = milk_back(2, sold, 2), post_void(12, other)
    events = [sold, taken, milk_back(3, sold, 1), post_void(4, taken)]
    events += [other, voided, milk_back(13, other, 1), post_void(14, voided)]
    load_both_ways(database_url, events, together)
    assert sorted(raised(connection)) == [("13", "return_exceeds_original"), ("3", "return_exceeds_original")]
    assert on_hand(connection, "milk") == -4


def test_the_void_of_a_return_whose_lines_name_originals(database_url: str, connection: psycopg.Connection) -> None:
    """Its lines repeat them: it voids the return, not what was sold."""
    taken = returned(2, {**line("milk", "-2", "2.00"), "original": original_of(SOLD)})
    load(database_url, *masters(), SOLD, taken, post_void(3, taken), back(4, line("milk", "-3", "2.00")))
    assert raised(connection) == []
    assert on_hand(connection, "milk") == 0


# ---------------------------------------------------------------- dispositions and states


def test_where_the_goods_lie(database_url: str, connection: psycopg.Connection) -> None:
    damaged = back(2, line("milk", "-1", "2.00", disposition="damaged"))
    events = [
        SOLD,
        damaged,
        back(3, line("milk", "-1", "2.00", moves_stock=False)),
        back(4, line("beer", "-6", "1.00", disposition="resell"), line("beer", "-6", "1.00", disposition="vendor")),
    ]
    load(database_url, *masters(), *events)
    balances = "SELECT sku, on_hand, unavailable FROM stock_balance ORDER BY 1"
    assert rows(connection, balances) == [("beer", Decimal(-18), Decimal(6)), ("milk", Decimal(-3), Decimal(1))]
    shown = "SELECT sku, bucket, sum(quantity) FROM stock_movement WHERE reason = 'return' GROUP BY 1, 2 ORDER BY 1, 2"
    assert rows(connection, shown) == [
        ("beer", "on_hand", Decimal(6)),
        ("beer", "unavailable", Decimal(6)),
        ("milk", "unavailable", Decimal(1)),
    ]
    load(database_url, post_void(5, damaged), back(6, line("milk", "-3", "2.00")))
    assert exception_codes(connection) == ["return_exceeds_original"]  # a refund of what stays with the customer counts
    assert dict(rows(connection, "SELECT sku, unavailable FROM stock_balance")) == {"beer": 6, "milk": 0}
    assert replayed(database_url)


def test_reported_states_keep_the_newest(database_url: str, connection: psycopg.Connection) -> None:
    load(
        database_url,
        *masters(),
        level("beer", "2", revision=2, unit="CS"),
        level("beer", "9", revision=1),
        fulfilment("F1", revision=2, state="shipped", tracking="T"),
        fulfilment("F1", revision=1, state="open"),
    )
    load(database_url, level("milk", "1", revision=5), level("milk", "3", revision=4))
    assert rows(connection, "SELECT sku, quantity, revision FROM stock_level ORDER BY 1") == [
        ("beer", Decimal(48), 2),
        ("milk", Decimal(1), 5),
    ]
    assert rows(connection, "SELECT document, order_number, state, revision, tracking, quantities FROM fulfilment") == [
        ("F1", "O1", "shipped", 2, "T", [Decimal(2)])
    ]
    assert scalar(connection, "SELECT count(*) FROM stock_balance") == 0
    assert replayed(database_url)


# ---------------------------------------------------------------- late arrivals


def with_policy(url: str, policy: Callable[[str], LatePolicy]) -> None:
    with psycopg.connect(url, autocommit=True) as own:
        worker = make_worker(own, late=policy)
        while worker.work_once():
            pass


def test_a_late_arrival_reopens_its_day(database_url: str, connection: psycopg.Connection) -> None:
    sold = [sale(1), sale(2)]
    load(database_url, *masters(), sold[0], day_close(sold))
    build_journals(connection, BOOK, policy_of())
    load(database_url, sold[1])
    assert build_journals(connection, BOOK, policy_of()) == 1
    (late,) = reconcile(connection).late
    assert (late.business_date, late.posted_date, late.events, late.figure.amount) == (DAY, DAY, 1, Decimal("4.40"))
    assert exception_codes(connection) == []
    check_projections(connection, [*masters(), *sold, day_close(sold)])
    assert replayed(database_url)


def adjusting(_: str) -> LatePolicy:
    return LatePolicy(policy="adjust")


@pytest.mark.parametrize(
    ("days", "posted"),
    [
        ([], DAY + timedelta(days=1)),
        ([day_open(day=NEXT)], NEXT),
        ([day_open(day=NEXT), day_close(day=NEXT)], DAY + timedelta(days=2)),
        ([day_close(day=NEXT), day_open(day=DAY + timedelta(days=4))], DAY + timedelta(days=4)),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_late_arrival_is_adjusted_on_the_open_day(
    database_url: str, connection: psycopg.Connection, days: list[Event], posted: Any, together: bool
) -> None:
    sold = [sale(1), sale(2)]
    before = [*masters(), sold[0], day_close(sold), *days]
    accept(database_url, before)
    if not together:
        with_policy(database_url, adjusting)
    accept(database_url, [sold[1]])
    with_policy(database_url, adjusting)
    assert rows(connection, "SELECT business_date, posted_date FROM late_arrival") == [(DAY, posted)]
    assert rows(connection, "SELECT business_date, original_date FROM sale ORDER BY event_offset") == [
        (DAY, None),
        (posted, DAY),
    ]
    assert replayed(database_url)


def test_an_adjusted_late_arrival_is_proven(database_url: str, connection: psycopg.Connection) -> None:
    sold = [sale(1), sale(2)]
    today = sale(1, line("bread"), day=NEXT)
    accept(database_url, [*masters(), sold[0], day_close(sold)])
    with_policy(database_url, adjusting)
    build_journals(connection, BOOK, policy_of())
    accept(database_url, [today, sold[1], day_close([today], day=NEXT)])
    with_policy(database_url, adjusting)
    assert build_journals(connection, BOOK, policy_of()) == 1
    connection.execute(
        "UPDATE journal SET state = 'posted', document_id = '1', posted_at = now(), confirmed_at = now()"
    )
    report = reconcile(connection)
    assert report.ok
    assert [(day.recorded.count, day.posted.count, day.adjusted.count) for day in report.days] == [
        (2, 1, -1),
        (1, 2, 1),
    ]
    dated = (
        "SELECT original_date, sum(debit) FROM journal_line JOIN journal USING (journal_id) WHERE business_date = %s"
    )
    found = rows(connection, dated + " GROUP BY 1 ORDER BY 1 NULLS FIRST", NEXT)
    assert found == [(None, Decimal("1.00") * 2), (DAY, Decimal("4.40"))]
    (shown,) = trace(connection, "101/1/2026-03-02/2")
    assert shown.posted_date == NEXT
    assert shown.journal is not None
    assert {entry["original_date"] for entry in shown.entries} == {DAY}


def test_a_correction_after_the_close_is_adjusted_whole(database_url: str, connection: psycopg.Connection) -> None:
    accept(database_url, [*masters(), SOLD, till_close([SOLD]), day_close([SOLD])])
    with_policy(database_url, adjusting)
    second = corrected(SOLD, 2, line("milk"))
    late_till = corrected(till_close([second], counts=[("cash", "2.00", "1.00")]), 2)
    accept(database_url, [second, late_till])
    with_policy(database_url, adjusting)
    moved = "SELECT business_date, original_date, effect, total FROM sale ORDER BY event_offset"
    assert rows(connection, moved) == [
        (DAY, None, 1, Decimal("30.00")),
        (DAY, None, 1, Decimal(0)),
        (NEXT, DAY, -1, Decimal("-30.00")),
        (NEXT, DAY, 1, Decimal("2.00")),
        (NEXT, DAY, 1, Decimal(0)),
    ]
    assert scalar(connection, "SELECT amount FROM completeness") == Decimal("2.00")
    assert replayed(database_url)


def test_what_is_too_late_is_for_a_person(database_url: str, connection: psycopg.Connection) -> None:
    accept(database_url, [*masters(), day_close(), sale(1)])
    with_policy(database_url, lambda _: LatePolicy(most_days=17))
    assert exception_codes(connection) == ["late_arrival"]
    queue.retry(connection, code="late_arrival")
    with_policy(database_url, lambda _: LatePolicy(most_days=18))
    assert exception_codes(connection) == []
    check_projections(connection, [*masters(), day_close(), sale(1)])


def test_what_came_in_time_and_was_mended_after_the_close_is_not_late(
    database_url: str, connection: psycopg.Connection
) -> None:
    """It has the effect that it would have had in its place, whatever the policy for late arrivals is."""
    sold = [sale(1), sale(2, line("pear"))]
    load(database_url, *masters(), *sold, day_close(sold))
    assert exception_codes(connection) == ["unknown_product"]
    accept(database_url, [product("pear", "fruit")])
    with_policy(database_url, lambda _: LatePolicy(policy="adjust", most_days=0))
    assert exception_codes(connection) == []
    assert rows(connection, "SELECT * FROM late_arrival") == []
    assert rows(connection, "SELECT business_date, original_date FROM sale ORDER BY event_offset") == [(DAY, None)] * 2
    assert replayed(database_url)


def test_stores_have_policies_of_their_own() -> None:
    other = (LateStores(stores="7*", policy="adjust"), LateStores(stores="*", most_days=3))
    of = late_policy(LateArrivals(most_days=9, stores=other))
    assert of("71") == LatePolicy(policy="adjust", most_days=9)
    assert of("81") == LatePolicy(policy="reopen", most_days=3)


# ---------------------------------------------------------------- orders


def ordered(sequence: int, source: str = "urn:shop", channel: str = "ecommerce", **more: Any) -> Event:
    return sale(sequence, order="O-1", source=source, channel=channel, **more)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "second", [ordered(9, "urn:pos"), ordered(9, channel="pos"), ordered(9, "urn:pos", "pos", store="102")]
)
def test_an_order_that_two_systems_report(
    database_url: str, connection: psycopg.Connection, second: Event, together: bool
) -> None:
    load(database_url, *masters(store("101"), store("102")))
    for some in [[ordered(1), second]] if together else [[ordered(1)], [second]]:
        load(database_url, *some)
    assert exception_codes(connection) == ["duplicate_channel"]
    assert scalar(connection, "SELECT sum(selling) FROM completeness") == 1


def test_what_is_no_second_report_of_an_order(database_url: str, connection: psycopg.Connection) -> None:
    first = ordered(1)
    events = [
        first,
        ordered(2),  # another shipment of the same order
        corrected(first, 2, line("milk", "3", "2.00")),
        returned(3, order="O-1", source="urn:pos", channel="pos"),
        sale(4, order="O-2", source="urn:pos", channel="pos"),
    ]
    load(database_url, *masters(), *events)
    assert exception_codes(connection) == []
    assert replayed(database_url)


def test_a_second_report_stands_once_the_first_is_voided(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), ordered(1), ordered(9, "urn:pos"))
    assert exception_codes(connection) == ["duplicate_channel"]
    load(database_url, post_void(2, ordered(1)))
    assert exception_codes(connection) == []
    assert scalar(connection, "SELECT sum(amount) FROM completeness") == Decimal("4.40")


def test_reports_that_crossed_are_found_by_reconciliation(database_url: str, connection: psycopg.Connection) -> None:
    """Two workers at the same moment see nothing of each other: the proof does."""
    load(database_url, *masters(), ordered(1))
    connection.execute("UPDATE order_sale SET order_number = 'hidden'")
    load(database_url, ordered(9, "urn:pos"))
    connection.execute("UPDATE order_sale SET order_number = 'O-1'")
    found = [one for day in reconcile(connection).days for one in day.differences]
    assert "duplicate_channel" in [one.code for one in found]
    check_effects(connection, [*masters(), ordered(1), ordered(9)])
