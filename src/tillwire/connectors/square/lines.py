"""The lines of a Square order: items sold and returned, service charges, tips.

A line's ``total_money`` is what it costs with discounts, taxes and its share of service charges; everything is derived
from it, because ``gross_sales_money`` leaves inclusive taxes out in some countries and in others not.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from tillwire.connectors.payload import Node, key_part
from tillwire.connectors.square.money import amount_of, needed
from tillwire.connectors.square.settings import SquareSettings
from tillwire.model.money import ZERO, rounded
from tillwire.model.transaction import Discount, Line, LineKind, Tax

ONE = Decimal(1)
_PRICE = Decimal("0.000001")
_GIFT_CARD = "GIFT_CARD"


class Named(NamedTuple):
    """A tax, discount or service charge of the order that lines refer to by its uid."""

    name: str
    rate: Decimal | None
    included: bool
    reference: str


class Terms(NamedTuple):
    """What the lines of one order (or of one of its returns) refer to."""

    currency: str
    taxes: Mapping[str, Named]
    discounts: Mapping[str, Named]
    included: bool
    """Whether every tax is in the prices, so that amounts carry their tax."""


def terms_of(order: Node, currency: str, prefix: str = "") -> Terms:
    """The taxes and discounts of an order, or with ``prefix`` "return_" of a return."""
    taxes = {line.text("uid"): _named(line) for line in order.items(f"{prefix}taxes")}
    discounts = {line.text("uid"): _named(line) for line in order.items(f"{prefix}discounts")}
    included = bool(taxes) and all(tax.included for tax in taxes.values())
    return Terms(currency, taxes, discounts, included)


def _named(line: Node) -> Named:
    percent = line.number("percentage")
    name = line.text("name", 64) or line.text("type", 64)
    rate = None if percent is None else percent / 100
    return Named(name, rate, line.text("type") == "INCLUSIVE", line.text("catalog_object_id"))


def sold_lines(order: Node, terms: Terms, settings: SquareSettings) -> list[Line]:
    """Items, service charges and the tip of what is sold. Raises ``DriftError``."""
    lines = [_item(line, terms, settings, ONE, "") for line in order.items("line_items")]
    for charge in order.items("service_charges"):
        lines += _charge(charge, terms, ONE)
    tip = amount_of(order, "total_tip_money", terms.currency)
    if tip:
        lines.append(Line("tip", ONE, tip, tip, kind=LineKind.TIP, moves_stock=False))
    return lines


def returned_lines(back: Node, terms: Terms, settings: SquareSettings) -> list[Line]:
    """The lines of one return, coming back. Raises ``DriftError``."""
    lines = [_item(line, terms, settings, -ONE, "return_") for line in back.items("return_line_items")]
    for charge in back.items("return_service_charges"):
        lines += _charge(charge, terms, -ONE)
    for tip in back.items("return_tips"):
        amount = -(amount_of(tip, "applied_money", terms.currency) or ZERO)
        if amount:
            lines.append(Line("tip", -ONE, -amount, amount, kind=LineKind.TIP, moves_stock=False))
    return lines


def _item(line: Node, terms: Terms, settings: SquareSettings, sign: Decimal, prefix: str) -> Line:
    currency = terms.currency
    quantity = line.number("quantity")
    if quantity is None:
        raise line.drift("quantity", "it is missing")
    total = needed(line, "total_money", currency)
    tax = amount_of(line, "total_tax_money", currency) or ZERO
    charged = amount_of(line, "total_service_charge_money", currency) or ZERO
    off = amount_of(line, "total_discount_money", currency) or ZERO
    amount = total - charged - (ZERO if terms.included else tax)
    before = amount + off
    kind = LineKind.GIFT_CARD if line.text("item_type") == _GIFT_CARD else LineKind.ITEM
    # The card's number is told by its activities only: the line stands for it.
    reference = f"line:{line.text('uid', 100)}" if kind is LineKind.GIFT_CARD else None
    name = ", ".join(part for part in (line.text("name"), line.text("variation_name")) if part)
    unit = _unit_of(line)
    return Line(
        sku=_code_of(line, settings),
        quantity=sign * quantity,
        unit_price=_price(before, quantity, currency),
        amount=sign * amount,
        unit=unit,
        kind=kind,
        discounts=_discounts(line, terms, off, sign),
        taxes=_taxes(line, terms, tax, sign),
        description=name or None,
        reference=reference,
        discount=sign * off if off else None,
        tax=sign * tax if tax else None,
    )


def _unit_of(line: Node) -> str:
    """The unit of a weighed or measured item: Square tells only that there is one, and its precision."""
    unit = line.child("quantity_unit")
    measured = unit.child("measurement_unit") if unit else None
    if measured is None:
        return "EA"
    for name in measured.data:
        if name.endswith("_unit") and (found := key_part(measured.text(name).rpartition("_")[2])):
            return found
    return "EA"


def _code_of(line: Node, settings: SquareSettings) -> str:
    """The SKU by the catalog's variation, else a readable stable code."""
    number = line.text("catalog_object_id")
    if number:
        return key_part(settings.skus.get(number, "")) or key_part(f"catalog:{number}")
    return key_part(f"item:{line.text('name') or 'custom'}")


def _price(amount: Decimal, quantity: Decimal, currency: str) -> Decimal:
    if not quantity:
        return ZERO
    price = amount / quantity
    exact = rounded(price, currency)
    return exact if exact * quantity == amount else price.quantize(_PRICE).normalize() + ZERO


def _discounts(line: Node, terms: Terms, off: Decimal, sign: Decimal) -> tuple[Discount, ...]:
    """The parts of a line's discount; where they are not told, or do not add up, the whole of it."""
    made = []
    for applied in line.items("applied_discounts"):
        named = terms.discounts.get(applied.text("discount_uid"))
        amount = amount_of(applied, "applied_money", terms.currency) or ZERO
        if amount:
            promotion = (named.name or named.reference) if named else ""
            made.append(Discount(sign * amount, "discount", promotion or None))
    if sum((one.amount for one in made), ZERO) == sign * off:
        return tuple(made)
    return (Discount(sign * off, "discount"),) if off else ()


def _taxes(line: Node, terms: Terms, tax: Decimal, sign: Decimal) -> tuple[Tax, ...]:
    """The parts of a line's tax; where they are not told, or do not add up, the whole of it."""
    made = []
    for applied in line.items("applied_taxes"):
        named = terms.taxes.get(applied.text("tax_uid"))
        amount = amount_of(applied, "applied_money", terms.currency) or ZERO
        if amount:
            code = key_part(named.name) if named else ""
            made.append(Tax(code or "tax", sign * amount, named.rate if named else None))
    if sum((one.amount for one in made), ZERO) == sign * tax:
        return tuple(made)
    return (Tax("tax", sign * tax),) if tax else ()


def _charge(charge: Node, terms: Terms, sign: Decimal) -> list[Line]:
    """A service charge. One that is apportioned is part of its lines' totals, and its tax among theirs."""
    currency = terms.currency
    apportioned = charge.text("treatment_type") == "APPORTIONED_TREATMENT"
    tax = ZERO if apportioned else amount_of(charge, "total_tax_money", currency) or ZERO
    applied = amount_of(charge, "applied_money", currency)
    total = amount_of(charge, "total_money", currency)
    if apportioned or total is None:
        amount = (applied or ZERO) if applied is not None or total is None else total
        amount += tax if terms.included and not apportioned else ZERO
    else:
        amount = total if terms.included else total - tax
    if not amount and not tax:
        return []
    down = (sign * amount) < 0
    kind = LineKind.TIP if charge.text("type") == "AUTO_GRATUITY" else LineKind.CHARGE
    line = Line(
        "service-charge",
        -ONE if down else ONE,
        abs(amount),
        sign * amount,
        kind=kind,
        taxes=_taxes(charge, terms, tax, sign),
        description=charge.text("name") or None,
        moves_stock=False,
    )
    return [line]
