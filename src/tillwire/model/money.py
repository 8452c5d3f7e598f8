"""Money: a decimal amount with its currency. Never a float; two currencies never add.

Minor units per currency are those of ISO 4217 (JPY 0, KWD 3, most 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext
from functools import cache

import msgspec

ZERO = Decimal(0)

AMOUNT_LIMIT = Decimal(10) ** 15
"""No single amount or quantity of a retailer reaches this; larger ones are refused as garbage."""

MOST_DECIMALS = 8
"""The finest precision that is accepted anywhere (unit prices of fuel, weights)."""

_NO_MINOR_UNIT = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"]
)
_THREE_DECIMALS = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
_FOUR_DECIMALS = frozenset(["CLF", "UYW"])


def minor_units(currency: str) -> int:
    """Digits after the decimal point in ``currency`` (ISO 4217 alphabetic code)."""
    if currency in _NO_MINOR_UNIT:
        return 0
    if currency in _THREE_DECIMALS:
        return 3
    if currency in _FOUR_DECIMALS:
        return 4
    return 2


_QUANTUM = {digits: Decimal(1).scaleb(-digits) for digits in range(5)}


@cache
def quantum(currency: str) -> Decimal:
    """The smallest amount of ``currency``, such as 0.01 for USD."""
    return _QUANTUM[minor_units(currency)]


def rounded(amount: Decimal, currency: str) -> Decimal:
    """``amount`` rounded half up to the minor unit of ``currency``."""
    return amount.quantize(quantum(currency), rounding=ROUND_HALF_UP)


def is_representable(amount: Decimal, currency: str) -> bool:
    """True if ``amount`` has no digits below the minor unit of ``currency``."""
    return amount == amount.quantize(quantum(currency))


def is_sound(number: Decimal) -> bool:
    """True for a finite number of sane size and precision: what may enter arithmetic and the database."""
    if not number.is_finite() or not -AMOUNT_LIMIT < number < AMOUNT_LIMIT:
        return False
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and -MOST_DECIMALS <= exponent <= 15


class Money(msgspec.Struct, frozen=True, gc=False):
    """An amount in a currency (ISO 4217). Arithmetic between two currencies raises ``TypeError``."""

    amount: Decimal
    currency: str

    def _same(self, other: Money) -> None:
        if not isinstance(other, Money):
            raise TypeError(f"money combines with money only, not with {type(other).__name__}")
        if other.currency != self.currency:
            raise TypeError(f"{self.currency} and {other.currency} do not combine: convert one of them first")

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount - other.amount, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.amount < other.amount

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.amount <= other.amount

    def rounded(self) -> Money:
        """The same, rounded half up to the currency's minor unit."""
        return Money(rounded(self.amount, self.currency), self.currency)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


def allocate(amount: Decimal, weights: Sequence[Decimal], currency: str) -> list[Decimal]:
    """Split ``amount`` by ``weights`` into parts of whole minor units that add up to it exactly.

    The method is that of the largest remainder. ``amount`` must itself be whole minor units.
    Raises ``ValueError`` if it is not, if a weight is negative, or if there is nothing to split over.
    """
    if not is_representable(amount, currency):
        raise ValueError(f"{amount} has more decimals than {currency} has")
    total = sum(weights, ZERO)
    if not weights or total <= 0 or any(weight < 0 for weight in weights):
        raise ValueError("weights must be non-negative and must not all be zero")
    step = quantum(currency)
    with localcontext() as context:
        context.prec = 60
        units = int(abs(amount) / step)
        shares = [units * weight / total for weight in weights]
        parts = [int(share) for share in shares]
        by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - shares[i], i))
        for i in by_remainder[: units - sum(parts)]:
            parts[i] += 1
    sign = -1 if amount < 0 else 1
    return [step * part * sign for part in parts]


def special_currencies() -> dict[str, int]:
    """Digits of the currencies that do not have two, for queries that must know them."""
    return {code: minor_units(code) for code in sorted(_NO_MINOR_UNIT | _THREE_DECIMALS | _FOUR_DECIMALS)}


def rounded_together(amounts: Sequence[Decimal], currency: str) -> list[Decimal]:
    """``amounts`` in whole minor units, each off by less than one, that add up to their rounded sum.

    The method is that of the largest remainder, so that what balanced before still does.
    """
    step = quantum(currency)
    with localcontext() as context:
        context.prec = 60
        floors = [amount.quantize(step, rounding=ROUND_FLOOR) for amount in amounts]
        missing = rounded(sum(amounts, ZERO), currency) - sum(floors, ZERO)
        by_remainder = sorted(range(len(floors)), key=lambda i: (floors[i] - amounts[i], i))
        for i in by_remainder[: int(missing / step)]:
            floors[i] += step
    return floors
