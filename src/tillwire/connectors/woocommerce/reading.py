"""From a body to records: what each JSON object in it is, by its topic or by its shape.

Bodies are a webhook's resource, a page of the REST API (an array), either within ``{"data": …}`` as Jetpack proxies
write it, a recorded exchange, or what our own pull puts together: a refund beside its order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tillwire.connectors.inbound import Record, Source, Trouble
from tillwire.connectors.payload import DriftError, Node, documents, joined, members, parsed
from tillwire.connectors.woocommerce.orders import Told, at_risk, order_told, refund_told
from tillwire.connectors.woocommerce.products import product_told
from tillwire.connectors.woocommerce.settings import WooCommerceSettings

PING = re.compile(rb"webhook_id=(\d{1,19})\s*", re.ASCII)
"""What WooCommerce posts, unsigned, when a webhook is made: not JSON."""

_DEEPEST = 4
_PRODUCT_MARKS = {"regular_price", "stock_status", "manage_stock", "catalog_visibility"}
_NOT_READ = {"coupon": "coupons are not read", "customer": "customers are not read: no personal data is kept"}


def records(source: Source, settings: WooCommerceSettings) -> Iterator[Record]:
    """The records of a body. Raises ``MalformedError``."""
    head = source.stream.read(64)
    ping = PING.fullmatch(head)
    if ping:
        yield Record(place="the body", raw=head, ignored="the ping of a new webhook")
        return
    source.stream.seek(0)
    for place, body in documents(source.stream):
        yield from _unwrapped(body, place, source.topic, settings, 0)


def _unwrapped(raw: bytes, place: str, topic: str, settings: WooCommerceSettings, depth: int) -> Iterator[Record]:
    found = members(raw, place)
    if isinstance(found, list):
        parsed(raw, place)  # nothing of a body that breaks off further on may count
        if not found:
            yield Record(place=place, raw=raw, ignored="an empty list: nothing has happened")
        for i, element in enumerate(found):
            yield from _inner(element, f"{place}, element {i}", topic, settings, depth)
    elif found is None:
        why = "an order, a refund or a product is expected"
        yield Record(place=place, raw=raw, troubles=(Trouble(code="schema_drift", message=why),))
    elif "data" in found and "id" not in found:
        parsed(raw, place)
        yield from _inner(found["data"], place, topic, settings, depth)
    elif found.keys() == {"request", "response"}:
        parsed(raw, place)
        answer = members(found["response"], place)
        kept = answer if isinstance(answer, dict) else {}
        yield from _inner(kept.get("jsonBody", kept.get("body", b"null")), place, topic, settings, depth)
    elif "order" in found and "refunds" in found and "id" not in found:
        parsed(raw, place)
        refunds = members(found["refunds"], place)
        if not isinstance(refunds, list):
            refunds = [found["refunds"]]
        if not refunds:
            yield Record(place=place, raw=raw, ignored="the order has no refunds")
        for i, refund in enumerate(refunds):
            one = joined(order=found["order"], refunds=b"[" + refund + b"]")
            yield _refund_of_order(one, refund, found["order"], f"{place}, refund {i}", settings)
    elif found.keys() == {"order", "refund_reference"}:
        yield _reference(raw, place, settings)
    else:
        yield from _resource(raw, found, place, topic, settings)


def _inner(raw: bytes, place: str, topic: str, settings: WooCommerceSettings, depth: int) -> Iterator[Record]:
    if depth < _DEEPEST:
        yield from _unwrapped(raw, place, topic, settings, depth + 1)
    else:
        why = f"lists or wrappers within each other, more than {_DEEPEST} deep"
        yield Record(place=place, raw=raw, troubles=(Trouble(code="schema_drift", message=why),))


def _resource(
    raw: bytes, found: dict[str, bytes], place: str, topic: str, settings: WooCommerceSettings
) -> Iterator[Record]:
    node = Node(parsed(raw, place))
    kind = _kind_of(node, topic)
    try:
        told = _told(node, kind, topic, settings)
    except DriftError as drift:
        yield _troubled(raw, place, node, drift, settings)
        return
    yield Record(place=_named(place, kind, node), raw=raw, events=told.events, claims=told.claims, ignored=told.ignored)
    if kind == "order" and told.events:
        references = members(found.get("refunds", b"[]"), place)
        for reference in references if isinstance(references, list) else ():
            yield _reference(joined(order=raw, refund_reference=reference), place, settings)


def _kind_of(node: Node, topic: str) -> str:
    """What a resource is: a topic such as order.updated says it; else its fields do."""
    stated = topic.partition(".")[0].strip().lower()
    names = node.data.keys()
    if stated in ("action", *_NOT_READ):
        return stated
    if names <= {"id"} and names:
        return "deleted"
    if "delivery_url" in names and "topic" in names:
        return "webhook"
    looks_like_refund = "status" not in names and (names & {"refunded_by", "refunded_payment", "refunded_by_id"})
    if looks_like_refund or ("amount" in names and "line_items" in names and "status" not in names):
        return "refund"
    if stated == "order" or names & {"order_key", "payment_method"} or {"line_items", "status"} <= names:
        return "order"
    if stated == "product" or names & _PRODUCT_MARKS:
        return "product"
    if {"rate", "country", "priority"} <= names:
        return "tax rate"
    return ""


def _told(node: Node, kind: str, topic: str, settings: WooCommerceSettings) -> Told:
    match kind:
        case "order":
            return order_told(node, settings)
        case "refund":
            return refund_told(node, None, settings)
        case "product":
            return product_told(node, settings)
        case "deleted":
            node.identity()
            why = "what was recorded of it stays; a sale ends by cancelling or refunding it"
            return Told(ignored=f"deleted at the shop: {why}")
        case "tax rate":
            why = "a tax rate of the shop has no time of change; orders carry the rates they were sold with"
            return Told(ignored=why)
        case "webhook":
            return Told(ignored="a webhook's own settings")
        case "action":
            return Told(ignored="a signal that names what to fetch; pull fetches it")
    if kind in _NOT_READ:
        return Told(ignored=_NOT_READ[kind])
    if {"code", "message"} <= node.data.keys():
        raise DriftError("/code", f"an error of the shop: {node.text('code', 60)}: {node.text('message', 200)}")
    shown = ", ".join(sorted(map(repr, node.data))[:8])
    raise DriftError("", f"an order, a refund or a product is expected; this has {shown or 'nothing'}")


def _refund_of_order(raw: bytes, refund: bytes, order: bytes, place: str, settings: WooCommerceSettings) -> Record:
    node, owner = parsed(refund, place), parsed(order, place)
    if not isinstance(node, dict) or not isinstance(owner, dict):
        trouble = Trouble(code="schema_drift", message="a refund and its order are expected", pointer="/refunds")
        return Record(place=place, raw=raw, troubles=(trouble,))
    one = Node(node, "/refunds/0")
    try:
        told = refund_told(one, Node(owner, "/order"), settings)
    except DriftError as drift:
        return _troubled(raw, place, one, drift, settings)
    return Record(place=place, raw=raw, events=told.events, claims=told.claims, ignored=told.ignored)


def _reference(raw: bytes, place: str, settings: WooCommerceSettings) -> Record:
    """An order names its refunds by number and amount only."""
    whole = parsed(raw, place)
    order, data = whole["order"], whole["refund_reference"]
    if not isinstance(data, dict) or not isinstance(order, dict):
        trouble = Trouble(code="schema_drift", message="an object is expected", pointer="/refund_reference")
        return Record(place=place, raw=raw, troubles=(trouble,))
    reference = Node(data, "/refund_reference")
    try:
        number, total = reference.identity(), reference.number("total")
    except DriftError as drift:
        return _troubled(raw, place, reference, drift, settings)
    place = f"{place}, refund {number}"
    if not number:
        return Record(place=place, raw=raw, ignored="a refund that was deleted")
    what = f"refund {number} of {total} is named by its order only"
    if settings.webhook_secret and not settings.fetches:
        why = f"{what}, and the connection has no url, consumer_key and consumer_secret to fetch its lines with"
        risk = at_risk(Node(order))
        trouble = Trouble(
            code="schema_drift",
            message=why,
            pointer="/refund_reference",
            store=settings.store,
            amount=total,
            currency=risk.currency,
        )
        return Record(place=place, raw=raw, troubles=(trouble,))
    return Record(place=place, raw=raw, ignored="a refund that its order only names; its lines are fetched by pull")


def _troubled(raw: bytes, place: str, node: Node, drift: DriftError, settings: WooCommerceSettings) -> Record:
    risk = at_risk(node)
    trouble = Trouble(
        code="schema_drift",
        message=drift.reason,
        pointer=drift.pointer,
        store=settings.store,
        amount=risk.amount,
        currency=risk.currency,
    )
    return Record(place=place, raw=raw, troubles=(trouble,))


def _named(place: str, kind: str, node: Node) -> str:
    number = node.data.get("id")
    return f"{place}, {kind} {number}" if isinstance(number, int) and kind else place
