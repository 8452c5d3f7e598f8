"""Simulated stores: what their registers send is sound, adds up to their closes, and is the same for the same seed."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

import pytest

from tillwire.demo.books import Books
from tillwire.demo.faults import LOST_LINE, UNKNOWN_PRODUCT, Troubles, choose, resend_of
from tillwire.demo.retailer import Retailer
from tillwire.demo.stores import Store, StoreDay
from tillwire.intake.door import Prepared, read_event
from tillwire.intake.rules import Auditor
from tillwire.model.event import EVENT_DECODER
from tillwire.model.till import DayClosed, DayOpened, TillClosed, TillOpened
from tillwire.model.transaction import SELLING, Kind, Transaction

TODAY = date(2018, 1, 1)
NO_TROUBLES = Troubles({}, frozenset(), {})


def trade(
    retailer: Retailer, troubles: Troubles = NO_TROUBLES, *, stores: int = 6, seed: int = 1
) -> tuple[list[StoreDay], Books]:
    books = Books()
    known: dict[str, Store] = {}
    days = []
    sales = retailer.sales(retailer.in_weeks(2, 2, stores=stores))
    for day, of_day in groupby(sales, key=lambda sale: sale.business_date):
        by_store = defaultdict(list)
        for sale in of_day:
            by_store[sale.store].append(sale)
        for number, some in by_store.items():
            store = known.setdefault(number, Store(number, books, troubles, seed=seed))
            days.append(store.trade(day, some))
    return days, books


def decoded(day: StoreDay) -> list[Any]:
    return [EVENT_DECODER.decode(event).data for event in day.events]


@pytest.fixture(scope="module")
def week(retailer: Retailer) -> tuple[list[StoreDay], Books]:
    return trade(retailer)


def test_everything_is_sound(week: tuple[list[StoreDay], Books], auditor: Auditor) -> None:
    days, _ = week
    kinds = set()
    for day in days:
        for event in day.events:
            assert isinstance(read_event(event), Prepared)
        for message in decoded(day):
            faults, _ = auditor.check(message, TODAY)
            assert not faults, message
            kinds.add(getattr(message, "kind", None))
    assert kinds >= {Kind.SALE, Kind.RETURN, Kind.POST_VOID, Kind.TRAINING, Kind.CANCELLED, Kind.NO_SALE}


def test_a_day_is_opened_first_and_closed_last(week: tuple[list[StoreDay], Books]) -> None:
    for day in week[0]:
        messages = decoded(day)
        assert isinstance(messages[0], DayOpened)
        assert isinstance(messages[-1], DayClosed)
        opened: set[str] = set()
        for message in messages:
            if isinstance(message, TillOpened):
                opened.add(message.register)
            elif isinstance(message, Transaction | TillClosed):
                assert message.register in opened


def test_closes_say_what_was_sold(week: tuple[list[StoreDay], Books]) -> None:
    days, books = week
    count, amount = 0, Decimal(0)
    for day in days:
        messages = decoded(day)
        for till in (message for message in messages if isinstance(message, TillClosed)):
            mine = [tx for tx in messages if isinstance(tx, Transaction) and tx.register == till.register]
            assert [tx.sequence for tx in mine] == list(range(1, len(mine) + 1))
            selling = [tx for tx in mine if tx.kind in SELLING]
            assert till.totals.transactions == len(selling)
            assert till.totals.amount == sum((tx.total for tx in selling), Decimal(0))
            assert till.totals.last_sequence == len(mine)
        closed = messages[-1]
        count += closed.totals.transactions
        amount += closed.totals.amount
    assert (books.captured.count, books.captured.amount) == (count, amount)
    assert books.recorded() == books.captured.figure()


def test_voids_and_returns_take_back_what_an_earlier_sale_gave(week: tuple[list[StoreDay], Books]) -> None:
    sales: dict[tuple[str, str, date, int], Transaction] = {}
    taken_back = set()
    for message in (message for day in week[0] for message in decoded(day)):
        if not isinstance(message, Transaction):
            continue
        if message.kind is Kind.SALE:
            sales[(message.store, message.register, message.business_date, message.sequence)] = message
        elif message.kind in (Kind.RETURN, Kind.POST_VOID):
            one = message.original
            assert one is not None
            place = (one.store, one.register, one.business_date, one.sequence)
            assert one.store == message.store
            original = sales[place]
            assert place not in taken_back
            taken_back.add(place)
            assert message.total < 0
            sold = [(line.sku, line.quantity, line.amount) for line in original.lines]
            back = [(line.sku, -line.quantity, -line.amount) for line in message.lines]
            if message.kind is Kind.POST_VOID:
                assert back == sold
                assert message.total == -original.total
                assert [-one.amount for one in message.tenders] == [one.amount for one in original.tenders]
            else:
                assert set(back) <= set(sold)
    assert len(taken_back) > 10


def test_the_same_seed_gives_the_same_week(retailer: Retailer, week: tuple[list[StoreDay], Books]) -> None:
    assert trade(retailer)[0] == week[0]
    assert trade(retailer, seed=2)[0] != week[0]


def test_faults_at_the_register_are_what_the_rules_find(retailer: Retailer, auditor: Auditor) -> None:
    chosen = retailer.in_weeks(2, 2, stores=6)
    troubles = choose(retailer.ordinary(chosen), retailer.business_days(chosen), seed=3)
    days, books = trade(retailer, troubles)
    found = {}
    for message in (message for day in days for message in decoded(day)):
        faults, _ = auditor.check(message, TODAY)
        if faults:
            found[message.key] = faults[0].code
    assert found == books.faulty_keys
    assert set(found.values()) == {UNKNOWN_PRODUCT, LOST_LINE}
    assert books.recorded().count == books.captured.count - len(found)


def test_what_contradicts_has_a_key_that_was_sent_and_other_content(retailer: Retailer) -> None:
    chosen = retailer.in_weeks(2, 2, stores=6)
    troubles = choose(retailer.ordinary(chosen), retailer.business_days(chosen), seed=3)
    days, _ = trade(retailer, troubles)
    sent = {message.key: event for day in days for event, message in zip(day.events, decoded(day), strict=True)}
    changed = [pair for day in days for pair in day.conflicting]
    assert len(changed) == len(troubles.conflicting) >= 2
    for key, event in changed:
        assert isinstance(read_event(event), Prepared)
        assert EVENT_DECODER.decode(event).data.key == key
        assert sent[key] != event


def test_faults_are_spread_alike_for_the_same_seed(retailer: Retailer) -> None:
    chosen = retailer.in_weeks(2, 3)
    receipts, days = retailer.ordinary(chosen), retailer.business_days(chosen)
    troubles = choose(receipts, days, seed=7)
    assert troubles == choose(receipts, days, seed=7)
    assert troubles != choose(receipts, days, seed=8)
    assert not troubles.conflicting & troubles.at_register.keys()
    assert len(troubles.at_register) > 20
    for store, (first, last) in troubles.offline.items():
        assert first in days[store]
        assert last in days[store]
        assert troubles.is_offline(store, first)
    assert not troubles.is_offline("no such store", days["367"][0])
    assert {resend_of(number) for number in range(30)} > {None}
