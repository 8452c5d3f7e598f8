"""Root causes and entities: what one fix mends, and what later messages wait for.

A cause is a code and the value that offends, so that one unknown product groups all its transactions. An entity is what
a message is about whatever its version: a transaction's business key, a master record, a stock level, a fulfilment.
"""

from __future__ import annotations

import ast
import re
from datetime import timedelta
from typing import Any

import msgspec

from tillwire.model import master
from tillwire.model.transaction import Transaction

HELD = "held"
"""The code of a message that waits behind an earlier one of its entity, or behind the transaction it refers to."""

_MOST = 500
"""Characters of a cause: it is indexed, and shown in a column."""

_MOST_DAYS = 400
"""Days of a fiscal period: a year, and the 53rd week."""

_BY_VALUE = {
    "unknown_store",
    "unknown_product",
    "unknown_tender",
    "unknown_tax_code",
    "unknown_account",
    "customer_unknown",
}
"""Codes whose cause is the identifier that master data lacks: the record, once it has come, mends them all."""

_decoder = msgspec.json.Decoder(float_hook=str)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


def entity_of(message: Any) -> str:
    """What a message is about: all its versions and revisions share it."""
    if isinstance(message, Transaction):
        return message.base_key
    key: str = message.key
    revision = getattr(message, "revision", None)
    return key if revision is None else key.removesuffix(f"@{revision}")


def refers_to(message: Any) -> list[str]:
    """The entities that a message waits for while they are in the queue: its own where it is a correction, and the
    transactions that it, or a line of it, returns, exchanges or voids.
    """
    if not isinstance(message, Transaction):
        return []
    found = [message.base_key] if message.version > 1 else []
    if message.original is not None:
        found.append(message.original.key)
    found += [line.original.key for line in message.lines if line.original is not None]
    return list(dict.fromkeys(found))


def may_refer(raw: bytes) -> bool:
    """False if an event's raw JSON cannot refer to another: all that a plain sale pays for holds."""
    return b'"original"' in raw or b'"version"' in raw or b"\\" in raw


def cause_of(code: str, message: str, pointer: str, source: str, content: Any) -> str:
    """The cause of a fault. ``content`` is the event as decoded JSON, or none where it cannot be read."""
    data = content.get("data") if isinstance(content, dict) else None
    value = value_at(content, pointer)
    place = data if isinstance(data, dict) else {}
    if code in _BY_VALUE:
        named = value if isinstance(value, str) else _quoted(message)
        return _cause(code, named if named is not None else source)
    if code == "unknown_register":
        return _cause(code, f"{place.get('store')}/{place.get('register')}")
    if code == "unknown_uom":
        item = value_at(content, pointer.rpartition("/")[0])
        sku = item.get("sku") if isinstance(item, dict) else None
        return _cause(code, f"{sku}:{value if isinstance(value, str) else 'EA'}")
    if code == "currency_mismatch":
        return _cause(code, f"{place.get('store')}:{place.get('currency')}")
    if code == "business_date_invalid":
        return _cause(code, f"{place.get('store')}:{place.get('business_date')}")
    if code == "period_closed":
        return _cause(code, str(place.get("business_date")))
    if code == "tax_group_invalid":
        bearer = value_at(content, "/".join(pointer.split("/")[:4]))
        return _cause(code, str(bearer.get("tax_group")) if isinstance(bearer, dict) else source)
    if code == "original_unknown":
        return _cause(code, original_key(value) or original_key(place.get("original")) or source)
    if code == "processing_failed":
        return _cause(code, message.partition(":")[0])
    return _cause(code, source)


def held_behind(entity: str) -> str:
    """The cause of what waits behind an entity."""
    return _cause(HELD, entity)


_NUMBER = re.compile(r"(?<=[/\[])[0-9]+(?=[/\]]|$)")
_LINE = re.compile(r"^line [0-9]+(?:, |$)")
"""Where a row begins in its file: another one for each row with the same fault."""


def foreign_cause(code: str, pointer: str, source: str) -> str:
    """The cause of a message that cannot be mapped: its source, and the field, whichever element of a list it is in."""
    field = _NUMBER.sub("*", _LINE.sub("", pointer))
    return _cause(code, f"{source}:{field}" if field else source)


def original_key(value: Any) -> str | None:
    """The business key that an ``original`` names, or none if ``value`` is none."""
    if not isinstance(value, dict):
        return None
    return "/".join(str(value.get(name)) for name in ("store", "register", "business_date", "sequence"))


def _cause(code: str, value: str) -> str:
    return f"{code}:{value}"[:_MOST]


def _quoted(message: str) -> str | None:
    """The first value that a rule's words quote."""
    found = _QUOTED.search(message)
    if found is None:
        return None
    value: str = ast.literal_eval(found.group())
    return value


def value_at(content: Any, pointer: str) -> Any:
    """What a JSON pointer leads to (RFC 6901), or none."""
    node = content
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict):
            node = node.get(name)
        elif isinstance(node, list) and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        else:
            return None
    return node


def cleared_by(record: Any) -> list[str]:
    """The causes that a master record mends once it is recorded; none for one that is taken out of use."""
    if not record.active:
        return []
    match record:
        case master.StoreRecord():
            number = record.store
            registers = [_cause("unknown_register", f"{number}/{register}") for register in record.registers]
            currency = _cause("currency_mismatch", f"{number}:{record.currency}")
            return [_cause("unknown_store", number), currency, *registers]
        case master.RegisterRecord():
            return [_cause("unknown_register", f"{record.store}/{record.register}")]
        case master.ProductRecord():
            units = [_cause("unknown_uom", f"{record.sku}:{unit}") for unit in (record.unit, *record.units)]
            return [_cause("unknown_product", record.sku), *units]
        case master.TaxCodeRecord():
            return [_cause("unknown_tax_code", record.code)]
        case master.TaxGroupRecord():
            return [_cause("tax_group_invalid", record.group)]
        case master.TenderRecord():
            return [_cause("unknown_tender", record.type)]
        case master.CustomerRecord():
            return [_cause("customer_unknown", record.customer)]
        case master.AccountRecord():
            return [_cause("unknown_account", record.account)]
        case master.PeriodRecord():
            days = (record.last - record.first).days + 1 if record.open else 0
            dates = (record.first + timedelta(days=n) for n in range(min(days, _MOST_DAYS)))
            return [_cause("period_closed", day.isoformat()) for day in dates]
        case master.MappingRecord():
            code = "customer_unknown" if record.kind == "customer" else f"unknown_{record.kind}"
            return [_cause(code, record.external)]
    return []


def cleared_endings(record: Any) -> list[tuple[str, str]]:
    """The same for causes of which a record knows the last part only: code, and what the cause ends with."""
    if isinstance(record, master.MappingRecord) and record.active:
        if record.kind == "unit":
            return [("unknown_uom", f":{record.external}")]
        if record.kind == "register":
            return [("unknown_register", f"/{record.external}")]
    return []


def decoded(raw: bytes) -> Any:
    """Raw JSON as plain values with exact numbers, or none where it cannot be read."""
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
