"""Exchange rates as the ERP has them, and amounts in the company's currency that balance to the last minor unit.

Tryton's rule: an amount is multiplied by the rate of the currency it goes to and divided by that of the one it comes
from, each the latest on or before the day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal, localcontext

import msgspec

from tillwire.connectors.tryton.client import TrytonClient
from tillwire.model.ledger import ZERO
from tillwire.model.money import allocate, rounded


class Rates(msgspec.Struct, frozen=True):
    """Currencies of the ERP by their code, each with its rates, oldest first."""

    numbers: dict[str, int]
    rates: dict[str, tuple[tuple[date, Decimal], ...]]

    def missing(self, currency: str, day: date) -> str | None:
        """What the ERP lacks to convert from or to a currency on a day, in words; none if it lacks nothing."""
        if currency not in self.numbers:
            return f"the ERP does not know the currency {currency}: add it there, with its rates"
        if self._rate(currency, day) is None:
            return f"the ERP has no exchange rate of {currency} on {day} or before: enter one there"
        return None

    def factor(self, source: str, target: str, day: date) -> Decimal:
        """What one of ``source`` is in ``target``. Only where nothing is missing."""
        bought, sold = self._rate(target, day), self._rate(source, day)
        assert bought is not None
        assert sold is not None
        with localcontext() as context:
            context.prec = 40
            return bought / sold

    def _rate(self, currency: str, day: date) -> Decimal | None:
        past = [rate for since, rate in self.rates.get(currency, ()) if since <= day]
        return past[-1] if past else None


def look_up_rates(client: TrytonClient, currencies: Iterable[str]) -> Rates:
    """The rates of these currencies (ISO codes), by two calls; none for no currencies."""
    wanted = sorted(set(currencies))
    if not wanted:
        return Rates({}, {})
    known = client.call("model.currency.currency.search_read", [["code", "in", wanted]], 0, None, None, ["code"])
    codes = {row["id"]: row["code"] for row in known}
    rows = client.call(
        "model.currency.currency.rate.search_read",
        [["currency", "in", sorted(codes)]], 0, None, [["date", "ASC"]], ["currency", "date", "rate"],
    )  # fmt: skip
    rates: dict[str, tuple[tuple[date, Decimal], ...]] = {}
    for row in rows:
        code = codes[row["currency"]]
        rates[code] = (*rates.get(code, ()), (row["date"], row["rate"]))
    return Rates({code: number for number, code in codes.items()}, rates)


def converted(amounts: Sequence[Decimal], factor: Decimal, currency: str) -> list[Decimal]:
    """Amounts of one side of a balanced journal in ``currency``: their sum is converted and rounded, and shared out by
    largest remainder. The two sides of a journal have the same sum, so they balance afterwards too.
    """
    total = sum(amounts, ZERO)
    if not total:
        return [ZERO for _ in amounts]
    with localcontext() as context:
        context.prec = 40
        worth = rounded(total * factor, currency)
    return allocate(worth, amounts, currency)
