"""The retailer's baskets as events: the data says what comes out, and the hub's rules let all of it through."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from itertools import islice

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tillwire.demo.retailer import (
    FOOD,
    FUEL,
    GALLON,
    GENERAL,
    THOUSANDTH,
    UNCLASSIFIED,
    Ints,
    Retailer,
    _folder,
    _unit_prices,
    baskets,
    master_events,
)
from tillwire.demo.tendering import CARD, CASH, COUPON, tender
from tillwire.intake.door import Prepared, read_event
from tillwire.intake.rules import UNIT_CONVERTED, ZERO_AMOUNT, ZERO_QUANTITY, Auditor
from tillwire.model.event import EVENT_DECODER
from tillwire.model.master import ProductRecord, StoreRecord, TaxCodeRecord
from tillwire.model.transaction import Transaction

TODAY = date(2018, 1, 1)


@pytest.fixture(scope="module")
def sample(retailer: Retailer) -> Ints:
    """Every thirtieth basket of the year, and those of the first full week: 8,000 or so."""
    return np.union1d(np.arange(0, len(retailer), 30), retailer.in_weeks(2, 2))


def messages(retailer: Retailer, chosen: Ints) -> list[Transaction]:
    return list(retailer.sales(chosen))


def test_master_data_holds_every_product_and_store_of_the_baskets(retailer: Retailer) -> None:
    records = retailer.master_records()
    products = {record.sku: record for record in records if isinstance(record, ProductRecord)}
    stores = [record for record in records if isinstance(record, StoreRecord)]
    assert (len(products), len(stores)) == (68_509, 457)
    assert {record.code: record.rate for record in records if isinstance(record, TaxCodeRecord)} == {
        FOOD: 0,
        FUEL: 0,
        GENERAL: Decimal("0.0675"),
    }
    classes = Counter(product.product_class for product in products.values())
    assert classes[UNCLASSIFIED] == 17
    assert classes["GROCERY"] == 29_566
    assert all(1 <= len(store.registers) <= 3 and store.time_zone == "America/New_York" for store in stores)
    assert Counter(len(store.registers) for store in stores).keys() == {1, 2, 3}


def test_fuel_is_told_by_its_quantities_and_kept_in_gallons(retailer: Retailer) -> None:
    fuel = {product.sku: product for product in retailer.product_records() if product.unit == GALLON}
    assert len(fuel) == 24
    assert all(product.units == {THOUSANDTH: Decimal("0.001")} for product in fuel.values())
    assert all("GASOLINE" in product.name for product in fuel.values())
    assert {product.product_class for product in fuel.values()} == {"FUEL", "MISCELLANEOUS"}
    prepaid = {product.sku for product in retailer.product_records() if "GASOLINE" in product.name} - fuel.keys()
    assert prepaid == {"6533765", "1211227", "511273", "259120"}
    lines = [line for sale in retailer.sales(retailer.in_weeks(2, 2)) for line in sale.lines]
    pumped = [line for line in lines if line.unit == THOUSANDTH]
    assert len(pumped) > 200
    assert {line.sku for line in pumped} <= fuel.keys()
    assert not any(line.sku in fuel for line in lines if line.unit != THOUSANDTH)
    for line in pumped:
        assert abs(line.quantity * line.unit_price - sum(d.amount for d in line.discounts) - line.amount) <= Decimal(
            "0.01"
        )
        assert [tax.code for tax in line.taxes] == [FUEL]


def test_the_door_and_the_rules_let_all_of_it_through(retailer: Retailer, sample: Ints, auditor: Auditor) -> None:
    notes: Counter[str] = Counter()
    for event in master_events(retailer)[:: len(sample)]:
        assert isinstance(read_event(event), Prepared)
    for event in islice(baskets(retailer=retailer), 0, 6_000, 3):
        assert isinstance(read_event(event), Prepared)
        faults, enrichment = auditor.check(EVENT_DECODER.decode(event).data, TODAY)
        assert not faults
    for sale in retailer.sales(sample):
        faults, enrichment = auditor.check(sale, TODAY)
        assert not faults, (sale.key, sale.receipt)
        notes.update(enrichment.notes)
    assert notes[ZERO_QUANTITY] > 100
    assert notes[ZERO_AMOUNT] > 20
    assert notes[UNIT_CONVERTED] > 200


def test_lines_are_the_data_to_the_cent(retailer: Retailer) -> None:
    table = pq.ParquetFile(_folder() / "transactions.parquet").read()
    table = table.filter(pc.equal(table["week"], 2))
    cents = {
        name: round(100 * pc.sum(table[name]).as_py()) for name in ("sales_value", "retail_disc", "coupon_match_disc")
    }
    sales = messages(retailer, retailer.in_weeks(2, 2))
    lines = [line for sale in sales for line in sale.lines]
    assert (len(sales), len(lines)) == (pc.count_distinct(table["basket_id"]).as_py(), table.num_rows)
    assert sum(line.amount for line in lines) * 100 == cents["sales_value"]
    assert sum(line.quantity for line in lines) == pc.sum(table["quantity"]).as_py()
    given_up: Counter[str] = Counter()
    for line in lines:
        for discount in line.discounts:
            given_up[discount.reason] += int(discount.amount * 100)
    assert given_up == {"loyalty": cents["retail_disc"], "coupon_match": cents["coupon_match_disc"]}


def test_headers_add_up_and_tax_is_rounded_per_line(retailer: Retailer, sample: Ints) -> None:
    for sale in retailer.sales(sample):
        tax = sum((one.amount for line in sale.lines for one in line.taxes), Decimal(0))
        assert sale.tax == tax
        assert sale.total == sum((line.amount for line in sale.lines), Decimal(0)) + tax
        assert sum((one.amount for one in sale.tenders), Decimal(0)) == sale.total
        for line in sale.lines:
            (one,) = line.taxes
            exact = line.amount * (one.rate or 0)
            assert abs(one.amount - exact) <= Decimal("0.005")
            assert one.amount.as_tuple().exponent == -2


def test_lines_without_quantity_keep_their_amount(retailer: Retailer, auditor: Auditor) -> None:
    odd = [sale for sale in retailer.sales(retailer.in_weeks(22, 23))
           if any(not line.quantity and line.amount for line in sale.lines)]  # fmt: skip
    amounts = sorted(line.amount for sale in odd for line in sale.lines if not line.quantity and line.amount)
    assert amounts == [Decimal("0.60"), Decimal("2.09")]
    for sale in odd:
        faults, enrichment = auditor.check(sale, TODAY)
        assert not faults
        assert enrichment.notes[ZERO_QUANTITY]


def test_manufacturers_coupons_pay_and_never_too_much(retailer: Retailer, sample: Ints) -> None:
    coupons = 0
    for sale in retailer.sales(sample):
        paid = [one.amount for one in sale.tenders if one.type == COUPON]
        coupons += len(paid)
        assert sum(paid) <= sale.total
        assert all(discount.reason in ("loyalty", "coupon_match") for line in sale.lines for discount in line.discounts)
        if not sale.total:
            assert not sale.tenders
    assert coupons > 200


def test_business_dates_are_those_of_the_stores_clocks(retailer: Retailer) -> None:
    dates = [sale.business_date for sale in retailer.sales(retailer.in_weeks(2, 2))]
    assert (min(dates), max(dates)) == (date(2017, 1, 2), date(2017, 1, 8))
    assert dates == sorted(dates)
    whole_year = retailer.business_days(np.arange(len(retailer)))
    assert max(days[-1] for days in whole_year.values()) == date(2017, 12, 31)
    summer = next(iter(retailer.sales(retailer.in_weeks(30, 30))))
    assert summer.ended_at is not None
    assert summer.ended_at.utcoffset() is not None
    assert str(summer.ended_at).endswith("-04:00")


def test_the_same_seed_gives_the_same_bytes(retailer: Retailer) -> None:
    first = list(baskets(limit=500, retailer=retailer))
    assert first == list(baskets(limit=500, seed=1))
    other = [EVENT_DECODER.decode(event).data for event in baskets(limit=500, seed=2)]
    mine = [EVENT_DECODER.decode(event).data for event in first]
    assert [sale.lines for sale in mine] == [sale.lines for sale in other]
    assert [sale.key for sale in mine] == [sale.key for sale in other]
    assert [sale.tenders for sale in mine] != [sale.tenders for sale in other]


def test_every_basket_has_a_key_of_its_own(retailer: Retailer) -> None:
    keys = [sale.key for sale in retailer.sales(np.arange(0, 40_000))]
    assert len(set(keys)) == len(keys)


def test_a_part_of_the_retailer_is_its_busiest_stores_and_first_days(retailer: Retailer) -> None:
    few = retailer.in_weeks(2, 5, stores=3, days=2)
    days = retailer.business_days(few)
    assert len(days) == 3
    assert {day for of_store in days.values() for day in of_store} == {date(2017, 1, 2), date(2017, 1, 3)}
    assert set(few.tolist()) < set(retailer.in_weeks(2, 2).tolist())


@pytest.mark.parametrize(
    ("gross", "quantity", "price", "places"),
    [(50, 1, 50, 2), (50, 0, 50, 2), (0, 3, 0, 2), (100, 3, 33, 2), (238, 4, 595, 3), (3_000, 10_604, 283, 5)],
)
def test_unit_prices_have_as_many_decimals_as_a_cent_needs(gross: int, quantity: int, price: int, places: int) -> None:
    prices, decimals = _unit_prices(np.array([gross]), np.array([quantity]))
    assert (prices[0], decimals[0]) == (price, places)
    assert quantity == 0 or abs(int(price) * quantity - gross * 10 ** (places - 2)) <= 10 ** (places - 2)


def test_cash_comes_with_change_and_cards_are_exact() -> None:
    for total in (1, 99, 100, 1_234, 5_000, 99_999):
        for chance in range(0, 2_000, 7):
            tenders = tender(total, 0, chance)
            assert sum(one.amount for one in tenders) * 100 == total
            assert all(one.type == CASH and one.amount < 0 for one in tenders if one.change)
            assert all(one.change or one.amount > 0 for one in tenders)
    assert [one.type for one in tender(500, 900, 50)] == [COUPON]
    assert [one.type for one in tender(900, 500, 50)] == [COUPON, CARD]
    assert tender(0, 0, 5) == ()
