"""From components to accounts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tillwire.config import DEFAULT_ACCOUNTS, AccountRule
from tillwire.posting.accounts import AccountBook, unmapped
from tillwire.sales.entries import COMPONENTS


@pytest.fixture
def book() -> AccountBook:
    return AccountBook(DEFAULT_ACCOUNTS, "1999")


@pytest.mark.parametrize(
    ("component", "code", "account"),
    [
        ("revenue", "dairy", "4000"),
        ("discount", "promo", "4900"),
        ("tax", "STD", "2200"),
        ("tender", "cash", "1010"),
        ("tender", "gift_card", "2300"),
        ("tender", "voucher", "1020"),
        ("liability", "gift_card", "2300"),
        ("liability", "tip", "2310"),
        ("cash_movement", "pickup", "1015"),
        ("rounding", "cash", "6900"),
        ("over_short", "cash", "6910"),
        ("never heard of", "x", "1999"),
    ],
)
def test_the_first_rule_that_matches_counts(book: AccountBook, component: str, code: str, account: str) -> None:
    assert book.account(component, code) == account


def test_a_rule_for_every_component_catches_all() -> None:
    rules = (
        AccountRule(component="revenue", code="dairy", account="4001"),
        AccountRule(component="*", account="9000"),
        AccountRule(component="revenue", account="never reached"),
    )
    book = AccountBook(rules, "1999")
    assert [book.account(*place) for place in (("revenue", "dairy"), ("revenue", "bakery"), ("tax", "STD"))] == [
        "4001",
        "9000",
        "9000",
    ]
    assert unmapped(rules) == []


def test_lines_have_a_debit_or_a_credit_and_none_is_zero(book: AccountBook) -> None:
    entries = [("tender", "cash", Decimal("2.20")), ("revenue", "dairy", Decimal("-2.20")), ("tax", "STD", Decimal(0))]
    postings = book.lines(entries)
    assert [(p.line.account, p.line.debit, p.line.credit, p.component, p.code) for p in postings] == [
        ("1010", Decimal("2.20"), Decimal(0), "tender", "cash"),
        ("4000", Decimal(0), Decimal("2.20"), "revenue", "dairy"),
    ]


def test_the_default_mapping_leaves_nothing_to_suspense() -> None:
    assert unmapped(DEFAULT_ACCOUNTS) == []


def test_components_without_a_rule_for_every_code_are_told() -> None:
    rules = tuple(rule for rule in DEFAULT_ACCOUNTS if rule.component not in ("tax", "tender"))
    partly = (*rules, AccountRule(component="tender", code="cash", account="1010"))
    assert unmapped(partly) == ["tax", "tender"]
    assert set(COMPONENTS) == {rule.component for rule in DEFAULT_ACCOUNTS}
