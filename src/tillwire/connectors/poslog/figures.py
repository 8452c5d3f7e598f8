"""The header's figures: totals as the source writes them, with the signs and the rounding that its lines give them."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple
from xml.etree.ElementTree import Element

from tillwire.connectors.poslog.tenders import Payments
from tillwire.connectors.poslog.totals import Reading, Whole, targets
from tillwire.connectors.poslog.tree import attribute, flag, number, text_of
from tillwire.model.money import ZERO
from tillwire.model.transaction import Kind

_ROUNDINGS = ("transactionroundingamount", "roundingamount", "rounding", "transactionrounding")
_DISCOUNTS = ("transactiondiscountamount", "discountamount")
_COUNTS = ("purchasequantity", "transactionitemcount", "itemcount")


class Owed(NamedTuple):
    """What the customer owes in the end."""

    total: Decimal
    rounding: Decimal
    """Part of ``total``."""
    claimed: Decimal | None
    """The same as the source's own totals say it; none if it has none."""


def written_totals(body: Element, currency: str) -> dict[str, Decimal]:
    """The Total elements by their types in lower case; those of other currencies left out. Raises ``DriftError``."""
    found: dict[str, Decimal] = {}
    for element in body.iterfind("Total"):
        name = attribute(element, "TotalType") or attribute(element, "TypeCode") or attribute(element, "Type")
        said = attribute(element, "CurrencyCode").upper()
        name = name.lower()
        if not name or name in found or (said and said not in (currency, "XXX")) or flag(element, "VoidFlag"):
            continue
        amount = number(element if text_of(element) else element.find("Amount"), f"Total[@TotalType='{name}']")
        if amount is not None:
            found[name] = amount
    return found


def whole_of(written: dict[str, Decimal], payments: Payments) -> Whole:
    """The totals by which a reading is found."""
    paid = [one.amount for one in (*payments.tenders, *payments.change) if not one.voided]
    return Whole(
        written.get("transactiongrandamount"),
        written.get("transactionnetamount"),
        written.get("transactiontaxamount"),
        written.get("transactiongrossamount"),
        sum(paid, ZERO) if paid else None,
    )


def rounding_of(body: Element, payments: Payments, written: dict[str, Decimal]) -> Decimal:
    """What cash rounding comes to as written. Raises ``DriftError``."""
    if payments.rounding:
        return sum(payments.rounding, ZERO)
    for name in _ROUNDINGS:
        if written.get(name):
            return written[name]
    element = body.find("Rounding")
    amount = number(element, "Rounding")
    if amount and attribute(element, "RoundingDirection").lower() == "down":
        return -abs(amount)
    return amount or ZERO


def owed(reading: Reading, whole: Whole, rounding: Decimal) -> Owed:
    """The total with its sign, and the rounding that is part of it.

    Some write the grand total before cash rounding, some after; what was paid tells. A total that no reading comes to
    stays as the source says it.
    """
    own = reading.total
    rounded = _rounded(own, whole.tendered, rounding)
    claimable = whole.grand is not None or whole.net is not None or whole.gross is not None
    wanted = targets(whole, rounding)
    for one in wanted if claimable else ():
        for signed in (one, -one):
            if signed == own:
                return Owed(own + rounded, rounded, signed + rounded)
            if rounded and signed == own + rounded:
                return Owed(signed, rounded, signed)
    if not claimable or not wanted:
        return Owed(own + rounded, rounded, None)
    said = wanted[0]
    if own < 0 < said:
        said = -said
    return Owed(said, rounded, said)


def _rounded(own: Decimal, tendered: Decimal | None, rounding: Decimal) -> Decimal:
    if rounding and tendered is not None:
        for one in (rounding, -rounding, ZERO):
            if abs(own + one) == abs(tendered):
                return one
    return rounding


def net_of(whole: Whole, lines: Decimal, total: Decimal, *, tax_included: bool) -> Decimal | None:
    """The header's sum of its lines. Where tax is in the prices, the net amount is without it, and no such sum."""
    net = whole.net
    if net is None:
        return None
    if abs(net) == abs(lines):
        return lines
    if tax_included and abs(net) + abs(whole.tax or ZERO) == abs(lines):
        return lines
    return -net if total < 0 < net else net


def discount_of(written: dict[str, Decimal], total: Decimal) -> Decimal | None:
    """The header's sum of discounts, where it gives one that is not zero."""
    for name in _DISCOUNTS:
        if written.get(name):
            amount = abs(written[name])
            return -amount if total < 0 else amount
    return None


def item_count_of(body: Element, written: dict[str, Decimal], kind: Kind, total: Decimal, items: int) -> Decimal | None:
    """The header's count of items. An ItemCount that counts the line items, tenders and all, is none."""
    if kind is Kind.EXCHANGE:
        return None  # some count what goes out, some the difference
    count = next((amount for name, amount in written.items() if name.endswith(_COUNTS)), None)
    if count is None:
        count = number(body.find("ItemCount"), "ItemCount")
        if count == items:
            return None
    if count is None:
        return None
    back = kind is Kind.RETURN or (kind is Kind.POST_VOID and total < 0)
    return -abs(count) if back else count
