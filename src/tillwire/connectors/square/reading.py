"""From a body to records: API answers, pages of them, and webhook events, by their shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tillwire.connectors.inbound import Record, Source, Trouble
from tillwire.connectors.payload import DriftError, Node, documents, joined, members, parsed
from tillwire.connectors.square.orders import Told, order_told
from tillwire.connectors.square.payments import payment_told, refund_told
from tillwire.connectors.square.settings import SquareSettings

_LATER = "it belongs to settlement, not to sales"
_NOT_READ = {
    "payout": _LATER,
    "payout_entry": _LATER,
    "dispute": _LATER,
    "gift_card_activity": "gift cards are sold and redeemed by orders, which tell it",
    "gift_card": "a gift card's own state; orders sell and redeem it",
    "customer": "customers are not read: no personal data is kept",
    "order_entry": "reference only; fetched by pull",
    "order_created": "reference only; fetched by pull",
    "order_updated": "reference only; fetched by pull",
    "order_fulfillment_updated": "reference only; fetched by pull",
}
_TELL: dict[str, Callable[[Node, SquareSettings], Told]] = {
    "order": order_told,
    "payment": payment_told,
    "refund": refund_told,
}
_PLURALS = {
    "gift_card_activities": "gift_card_activity",
    "order_entries": "order_entry",
    "payout_entries": "payout_entry",
}


def _kind_of(name: str) -> str:
    """The kind of resource that a member holds: ``orders`` holds orders."""
    if name in _PLURALS:
        return _PLURALS[name]
    single = name.removesuffix("s")
    return name if name in _NOT_READ or name in _TELL else single if single in _NOT_READ or single in _TELL else ""


def records(source: Source, settings: SquareSettings) -> Iterator[Record]:
    """The records of a body. Raises ``MalformedError``."""
    for place, body in documents(source.stream):
        found = members(body, place)
        parsed(body, place)  # nothing of a body that breaks off further on may count
        if isinstance(found, list):
            if not found:
                yield Record(place=place, raw=body, ignored="an empty list: nothing has happened")
            for i, element in enumerate(found):
                yield from _document(element, f"{place}, element {i}", settings)
        else:
            yield from _document(body, place, settings)


def _document(raw: bytes, place: str, settings: SquareSettings) -> Iterator[Record]:
    found = members(raw, place)
    if not isinstance(found, dict):
        yield _drift(raw, place, DriftError("", "an object is expected"))
    elif "data" in found and ("event_id" in found or "merchant_id" in found):
        yield _event(raw, place, settings)
    elif bare := _bare(found):
        yield _resource(raw, bare, Node(parsed(raw, place)), place, settings)
    else:
        yield from _answer(raw, found, place, settings)


def _bare(found: dict[str, bytes]) -> str:
    """The kind of a resource without its answer around it."""
    names = found.keys()
    if {"id", "location_id", "state"} <= names:
        return "order"
    if {"id", "status", "amount_money"} <= names:
        return "refund" if "payment_id" in names or "unlinked" in names else "payment" if "source_type" in names else ""
    return ""


def _event(raw: bytes, place: str, settings: SquareSettings) -> Record:
    """A webhook event: ``data.object`` holds the resource, or a reference to it, under its kind."""
    event = Node(parsed(raw, place))
    try:
        data = event.child("data")
        held = data.child("object") if data else None
        if data is not None and held is None and (data.flag("deleted") or event.text("type").endswith(".deleted")):
            return Record(place=place, raw=raw, ignored=f"{event.text('type', 60)}: what was recorded of it stays")
        for name in held.data if held else ():
            kind = _kind_of(name)
            inner = held.child(name) if held and kind else None
            if inner is not None:
                return _resource(raw, kind, inner, f"{place}, {event.text('type', 60)}", settings)
        kind = event.text("type", 60)
        if kind.partition(".")[0] in ("catalog", "inventory", "location", "team_member", "labor", "invoice", "loyalty"):
            return Record(place=place, raw=raw, ignored=f"{kind} events are not read")
    except DriftError as drift:
        return _drift(raw, place, drift)
    return _drift(raw, place, DriftError("/data/object", f"nothing that is known is in this event ({kind!r})"))


def _answer(raw: bytes, found: dict[str, bytes], place: str, settings: SquareSettings) -> Iterator[Record]:
    """An answer of the API: one resource or a page of them. Each record's bytes are an answer of one."""
    known = [(name, kind) for name in found if (kind := _kind_of(name))]
    if not known:
        if found.keys() <= {"cursor"}:
            yield Record(place=place, raw=raw, ignored="an empty answer: nothing has happened")
            return
        told = "an error of Square" if "errors" in found else "no order, payment or refund"
        yield _drift(raw, place, DriftError("", f"{told}: this has {', '.join(sorted(map(repr, found))[:8])}"))
    for name, kind in known:
        inner = members(found[name], place)
        if isinstance(inner, list) and not inner:
            yield Record(
                place=f"{place}, {name}", raw=joined(**{name: b"[]"}), ignored=f"no {name}: nothing has happened"
            )
        for i, element in enumerate(inner if isinstance(inner, list) else [found[name]]):
            where = f"{place}, {kind} {i}" if isinstance(inner, list) else f"{place}, {kind}"
            node = parsed(element, where)
            one = joined(**{name: element})
            if isinstance(node, dict):
                yield _resource(one, kind, Node(node, f"/{name}"), where, settings)
            else:
                yield _drift(one, where, DriftError(f"/{name}", "an object is expected"))


def _resource(raw: bytes, kind: str, node: Node, place: str, settings: SquareSettings) -> Record:
    if kind not in _TELL:
        return Record(place=place, raw=raw, ignored=f"{kind}: {_NOT_READ[kind]}")
    try:
        told = _TELL[kind](node, settings)
    except DriftError as drift:
        return _drift(raw, place, drift)
    number = node.text("id", 60) if isinstance(node.data.get("id"), str) else ""
    named = f"{place}, {kind} {number}".rstrip()
    return Record(place=named, raw=raw, events=told.events, claims=told.claims, ignored=told.ignored)


def _drift(raw: bytes, place: str, drift: DriftError) -> Record:
    trouble = Trouble(code="schema_drift", message=drift.reason, pointer=drift.pointer)
    return Record(place=place, raw=raw, troubles=(trouble,))
