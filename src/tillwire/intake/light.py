"""Light structs: the canonical transaction with its numbers left as raw JSON.

The door only has to know that a number is a number of sane size; making decimals of them is the worker's task. This
halves what a basket costs at the door. Whatever the shapes below do not plainly accept goes the long way, so the two
ways never differ in what they let in.
"""

from __future__ import annotations

import types
from decimal import Decimal
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from tillwire.model.event import EVENTS, MESSAGES, TRANSACTION, Envelope
from tillwire.model.transaction import Transaction

_ABSENT = msgspec.Raw(b"0")

_made: dict[type, type] = {}


def _light_type(hint: Any) -> Any:
    """``hint`` with every decimal in it replaced by raw JSON."""
    if hint is Decimal:
        return msgspec.Raw
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _light_struct(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated[(_light_type(arguments[0]), *arguments[1:])]
    if origin in (Union, types.UnionType):
        if Decimal in arguments:  # raw JSON takes null as well
            return msgspec.Raw
        return Union[tuple(_light_type(argument) for argument in arguments)]  # noqa: UP007 - made at run time
    if origin in (tuple, list, dict):
        return origin[tuple(_light_type(argument) for argument in arguments)]
    return hint


def _light_struct(struct: type) -> type:
    if struct in _made:
        return _made[struct]
    hints = get_type_hints(struct, include_extras=True)
    fields: list[Any] = []
    for field in msgspec.structs.fields(struct):
        hint = _light_type(hints[field.name])
        if field.required:
            fields.append((field.name, hint))
        elif hint is msgspec.Raw:
            fields.append((field.name, hint, _ABSENT))
        else:
            default = field.default
            if default is msgspec.NODEFAULT:
                default = msgspec.field(default_factory=field.default_factory)
            fields.append((field.name, hint, default))
    made = msgspec.defstruct(
        struct.__name__, fields, namespace={"key": getattr(struct, "key", None)}, frozen=True, gc=False, kw_only=True
    )
    _made[struct] = made
    return made


LightTransaction: type[Any] = _light_struct(Transaction)


def _light_event(event_type: str, bases: tuple[type, ...]) -> type:
    return msgspec.defstruct(
        "LightEvent",
        [("data", _light_struct(MESSAGES[event_type]))],
        bases=bases,
        frozen=True,
        kw_only=True,
        gc=False,
        tag_field="type",
        tag=event_type,
    )


LIGHT_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    Union[tuple(EVENTS[name] if name != TRANSACTION else _light_event(name, (Envelope,)) for name in EVENTS)]  # noqa: UP007
)


class _Nothing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """No context attributes."""


RAW_NUMBERS_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    Union[tuple(_light_event(name, (_Nothing,)) for name in MESSAGES)]  # noqa: UP007
)
"""Reads the data of any event with its numbers left as raw JSON: how they are written."""

_AS_NINES = bytes.maketrans(b"0123456789", b"9999999999")
_PLAIN_SHAPES = frozenset(
    sign + b"9" * whole + (b"." + b"9" * decimals if decimals else b"")
    for sign in (b"", b"-")
    for whole in range(1, 16)
    for decimals in range(9)
)
_SOUND_SHAPES = _PLAIN_SHAPES | {b'"' + shape + b'"' for shape in _PLAIN_SHAPES} | {b""}
"""Every way a sound number can look once its digits are nines: one set look-up each, a third of a pattern's cost."""


def numbers_are_sound(transaction: Any) -> bool:
    """True if every number of a light transaction is plainly sound; false says nothing: look the long way."""
    tx = transaction
    numbers = [tx.total, tx.tax, tx.discount, tx.rounding, tx.net, tx.item_count]
    add = numbers.extend
    if tx.presentment is not None:
        numbers.append(tx.presentment.amount)
    for loyalty in tx.loyalty:
        add((loyalty.earned, loyalty.redeemed))
    for line in tx.lines:
        add((line.quantity, line.unit_price, line.amount, line.discount, line.tax))
        for discount in line.discounts:
            numbers.append(discount.amount)
        for tax in line.taxes:
            add((tax.amount, tax.rate, tax.taxable))
    for tender in tx.tenders:
        numbers.append(tender.amount)
        if tender.foreign is not None:
            numbers.append(tender.foreign.amount)
    return _SOUND_SHAPES.issuperset(b" ".join(numbers).translate(_AS_NINES).split(b" "))
