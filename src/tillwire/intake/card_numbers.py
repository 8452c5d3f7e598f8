"""No number of a payment card enters (PCI DSS 3.5.1: what is not stored needs no protection). Found by the scheme's
prefixes, its lengths and the Luhn check digit (ISO/IEC 7812); pure, and cheap for the events that hold none.

Gift cards are no payment cards: their numbers may be told, and look alike. So may products' numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

DETAIL = "this is the number of a payment card, which must not enter: send a token, or the last four digits"

_AS_NINES = bytes.maketrans(b"0123456789", b"9999999999")
_SHORTEST = b"9" * 14
_GROUPED = r"[2-6][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,3})?|3[0-9]{3}([ -])[0-9]{6}\2[0-9]{4,5}"
_CANDIDATE = re.compile(rf"(?<![0-9])(?:{_GROUPED}|[2-6][0-9]{{13,18}})(?![0-9])")
_RAW_CANDIDATE = re.compile(_CANDIDATE.pattern.encode())

_SCHEMES: tuple[tuple[int, int, frozenset[int]], ...] = (
    (4000, 4999, frozenset({16, 19})),  # Visa
    (5100, 5599, frozenset({16})),  # Mastercard
    (2221, 2720, frozenset({16})),
    (3400, 3499, frozenset({15})),  # American Express
    (3700, 3799, frozenset({15})),
    (6011, 6011, frozenset({16, 19})),  # Discover
    (6440, 6599, frozenset({16, 19})),
    (3000, 3059, frozenset({14, 16, 19})),  # Diners Club
    (3095, 3095, frozenset({14, 16, 19})),
    (3600, 3699, frozenset({14, 16, 19})),
    (3800, 3999, frozenset({14, 16, 19})),
    (3528, 3589, frozenset({16, 19})),  # JCB
    (6200, 6299, frozenset({16, 17, 18, 19})),  # UnionPay
    (5018, 5018, frozenset({16, 18, 19})),  # Maestro
    (5020, 5020, frozenset({16, 18, 19})),
    (5038, 5038, frozenset({16, 18, 19})),
    (5893, 5893, frozenset({16, 18, 19})),
    (6304, 6304, frozenset({16, 18, 19})),
    (6759, 6763, frozenset({16, 18, 19})),
)
"""Of the first four digits, from and to, and how many digits the numbers have that begin so."""

_NUMBERED = frozenset({"sku", "gtin", "gtins"})
"""Fields with numbers of products: any digits may be one."""


_ID = "/id"
"""Of the event: its source's own number for it, of whatever digits."""


def is_card_number(digits: str) -> bool:
    """Whether these digits are a payment card's number: prefix, length and check digit of a scheme."""
    first = int(digits[:4])
    if not any(low <= first <= high and len(digits) in lengths for low, high, lengths in _SCHEMES):
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def first_card_number(raw: bytes) -> str | None:
    """The JSON pointer of the first payment card's number in an event; none if it holds none."""
    if _SHORTEST not in raw.translate(_AS_NINES, b" -") and b"\\u003" not in raw:
        return None
    if _RAW_CANDIDATE.search(raw) is None and b"\\u00" not in raw:
        return None
    texts = _texts("", msgspec.json.decode(raw))
    return next((pointer for pointer, text in texts if pointer != _ID and holds_card_number(text)), None)


def holds_card_number(text: str) -> bool:
    """Whether a payment card's number stands anywhere in a text, in one piece or in the groups it is printed in."""
    return any(is_card_number(re.sub("[ -]", "", found.group())) for found in _CANDIDATE.finditer(text))


def body_holds_card_number(body: bytes) -> bool:
    """The same of a body in another system's words, whatever its form; numbers of 14 digits are let through, since
    other systems' identifiers have as many.
    """
    if _SHORTEST not in body.translate(_AS_NINES, b" -"):
        return False
    for found in _RAW_CANDIDATE.finditer(body):
        digits = re.sub(rb"[ -]", b"", found.group()).decode()
        if len(digits) > 14 and is_card_number(digits):
            return True
    return False


def _texts(pointer: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every text and number in a JSON value, with its pointer, but for those that may look like a card's."""
    if isinstance(value, dict):
        gift_card = "gift_card" in (value.get("type"), value.get("kind"))
        for name, inner in value.items():
            if name in _NUMBERED or (gift_card and name == "reference"):
                continue
            yield pointer, name
            yield from _texts(f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}", inner)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _texts(f"{pointer}/{place}", inner)
    elif isinstance(value, str):
        yield pointer, value
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield pointer, str(value)
