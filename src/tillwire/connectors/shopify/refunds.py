"""Refunds as return transactions: what went back, and the money that has moved."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from tillwire.connectors.inbound import Claim, Outgoing
from tillwire.connectors.shopify.fields import (
    Drift,
    Node,
    child,
    currency_of,
    first_moment,
    flag,
    identifier,
    identifier_of,
    in_units,
    moment,
    nodes,
    text,
    version_of,
)
from tillwire.connectors.shopify.lines import ONE, UNSPECIFIED, Draft, returned_draft
from tillwire.connectors.shopify.money import currency_within, money_or_zero, shop_money
from tillwire.connectors.shopify.places import business_date, store_at
from tillwire.connectors.shopify.settings import ShopifySettings
from tillwire.connectors.shopify.tenders import EXCHANGE, Payment, has_pending, payments, referenced, tenders_of
from tillwire.model import event
from tillwire.model.money import ZERO, Money
from tillwire.model.transaction import Discount, Disposition, Kind, Line, LineKind, Tax, Tender, Transaction

_TIMES = ("processed_at", "created_at", "updated_at")


class OrderContext(NamedTuple):
    """What an order tells of the refunds it holds."""

    order_id: int
    currency: str
    tax_included: bool
    items: Mapping[int, Node]
    sold: bool
    """True if the order's sale is recorded with what these refunds take back."""
    exchanged: bool
    """True if goods that came back paid for others of the order."""
    test: bool = False


class RefundResult(NamedTuple):
    """A refund's event with what it claims, or why there is none."""

    outgoing: Outgoing | None = None
    claim: Claim | None = None
    ignored: str = ""


def money_moved(refund: Node, currency: str, at: str) -> list[Payment]:
    """The refund's successful transactions."""
    return payments(refund, ("refund",), currency, at)


def value_of(
    refund: Node, currency: str, included: bool, items: Mapping[int, Node], settings: ShopifySettings
) -> Decimal:
    """What the refund's lines and adjustments come to: positive, in shop money."""
    drafts = [draft for draft, _ in _drafts(refund, settings, currency, "", items)]
    return -_sum(drafts, included)


def read_refund(refund: Node, settings: ShopifySettings, at: str, context: OrderContext | None = None) -> RefundResult:
    """One refund, alone or of an order. Money that has not moved has no effect; goods that came back without any
    money are a return of nothing, where the order says that they had been sold.
    """
    if refund.get("id") is None:
        return RefundResult(ignored="a calculation of a refund, not a refund")
    number = identifier(refund["id"], f"{at}/id")
    order_id = context.order_id if context else identifier_of(refund, "order_id", at)
    if order_id is None:
        raise Drift(f"{at}/order_id", "the order is missing")
    currency = context.currency if context else _currency(refund, settings, at)
    moved = money_moved(refund, currency, at)
    listed = nodes(refund, "refund_line_items", at)
    if not moved:
        pending = has_pending(refund, at)
        if pending:
            return RefundResult(ignored="its money has not moved yet; it comes again with its order when it has")
        if context is None:
            reason = "no money moved; what that means for goods is told by the order, which comes with it"
            return RefundResult(ignored=reason)
        if not (context.sold and listed):
            return RefundResult(ignored="no money moved, and nothing that was recorded as sold went back")
    return _returned(refund, number, order_id, moved, currency, settings, at, context)


def _returned(
    refund: Node,
    number: int,
    order_id: int,
    moved: list[Payment],
    currency: str,
    settings: ShopifySettings,
    at: str,
    context: OrderContext | None,
) -> RefundResult:
    drafts = _drafts(refund, settings, currency, at, context.items if context else {})
    foreign = bool(moved) and all(one.foreign is not None for one in moved)
    money = sum((one.amount for one in moved), ZERO)
    included = _tax_included([draft for draft, _ in drafts], -money, context)
    value = _sum([draft for draft, _ in drafts], included)
    if not moved:
        for draft, _ in drafts:
            _without_money(draft)
        drafts, value, included = [pair for pair in drafts if pair[0].kind is LineKind.ITEM], ZERO, False
        if not drafts:
            return RefundResult(ignored="no money moved, and no goods went back")
    elif foreign and not money and not _presented(refund, _sum_foreign(moved), at):
        paid = ", ".join(f"{one.foreign}" for one in moved)
        raise Drift(
            f"{at}/transactions", f"{paid} was paid back, which is not what the lines come to", "tender_mismatch"
        )
    elif not drafts:
        drafts, value = [(_goodwill(money), False)], money
    # A foreign payment without a value in shop money is worth what its lines are: the check above saw to that.
    exchanged = bool(context and context.exchanged and moved and not foreign and value < money)
    total = value if exchanged or (foreign and not money) else money
    if foreign and money and _presented(refund, _sum_foreign(moved), at):
        total = value
    tenders = list(tenders_of(moved, total, None if not foreign else _sum_foreign(moved), currency))
    if exchanged:
        tenders.append(Tender(type=EXCHANGE, amount=in_units(value - money, currency)))
    happened = _happened(refund, at)
    location, pos = _location(refund, at)
    store = store_at(location, settings)
    test = context.test if context else _is_test(refund, at)
    transaction = Transaction(
        store=store,
        register=settings.pos_register if pos else settings.register,
        business_date=business_date(store, happened, settings),
        sequence=number,
        kind=Kind.TRAINING if test else Kind.RETURN,
        currency=currency,
        total=in_units(total, currency),
        tax_included=included,
        lines=tuple(_line(draft, restocked, currency) for draft, restocked in drafts),
        tenders=referenced(tenders, order_id),
        ended_at=happened,
        order=str(order_id),
        channel="pos" if pos else "ecommerce",
        presentment=_sum_foreign(moved) if foreign else None,
    )
    version = version_of(_last_move(refund, happened, at), min(len(moved), 400) + (500 if exchanged else 0))
    outgoing = Outgoing(
        type=event.TRANSACTION,
        data=transaction,
        id=f"refund:{number}:{version}",
        time=happened,
        correlation=f"order:{order_id}",
        entity=f"refund:{number}",
        version=version,
    )
    claim = None if test else Claim(amount=transaction.total, currency=currency)
    return RefundResult(outgoing, claim)


def _currency(refund: Node, settings: ShopifySettings, at: str) -> str:
    """The shop's currency: from the refund's own shop money, from the settings, or from its transactions."""
    for i, line in enumerate(nodes(refund, "refund_line_items", at)):
        found = currency_within(line, ("subtotal", "total_tax"), f"{at}/refund_line_items/{i}")
        if found:
            return found
    found = currency_within(refund, ("total_refunded", "total_duties"), at) or settings.currency
    for i, one in enumerate(nodes(refund, "transactions", at)):
        place = f"{at}/transactions/{i}"
        found = found or currency_within(one, ("amount", "total_unsettled"), place) or currency_of(one, place)
    for i, one in enumerate(nodes(refund, "order_adjustments", at)):
        found = found or currency_within(one, ("amount",), f"{at}/order_adjustments/{i}")
    if not found:
        raise Drift(f"{at}/transactions", "no currency is named; the setting currency says the shop's")
    return found


def _drafts(
    refund: Node, settings: ShopifySettings, currency: str, at: str, items: Mapping[int, Node]
) -> list[tuple[Draft, bool]]:
    """The lines, and whether each one's goods came back."""
    found = []
    codes: set[str] = set()
    for i, line in enumerate(nodes(refund, "refund_line_items", at)):
        place = f"{at}/refund_line_items/{i}"
        draft, _ = returned_draft(line, settings, currency, place, items)
        codes |= {tax.code for tax in draft.taxes}
        found.append((draft, _restocked(line, refund, place, at)))
    code = codes.pop() if len(codes) == 1 else UNSPECIFIED
    charges = _shipping(refund, currency, at, code)
    skipped = {"shipping_refund"} if charges else set()
    for i, one in enumerate(nodes(refund, "order_adjustments", at)):
        place = f"{at}/order_adjustments/{i}"
        kind = text(one, "kind", place).casefold()
        if kind not in skipped:
            amount = money_or_zero(one, "amount", currency, place)
            tax = money_or_zero(one, "tax_amount", currency, place)
            sku = "shipping" if kind == "shipping_refund" else "refund-adjustment"
            charges.append(_charge(sku, amount, tax, code, text(one, "reason", place)))
    for sku, name in (("duties", "total_duties"), ("additional-fees", "total_additional_fees")):
        amount = money_or_zero(refund, name, currency, at)
        charges.append(_charge(sku, -amount, ZERO, code))
    return found + [(draft, False) for draft in charges if draft is not None]


def _shipping(refund: Node, currency: str, at: str, code: str) -> list[Draft | None]:
    found = []
    for i, line in enumerate(nodes(refund, "refund_shipping_lines", at)):
        place = f"{at}/refund_shipping_lines/{i}"
        amount = shop_money(line, "subtotal_amount", currency, place)
        tax = money_or_zero(line, "tax_amount", currency, place)
        if amount is None:
            raise Drift(f"{place}/subtotal_amount_set", "an amount is missing")
        inner = child(line, "shipping_line", place)
        names = {text(one, "title", place) for one in nodes(inner, "tax_lines", f"{place}/shipping_line")}
        own = names.pop() if len(names) == 1 else code
        found.append(_charge("shipping", -amount, -tax, own or code))
    return found


def _charge(sku: str, amount: Decimal, tax: Decimal, code: str, description: str = "") -> Draft | None:
    """A charge of either sign: below zero it goes back to the customer."""
    if not amount and not tax:
        return None
    draft = Draft(sku, LineKind.CHARGE, -ONE if amount < 0 else ONE, abs(amount), description)
    if tax:
        draft.taxes.append(Tax(code=code, amount=tax))
    return draft


def _goodwill(money: Decimal) -> Draft:
    """Money that went back for no line and no adjustment that the payload names."""
    draft = _charge("refund-adjustment", money, ZERO, UNSPECIFIED)
    assert draft is not None
    return draft


def _without_money(draft: Draft) -> None:
    draft.discounts = []
    draft.taxes = []
    draft.amount = draft.quantity * draft.price
    if draft.amount:
        draft.take_off(Discount(amount=draft.amount, reason="not refunded"))


def _restocked(line: Node, refund: Node, place: str, at: str) -> bool:
    """Whether goods came back: by the line's restock type; old payloads say it for the whole refund."""
    named = text(line, "restock_type", place).casefold()
    if named:
        return named != "no_restock"
    if line.get("restocked") is not None:
        return flag(line, "restocked", place)
    return flag(refund, "restock", at)


def _line(draft: Draft, restocked: bool, currency: str) -> Line:
    if draft.kind is not LineKind.ITEM:
        return draft.line(currency)
    return draft.line(currency, disposition=Disposition.RESELL if restocked else None, moves_stock=restocked)


def _sum(drafts: list[Draft], included: bool) -> Decimal:
    net = sum((draft.amount for draft in drafts), ZERO)
    return net if included else net + sum((draft.tax for draft in drafts), ZERO)


def _tax_included(drafts: list[Draft], money: Decimal, context: OrderContext | None) -> bool:
    """Whether the refunded amounts hold their tax: as the money says, else as the order says."""
    if not any(draft.taxes for draft in drafts):
        return False
    if -_sum(drafts, False) == money:
        return False
    if -_sum(drafts, True) == money:
        return True
    return context.tax_included if context else False


def _presented(refund: Node, paid: Money | None, at: str) -> bool:
    """True if the lines, shipping and adjustments come to what was paid back, in the customer's currency."""
    if paid is None:
        return False
    net = tax = ZERO
    for name, sign, amount_name, tax_name in _PARTS:
        for i, part in enumerate(nodes(refund, name, at)):
            place = f"{at}/{name}/{i}"
            net += sign * _seen_as(part, amount_name, paid.currency, place)
            tax += sign * _seen_as(part, tax_name, paid.currency, place)
    net -= _seen_as(refund, "total_duties", paid.currency, at)
    return paid.amount in (net, net + tax)


_PARTS = (
    ("refund_line_items", -1, "subtotal", "total_tax"),
    ("refund_shipping_lines", -1, "subtotal_amount", "tax_amount"),
    ("order_adjustments", 1, "amount", "tax_amount"),
)


def _seen_as(node: Node, name: str, currency: str, at: str) -> Decimal:
    bag = child(child(node, f"{name}_set", at), "presentment_money", f"{at}/{name}_set")
    if bag.get("amount") is None or currency_of(bag, at) != currency:
        return ZERO
    return money_or_zero({"x": bag["amount"]}, "x", currency, f"{at}/{name}_set/presentment_money")


def _sum_foreign(moved: list[Payment]) -> Money | None:
    named = [one.foreign for one in moved if one.foreign is not None]
    if not named or len({one.currency for one in named}) != 1:
        return None
    return Money(sum((one.amount for one in named), ZERO), named[0].currency)


def _location(refund: Node, at: str) -> tuple[int | None, bool]:
    """Where the money was paid back, and whether in a shop. The transactions tell it, in REST and in GraphQL."""
    location = None
    for i, one in enumerate(nodes(refund, "transactions", at)):
        location = location or identifier_of(one, "location_id", f"{at}/transactions/{i}")
    return location, location is not None


def _is_test(refund: Node, at: str) -> bool:
    listed = nodes(refund, "transactions", at)
    return bool(listed) and all(flag(one, "test", f"{at}/transactions/{i}") for i, one in enumerate(listed))


def _happened(refund: Node, at: str) -> datetime:
    """When it was made; where a query did not ask for that, when its first money moved."""
    if not any(refund.get(name) for name in _TIMES):
        for i, one in enumerate(nodes(refund, "transactions", at)):
            if any(one.get(name) for name in _TIMES):
                return first_moment(one, _TIMES, f"{at}/transactions/{i}")
    return first_moment(refund, _TIMES, at)


def _last_move(refund: Node, happened: datetime, at: str) -> datetime:
    """When its last money moved: that makes a new version of it."""
    latest = happened
    for i, one in enumerate(nodes(refund, "transactions", at)):
        found = moment(one.get("processed_at") or one.get("created_at"), f"{at}/transactions/{i}/processed_at")
        if found is not None and text(one, "status", at).casefold() == "success" and found > latest:
            latest = found
    return latest.replace(microsecond=0)
