"""Several companies with a currency each in one Tryton, and journals in currencies that are not the company's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tryton_journals import kinds, reasons, sales
from tryton_places import CANADA, JAPAN

from tillwire.connectors.erp import Posted, Rejected
from tillwire.connectors.tryton import TrytonConnector
from tillwire.connectors.tryton.exchange import converted
from tillwire.model.ledger import JournalLine
from tillwire.model.money import Money, is_representable, rounded

if TYPE_CHECKING:
    from tryton_fixtures import Books

pytest_plugins = ("tryton_fixtures", "tryton_others")

Connect = Callable[..., TrytonConnector]


def in_books(books: Books, outcome: object) -> list[dict[str, Any]]:
    """The lines of a posted move as Tryton has them."""
    assert isinstance(outcome, Posted)
    fields = ["debit", "credit", "second_currency.code", "amount_second_currency", "description"]
    domain = [["move", "=", int(outcome.document_id)]]
    rows: list[dict[str, Any]] = books.call(
        "model.account.move.line.search_read", domain, 0, None, [["id", "ASC"]], fields
    )
    return rows


@pytest.mark.erp
def test_three_companies_in_three_currencies_keep_their_books_apart(of_group: Connect, group_books: Books) -> None:
    yen = (JournalLine(account="1190", debit=Decimal(10825)), JournalLine(account="4190", credit=Decimal(10825)))
    journals = {
        "Tillwire Retail": sales(),
        CANADA: sales(currency="CAD"),
        JAPAN: sales(currency="JPY", lines=yen, description="Tokyo"),
    }
    companies = {}
    for company, journal in journals.items():
        connector = of_group(company=company)
        (outcome,) = connector.post([journal])
        assert [(line["second_currency."] or {}).get("code") for line in in_books(group_books, outcome)] == [
            None
        ] * len(journal.lines)
        found = connector.read_back([journal.reference])[journal.reference]
        assert [(line.account, line.debit, line.credit) for line in found.lines] == [
            (line.account, line.debit, line.credit) for line in journal.lines
        ]
        assert isinstance(outcome, Posted)
        (move,) = group_books.call("model.account.move.read", [int(outcome.document_id)], ["company"])
        companies[company] = move["company"]
        others = [of_group(company=other) for other in journals if other != company]
        assert [other.find([journal.reference]) for other in others] == [{}, {}]
    assert len(set(companies.values())) == 3


@pytest.mark.erp
def test_one_reference_in_two_companies_is_two_journals(of_group: Connect) -> None:
    journal = sales()
    first = of_group().post([journal])
    second = of_group(company=CANADA).post([sales(reference=journal.reference, currency="CAD")])
    assert kinds(first + second) == [Posted, Posted]
    assert first != second


LINES = (
    JournalLine(account="1190", debit=Decimal("0.10"), description="cash"),
    JournalLine(account="1190", debit=Decimal("33.33"), description="card"),
    JournalLine(account="5190", debit=Decimal("7.77"), description="discount"),
    JournalLine(account="4190", credit=Decimal("38.05"), description="grocery"),
    JournalLine(account="2190", credit=Decimal("3.14"), description="tax"),
    JournalLine(account="2190", credit=Decimal("0.01"), description="tax"),
)


@pytest.mark.erp
@pytest.mark.parametrize(
    ("company", "currency", "day", "rate"),
    [
        ("Tillwire Retail", "CAD", date(2017, 3, 1), 1 / Decimal("1.3441")),
        ("Tillwire Retail", "CAD", date(2017, 7, 1), 1 / Decimal("1.2963")),
        (JAPAN, "USD", date(2017, 3, 1), Decimal("116.87")),
        (CANADA, "EUR", date(2017, 3, 2), Decimal("1.3441") / Decimal("0.9468")),
    ],
)
def test_a_foreign_journal_is_converted_by_the_erps_rates_and_read_back_as_it_was(
    of_group: Connect, group_books: Books, company: str, currency: str, day: date, rate: Decimal
) -> None:
    journal = sales(currency=currency, day=day, lines=LINES)
    connector = of_group(company=company)
    (outcome,) = connector.post([journal])
    rows = in_books(group_books, outcome)
    own = {"Tillwire Retail": "USD", CANADA: "CAD", JAPAN: "JPY"}[company]
    debit, credit = sum(row["debit"] for row in rows), sum(row["credit"] for row in rows)
    assert debit == credit == rounded(Decimal("41.20") * rate, own)
    step = Decimal(1) if own == "JPY" else Decimal("0.01")
    for row, line in zip(rows, LINES, strict=True):
        assert abs(row["debit"] - line.debit * rate) < step
        assert abs(row["credit"] - line.credit * rate) < step
        assert (row["second_currency."]["code"], row["amount_second_currency"]) == (currency, line.debit - line.credit)
    assert connector.read_back([journal.reference])[journal.reference].lines == LINES


@pytest.mark.erp
def test_lines_that_come_to_nothing_in_the_books_are_still_there(of_group: Connect, group_books: Books) -> None:
    """A yen is less than a cent: ten of them are nine cents."""
    coins = [JournalLine(account="1190", debit=Decimal(1), description="coin")] * 10
    sold = JournalLine(account="4190", credit=Decimal(9), description="sales")
    lines = (*coins, sold, JournalLine(account="2190", credit=Decimal(1), description="tax"))
    connector = of_group()
    journal = sales(currency="JPY", lines=lines)
    (outcome,) = connector.post([journal])
    rows = in_books(group_books, outcome)
    assert sorted(row["debit"] for row in rows)[:3] == [Decimal("0.00")] * 3
    assert sum(row["debit"] for row in rows) == sum(row["credit"] for row in rows) == Decimal("0.09")
    assert connector.read_back([journal.reference])[journal.reference].lines == lines


@pytest.mark.erp
@pytest.mark.parametrize(
    ("currency", "day", "words"),
    [
        ("EUR", date(2017, 2, 28), "no exchange rate of EUR on 2017-02-28 or before"),
        ("GBP", date(2017, 3, 1), "does not know the currency GBP"),
    ],
)
def test_without_a_rate_it_is_rejected_in_words(of_group: Connect, currency: str, day: date, words: str) -> None:
    outcomes = of_group().post([sales(currency=currency, day=day), sales()])
    assert kinds(outcomes) == [Rejected, Posted]
    assert f"the journal is in {currency}, the books in USD" in reasons(outcomes)[0]
    assert words in reasons(outcomes)[0]


@pytest.mark.erp
def test_a_tender_in_another_currency_has_it_as_its_second(of_group: Connect, group_books: Books) -> None:
    lines = (
        JournalLine(account="4190", credit=Decimal("20.00"), description="grocery"),
        JournalLine(account="1190", debit=Decimal("8.00"), description="cash"),
        JournalLine(account="1190", debit=Decimal("14.88"), description="cash", foreign=Money(Decimal("20.00"), "CAD")),
        JournalLine(
            account="1190", credit=Decimal("2.88"), description="change", foreign=Money(Decimal("-3.87"), "CAD")
        ),
    )
    connector = of_group()
    journal = sales(lines=lines)
    (outcome,) = connector.post([journal])
    rows = in_books(group_books, outcome)
    assert [(row["debit"], row["credit"]) for row in rows] == [(line.debit, line.credit) for line in lines]
    assert [row["amount_second_currency"] for row in rows] == [None, None, Decimal("20.00"), Decimal("-3.87")]
    assert connector.read_back([journal.reference])[journal.reference].lines == lines


@pytest.mark.erp
def test_what_cannot_be_a_second_currency_is_told_by_the_text(of_group: Connect, group_books: Books) -> None:
    pounds = Money(Decimal("5.00"), "GBP")
    unknown = (
        JournalLine(account="4190", credit=Decimal("6.20"), description="grocery"),
        JournalLine(account="1190", debit=Decimal("6.20"), description="cash", foreign=pounds),
    )
    dollars = Money(Decimal("1.00"), "CAD")
    everywhere = (
        JournalLine(account="1190", debit=Decimal("0.74"), description="cash", foreign=dollars),
        JournalLine(account="2190", credit=Decimal("0.74"), description="due", foreign=-dollars),
    )
    connector = of_group()
    journals = [sales(lines=unknown), sales(lines=everywhere)]
    outcomes = connector.post(journals)
    texts = [[row["description"] for row in in_books(group_books, outcome)] for outcome in outcomes]
    assert texts == [["grocery", "cash (5.00 GBP)"], ["cash (1.00 CAD)", "due (-1.00 CAD)"]]
    found = connector.read_back([journal.reference for journal in journals])
    for journal in journals:
        assert [(line.debit, line.credit) for line in found[journal.reference].lines] == [
            (line.debit, line.credit) for line in journal.lines
        ]


@given(
    amounts=st.lists(st.integers(1, 10_000_000), min_size=1, max_size=40),
    parts=st.integers(1, 7),
    rate=st.decimals("0.0001", "1000", places=6),
    own=st.sampled_from(["USD", "JPY", "KWD"]),
)
def test_converted_sides_balance_whatever_the_rate(amounts: list[int], parts: int, rate: Decimal, own: str) -> None:
    debits = [Decimal(amount) / 100 for amount in amounts]
    total = sum(debits, Decimal(0))
    credits_ = [Decimal("0.01")] * (parts - 1)
    credits_.append(total - sum(credits_, Decimal(0)))
    if min(credits_) < 0:
        return
    ours = converted(debits, rate, own)
    assert sum(ours) == sum(converted(credits_, rate, own)) == rounded(total * rate, own)
    assert all(is_representable(amount, own) and amount >= 0 for amount in ours)
