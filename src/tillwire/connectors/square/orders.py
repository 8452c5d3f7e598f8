"""Square orders as transactions (Orders API): sales, returns, exchanges."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from tillwire.connectors.inbound import Claim, Outgoing
from tillwire.connectors.payload import Node, key_part, number_of, sound, trading_day
from tillwire.connectors.square.lines import returned_lines, sold_lines, terms_of
from tillwire.connectors.square.money import amount_of, currency_of, needed
from tillwire.connectors.square.settings import SquareSettings
from tillwire.model.event import TRANSACTION
from tillwire.model.money import ZERO
from tillwire.model.transaction import Kind, Line, Tender, Transaction

_DETAILED = 1_000_000
"""Versions of what an order says of a refund begin here: it says more than the refund itself."""


class Told(NamedTuple):
    """What a resource comes to."""

    events: tuple[Outgoing, ...] = ()
    claims: tuple[Claim, ...] = ()
    ignored: str = ""


def store_of(node: Node, settings: SquareSettings) -> str:
    """The hub's store of the location. Raises ``DriftError`` where none is named."""
    location = node.needed("location_id")
    return settings.locations.get(location) or key_part(location)


def order_told(order: Node, settings: SquareSettings) -> Told:
    """The transaction that an order is. Raises ``DriftError``."""
    number = order.needed("id")
    state = order.text("state") or "OPEN"
    if state in ("OPEN", "DRAFT"):
        return Told(ignored=f"an order that is {state} is not a sale yet")
    if state not in ("COMPLETED", "CANCELED"):
        raise order.drift("state", f"{state!r} is no state of an order")
    returns = order.items("returns")
    cancelled = state == "CANCELED"
    currency = currency_of(order, "total_money", "net_amount_due_money", *_first_money(order))
    net = order.child("net_amounts")
    total = needed(net, "total_money", currency) if net else _total(order, currency)
    kind = _kind_of(order, returns, cancelled)
    refunds = order.items("refunds") if returns else []
    # A return that one refund pays is that refund, which may come by itself and without lines.
    refund = refunds[0] if kind is Kind.RETURN and refunds else None
    transaction = _transaction(order, returns, kind, currency, total, refund, refunds, settings)
    version = order.integer("version") or 1
    entity = f"refund:{refund.needed('id')}" if refund else f"order:{number}"
    events = [_event(transaction, entity, version + (_DETAILED if refund else 0), number)]
    for other in refunds[1:] if refund else refunds:
        events.append(
            _event(_told_here(other, transaction, settings), f"refund:{other.needed('id')}", _DETAILED, number)
        )
    claims = () if cancelled else (Claim(amount=total, currency=currency),)
    return Told(tuple(events), claims)


def _first_money(order: Node) -> tuple[str, ...]:
    return tuple(name for name in order.data if name.endswith("_money"))[:1]


def _total(order: Node, currency: str) -> Decimal:
    """Without ``net_amounts``: what is sold less what comes back."""
    back = order.child("return_amounts")
    return needed(order, "total_money", currency) - (
        (amount_of(back, "total_money", currency) or ZERO) if back else ZERO
    )


def _kind_of(order: Node, returns: Sequence[Node], cancelled: bool) -> Kind:
    if cancelled:
        return Kind.CANCELLED
    if not returns:
        return Kind.SALE
    return Kind.EXCHANGE if order.items("line_items") else Kind.RETURN


def _event(transaction: Transaction, entity: str, version: int, order: str) -> Outgoing:
    return Outgoing(
        type=TRANSACTION,
        data=sound(transaction),
        id=f"{key_part(entity, 200)}@{version}",
        time=transaction.ended_at or transaction.began_at,
        correlation=f"order:{order}",
        entity=entity,
        version=version,
    )


def _transaction(
    order: Node,
    returns: Sequence[Node],
    kind: Kind,
    currency: str,
    total: Decimal,
    refund: Node | None,
    refunds: Sequence[Node],
    settings: SquareSettings,
) -> Transaction:
    store = store_of(order, settings)
    began = order.moment("created_at")
    # A sale belongs to the day it began: the only time that never changes, and so fit for its key.
    moment = (refund.moment("created_at") if refund else None) or began
    if moment is None:
        raise order.drift("created_at", "it is missing")
    terms = terms_of(order, currency)
    lines: list[Line] = sold_lines(order, terms, settings)
    included = terms.included
    sources: list[str] = []
    for back in returns:
        these = terms_of(back, currency, "return_")
        these = these._replace(included=included if order.items("line_items") else these.included)
        included = these.included
        lines += returned_lines(back, these, settings)
        if source := back.text("source_order_id"):
            sources.append(source)
    rounding = amount_of(order.child("rounding_adjustment") or Node({}), "amount_money", currency) or ZERO
    for back in returns:
        adjusted = back.child("rounding_adjustment")
        rounding -= (amount_of(adjusted, "amount_money", currency) or ZERO) if adjusted else ZERO
    return Transaction(
        store=store,
        register=settings.register,
        business_date=trading_day(moment, settings.zone(store)),
        sequence=number_of("refund:" + refund.needed("id") if refund else order.needed("id")),
        kind=kind,
        currency=currency,
        total=total,
        tax=None if returns else amount_of(order, "total_tax_money", currency),
        discount=None if returns else amount_of(order, "total_discount_money", currency),
        rounding=rounding,
        tax_included=included,
        lines=tuple(lines),
        tenders=(*_tenders(order, currency), *_repaid(order, refunds, currency, settings)),
        began_at=began,
        ended_at=order.moment("closed_at"),
        customer=_customer(order),
        receipt=order.text("ticket_name") or order.text("reference_id") or None,
        order=sources[0] if sources else order.needed("id"),
        channel="pos",
    )


def _customer(node: Node) -> str | None:
    number = node.text("customer_id")
    return f"customer:{number}" if number else None


def _means(tender: Node) -> str:
    kind = key_part(tender.text("type").lower()) or "other"
    return "gift_card" if kind == "square_gift_card" else kind


def _tenders(order: Node, currency: str) -> list[Tender]:
    made = []
    for tender in order.items("tenders"):
        kind = _means(tender)
        amount = needed(tender, "amount_money", currency)
        cash = tender.child("cash_details")
        given = amount_of(cash, "buyer_tendered_money", currency) if cash else None
        change = amount_of(cash, "change_back_money", currency) if cash else None
        reference = tender.text("payment_id") or tender.text("id") or None
        if given is not None and change and given - change == amount:
            made += [Tender(kind, given, reference=reference), Tender(kind, -change, change=True)]
        elif amount:
            made.append(Tender(kind, amount, reference=reference))
    return made


def _repaid(order: Node, refunds: Sequence[Node], currency: str, settings: SquareSettings) -> list[Tender]:
    kinds = {tender.text("id"): _means(tender) for tender in order.items("tenders")}
    made = []
    for refund in refunds:
        if refund.text("status") in ("REJECTED", "FAILED"):
            continue
        amount = needed(refund, "amount_money", currency)
        kind = kinds.get(refund.text("tender_id")) or settings.refund_tender
        made.append(Tender(kind, -amount, reference=refund.text("id") or None))
    return made


def _told_here(refund: Node, owner: Transaction, settings: SquareSettings) -> Transaction:
    """A further refund of one order: its money is in the order's transaction, so by itself it has no effect."""
    moment = refund.moment("created_at")
    return Transaction(
        store=owner.store,
        register=owner.register,
        business_date=trading_day(moment, settings.zone(owner.store)) if moment else owner.business_date,
        sequence=number_of("refund:" + refund.needed("id")),
        kind=Kind.CANCELLED,
        currency=owner.currency,
        total=ZERO,
        ended_at=moment,
        order=owner.order,
        channel="pos",
    )
