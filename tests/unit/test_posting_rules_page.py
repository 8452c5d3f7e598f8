"""What docs/concepts/posting-rules.md says can be done can be done."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from tillwire import config
from tillwire.posting.accounts import PLACEHOLDERS, AccountBook, Place
from tillwire.posting.reach import never_reached
from tillwire.sales.entries import COMPONENTS

PAGE = (Path(__file__).parents[2] / "docs" / "concepts" / "posting-rules.md").read_text("utf-8")
BLOCKS = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE, re.MULTILINE)
EXAMPLES = [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in BLOCKS if "[posting" in block]
PLACE = Place("ACME", "101", "north", "USD")
TURN = date(2026, 7, 1)


def books(tmp_path: Path) -> list[AccountBook]:
    """A rule book of each example."""
    found = []
    for example in EXAMPLES:
        path = tmp_path / "tillwire.toml"
        path.write_text(example)
        settings = config.load(path, {})
        config.check(settings)
        found.append(AccountBook(settings.posting))
    return found


def test_every_example_is_a_rule_book_without_idle_rules(tmp_path: Path) -> None:
    assert len(EXAMPLES) == 10
    for book in books(tmp_path):
        assert never_reached(book.rules) == {}


@pytest.mark.parametrize(
    ("component", "code", "account"),
    [
        ("revenue", "fuel", "4010"),
        ("revenue", "dairy", "4000"),
        ("tax", "CITY;0.07;NYC-1", "2230"),
        ("tax", "STD;0.07", "2207"),
        ("tax", "STD;0.06;NY", "2200"),
        ("tender", "card;;adyen", "1021"),
        ("tender", "card;;stripe", "1020"),
        ("tender", "cash;EUR", "1012"),
        ("change", "cash", "1010"),
        ("tender", "gift_card", "2300"),
        ("liability", "tip", "2320"),
        ("liability", "donation", "2330"),
        ("intercompany", "OTHER", "1310"),
    ],
)
def test_the_examples_do_what_they_say(tmp_path: Path, component: str, code: str, account: str) -> None:
    found = [book.resolve(PLACE, TURN, "sale", component, code) for book in books(tmp_path)]
    assert next(one.account for one in found if one.rule != "suspense") == account


def test_the_change_that_takes_effect_on_a_day(tmp_path: Path) -> None:
    (dated,) = [book for book in books(tmp_path) if book.turns]
    days = (TURN - timedelta(days=1), TURN)
    assert [dated.resolve(PLACE, day, "sale", "tax", "STD").account for day in days] == ["2200", "2210"]


def test_the_dimensions_of_the_example(tmp_path: Path) -> None:
    (book,) = [book for book in books(tmp_path) if "cost_centre" in book.dimensions]
    found = book.resolve(PLACE, TURN, "sale", "revenue", "dairy").dimensions
    assert found == {"cost_centre": "101", "region": "north", "department": "dairy"}


def test_the_page_names_every_component_condition_and_placeholder() -> None:
    for name in (*COMPONENTS, *config.AccountRule.__struct_fields__):
        assert re.search(rf"`{name}`|{name} =", PAGE), name
    for name in PLACEHOLDERS:
        assert f"{{{name}}}" in PAGE
