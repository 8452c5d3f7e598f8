"""Shop money and presentment money, as REST (amount beside amount_set) and GraphQL (amountSet) write them."""

from __future__ import annotations

from decimal import Decimal

from tillwire.connectors.shopify.fields import Drift, Node, child, currency_of, in_units, number
from tillwire.model.money import ZERO, Money


def shop_money(node: Node, name: str, currency: str, at: str) -> Decimal | None:
    """The amount under ``name_set`` or ``name`` in the shop's ``currency``; none if neither is there.

    Raises ``Drift``: mistyped, or ``currency_mismatch`` where the shop money is in another currency than the shop's.
    """
    bag = child(node, f"{name}_set", at)
    inner = child(bag, "shop_money", f"{at}/{name}_set")
    if inner.get("amount") is not None:
        place = f"{at}/{name}_set/shop_money"
        amount = number(inner["amount"], f"{place}/amount")
        own = currency_of(inner, place)
        if own and currency and own != currency and amount:
            reason = f"shop money in {own}, but the shop's currency is {currency}"
            raise Drift(place, reason, "currency_mismatch")
        return in_units(amount, currency)
    value = node.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, dict):  # GraphQL's MoneyV2, as in discount applications
        return shop_money({"x_set": {"shop_money": value}}, "x", currency, f"{at}/{name}")
    return in_units(number(value, f"{at}/{name}"), currency)


def money_or_zero(node: Node, name: str, currency: str, at: str) -> Decimal:
    """As ``shop_money``; nothing is zero."""
    found = shop_money(node, name, currency, at)
    return ZERO if found is None else found


def required_money(node: Node, name: str, currency: str, at: str) -> Decimal:
    """As ``shop_money``. Raises ``Drift`` if it is missing."""
    found = shop_money(node, name, currency, at)
    if found is None:
        raise Drift(f"{at}/{name}", "an amount is missing")
    return found


def presentment_money(node: Node, name: str, currency: str, at: str) -> Money | None:
    """What the customer saw, where that was in another currency than the shop's; none otherwise."""
    bag = child(node, f"{name}_set", at)
    inner = child(bag, "presentment_money", f"{at}/{name}_set")
    if inner.get("amount") is None:
        return None
    place = f"{at}/{name}_set/presentment_money"
    own = currency_of(inner, place)
    if not own or own == currency:
        return None
    return Money(in_units(number(inner["amount"], f"{place}/amount"), own), own)


def currency_within(node: Node, names: tuple[str, ...], at: str) -> str:
    """The shop's currency as the first of several money bags names it; empty if none does."""
    for name in names:
        inner = child(child(node, f"{name}_set", at), "shop_money", f"{at}/{name}_set")
        found = currency_of(inner, f"{at}/{name}_set/shop_money")
        if found:
            return found
    return ""
