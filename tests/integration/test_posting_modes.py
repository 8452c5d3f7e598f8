"""How journals are cut: by range, by transaction, as invoices; trickled; changed in between. The books are the same."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest
from builders import (
    DAY,
    Event,
    cash_movement,
    corrected,
    day_close,
    line,
    masters,
    movement,
    returned,
    sale,
    store,
    tender,
    till_close,
    trading_day,
    transaction,
)
from driving import accept, load, record, rows, scalar
from fixture_types import NewDatabase
from posting_kit import (
    BY_TRANSACTION,
    INVOICES,
    SUMMARY,
    accounts,
    book_of,
    build,
    figures,
    kinds,
    policy_of,
    trial_balance,
)

from tillwire.config import DEFAULT_ACCOUNTS, ErpInstance, StorePosting
from tillwire.intake.rules import Policy
from tillwire.model.ledger import Invoice, StockDocument
from tillwire.posting import documents, drilldown
from tillwire.posting.build import build_journals
from tillwire.posting.suspense import listed, reclassify
from tillwire.reconciliation.days import reconcile

MODES = [SUMMARY, BY_TRANSACTION, INVOICES]


def busy_day(number: str = "101", **more: Any) -> list[Event]:
    """Everything that a ledger sees: discounts, taxes in and on the price, gift cards, tips, foreign cash, rounding."""
    return [
        *trading_day(number, **more),
        sale(501, line("milk", "2", "2.00", tax=("STD", "0.40"), discount=("0.50", "promo")), store=number),
        sale(502, line("gc", "1", "50.00", kind="gift_card"), store=number, tenders=[tender("50.00", "card", acquirer="adyen")]),
        sale(503, line("tip", "1", "1.00", kind="tip"), line("milk", "1", "2.20", tax=("STD", "0.20")), tax_included=True, store=number),
        sale(504, line("beer", "1", "4.00"), store=number, tenders=[
            tender("4.40", "cash", foreign={"amount": "4.00", "currency": "EUR"}), tender("-0.40", "cash", change=True),
        ]),
        returned(505, line("milk", "-1", "2.00", tax=("STD", "-0.20")), store=number),
        cash_movement(506, "pickup", "20.00", store=number),
        transaction(507, "layaway", [line("deposit", "1", "5.00", kind="deposit")], store=number),
    ]  # fmt: skip


def test_every_mode_gives_the_same_trial_balance(new_database: NewDatabase) -> None:
    events = [*masters(store("101"), store("102")), *busy_day("101"), *trading_day("102")]
    found = {}
    for mode in MODES:
        with new_database() as url:
            load(url, *events)
            with psycopg.connect(url, autocommit=True) as own:
                build(own, mode)
                found[mode] = ([row for row in trial_balance(own) if row[4] != "1100"], figures(own))
                assert [row for row in trial_balance(own) if row[4] == "1100"] == []  # what is invoiced is paid
                every_line_can_be_followed(own)
    assert found[SUMMARY] == found[BY_TRANSACTION] == found[INVOICES]
    assert len(found[SUMMARY][0]) > 12


def every_line_can_be_followed(connection: psycopg.Connection) -> None:
    """The transactions behind each line add up to it."""
    references = [reference for (reference,) in rows(connection, "SELECT reference FROM journal WHERE kind <> 'stock'")]
    followed = 0
    for reference in references:
        for one in drilldown.erp_lines(connection, reference):
            parts = drilldown.parts_of(connection, reference, one.line)
            assert sum((part.amount for part in parts), Decimal(0)) == one.amount, (reference, one, parts)
            followed += 1
    assert followed


@pytest.mark.parametrize("first", MODES)
@pytest.mark.parametrize("then", MODES)
def test_a_store_may_change_its_mode_within_a_day(new_database: NewDatabase, first: str, then: str) -> None:
    events = busy_day("101")
    middle = len(events) // 2
    with new_database() as url, new_database() as whole:
        load(whole, *masters(store("101")), *events)
        load(url, *masters(store("101")), *events[:middle])
        with psycopg.connect(url, autocommit=True) as own, psycopg.connect(whole, autocommit=True) as other:
            build(own, first, trickle_transactions=1)
            load(url, *events[middle:])
            build(own, then)
            build(other)
            assert [row for row in trial_balance(own) if row[4] != "1100"] == trial_balance(other)
            assert figures(own) == figures(other)
            every_line_can_be_followed(own)


def test_an_open_day_is_posted_by_number(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1), sale(2))
    assert build(connection, trickle_transactions=3) == 0
    load(database_url, sale(3))
    assert build(connection, trickle_transactions=3) == 1
    assert build(connection, trickle_transactions=3) == 0
    load(database_url, sale(4), day_close([sale(number) for number in (1, 2, 3, 4)]))
    assert build(connection, trickle_transactions=3) == 1
    assert figures(connection) == [("101", DAY, 4, Decimal("17.60"))]
    assert reconcile(connection, erp=False).ok


def test_an_open_day_is_posted_by_time(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1))
    assert build(connection, trickle_minutes=10) == 0
    connection.execute("UPDATE posting_due SET since = since - interval '9 minutes'")
    assert build(connection, trickle_minutes=10) == 0
    connection.execute("UPDATE posting_due SET since = since - interval '2 minutes'")
    assert build(connection, trickle_minutes=10) == 1


def test_open_days_of_others_do_not_keep_one_from_being_posted(
    database_url: str, connection: psycopg.Connection
) -> None:
    stores = [str(number) for number in range(20)]
    load(database_url, *masters(*(store(number) for number in stores)), *(sale(1, store=number) for number in stores))
    only = (StorePosting(stores="19", trickle_transactions=1),)
    assert build(connection, stores=only) == 1
    assert rows(connection, "SELECT store FROM journal") == [("19",)]


def test_stores_and_erps_have_policies_of_their_own() -> None:
    erp = ErpInstance(name="eu", kind="odoo", companies=("EU*",), mode="transaction", stock="each")
    policy = policy_of(SUMMARY, erp, stores=(StorePosting(stores="9*", mode="invoice"),), trickle_minutes=5)
    assert policy.of("101", "US").mode == "summary"
    assert policy.of("101", "EU-DE").mode == "transaction"
    assert policy.of("901", "EU-DE").mode == "invoice"
    assert policy.of("901", "EU-DE").stock == "each"
    assert policy.of("1", "US").trickle_s == 300


def test_an_invoice_says_what_was_sold(database_url: str, connection: psycopg.Connection) -> None:
    sold = sale(
        1,
        line("milk", "2", "2.00", tax=("STD", "0.35"), discount=("0.50", "promo")),
        line("beer", "1", "5.00"),
        customer="C-7",
        tenders=[tender("8.85", "card")],
    )
    load(database_url, *masters(), sold, day_close([sold]))
    build(connection, INVOICES)
    assert kinds(connection) == ["invoice", "payments"]
    (invoice,) = documents.load(
        connection, [scalar(connection, "SELECT journal_id FROM journal WHERE kind = 'invoice'")]
    )
    assert isinstance(invoice, Invoice)
    goods = [(one.sku, one.quantity, one.amount, one.account) for one in invoice.lines]
    assert goods == [
        ("milk", Decimal(2), Decimal("4.00"), "4000"),
        ("beer", Decimal(1), Decimal("5.00"), "4000"),
        ("", Decimal(1), Decimal("-0.50"), "4900"),
    ]
    ((code, base, amount),) = [(tax.code, tax.base, tax.amount) for tax in invoice.taxes]
    assert (code, base, amount) == ("STD", Decimal("3.50"), Decimal("0.35"))
    assert (invoice.total, invoice.customer, invoice.receivable_account) == (Decimal("8.85"), "C-7", "1100")
    assert sum(one.amount for one in invoice.lines) + sum(tax.amount for tax in invoice.taxes) == invoice.total


def test_a_return_is_a_credit_note(database_url: str, connection: psycopg.Connection) -> None:
    back = returned(1, line("milk", "-1", "2.00", tax=("STD", "-0.20")))
    load(database_url, *masters(), back, day_close([back]))
    build(connection, INVOICES)
    (note,) = documents.load(connection, [scalar(connection, "SELECT journal_id FROM journal WHERE kind = 'invoice'")])
    assert isinstance(note, Invoice)
    assert (note.total, note.lines[0].quantity, note.lines[0].amount) == (
        Decimal("-2.20"),
        Decimal(-1),
        Decimal("-2.00"),
    )


def test_tax_in_the_price_is_no_revenue_of_an_invoice(database_url: str, connection: psycopg.Connection) -> None:
    sold = sale(1, line("milk", "1", "2.20", tax=("STD", "0.20")), tax_included=True)
    load(database_url, *masters(), sold, day_close([sold]))
    build(connection, INVOICES)
    (invoice,) = documents.load(
        connection, [scalar(connection, "SELECT journal_id FROM journal WHERE kind = 'invoice'")]
    )
    assert (invoice.lines[0].amount, invoice.total) == (Decimal("2.00"), Decimal("2.20"))


def test_stock_is_sent_in_summary(database_url: str, connection: psycopg.Connection) -> None:
    load(
        database_url,
        *masters(),
        movement(),
        sale(1),
        sale(2, line("beer", "3", "1.00")),
        returned(3, line("milk", "-1", "2.00")),
    )
    load(
        database_url, day_close([sale(1), sale(2, line("beer", "3", "1.00")), returned(3, line("milk", "-1", "2.00"))])
    )
    build(connection, stock="summary")
    assert kinds(connection) == ["sales", "stock"]
    (document,) = documents.load(
        connection, [scalar(connection, "SELECT journal_id FROM journal WHERE kind = 'stock'")]
    )
    assert isinstance(document, StockDocument)
    assert {(one.reason, one.sku, one.quantity) for one in document.lines} == {
        ("receipt", "milk", Decimal(10)),
        ("return", "milk", Decimal(1)),
        ("sale", "beer", Decimal(-3)),
        ("sale", "milk", Decimal(-2)),
    }
    assert reconcile(connection, erp=False).ok


def test_stock_is_sent_singly(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), movement(), sale(1), sale(2), day_close([sale(1), sale(2)]))
    build(connection, stock="each")
    assert kinds(connection) == ["sales", "stock", "stock", "stock"]


def test_goods_that_move_without_a_sale_are_sent_too(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), day_close())
    load(database_url, movement())
    build(connection, stock="summary")
    assert kinds(connection) == ["stock"]


def test_amounts_below_the_minor_unit_are_rounded_alike_in_every_mode(new_database: NewDatabase) -> None:
    """A configuration that lets them in: each transaction's entries are rounded together, so that it still balances."""
    lenient = Policy(severities={"precision_invalid": "warning", "line_tax_mismatch": "off"})
    sold = [
        sale(number, line("milk", "1", "0.333", tax=("STD", "0.033"), amount="0.333"), total="0.366", tenders=[tender("0.366")])
        for number in range(1, 8)
    ]  # fmt: skip
    found = []
    for mode in MODES:
        with new_database() as url:
            load(url, *masters())
            accept(url, sold)
            record(url, policy=lenient)
            load(url, day_close(sold))
            with psycopg.connect(url, autocommit=True) as own:
                assert scalar(own, "SELECT count(*) FROM sale WHERE kind = 'sale'") == 7
                build_journals(own, book_of(), policy_of(mode))
                found.append({account: amount for account, amount in accounts(own).items() if account != "1100"})
                fine = "SELECT count(*) FROM journal_line WHERE scale(trim_scale(debit + credit)) > 2"
                assert scalar(own, fine) == 0
                assert scalar(own, "SELECT count(*) FROM (SELECT FROM journal_line GROUP BY journal_id HAVING sum(debit) <> sum(credit)) AS x") == 0  # fmt: skip
    assert found[0] == found[1] == found[2]


def test_a_rounding_difference_above_the_bound_is_in_suspense(
    database_url: str, connection: psycopg.Connection
) -> None:
    lenient = Policy(severities={"tender_mismatch": "off", "over_under_payment": "off"})
    sold = sale(1, tenders=[tender("9.40")])  # asks for 4.40
    load(database_url, *masters())
    accept(database_url, [sold])
    record(database_url, policy=lenient)
    load(database_url, day_close([sold]))
    assert build_journals(connection, book_of(), policy_of()) == 1
    ((component, amount),) = [(one.component, one.amount) for one in listed(connection)]
    assert (component, amount) == ("suspense", Decimal("-5.00"))
    assert accounts(connection)["1999"] == Decimal("-5.00")
    for one in drilldown.erp_lines(connection, scalar(connection, "SELECT reference FROM journal")):
        parts = drilldown.parts_of(connection, scalar(connection, "SELECT reference FROM journal"), one.line)
        assert sum(part.amount for part in parts) == one.amount


def test_what_is_in_suspense_leaves_it_once_a_rule_maps_it(database_url: str, connection: psycopg.Connection) -> None:
    rules = tuple(rule for rule in DEFAULT_ACCOUNTS if rule.component != "tax")
    load(database_url, *masters(), sale(1), day_close([sale(1)]))
    build(connection, SUMMARY, book_of(*rules))
    ((one,),) = [listed(connection)]
    assert (one.component, one.code.split(";")[0], one.amount, one.first) == ("tax", "STD", Decimal("-0.40"), DAY)
    assert one.age_days() >= 0
    later = DAY + timedelta(days=40)
    assert reclassify(connection, book_of(*rules), policy_of(), on=later) == []
    assert len(reclassify(connection, book_of(), policy_of(), on=later, dry_run=True)) == 1
    assert kinds(connection) == ["sales"]
    ((moved,),) = [reclassify(connection, book_of(), policy_of(), on=later)]
    assert (moved.account, moved.what.amount) == ("2200", Decimal("-0.40"))
    assert kinds(connection) == ["sales", "reclassification"]
    assert accounts(connection)["2200"] == Decimal("-0.40")
    assert "1999" not in accounts(connection)
    assert listed(connection) == []
    assert reclassify(connection, book_of(), policy_of(), on=later) == []
    assert reconcile(connection, erp=False).ok


def test_what_is_corrected_after_it_left_suspense_is_there_with_the_other_sign(
    database_url: str, connection: psycopg.Connection
) -> None:
    """It is taken back from where its journal had it; the same way leads out of suspense."""
    rules = tuple(rule for rule in DEFAULT_ACCOUNTS if rule.component != "tax")
    load(database_url, *masters(), sale(1), day_close([sale(1)]))
    build(connection, SUMMARY, book_of(*rules))
    later = DAY + timedelta(days=40)
    assert len(reclassify(connection, book_of(), policy_of(), on=later)) == 1
    load(database_url, corrected(sale(1), 2, line("milk", "3", "2.00", tax=("STD", "0.60"))))
    build(connection)
    assert [one.amount for one in listed(connection)] == [Decimal("0.40")]
    assert len(reclassify(connection, book_of(), policy_of(), on=later)) == 1
    assert listed(connection) == []
    assert accounts(connection) == {"1010": Decimal("6.60"), "2200": Decimal("-0.60"), "4000": Decimal("-6.00")}


def test_lines_of_one_account_and_the_same_dimensions_are_one(
    database_url: str, connection: psycopg.Connection
) -> None:
    day = [sale(1, line("milk"), line("beer")), sale(2, tenders=[tender("4.40", "card")])]
    load(database_url, *masters(), *day, till_close(day), day_close(day))
    build(connection, SUMMARY, book_of(dimensions={"store": "{store}", "class": "{code}"}))
    (document,) = documents.load(connection, [scalar(connection, "SELECT journal_id FROM journal")])
    by = {(one.account, one.dimensions.get("class")) for one in document.lines}
    assert len(by) == len(document.lines)
    assert all(one.dimensions["store"] == "101" for one in document.lines)
    assert document.balances()
    assert msgspec.json.encode(document)
