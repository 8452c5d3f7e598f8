"""What counts at a moment in a store: its prices and tax rates, by the clock on the store's wall."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.errors import TillwireError
from tillwire.governance.access import ALL, Reach
from tillwire.masterdata.localtime import instant, local_time
from tillwire.model.event import MASTER_STORE, MASTER_TAX_CODE
from tillwire.model.master import PriceRecord, StoreRecord, TaxCodeRecord, joined

_sql = sql.load("tillwire.masterdata", "masterdata.sql")
_store_decoder = msgspec.json.Decoder(StoreRecord)
_price_decoder = msgspec.json.Decoder(PriceRecord)
_tax_decoder = msgspec.json.Decoder(TaxCodeRecord)


class NoSuchRecordError(TillwireError):
    """There is no active record of that type and identifier."""


class PriceInForce(msgspec.Struct, frozen=True, kw_only=True):
    """What one ``unit`` costs, in ``currency``, with the record that says so."""

    unit: str
    currency: str
    amount: Decimal
    tax_included: bool
    scope: str
    """store, price_list or all: whose price it is."""
    effective_from: datetime
    """By the store's clock, as ``effective_to``."""
    effective_to: datetime | None
    record: str
    """The identifier of the price record."""
    revision: int


class PricesInForce(msgspec.Struct, frozen=True, kw_only=True):
    """The prices of a product in a store at a moment, one per unit and currency."""

    store: str
    sku: str
    at: datetime
    local_time: datetime
    time_zone: str
    prices: list[PriceInForce]


class RateInForce(msgspec.Struct, frozen=True, kw_only=True):
    """The rate of a tax code on the day of a moment in a store, as a fraction."""

    store: str
    code: str
    at: datetime
    day: date
    rate: Decimal


class _Scope(NamedTuple):
    name: str
    prefix: str


def prices_at(
    connection: psycopg.Connection,
    store: str,
    sku: str,
    at: datetime,
    *,
    unit: str | None = None,
    currency: str | None = None,
    reach: Reach = ALL,
) -> PricesInForce:
    """The prices of a product in a store at an instant: the store's own, else its price list's, else everyone's.

    ``currency`` is the store's unless it is named. Raises ``NoSuchRecordError`` if there is no such store within reach.
    """
    record = _store_record(connection, store, reach)
    wanted = currency or record.currency
    scopes = [_Scope("store", joined(f"store:{store}", sku)), _Scope("all", joined("*", sku))]
    if record.price_list:
        scopes.insert(1, _Scope("price_list", joined(f"list:{record.price_list}", sku)))
    bodies = connection.execute(_sql.prices_of_slots, ([prefix for _, prefix in scopes],)).fetchall()
    known = [_price_decoder.decode(body) for (body,) in bodies]
    chosen: dict[str, PriceInForce] = {}
    for scope, prefix in scopes:
        for name in sorted({price.unit for price in known}):
            if name in chosen or (unit is not None and name != unit):
                continue
            price = in_force(
                (p for p in known if p.unit == name and p.currency == wanted and p.slot.startswith(prefix + "/")),
                at,
                record.time_zone,
            )
            if price is not None:
                chosen[name] = _told(price, scope)
    return PricesInForce(
        store=store,
        sku=sku,
        at=at,
        local_time=local_time(at, record.time_zone),
        time_zone=record.time_zone,
        prices=[chosen[name] for name in sorted(chosen)],
    )


def in_force(prices: Iterable[PriceRecord], at: datetime, zone: str) -> PriceRecord | None:
    """The price of one slot that counts at an instant in a zone: one with an end before one without, then the later."""
    valid = [
        price
        for price in prices
        if price.active
        and instant(price.effective_from, zone) <= at
        and (price.effective_to is None or at < instant(price.effective_to, zone))
    ]
    return max(valid, key=lambda price: (price.effective_to is not None, price.effective_from), default=None)


def rate_at(connection: psycopg.Connection, store: str, code: str, at: datetime, *, reach: Reach = ALL) -> RateInForce:
    """The rate of a tax code on a calendar day of a store within reach, an instant's. Raises ``NoSuchRecordError``."""
    record = _store_record(connection, store, reach)
    found = connection.execute(_sql.one, {"type": MASTER_TAX_CODE, "id": code}).fetchone()
    if found is None or not found[2]:
        raise NoSuchRecordError(f"tax code {code!r} is not in master data")
    day = local_time(at, record.time_zone).date()
    return RateInForce(store=store, code=code, at=at, day=day, rate=_tax_decoder.decode(found[1]).rate_on(day))


def _store_record(connection: psycopg.Connection, store: str, reach: Reach) -> StoreRecord:
    found = connection.execute(_sql.one, {"type": MASTER_STORE, "id": store}).fetchone()
    if found is None or not found[2] or not reach.covers(store):
        raise NoSuchRecordError(f"store {store!r} is not in master data")
    return _store_decoder.decode(found[1])


def _told(price: PriceRecord, scope: str) -> PriceInForce:
    return PriceInForce(
        unit=price.unit,
        currency=price.currency,
        amount=price.amount,
        tax_included=price.tax_included,
        scope=scope,
        effective_from=price.effective_from,
        effective_to=price.effective_to,
        record=price.identifier,
        revision=price.revision,
    )
