"""Money: decimals with a currency, minor units, and parts that add up."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.model.money import Money, allocate, is_representable, is_sound, minor_units, quantum, rounded


def decimals(*texts: str) -> list[Decimal]:
    return [Decimal(text) for text in texts]


@pytest.mark.parametrize(("currency", "digits"), [("USD", 2), ("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)])
def test_currencies_have_their_minor_units(currency: str, digits: int) -> None:
    assert minor_units(currency) == digits
    assert quantum(currency) == Decimal(1).scaleb(-digits)


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("1.005", "USD", "1.01"),
        ("-1.005", "USD", "-1.01"),
        ("1.004", "USD", "1.00"),
        ("0.5", "JPY", "1"),
        ("1.2345", "KWD", "1.235"),
    ],
)
def test_rounding_is_half_up_to_the_minor_unit(amount: str, currency: str, expected: str) -> None:
    assert str(rounded(Decimal(amount), currency)) == expected
    assert Money(Decimal(amount), currency).rounded() == Money(Decimal(expected), currency)


def test_two_currencies_never_combine() -> None:
    dollars, yen = Money(Decimal(1), "USD"), Money(Decimal(1), "JPY")
    for combine in (lambda: dollars + yen, lambda: dollars - yen, lambda: dollars < yen, lambda: dollars <= yen):
        with pytest.raises(TypeError, match="USD and JPY"):
            combine()
    with pytest.raises(TypeError, match="money only"):
        dollars + Decimal(1)  # type: ignore[operator]


def test_money_of_one_currency_adds_subtracts_and_compares() -> None:
    one, two = Money(Decimal("1.00"), "USD"), Money(Decimal("2.00"), "USD")
    assert one + two == Money(Decimal("3.00"), "USD")
    assert one - two == -one
    assert one < two
    assert one <= one
    assert str(two) == "2.00 USD"


@pytest.mark.parametrize(
    ("amount", "weights", "currency", "expected"),
    [
        ("10.00", ("1", "1", "1"), "USD", ("3.34", "3.33", "3.33")),
        ("-10.00", ("1", "1", "1"), "USD", ("-3.34", "-3.33", "-3.33")),
        ("0.02", ("1", "1", "1"), "USD", ("0.01", "0.01", "0")),
        ("100", ("1", "1", "1"), "JPY", ("34", "33", "33")),
        ("1.000", ("2", "1"), "KWD", ("0.667", "0.333")),
        ("1.00", ("0", "1"), "USD", ("0", "1.00")),
        ("7.00", ("0.1", "0.2", "0.7"), "USD", ("0.70", "1.40", "4.90")),
    ],
)
def test_the_largest_remainder_gets_the_odd_unit(
    amount: str, weights: tuple[str, ...], currency: str, expected: tuple[str, ...]
) -> None:
    assert allocate(Decimal(amount), decimals(*weights), currency) == decimals(*expected)


@given(
    units=st.integers(-(10**12), 10**12),
    weights=st.lists(st.decimals(0, 10**6, places=4), min_size=1, max_size=12).filter(any),
    currency=st.sampled_from(["USD", "JPY", "KWD"]),
)
def test_parts_add_up_and_stay_within_a_unit_of_their_share(units: int, weights: list[Decimal], currency: str) -> None:
    amount = units * quantum(currency)
    parts = allocate(amount, weights, currency)
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - amount * weight / sum(weights)) < quantum(currency) * Decimal("1.0000001")
        assert is_representable(part, currency)


@pytest.mark.parametrize(
    ("amount", "weights", "currency"),
    [
        ("1.005", ("1",), "USD"),
        ("0.5", ("1",), "JPY"),
        ("1", (), "USD"),
        ("1", ("0", "0"), "USD"),
        ("1", ("2", "-1"), "USD"),
    ],
)
def test_what_cannot_be_split_is_refused(amount: str, weights: tuple[str, ...], currency: str) -> None:
    with pytest.raises(ValueError, match=r"weights|decimals"):
        allocate(Decimal(amount), decimals(*weights), currency)


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity", "1e15", "-1e15", "1e400", "0.000000001"])
def test_garbage_is_not_sound(text: str) -> None:
    assert not is_sound(Decimal(text))


@pytest.mark.parametrize("text", ["0", "-0", "0.00000001", "999999999999999.99999999", "-1", "1E+3"])
def test_sane_numbers_are_sound(text: str) -> None:
    assert is_sound(Decimal(text))
