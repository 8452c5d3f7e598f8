"""The Tryton connector without a Tryton: what its words mean, what is told of settings, and modules of our own."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from importlib.metadata import distributions
from pathlib import Path

import msgspec
import pytest

from tillwire.connectors.tryton import SPEC, own_modules
from tillwire.connectors.tryton.exchange import Rates, converted
from tillwire.connectors.tryton.invoices import _priced
from tillwire.connectors.tryton.refusals import is_taken, kind_of
from tillwire.connectors.tryton.settings import TrytonSettings
from tillwire.errors import ConfigurationError, EngineError
from tillwire.model.ledger import InvoiceLine

MODULE = Path(__file__).resolve().parents[3] / "erp-modules" / "tryton-hub-reference"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ('You cannot create a journal-period in closed period "2017-06".', "closed_period"),
        ('You cannot add/modify/delete lines on closed journal-period "POS - 2017-09".', "closed_period"),
        ('To modify stock move "2u Milk" you must reopen period "2017-01-31".', "closed_period"),
        ("the accounting period 2017-06 of 2017-06-15 is closed", "closed_period"),
        ('To post the move "7", you must balance all its lines.', "unbalanced"),
        ("the journal does not balance: debit 1, credit 0", "unbalanced"),
        ('The value "12" for field "Account" in "Account Move Line" does not exist.', "unknown_account"),
        ("the ERP's chart has no account 9999", "unknown_account"),
        ('The number of digits in the value "1.001" for field "Debit" exceeds the limit.', "other"),
        ("", "other"),
    ],
)
def test_refusals_have_kinds(words: str, kind: str) -> None:
    assert kind_of(words) == kind


def test_the_words_of_our_module_are_known() -> None:
    text = (MODULE / "trytond_hub_reference" / "message.xml").read_text("utf-8")
    assert is_taken(text)
    assert not is_taken("The hub reference is wrong.")


def test_unknown_settings_are_named() -> None:
    given = {"url": "https://erp", "database": "d", "username": "u", "password": "p", "company": "c"}
    assert isinstance(SPEC.configure(given, of="erp").settings, TrytonSettings)
    for wrong in ({"walkin": "X"}, {"invoice_dates": "never"}, {"batch_lines": 0}):
        with pytest.raises(ConfigurationError, match=f"erp: .*{next(iter(wrong))}"):
            SPEC.configure(given | wrong, of="erp")


def test_a_module_of_our_own_is_found_as_if_it_were_installed(tmp_path: Path) -> None:
    own_modules.lay_out([MODULE], tmp_path / "modules")
    (found,) = distributions(path=[str(tmp_path / "modules")])
    (point,) = found.entry_points
    assert (point.group, point.name, point.value) == ("trytond.modules", "hub_reference", "trytond_hub_reference")
    assert (tmp_path / "modules" / "trytond_hub_reference" / "tryton.cfg").exists()
    assert own_modules.names([MODULE]) == ("hub_reference",)


def test_another_module_is_another_database(tmp_path: Path) -> None:
    own_modules.lay_out([MODULE], tmp_path)
    package = tmp_path / "trytond_hub_reference"
    (tmp_path / "pyproject.toml").write_text((MODULE / "pyproject.toml").read_text("utf-8"))
    assert own_modules.fingerprint([tmp_path]) == own_modules.fingerprint([MODULE])
    (package / "account.py").write_text("pass")
    assert own_modules.fingerprint([tmp_path]) != own_modules.fingerprint([MODULE])


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'\n", "nonsense ="])
def test_what_is_no_module_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(EngineError, match="is no project of a module of Tryton's"):
        own_modules.names([tmp_path])


RATES = Rates(
    {"USD": 1, "JPY": 2, "EUR": 3},
    {
        "USD": ((date(2017, 1, 1), Decimal(1)),),
        "JPY": ((date(2017, 1, 1), Decimal("116.87")), (date(2017, 2, 1), Decimal("113.00"))),
    },
)


def test_a_rate_holds_from_its_day_on() -> None:
    days = [date(2017, 1, 1), date(2017, 1, 31), date(2017, 2, 1), date(2020, 1, 1)]
    assert [RATES.factor("USD", "JPY", day) for day in days] == [Decimal("116.87")] * 2 + [Decimal("113.00")] * 2
    assert "no exchange rate of JPY on 2016-12-31" in (RATES.missing("JPY", date(2016, 12, 31)) or "")
    assert "no exchange rate of EUR" in (RATES.missing("EUR", date(2017, 1, 1)) or "")
    assert "does not know the currency GBP" in (RATES.missing("GBP", date(2017, 1, 1)) or "")
    assert RATES.missing("USD", date(2017, 1, 1)) is None


def test_what_rounding_leaves_goes_by_largest_remainder() -> None:
    thirds = [Decimal("0.01")] * 3
    assert converted(thirds, Decimal(100), "JPY") == [Decimal(1)] * 3
    assert converted(thirds, Decimal("33.4"), "JPY") == [Decimal(1), Decimal(0), Decimal(0)]
    assert converted([Decimal(0), Decimal(0)], Decimal(3), "USD") == [Decimal(0)] * 2


@pytest.mark.parametrize(
    ("quantity", "amount", "priced"),
    [
        ("3", "5.97", ("3", "1.99")),
        ("0.345", "4.11", ("1", "4.11")),
        ("-2", "-7.00", ("-2", "3.50")),
        ("2", "-1.00", ("-1", "1.00")),
        ("0", "1.00", ("1", "1.00")),
        ("1", "0.00", ("1", "0")),
    ],
)
def test_a_line_comes_to_its_amount_exactly(quantity: str, amount: str, priced: tuple[str, str]) -> None:
    line = InvoiceLine(
        sku="A", description="", quantity=Decimal(quantity), unit="EA", amount=Decimal(amount), account="4"
    )
    assert _priced(line) == (Decimal(priced[0]), Decimal(priced[1]))
    assert msgspec.structs.asdict(line)["amount"] == _priced(line)[0] * _priced(line)[1]
