"""Cash rounding: the smallest amount of a currency that can be paid in cash.

Source: the denominations that central banks issue, and the rounding that law or the trade's custom prescribes where
small coins are no longer made (Swiss five centimes, Swedish krona, Canadian five cents, ...).
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

from tillwire.model.money import quantum

_UNITS: dict[str, tuple[str, ...]] = {
    "0.05": ("AUD", "CAD", "CHF", "EUR", "MYR", "SGD", "USD"),
    # Euro: cash totals are rounded to five cents in Finland, the Netherlands, Belgium, Ireland, Italy, Slovakia,
    # Estonia and Lithuania. US dollar: the mint has stopped making the cent.
    "0.10": ("HKD", "ILS", "NZD", "ZAR"),
    "0.25": ("AED", "QAR", "THB"),
    "0.50": ("DKK", "UAH"),
    "1": ("CZK", "INR", "ISK", "JPY", "NOK", "SEK", "TWD"),
    "5": ("HUF",),
    "10": ("CLP", "KRW"),
    "50": ("COP", "PYG"),
    "100": ("IDR",),
    "500": ("VND",),
    "0.005": ("BHD", "JOD", "KWD", "OMR"),
}
_BY_CURRENCY = {currency: Decimal(unit) for unit, currencies in _UNITS.items() for currency in currencies}


@cache
def cash_unit(currency: str) -> Decimal:
    """The smallest cash amount of ``currency`` (ISO 4217): 0.05 for CHF; its minor unit if no other is known."""
    return max(_BY_CURRENCY.get(currency, quantum(currency)), quantum(currency))
