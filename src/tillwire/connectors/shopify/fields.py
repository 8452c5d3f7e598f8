"""Reading fields of Shopify's JSON: a missing or mistyped one is a drift with its place, money never a float."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from tillwire.model.money import is_sound, quantum

Node = dict[str, Any]

_SEPARATORS = re.compile(r"[\x00-\x1f\x7f/;|]+")
_GID = re.compile(r"^gid://[^/]+/[^/]+/([0-9]+)(?:\?.*)?$")
_PLAIN = re.compile(r"^[+-]?[0-9]+(\.[0-9]+)?$")
_CURRENCY = re.compile(r"^[A-Z]{3}$")
MOST_ID = 2**63 - 2


class Drift(Exception):
    """The payload is not what the contract says: where, why, and by which code it is raised."""

    def __init__(self, pointer: str, reason: str, code: str = "schema_drift") -> None:
        super().__init__(f"{pointer}: {reason}")
        self.pointer = pointer
        self.reason = reason
        self.code = code


def shown(value: object) -> str:
    """A value as it may be quoted in a message: short."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def identifier(value: object, at: str) -> int:
    """A numeric id: an integer, its text, or a GraphQL global id. Raises ``Drift``."""
    if isinstance(value, str):
        found = _GID.match(value)
        digits = found.group(1) if found else value
        if digits.isascii() and digits.isdigit() and len(digits) <= 19:
            value = int(digits)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_ID:
        return value
    raise Drift(at, f"an id is a positive whole number of 63 bits, not {shown(value)}")


def identifier_of(node: Node, name: str, at: str) -> int | None:
    """The id under ``name``; none if it is missing or null."""
    value = node.get(name)
    return None if value is None else identifier(value, f"{at}/{name}")


def number(value: object, at: str) -> Decimal:
    """A decimal from a JSON number or text. Raises ``Drift``."""
    if isinstance(value, Decimal):
        found = value
    elif isinstance(value, int) and not isinstance(value, bool):
        found = Decimal(value)
    elif isinstance(value, str) and _PLAIN.match(value.strip()):
        try:
            found = Decimal(value.strip())
        except InvalidOperation:
            raise Drift(at, f"a number, not {shown(value)}") from None
    else:
        raise Drift(at, f"a number, not {shown(value)}")
    if found.is_finite() and found.is_zero():
        return Decimal(0)
    if not is_sound(found):
        # A float that was computed has digits far below any currency: those are noise, not money.
        trimmed = found.quantize(Decimal("1e-8")) if found.is_finite() and abs(found) < 10**15 else found
        if trimmed.is_zero() or not is_sound(trimmed.normalize()):
            raise Drift(at, f"{shown(str(found))} is out of range")
        found = trimmed
    return found


def plain(amount: Decimal) -> Decimal:
    """The same number in one written form, whatever zeros it came with (13.5 and 13.50 are written alike)."""
    short = amount.normalize()
    exponent = short.as_tuple().exponent
    if short.is_zero():
        return Decimal(0)
    return short.quantize(Decimal(1)) if isinstance(exponent, int) and exponent > 0 else short


def in_units(amount: Decimal, currency: str) -> Decimal:
    """The same number with the currency's decimals; with more only where it needs them."""
    step = quantum(currency)
    fitted = amount.quantize(step)
    return fitted if fitted == amount else plain(amount)


def nodes(node: Node, name: str, at: str) -> list[Node]:
    """The objects of a list; none where it is missing, null or an empty object. Raises ``Drift``."""
    value = node.get(name)
    if value is None or value == {}:
        return []
    if not isinstance(value, list):
        raise Drift(f"{at}/{name}", f"a list, not {shown(value)}")
    for i, item in enumerate(value):
        if not isinstance(item, dict):
            raise Drift(f"{at}/{name}/{i}", f"an object, not {shown(item)}")
    return value


def child(node: Node, name: str, at: str) -> Node:
    """The object under ``name``; empty where it is missing or null. Raises ``Drift``."""
    value = node.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Drift(f"{at}/{name}", f"an object, not {shown(value)}")
    return value


def text(node: Node, name: str, at: str) -> str:
    """The text under ``name``, printable; empty where it is missing or null. Raises ``Drift``."""
    value = node.get(name)
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        raise Drift(f"{at}/{name}", f"a text, not {shown(value)}")
    return clean(str(value))


def clean(value: str) -> str:
    """Printable text: halves of surrogate pairs and control characters are replaced, blanks at the ends dropped."""
    value = value.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else " " for c in value).strip()


def flag(node: Node, name: str, at: str) -> bool:
    """A truth value; false where it is missing or null. Raises ``Drift``."""
    value = node.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise Drift(f"{at}/{name}", f"true or false, not {shown(value)}")
    return value


def code_of(value: str, most: int = 64) -> str:
    """A text that may be part of a key: without separators and of at most ``most`` characters."""
    return " ".join(_SEPARATORS.sub("-", clean(value)).split())[:most].strip()


def currency_of(node: Node, at: str) -> str:
    """The currency that an order, transaction or money names; empty if none. Raises ``Drift``."""
    for name in ("currency_code", "currency"):
        value = node.get(name)
        if value is None or value == "":
            continue
        if isinstance(value, str) and _CURRENCY.match(value.strip().upper()):
            return value.strip().upper()
        raise Drift(f"{at}/{name}", f"an ISO 4217 currency, not {shown(value)}")
    return ""


def moment(value: object, at: str) -> datetime | None:
    """A time with its offset; none if it is missing. Raises ``Drift``."""
    if value is None or value == "":
        return None
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise Drift(at, f"a time in ISO 8601, not {shown(value)}") from None
    if found.tzinfo is None:
        raise Drift(at, f"a time with its offset from UTC, not {shown(value)}")
    if not 1970 < found.year < 9000:
        raise Drift(at, f"the time {shown(value)} is out of range")
    return found.astimezone(UTC)


def first_moment(node: Node, names: tuple[str, ...], at: str) -> datetime:
    """The first of several times that is there. Raises ``Drift`` if none is."""
    for name in names:
        found = moment(node.get(name), f"{at}/{name}")
        if found is not None:
            return found
    raise Drift(f"{at}/{names[0]}", "a time is missing")


def version_of(at_: datetime, rank: int = 0) -> int:
    """A version that rises with time: microseconds, whole milliseconds of them, and ``rank`` among states of one time.

    REST and GraphQL both give whole seconds, so that one state has one version whichever way it came.
    """
    return int(at_.timestamp()) * 1_000_000 + at_.microsecond // 1000 * 1000 + rank


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def day_in(at_: datetime, zone: str) -> date:
    """The calendar day of a moment in an IANA zone."""
    return at_.astimezone(_zone(zone)).date()
