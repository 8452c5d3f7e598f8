"""Values of OData V2 in JSON, and conditions on them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from tillwire.errors import ContractChangedError

_DATE = re.compile(r"/Date\((-?\d+)(?:[+-]\d{4})?\)/")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def quoted(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def one_of(field: str, values: Iterable[str]) -> str:
    """The condition that a field has one of these values."""
    return "(" + " or ".join(f"{field} eq {quoted(value)}" for value in values) + ")"


def text(row: dict[str, Any], name: str) -> str:
    """A string property. Raises ``ContractChangedError`` if it is not there."""
    value = row.get(name)
    if not isinstance(value, str):
        raise ContractChangedError(f"SAP answers {name} = {value!r}, where a string is expected")
    return value


def optional_text(row: dict[str, Any], name: str) -> str:
    """A string property, empty where it is null."""
    return "" if row.get(name) is None else text(row, name)


def flag(row: dict[str, Any], name: str) -> bool:
    """A boolean property; older releases answer ``X`` and nothing."""
    value = row.get(name)
    return value is True or value == "X"


def decimal(row: dict[str, Any], name: str) -> Decimal:
    """A decimal property, which JSON carries as a string. Raises ``ContractChangedError``."""
    value = row.get(name)
    try:
        return Decimal(value if isinstance(value, str) else "-")
    except InvalidOperation as error:
        raise ContractChangedError(f"SAP answers {name} = {value!r}, where a decimal is expected") from error


def day(row: dict[str, Any], name: str) -> date:
    """A date property, milliseconds since 1970. Raises ``ContractChangedError``."""
    found = _DATE.fullmatch(str(row.get(name)))
    if found is None:
        raise ContractChangedError(f"SAP answers {name} = {row.get(name)!r}, where a date is expected")
    return (_EPOCH + timedelta(milliseconds=int(found[1]))).date()
