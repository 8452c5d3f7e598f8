"""What the canonical model has under a path, so that a mapping is checked before the first file comes."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from tillwire.errors import ConfigurationError
from tillwire.model.event import MESSAGES

KEYS = frozenset(["store", "register", "shift", "document", "code", "type", "company", "product_class"])
"""Fields that are part of keys: printable, and without / ; |"""


class Target(msgspec.Struct, frozen=True):
    """A canonical field: ``kind`` is text, integer, decimal, date, datetime, boolean, texts (a list of them), struct,
    structs (a list of them) or map (text to decimal)."""

    kind: str
    struct: type[Any] | None = None
    words: tuple[str, ...] = ()
    """The only texts it may have."""
    key: bool = False
    naive: bool = False
    """A time by the clock on a store's wall, without a zone."""


def event_type(name: str, path: str) -> str:
    """The full name of an event type. Raises ``ConfigurationError`` that names ``path`` and what there is."""
    for full in (name, f"tillwire.{name}.v1"):
        if full in MESSAGES:
            return full
    known = ", ".join(one.removeprefix("tillwire.").removesuffix(".v1") for one in MESSAGES)
    raise ConfigurationError(f"{path}.type: there is no event type {name!r}; there are {known}")


def _inner(found: inspect.Type) -> inspect.Type:
    while True:
        if isinstance(found, inspect.Metadata):
            found = found.type
        elif isinstance(found, inspect.UnionType):
            found = next(one for one in found.types if not isinstance(one, inspect.NoneType))
        else:
            return found


_PLAIN: dict[type[Any], str] = {
    inspect.StrType: "text",
    inspect.IntType: "integer",
    inspect.DecimalType: "decimal",
    inspect.DateType: "date",
    inspect.BoolType: "boolean",
}


def _target(name: str, found: inspect.Type) -> Target | None:
    found = _inner(found)
    kind = _PLAIN.get(type(found))
    if isinstance(found, inspect.DateTimeType):
        return Target("datetime", naive=found.tz is False)
    if kind:
        return Target(kind, key=name in KEYS)
    if isinstance(found, inspect.EnumType):
        return Target("text", words=tuple(str(one.value) for one in found.cls))
    if isinstance(found, inspect.LiteralType) and all(isinstance(one, str) for one in found.values):
        return Target("text", words=tuple(str(one) for one in found.values))
    if isinstance(found, inspect.StructType):
        return Target("struct", found.cls)
    if isinstance(found, inspect.DictType) and isinstance(_inner(found.value_type), inspect.DecimalType):
        return Target("map")
    if isinstance(found, inspect.VarTupleType | inspect.ListType):
        item = _inner(found.item_type)
        if isinstance(item, inspect.StructType):
            return Target("structs", item.cls)
        if isinstance(item, inspect.StrType):
            return Target("texts")
    return None


def fields_of(struct: type[Any]) -> dict[str, tuple[Target | None, bool]]:
    """The fields of a struct, and whether each is required."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return {field.name: (_target(field.name, field.type), field.required) for field in info.fields}


def target_of(struct: type[Any], path: str, where: str) -> Target:
    """What ``path`` leads to in ``struct``. Raises ``ConfigurationError`` that names ``where`` and what there is."""
    target = Target("struct", struct)
    parts = path.split(".")
    for number, part in enumerate(parts):
        if target.kind == "map" and number == len(parts) - 1 and part:
            return Target("decimal")
        if target.struct is None:
            raise ConfigurationError(f"{where}: {'.'.join(parts[:number])} has no parts")
        known = fields_of(target.struct)
        found = known[part][0] if part in known else None
        if found is None:
            raise ConfigurationError(
                f"{where}: {target.struct.__name__} has no field {part!r}; there are {', '.join(known)}"
            )
        if found.kind == "structs" and number < len(parts) - 1:
            raise ConfigurationError(f"{where}: {'.'.join(parts[: number + 1])} is a list: map it under lists")
        target = found
    return target


def missing(struct: type[Any], given: set[str]) -> list[str]:
    """The required fields, inner ones included, that no given path leads to."""
    lacking: list[str] = []
    for name, (target, required) in fields_of(struct).items():
        inner = {path.partition(".")[2] for path in given if path.startswith(name + ".")}
        if target is not None and target.kind == "struct" and inner:
            assert target.struct is not None
            lacking += [f"{name}.{one}" for one in missing(target.struct, inner)]
        elif required and name not in given and not inner:
            lacking.append(name)
    return lacking
