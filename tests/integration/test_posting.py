"""Journals: every entry of a closed day in exactly one of them, balanced, whatever comes late or at the same time."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from builders import (
    DAY,
    Event,
    day_close,
    line,
    masters,
    sale,
    store,
    tender,
    till_close,
    trading_day,
    transaction,
)
from driving import accept, exception_codes, load, make_worker, record, rows, scalar, settings_for, until
from fixture_types import NewDatabase
from posting_kit import (
    BOOK,
    BY_TRANSACTION,
    SUMMARY,
    book_of,
    build,
    check_books,
    figures,
    policy_of,
    trial_balance,
)

from tillwire import bootstrap
from tillwire.config import DEFAULT_ACCOUNTS, AccountRule
from tillwire.posting.accounts import Place
from tillwire.posting.build import build_journals
from tillwire.reconciliation.days import reconcile


def journals(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return rows(
        connection,
        "SELECT reference, version, from_offset, to_offset, transactions, amount, state FROM journal ORDER BY journal_id",
    )


def test_both_modes_give_the_same_trial_balance(new_database: NewDatabase) -> None:
    yen = [
        sale(1, line("milk", "2", "100", tax=("STD", "20")), store="81", currency="JPY"),
        sale(2, line("beer", "1", "333", discount=("33", "promo")), store="81", currency="JPY"),
    ]
    events = [
        *masters(store("101"), store("102"), store("81", currency="JPY", company="KK")),
        *trading_day("101"),
        *trading_day("102"),
        *trading_day("101", DAY + timedelta(days=1)),
        *yen,
        day_close(yen, store="81", currency="JPY"),
    ]
    with new_database() as one, new_database() as other:
        load(one, *events)
        load(other, *events)
        with psycopg.connect(one, autocommit=True) as summary, psycopg.connect(other, autocommit=True) as single:
            assert build(summary, SUMMARY) == 4
            assert build(single, BY_TRANSACTION) > 20
            balance = trial_balance(summary)
            assert balance == trial_balance(single)
            assert {row[:4] for row in balance} == {
                ("ACME", "101", DAY, "USD"),
                ("ACME", "102", DAY, "USD"),
                ("ACME", "101", DAY + timedelta(days=1), "USD"),
                ("KK", "81", DAY, "JPY"),
            }
            assert figures(summary) == figures(single)
            assert build(summary, SUMMARY) == build(single, BY_TRANSACTION) == 0


def test_the_books_of_one_small_day(database_url: str, connection: psycopg.Connection) -> None:
    sales = [
        sale(1, line("milk", "2", "2.00", tax=("STD", "0.40"), discount=("0.50", "promo"))),
        sale(2, line("gc", "1", "50.00", kind="gift_card"), tenders=[tender("50.00", "card")]),
        sale(3, line("bread"), tenders=[tender("2.00", "gift_card")]),
    ]
    load(database_url, *masters(), *sales, till_close(sales, counts=[("cash", "3.90", "3.85")]), day_close(sales))
    assert build(connection) == 1
    assert [row[4:] for row in trial_balance(connection)] == [
        ("1010", Decimal("3.85")),
        ("1020", Decimal("50.00")),
        ("2200", Decimal("-0.40")),
        ("2300", Decimal("-48.00")),
        ("4000", Decimal("-6.00")),
        ("4900", Decimal("0.50")),
        ("6910", Decimal("0.05")),
    ]
    ((reference, version, first, _, transactions, amount, state),) = journals(connection)
    assert reference == f"ACME/101/{DAY}/{first}/USD"
    assert (version, transactions, amount, state) == (1, 3, Decimal("55.90"), "built")


@pytest.mark.parametrize("mode", [SUMMARY, BY_TRANSACTION])
def test_a_day_is_built_when_it_is_closed(database_url: str, connection: psycopg.Connection, mode: str) -> None:
    load(database_url, *masters(), sale(1))
    assert build(connection, mode) == 0
    load(database_url, day_close([sale(1)]))
    assert build(connection, mode) == 1
    assert build(connection, mode) == 0


def test_what_comes_late_goes_to_the_next_journal_of_its_day(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1), day_close([sale(1)]))
    assert build(connection) == 1
    load(database_url, sale(2), sale(1, day=DAY + timedelta(days=1)))
    assert build(connection) == 1
    load(database_url, sale(3), till_close([], counts=[("cash", "0", "1.00")]))
    assert build(connection) == 1
    found = journals(connection)
    assert [(version, transactions) for _, version, _, _, transactions, _, _ in found] == [(1, 1), (2, 1), (3, 1)]
    assert len({reference for reference, *_ in found}) == 3
    spans = [(first, end) for _, _, first, end, _, _, _ in found]
    assert all(end == following for (_, end), (following, _) in zip(spans, spans[1:], strict=False))


def test_an_empty_day_needs_no_journal_and_is_proven(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), day_close())
    assert build(connection) == 0
    assert reconcile(connection).ok


@pytest.mark.parametrize("mode", [SUMMARY, BY_TRANSACTION])
def test_a_day_without_amounts_is_done_as_it_is_built(
    database_url: str, connection: psycopg.Connection, mode: str
) -> None:
    free = sale(1, line("milk", "1", "0.00"))
    even = transaction(2, "exchange", [line("milk", "-1", "2.00"), line("milk", "1", "2.00")])
    load(database_url, *masters(), free, even, day_close([free, even]))
    assert build(connection, mode) == (1 if mode == SUMMARY else 2)
    assert {state for *_, state in journals(connection)} == {"posted"}
    assert reconcile(connection).ok


def test_training_alone_needs_no_journal(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), transaction(1, "training", [line()]), transaction(2, "no_sale"), day_close())
    assert build(connection) == 0
    assert scalar(connection, "SELECT count(*) FROM posting_due") == 0
    assert reconcile(connection).ok


def test_what_no_rule_maps_goes_to_suspense(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1), day_close([sale(1)]))
    rules = tuple(rule for rule in DEFAULT_ACCOUNTS if rule.component != "tax")
    partly = book_of(*rules, AccountRule(component="tax", code="RED", account="2205"))
    assert build(connection, SUMMARY, partly) == 1
    assert [row[4:] for row in trial_balance(connection)] == [
        ("1010", Decimal("4.40")),
        ("1999", Decimal("-0.40")),
        ("4000", Decimal("-4.00")),
    ]


def test_a_day_with_something_in_exceptions_is_closed_without_it(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(), sale(1), sale(2, line("pear")), day_close([sale(1), sale(2, line("pear"))]))
    assert build(connection) == 1
    assert figures(connection) == [("101", DAY, 1, Decimal("4.40"))]


def test_builders_side_by_side_build_each_day_once(database_url: str, connection: psycopg.Connection) -> None:
    stores = [str(number) for number in range(12)]
    days = [one for number in stores for one in trading_day(number)]
    load(database_url, *masters(*(store(number) for number in stores)), *days)
    barrier = threading.Barrier(3)

    def run() -> None:
        with psycopg.connect(database_url, autocommit=True) as own:
            barrier.wait(30)
            until(lambda: build_journals(own, BOOK, policy_of(), most_days=2) == 0 and nothing_due(own))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert scalar(connection, "SELECT count(*) FROM journal") == len(stores)
    check_books(connection)


def nothing_due(connection: psycopg.Connection) -> bool:
    return scalar(connection, "SELECT count(*) FROM posting_due") == 0


def test_a_day_that_a_worker_is_adding_to_waits(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1), day_close([sale(1)]))
    accept(database_url, [sale(2)])
    written, may_commit = threading.Event(), threading.Event()

    class Slow:
        tables = ()

        def begin(self) -> None:
            pass

        def apply(self, recorded: Any) -> None:
            pass

        def write(self, inside: psycopg.Connection) -> None:
            written.set()
            assert may_commit.wait(30)

    worker = threading.Thread(
        target=lambda: record(database_url, projections=[*bootstrap.inline_projections(), Slow()])
    )
    worker.start()
    try:
        assert written.wait(30)
        assert build(connection) == 0
    finally:
        may_commit.set()
        worker.join(60)
    assert build(connection) == 1
    assert figures(connection) == [("101", DAY, 2, Decimal("8.80"))]


def test_a_journal_names_the_company_and_currency_of_its_store(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(store("81", currency="JPY", company="KK")))
    sold = sale(1, line("milk", "3", "50"), store="81", currency="JPY")
    load(database_url, sold, day_close([sold], store="81", currency="JPY"))
    assert build(connection) == 1
    assert rows(connection, "SELECT company, currency, amount FROM journal") == [("KK", "JPY", Decimal(150))]


def test_a_store_that_changes_its_currency_blocks_nobody(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(store("101"), store("102")), sale(1), sale(1, store="102"))
    load(database_url, store("101", currency="EUR", revision=2))
    changed: list[Event] = [sale(2, currency="EUR"), day_close(currency="EUR"), day_close(store="102")]
    load(database_url, *changed)
    assert exception_codes(connection) == []
    assert build(connection) == 3
    assert sorted((row[1], row[3], row[4], row[5]) for row in trial_balance(connection) if row[4] == "4000") == [
        ("101", "EUR", "4000", Decimal("-4.00")),
        ("101", "USD", "4000", Decimal("-4.00")),
        ("102", "USD", "4000", Decimal("-4.00")),
    ]


def test_settings_give_the_book(database_url: str) -> None:
    settings = settings_for(database_url)
    mapped = bootstrap.account_book(settings).resolve(Place("A", "1", "", "USD"), DAY, "sale", "nothing", "mapped")
    assert mapped.account == settings.posting.suspense_account


def test_a_worker_and_a_builder_at_the_same_time(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), day_close())
    events = [sale(number) for number in range(60)]
    done = threading.Event()

    def run() -> None:
        with psycopg.connect(database_url, autocommit=True) as own:
            while not done.is_set():
                build_journals(own, BOOK, policy_of())

    builder = threading.Thread(target=run)
    builder.start()
    try:
        with psycopg.connect(database_url, autocommit=True) as own:
            worker = make_worker(own)
            for start in range(0, len(events), 3):
                accept(database_url, events[start : start + 3])
                worker.work_once()
    finally:
        done.set()
        builder.join(60)
    build(connection)
    assert figures(connection) == [("101", DAY, 60, Decimal("264.00"))]
    assert nothing_due(connection)
