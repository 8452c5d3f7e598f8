"""Payloads taken apart: JSON without floats, the kinds of objects in it, and the bytes of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO, NamedTuple

import msgspec

from tillwire.connectors.inbound import MalformedError

MOST_BYTES = 64 * 1024 * 1024
"""No webhook, page or saved payload of Shopify comes near this; larger files are garbage."""
_MOST_DEPTH = 40

PLURALS = {
    "orders": "order",
    "refunds": "refund",
    "products": "product",
    "fulfillments": "fulfillment",
    "inventory_levels": "inventory_level",
    "inventoryLevels": "inventory_level",
}
KINDS = frozenset(PLURALS.values())

TOPIC_KINDS = {
    "orders/create": "order",
    "orders/updated": "order",
    "orders/paid": "order",
    "orders/cancelled": "order",
    "orders/fulfilled": "order",
    "orders/partially_fulfilled": "order",
    "refunds/create": "refund",
    "fulfillments/create": "fulfillment",
    "fulfillments/update": "fulfillment",
    "inventory_levels/update": "inventory_level",
    "inventory_levels/connect": "inventory_level",
    "products/create": "product",
    "products/update": "product",
    "graphql/order": "order",
    "graphql/product": "product",
    "graphql/inventory_level": "inventory_level",
}
"""What a topic's body is. Those of ``graphql/`` are given to what a pull fetches."""

IGNORED_TOPICS = {
    "orders/edited": "the edit alone; orders/updated brings the whole order",
    "orders/delete": "an order deleted in the admin; what it sold stays recorded until it is refunded",
    "products/delete": "names the product by its id only; its SKUs stay in master data until they are deactivated",
    "inventory_levels/disconnect": "an item is not stocked at a location any more; its level is not told",
    "customers/data_request": "no personal data is kept: customers are pseudonyms",
    "customers/redact": "no personal data is kept: customers are pseudonyms",
    "shop/redact": "no personal data is kept: customers are pseudonyms",
}
_IGNORED_PREFIXES = {
    "customers": "customers are not taken in",
    "carts": "a cart sells nothing",
    "checkouts": "a checkout sells nothing until it is an order",
    "draft_orders": "a draft order sells nothing until it is an order",
    "collections": "collections are not taken in",
    "shop": "the shop's own settings are not taken in",
    "themes": "themes are not taken in",
    "locations": "locations are mapped in the settings",
    "inventory_items": "an inventory item is known by its product",
    "order_transactions": "a payment alone; its order comes with it",
    "tender_transactions": "a payment alone; its order comes with it",
    "returns": "a return moves no money; its refund does",
    "disputes": "disputes belong to settlement",
    "app": "an event of the app, not of the shop's trade",
}
_IGNORED_WRAPPERS = {
    "customer": "customers are not taken in",
    "customers": "customers are not taken in",
    "cart": "a cart sells nothing",
    "checkout": "a checkout sells nothing until it is an order",
    "checkouts": "a checkout sells nothing until it is an order",
    "draft_order": "a draft order sells nothing until it is an order",
    "draft_orders": "a draft order sells nothing until it is an order",
    "gift_card": "a gift card's state; its sale comes as an order",
    "gift_cards": "a gift card's state; its sale comes as an order",
    "location": "locations are mapped in the settings",
    "locations": "locations are mapped in the settings",
    "price_rule": "price rules are not taken in",
    "price_rules": "price rules are not taken in",
    "discount_code": "discount codes are not taken in",
    "tender_transactions": "payments alone; their orders come with them",
    "transaction": "a payment alone; its order comes with it",
    "transactions": "payments alone; their orders come with them",
    "variant": "a variant alone does not tell its product's name and class; its product does",
    "variants": "variants alone do not tell their product's name and class; their product does",
    "shop": "the shop's own settings are not taken in",
    "order_edit": "the edit alone; orders/updated brings the whole order",
    "webhook": "a subscription, no trade",
    "webhooks": "subscriptions, no trade",
    "original_fulfillment_order": "fulfilment orders are plans; fulfilments come when goods leave",
    "fulfillment_order": "fulfilment orders are plans; fulfilments come when goods leave",
    "fulfillment_orders": "fulfilment orders are plans; fulfilments come when goods leave",
}


_OWN = ("line_items", "lineItems", "refund_line_items", "refundLineItems", "variants", "total_price", "created_at")
"""Fields of the objects themselves: what has one is no wrapper around others, whatever else it holds."""


class Part(NamedTuple):
    """One object of a payload. ``kind`` is empty where it is not taken in, for ``reason``."""

    place: str
    kind: str
    node: Any
    path: tuple[str | int, ...]
    reason: str = ""
    fault: str = ""
    """What is wrong, where it is nothing that is known: a drift."""


def slurp(stream: BinaryIO) -> bytes:
    """The whole payload. Raises ``MalformedError`` where it is too large to be one."""
    body = stream.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise MalformedError(f"byte {MOST_BYTES}", "larger than any payload of Shopify")
    return body


def decoded(body: bytes) -> Any:
    """The JSON, numbers with decimals as ``Decimal``. Raises ``MalformedError`` with line and column."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedError(f"byte {error.start}", "not UTF-8") from error
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise MalformedError(f"line {error.lineno}, column {error.colno}", f"not JSON: {error.msg}") from error
    except RecursionError as error:
        raise MalformedError("the beginning", "nested deeper than any payload of Shopify") from error
    except (ValueError, ArithmeticError) as error:
        raise MalformedError("the beginning", f"not JSON: {str(error)[:200]}") from error


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def parts_of(document: Any, topic: str) -> Iterator[Part]:
    """The objects of a payload: by its topic, else by what they are."""
    topic = topic.strip().casefold()
    if topic in IGNORED_TOPICS:
        yield Part("", "", document, (), IGNORED_TOPICS[topic])
        return
    if topic and topic not in TOPIC_KINDS and topic.split("/")[0] in _IGNORED_PREFIXES:
        yield Part("", "", document, (), _IGNORED_PREFIXES[topic.split("/")[0]])
        return
    found = False
    for part in _walk(document, (), TOPIC_KINDS.get(topic, ""), 0):
        found = True
        yield part
    if not found:
        yield Part("", "", document, (), "nothing is in it")


def _walk(node: Any, path: tuple[str | int, ...], kind: str, depth: int) -> Iterator[Part]:
    place = "/".join(str(step) for step in path)
    if depth > _MOST_DEPTH:
        yield Part(place, "", node, path, fault="nested deeper than any payload of Shopify")
    elif isinstance(node, list):
        for i, item in enumerate(node):
            yield from _walk(item, (*path, i), kind, depth + 1)
    elif not isinstance(node, dict):
        yield Part(place, "", node, path, fault=f"an object is expected, not {type(node).__name__}")
    else:
        yield from _object(node, path, kind, depth)


def _object(node: dict[str, Any], path: tuple[str | int, ...], kind: str, depth: int) -> Iterator[Part]:
    place = "/".join(str(step) for step in path)
    if "userErrors" in node and "id" not in node:
        yield from _mutation(node, path, depth)
        return
    bare = "id" in node or any(name in node for name in _OWN)
    wrapped = False
    for name, inner in node.items():
        single = PLURALS.get(name, name)
        if not bare and single in KINDS and isinstance(inner, dict if single == name else dict | list):
            wrapped = True
            yield from _connected(inner, (*path, name), single, depth)
    if wrapped:
        return
    if ("data" in node and isinstance(node["data"], dict | None)) or (node.get("errors") and not bare):
        yield from _response(node, path, depth)
        return
    reason = next((_IGNORED_WRAPPERS[name] for name in node if name in _IGNORED_WRAPPERS), "")
    if reason and not bare and not kind:
        yield Part(place, "", node, path, reason)
        return
    if kind:
        yield Part(place, kind, node, path)
        return
    named, reason = kind_of(node)
    if named or reason:
        yield Part(place, named, node, path, reason)
        return
    nested = list(_recording(node, path, depth))
    if nested:
        yield from nested
    else:
        names = ", ".join(sorted(str(name)[:30] for name in node)[:8]) or "none"
        yield Part(place, "", node, path, fault=f"no kind of payload that is known; its fields: {names}")


def _connected(node: Any, path: tuple[str | int, ...], kind: str, depth: int) -> Iterator[Part]:
    """A list, a connection (nodes or edges), or one object."""
    if isinstance(node, dict) and isinstance(node.get("nodes"), list):
        yield from _walk(node["nodes"], (*path, "nodes"), kind, depth + 1)
    elif isinstance(node, dict) and isinstance(node.get("edges"), list):
        for i, edge in enumerate(node["edges"]):
            if isinstance(edge, dict) and isinstance(edge.get("node"), dict):
                yield from _walk(edge["node"], (*path, "edges", i, "node"), kind, depth + 1)
    else:
        yield from _walk(node, path, kind, depth + 1)


def _response(node: dict[str, Any], path: tuple[str | int, ...], depth: int) -> Iterator[Part]:
    """A GraphQL response: what a query found, or what a mutation answered."""
    place = "/".join(str(step) for step in path)
    if node.get("errors"):
        first = node["errors"][0] if isinstance(node["errors"], list) else node["errors"]
        said = first.get("message") if isinstance(first, dict) else first
        yield Part(place, "", node, path, f"GraphQL answered with an error: {str(said)[:200]}")
        return
    found = False
    for name, inner in (node.get("data") or {}).items():
        if isinstance(inner, dict | list):
            found = True
            here = (*path, "data", name)
            if PLURALS.get(name, name) in KINDS:
                yield from _connected(inner, here, PLURALS.get(name, name), depth)
            elif isinstance(inner, dict):
                yield from _mutation(inner, here, depth)
            else:
                yield Part(place, "", node, path, f"{name[:60]} is not taken in")
    if not found:
        yield Part(place, "", node, path, "the answer is empty: nothing was found")


def _mutation(node: dict[str, Any], path: tuple[str | int, ...], depth: int) -> Iterator[Part]:
    """What a mutation answered: the object it made; where it refused, why."""
    place = "/".join(str(step) for step in path)
    errors = node.get("userErrors") or node.get("orderCancelUserErrors")
    if errors:
        said = errors[0].get("message") if isinstance(errors, list) and isinstance(errors[0], dict) else errors
        yield Part(place, "", node, path, f"the shop refused: {str(said)[:200]}")
        return
    made = [name for name in node if name in KINDS and isinstance(node[name], dict)]
    if "refund" in made:
        refund = dict(node["refund"])
        if isinstance(node.get("order"), dict) and "order" not in refund:
            refund["order"] = {"id": node["order"].get("id")}
        yield Part(f"{place}/refund", "refund", refund, path)
        return
    for name in made:
        yield from _walk(node[name], (*path, name), name, depth + 1)
    if not made:
        yield Part(place, "", node, path, "a mutation's answer that holds nothing that is taken in")


def _recording(node: dict[str, Any], path: tuple[str | int, ...], depth: int) -> Iterator[Part]:
    """A recording of calls: every GraphQL response in it, in its order."""
    for name, inner in node.items():
        if name in ("variables", "query"):
            continue
        if isinstance(inner, dict):
            if isinstance(inner.get("data"), dict):
                yield from _response(inner, (*path, name), depth + 1)
            elif depth < _MOST_DEPTH:
                yield from _recording(inner, (*path, name), depth + 1)
        elif isinstance(inner, list) and depth < _MOST_DEPTH:
            for i, item in enumerate(inner):
                if isinstance(item, dict):
                    yield from _recording(item, (*path, name, i), depth + 1)


def kind_of(node: dict[str, Any]) -> tuple[str, str]:
    """What a bare object is, and why it is not taken in; both empty if it is nothing that is known."""
    gid = node.get("id")
    if isinstance(gid, str) and gid.startswith("gid://shopify/"):
        return _KIND_BY_GID.get(gid.split("/")[3], ("", "an object that is not taken in"))
    if "refund_line_items" in node or ("order_adjustments" in node and "order_id" in node):
        return "refund", ""
    if "inventory_item_id" in node and "location_id" in node:
        return "inventory_level", ""
    if "variants" in node and "title" in node:
        return "product", ""
    if "order_id" in node and "status" in node and ("tracking_company" in node or "tracking_number" in node):
        return "fulfillment", ""
    if "financial_status" in node and "total_price" in node:
        return "order", ""
    if "line_items" in node:
        if "invoice_url" in node or ("completed_at" in node and "financial_status" not in node):
            return "", "a draft order or checkout sells nothing until it is an order"
        if "financial_status" in node or ("total_price" in node and "order_number" in node):
            return "order", ""
        if "token" in node or "abandoned_checkout_url" in node:
            return "", "a cart or checkout sells nothing until it is an order"
    for names, reason in _PIECES:
        if all(name in node for name in names):
            return "", reason
    return "", ""


_KIND_BY_GID = {
    "Order": ("order", ""),
    "Refund": ("refund", ""),
    "Product": ("product", ""),
    "Fulfillment": ("fulfillment", ""),
    "InventoryLevel": ("inventory_level", ""),
}
_PIECES = (
    (("quantity", "price", "fulfillment_service"), "a line item alone, without its order"),
    (("price", "title", "carrier_identifier"), "a shipping line alone, without its order"),
    (("orders_count", "total_spent"), "customers are not taken in"),
    (("email", "first_name", "last_name"), "customers are not taken in"),
    (("gateway", "kind", "amount"), "a payment alone; its order comes with it"),
    (("product_id", "option1"), "a variant alone does not tell its product's name and class; its product does"),
    (("value_type", "target_type"), "price rules are not taken in"),
    (("myshopify_domain", "plan_name"), "the shop's own settings are not taken in"),
)


def slices(body: bytes, parts: list[Part]) -> list[bytes]:
    """The bytes of each part as they came; the whole body where it is the only part."""
    if len(parts) == 1:
        return [body]
    cache: dict[Any, Any] = {(): msgspec.Raw(body.removeprefix(b"\xef\xbb\xbf"))}
    return [bytes(_raw_at(part.path, cache)) for part in parts]


def _raw_at(path: tuple[str | int, ...], cache: dict[Any, Any]) -> msgspec.Raw:
    if path in cache:
        found: msgspec.Raw = cache[path]
        return found
    children = cache.get(("children of", *path[:-1]))
    if children is None:
        outer = _raw_at(path[:-1], cache)
        shape: Any = list[msgspec.Raw] if isinstance(path[-1], int) else dict[str, msgspec.Raw]
        try:
            children = msgspec.json.decode(outer, type=shape)
        except msgspec.DecodeError as error:
            raise MalformedError("/".join(str(step) for step in path[:-1]), f"not JSON: {error}") from error
        cache[("children of", *path[:-1])] = children
    raw: msgspec.Raw = children[path[-1]]
    cache[path] = raw
    return raw
