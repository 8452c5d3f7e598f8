"""The rule book: from entries to accounts and dimensions."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tillwire.config import DEFAULT_ACCOUNTS, AccountRule, Posting
from tillwire.errors import ConfigurationError
from tillwire.posting.accounts import AccountBook, Mapped, Place, unmapped
from tillwire.sales.entries import COMPONENTS

PLACE = Place("ACME", "101", "north", "USD")
DAY = date(2026, 3, 2)


def book(*rules: AccountRule, **posting: Any) -> AccountBook:
    return AccountBook(Posting(accounts=rules or DEFAULT_ACCOUNTS, **posting))


def mapped(
    given: AccountBook, component: str, code: str, kind: str = "sale", place: Place = PLACE, day: date = DAY
) -> Mapped:
    return given.resolve(place, day, kind, component, code)


@pytest.mark.parametrize(
    ("component", "code", "account"),
    [
        ("revenue", "dairy", "4000"),
        ("discount", "promo", "4900"),
        ("tax", "STD;0.0825;NY", "2200"),
        ("tender", "cash", "1010"),
        ("tender", "gift_card;;issuer", "2300"),
        ("tender", "voucher", "1020"),
        ("change", "cash", "1010"),
        ("liability", "gift_card", "2300"),
        ("liability", "tip", "2310"),
        ("cash_movement", "pickup", "1015"),
        ("rounding", "cash", "6900"),
        ("over_short", "cash", "6910"),
        ("suspense", "rounding", "1999"),
    ],
)
def test_the_usual_book(component: str, code: str, account: str) -> None:
    assert mapped(book(), component, code).account == account


@pytest.mark.parametrize(
    ("condition", "component", "code", "kind", "place", "holds"),
    [
        ({"code": "STD"}, "tax", "STD;0.06", "sale", PLACE, True),
        ({"code": "RED"}, "tax", "STD;0.06", "sale", PLACE, False),
        ({"code": "D*"}, "revenue", "DAIRY", "sale", PLACE, True),
        ({"rate": Decimal("0.060")}, "tax", "STD;0.06", "sale", PLACE, True),
        ({"rate": Decimal("0.07")}, "tax", "STD;0.06", "sale", PLACE, False),
        ({"rate": Decimal("0.07")}, "tax", "STD", "sale", PLACE, False),
        ({"jurisdiction": "NY*"}, "tax", "STD;0.06;NYC", "sale", PLACE, True),
        ({"jurisdiction": "NY"}, "tax", "STD", "sale", PLACE, False),
        ({"acquirer": "adyen"}, "tender", "card;;adyen", "sale", PLACE, True),
        ({"acquirer": "adyen"}, "tender", "card;;stripe", "sale", PLACE, False),
        ({"tender_currency": "EUR"}, "tender", "cash;EUR", "sale", PLACE, True),
        ({"tender_currency": "EUR"}, "tender", "cash", "sale", PLACE, False),
        ({"kind": "return"}, "revenue", "x", "return", PLACE, True),
        ({"kind": "return"}, "revenue", "x", "sale", PLACE, False),
        ({"company": "AC*"}, "revenue", "x", "sale", PLACE, True),
        ({"company": "OTHER"}, "revenue", "x", "sale", PLACE, False),
        ({"store": "1??"}, "revenue", "x", "sale", PLACE, True),
        ({"region": "south"}, "revenue", "x", "sale", PLACE, False),
        ({"currency": "EUR"}, "revenue", "x", "sale", PLACE, False),
    ],
)
def test_conditions(condition: dict[str, Any], component: str, code: str, kind: str, place: Place, holds: bool) -> None:
    own = book(AccountRule(component=component, account="own", **condition), AccountRule(component="*", account="rest"))
    assert mapped(own, component, code, kind, place).account == ("own" if holds else "rest")


def test_the_first_rule_that_matches_counts() -> None:
    rules = (
        AccountRule(component="revenue", code="dairy", account="4001", name="milk and the like"),
        AccountRule(component="*", account="9000"),
        AccountRule(component="revenue", account="never reached"),
    )
    found = [mapped(book(*rules), *place) for place in (("revenue", "dairy"), ("revenue", "bakery"), ("tax", "STD"))]
    assert [one.account for one in found] == ["4001", "9000", "9000"]
    assert [one.rule for one in found] == ["milk and the like", "2", "2"]
    assert unmapped(rules) == []


def test_change_may_have_an_account_of_its_own() -> None:
    own = book(AccountRule(component="change", account="1011"), *DEFAULT_ACCOUNTS)
    assert mapped(own, "change", "cash").account == "1011"
    assert mapped(own, "tender", "cash").account == "1010"


def test_a_rule_counts_from_its_first_to_before_its_last_day() -> None:
    dated = book(
        AccountRule(component="revenue", account="old", effective_to=date(2026, 3, 1)),
        AccountRule(component="revenue", account="new", effective_from=date(2026, 3, 1)),
    )
    days = (date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2))
    assert [mapped(dated, "revenue", "x", day=day).account for day in days] == ["old", "new", "new"]


def test_dimensions_are_rendered_and_those_of_the_rule_win() -> None:
    own = book(
        AccountRule(
            component="tax", account="2200", dimensions={"tax": "{code}-{rate}-{jurisdiction}", "where": "tax"}
        ),
        AccountRule(component="*", account="9"),
        dimensions={"where": "{company}/{region}/{store}", "acquirer": "{acquirer}"},
    )
    assert mapped(own, "tax", "STD;0.06;NY").dimensions == {"where": "tax", "tax": "STD-0.06-NY"}
    assert mapped(own, "tender", "card;;adyen").dimensions == {"where": "ACME/north/101", "acquirer": "adyen"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"dimensions": {"x": "{shop}"}}, r"posting\.dimensions\.x.*\{shop\}"),
        ({"dimensions": {"x": "{"}}, r"posting\.dimensions\.x"),
        ({"accounts": (AccountRule(component="revenu", account="1"),)}, r"posting\.accounts\[0\]\.component.*revenu"),
        (
            {"accounts": (AccountRule(component="tax", account="1", dimensions={"y": "{0}"}),)},
            r"accounts\[0\]\.dimensions\.y",
        ),
    ],
)
def test_what_cannot_be_is_told_at_once(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        AccountBook(Posting(**wrong))


def test_what_no_rule_maps_is_in_suspense() -> None:
    assert mapped(book(AccountRule(component="tax", account="1")), "revenue", "x") == Mapped("1999", {}, "suspense")


def test_the_default_mapping_leaves_nothing_to_suspense() -> None:
    assert unmapped(DEFAULT_ACCOUNTS) == []


def test_components_without_a_rule_for_every_code_are_told() -> None:
    rules = tuple(rule for rule in DEFAULT_ACCOUNTS if rule.component not in ("tax", "tender"))
    partly = (*rules, AccountRule(component="tender", code="cash", account="1010"))
    assert unmapped(partly) == ["tax", "tender", "change"]
    assert set(COMPONENTS) == {rule.component for rule in DEFAULT_ACCOUNTS} | {"change", "suspense"}
