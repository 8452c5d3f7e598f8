"""WooCommerce orders and refunds as transactions (REST API wc/v3, "orders" and "order refunds")."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from tillwire.connectors.inbound import Claim, Outgoing
from tillwire.connectors.payload import DriftError, Node, key_part, seconds_of, sound, trading_day
from tillwire.connectors.woocommerce.lines import ONE, Part, lines_of, parts_of, rates_of
from tillwire.connectors.woocommerce.settings import WooCommerceSettings
from tillwire.model.event import TRANSACTION
from tillwire.model.money import ZERO
from tillwire.model.transaction import Kind, LineKind, Original, Tender, Transaction

_RANK = {"completed": 2, "failed": 3, "cancelled": 3, "refunded": 4}
"""Order of statuses within one second, the finest that WooCommerce tells of a change."""


class Told(NamedTuple):
    """What a resource comes to."""

    events: tuple[Outgoing, ...] = ()
    claims: tuple[Claim, ...] = ()
    ignored: str = ""


class Money(NamedTuple):
    """The money at risk in a resource, as far as it can be read."""

    amount: Decimal | None
    currency: str | None


def currency_of(node: Node, fallback: str = "") -> str:
    """The ISO code (the symbol is for people). Raises ``DriftError``."""
    code = node.text("currency").upper() or fallback
    if len(code) != 3 or not (code.isascii() and code.isalpha()):
        why = "it is missing; set the connection's currency" if not code else f"{code[:20]!r} is no ISO 4217 code"
        raise node.drift("currency", why)
    return code


def _created(node: Node, settings: WooCommerceSettings) -> datetime | None:
    return node.moment("date_created_gmt") or node.moment("date_created", settings.zone)


def _paid(node: Node, settings: WooCommerceSettings) -> datetime | None:
    return node.moment("date_paid_gmt") or node.moment("date_paid", settings.zone)


def _modified(node: Node, settings: WooCommerceSettings) -> datetime | None:
    return node.moment("date_modified_gmt") or node.moment("date_modified", settings.zone)


def _day_of(order: Node, settings: WooCommerceSettings) -> date:
    """The business date of an order, and so part of its key. Raises ``DriftError`` for one without any date."""
    created, paid = _created(order, settings), _paid(order, settings)
    moment = (paid or created) if settings.business_date == "paid" else (created or paid)
    if moment is None:
        raise order.drift("date_created_gmt", "the order has no date")
    return trading_day(moment, settings.zone)


def version_of(order: Node, settings: WooCommerceSettings) -> int:
    """Rises with each change: the second of it, and within one the way of statuses."""
    moment = _modified(order, settings) or _paid(order, settings) or _created(order, settings)
    return (seconds_of(moment) if moment else 0) * 10 + _RANK.get(order.text("status"), 1)


def included_in(order: Node | None) -> bool:
    """Whether the shop's prices include tax."""
    return order is not None and order.flag("prices_include_tax") is True


def order_told(order: Node, settings: WooCommerceSettings) -> Told:
    """The sale that an order is. Raises ``DriftError``."""
    number = order.identity()
    status = order.needed("status").removeprefix("wc-")
    failed_after_payment = status == "failed" and _paid(order, settings) is not None
    if status in settings.cancelled_statuses or failed_after_payment:
        kind = Kind.CANCELLED
    elif status in settings.sale_statuses:
        kind = Kind.SALE
    elif status in settings.pending_statuses:
        return Told(ignored=f"an order that is {status} is not a sale yet")
    elif status == "trash":
        return Told(ignored="an order in the trash: a sale ends by cancelling or refunding it")
    else:
        why = f"{status!r} is no status this connection knows: name it in sale_statuses, pending_statuses or "
        raise order.drift("status", why + "cancelled_statuses")
    transaction, claimed = _sale(order, number, kind, settings)
    version = version_of(order, settings)
    event = Outgoing(
        type=TRANSACTION,
        data=sound(transaction),
        id=f"order:{number}@{version}",
        time=transaction.ended_at or transaction.began_at,
        correlation=f"order:{number}",
        entity=f"order:{number}",
        version=version,
    )
    claims = (Claim(amount=claimed, currency=transaction.currency),) if kind is Kind.SALE else ()
    return Told((event,), claims)


def _sale(order: Node, number: int, kind: Kind, settings: WooCommerceSettings) -> tuple[Transaction, Decimal]:
    currency = currency_of(order, settings.currency)
    included = included_in(order)
    cards = _gift_cards(order, settings)
    paid = order.amount("total")
    # The extension Gift Cards takes what cards pay off the order's total; what is owed is both together.
    total = paid + sum((card.amount for card in cards), ZERO)
    parts = parts_of(order, settings, refund=False)
    coupons = [code for line in order.items("coupon_lines") if (code := line.text("code", 200))]
    lines = lines_of(parts, rates_of(order), currency, included=included, coupons=coupons)
    tenders = cards
    if paid:
        method = key_part(order.text("payment_method")) or settings.unnamed_tender
        tenders = [*cards, Tender(method, paid, reference=order.text("transaction_id") or None)]
    made = Transaction(
        store=settings.store,
        register=settings.register,
        business_date=_day_of(order, settings),
        sequence=number,
        kind=kind,
        currency=currency,
        total=total,
        tax=order.number("total_tax"),
        discount=_discount(order, parts, included),
        tax_included=included,
        lines=lines,
        tenders=tuple(tenders),
        began_at=_created(order, settings),
        ended_at=_paid(order, settings),
        customer=_customer(order),
        receipt=order.text("number") or None,
        tax_exempt="is_vat_exempt" if _is_exempt(order) else None,
        channel="ecommerce",
        order=str(number),
    )
    return made, total


def _discount(order: Node, parts: Sequence[Part], included: bool) -> Decimal | None:
    """The header's discount, in the same terms as the lines'. None where it differs by no more than the rounding of
    its figures, each of which WooCommerce rounds by itself."""
    stated = order.number("discount_total")
    if stated is None:
        return None
    found = sum((part.subtotal - part.total for part in parts), ZERO)
    if included:
        stated += order.number("discount_tax") or ZERO
        found += sum((part.subtotal_tax - part.total_tax for part in parts), ZERO)
    noise = Decimal("0.01") * len(parts) if included else Decimal("0.005") * len(parts)
    return None if stated != found and abs(stated - found) <= noise else stated


def _gift_cards(order: Node, settings: WooCommerceSettings) -> list[Tender]:
    """What gift cards paid (extension Gift Cards). Their codes are money: only the end is kept."""
    made = []
    for card in order.items("gift_cards"):
        amount = card.amount("amount")
        if amount:
            made.append(Tender(settings.gift_card_tender, amount, reference="…" + card.text("code")[-4:]))
    return made


def _customer(order: Node) -> str | None:
    number = order.integer("customer_id")
    return f"customer:{number}" if number else None


def _is_exempt(order: Node) -> bool:
    return any(
        meta.data.get("key") == "is_vat_exempt" and meta.data.get("value") == "yes" for meta in order.items("meta_data")
    )


def order_number_of(refund: Node) -> int | None:
    """The order that a refund read alone belongs to: by its parent, or by its links."""
    parent = refund.integer("parent_id") or refund.integer("order_id")
    if parent:
        return parent
    links = refund.data.get("_links")
    for name in ("up", "self"):
        found = links.get(name) if isinstance(links, dict) else None
        for link in found if isinstance(found, list) else ():
            href = link.get("href") if isinstance(link, dict) else None
            if isinstance(href, str):
                before, mark, after = href.partition("/orders/")
                digits = after.split("/")[0]
                if mark and before and digits.isascii() and digits.isdigit() and len(digits) < 19:
                    return int(digits)
    return None


def refund_told(refund: Node, order: Node | None, settings: WooCommerceSettings) -> Told:
    """The return that a refund is; ``order`` is what it refunds, where it is known. Raises ``DriftError``."""
    number = refund.identity()
    amount = refund.amount("amount") if refund.data.get("amount") not in (None, "") else -refund.amount("total")
    if not number and not amount:
        return Told(ignored="a refund that was deleted")
    made = _created(refund, settings)
    if made is None:
        raise refund.drift("date_created_gmt", "the refund has no date")
    currency = currency_of(refund, currency_of(order) if order else settings.currency)
    sold = order.identity() if order else order_number_of(refund)
    total = -abs(amount)
    included = included_in(order)
    parts = parts_of(refund, settings, refund=True) or [_without_lines(refund, total)]
    transaction = Transaction(
        store=settings.store,
        register=settings.register,
        business_date=trading_day(made, settings.zone),
        sequence=number,
        kind=Kind.RETURN,
        currency=currency,
        total=total,
        tax_included=included,
        lines=lines_of(parts, rates_of(order) if order else {}, currency, included=included),
        tenders=(_repaid(refund, order, total, settings),) if total else (),
        ended_at=made,
        customer=_customer(order) if order else None,
        receipt=str(number),
        original=_original(order, settings) if order else None,
        channel="ecommerce",
        order=None if sold is None else str(sold),
    )
    event = Outgoing(
        type=TRANSACTION,
        data=sound(transaction),
        id=f"refund:{number}@{2 if order else 1}",
        time=made,
        correlation=None if sold is None else f"order:{sold}",
        entity=f"refund:{number}",
        # Read with its order a refund says more than read alone; it never changes otherwise.
        version=2 if order else 1,
    )
    return Told((event,), (Claim(amount=total, currency=currency),))


def _without_lines(refund: Node, total: Decimal) -> Part:
    """Money given back without saying for what."""
    return Part(
        sku="refund",
        kind=LineKind.CHARGE,
        quantity=-ONE,
        subtotal=total,
        subtotal_tax=ZERO,
        total=total,
        total_tax=ZERO,
        taxes=[],
        description="",
        moves_stock=False,
    )


def _repaid(refund: Node, order: Node | None, total: Decimal, settings: WooCommerceSettings) -> Tender:
    """Back to where the money came from, or by hand if nothing is known of that."""
    method = key_part(order.text("payment_method")) if order else ""
    if not method:
        method = settings.manual_refund_tender if refund.flag("refunded_payment") is False else settings.unnamed_tender
    return Tender(method, total)


def _original(order: Node, settings: WooCommerceSettings) -> Original:
    return Original(settings.store, settings.register, _day_of(order, settings), order.identity())


def at_risk(node: Node) -> Money:
    """The amount and currency of an order or refund that could not be told, as far as they can be read."""
    currency = node.data.get("currency")
    known = currency if isinstance(currency, str) and len(currency) == 3 and currency.isalpha() else None
    for name in ("total", "amount"):
        try:
            amount = node.number(name)
        except DriftError:
            continue
        if amount is not None:
            return Money(amount, known)
    return Money(None, known)
