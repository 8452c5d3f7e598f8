"""Numbers that may enter: finite, of sane size and precision. Anything else is refused at the door."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from tillwire.model.money import is_sound


def _numbers(node: Any, pointer: str) -> Iterator[tuple[str, Decimal]]:
    if isinstance(node, Decimal):
        yield pointer, node
    elif isinstance(node, msgspec.Struct):
        for field in node.__struct_fields__:
            yield from _numbers(getattr(node, field), f"{pointer}/{field}")
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _numbers(value, f"{pointer}/{key}")
    elif isinstance(node, tuple | list):
        for i, value in enumerate(node):
            yield from _numbers(value, f"{pointer}/{i}")


def first_unsound(message: Any) -> str | None:
    """The JSON pointer of the first number in ``message`` that must not enter, or none if all are sound."""
    for pointer, number in _numbers(message, ""):
        if not is_sound(number):
            return pointer
    return None
