"""Rules that never count are found; rules that may count are not taken for such."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tillwire.config import DEFAULT_ACCOUNTS, AccountRule
from tillwire.posting.reach import never_reached


def rule(component: str, **conditions: Any) -> AccountRule:
    return AccountRule(component=component, account="1", **conditions)


MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (rule("revenue"), rule("revenue", code="dairy")),
        (rule("*"), rule("tax", rate=Decimal("0.06"))),
        (rule("tender"), rule("change")),
        (rule("tender", code="c*"), rule("change", code="cash")),
        (rule("tax", rate=Decimal("0.06")), rule("tax", rate=Decimal("0.060"), code="STD")),
        (rule("revenue", store="1*"), rule("revenue", store="1*", code="dairy")),
        (rule("revenue", effective_from=MARCH), rule("revenue", effective_from=APRIL)),
        (rule("revenue", effective_to=APRIL), rule("revenue", effective_to=MARCH)),
    ],
)
def test_what_an_earlier_rule_takes_wholly(earlier: AccountRule, later: AccountRule) -> None:
    assert never_reached([earlier, later]) == {2: "rule 1 takes all that it would"}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (rule("revenue", code="dairy"), rule("revenue")),
        (rule("change"), rule("tender")),
        (rule("tender", code="cash"), rule("*")),
        (rule("tax", rate=Decimal("0.06")), rule("tax")),
        (rule("revenue", store="1?"), rule("revenue", store="1*")),
        (rule("revenue", store="10?"), rule("revenue", store="1[01]?")),
        (rule("revenue", effective_from=MARCH), rule("revenue")),
        (rule("revenue", effective_from=APRIL), rule("revenue", effective_from=MARCH)),
        (rule("revenue", effective_to=MARCH), rule("revenue", effective_to=APRIL)),
        (rule("revenue", kind="return"), rule("revenue", kind="sale")),
    ],
)
def test_what_an_earlier_rule_leaves(earlier: AccountRule, later: AccountRule) -> None:
    assert never_reached([earlier, later]) == {}


@pytest.mark.parametrize(
    ("asks", "reason"),
    [
        (rule("revenue", rate=Decimal("0.06")), "revenue has no rate"),
        (rule("revenue", acquirer="adyen"), "revenue has no acquirer"),
        (rule("tax", tender_currency="EUR"), "tax has no tender_currency"),
        (rule("tender", jurisdiction="NY"), "tender has no jurisdiction"),
    ],
)
def test_what_asks_for_what_there_is_not(asks: AccountRule, reason: str) -> None:
    """And such a rule takes nothing from those behind it."""
    assert never_reached([asks, rule(asks.component)]) == {1: reason}


def test_conditions_that_match_nothing_given_are_no_fault() -> None:
    assert never_reached([rule("revenue", acquirer="*", jurisdiction="**")]) == {}


def test_a_rule_is_called_by_its_name() -> None:
    named = AccountRule(component="tax", account="1", name="all taxes")
    assert never_reached([named, rule("tax", code="STD")]) == {2: "rule all taxes takes all that it would"}


def test_the_usual_book_has_none() -> None:
    assert never_reached(DEFAULT_ACCOUNTS) == {}
