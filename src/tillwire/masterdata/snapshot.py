"""A worker's copy of master data in memory: events are checked and enriched without asking the database per line."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.model import event, master

_sql = sql.load("tillwire.masterdata", "masterdata.sql")

_DECODERS = {name: msgspec.json.Decoder(event.MESSAGES[name]) for name in event.MASTER_TYPES}

Product = tuple[str, str, dict[str, Decimal] | None]
"""Product class, stock unit, and conversions: how much of the stock unit one of another unit is."""


class Snapshot:
    """Active master records by identifier."""

    def __init__(self) -> None:
        self.stores: dict[str, master.StoreRecord] = {}
        self.registers: dict[str, frozenset[str]] = {}
        self.products: dict[str, Product] = {}
        self.tax_codes: dict[str, master.TaxCodeRecord] = {}
        self.tenders: dict[str, master.TenderRecord] = {}
        self.serial_controlled: set[str] = set()
        self.tax_groups: dict[str, frozenset[str]] = {}
        self.customers: set[str] = set()
        self.periods: dict[str, list[tuple[date, date, bool]]] = {}
        self.loaded_to = 0
        """The offset of partition 0 up to which this snapshot has seen every change."""

    def refresh(self, connection: psycopg.Connection, changed_to: int) -> bool:
        """Take in what changed up to offset ``changed_to`` of the master partition; true if anything did."""
        if changed_to <= self.loaded_to:
            return False
        for event_type, body in connection.execute(_sql.changed_since, (self.loaded_to,)):
            self.put(_DECODERS[event_type].decode(body))
        self.loaded_to = changed_to
        return True

    def rate_of(self, code: str, day: date) -> Decimal | None:
        """The rate of a tax code on a store's business date, as a fraction; none if there is no such code."""
        record = self.tax_codes.get(code)
        return record.rate if record is not None else None

    def put(self, record: master.MasterRecord) -> None:
        """Set or, where it is not active any more, remove one record."""
        match record:
            case master.StoreRecord():
                _set(self.stores, record.store, record, record.active)
                _set(self.registers, record.store, frozenset(record.registers), record.active)
            case master.ProductRecord():
                product = (record.product_class, record.unit, record.units or None)
                _set(self.products, record.sku, product, record.active)
            case master.TaxCodeRecord():
                _set(self.tax_codes, record.code, record, record.active)
            case master.TenderRecord():
                _set(self.tenders, record.type, record, record.active)


def _set(records: dict, key: str, record: object, active: bool) -> None:
    if active:
        records[key] = record
    else:
        records.pop(key, None)


def identifier_of(record: master.MasterRecord) -> str:
    """What a master record is known by, without its revision."""
    match record:
        case master.StoreRecord():
            return record.store
        case master.ProductRecord():
            return record.sku
        case master.TaxCodeRecord():
            return record.code
        case master.TenderRecord():
            return record.type
