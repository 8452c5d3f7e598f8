"""Square payments and refunds as transactions (Payments API, Refunds API)."""

from __future__ import annotations

from decimal import Decimal

from tillwire.connectors.inbound import Claim, Outgoing
from tillwire.connectors.payload import Node, key_part, number_of, sound, trading_day
from tillwire.connectors.square.lines import ONE
from tillwire.connectors.square.money import amount_of, currency_of, needed
from tillwire.connectors.square.orders import Told, store_of
from tillwire.connectors.square.settings import SquareSettings
from tillwire.model.event import TRANSACTION
from tillwire.model.money import ZERO
from tillwire.model.transaction import Kind, Line, LineKind, Tender, Transaction

_PAYMENT_STATES = {"APPROVED", "PENDING", "CANCELED", "FAILED", "COMPLETED"}
_REFUND_STATES = {"PENDING", "REJECTED", "FAILED", "COMPLETED"}


def payment_told(payment: Node, settings: SquareSettings) -> Told:
    """A payment without an order is a sale of its amount; one of an order is that order's tender."""
    number, state = payment.needed("id"), payment.needed("status")
    if state not in _PAYMENT_STATES:
        raise payment.drift("status", f"{state!r} is no status of a payment")
    if state != "COMPLETED":
        return Told(ignored=f"a payment that is {state}: no money has moved")
    order = payment.text("order_id")
    if order:
        return Told(ignored="a payment of an order, whose tender it is")
    currency = currency_of(payment, "total_money", "amount_money")
    total = amount_of(payment, "total_money", currency)
    amount = needed(payment, "amount_money", currency)
    tip = amount_of(payment, "tip_money", currency) or ZERO
    total = amount + tip if total is None else total
    lines = [_line("custom-amount", amount, LineKind.ITEM)]
    if tip:
        lines.append(_line("tip", tip, LineKind.TIP))
    return _told(payment, f"payment:{number}", Kind.SALE, total, tuple(lines), _means_of(payment), settings)


def refund_told(refund: Node, settings: SquareSettings) -> Told:
    """A refund as a return of its amount. The order of a return, once fetched, says more of it under the same name."""
    number, state = refund.needed("id"), refund.needed("status")
    if state not in _REFUND_STATES:
        raise refund.drift("status", f"{state!r} is no status of a refund")
    if state != "COMPLETED":
        return Told(ignored=f"a refund that is {state}: no money has moved")
    total = -needed(refund, "amount_money", currency_of(refund, "amount_money"))
    means = key_part(refund.text("destination_type").lower()) or settings.refund_tender
    lines = (_line("refund", total, LineKind.CHARGE),)
    return _told(refund, f"refund:{number}", Kind.RETURN, total, lines, means, settings)


def _line(sku: str, amount: Decimal, kind: LineKind) -> Line:
    return Line(sku, -ONE if amount < 0 else ONE, abs(amount), amount, kind=kind, moves_stock=False)


def _means_of(payment: Node) -> str:
    return key_part(payment.text("source_type").lower()) or "other"


def _told(
    node: Node, entity: str, kind: Kind, total: Decimal, lines: tuple[Line, ...], means: str, settings: SquareSettings
) -> Told:
    moment = node.moment("created_at")
    if moment is None:
        raise node.drift("created_at", "it is missing")
    store = store_of(node, settings)
    currency = currency_of(node, "total_money", "amount_money")
    order = node.text("order_id")
    customer = node.text("customer_id")
    transaction = Transaction(
        store=store,
        register=settings.register,
        business_date=trading_day(moment, settings.zone(store)),
        sequence=number_of(entity),
        kind=kind,
        currency=currency,
        total=total,
        lines=lines,
        tenders=(Tender(means, total, reference=node.text("id")),) if total else (),
        ended_at=moment,
        customer=f"customer:{customer}" if customer else None,
        receipt=node.text("receipt_number") or None,
        order=order or None,
        channel="pos",
    )
    event = Outgoing(
        type=TRANSACTION,
        data=sound(transaction),
        id=f"{key_part(entity, 200)}@1",
        time=moment,
        correlation=f"order:{order}" if order else None,
        entity=entity,
        version=1,
    )
    return Told((event,), (Claim(amount=total, currency=currency),))
