"""GraphQL Admin nodes in the words of the REST resources, so that one mapping reads both."""

from __future__ import annotations

import re
from typing import Any

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_NAMES = {
    "display_financial_status": "financial_status",
    "display_fulfillment_status": "fulfillment_status",
    "original_unit_price_set": "price_set",
    "original_price_set": "price_set",
    "allocated_amount_set": "amount_set",
    "allocated_amount": "amount",
    "total_cash_rounding_adjustment": "cash_rounding",
    "is_gift_card": "gift_card",
    "current_subtotal_line_items_quantity": "current_items",
    "fulfillment_line_items": "line_items",
    "legacy_resource_id": "legacy_id",
    "amount_rounding_set": "amount_rounding_set",
    "original_total_duties_set": "total_duties_set",
}
_LOWERED = frozenset({"financial_status", "fulfillment_status", "kind", "status", "restock_type", "display_status"})
_IDENTIFIED = {
    "order": "order_id",
    "variant": "variant_id",
    "product": "product_id",
    "location": "location_id",
    "retail_location": "location_id",
    "inventory_item": "inventory_item_id",
}
MOST_DEPTH = 60


def is_graphql(node: dict[str, Any]) -> bool:
    """True for a node of the GraphQL Admin API: its id is a global id, or its names have humps."""
    own = node.get("id")
    if isinstance(own, str) and own.startswith("gid://"):
        return True
    return any("_" not in name and name != name.lower() for name in node)


def rest_shaped(node: Any, depth: int = 0) -> Any:
    """The same content with REST's names: connections as lists, enums in lower case, references by id.

    Amounts and ids stay as they are; ``fields`` reads both forms.
    """
    if depth > MOST_DEPTH:
        return None
    if isinstance(node, list):
        return [rest_shaped(item, depth + 1) for item in node]
    if not isinstance(node, dict):
        return node
    connected = _connection(node)
    if connected is not None:
        return [rest_shaped(item, depth + 1) for item in connected]
    found: dict[str, Any] = {}
    for name, value in node.items():
        snake = _HUMP.sub("_", name).lower()
        snake = _NAMES.get(snake, snake)
        if snake in found and value is None:
            continue
        shaped = rest_shaped(value, depth + 1)
        found[snake] = shaped.lower() if snake in _LOWERED and isinstance(shaped, str) else shaped
    for name, key in _IDENTIFIED.items():
        inner = found.get(name)
        if isinstance(inner, dict) and inner.get("id") is not None and found.get(key) is None:
            found[key] = inner["id"]
    _tracking(found)
    return found


def _connection(node: dict[str, Any]) -> list[Any] | None:
    """The nodes of a connection; none if it is something else."""
    if isinstance(node.get("nodes"), list):
        return [item for item in node["nodes"] if item is not None]
    edges = node.get("edges")
    if isinstance(edges, list) and all(isinstance(edge, dict) for edge in edges):
        return [edge.get("node") for edge in edges if edge.get("node") is not None]
    return None


def _tracking(found: dict[str, Any]) -> None:
    info = found.get("tracking_info")
    if isinstance(info, list) and info and isinstance(info[0], dict):
        found.setdefault("tracking_company", info[0].get("company"))
        found.setdefault("tracking_number", info[0].get("number"))
