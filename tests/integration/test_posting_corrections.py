"""What is in a journal already and turns out otherwise: reversals by original journal, closed periods, other companies."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import msgspec
import psycopg
import pytest
from builders import (
    DAY,
    STORE,
    cash_movement,
    changed,
    corrected,
    day_close,
    event,
    line,
    masters,
    post_void,
    sale,
    store,
    tender,
    transaction,
)
from driving import load, rows, scalar
from posting_kit import BY_TRANSACTION, INVOICES, SUMMARY, accounts, book_of, build, check_books, kinds, policy_of

from tillwire.config import DEFAULT_ACCOUNTS, AccountRule, GiftCards
from tillwire.exceptions.queue import retry
from tillwire.posting import documents, drilldown
from tillwire.posting.build import build_journals
from tillwire.posting.explain import explain
from tillwire.posting.remapping import remap
from tillwire.reconciliation.days import reconcile

NEXT = DAY + timedelta(days=1)


def deposit(amount: str) -> dict:
    return line("deposit", "1", amount, kind="deposit")


def period(first: date, last: date, *, open_: bool, company: str = "ACME", revision: int = 1) -> dict:
    data = {
        "company": company, "period": first.isoformat(), "first": first.isoformat(), "last": last.isoformat(),
        "open": open_, "revision": revision,
    }  # fmt: skip
    return event("master.period", data, source="urn:erp")


@pytest.mark.parametrize("mode", [SUMMARY, BY_TRANSACTION, INVOICES])
def test_a_posted_transaction_that_is_corrected_is_reversed_and_posted_anew(
    database_url: str, connection: psycopg.Connection, mode: str
) -> None:
    first = sale(1)
    load(database_url, *masters(), first, sale(2), day_close([first, sale(2)]))
    build(connection, mode)
    before = accounts(connection)
    originals = dict(rows(connection, "SELECT reference, journal_id FROM journal WHERE kind <> 'payments'"))
    load(database_url, corrected(first, 2, line("milk", "3", "2.00", tax=("STD", "0.60"))))
    build(connection, mode)
    ((reference, reverses, transactions, amount),) = rows(
        connection, "SELECT reference, reverses, transactions, amount FROM journal WHERE reverses IS NOT NULL"
    )
    assert reverses in originals.values()
    assert (transactions, amount) == (-1, Decimal("-4.40"))
    anew = rows(connection, "SELECT 1 FROM journal WHERE reverses IS NULL AND transactions = 1 AND amount = 6.60")
    assert len(anew) == 1
    assert accounts(connection)["4000"] == before["4000"] - Decimal("2.00")
    query = "SELECT journal_id FROM journal WHERE reference = %s"
    (document,) = documents.load(connection, [scalar(connection, query, reference)])
    assert document.reverses in originals
    differences = {one.code for day in reconcile(connection).days for one in day.differences}
    assert "not_in_journals" not in differences


def test_a_correction_before_anything_was_posted_needs_no_reversal(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(), sale(1))
    load(database_url, corrected(sale(1), 2, line("milk", "3", "2.00", tax=("STD", "0.60"))))
    load(database_url, day_close([sale(1)]))
    build(connection)
    assert kinds(connection) == ["sales"]
    assert accounts(connection)["4000"] == Decimal("-6.00")


def test_one_reversal_for_each_journal_that_something_is_taken_back_of(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(), sale(1), sale(2), day_close([sale(1), sale(2)]))
    build(connection)
    load(database_url, sale(3))
    build(connection)
    fixes = [corrected(sale(number), 2, line("milk", "1", "1.00", tax=("STD", "0.10"))) for number in (1, 2, 3)]
    load(database_url, *fixes)
    build(connection)
    found = rows(connection, "SELECT o.version, r.transactions FROM journal r JOIN journal o ON o.journal_id = r.reverses ORDER BY 1")  # fmt: skip
    assert found == [(1, -2), (2, -1)]
    assert accounts(connection)["4000"] == Decimal("-3.00")


def test_a_correction_of_a_correction(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1), day_close([sale(1)]))
    build(connection)
    load(database_url, corrected(sale(1), 2, line("milk", "2", "2.00", tax=("STD", "0.40"))))
    build(connection)
    load(database_url, corrected(sale(1), 3, line("milk", "5", "2.00", tax=("STD", "1.00"))))
    build(connection)
    assert kinds(connection) == ["sales", "reversal", "sales", "reversal", "sales"] or sorted(kinds(connection)) == [
        "reversal", "reversal", "sales", "sales", "sales",
    ]  # fmt: skip
    pairs = rows(connection, "SELECT o.version < r.version, r.amount FROM journal r JOIN journal o ON o.journal_id = r.reverses ORDER BY r.journal_id")  # fmt: skip
    assert pairs == [(True, Decimal("-4.40")), (True, Decimal("-4.40"))]
    assert accounts(connection)["4000"] == Decimal("-10.00")


def test_what_is_taken_back_goes_to_the_accounts_that_it_was_posted_to(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(), sale(1), day_close([sale(1)]))
    build(connection)
    moved = book_of(AccountRule(component="revenue", account="4010"), *DEFAULT_ACCOUNTS)
    load(database_url, corrected(sale(1), 2, line("milk", "3", "2.00", tax=("STD", "0.60"))))
    build(connection, SUMMARY, moved)
    assert accounts(connection)["4010"] == Decimal("-6.00")
    assert "4000" not in accounts(connection)


MOVED = book_of(
    *(
        AccountRule(component=component, account=account)
        for component, account in (("tender", "9010"), ("receivable", "9100"), ("revenue", "9400"), ("tax", "9200"))
    )
)


@pytest.mark.parametrize("then", [SUMMARY, BY_TRANSACTION, INVOICES])
@pytest.mark.parametrize("first", [SUMMARY, BY_TRANSACTION, INVOICES])
def test_what_is_taken_back_by_an_earlier_book_is_so_with_its_payments(
    database_url: str, connection: psycopg.Connection, first: str, then: str
) -> None:
    """Whatever the modes: nothing is left on the accounts of the earlier book, nor between an invoice and its payment."""
    load(database_url, *masters(), sale(1), sale(2), day_close([sale(1), sale(2)]))
    build(connection, first)
    load(database_url, corrected(sale(1), 2, line("milk", "3", "2.00", tax=("STD", "0.60"))), sale(3))
    load(database_url, corrected(sale(2), 2, line("milk", "1", "2.00", tax=("STD", "0.20"))))
    build(connection, then, MOVED)
    taxes, revenue = Decimal("-1.20"), Decimal("-12.00")
    assert accounts(connection) == {"9010": -taxes - revenue, "9200": taxes, "9400": revenue}
    every_line_can_be_followed(connection)


@pytest.mark.parametrize("then", [SUMMARY, BY_TRANSACTION, INVOICES])
@pytest.mark.parametrize("first", [SUMMARY, BY_TRANSACTION, INVOICES])
def test_what_sells_nothing_is_taken_back_where_it_went(
    database_url: str, connection: psycopg.Connection, first: str, then: str
) -> None:
    """Cash movements and layaways have no invoice: where such are posted, they are in the payments."""
    paid_in, layaway = cash_movement(1, "pay_in", "20.00"), transaction(2, "layaway", [deposit("8.00")])
    load(database_url, *masters(), paid_in, layaway, sale(3), day_close([sale(3)]))
    build(connection, first)
    nines = book_of(*(msgspec.structs.replace(rule, account=f"9{rule.account}") for rule in DEFAULT_ACCOUNTS))
    load(database_url, corrected(paid_in, 2, total="5.00", tenders=[tender("5.00")]))
    load(database_url, corrected(layaway, 2, deposit("1.00")))
    build(connection, then, nines)
    found = accounts(connection)
    assert (found.get("1015"), found.get("2310"), found["1010"]) == (None, None, Decimal("4.40"))
    assert (found["91015"], found["92310"], found["91010"]) == (Decimal("-5.00"), Decimal("-1.00"), Decimal("6.00"))
    every_line_can_be_followed(connection)


@pytest.mark.parametrize("mode", [SUMMARY, BY_TRANSACTION, INVOICES])
def test_what_is_built_together_with_what_it_takes_back_can_be_followed(
    database_url: str, connection: psycopg.Connection, mode: str
) -> None:
    load(database_url, *masters(), sale(1))
    load(database_url, corrected(sale(1), 2, line("milk", "3", "2.00", tax=("STD", "0.60"))), day_close([sale(1)]))
    build(connection, mode)
    every_line_can_be_followed(connection)
    found = explain(connection, f"{STORE}/1/{DAY}/1", book_of(), policy_of(mode))
    assert [one.reversal for one in found] == [False, True, False]
    if mode != SUMMARY:  # of a summary only what the range comes to has lines
        assert [len(entry.journaled) for one in found for entry in one.entries] == [1] * 9


def every_line_can_be_followed(connection: psycopg.Connection) -> None:
    """The transactions behind each line add up to it."""
    for (reference,) in rows(connection, "SELECT reference FROM journal"):
        for one in drilldown.erp_lines(connection, reference):
            parts = drilldown.parts_of(connection, reference, one.line)
            assert sum((part.amount for part in parts), Decimal(0)) == one.amount, (reference, one, parts)


def test_a_void_is_in_the_day_it_happened(database_url: str, connection: psycopg.Connection) -> None:
    sold = sale(1)
    load(database_url, *masters(), sold, day_close([sold]))
    build(connection)
    void = changed(post_void(9, sold), business_date=NEXT.isoformat())
    load(database_url, void, day_close([void], day=NEXT))
    build(connection)
    assert accounts(connection) == {}
    assert [row[0] for row in rows(connection, "SELECT business_date FROM journal ORDER BY 1")] == [DAY, NEXT]


@pytest.mark.parametrize("mode", [SUMMARY, BY_TRANSACTION])
def test_a_closed_period_sends_it_to_the_next_open_one(
    database_url: str, connection: psycopg.Connection, mode: str
) -> None:
    closed = period(DAY.replace(day=1), DAY, open_=False)
    after = period(NEXT, NEXT + timedelta(days=30), open_=True)
    load(database_url, *masters(), after, sale(1))
    load(database_url, closed)
    build(connection, mode, trickle_transactions=1)
    assert rows(connection, "SELECT business_date, posting_date, state FROM journal") == [(DAY, NEXT, "built")]
    (document,) = documents.load(connection, [scalar(connection, "SELECT journal_id FROM journal")])
    assert (document.business_date, document.books_date) == (DAY, NEXT)
    assert str(DAY) in document.description


def test_a_closed_period_may_be_an_exception(database_url: str, connection: psycopg.Connection) -> None:
    closed = period(DAY.replace(day=1), DAY, open_=False)
    after = period(NEXT, NEXT + timedelta(days=30), open_=True)
    load(database_url, *masters(), after, sale(1))
    load(database_url, closed)
    build(connection, closed_period="exception", trickle_transactions=1)
    ((state, rejection, words),) = rows(connection, "SELECT state, rejection, last_error FROM journal")
    assert (state, rejection) == ("rejected", "closed_period")
    assert str(DAY) in words
    ((code, owner, amount, exception_id),) = rows(
        connection, "SELECT code, owner, amount, exception_id FROM exception WHERE journal_id IS NOT NULL"
    )
    assert (code, owner, amount) == ("period_closed", "finance", Decimal("4.40"))
    assert retry(connection, exception_id=exception_id) == 1
    assert rows(connection, "SELECT state FROM journal") == [("built",)]


def test_no_later_open_period_keeps_it_back(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1))
    load(database_url, period(DAY.replace(day=1), DAY, open_=False))
    build(connection, trickle_transactions=1)
    assert rows(connection, "SELECT state, posting_date FROM journal") == [("rejected", None)]


def gift_cards(connection: psycopg.Connection, database_url: str) -> None:
    load(database_url, *masters(store(STORE), store("801", company="OTHER")))
    sold = sale(1, line("gc", "1", "50.00", kind="gift_card", reference="6039-1"), tenders=[tender("50.00", "card")])
    load(database_url, sold, day_close([sold]))
    taken = sale(1, line(), store="801", tenders=[tender("2.00", "gift_card", reference="6039-1")])
    load(database_url, taken, day_close([taken], store="801"))


@pytest.mark.parametrize("mode", [SUMMARY, BY_TRANSACTION, INVOICES])
def test_a_gift_card_of_another_company_is_owed_by_it(
    database_url: str, connection: psycopg.Connection, mode: str
) -> None:
    gift_cards(connection, database_url)
    build(connection, mode)
    owed = accounts(connection, company="OTHER")
    assert owed["1300"] == Decimal("2.00")
    assert "2300" not in owed
    assert accounts(connection, company="ACME")["2300"] == Decimal("-48.00")
    assert accounts(connection, kind="intercompany") == {"1300": Decimal("-2.00"), "2300": Decimal("2.00")}
    ((company, reference),) = rows(connection, "SELECT company, reference FROM journal WHERE kind = 'intercompany'")
    assert company == "ACME"
    lines = drilldown.erp_lines(connection, reference)
    for one in lines:
        parts = drilldown.parts_of(connection, reference, one.line)
        assert sum(part.amount for part in parts) == one.amount
        assert "6039-1" in parts[0].key


def test_a_card_sold_before_the_hub_knew_it_is_told_by_its_number(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(store(STORE)))
    taken = sale(1, line(), tenders=[tender("2.00", "gift_card", reference="99-7")])
    load(database_url, taken, day_close([taken]))
    build(connection, gift_cards=(GiftCards(prefix="99", company="OTHER"),))
    assert accounts(connection, company="OTHER") == {"1300": Decimal("-2.00"), "2300": Decimal("2.00")}


def test_a_card_that_nobody_knows_is_of_the_own_company(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(store(STORE)))
    taken = sale(1, line(), tenders=[tender("2.00", "gift_card", reference="99-7")])
    load(database_url, taken, day_close([taken]))
    build(connection)
    assert kinds(connection) == ["sales"]
    assert accounts(connection)["2300"] == Decimal("2.00")


def test_building_is_one_transaction(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1), day_close([sale(1)]))
    with connection.transaction(force_rollback=True):
        assert build_journals(connection, book_of(), policy_of()) == 1
    assert kinds(connection) == []
    assert build(connection) == 1


@pytest.mark.parametrize("mode", [SUMMARY, BY_TRANSACTION, INVOICES])
def test_what_was_refused_may_get_its_accounts_anew(
    database_url: str, connection: psycopg.Connection, mode: str
) -> None:
    sold = sale(1, line("milk", "2", "2.00", tax=("STD", "0.40"), discount=("0.50", "promo")))
    load(database_url, *masters(), sold, sale(2), day_close([sold, sale(2)]))
    wrong = book_of(AccountRule(component="revenue", account="4711"), *DEFAULT_ACCOUNTS)
    build(connection, mode, wrong)
    before = accounts(connection)
    one = scalar(connection, "SELECT min(reference) FROM journal WHERE kind IN ('sales', 'invoice')")
    connection.execute("UPDATE journal SET state = 'posted' WHERE reference <> %s", (one,))
    connection.execute(
        "UPDATE journal SET state = 'rejected', rejection = 'unknown_account' WHERE reference = %s", (one,)
    )
    assert remap(connection, wrong, policy_of(mode)) == []
    assert remap(connection, book_of(), policy_of(mode)) == [one]
    check_books(connection)
    after = accounts(connection, reference=one)
    assert "4711" not in after
    assert after["4000"] < 0
    (document,) = documents.load(
        connection, [scalar(connection, "SELECT journal_id FROM journal WHERE reference = %s", one)]
    )
    assert {each.account for each in document.lines} <= {"4000", "4900", "2200", "1010"}
    assert sum(before.values()) == sum(accounts(connection).values()) == 0
    assert rows(connection, "SELECT count(DISTINCT rule_book)::int FROM journal") == [
        (2 if len(kinds(connection)) > 1 else 1,)
    ]
    posted = accounts(connection, state="posted")
    assert "4000" not in posted
