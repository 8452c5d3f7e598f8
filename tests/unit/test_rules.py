"""The sales auditor's rules: for each code an event that raises it, and one beside it that does not."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
import test_rules_of_master_data
from builders import (
    DAY,
    Event,
    cash_movement,
    changed,
    day_close,
    day_open,
    line,
    masters,
    movement,
    post_void,
    raw,
    returned,
    sale,
    store,
    tender,
    till_close,
    till_open,
    trading_day,
    transaction,
)

from tillwire.exceptions.codes import BY_MESSAGE, CODES, SEVERITIES, owner_of
from tillwire.intake.rules import NOTES, RULES, Auditor, Enrichment, Fault, Policy
from tillwire.masterdata.snapshot import Snapshot
from tillwire.model.event import EVENT_DECODER

TODAY = DAY + timedelta(days=3)
OTHER_STORES = {"81": "JPY", "82": "CHF", "83": "SEK", "84": "GBP"}
YEN = {"store": "81", "currency": "JPY"}


@pytest.fixture
def auditor() -> Auditor:
    snapshot = Snapshot()
    others = [store(number, currency=currency) for number, currency in OTHER_STORES.items()]
    for record in masters(store(), *others):
        snapshot.put(EVENT_DECODER.decode(raw(record)).data)
    return Auditor(snapshot, Policy())


def check(auditor: Auditor, one: Event, today: date = TODAY) -> tuple[list[Fault], Enrichment]:
    return auditor.check(EVENT_DECODER.decode(raw(one)).data, today)


def taxed(amount: str, tax: str, **more: Any) -> Event:
    return sale(1, line("milk", "1", "2.00", tax=("STD", tax)), total=amount, tenders=[tender(amount)], **more)


def rated(tax: str, *rates: str, **more: Any) -> Event:
    """A sale of 2.00 whose taxes have rates and no base: the last one is of the amount given, the others are right."""
    share = 1 + sum(map(Decimal, rates)) if more.get("tax_included") else 1
    amounts = [str(round(2 * Decimal(rate) / share, 2)) for rate in rates[:-1]] + [tax]
    codes = ("STD", "RED")
    taxes = [{"code": c, "rate": r, "amount": a} for c, r, a in zip(codes, rates, amounts, strict=False)]
    return sale(1, line("milk", "1", "2.00", taxes=taxes), **more)


LONG_AGO = DAY - timedelta(days=4000)
LATER = TODAY + timedelta(days=1)
MILK_BACK = line("milk", "-1", "2.00")
PAID_TWICE = [tender("2.00"), tender("2.00", voided=True)]

# code, pointer, what raises it, and what comes near and does not.
CASES: list[tuple[str, str, Event, Event]] = [
    ("unknown_store", "/data/store", sale(store="999"), sale()),
    ("unknown_store", "/data/store", day_open(store="999"), day_open()),
    ("unknown_register", "/data/register", sale(register="3"), sale(register="2")),
    ("unknown_register", "/data/register", till_open("3"), till_open("2")),
    ("unknown_product", "/data/lines/0/sku", sale(1, line("pear")), sale(1, line("pear", kind="service"))),
    ("unknown_product", "/data/lines/1/sku", movement(lines=[("milk", "1"), ("pear", "1")]), movement()),
    ("unknown_uom", "/data/lines/0/unit", sale(1, line("beer", unit="PAL")), sale(1, line("beer", unit="CS"))),
    ("unknown_uom", "/data/lines/0/unit", sale(1, line("milk", unit="CS")), sale(1, line("milk", unit="EA"))),
    ("unknown_uom", "/data/lines/0/unit", movement(unit="CS"), movement(lines=[("beer", "1")], unit="CS")),
    ("unknown_tender", "/data/tenders/0/type", sale(tenders=[tender("4.40", "shells")]), sale()),
    (
        "unknown_tax_code",
        "/data/lines/0/taxes",
        sale(1, line(tax=("X", "0.20"))),
        sale(1, line(), line(tax=("X", "0.20"), voided=True)),
    ),
    (
        "line_extension_mismatch",
        "/data/lines/0/amount",
        sale(1, line(quantity="3", price="0.333", amount="1.02")),
        sale(1, line(quantity="3", price="0.333", amount="1.00")),
    ),
    (
        "line_extension_mismatch",
        "/data/lines/1/amount",
        sale(1, line(), line(price="5.00", discount=("1.00", "promo"), amount="5.00")),
        sale(1, line(), line(price="5.00", discount=("1.00", "promo"), amount="4.00")),
    ),
    (
        "line_tax_mismatch",
        "/data/lines/0/taxes",
        sale(1, line(taxes=[{"code": "STD", "amount": "0.20", "rate": "0.06", "taxable": "2.00"}])),
        sale(1, line(taxes=[{"code": "STD", "amount": "0.12", "rate": "0.06", "taxable": "2.00"}])),
    ),
    ("total_mismatch", "/data/total", taxed("2.21", "0.20"), taxed("2.20", "0.20")),
    (
        "total_mismatch",
        "/data/total",
        taxed("2.20", "0.20", tax_included=True),
        taxed("2.00", "0.20", tax_included=True),
    ),
    ("total_mismatch", "/data/total", taxed("2.20", "0.18"), taxed("2.20", "0.18", rounding="0.02")),
    ("tax_mismatch", "/data/tax", sale(tax="0.41"), sale(tax="0.40")),
    ("net_mismatch", "/data/net", sale(net="4.40"), sale(net="4.00")),
    (
        "net_mismatch",
        "/data/net",
        sale(1, line(), line(voided=True), net="4.00"),
        sale(1, line(), line(voided=True), net="2.00"),
    ),
    *[
        (
            "item_count_mismatch",
            "/data/item_count",
            sale(1, *lines, item_count=wrong),
            sale(1, *lines, item_count=right),
        )
        for lines, right, wrong in (
            ([line(quantity="3")], "3", "1"),
            ([line("fuel", "10.123", "1.500", amount="15.18", unit="L"), line()], "2", "11.123"),
            ([line("fuel", "10", "1.500", unit="L"), line()], "2", "11"),
            ([line("milk", "0.250")], "1", "0.25"),
            ([line(), line(voided=True)], "1", "2"),
            ([line(), line("bag", kind="charge")], "1", "2"),
            ([line("bread", "3"), line(quantity="-1")], "2", "3"),
            ([line("bread", "3"), line(quantity="-1")], "4", "3"),
            ([line("beer", "2", unit="CS")], "2.0", "48"),
        )
    ],
    ("item_count_mismatch", "/data/item_count", returned(item_count="2"), returned(item_count="1")),
    ("item_count_mismatch", "/data/item_count", returned(item_count="0"), returned(item_count="-1")),
    (
        "line_discount_mismatch",
        "/data/lines/0/discount",
        sale(1, line(discount=("0.50", "promo")) | {"discount": "0.51"}),
        sale(1, line(discount=("0.50", "promo")) | {"discount": "0.500"}),
    ),
    (
        "line_discount_mismatch",
        "/data/lines/0/discount",
        sale(1, line() | {"discount": "0.01"}),
        sale(1, line() | {"discount": "0"}),
    ),
    (
        "line_tax_mismatch",
        "/data/lines/0/tax",
        sale(1, line(tax=("STD", "0.20")) | {"tax": "0.22"}),
        sale(1, line(tax=("STD", "0.20")) | {"tax": "0.21"}),
    ),
    *[
        ("line_tax_mismatch", "/data/lines/0/taxes", rated(wrong, *rates, **more), rated(right, *rates, **more))
        for wrong, right, rates, more in (
            ("0.22", "0.21", ["0.10"], {}),
            ("0.18", "0.19", ["0.10"], {}),
            ("0.20", "0.18", ["0.10"], {"tax_included": True}),
            ("0.21", "0.19", ["0.10"], {"tax_included": True}),
            ("0.20", "0.18", ["0.05", "0.10"], {"tax_included": True}),
            ("0.22", "0.20", ["0.05", "0.10"], {}),
            ("16.50", "0.17", ["0.0825"], {}),
            ("-2.02", "-2.01", ["-0.50"], {"tax_included": True}),
        )
    ],
    (
        "tax_exempt_mismatch",
        "/data/tax_exempt",
        sale(tax_exempt="diplomat"),
        sale(1, line(tax=("STD", "0.00")), tax_exempt="diplomat"),
    ),
    (
        "tax_exempt_mismatch",
        "/data/lines/0/taxes/0/amount",
        sale(1, line(tax=("STD", "0.20"), tax_exempt=True)),
        sale(1, line(tax_exempt=True), line(tax=("STD", "0.20"))),
    ),
    *[
        (
            "tax_included_inconsistent",
            "/data/lines/1/tax_included",
            sale(1, line(), line(tax_included=not flag), tax_included=flag),
            sale(1, line(), line(tax_included=flag), tax_included=flag),
        )
        for flag in (True, False)
    ],
    *[
        (
            "rounding_invalid",
            "/data/rounding",
            sale(1, line(price=price), rounding=wrong, store=where, currency=currency),
            sale(1, line(price=price), rounding=right, store=where, currency=currency),
        )
        for price, wrong, right, where, currency in (
            ("2.00", "0.06", "0.05", "101", "USD"),
            ("2.00", "-0.06", "-0.05", "101", "USD"),
            ("2.00", "-0.06", "0.05", "82", "CHF"),
            ("2.00", "1.01", "-0.49", "83", "SEK"),
            ("2.00", "0.02", "0.01", "84", "GBP"),
            ("200", "2", "1", "81", "JPY"),
        )
    ],
    (
        "gift_card_invalid",
        "/data/lines/0/reference",
        sale(1, line("gc", kind="gift_card") | {"reference": None}),
        sale(1, line("gc", kind="gift_card")),
    ),
    (
        "gift_card_invalid",
        "/data/tenders/0/reference",
        sale(1, line(), tenders=[tender("2.00", "gift_card", reference="")]),
        sale(
            1, line(), tenders=[tender("2.00", "gift_card"), tender("1.00", "gift_card", reference=None, voided=True)]
        ),
    ),
    (
        "gift_card_invalid",
        "/data/tenders/0/reference",
        sale(1, line("gc", kind="gift_card"), tenders=[tender("2.00", "gift_card", reference="GC-1")]),
        sale(1, line("gc", kind="gift_card"), tenders=[tender("2.00", "gift_card", reference="GC-9")]),
    ),
    (
        "gift_card_invalid",
        "/data/tenders",
        sale(1, line(), tenders=[tender("5.00", "gift_card"), tender("-3.00", change=True)]),
        sale(1, line(), tenders=[tender("1.00", "gift_card"), tender("4.00"), tender("-3.00", change=True)]),
    ),
    (
        "precision_invalid",
        "/data/lines/0/tax",
        sale(1, line(tax=("STD", "0.20")) | {"tax": "0.201"}),
        sale(1, line(tax=("STD", "0.20")) | {"tax": "0.2000"}),
    ),
    (
        "discount_mismatch",
        "/data/discount",
        sale(1, line(discount=("0.50", "promo")), discount="0.00"),
        sale(1, line(discount=("0.50", "promo")), discount="0.50"),
    ),
    (
        "tender_mismatch",
        "/data/tenders",
        sale(1, line(), tenders=[tender("5.00"), tender("-2.99", change=True)]),
        sale(1, line(), tenders=[tender("5.00"), tender("-3.00", change=True)]),
    ),
    ("tender_mismatch", "/data/tenders", sale(1, line(), tenders=[]), sale(1, line(), tenders=PAID_TWICE)),
    (
        "tender_mismatch",
        "/data/tenders",
        cash_movement(1, "pickup", "-5.00", tenders=[]),
        cash_movement(1, "pickup", "-5.00"),
    ),
    ("currency_mismatch", "/data/currency", sale(currency="CAD"), sale()),
    ("currency_mismatch", "/data/currency", day_close(currency="EUR"), day_close()),
    ("currency_mismatch", "/data/currency", till_close(currency="EUR"), till_close()),
    (
        "unknown_tender",
        "/data/tenders/0/type",
        till_close(counts=[("seashells", "1.00", "1.00")]),
        till_close(counts=[("cash", "1.00", "0.50")]),
    ),
    (
        "precision_invalid",
        "/data/tenders/0/counted",
        till_close(counts=[("cash", "1.00", "1.005")]),
        till_close(counts=[("cash", "1.00", "1.010")]),
    ),
    (
        "precision_invalid",
        "/data/lines/0/amount",
        sale(1, line(price="1.005", amount="1.005"), total="1.005"),
        sale(1, line(price="1.005", amount="1.010"), total="1.010"),
    ),
    (
        "precision_invalid",
        "/data/lines/0/amount",
        sale(1, line(price="100.5"), **YEN),
        sale(1, line(price="100.5", amount="101"), **YEN),
    ),
    (
        "precision_invalid",
        "/data/tenders/0/amount",
        sale(1, line(), tenders=[tender("1.999"), tender("0.001")]),
        sale(1, line(), tenders=[tender("1.9900"), tender("0.010")]),
    ),
    (
        "precision_invalid",
        "/data/total",
        cash_movement(1, "pay_in", "5.001"),
        cash_movement(1, "pay_in", "5.000"),
    ),
    (
        "sign_contradiction",
        "/data/lines/0/amount",
        sale(1, line(quantity="-1", price="0.01", amount="0.00"), line(quantity="-1", price="0", amount="0.01")),
        returned(1, line(quantity="-1", price="0.01", amount="-0.01")),
    ),
    (
        "negative_price",
        "/data/lines/0/unit_price",
        sale(1, line(price="-1.00", discount=("-3.00", "promo"))),
        sale(1, line(price="-0.00", discount=("-3.00", "promo"))),
    ),
    (
        "negative_price",
        "/data/lines/0/unit_price",
        sale(1, line(quantity="-1", price="-2.00")),
        sale(1, line(quantity="1", price="0.00")),
    ),
    (
        "empty_transaction",
        "/data/lines",
        sale(1, line(voided=True)),
        sale(1, line(voided=True), line()),
    ),
    ("empty_transaction", "/data/lines", transaction(1, "layaway"), transaction(1, "no_sale")),
    ("business_date_invalid", "/data/business_date", sale(day=LATER + timedelta(days=1)), sale(day=LATER)),
    ("business_date_invalid", "/data/business_date", sale(day=LONG_AGO), sale(day=LONG_AGO + timedelta(days=400))),
    ("business_date_invalid", "/data/business_date", movement(day=LONG_AGO), movement()),
    ("kind_contradiction", "/data/kind", sale(1, MILK_BACK), sale(1, MILK_BACK, line("bread", "2", "2.00"))),
    ("kind_contradiction", "/data/total", returned(1, line("milk")), returned(1, MILK_BACK)),
    (
        "kind_contradiction",
        "/data/lines",
        cash_movement(1, "pay_in", "5.00", lines=[line()]),
        cash_movement(1, "pay_in", "5.00"),
    ),
    (
        "kind_contradiction",
        "/data/original",
        post_void(1, sale(1)),
        post_void(2, sale(1)),
    ),
    (
        "original_missing",
        "/data/original",
        changed(post_void(2, sale(1)), original=None),
        post_void(2, sale(1)),
    ),
]


@pytest.mark.parametrize(("code", "pointer", "wrong", "right"), CASES)
def test_a_rule_is_raised_by_what_breaks_it_alone(
    auditor: Auditor, code: str, pointer: str, wrong: Event, right: Event
) -> None:
    faults, _ = check(auditor, wrong)
    if code == "sign_contradiction":
        pointer = faults[0].pointer
    assert (code, pointer) in [(fault.code, fault.pointer) for fault in faults]
    assert all(fault.message for fault in faults)
    assert check(auditor, right)[0] == []


def test_every_code_that_a_rule_raises_is_shown() -> None:
    shown = (
        {code for code, *_ in CASES}
        | {code for code, *_ in test_rules_of_master_data.CASES}
        | {"over_under_payment", "tax_rate_mismatch"}
    )
    assert shown == {code for code, one in CODES.items() if one.judged == BY_MESSAGE} == {one.code for one in RULES}


def test_every_code_says_what_it_is_and_why() -> None:
    for code in CODES.values():
        assert code.meaning
        assert code.reason
        assert code.severity in SEVERITIES
    assert {owner_of(code) for code in CODES} == {"store operations", "merchandising", "finance", "integration"}


def test_a_whole_trading_day_breaks_no_rule(auditor: Auditor) -> None:
    for one in trading_day():
        assert check(auditor, one)[0] == [], one


def test_every_fault_of_an_event_is_told(auditor: Auditor) -> None:
    wrong = sale(1, line("pear", tax=("X", "0.20")), line("beer", unit="PAL"), tax="9.99", total="1.00", currency="EUR")
    codes = [fault.code for fault in check(auditor, wrong)[0]]
    assert codes == [
        "currency_mismatch",
        "unknown_product",
        "unknown_tax_code",
        "unknown_uom",
        "total_mismatch",
        "tax_mismatch",
    ]


def test_a_fault_is_told_once(auditor: Auditor) -> None:
    wrong = sale(1, line(price="1.005", amount="1.005"), total="1.005")
    faults, _ = check(auditor, wrong)
    assert len(faults) == len(set(faults))


def test_tolerances_are_in_minor_units_of_the_currency() -> None:
    snapshot = Snapshot()
    for record in masters(store(), store("81", currency="JPY")):
        snapshot.put(EVENT_DECODER.decode(raw(record)).data)
    lenient = Auditor(snapshot, Policy(total_tolerance_units=Decimal(2), extension_tolerance_units=Decimal(5)))
    assert check(lenient, taxed("2.22", "0.20"))[0] == []
    assert [fault.code for fault in check(lenient, taxed("2.23", "0.20"))[0]] == ["total_mismatch"]
    assert check(lenient, sale(1, line(price="100", amount="105"), **YEN))[0] == []
    assert [f.code for f in check(lenient, sale(1, line(price="100", amount="106"), **YEN))[0]] == [
        "line_extension_mismatch"
    ]


def test_training_and_the_like_are_not_audited(auditor: Auditor) -> None:
    for kind in ("training", "cancelled", "suspended", "resumed", "no_sale"):
        odd = transaction(1, kind, [line("pear", amount="9.99")], total="1.23", tenders=[])
        assert check(auditor, odd)[0] == []


def test_a_record_that_is_not_active_is_unknown(auditor: Auditor) -> None:
    gone = {**store(), "data": {**store()["data"], "active": False, "revision": 2}}
    auditor.master.put(EVENT_DECODER.decode(raw(gone)).data)
    assert [fault.code for fault in check(auditor, sale())[0]] == ["unknown_store"]


def test_what_master_data_adds(auditor: Auditor) -> None:
    lines = [
        line("beer", "2", "24.00", unit="CS"),
        line("milk", "0", "2.00"),
        line("bread", "1", "0.00"),
        line("bag", kind="charge"),
    ]
    faults, enrichment = check(auditor, sale(1, *lines))
    assert faults == []
    assert enrichment.company == "ACME"
    assert enrichment.classes == ("drinks", "dairy", "bakery", "charge")
    assert enrichment.factors == (Decimal(24), None, None, None)
    assert enrichment.notes == {"unit_converted": 1, "zero_quantity": 1, "zero_amount": 1}
    assert set(enrichment.notes) == set(NOTES)
