"""What can be wrong in a master record by itself, whatever else there is. Such a record is refused at the door."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from tillwire.model import master
from tillwire.model.identifiers import is_gln, is_gtin
from tillwire.model.money import ZERO

Wrong = tuple[str, str]
"""The JSON pointer within the record, and why."""

_FIRST_YEAR, _LAST_YEAR = 1900, 2200
"""Moments beyond these are mistakes, and some cannot be computed with."""


def first_wrong(record: Any) -> Wrong | None:
    """The first thing that is wrong in a record; none if it is sound, or no master record."""
    judge = _JUDGES.get(type(record))
    if judge is None:
        return None
    return judge(record)


def _store(record: master.StoreRecord) -> Wrong | None:
    if record.gln is not None and not is_gln(record.gln):
        return "/gln", f"{record.gln!r} is no GLN: 13 digits, the last a right check digit"
    if record.time_zone not in _time_zones():
        return "/time_zone", f"{record.time_zone!r} is no IANA time zone, such as America/New_York"
    return None


def _product(record: master.ProductRecord) -> Wrong | None:
    for i, code in enumerate(record.gtins):
        if not is_gtin(code):
            return f"/gtins/{i}", f"{code!r} is no GTIN: 8, 12, 13 or 14 digits, the last a right check digit"
    for unit, factor in record.units.items():
        if factor <= ZERO:
            return f"/units/{unit}", f"one {unit} cannot be {factor} {record.unit}: a conversion is above zero"
        if unit == record.unit and factor != 1:
            return f"/units/{unit}", f"{unit} is the stock unit: one of it is one of it, not {factor}"
    for i, component in enumerate(record.components):
        if component.sku == record.sku:
            return f"/components/{i}/sku", f"{record.sku!r} cannot be a part of itself"
        if component.quantity <= ZERO:
            return f"/components/{i}/quantity", f"{component.quantity} of a part: it must be above zero"
    return None


def _price(record: master.PriceRecord) -> Wrong | None:
    if record.store and record.price_list:
        return "/price_list", "a price is for a store, for a price list, or for all stores: name one at most"
    if record.amount < ZERO:
        return "/amount", f"a price of {record.amount} is below zero"
    for name, moment in (("from", record.effective_from), ("to", record.effective_to)):
        if moment is not None and not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            return f"/effective_{name}", f"the year {moment.year} is out of range ({_FIRST_YEAR} to {_LAST_YEAR})"
    if record.effective_to is not None and record.effective_to <= record.effective_from:
        return "/effective_to", f"it ends {record.effective_to}, before it begins ({record.effective_from})"
    return None


def _tax_code(record: master.TaxCodeRecord) -> Wrong | None:
    begun: dict[Any, int] = {}
    for i, dated in enumerate(record.rates):
        first = begun.setdefault(dated.effective_from, i)
        if first != i:
            other = record.rates[first]
            text = f"rates {other.rate} and {dated.rate} both begin on {dated.effective_from}: only one can"
            return f"/rates/{i}/effective_from", text
    return None


def _period(record: master.PeriodRecord) -> Wrong | None:
    if record.last < record.first:
        return "/last", f"it ends on {record.last}, before it begins ({record.first})"
    return _named(record)


def _tender(record: master.TenderRecord) -> Wrong | None:
    if record.over_tender_most is not None and record.over_tender_most < ZERO:
        return "/over_tender_most", f"{record.over_tender_most} is below zero"
    return None


def _named(record: Any) -> Wrong | None:
    """Names that people give. A product's SKU, and what other systems call things, may be any text that lines have."""
    name = record.identifier
    if not name.isprintable() or name != name.strip():
        return "", f"{name!r} cannot be an identifier: it is printable, without blanks around it"
    return None


def _any(_: Any) -> Wrong | None:
    return None


_JUDGES: dict[type, Callable[[Any], Wrong | None]] = {
    master.StoreRecord: _store,
    master.RegisterRecord: _named,
    master.ProductRecord: _product,
    master.PriceRecord: _price,
    master.TaxCodeRecord: _tax_code,
    master.TaxGroupRecord: _named,
    master.TenderRecord: _tender,
    master.CustomerRecord: _any,
    master.AccountRecord: _named,
    master.PeriodRecord: _period,
    master.MappingRecord: _any,
}


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
