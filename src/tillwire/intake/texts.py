"""Texts that may be part of a key or an attribute: printable, no separators. Checked once, at the door."""

from __future__ import annotations

from typing import Any

from tillwire.masterdata.soundness import first_wrong

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
    wrong = first_wrong(message)
    return ("/data" + wrong[0], wrong[1]) if wrong is not None else None
