"""What an edit changes: a diff for people, and the money it moves, by which a second person is asked for.

Money moves wherever an amount changes, whichever sign: the total, the tenders, the lines, the taxes, control totals.
Where it belongs is part of it: another store, day, register, kind or currency moves the whole transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from tillwire.exceptions.causes import decoded
from tillwire.model.event import EVENT_DECODER, type_of
from tillwire.model.money import ZERO

_BELONGING = ("store", "register", "business_date", "sequence", "kind", "currency", "version", "original")
_AMOUNTS = ("total", "tax", "discount", "rounding", "net", "opening_float")
_MOST = 1_000
"""Entries of a diff: an edit that changes more is shown up to there, and says so."""


def diff(before: bytes, after: bytes) -> list[dict[str, Any]]:
    """Where two payloads differ: JSON pointer, value before and after (left out where there is none)."""
    old, new = decoded(before), decoded(after)
    if old is None or new is None:
        return [{"pointer": "", "before": before.decode("utf-8", "replace"), "after": after.decode("utf-8", "replace")}]
    found: list[dict[str, Any]] = []
    for entry in _differences("", old, new):
        if len(found) == _MOST:
            found.append({"pointer": "", "note": f"more than {_MOST} differences: the rest is not listed"})
            break
        found.append(entry)
    return found


def _differences(pointer: str, old: Any, new: Any) -> Iterator[dict[str, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            place = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in new:
                yield {"pointer": place, "before": old[name]}
            elif name not in old:
                yield {"pointer": place, "after": new[name]}
            else:
                yield from _differences(place, old[name], new[name])
    elif isinstance(old, list) and isinstance(new, list):
        for i in range(max(len(old), len(new))):
            if i >= len(new):
                yield {"pointer": f"{pointer}/{i}", "before": old[i]}
            elif i >= len(old):
                yield {"pointer": f"{pointer}/{i}", "after": new[i]}
            else:
                yield from _differences(f"{pointer}/{i}", old[i], new[i])
    elif old != new or type(old) is not type(new):
        yield {"pointer": pointer, "before": old, "after": new}


def money_moved(before: bytes, after: bytes) -> tuple[Decimal | None, str | None]:
    """The money that an edit of an event moves, and its currency; none if it moves none or knows none.

    The largest of what changes in the total, among the lines, among the tenders, among the taxes and so on: one error
    that is mended in all of them counts once.
    """
    new = _read(after)
    if new is None:
        return None, None
    old = _read(before)
    in_place = old is not None and len(getattr(old.data, "lines", ())) == len(getattr(new.data, "lines", ()))
    parts = Counter(_parts(new.data, in_place))
    currency = getattr(new.data, "currency", None)
    if old is None or type_of(old) != type_of(new) or _belongs(old.data) != _belongs(new.data):
        moved = [abs(amount) for amount in _by_part(parts).values()]
        if old is not None:
            moved += [abs(amount) for amount in _by_part(Counter(_parts(old.data, in_place))).values()]
    else:
        parts.subtract(Counter(_parts(old.data, in_place)))
        moved = list(_by_part(parts).values())
    most = max(moved, default=ZERO)
    return (most, currency) if most else (None, currency)


def money_at_risk(payload: bytes) -> Decimal | None:
    """What an event comes to by its total, lines or tenders, whichever is most: a wrong header hides nothing."""
    moved, _ = money_moved(b"", payload)
    return moved


def _read(raw: bytes) -> Any:
    try:
        return EVENT_DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _belongs(message: Any) -> tuple[Any, ...]:
    return tuple(getattr(message, name, None) for name in _BELONGING)


def _by_part(amounts: Counter[tuple[str, str]]) -> dict[str, Decimal]:
    """Absolute amounts added up by part of the message."""
    sums: dict[str, Decimal] = {}
    for (part, _), amount in amounts.items():
        sums[part] = sums.get(part, ZERO) + abs(Decimal(amount))
    return sums


def _parts(message: Any, in_place: bool) -> dict[tuple[str, str], Any]:
    """The amounts of a message by part (header field, lines, tenders, taxes, totals) and by what they are of.

    Those of the same tender or tax are added up. Lines are told apart by their place if there are as many as before (a
    mended product moves no money), else by their product.
    """
    found: dict[tuple[str, str], Any] = {}

    def add(part: str, of: str, amount: Decimal | None) -> None:
        if amount:
            found[(part, of)] = found.get((part, of), ZERO) + amount

    for name in _AMOUNTS:
        add(name, "", getattr(message, name, None))
    for i, line in enumerate(getattr(message, "lines", ())):
        amount = getattr(line, "amount", None)
        if amount is None or getattr(line, "voided", False):
            continue
        place = f"{line.kind}/{i}" if in_place else f"{line.kind}/{line.sku}"
        add("lines", place, amount)
        add("goods", place, line.quantity * line.unit_price)
        for tax in line.taxes:
            add("taxes", tax.code, tax.amount)
        for discount in line.discounts:
            add("discounts", discount.reason, discount.amount)
    for tender in getattr(message, "tenders", ()):
        if getattr(tender, "voided", False):
            continue
        for name in ("amount", "calculated", "counted"):
            add(f"tenders {name}", tender.type, getattr(tender, name, None))
    totals = getattr(message, "totals", None)
    if totals is not None:
        add("totals", "", totals.amount)
    return found
