"""What keeps persons and cards out of events: pseudonyms and masks."""

from __future__ import annotations

import hashlib
import hmac
import re

_DIGITS = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_KEY_SEPARATORS = re.compile(r"[/;|\x00-\x1f\x7f]+")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_.\-]{1,12}")
_NAMED = re.compile(r"[@\s]")
MOST_KEY = 64
MOST_TEXT = 500


def _luhn(digits: str) -> bool:
    total = 0
    for i, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + i % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _masked(found: re.Match[str]) -> str:
    digits = re.sub("[ -]", "", found.group())
    return "*" * (len(digits) - 4) + digits[-4:] if _luhn(digits) else found.group()


def masked(text: str) -> str:
    """The text with card numbers (13 to 19 digits with a right check digit) reduced to their last four digits."""
    return _DIGITS.sub(_masked, text) if len(text) >= 13 else text


def plain(text: str, *, mask: bool = True) -> str | None:
    """Free text for an event: masked, without control characters, at most 500 characters; none if nothing is left."""
    if not text:
        return None
    clean = _CONTROLS.sub(" ", text).strip()
    return (masked(clean) if mask else clean)[:MOST_TEXT] or None


def key_part(text: str) -> str:
    """An identifier that may be part of a key: separators of keys become underscores."""
    return _KEY_SEPARATORS.sub("_", text.strip())[:MOST_KEY].strip()


def code(text: str) -> str:
    """A code of at most 64 characters. Longer ones keep their beginning and a digest, so that they differ."""
    text = text.strip()
    if len(text) <= MOST_KEY:
        return key_part(text)
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    return key_part(text)[: MOST_KEY - 13] + "-" + digest


class Pseudonyms:
    """Stand-ins for persons: the same one for the same person, whatever file it comes in."""

    def __init__(self, key: str) -> None:
        self._key = key.encode("utf-8")

    def of(self, text: str) -> str:
        """A keyed hash, such as p-5f2c..."""
        return "p-" + hmac.new(self._key, text.strip().encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:24]

    def customer(self, number: str) -> str | None:
        """A short customer number as it is; what may be a card, telephone number, address or name hashed."""
        number = number.strip()
        if not number:
            return None
        digits = sum(char.isdigit() for char in number)
        return number if _PLAIN_ID.fullmatch(number) and 0 < digits < 9 else self.of(number)

    def account(self, number: str) -> str | None:
        """A loyalty account, which its card's number would give away: always hashed."""
        number = number.strip()
        return self.of(number) if number else None

    def operator(self, number: str) -> str | None:
        """A cashier's number or login as it is, an address or a full name hashed."""
        number = number.strip()
        if not number:
            return None
        return self.of(number) if _NAMED.search(number) else plain(number)

    def instrument(self, number: str) -> str | None:
        """The number of a gift card or voucher; hashed if it could be that of a payment card."""
        clean = plain(number, mask=False)
        return self.of(clean) if clean is not None and masked(clean) != clean else clean
