"""Payments and refunds of an order as tenders, in shop money."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

import msgspec

from tillwire.connectors.shopify.fields import Node, code_of, currency_of, in_units, nodes, number, text
from tillwire.connectors.shopify.money import money_or_zero, presentment_money
from tillwire.model.money import ZERO, Money, allocate, is_representable
from tillwire.model.transaction import Tender

EXCHANGE = "exchange"
"""The tender by which the value of goods that came back pays for others of the same order: it nets to nothing."""
_GATEWAYS = {"shopify_store_credit": "store_credit", "giftcard": "gift_card"}


class Payment(NamedTuple):
    """One successful transaction of an order: money in is positive, change and refunds negative."""

    type: str
    amount: Decimal
    foreign: Money | None
    change: bool


def tender_type(gateway: str) -> str:
    """The tender of a gateway: Shopify's own name of it, gift cards and store credit by ours."""
    name = code_of(gateway)
    return _GATEWAYS.get(name.casefold(), name) or "unspecified"


def is_settled(transaction: Node, at: str) -> bool:
    """True if its money has moved."""
    return text(transaction, "status", at).casefold() == "success"


def is_pending(transaction: Node, at: str) -> bool:
    """True if its money is on its way, or waits."""
    return text(transaction, "status", at).casefold() in {"pending", "awaiting_response", "unknown"}


def payments(owner: Node, kinds: Iterable[str], currency: str, at: str) -> list[Payment]:
    """The successful transactions of some kinds (sale, capture, change, refund), in the shop's currency.

    REST gives the amount in the currency that was charged; one in another currency than the shop's has no value in
    shop money here: its amount is zero and ``foreign`` says what was paid.
    """
    found = []
    for i, one in enumerate(nodes(owner, "transactions", at)):
        place = f"{at}/transactions/{i}"
        kind = text(one, "kind", place).casefold()
        if kind not in kinds or not is_settled(one, place):
            continue
        sign = -1 if kind in {"refund", "change"} else 1
        foreign = presentment_money(one, "amount", currency, place)
        charged = currency_of(one, place)
        if charged and charged != currency and one.get("amount_set") is None:
            value = number(one.get("amount"), f"{place}/amount")
            foreign, amount = Money(in_units(value, charged), charged), ZERO
        else:
            amount = money_or_zero(one, "amount", currency, place)
        if foreign is not None:
            foreign = Money(sign * foreign.amount, foreign.currency)
        found.append(Payment(tender_type(text(one, "gateway", place)), sign * amount, foreign, kind == "change"))
    return found


def has_pending(owner: Node, at: str) -> bool:
    """True if any refund of it has not moved its money yet."""
    return any(is_pending(one, f"{at}/transactions/{i}") for i, one in enumerate(nodes(owner, "transactions", at)))


def tenders_of(paid: list[Payment], total: Decimal, presentment: Money | None, currency: str) -> tuple[Tender, ...]:
    """Tenders by type. Payments in another currency that come to the presentment total are worth ``total``: the drift
    of the rate between order and capture is settlement's, not the sale's.
    """
    foreign = _foreign_total(paid)
    if foreign is not None and total and _explains(foreign, presentment, total, paid):
        weights = [abs(one.foreign.amount) if one.foreign else ZERO for one in paid]
        if sum(weights) and is_representable(total, currency):
            parts = allocate(total, weights, currency)
            return tuple(
                Tender(type=one.type, amount=in_units(part, currency), foreign=one.foreign, change=one.change)
                for one, part in zip(paid, parts, strict=True)
            )
    summed: dict[tuple[str, bool], Decimal] = {}
    for one in paid:
        key = (one.type, one.change)
        summed[key] = summed.get(key, ZERO) + one.amount
    return tuple(
        Tender(type=name, amount=in_units(amount, currency), change=change)
        for (name, change), amount in sorted(summed.items())
        if amount
    )


def referenced(tenders: Iterable[Tender], order_id: int) -> tuple[Tender, ...]:
    """Gift cards with the order that they paid: Shopify keeps their numbers to itself, and finds them by this."""
    return tuple(
        msgspec.structs.replace(one, reference=f"order:{order_id}") if one.type == "gift_card" else one
        for one in tenders
    )


def _foreign_total(paid: list[Payment]) -> Money | None:
    if not paid or any(one.foreign is None or one.change for one in paid):
        return None
    currencies = {one.foreign.currency for one in paid if one.foreign}
    if len(currencies) != 1:
        return None
    return Money(sum((one.foreign.amount for one in paid if one.foreign), ZERO), currencies.pop())


def _explains(foreign: Money, presentment: Money | None, total: Decimal, paid: list[Payment]) -> bool:
    if presentment is not None:
        return abs(foreign.amount) == abs(presentment.amount) and foreign.currency == presentment.currency
    # Without a presentment total nothing contradicts; payments without a value in shop money have only this one.
    return all(not one.amount for one in paid) and (foreign.amount > 0) == (total > 0)


def gateways(order: Node, at: str) -> list[str]:
    """The tenders an order names without their amounts, as REST does."""
    named = order.get("payment_gateway_names")
    found = [str(name) for name in named if name] if isinstance(named, list) else []
    found = found or [name for name in (text(order, "gateway", at),) if name]
    return sorted({tender_type(name) for name in found})
