"""Lines of orders and refunds: what was sold, its price before discount, its discounts and taxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal

from tillwire.connectors.shopify.fields import (
    Drift,
    Node,
    child,
    code_of,
    flag,
    identifier_of,
    in_units,
    nodes,
    number,
    plain,
    text,
)
from tillwire.connectors.shopify.money import money_or_zero, required_money, shop_money
from tillwire.connectors.shopify.settings import ShopifySettings
from tillwire.model.money import ZERO, allocate, is_representable, quantum, rounded
from tillwire.model.transaction import Discount, Disposition, Line, LineKind, Tax

UNSPECIFIED = "unspecified"
"""The tax code of tax whose name the payload does not tell."""
ONE = Decimal(1)


class Draft:
    """A line in the making: amounts can be moved until it is whole."""

    __slots__ = ("amount", "description", "discounts", "kind", "price", "quantity", "reference", "sku", "taxes")

    def __init__(self, sku: str, kind: LineKind, quantity: Decimal, price: Decimal, description: str = "") -> None:
        self.sku = sku
        self.kind = kind
        self.quantity = quantity
        self.price = price
        self.description = description
        self.reference: str | None = None
        self.discounts: list[Discount] = []
        self.taxes: list[Tax] = []
        self.amount = quantity * price

    def take_off(self, discount: Discount) -> None:
        """A discount that lowers the amount."""
        self.discounts.append(discount)
        self.amount -= discount.amount

    @property
    def tax(self) -> Decimal:
        """The sum of its taxes."""
        return sum((tax.amount for tax in self.taxes), ZERO)

    def line(self, currency: str, *, disposition: Disposition | None = None, moves_stock: bool = True) -> Line:
        """The line, its amounts in the decimals of ``currency``."""
        return Line(
            sku=self.sku,
            quantity=plain(self.quantity),
            unit_price=in_units(self.price, currency),
            amount=in_units(self.amount, currency),
            kind=self.kind,
            discounts=tuple(self.discounts),
            taxes=tuple(self.taxes),
            description=self.description[:500] or None,
            reference=self.reference,
            disposition=disposition,
            moves_stock=moves_stock,
        )


def product_code(item: Node, settings: ShopifySettings, at: str) -> str:
    """The SKU; where there is none, ``variant:ID`` or ``product:ID``; the code of custom items if there is neither."""
    sku = code_of(text(item, "sku", at))
    if sku:
        return sku
    for name in ("variant", "product"):
        found = identifier_of(item, f"{name}_id", at)
        if found is not None:
            return f"{name}:{found}"
    return settings.custom_item


def kind_of(item: Node, at: str, tip: Decimal = ZERO) -> LineKind:
    """Item, gift card or tip. REST marks a tip by its gateway; GraphQL only by the order's total of tips, ``tip``."""
    if flag(item, "gift_card", at):
        return LineKind.GIFT_CARD
    if any(item.get(name) for name in ("tip_payment_gateway", "tip_payment_method", "tip")):
        return LineKind.TIP
    nameless = item.get("variant_id") is None and item.get("product_id") is None
    if tip and nameless and text(item, "title", at).casefold() in {"tip", "tips"}:
        return LineKind.TIP
    return LineKind.ITEM


def _gift_card(item: Node, kind: LineKind, at: str) -> str | None:
    """The line item that sold a gift card: Shopify keeps the card's number to itself, and finds it by this."""
    own = identifier_of(item, "id", at) if kind is LineKind.GIFT_CARD else None
    return None if own is None else f"line_item:{own}"


def quantity_of(node: Node, name: str, at: str) -> Decimal:
    """A quantity, not below zero. Raises ``Drift``."""
    if node.get(name) is None:
        raise Drift(f"{at}/{name}", "a quantity is missing")
    found = number(node[name], f"{at}/{name}")
    if found < 0:
        raise Drift(f"{at}/{name}", f"a quantity is not below zero, but {found}")
    return plain(found)


def taxes_of(node: Node, currency: str, at: str, share: Decimal = ONE) -> list[Tax]:
    """The taxes of an item, of shipping or of duties: the code is Shopify's title of the tax."""
    found = []
    for i, tax in enumerate(nodes(node, "tax_lines", at)):
        place = f"{at}/tax_lines/{i}"
        amount = required_money(tax, "price", currency, place)
        if share != ONE:
            amount = rounded(amount * share, currency)
        rate = None if tax.get("rate") is None else plain(number(tax["rate"], f"{place}/rate"))
        found.append(Tax(code=code_of(text(tax, "title", place)) or UNSPECIFIED, amount=amount, rate=rate))
    return found


def discounts_of(
    node: Node, currency: str, at: str, applications: Sequence[Node] = (), share: Decimal = ONE
) -> list[Discount]:
    """The parts of the order's discounts that fall on a line, with the application each comes from."""
    found = []
    for i, part in enumerate(nodes(node, "discount_allocations", at)):
        place = f"{at}/discount_allocations/{i}"
        amount = required_money(part, "amount", currency, place)
        if share != ONE:
            amount = rounded(amount * share, currency)
        if amount:
            reason, promotion = _application(part, applications, place)
            found.append(Discount(amount=amount, reason=reason, promotion=promotion))
    return found


_TYPES = {
    "DiscountCodeApplication": "discount_code",
    "ManualDiscountApplication": "manual",
    "AutomaticDiscountApplication": "automatic",
    "ScriptDiscountApplication": "script",
}


def _application(part: Node, applications: Sequence[Node], at: str) -> tuple[str, str | None]:
    applied = child(part, "discount_application", at)
    index = part.get("discount_application_index")
    if not applied and isinstance(index, int) and 0 <= index < len(applications):
        applied = applications[index]
    typename = applied.get("__typename")
    reason = _TYPES.get(typename, "") if isinstance(typename, str) else text(applied, "type", at)
    return reason[:500], (text(applied, "code", at) or text(applied, "title", at))[:500] or None


def item_draft(
    item: Node,
    settings: ShopifySettings,
    currency: str,
    at: str,
    *,
    quantity: Decimal | None = None,
    applications: Sequence[Node] = (),
    tip: Decimal = ZERO,
) -> Draft:
    """A line item of an order. ``quantity`` below the ordered one takes its share of discounts and taxes."""
    ordered = quantity_of(item, "quantity", at)
    taken = ordered if quantity is None else quantity
    share = ONE if taken == ordered or not ordered else taken / ordered
    price = required_money(item, "price", currency, at)
    kind = kind_of(item, at, tip)
    description = text(item, "name", at) or text(item, "title", at)
    code = "tip" if kind is LineKind.TIP else product_code(item, settings, at)
    draft = Draft(code, kind, taken, price, description)
    draft.reference = _gift_card(item, kind, at)
    for discount in discounts_of(item, currency, at, applications, share):
        draft.take_off(discount)
    if not draft.discounts:
        own = money_or_zero(item, "total_discount", currency, at)
        if own:
            draft.take_off(Discount(amount=rounded(own * share, currency) if share != ONE else own))
    draft.taxes = taxes_of(item, currency, at, share)
    return draft


def shipping_drafts(order: Node, currency: str, at: str, applications: Sequence[Node]) -> list[Draft]:
    """Shipping as charges. Where a query asked for no prices of shipping lines, the order's total of shipping."""
    found = []
    untold = False
    for i, line in enumerate(nodes(order, "shipping_lines", at)):
        place = f"{at}/shipping_lines/{i}"
        if flag(line, "is_removed", place):
            continue
        price = shop_money(line, "price", currency, place)
        if price is None:
            untold = True
            continue
        draft = Draft("shipping", LineKind.CHARGE, ONE, price, text(line, "title", place))
        for discount in discounts_of(line, currency, place, applications):
            draft.take_off(discount)
        reduced = shop_money(line, "discounted_price", currency, place)
        if not draft.discounts and reduced is not None and reduced < price:
            draft.take_off(Discount(amount=in_units(price - reduced, currency)))
        draft.taxes = taxes_of(line, currency, place)
        found.append(draft)
    if untold and not found:
        total = money_or_zero(order, "total_shipping_price", currency, at)
        found.append(Draft("shipping", LineKind.CHARGE, ONE, total))
    return found


def duty_drafts(item: Node, currency: str, at: str) -> list[Draft]:
    """Import duties of a line item as charges."""
    found = []
    for i, duty in enumerate(nodes(item, "duties", at)):
        place = f"{at}/duties/{i}"
        bag = duty if "shop_money" in duty else child(duty, "price_set", place) or child(duty, "price", place)
        amount = money_or_zero({"x_set": bag}, "x", currency, place)
        draft = Draft("duties", LineKind.CHARGE, ONE, amount)
        draft.taxes = taxes_of(duty, currency, place)
        if amount or draft.tax:
            found.append(draft)
    return found


def spread_discount(drafts: Sequence[Draft], amount: Decimal, currency: str, promotion: str | None) -> None:
    """An order's discount that no line names, over its items by their amounts (largest remainder)."""
    weights = [max(draft.amount, ZERO) for draft in drafts]
    if not amount or not sum(weights) or not is_representable(amount, currency):
        return
    for draft, part in zip(drafts, allocate(amount, weights, currency), strict=True):
        if part:
            draft.take_off(Discount(amount=part, promotion=promotion))


def spread_tax(drafts: Sequence[Draft], code: str, amount: Decimal, currency: str) -> None:
    """A tax that no line names, over lines by their amounts (largest remainder); its base is not told, so no rate."""
    if not amount or not drafts:
        return
    weights = [abs(draft.amount) for draft in drafts]
    if not sum(weights) or not is_representable(amount, currency):
        drafts[0].taxes.append(Tax(code=code, amount=amount))
        return
    for draft, part in zip(drafts, allocate(amount, weights, currency), strict=True):
        if part:
            draft.taxes.append(Tax(code=code, amount=part))


def returned_draft(
    line: Node, settings: ShopifySettings, currency: str, at: str, items: Mapping[int, Node]
) -> tuple[Draft, Node]:
    """A refunded line item, all amounts below zero, and the line item that was sold."""
    item = child(line, "line_item", at)
    if not item or ("price" not in item and "price_set" not in item):
        sold = items.get(identifier_of(line, "line_item_id", at) or identifier_of(item, "id", f"{at}/line_item") or 0)
        item = {**sold, **item} if sold else item
    place = f"{at}/line_item"
    quantity = quantity_of(line, "quantity", at)
    subtotal = shop_money(line, "subtotal", currency, at)
    price = shop_money(item, "price", currency, place)
    if price is None:
        price = shop_money(line, "price", currency, at)
    if subtotal is None:
        if price is None:
            raise Drift(f"{at}/subtotal", "neither the refunded amount nor a price is given")
        subtotal = price * quantity - _discounted(item, quantity, currency, place)
    if price is None or price * quantity < subtotal:
        step = quantum(currency)
        price = (subtotal / quantity).quantize(step, rounding=ROUND_CEILING) if quantity else subtotal
    kind = kind_of(item, place)
    code = "tip" if kind is LineKind.TIP else product_code(item, settings, place)
    draft = Draft(code, kind, -quantity, price, text(item, "name", place) or text(item, "title", place))
    draft.reference = _gift_card(item, kind, place)
    off = in_units(draft.amount + subtotal, currency)
    if quantity and off:
        draft.take_off(Discount(amount=off))
    elif not quantity:
        draft.amount = -subtotal
    draft.taxes = _returned_taxes(line, item, quantity, currency, at)
    return draft, item


def _discounted(item: Node, quantity: Decimal, currency: str, at: str) -> Decimal:
    ordered = number(item["quantity"], f"{at}/quantity") if item.get("quantity") is not None else quantity
    off = sum((discount.amount for discount in discounts_of(item, currency, at)), ZERO)
    off = off or money_or_zero(item, "total_discount", currency, at)
    return off if ordered in (quantity, 0) else rounded(off * quantity / ordered, currency)


def _returned_taxes(line: Node, item: Node, quantity: Decimal, currency: str, at: str) -> list[Tax]:
    """The refunded tax by the names of the item's taxes, in their proportion (largest remainder)."""
    own = taxes_of(item, currency, f"{at}/line_item")
    total = shop_money(line, "total_tax", currency, at)
    if total is None:
        ordered = number(item["quantity"], f"{at}/line_item/quantity") if item.get("quantity") is not None else quantity
        share = ONE if ordered in (quantity, 0) else quantity / ordered
        total = sum((rounded(tax.amount * share, currency) for tax in own), ZERO)
    if not total:
        return []
    weights = [tax.amount for tax in own]
    if not own or min(weights) < 0 or not sum(weights) or not is_representable(total, currency):
        code, rate = (own[0].code, own[0].rate) if len(own) == 1 else (UNSPECIFIED, None)
        return [Tax(code=code, amount=-total, rate=rate)]
    parts = zip(own, allocate(total, weights, currency), strict=True)
    return [Tax(code=tax.code, amount=-part, rate=tax.rate) for tax, part in parts if part]
