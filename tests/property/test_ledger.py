"""What must hold of journals, whatever is sold, corrected and voided, however a store posts, whatever the rule book says."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import psycopg
from builders import DAY, Event, cash_movement, corrected, masters, store, tender
from driving import accept, exception_codes, record, rows, scalar
from fixture_types import NewDatabase
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from pasts import STORES, pasts
from posting_kit import BOOK, BY_TRANSACTION, INVOICES, SUMMARY, build, figures, policy_of
from straight import Straight, known
from trade import retailers

from tillwire.config import AccountRule, Posting
from tillwire.intake.rules import Policy
from tillwire.posting import drilldown
from tillwire.posting.accounts import AccountBook
from tillwire.posting.explain import explain
from tillwire.sales.entries import COMPONENTS, parts_of

Events = tuple[list[Event], list[Event]]
MODES = (SUMMARY, BY_TRANSACTION, INVOICES)
RECEIVABLES = ("1100", "1101")
ANY_TAX = Policy(severities={"line_tax_mismatch": "off"})
"""For rates that were written to taxes of any amount: accounting rules look at the rate, and at nothing else."""

FEW = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)


@st.composite
def account_rules(draw: st.DrawFn) -> AccountRule:
    """A rule that may match much, little or nothing; accounts are few, so that lines fall together."""
    turn = DAY + timedelta(days=draw(st.integers(0, 1)))
    some = st.sampled_from(("*", "*", "cash", "c*", "dairy", "STD*"))
    return AccountRule(
        component=draw(st.sampled_from(("*", *COMPONENTS))),
        account=draw(st.sampled_from(("10", "20", "30"))),
        code=draw(some),
        kind=draw(st.sampled_from(("*", "*", "*", "sale", "return", "post_void"))),
        rate=draw(st.sampled_from((None, None, None, Decimal("0.0825")))),
        jurisdiction=draw(st.sampled_from(("*", "*", "N?"))),
        acquirer=draw(st.sampled_from(("*", "*", "adyen", "?*"))),
        tender_currency=draw(st.sampled_from(("*", "*", "", "EUR"))),
        currency=draw(st.sampled_from(("*", "*", "USD"))),
        store=draw(st.sampled_from(("*", "*", "?1", "101"))),
        effective_from=draw(st.sampled_from((None, None, turn))),
        effective_to=draw(st.sampled_from((None, None, turn + timedelta(days=1)))),
        dimensions=draw(
            st.sampled_from(({}, {}, {"what": "{code}"}, {"of": "{rate}{acquirer}{tender_currency}"}, {"store": ""}))
        ),
    )


@st.composite
def account_books(draw: st.DrawFn) -> AccountBook:
    """A rule book of any rules; receivables have an account that nothing else goes to."""
    receivable = AccountRule(component="receivable", account=draw(st.sampled_from(RECEIVABLES)))
    return AccountBook(
        Posting(
            accounts=(receivable, *draw(st.lists(account_rules(), max_size=6))),
            dimensions=draw(st.sampled_from(({}, {"store": "{store}"}, {"kind": "{kind}"}))),
        )
    )


@st.composite
def paid_in(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """Cash brought to tills, corrected: every event that arrives, and those that count in the end. No invoice has them."""
    arriving, final = [], []
    for number in range(draw(st.integers(2, 4))):
        first = cash_movement(500 + number, "pay_in", "20.00", store=draw(st.sampled_from(STORES)))
        amounts = draw(st.lists(st.integers(1, 9), min_size=1, max_size=2))
        later = [
            corrected(first, version, total=f"{amount}.00", tenders=[tender(f"{amount}.00")])
            for version, amount in enumerate(amounts, 2)
        ]
        arriving += [first, *later]
        final.append([first, *later][-1])
    return arriving, final


def moved(book: AccountBook) -> AccountBook:
    """The same rules with other accounts, every one."""
    rules = tuple(msgspec.structs.replace(rule, account=f"9{rule.account}") for rule in book.rules)
    return AccountBook(Posting(accounts=rules, dimensions=dict(book.dimensions), suspense_account="9999"))


def decorated(events: list[Event], chance: random.Random) -> None:
    """Add what rule books also look at: rates, jurisdictions, acquirers, foreign notes."""
    for one in events:
        data = one["data"]
        for line in data.get("lines", ()) if one["type"] == "tillwire.transaction.v1" else ():
            for tax in line.get("taxes", ()):
                tax["rate"] = chance.choice((None, "0.0825", "0.06", "0.060"))
                tax["jurisdiction"] = chance.choice((None, "NY", "NYC"))
        for paid in data.get("tenders", ()) if one["type"] == "tillwire.transaction.v1" else ():
            if paid["type"] == "card":
                paid["acquirer"] = chance.choice((None, "adyen", "stripe"))
            if paid["type"] == "cash" and chance.random() < 0.2:
                paid["foreign"] = {"amount": "4.00", "currency": chance.choice(("EUR", "SEK"))}


def balances(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """The trial balance down to dimensions; what journals of invoices and their payments have between them left out."""
    return rows(
        connection,
        "SELECT company, store, business_date, currency, account, coalesce(dimensions::text, ''), sum(debit - credit)"
        " FROM journal_line JOIN journal USING (journal_id) WHERE component <> 'receivable'"
        " GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(debit - credit) <> 0 ORDER BY 1, 2, 3, 4, 5, 6",
    )


def check_receivables(connection: psycopg.Connection) -> None:
    """What is invoiced is paid: store by store, day by day."""
    left = (
        "SELECT store, business_date, currency, account FROM journal_line JOIN journal USING (journal_id)"
        " WHERE component = 'receivable' GROUP BY 1, 2, 3, 4 HAVING sum(debit - credit) <> 0"
    )
    assert rows(connection, left) == []


def check_lines_can_be_followed(connection: psycopg.Connection) -> None:
    """The transactions behind each line of every journal add up to it."""
    for (reference,) in rows(connection, "SELECT reference FROM journal WHERE kind <> 'stock' ORDER BY 1"):
        for one in drilldown.erp_lines(connection, reference):
            parts = drilldown.parts_of(connection, reference, one.line)
            assert sum((part.amount for part in parts), Decimal(0)) == one.amount, (reference, one, parts)


def check_ledger(connection: psycopg.Connection, events: Sequence[Event]) -> None:
    """What journals hold, by component and code, is what the events come to."""
    found: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    query = (
        "SELECT store, business_date::text, component, l.code, debit - credit FROM journal_line l"
        " JOIN journal USING (journal_id) WHERE component <> 'receivable'"
    )
    for number, day, component, code, amount in rows(connection, query):
        found[(number, day, component, parts_of(code)[0])] += amount
    assert known(found) == known(Straight(events).ledger)


@settings(FEW, max_examples=12)
@given(retailer=retailers(), book=account_books(), seed=st.integers(0, 2**32))
def test_every_mode_and_any_rule_book_give_the_same_trial_balance(
    new_database: NewDatabase, retailer: tuple[list[Event], list[Event]], book: AccountBook, seed: int
) -> None:
    records, events = retailer
    decorated(events, random.Random(seed))
    found = []
    for mode in MODES:
        chance = random.Random(seed)
        with new_database() as url, psycopg.connect(url, autocommit=True) as connection:
            accept(url, records)
            record(url)
            left = events
            while left:
                size = chance.randint(1, 12)
                some, left = left[:size], left[size:]
                accept(url, some)
                record(url, policy=ANY_TAX)
                if chance.random() < 0.3:
                    build(connection, mode, book, trickle_transactions=1)
            build(connection, mode, book, trickle_transactions=1)
            assert exception_codes(connection) == []
            out_of_balance = "SELECT event_offset FROM ledger_entry GROUP BY store, business_date, event_offset HAVING sum(amount) <> 0"  # fmt: skip
            assert rows(connection, out_of_balance) == []
            check_receivables(connection)
            check_ledger(connection, [*records, *events])
            check_lines_can_be_followed(connection)
            found.append((balances(connection), figures(connection)))
    assert found[0] == found[1] == found[2]


@settings(FEW, max_examples=25)
@given(past=pasts(), cash=paid_in(), book=account_books(), seed=st.integers(0, 2**32))
def test_corrections_end_in_the_ledger_of_the_final_versions(
    new_database: NewDatabase, past: Events, cash: Events, book: AccountBook, seed: int
) -> None:
    """In any order, with journals built in between at any moment, in any mode, by a book that changes."""
    arriving, final = past[0] + cash[0], past[1] + cash[1]
    records = masters(*(store(number) for number in STORES))
    books = (book, moved(book))
    chance = random.Random(seed)

    def post() -> None:
        more = {"trickle_transactions": 1} if chance.random() < 0.8 else {}
        build(connection, chance.choice(MODES), chance.choice(books), **more)

    with new_database() as url, psycopg.connect(url, autocommit=True) as connection:
        accept(url, records)
        record(url)
        left = chance.sample(arriving, len(arriving))
        while left:
            size = chance.randint(1, 5)
            some, left = left[:size], left[size:]
            accept(url, some)
            record(url, most_events=chance.choice((1, 3, 1000)))
            if chance.random() < 0.6:
                post()
        record(url)
        build(connection, chance.choice(MODES), chance.choice(books))
        assert scalar(connection, "SELECT count(*) FROM posting_due") == 0
        assert exception_codes(connection) == []
        check_ledger(connection, [*records, *final])
        check_receivables(connection)
        check_lines_can_be_followed(connection)
        keys = {key_of(one) for one in arriving if one["type"] == "tillwire.transaction.v1"}
        event(f"taken back: {min(check_taken_back_where_it_went(connection, keys), 9) // 3}")


def check_taken_back_where_it_went(connection: psycopg.Connection, keys: Iterable[str]) -> int:
    """What takes a version back goes to the accounts, with the dimensions, that this version had, however both were
    posted; the number of entries that were compared (of a summary, what comes to nothing has no line)."""
    compared = 0
    for key in sorted(keys):
        versions = explain(connection, key, BOOK, policy_of())
        for before, back in pairwise(versions):
            if not back.reversal:
                continue
            went = {(one.component, one.code): one.journaled for one in before.entries}
            for one in back.entries:
                there = went[(one.component, one.code)]
                assert len(there) <= 1 >= len(one.journaled), (key, one, there)
                for first, then in zip(there, one.journaled, strict=False):
                    assert (first.account, first.dimensions) == (then.account, then.dimensions), (key, first, then)
                    compared += 1
    return compared


def key_of(one: Event) -> str:
    data = one["data"]
    return "/".join(str(data[name]) for name in ("store", "register", "business_date", "sequence"))
