"""A worker's copy of master data in memory: events are checked and enriched without asking the database per line.

It holds what rules need of every sale. Prices are looked up in the database (masterdata.lookup), never held here;
of customers only the pseudonyms are.
"""

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

Period = tuple[date, date, bool]
"""First day, last day, open."""


class Snapshot:
    """Active master records by identifier."""

    def __init__(self) -> None:
        self.stores: dict[str, master.StoreRecord] = {}
        self.registers: dict[str, frozenset[str]] = {}
        self.products: dict[str, Product] = {}
        self.serial_controlled: set[str] = set()
        self.tax_codes: dict[str, master.TaxCodeRecord] = {}
        self.tax_groups: dict[str, frozenset[str]] = {}
        self.tenders: dict[str, master.TenderRecord] = {}
        self.customers: set[str] = set()
        self.accounts: dict[str, set[str]] = {}
        """The accounts of each company."""
        self.periods: dict[str, list[Period]] = {}
        """The fiscal periods of each company, by their first day."""
        self.mappings: dict[str, dict[str, dict[str, str]]] = {}
        """Source, kind, external identifier: ours."""
        self.loaded_to = 0
        """The offset of the master partition up to which this snapshot has seen every change."""
        self.customers_to = 0
        """The same of the catalogue partition, for customers."""
        self._own_registers: dict[str, set[str]] = {}
        self._periods: dict[str, dict[str, Period]] = {}

    def refresh(self, connection: psycopg.Connection, changed_to: int, customers_to: int = 0) -> bool:
        """Take in what changed up to offset ``changed_to`` of the master partition and, of customers, ``customers_to``
        of the catalogue partition; true if anything that a translation or a rule may have used did.
        """
        changed = False
        if changed_to > self.loaded_to:
            for event_type, body in connection.execute(_sql.changed_since, (self.loaded_to,)):
                self.put(_DECODERS[event_type].decode(body))
            self.loaded_to = changed_to
            changed = True
        if customers_to > self.customers_to:
            for customer, active in connection.execute(_sql.customers_since, (self.customers_to,)):
                (self.customers.add if active else self.customers.discard)(customer)
                changed = True
            self.customers_to = customers_to
        return changed

    def rate_of(self, code: str, day: date) -> Decimal | None:
        """The rate of a tax code on a store's business date, as a fraction; none if there is no such code."""
        record = self.tax_codes.get(code)
        return record.rate_on(day) if record is not None else None

    def put(self, record: master.MasterRecord) -> None:
        """Set or, where it is not active any more, remove one record."""
        active = record.active
        match record:
            case master.StoreRecord():
                _set(self.stores, record.store, record, active)
                self._merge_registers(record.store)
            case master.RegisterRecord():
                _keep(self._own_registers.setdefault(record.store, set()), record.register, active)
                self._merge_registers(record.store)
            case master.ProductRecord():
                product = (record.product_class, record.unit, record.units or None)
                _set(self.products, record.sku, product, active)
                _keep(self.serial_controlled, record.sku, active and record.serial_controlled)
            case master.TaxCodeRecord():
                _set(self.tax_codes, record.code, record, active)
            case master.TaxGroupRecord():
                _set(self.tax_groups, record.group, frozenset(record.codes), active)
            case master.TenderRecord():
                _set(self.tenders, record.type, record, active)
            case master.CustomerRecord():
                _keep(self.customers, record.customer, active)
            case master.AccountRecord():
                _keep(self.accounts.setdefault(record.company, set()), record.account, active)
            case master.PeriodRecord():
                periods = self._periods.setdefault(record.company, {})
                _set(periods, record.period, (record.first, record.last, record.open), active)
                self.periods[record.company] = sorted(periods.values())
            case master.MappingRecord():
                self._map(record)

    def _merge_registers(self, store: str) -> None:
        """Registers count while their store does: those of its own record, and those with a record of theirs."""
        record = self.stores.get(store)
        if record is None:
            self.registers.pop(store, None)
        else:
            self.registers[store] = frozenset(record.registers) | self._own_registers.get(store, frozenset())

    def _map(self, record: master.MappingRecord) -> None:
        """Sources without a mapping are not in ``mappings`` at all: looking one up is all that they cost."""
        kinds = self.mappings.setdefault(record.system, {})
        known = kinds.setdefault(record.kind, {})
        _set(known, record.external, record.ours, record.active)
        if not known:
            del kinds[record.kind]
        if not kinds:
            del self.mappings[record.system]


def _set(records: dict, key: str, record: object, active: bool) -> None:
    if active:
        records[key] = record
    else:
        records.pop(key, None)


def _keep(names: set[str], name: str, active: bool) -> None:
    (names.add if active else names.discard)(name)
