"""The canonical model as JSON Schema 2020-12, one document per event type."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from tillwire.model.event import HUB_MADE, MESSAGES


def decimal_schema(kind: type) -> dict[str, Any]:
    """A schema hook of msgspec's for what it has no schema of."""
    if kind is Decimal:
        return {"type": "string", "pattern": r"^-?[0-9]{1,15}(\.[0-9]{1,8})?$", "description": "decimal as text"}
    raise NotImplementedError(f"no JSON Schema for {kind}")


def _decimals_as_text(node: Any) -> Any:
    """msgspec writes a decimal as ``{"type": "string", "format": "decimal"}``: say its form, and allow JSON numbers."""
    if isinstance(node, dict):
        if node.get("format") == "decimal":
            return {
                "anyOf": [
                    {"type": "string", "pattern": r"^-?[0-9]{1,15}(\.[0-9]{1,8})?$"},
                    {"type": "number", "exclusiveMinimum": -(10**15), "exclusiveMaximum": 10**15},
                ]
            } | {k: v for k, v in node.items() if k in ("description", "default", "title")}
        return {key: _decimals_as_text(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_decimals_as_text(value) for value in node]
    return node


def message_schema(event_type: str) -> dict[str, Any]:
    """The JSON Schema of the data of ``event_type``. Raises ``KeyError`` for an unknown type."""
    schema = msgspec.json.schema({**MESSAGES, **HUB_MADE}[event_type], schema_hook=decimal_schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"/v1/schemas/{event_type}",
        **_decimals_as_text(schema),
    }


_TEXT = {"type": "string", "minLength": 1, "maxLength": 256, "pattern": r"^[^\x00-\x1f\x7f]+$"}


def envelope_schema(event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a whole event: CloudEvents 1.0 context attributes around ``data``."""
    optional = {"subject": _TEXT, "datacontenttype": _TEXT, "dataschema": _TEXT, "correlationid": _TEXT}
    return {
        "type": "object",
        "required": ["specversion", "id", "source", "type", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": _TEXT,
            "source": _TEXT,
            "type": {"const": event_type},
            "time": {"type": "string", "format": "date-time"},
            **optional,
            "data": data,
        },
    }
