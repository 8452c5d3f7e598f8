"""The proof: every difference between source, hub and ERP has a name; and the way of one sale."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest
from builders import (
    DAY,
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
    totals_of,
    trading_day,
    transaction,
)
from driving import accept, load, record
from posting_kit import BOOK, policy_of
from rich.console import Console

from tillwire.exceptions import fixes, queue
from tillwire.posting.build import build_journals
from tillwire.reconciliation.days import Figure, Report, reconcile
from tillwire.reconciliation.show import print_report
from tillwire.reconciliation.trace import trace

SALES = [sale(1), sale(2), sale(3, register="2")]
CLOSES = [till_close(SALES, "1"), till_close(SALES, "2"), day_close(SALES)]


def build(connection: psycopg.Connection) -> None:
    build_journals(connection, BOOK, policy_of())


def post(connection: psycopg.Connection, *, confirmed: bool = True) -> None:
    """As if the ERP had posted every journal."""
    connection.execute("UPDATE journal SET state = 'posted', document_id = '1', posted_at = clock_timestamp()")
    if confirmed:
        connection.execute("UPDATE journal SET confirmed_at = clock_timestamp()")


def differences(report: Report) -> list[tuple[str, int, Decimal]]:
    return [(one.code, one.count, one.amount) for day in report.days for one in day.differences]


def test_a_day_that_went_well_is_proven(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), *SALES, *CLOSES)
    build(connection)
    post(connection)
    report = reconcile(connection)
    assert report.ok
    assert differences(report) == []
    (day,) = report.days
    everything = Figure(3, Decimal("13.20"))
    assert (day.store, day.business_date, day.currency) == ("101", DAY, "USD")
    assert (day.captured, day.recorded, day.in_exceptions) == (everything, everything, Figure())
    assert (day.posted, day.acknowledged) == (everything, everything)
    assert report.totals["USD"]["captured"] == everything


def test_every_kind_of_transaction_is_proven(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(store("101"), store("102")), *trading_day("101"), *trading_day("102"))
    build(connection)
    post(connection)
    assert differences(reconcile(connection)) == []


def _open(url: str, _: psycopg.Connection) -> None:
    load(url, *masters(), *SALES, *CLOSES[:2])


def _missing(url: str, connection: psycopg.Connection) -> None:
    load(url, *masters(), *SALES[1:], *CLOSES)
    build(connection)
    post(connection)


def _too_many(url: str, connection: psycopg.Connection) -> None:
    load(url, *masters(), *SALES, sale(3), *CLOSES)
    build(connection)
    post(connection)


def _till_missing(url: str, connection: psycopg.Connection) -> None:
    load(url, *masters(), *SALES, CLOSES[0], CLOSES[2])
    build(connection)
    post(connection)


def _late(url: str, connection: psycopg.Connection) -> None:
    load(url, *masters(), *SALES[:2], *CLOSES)
    build(connection)
    post(connection)
    load(url, SALES[2])


def _built(url: str, connection: psycopg.Connection) -> None:
    load(url, *masters(), *SALES, *CLOSES)
    build(connection)


def _unconfirmed(url: str, connection: psycopg.Connection) -> None:
    _built(url, connection)
    post(connection, confirmed=False)


def dense(sold: list[Event], first: int, last: int, register: str = "1") -> Event:
    """The till close of a register that says which numbers it used."""
    own = [one for one in sold if one["data"]["register"] == register]
    return till_close(sold, register, totals=totals_of(own) | {"first_sequence": first, "last_sequence": last})


def _gap(url: str, connection: psycopg.Connection) -> None:
    sold = [sale(1), sale(5)]
    load(url, *masters(), *sold, dense(sold, 1, 5), day_close(sold))
    build(connection)
    post(connection)


def _excepted(url: str, connection: psycopg.Connection) -> None:
    sold = [*SALES, sale(4, line("pear"), register="1"), transaction(3, "no_sale")]
    load(url, *masters(), *sold, till_close(sold, "1"), till_close(sold, "2"), day_close(sold))
    build(connection)
    post(connection)


ALL = Decimal("13.20")


@pytest.mark.parametrize(
    ("make", "expected", "broken"),
    [
        (_open, [("day_open", 0, Decimal(0))], True),
        (_missing, [("missing_transactions", 1, Decimal("4.40"))], True),
        (_too_many, [("surplus_transactions", -1, Decimal("-4.40"))], True),
        (_till_missing, [("till_day_mismatch", 1, Decimal("4.40"))], True),
        (_late, [("not_in_journals", 1, Decimal("4.40"))], True),
        (_built, [("not_posted", 3, ALL)], True),
        (_unconfirmed, [("not_confirmed", 3, ALL)], True),
        (_gap, [("sequence_gap", 0, Decimal(0))], True),
        (_excepted, [("in_exceptions", 1, Decimal("2.00"))], False),
    ],
)
def test_every_difference_has_its_name(
    database_url: str,
    connection: psycopg.Connection,
    make: Callable[[str, psycopg.Connection], None],
    expected: list[Any],
    broken: bool,
) -> None:
    make(database_url, connection)
    report = reconcile(connection)
    assert differences(report) == expected
    assert report.ok is not broken
    assert all(one.message for day in report.days for one in day.differences)


def test_without_an_erp_what_is_not_posted_is_no_difference(database_url: str, connection: psycopg.Connection) -> None:
    _built(database_url, connection)
    report = reconcile(connection, erp=False)
    assert report.ok
    assert differences(report) == []


def test_gaps_are_named_without_what_waits_in_exceptions(database_url: str, connection: psycopg.Connection) -> None:
    waiting = sale(2, line("pear"))
    sold = [sale(1), waiting, sale(3), sale(7), sale(9), sale(20, register="2"), sale(22, register="2")]
    closes = [dense(sold, 1, 9), dense(sold, 20, 22, "2")]
    load(database_url, *masters(), *sold, *closes, day_close(sold))
    gaps = [one.message for day in reconcile(connection).days for one in day.differences if one.code == "sequence_gap"]
    assert gaps == ["register 1: 4-6", "register 1: 8", "register 2: 21"]


def test_numbers_that_a_till_claims_and_nobody_sent_are_gaps(database_url: str, connection: psycopg.Connection) -> None:
    sold = [sale(3), sale(4)]
    claimed = totals_of(sold) | {"first_sequence": 1, "last_sequence": 6}
    silent = till_close([], "2", totals=totals_of([]) | {"first_sequence": 7, "last_sequence": 8})
    load(database_url, *masters(), *sold, till_close(totals=claimed), silent, day_close(sold))
    gaps = [one.message for day in reconcile(connection).days for one in day.differences if one.code == "sequence_gap"]
    assert sorted(gaps) == ["register 1: 1-2", "register 1: 5-6", "register 2: 7-8"]


def test_a_register_that_claims_no_numbers_has_no_gaps(database_url: str, connection: psycopg.Connection) -> None:
    """The number of an ecommerce order is no dense sequence: only tills that say which numbers they used are judged."""
    sold = [sale(81234), sale(99999)]
    load(database_url, *masters(), *sold, till_close(sold), day_close(sold))
    build(connection)
    post(connection)
    assert differences(reconcile(connection)) == []


def test_a_gap_that_is_filled_late_is_gone(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(5), sale(1), dense([sale(5), sale(1)], 1, 5))
    for number in (3, 2):
        load(database_url, sale(number))
        assert any(code == "sequence_gap" for code, _, _ in differences(reconcile(connection)))
    load(database_url, sale(4))
    assert [code for code, _, _ in differences(reconcile(connection))] == ["day_open"]


def test_days_and_stores_can_be_chosen(database_url: str, connection: psycopg.Connection) -> None:
    later = DAY + timedelta(days=1)
    events = [sale(1, store=where, day=day) for where in ("101", "102") for day in (DAY, later)]
    load(database_url, *masters(store("101"), store("102")), *events, day_open(store="102"))

    def places(**chosen: Any) -> list[tuple[str, Any]]:
        return [(day.store, day.business_date) for day in reconcile(connection, **chosen).days]

    assert places() == [("101", DAY), ("102", DAY), ("101", later), ("102", later)]
    assert places(store="102") == [("102", DAY), ("102", later)]
    assert places(first=later) == [("101", later), ("102", later)]
    assert places(last=DAY, store="101") == [("101", DAY)]
    assert places(store="none") == []


def test_currencies_have_totals_of_their_own(database_url: str, connection: psycopg.Connection) -> None:
    yen = sale(1, line("milk", "2", "50"), store="81", currency="JPY")
    load(database_url, *masters(store("101"), store("81", currency="JPY")), *SALES, *CLOSES, yen)
    load(database_url, day_close([yen], store="81", currency="JPY"))
    totals = reconcile(connection, erp=False).totals
    assert {currency: sums["captured"] for currency, sums in totals.items()} == {
        "USD": Figure(3, ALL),
        "JPY": Figure(1, Decimal(100)),
    }


def test_a_conflict_is_no_missing_sale(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), *SALES, *CLOSES)
    accept(database_url, [changed(SALES[0], operator="x")])
    build(connection)
    post(connection)
    assert reconcile(connection).ok


def test_what_is_mended_is_proven_in_the_end(database_url: str, connection: psycopg.Connection) -> None:
    _excepted(database_url, connection)
    assert queue.retry(connection) == 1
    assert [code for code, _, _ in differences(reconcile(connection))] == ["in_exceptions"], "on its way is not lost"
    load(database_url, product("pear", "fruit"))
    build(connection)
    post(connection)
    report = reconcile(connection)
    assert report.ok
    assert differences(report) == []


def test_the_report_for_people_names_differences(database_url: str, connection: psycopg.Connection) -> None:
    console = Console(record=True, width=200)
    print_report(console, reconcile(connection))
    assert "proven" in console.export_text()
    _gap(database_url, connection)
    print_report(console, reconcile(connection))
    text = console.export_text()
    assert "not proven" in text
    assert "sequence_gap: register 1: 2-4" in text


# ---------------------------------------------------------------- the way of one sale


def test_the_way_of_one_sale(database_url: str, connection: psycopg.Connection) -> None:
    one = sale(1, line("beer", "2", "24.00", unit="CS", tax=("STD", "4.80")), source="urn:pos:a")
    key = "101/1/2026-03-02/1"
    assert trace(connection, key) == []
    accept(database_url, masters(), [one])
    (found,) = trace(connection, key)
    assert (found.key, found.source, bytes(found.raw)) == (key, "urn:pos:a", raw(one))
    assert (found.recorded, found.entries, found.movements, found.journal) == (None, [], [], None)
    record(database_url)
    load(database_url, day_close([one]))
    build(connection)
    post(connection)
    connection.execute("INSERT INTO projection_position SELECT 'relay', partition, next_offset FROM event_partition")
    (found,) = trace(connection, key)
    assert found.recorded is not None
    assert {(entry["component"], entry["code"], entry["amount"]) for entry in found.entries} == {
        ("revenue", "drinks", Decimal("-48.00")),
        ("tax", "STD", Decimal("-4.80")),
        ("tender", "cash", Decimal("52.80")),
    }
    assert [(moved["sku"], moved["quantity"]) for moved in found.movements] == [("beer", Decimal(-48))]
    assert found.journal is not None
    assert (found.journal["state"], found.journal["document_id"]) == ("posted", "1")
    assert found.published
    assert found.exceptions == []
    assert msgspec.json.decode(msgspec.json.encode(found))["key"] == key


def test_a_sale_of_two_sources_has_two_ways(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1), sale(1, source="urn:oms:test"))
    assert sorted(found.source for found in trace(connection, "101/1/2026-03-02/1")) == ["urn:oms:test", "urn:pos:test"]


@pytest.mark.parametrize(
    ("one", "key"),
    [
        (movement("D-7"), "101/movement/D-7"),
        (till_close(), "101/1/2026-03-02/till-close/1"),
        (day_close(), "101/2026-03-02/day-close"),
        (store(revision=5), "store:101@5"),
    ],
)
def test_every_event_has_a_way(database_url: str, connection: psycopg.Connection, one: Event, key: str) -> None:
    load(database_url, *masters(), one)
    (found,) = trace(connection, key)
    assert bytes(found.raw) == raw(one)
    assert found.recorded is not None


def test_a_fault_is_on_the_way_of_its_sale(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1, line("pear")))
    (found,) = trace(connection, "101/1/2026-03-02/1")
    assert found.recorded is None
    assert [(one["code"], one["state"]) for one in found.exceptions] == [("unknown_product", "open")]


def test_an_exception_can_be_dismissed_with_a_reason(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1, line("pear")))
    (row,) = queue.listed(connection)
    how = {"by": "anna", "reason": "a test of the till", "limit": Decimal(1000)}
    assert fixes.dismiss(connection, row.exception_id, **how).state == "dismissed"
    with pytest.raises(fixes.FixRefused):
        fixes.dismiss(connection, row.exception_id, **how)
    with pytest.raises(fixes.NoSuchException):
        fixes.dismiss(connection, row.exception_id + 1, **how)
    assert queue.listed(connection) == []
    assert queue.retry(connection) == 0
    assert queue.detail(connection, row.exception_id) is not None


def test_exceptions_are_listed_page_by_page(database_url: str, connection: psycopg.Connection) -> None:
    wrong = [sale(number, line("pear")) for number in range(5)] + [sale(9, register="7")]
    load(database_url, *masters(), *wrong)
    first = queue.listed(connection, most=4)
    rest = queue.listed(connection, most=4, after=first[-1].exception_id)
    assert [len(first), len(rest)] == [4, 2]
    assert {row.key for row in first + rest} == {
        f"101/{r}/2026-03-02/{n}" for r, n in [*((1, n) for n in range(5)), (7, 9)]
    }
    assert [row.code for row in queue.listed(connection, code="unknown_register")] == ["unknown_register"]
    assert queue.listed(connection, state="resolved") == []
