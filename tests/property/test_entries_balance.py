"""Whatever passes the rules: its entries add up to zero, none twice, and every rule book says where each belongs."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import trade
from builders import DAY, Event, raw
from hypothesis import given
from hypothesis import strategies as st

from tillwire.config import AccountRule, Posting
from tillwire.model.event import EVENT_DECODER
from tillwire.posting.accounts import PLACEHOLDERS, SUSPENSE_RULE, AccountBook, Mapped, Place
from tillwire.posting.reach import never_reached
from tillwire.sales.entries import CHANGE, COMPONENTS, TENDER, entries_of, foreign_amounts, parts_of

CLASSES = {"milk": "dairy", "bread": "bakery", "beer": "drinks", "fuel": "fuel"}
PATTERNS = st.sampled_from(("*", "*", "*", "", "?*", "c*", "cash", "STD", "d[ao]*", "sale", "A", "NY; *"))
DAYS = st.none() | st.integers(-2, 2).map(lambda days: DAY + timedelta(days=days))
DIMENSIONS = st.dictionaries(
    st.sampled_from(("store", "what")), st.sampled_from([f"{{{name}}}" for name in PLACEHOLDERS] + ["fixed", ""])
)


@st.composite
def rules(draw: st.DrawFn) -> AccountRule:
    """A rule with conditions of every kind."""
    first, last = draw(DAYS), draw(DAYS)
    asked = {name: draw(PATTERNS) for name in draw(st.sets(st.sampled_from(PATTERN_NAMES), max_size=2))}
    return AccountRule(
        component=draw(st.sampled_from(("*", *COMPONENTS))),
        account=draw(st.sampled_from("1234")),
        rate=draw(st.sampled_from((None, None, Decimal("0.0825"), Decimal("0.10")))),
        effective_from=first,
        effective_to=last,
        dimensions=draw(DIMENSIONS),
        **asked,
    )


PATTERN_NAMES = (
    "code",
    "kind",
    "jurisdiction",
    "acquirer",
    "tender_currency",
    "currency",
    "company",
    "store",
    "region",
)


@st.composite
def decorated(draw: st.DrawFn) -> list[Event]:
    """A retailer's transactions, with rates, jurisdictions, acquirers and foreign notes that no rule minds."""
    _, events = draw(trade.retailers())
    found = [one for one in events if one["type"] == "tillwire.transaction.v1"]
    for one in found:
        for line in one["data"]["lines"]:
            for tax in line["taxes"]:
                tax["rate"] = draw(st.sampled_from((None, "0.1", "0.10", "0", "0.0825")))
                tax["jurisdiction"] = draw(st.sampled_from((None, "", "NY", "NY; city;")))
        for tender in one["data"]["tenders"]:
            tender["acquirer"] = draw(st.sampled_from((None, "adyen", "a;b")))
            if draw(st.booleans()):
                tender["foreign"] = {"amount": str(draw(st.integers(0, 500))), "currency": "SEK"}
    return found


def checked(one: Event) -> tuple[Any, list[tuple[str, str, Decimal]]]:
    """A transaction and its entries, which balance."""
    message = EVENT_DECODER.decode(raw(one)).data
    made = entries_of(message, tuple(CLASSES[x.sku] if x.kind == "item" else x.kind.value for x in message.lines))
    assert sum(amount for _, _, amount in made) == 0
    assert len({(component, code) for component, code, _ in made}) == len(made)
    assert all(amount for _, _, amount in made)
    paid = sum(tender.amount for tender in message.tenders if not tender.voided)
    money = [entry for entry in made if entry[0] in (TENDER, CHANGE)]
    if made:
        assert sum(amount for _, _, amount in money) == paid
    foreign = foreign_amounts(message, made)
    for (component, code, _), amount in zip(made, foreign, strict=True):
        assert not amount or (component in (TENDER, CHANGE) and parts_of(code)[1] == "SEK")
    return message, made


@given(decorated())
def test_entries_add_up_to_zero(events: list[Event]) -> None:
    for one in events:
        checked(one)


@given(decorated(), st.lists(rules(), max_size=6), DIMENSIONS, st.integers(-3, 3))
def test_every_book_has_a_place_for_everything(
    events: list[Event], book_rules: list[AccountRule], dimensions: dict[str, str], later: int
) -> None:
    posting = Posting(accounts=tuple(book_rules), dimensions=dimensions)
    book = AccountBook(posting)
    unreached = never_reached(book_rules)
    day = DAY + timedelta(days=later)
    for one in events:
        message, made = checked(one)
        place = Place("A", message.store, "", message.currency)
        for component, code, _ in made:
            asked = (place, day, message.kind.value, component, code)
            mapped = book.resolve(*asked)
            assert mapped == book.resolve(*asked) == AccountBook(posting).resolve(*asked)
            _check(mapped, book_rules, day, unreached)


def _check(mapped: Mapped, book_rules: list[AccountRule], day: date, unreached: dict[int, str]) -> None:
    assert all(mapped.dimensions.values())
    if mapped.rule == SUSPENSE_RULE:
        assert mapped.account == "1999"
        return
    number = int(mapped.rule)
    rule = book_rules[number - 1]
    assert mapped.account == rule.account
    assert rule.effective_from is None or rule.effective_from <= day
    assert rule.effective_to is None or day < rule.effective_to
    assert number not in unreached
