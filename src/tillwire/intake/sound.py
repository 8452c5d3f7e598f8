"""Numbers that may enter: finite, of sane size and precision. Anything else is refused at the door."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from tillwire.intake.light import RAW_NUMBERS_DECODER
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


_NUMBER = re.compile(rb"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_BETWEEN_DIGITS = re.compile(rb'_(?:[-+.0-9"_]|(?<=[-+.0-9"_]_))')
_BLANKS = re.compile(rb' (?:(?<=" )[-+.0-9]|"(?<=[-+.0-9] "))')


def first_misspelt(raw: bytes) -> str | None:
    """The JSON pointer of the first number in an event that is written as only a programming language reads it.

    Decimals in text are read by Python's rules, which allow 1_000, blanks around it and digits of every script, and a
    text may be written with escapes: none of that is what a source can mean. Most events can have no such number, which
    their bytes show at once: no underscore or blank beside a digit, no escape, nothing that is not ASCII.
    """
    if raw.isascii() and b"\\" not in raw and not _BETWEEN_DIGITS.search(raw) and not _BLANKS.search(raw):
        return None
    for pointer, number in _raw_numbers(RAW_NUMBERS_DECODER.decode(raw).data, ""):
        text = number[1:-1] if number.startswith(b'"') else number
        if text != b"null" and not _NUMBER.fullmatch(text):
            return pointer
    return None


def _raw_numbers(node: Any, pointer: str) -> Iterator[tuple[str, bytes]]:
    if isinstance(node, msgspec.Raw):
        yield pointer, bytes(node)
    elif isinstance(node, msgspec.Struct):
        for field in node.__struct_fields__:
            yield from _raw_numbers(getattr(node, field), f"{pointer}/{field}")
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _raw_numbers(value, f"{pointer}/{key}")
    elif isinstance(node, tuple | list):
        for i, value in enumerate(node):
            yield from _raw_numbers(value, f"{pointer}/{i}")
