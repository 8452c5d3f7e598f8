"""Orders as sales: recorded once their money is there, and again as a newer version when they change."""

from __future__ import annotations

from collections.abc import Callable
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
    nodes,
    number,
    text,
    version_of,
)
from tillwire.connectors.shopify.goods import read_fulfilment
from tillwire.connectors.shopify.lines import (
    ONE,
    UNSPECIFIED,
    Draft,
    duty_drafts,
    item_draft,
    quantity_of,
    shipping_drafts,
    spread_discount,
    spread_tax,
    taxes_of,
)
from tillwire.connectors.shopify.money import (
    currency_within,
    money_or_zero,
    presentment_money,
    required_money,
    shop_money,
)
from tillwire.connectors.shopify.places import business_date, is_pos, order_text, pseudonym, store_and_register
from tillwire.connectors.shopify.refunds import OrderContext, money_moved, read_refund, value_of
from tillwire.connectors.shopify.settings import ShopifySettings
from tillwire.connectors.shopify.tenders import EXCHANGE, gateways, payments, referenced, tenders_of
from tillwire.model import event
from tillwire.model.money import ZERO
from tillwire.model.transaction import Kind, LineKind, Tender, Transaction

PAID = frozenset({"paid", "partially_refunded", "refunded"})
"""Financial states of an order whose whole money has been taken at some time."""
_NOT_YET = {
    "": "no financial status: its money is not told",
    "pending": "not paid yet; it comes again when it is",
    "authorized": "authorized, not captured; it comes again when it is",
    "partially_paid": "paid in part; it comes again when all is paid",
    "voided": "voided before any money moved",
    "expired": "its authorization expired before any money moved",
}
_TIMES = ("processed_at", "processedAt", "created_at")


class OrderResult(NamedTuple):
    """The events of an order with what they claim; ``ignored`` says why there is no sale."""

    events: tuple[Outgoing, ...]
    claims: tuple[Claim, ...]
    ignored: str


class _Sale(NamedTuple):
    drafts: list[Draft]
    total: Decimal
    net: bool
    """True if what an edit removed before it was paid is left out."""
    exchange: Decimal


def read_order(order: Node, settings: ShopifySettings, at: str, *, whole: bool = False) -> OrderResult:
    """The sale, the returns and the fulfilments that an order holds. ``whole``: it comes as an order's own webhook, and
    one without lines and total is no part of an order, but money that would be lost. Raises ``Drift``.
    """
    number_ = identifier(order.get("id"), f"{at}/id")
    told = order.get("total_price") is not None or "total_price_set" in order
    if whole and not told and (not order.get("line_items") or "financial_status" not in order):
        raise Drift(f"{at}/total_price", "the total is missing, and with it lines or financial status")
    if "line_items" not in order and not told:
        return OrderResult((), (), "a part of an order only: it names neither lines nor a total")
    if order.get("financial_status") is None and "financial_status" not in order:
        if not told:
            return OrderResult((), (), "a part of an order only: it names neither its state nor a total")
        raise Drift(f"{at}/financial_status", "the financial status is missing")
    status = text(order, "financial_status", at).casefold()
    currency = _currency(order, settings, at)
    items = {identifier(i["id"], f"{at}/line_items"): i for i in nodes(order, "line_items", at) if i.get("id")}
    events: list[Outgoing] = []
    claims: list[Claim] = []
    ignored = ""
    sale = None
    if status in PAID:
        waiting = _untold_split(order, settings, at)
        if waiting:
            ignored = waiting
        else:
            sale = _work_out(order, settings, currency, items, at)
            outgoing = _sale_event(order, number_, sale, settings, currency, at)
            events.append(outgoing)
            if outgoing.data.kind is Kind.SALE:
                claims.append(Claim(amount=outgoing.data.total, currency=currency))
    else:
        ignored = _NOT_YET.get(status, f"financial status {status[:40]}: not paid")
        if order.get("cancelled_at"):
            ignored = f"cancelled; {ignored}"
    context = OrderContext(
        order_id=number_,
        currency=currency,
        tax_included=flag(order, "taxes_included", at),
        items=items,
        sold=sale is not None and not sale.net,
        exchanged=sale is not None and bool(sale.exchange),
        test=flag(order, "test", at),
    )
    for i, refund in enumerate(nodes(order, "refunds", at)):
        if "refund_line_items" in refund or "transactions" in refund:
            result = read_refund(refund, settings, f"{at}/refunds/{i}", context)
            if result.outgoing is not None:
                events.append(result.outgoing)
            if result.claim is not None:
                claims.append(result.claim)
    for i, fulfilment in enumerate(nodes(order, "fulfillments", at)):
        if fulfilment.get("id") is not None and fulfilment.get("line_items") is not None:
            events.append(read_fulfilment(fulfilment, settings, f"{at}/fulfillments/{i}", number_))
    return OrderResult(tuple(events), tuple(claims), ignored)


def _currency(order: Node, settings: ShopifySettings, at: str) -> str:
    """The shop's currency, never the customer's."""
    found = currency_within(order, ("total_price", "subtotal_price", "current_total_price"), at)
    found = found or currency_of(order, at) or settings.currency
    if not found:
        raise Drift(f"{at}/currency", "the currency is missing")
    return found


def _untold_split(order: Node, settings: ShopifySettings, at: str) -> str:
    """Why an order with several payments must wait: REST names the gateways and not their amounts."""
    if not settings.token or nodes(order, "transactions", at) or len(gateways(order, at)) < 2:
        return ""
    return "several payments, whose amounts this payload does not tell; the next pull brings it with them"


def _work_out(order: Node, settings: ShopifySettings, currency: str, items: dict[int, Node], at: str) -> _Sale:
    """What was sold: as ordered; or without what an edit removed before payment, where the money says so; or as
    ordered with an exchange, where goods that came back paid for others.
    """
    if "line_items" not in order:
        raise Drift(f"{at}/line_items", "line items are missing")
    rounding = money_or_zero(order, "total_cash_rounding_payment_adjustment", currency, at)
    rounding += money_or_zero(child(order, "cash_rounding", at), "payment", currency, f"{at}/cash_rounding")
    gross = required_money(order, "total_price", currency, at)
    paid = _paid(order, currency, at)
    drafts = _drafts(order, settings, currency, at, _ordered(at))
    if paid is None or paid in (gross, gross + rounding):
        return _Sale(drafts, gross + rounding, False, ZERO)
    kept = _drafts(order, settings, currency, at, _kept(order, currency, at))
    if _sum(kept, flag(order, "taxes_included", at)) + rounding == paid:
        return _Sale(kept, paid, True, ZERO)
    credit = gross - paid
    if credit > 0 and credit == _credit(order, settings, currency, items, at):
        return _Sale(drafts, gross, False, credit)
    return _Sale(drafts, gross + rounding, False, ZERO)


def _paid(order: Node, currency: str, at: str) -> Decimal | None:
    """All money that came in, before refunds; none where the payload does not tell it in shop money."""
    listed = payments(order, ("sale", "capture", "change"), currency, at)
    if listed:
        return None if any(one.foreign for one in listed) else sum((one.amount for one in listed), ZERO)
    received = shop_money(order, "total_received", currency, at)
    if received is not None and received:
        return received
    current = shop_money(order, "current_total_price", currency, at)
    outstanding = shop_money(order, "total_outstanding", currency, at)
    foreign = presentment_money(order, "total_price", currency, at)
    if current is None or outstanding is None or foreign is not None:
        return None
    refunded = ZERO
    for i, refund in enumerate(nodes(order, "refunds", at)):
        refunded -= sum((one.amount for one in money_moved(refund, currency, f"{at}/refunds/{i}")), ZERO)
    return current - outstanding + refunded


def _credit(order: Node, settings: ShopifySettings, currency: str, items: dict[int, Node], at: str) -> Decimal:
    """What goods that came back were worth beyond the money paid back for them."""
    found = ZERO
    included = flag(order, "taxes_included", at)
    for i, refund in enumerate(nodes(order, "refunds", at)):
        moved = money_moved(refund, currency, f"{at}/refunds/{i}")
        if moved:
            money = sum((one.amount for one in moved), ZERO)
            found += value_of(refund, currency, included, items, settings) + money
    return found


def _ordered(at: str) -> Callable[[Node, str], Decimal]:
    return lambda item, place: quantity_of(item, "quantity", place)


def _kept(order: Node, currency: str, at: str) -> Callable[[Node, str], Decimal]:
    """Quantities without what was removed: the current ones, and what was refunded with money."""
    returned: dict[int, Decimal] = {}
    removed: dict[int, Decimal] = {}
    for i, refund in enumerate(nodes(order, "refunds", at)):
        place = f"{at}/refunds/{i}"
        counted = returned if money_moved(refund, currency, place) else removed
        for j, line in enumerate(nodes(refund, "refund_line_items", place)):
            there = f"{place}/refund_line_items/{j}"
            own = identifier_of(line, "line_item_id", there) or identifier_of(
                child(line, "line_item", there), "id", f"{there}/line_item"
            )
            if own is not None:
                counted[own] = counted.get(own, ZERO) + quantity_of(line, "quantity", there)

    def kept(item: Node, place: str) -> Decimal:
        own = identifier_of(item, "id", place) or 0
        ordered = quantity_of(item, "quantity", place)
        if item.get("current_quantity") is not None:
            current = number(item["current_quantity"], f"{place}/current_quantity")
            return max(ZERO, min(ordered, current + returned.get(own, ZERO)))
        return max(ZERO, ordered - removed.get(own, ZERO))

    return kept


def _drafts(
    order: Node, settings: ShopifySettings, currency: str, at: str, quantity: Callable[[Node, str], Decimal]
) -> list[Draft]:
    applications = nodes(order, "discount_applications", at)
    tip = money_or_zero(order, "total_tip_received", currency, at)
    found: list[Draft] = []
    duties: list[Draft] = []
    for i, item in enumerate(nodes(order, "line_items", at)):
        place = f"{at}/line_items/{i}"
        taken = quantity(item, place)
        if not taken and quantity_of(item, "quantity", place):
            continue
        draft = item_draft(item, settings, currency, place, quantity=taken, applications=applications, tip=tip)
        found.append(draft)
        duties += duty_drafts(item, currency, place)
    _spread_order_discount(order, found, currency, at)
    found += shipping_drafts(order, currency, at, applications) + duties
    for name in ("original_total_additional_fees", "total_additional_fees"):
        fees = money_or_zero(order, name, currency, at)
        if fees:
            found.append(Draft("additional-fees", LineKind.CHARGE, ONE, fees))
            break
    untold = tip - sum((draft.amount for draft in found if draft.kind is LineKind.TIP), ZERO)
    if untold > 0:
        found.append(Draft("tip", LineKind.TIP, ONE, untold))
    _spread_order_tax(order, found, currency, at)
    return found


def _spread_order_discount(order: Node, drafts: list[Draft], currency: str, at: str) -> None:
    """Old payloads, and queries that ask for no allocations, tell an order's discount only by its totals."""
    if any(draft.discounts for draft in drafts):
        return
    off = shop_money(order, "total_discounts", currency, at)
    subtotal = shop_money(order, "subtotal_price", currency, at)
    sold = [draft for draft in drafts if draft.kind is not LineKind.TIP]
    before = sum((draft.amount for draft in sold), ZERO)
    if not off or subtotal is None or not ZERO < before - subtotal <= off:
        return
    codes = nodes(order, "discount_codes", at)
    promotion = text(codes[0], "code", at) or None if len(codes) == 1 else None
    spread_discount(sold, before - subtotal, currency, promotion)


def _spread_order_tax(order: Node, drafts: list[Draft], currency: str, at: str) -> None:
    """Tax that the order names and no line does."""
    if any(draft.taxes for draft in drafts):
        return
    listed = taxes_of(order, currency, at)
    sold = [draft for draft in drafts if draft.kind is LineKind.ITEM] or drafts
    if listed:
        for tax in listed:
            spread_tax(sold, tax.code, tax.amount, currency)
    else:
        spread_tax(sold, UNSPECIFIED, money_or_zero(order, "total_tax", currency, at), currency)


def _sum(drafts: list[Draft], included: bool) -> Decimal:
    net = sum((draft.amount for draft in drafts), ZERO)
    return net if included else net + sum((draft.tax for draft in drafts), ZERO)


def _sale_event(order: Node, number_: int, sale: _Sale, settings: ShopifySettings, currency: str, at: str) -> Outgoing:
    happened = first_moment(order, _TIMES, at)
    store, register = store_and_register(order, settings, at)
    included = flag(order, "taxes_included", at)
    total = in_units(sale.total, currency)
    told = bool(nodes(order, "transactions", at))
    presentment = presentment_money(order, "total_price", currency, at)
    tenders, rounding = _tenders(order, sale, total, currency, at)
    if sale.exchange:
        tenders = (*tenders, Tender(type=EXCHANGE, amount=in_units(sale.exchange, currency)))
    transaction = Transaction(
        store=store,
        register=register,
        business_date=business_date(store, happened, settings),
        sequence=number_,
        kind=Kind.TRAINING if flag(order, "test", at) else Kind.SALE,
        currency=currency,
        total=total,
        tax=None if sale.net else shop_money(order, "total_tax", currency, at),
        rounding=rounding,
        tax_included=included,
        lines=tuple(draft.line(currency) for draft in sale.drafts),
        tenders=referenced(tenders, number_),
        ended_at=happened,
        customer=pseudonym(order, at),
        receipt=order_text(order, at),
        order=str(number_),
        channel="pos" if is_pos(order, at) else "ecommerce",
        presentment=presentment,
    )
    changed = first_moment(order, ("updated_at", *_TIMES), at)
    version = version_of(changed, 1 if told else 0)
    return Outgoing(
        type=event.TRANSACTION,
        data=transaction,
        id=f"order:{number_}:{version}",
        time=happened,
        correlation=f"order:{number_}",
        entity=f"order:{number_}",
        version=version,
    )


def _tenders(order: Node, sale: _Sale, total: Decimal, currency: str, at: str) -> tuple[tuple[Tender, ...], Decimal]:
    """The tenders, and the cash rounding that is part of the total."""
    rounding = money_or_zero(order, "total_cash_rounding_payment_adjustment", currency, at)
    rounding += money_or_zero(child(order, "cash_rounding", at), "payment", currency, f"{at}/cash_rounding")
    rounding = in_units(rounding, currency) if rounding else ZERO
    listed = payments(order, ("sale", "capture", "change"), currency, at)
    if listed:
        if rounding and sum((one.amount for one in listed), ZERO) == total - rounding:
            i = next((i for i, one in enumerate(listed) if one.type == "cash" and not one.change), 0)
            listed[i] = listed[i]._replace(amount=listed[i].amount + rounding)
        presentment = presentment_money(order, "total_price", currency, at)
        return tenders_of(listed, total, presentment, currency), rounding
    amount = total - sale.exchange  # its financial status says that all of it is paid
    named = "+".join(gateways(order, at))[:64] or UNSPECIFIED
    return ((Tender(type=named, amount=in_units(amount, currency)),) if amount else ()), rounding
