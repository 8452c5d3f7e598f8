"""Texts that may be part of a key or an attribute: printable, no separators. Checked once, at the door."""

from __future__ import annotations

from functools import cache
from typing import Any
from zoneinfo import available_timezones

from tillwire.model.identifiers import is_gln, is_gtin
from tillwire.model.master import ProductRecord, StoreRecord

KEY_FIELDS = ("store", "register", "shift", "document", "code", "type", "company", "product_class")
"""Fields of messages that are, or may be, part of a business key, a journal's reference or a posting's code."""


def _fit_for_keys(text: str) -> bool:
    return text.isprintable() and "/" not in text and ";" not in text and "|" not in text and text == text.strip()


def first_unfit(event: Any) -> tuple[str, str] | None:
    """The JSON pointer of the first text that must not enter, and why; none if all are fit."""
    message = event.data
    store = getattr(message, "store", "")
    register = getattr(message, "register", "")
    currency = getattr(message, "currency", "XXX")
    if (
        _fit_for_keys(store)
        and _fit_for_keys(register)
        and (event.id + event.source).isprintable()
        and currency.isascii()
        and currency.isalpha()
        and currency.isupper()
        and not hasattr(message, "revision")
        and not hasattr(message, "shift")
        and not hasattr(message, "document")
    ):
        return None
    return _find(event)


def _find(event: Any) -> tuple[str, str] | None:
    for name in ("id", "source", "subject"):
        if not (getattr(event, name) or "x").isprintable():
            return "/" + name, "control and other unprintable characters are not allowed"
    message = event.data
    for name in KEY_FIELDS:
        if not _fit_for_keys(getattr(message, name, "")):
            return "/data/" + name, "a part of a key is printable, without / ; | and without blanks around it"
    currency = getattr(message, "currency", "XXX")
    if not (currency.isascii() and currency.isalpha() and currency.isupper()):
        return "/data/currency", "a currency is three capital letters (ISO 4217)"
    return _first_invalid_identifier(message)


def _first_invalid_identifier(message: Any) -> tuple[str, str] | None:
    """Identifiers of master records that carry their own proof: GTIN and GLN (check digit), time zones (IANA)."""
    if isinstance(message, ProductRecord):
        for i, code in enumerate(message.gtins):
            if not is_gtin(code):
                return f"/data/gtins/{i}", f"{code!r} is no GTIN: 8, 12, 13 or 14 digits, the last a right check digit"
    elif isinstance(message, StoreRecord):
        if message.gln is not None and not is_gln(message.gln):
            return "/data/gln", f"{message.gln!r} is no GLN: 13 digits, the last a right check digit"
        if message.time_zone not in _time_zones():
            return "/data/time_zone", f"{message.time_zone!r} is no IANA time zone, such as America/New_York"
    return None


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
