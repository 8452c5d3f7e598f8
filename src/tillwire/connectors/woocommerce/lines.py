"""The lines of a WooCommerce order or refund: items, shipping and fees, with their discounts and taxes.

WooCommerce gives every line without tax (``subtotal`` before discounts, ``total`` after), also in shops whose prices
include it; there each of the two is rounded, and only with its tax does a line come to what the customer paid. Such
orders are told with tax in the prices. A line's ``taxes`` are unrounded at shops that round at the subtotal: they are
rounded to what ``tax_lines`` says of their rate, by largest remainder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from msgspec import Struct

from tillwire.connectors.payload import Node, key_part
from tillwire.connectors.woocommerce.settings import WooCommerceSettings
from tillwire.model.money import ZERO, minor_units, quantum, rounded
from tillwire.model.transaction import Discount, Line, LineKind, Tax

ONE = Decimal(1)
_PRICE = Decimal("0.000001")


class Rate(NamedTuple):
    """One tax rate of an order, and what the order says it comes to."""

    code: str
    rate: Decimal | None
    on_lines: Decimal | None
    on_shipping: Decimal | None


class Part(Struct, kw_only=True):
    """A line as WooCommerce says it: amounts without tax, signed."""

    sku: str
    kind: LineKind
    quantity: Decimal
    subtotal: Decimal
    subtotal_tax: Decimal
    total: Decimal
    total_tax: Decimal
    taxes: list[tuple[str, Decimal]]
    """(rate id, unrounded amount)."""
    shipping: bool = False
    description: str = ""
    reference: str = ""
    moves_stock: bool = True


def rates_of(order: Node) -> dict[str, Rate]:
    """The rates of ``tax_lines`` by their id."""
    found: dict[str, Rate] = {}
    for line in order.items("tax_lines"):
        number = line.text("rate_id", 64)
        percent = line.number("rate_percent")
        code = key_part(line.text("rate_code") or line.text("label")) or f"rate:{number}"
        rate = None if percent is None else percent / 100
        found[number] = Rate(code, rate, line.number("tax_total"), line.number("shipping_tax_total"))
    return found


def product_code(sku: str, product: int, variation: int) -> str:
    """The code of a product: its SKU, else a code made of its number at the shop."""
    return key_part(sku) or (f"variation:{variation}" if variation else f"product:{product}")


def parts_of(source: Node, settings: WooCommerceSettings, *, refund: bool) -> list[Part]:
    """Every line of an order or refund, in the source's order. Raises ``DriftError``."""
    parts = [_item(line, settings, refund) for line in source.items("line_items")]
    for line in source.items("shipping_lines"):
        method = key_part(line.text("method_id"), 50) or "other"
        parts += _charge(line, f"shipping:{method}", line.text("method_title"), LineKind.CHARGE, shipping=True)
    kinds = {name.casefold(): kind for name, kind in settings.fee_kinds.items()}
    for line in source.items("fee_lines"):
        name = line.text("name")
        kind = kinds.get(name.casefold(), LineKind.CHARGE)
        parts += _charge(line, "fee" if kind is LineKind.CHARGE else kind.value, name, kind)
    return parts


def _item(line: Node, settings: WooCommerceSettings, refund: bool) -> Part:
    quantity = line.number("quantity")
    if quantity is None:
        raise line.drift("quantity", "it is missing")
    total = line.amount("total")
    subtotal = line.number("subtotal")
    total_tax = line.number("total_tax") or ZERO
    subtotal_tax = line.number("subtotal_tax")
    product = line.integer("product_id") or 0
    kind, reference = _kind_of(line)
    return Part(
        sku=product_code(line.text("sku"), product, line.integer("variation_id") or 0),
        kind=kind,
        quantity=quantity,
        subtotal=total if subtotal is None else subtotal,
        subtotal_tax=total_tax if subtotal_tax is None else subtotal_tax,
        total=total,
        total_tax=total_tax,
        taxes=_taxes(line),
        description=line.text("name"),
        reference=reference,
        moves_stock=settings.restock if refund else True,
    )


def _kind_of(line: Node) -> tuple[LineKind, str]:
    """What an item line sells. The extensions Gift Cards and Deposits say so in its meta data."""
    for meta in line.items("meta_data"):
        name = meta.data.get("key")
        if not isinstance(name, str):
            continue
        if name.startswith("wc_gc_giftcard_"):
            # Its code is made after the order and not told with it: the line stands for it.
            return LineKind.GIFT_CARD, f"line:{line.text('id', 60)}"
        if name in ("is_deposit", "_is_deposit") and meta.data.get("value") in ("yes", True, 1, "1"):
            return LineKind.DEPOSIT, f"line:{line.text('id', 60)}"
    return LineKind.ITEM, ""


def _charge(line: Node, sku: str, name: str, kind: LineKind, *, shipping: bool = False) -> list[Part]:
    """Shipping or a fee: one piece, or, where it lowers the sale, minus one (a price is never below zero)."""
    total = line.number("total") or ZERO
    tax = line.number("total_tax") or ZERO
    if not total and not tax:
        return []
    down = (total or tax) < 0
    made = Part(
        sku=sku,
        kind=kind,
        quantity=-ONE if down else ONE,
        subtotal=total,
        subtotal_tax=tax,
        total=total,
        total_tax=tax,
        taxes=_taxes(line),
        shipping=shipping,
        description=name,
        moves_stock=False,
    )
    return [made]


def _taxes(line: Node) -> list[tuple[str, Decimal]]:
    taxes = []
    for tax in line.items("taxes"):
        amount = tax.number("total")
        if amount:
            taxes.append((tax.text("id", 64), amount))
    return taxes


def lines_of(
    parts: Sequence[Part],
    rates: Mapping[str, Rate],
    currency: str,
    *,
    included: bool,
    coupons: Sequence[str] = (),
    reason: str = "coupon",
) -> tuple[Line, ...]:
    """Canonical lines. ``included`` says whether amounts carry their tax."""
    taxes = _settled(parts, rates, currency)
    return tuple(
        _line(part, taxes[i], currency, included=included, coupons=coupons, reason=reason)
        for i, part in enumerate(parts)
    )


def _line(
    part: Part, taxes: tuple[Tax, ...], currency: str, *, included: bool, coupons: Sequence[str], reason: str
) -> Line:
    before = part.subtotal + part.subtotal_tax if included else part.subtotal
    amount = part.total + part.total_tax if included else part.total
    discount = before - amount
    discounts: tuple[Discount, ...] = ()
    if discount:
        promotion = coupons[0] if len(coupons) == 1 else None
        discounts = (Discount(discount, reason if coupons else "price", promotion),)
    return Line(
        sku=part.sku,
        quantity=part.quantity,
        unit_price=_price(before, part.quantity, currency),
        amount=amount,
        kind=part.kind,
        discounts=discounts,
        taxes=taxes,
        description=part.description or None,
        reference=part.reference or None,
        moves_stock=part.moves_stock,
    )


def _price(amount: Decimal, quantity: Decimal, currency: str) -> Decimal:
    """Of one piece before discounts: exact where it comes out even, else to a millionth."""
    if not quantity:
        return ZERO
    price = amount / quantity
    exact = rounded(price, currency)
    return exact if exact * quantity == amount else price.quantize(_PRICE).normalize() + ZERO


def _settled(parts: Sequence[Part], rates: Mapping[str, Rate], currency: str) -> list[tuple[Tax, ...]]:
    """The taxes of every line in minor units."""
    amounts: dict[tuple[int, int], Decimal] = {
        (i, j): rounded(amount, currency) for i, part in enumerate(parts) for j, (_, amount) in enumerate(part.taxes)
    }
    for rate_id, rate in rates.items():
        for shipping, target in ((False, rate.on_lines), (True, rate.on_shipping)):
            places = [
                (i, j)
                for i, part in enumerate(parts)
                if part.shipping is shipping
                for j, (number, _) in enumerate(part.taxes)
                if number == rate_id
            ]
            _meet(amounts, places, lambda at: parts[at[0]].taxes[at[1]][1], target, currency)
    made: list[tuple[Tax, ...]] = []
    for i, part in enumerate(parts):
        known = [number for number, _ in part.taxes if number in rates]
        if not known:
            places = [(i, j) for j in range(len(part.taxes))]
            _meet(amounts, places, lambda at: parts[at[0]].taxes[at[1]][1], part.total_tax, currency)
        taxes = [_tax(number, amounts[i, j], rates) for j, (number, _) in enumerate(part.taxes)]
        if not part.taxes and part.total_tax:
            only = next(iter(rates)) if len(rates) == 1 else ""
            taxes.append(_tax(only, part.total_tax, rates))
        made.append(tuple(tax for tax in taxes if tax.amount))
    return made


def _tax(number: str, amount: Decimal, rates: Mapping[str, Rate]) -> Tax:
    rate = rates.get(number)
    if rate is not None:
        return Tax(rate.code, amount, rate.rate)
    return Tax(f"rate:{number}" if number else "tax", amount)


def _meet(
    amounts: dict[tuple[int, int], Decimal],
    places: Sequence[tuple[int, int]],
    unrounded: Callable[[tuple[int, int]], Decimal],
    target: Decimal | None,
    currency: str,
) -> None:
    """Round the amounts at ``places`` so that they add up to ``target``, if no more than rounding is between them: each
    stays within a minor unit of what it was. Else they stay, and the rules find the difference.
    """
    if target is None or not places or sum(amounts[at] for at in places) == target:
        return
    step = quantum(currency)
    floors = {at: unrounded(at).quantize(step, rounding=ROUND_FLOOR) for at in places}
    missing = (target - sum(floors.values())).scaleb(minor_units(currency))
    if missing != int(missing) or not 0 <= missing <= len(places):
        return
    by_remainder = sorted(places, key=lambda at: (floors[at] - unrounded(at), at))
    amounts.update(floors)
    for at in by_remainder[: int(missing)]:
        amounts[at] += step
