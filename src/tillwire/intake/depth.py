"""How deep JSON is nested: a limit at the door, so that nobody after it meets an event that it cannot decode.

Decoders skip what they do not know (extensions), but by recursion; how deep that may go depends on how deep the
caller's own stack is. A limit far below makes the answer the same everywhere.
"""

from __future__ import annotations

from typing import Any

MOST_DEPTH = 64
"""The default limit; what the canonical model itself needs is 6."""

_MODEL = 7
"""Deeper than any field of the canonical model stands."""
_AS_ONE = bytes.maketrans(b"{}", b"[]")
_NO_OPENING = bytes(byte for byte in range(256) if byte not in b"{[")
_OTHERS = bytes(byte for byte in range(256) if byte not in b'{}[]"')


def is_deeper(raw: bytes, message: Any, most: int) -> bool:
    """True if arrays and objects are nested more than ``most`` deep in an event, ``message`` being its decoded data.

    Depth costs brackets, so few brackets prove that there is none, and those that the known lines of the message are
    written with hold nothing deep. Only what has many more is looked at one by one.
    """
    brackets = len(raw.translate(None, _NO_OPENING))
    if brackets <= most:
        return False
    if brackets - _written_with(message) <= most - _MODEL:
        return False
    return depth_exceeds(raw, most)


def _written_with(message: Any) -> int:
    """Brackets that surely belong to the known part of a message."""
    lines = getattr(message, "lines", ())
    found = len(lines) + len(getattr(message, "tenders", ()))
    if lines and hasattr(lines[0], "taxes"):
        for line in lines:
            if line.taxes:
                found += 1 + len(line.taxes)
            if line.discounts:
                found += 1 + len(line.discounts)
    return found


def depth_exceeds(raw: bytes, most: int) -> bool:
    """True if arrays and objects are nested more than ``most`` deep in valid JSON. Brackets in texts do not count."""
    if b"\\" in raw:  # escaped backslashes first: what then is left before a quote escapes it
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Quotes side by side go first: two of them change nothing of what is inside a text and what is not.
    marks = raw.translate(_AS_ONE, _OTHERS).replace(b'""', b"")
    brackets = b"".join(marks.split(b'"')[::2])
    for _ in range(most):  # each round takes the innermost away
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)
