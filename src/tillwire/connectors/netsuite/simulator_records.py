"""The records ``journalEntry`` and ``inventoryAdjustment`` as the simulated NetSuite checks them: fields, types,
references, amounts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from tillwire.connectors.netsuite.simulator_tables import Tables

_BODY = frozenset({"externalId", "tranDate", "postingPeriod", "subsidiary", "currency", "memo", "approved", "line",
                   "customForm", "exchangeRate", "tranId", "department", "class", "location"})  # fmt: skip
_LINE = frozenset({"account", "debit", "credit", "memo", "entity", "department", "class", "location", "eliminate"})
_ADJUSTMENT = frozenset({"externalId", "tranDate", "postingPeriod", "subsidiary", "account", "memo", "adjLocation",
                         "department", "class", "inventory", "tranId"})  # fmt: skip
_ADJUSTED = frozenset({"item", "location", "adjustQtyBy", "memo", "unitCost", "department", "class"})
_CUSTOM = re.compile(r"^(cseg|custcol|custbody)[a-z0-9_]*$")
_TABLES = {"location": "location", "department": "department", "class": "classification"}
MOST_MEMO = 999


class InvalidError(Exception):
    """The record cannot be saved; ``code`` and ``path`` as NetSuite tells them."""

    def __init__(self, detail: str, code: str = "INVALID_CONTENT", path: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.path = path


class EntryLine(msgspec.Struct, frozen=True):
    """A line: ``amount`` is positive with a debit; dimensions by field, as ids."""

    account_id: int
    account: str
    amount: Decimal
    memo: str
    dimensions: Mapping[str, int]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A journal entry that may be saved."""

    external_id: str | None
    on: date
    period_id: int
    subsidiary: int
    currency_id: int
    currency: str
    memo: str
    approved: bool
    lines: tuple[EntryLine, ...]


class AdjustedItem(msgspec.Struct, frozen=True):
    """A line of an inventory adjustment."""

    item_id: int
    location_id: int
    quantity: Decimal
    memo: str


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """An inventory adjustment that may be saved."""

    external_id: str | None
    on: date
    period_id: int
    subsidiary: int
    account_id: int
    memo: str
    items: tuple[AdjustedItem, ...]


def wrong_value(value: object, field: str, path: str = "") -> InvalidError:
    """The words for a value that is none of this field."""
    return InvalidError(
        f"Error while accessing resource: You have entered an Invalid Field Value {value} for the following field: "
        f"{field}",
        path=path or field,
    )


def read_entry(content: Any, tables: Tables, *, names_checked: bool, any_dimension: bool) -> Entry:
    """Check what was sent. Raises ``InvalidError``. ``any_dimension``: locations and the like that are named by an
    external id nobody knows yet are made."""
    if not isinstance(content, dict):
        raise InvalidError("Error while parsing the request body. A JSON object is expected.")
    _names(content, _BODY, names_checked, "")
    currency = _row(content, "currency", tables, "currency", "")
    period = _row(content, "postingPeriod", tables, "accountingperiod", "")
    subsidiary = _subsidiary(content, tables)
    line = content.get("line")
    items = line.get("items") if isinstance(line, dict) else None
    if not isinstance(items, list) or len(items) < 2:
        raise InvalidError(
            "Error while accessing a resource. You must enter at least two lines for this transaction.", "USER_ERROR"
        )
    approved = content.get("approved", False)
    if not isinstance(approved, bool):
        raise wrong_value(approved, "approved")
    return Entry(
        external_id=_text(content, "externalId", 255) or None,
        on=_date(content.get("tranDate")),
        period_id=period["id"],
        subsidiary=subsidiary["id"],
        currency_id=currency["id"],
        currency=currency["symbol"],
        memo=_text(content, "memo", MOST_MEMO),
        approved=approved,
        lines=tuple(
            _line(item, f"line.items[{position}]", tables, currency["currencyprecision"], names_checked, any_dimension)
            for position, item in enumerate(items)
        ),
    )


def read_adjustment(content: Any, tables: Tables, *, names_checked: bool, any_dimension: bool) -> Adjustment:
    """As ``read_entry``, of an inventory adjustment."""
    if not isinstance(content, dict):
        raise InvalidError("Error while parsing the request body. A JSON object is expected.")
    _names(content, _ADJUSTMENT, names_checked, "")
    inventory = content.get("inventory")
    items = inventory.get("items") if isinstance(inventory, dict) else None
    if not isinstance(items, list) or not items:
        raise InvalidError("Error while accessing a resource. You must enter at least one line item.", "USER_ERROR")
    return Adjustment(
        external_id=_text(content, "externalId", 255) or None,
        on=_date(content.get("tranDate")),
        period_id=_row(content, "postingPeriod", tables, "accountingperiod", "")["id"],
        subsidiary=_subsidiary(content, tables)["id"],
        account_id=_row(content, "account", tables, "account", "")["id"],
        memo=_text(content, "memo", MOST_MEMO),
        items=tuple(
            _adjusted(item, f"inventory.items[{position}]", tables, names_checked, any_dimension)
            for position, item in enumerate(items)
        ),
    )


def _adjusted(item: Any, path: str, tables: Tables, names_checked: bool, any_dimension: bool) -> AdjustedItem:
    if not isinstance(item, dict):
        raise InvalidError("Error while parsing the request body. A JSON object is expected.", path=path)
    _names(item, _ADJUSTED, names_checked, path)
    quantity = item.get("adjustQtyBy")
    if isinstance(quantity, bool) or not isinstance(quantity, int | Decimal):
        raise wrong_value(quantity, "adjustQtyBy", f"{path}.adjustQtyBy")
    return AdjustedItem(
        _row(item, "item", tables, "item", path)["id"],
        _row(item, "location", tables, "location", path, make=any_dimension)["id"],
        Decimal(quantity),
        _text(item, "memo", MOST_MEMO),
    )


def _subsidiary(content: Mapping[str, Any], tables: Tables) -> dict[str, Any]:
    if content.get("subsidiary") is None:
        raise InvalidError("Error while accessing a resource. Please enter value(s) for: Subsidiary.", "USER_ERROR")
    return _row(content, "subsidiary", tables, "subsidiary", "")


def _line(item: Any, path: str, tables: Tables, digits: int, names_checked: bool, any_dimension: bool) -> EntryLine:
    if not isinstance(item, dict):
        raise InvalidError("Error while parsing the request body. A JSON object is expected.", path=path)
    _names(item, _LINE, names_checked, path)
    account = _row(item, "account", tables, "account", path)
    if account["isinactive"] == "T":
        raise wrong_value(account["id"], "account", f"{path}.account")
    debit, credit = (_amount(item, side, digits, path) for side in ("debit", "credit"))
    if (debit is None) == (credit is None):
        raise InvalidError(
            "Error while accessing a resource. A line has either a debit or a credit.", "USER_ERROR", path
        )
    dimensions = {
        field: _row(item, field, tables, table, path, make=any_dimension)["id"]
        for field, table in _TABLES.items()
        if item.get(field) is not None
    }
    amount = debit if debit is not None else -(credit or Decimal(0))
    return EntryLine(account["id"], account["acctnumber"], amount, _text(item, "memo", MOST_MEMO), dimensions)


def _names(content: Mapping[str, Any], known: frozenset[str], checked: bool, path: str) -> None:
    unknown = sorted(name for name in content if name not in known and not _CUSTOM.match(name))
    if unknown and checked:
        raise InvalidError(f"Unknown reference or field '{unknown[0]}' in the record.", path=f"{path}.{unknown[0]}")


def _row(
    content: Mapping[str, Any], field: str, tables: Tables, table: str, path: str, *, make: bool = False
) -> dict[str, Any]:
    """What a field refers to, by ``id`` or ``externalId``."""
    full = f"{path}.{field}" if path else field
    given = content.get(field)
    if not isinstance(given, dict) or not (set(given) == {"id"} or set(given) == {"externalId"}):
        raise wrong_value(given, field, full)
    if "externalId" in given:
        external = given["externalId"]
        if not isinstance(external, str) or table in ("account", "currency", "accountingperiod", "subsidiary"):
            raise wrong_value(external, field, full)
        found = tables.rows(table, externalid=external)
        if not found and make:
            tables.insert(table, name=external, externalid=external)
            found = tables.rows(table, externalid=external)
    else:
        number = str(given["id"])
        found = tables.rows(table, id=int(number)) if number.isdigit() else []
    if not found:
        raise wrong_value(next(iter(given.values())), field, full)
    return found[0]


def _amount(item: Mapping[str, Any], side: str, digits: int, path: str) -> Decimal | None:
    given = item.get(side)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | Decimal):
        raise wrong_value(given, side, f"{path}.{side}")
    amount = Decimal(given)
    if amount < 0 or amount != round(amount, digits):
        raise wrong_value(given, side, f"{path}.{side}")
    return amount


def _text(content: Mapping[str, Any], field: str, most: int) -> str:
    given = content.get(field, "")
    if not isinstance(given, str):
        raise wrong_value(given, field)
    if len(given) > most:
        raise InvalidError(
            f"Error while accessing a resource. The field {field} contained more than the maximum number ( {most} ) "
            "of characters allowed.",
            "USER_ERROR",
            field,
        )
    return given


def _date(given: Any) -> date:
    try:
        return date.fromisoformat(given)
    except (ValueError, TypeError) as cause:
        raise wrong_value(given, "tranDate") from cause
