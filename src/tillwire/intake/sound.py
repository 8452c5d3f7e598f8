"""Numbers that may enter: finite, of sane size and precision. Anything else is refused at the door."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from tillwire.model.money import is_sound
from tillwire.model.transaction import Transaction


def _magnitude(transaction: Transaction) -> Decimal:
    """The sum of all magnitudes: sound only if every single number is (it is no smaller and no less precise)."""
    total = abs(transaction.total) + abs(transaction.rounding)
    if transaction.tax is not None:
        total += abs(transaction.tax)
    if transaction.discount is not None:
        total += abs(transaction.discount)
    for line in transaction.lines:
        total += abs(line.quantity) + abs(line.unit_price) + abs(line.amount)
        for discount in line.discounts:
            total += abs(discount.amount)
        for tax in line.taxes:
            total += abs(tax.amount)
            if tax.rate is not None:
                total += abs(tax.rate)
            if tax.taxable is not None:
                total += abs(tax.taxable)
    for tender in transaction.tenders:
        total += abs(tender.amount)
        if tender.foreign is not None:
            total += abs(tender.foreign.amount)
    return total


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
    if isinstance(message, Transaction):
        try:
            if is_sound(_magnitude(message)):
                return None
        except InvalidOperation:
            pass  # a signalling NaN: the walk below finds where
    for pointer, number in _numbers(message, ""):
        if not is_sound(number):
            return pointer
    return None
