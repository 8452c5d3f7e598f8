"""Rules that need master data which a retailer may have or not: customers, serials, tax groups, periods; and limits."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import (
    DAY,
    Event,
    changed,
    day_close,
    level,
    line,
    masters,
    movement,
    product,
    raw,
    returned,
    sale,
    store,
    tender,
    till_close,
    till_open,
    transaction,
)

from tillwire.intake.rules import Auditor, Fault, Policy
from tillwire.masterdata.snapshot import Snapshot
from tillwire.model.event import EVENT_DECODER

TODAY = DAY + timedelta(days=3)
CLOSED = date(2026, 2, 28)
PHONE = line("phone", "1", "99.00")
FOOD = {"tax_group": "FOOD"}


def snapshot() -> Snapshot:
    """Master data with everything that rules may ask for."""
    made = Snapshot()
    for record in masters(store(), store("7", company="OTHER"), product("phone", "phones")):
        made.put(EVENT_DECODER.decode(raw(record)).data)
    made.customers = {"c-1"}
    made.serial_controlled = {"phone"}
    made.tax_groups = {"FOOD": frozenset({"RED"}), "NONE": frozenset()}
    made.periods = {
        "ACME": [(date(2026, 1, 1), date(2026, 1, 31), True), (date(2026, 2, 1), CLOSED, False), (DAY, DAY, True)]
    }
    return made


def check(auditor: Auditor, one: Event) -> list[Fault]:
    return auditor.check(EVENT_DECODER.decode(raw(one)).data, TODAY)[0]


CASES: list[tuple[str, str, Event, Event]] = [
    ("customer_unknown", "/data/customer", sale(customer="c-2"), sale(customer="c-1")),
    ("serial_missing", "/data/lines/0/serial", sale(1, PHONE), sale(1, PHONE | {"serial": "S1"})),
    ("serial_missing", "/data/lines/0/serial", sale(1, PHONE | {"serial": ""}), sale(1, PHONE | {"kind": "service"})),
    (
        "serial_missing",
        "/data/lines/0/serial",
        returned(1, line("phone", "-1", "99.00")),
        sale(1, PHONE | {"voided": True}, line()),
    ),
    (
        "tax_group_invalid",
        "/data/lines/0/taxes/0/code",
        sale(1, line(tax=("STD", "0.20"), **FOOD)),
        sale(1, line(tax=("RED", "0.10"), **FOOD)),
    ),
    ("tax_group_invalid", "/data/lines/0/tax_group", sale(1, line(tax_group="X")), sale(1, line(**FOOD))),
    (
        "tax_group_invalid",
        "/data/lines/0/taxes/0/code",
        sale(1, line(tax=("RED", "0.10"), tax_group="NONE")),
        sale(1, line(tax_group="NONE")),
    ),
    ("period_closed", "/data/business_date", sale(day=CLOSED), sale(day=CLOSED - timedelta(days=28))),
    ("period_closed", "/data/business_date", sale(day=CLOSED), sale(day=CLOSED + timedelta(days=1))),
    ("period_closed", "/data/business_date", sale(day=CLOSED), sale(day=CLOSED, store="7")),
    ("period_closed", "/data/business_date", movement(day=CLOSED), till_open(day=CLOSED)),
    ("period_closed", "/data/business_date", till_close(day=CLOSED), day_close(day=CLOSED)),
    (
        "period_closed",
        "/data/business_date",
        transaction(1, "pay_in", total="1.00", day=CLOSED),
        transaction(1, "training", [line()], day=CLOSED),
    ),
    (
        "period_closed",
        "/data/business_date",
        sale(day=CLOSED),
        changed(level(), business_date=CLOSED.isoformat()),
    ),
]


@pytest.mark.parametrize(("code", "pointer", "wrong", "right"), CASES)
def test_a_rule_is_raised_by_what_breaks_it_alone(code: str, pointer: str, wrong: Event, right: Event) -> None:
    auditor = Auditor(snapshot(), Policy())
    assert [(fault.code, fault.pointer) for fault in check(auditor, wrong)] == [(code, pointer)]
    assert check(auditor, right) == []


def test_what_no_master_data_is_kept_of_is_not_judged() -> None:
    bare = Snapshot()
    for record in masters(store(), product("phone", "phones")):
        bare.put(EVENT_DECODER.decode(raw(record)).data)
    auditor = Auditor(bare, Policy())
    for one in (sale(customer="c-2"), sale(1, PHONE), sale(1, line(tax_group="X")), sale(day=CLOSED)):
        assert check(auditor, one) == []


@pytest.mark.parametrize(
    ("paid", "codes"),
    [
        ("2.00", []),
        ("2.01", ["over_under_payment"]),
        ("2.03", ["over_under_payment"]),
        ("2.04", ["tender_mismatch"]),
        ("1.98", ["over_under_payment"]),
        ("1.97", ["tender_mismatch"]),
    ],
)
def test_over_and_underpayment_have_limits(paid: str, codes: list[str]) -> None:
    auditor = Auditor(snapshot(), Policy(over_payment_units=Decimal(3), under_payment_units=Decimal(2)))
    faults = check(auditor, sale(1, line(), tenders=[tender(paid)]))
    assert [fault.code for fault in faults] == codes
    assert {fault.severity for fault in faults} <= {"warning" if codes == ["over_under_payment"] else "blocking"}


def rated(rate: str, tax: str, quantity: str = "1", code: str = "STD") -> Event:
    made = line("milk", quantity, "20.00", taxes=[{"code": code, "rate": rate, "amount": tax}])
    return (returned if quantity.startswith("-") else sale)(1, made)


def test_a_rate_is_compared_with_master_data_where_that_is_wanted() -> None:
    wanted = Auditor(snapshot(), Policy(severities={"tax_rate_mismatch": "warning"}))
    old, new = rated("0.09", "1.80"), rated("0.100", "2.00")
    (fault,) = check(wanted, old)
    assert (fault.code, fault.severity, fault.pointer) == ("tax_rate_mismatch", "warning", "/data/lines/0/taxes/0/rate")
    assert check(wanted, new) == []
    assert check(wanted, rated("0.09", "-1.80", "-1")) == []
    assert [one.code for one in check(wanted, rated("0.09", "1.80", code="X"))] == ["unknown_tax_code"]
    assert check(Auditor(snapshot(), Policy()), old) == []


def tolerated(code: str, units: int, **policy: Any) -> Auditor:
    return Auditor(snapshot(), Policy(tolerances={code: Decimal(units)}, **policy))


@pytest.mark.parametrize(
    ("code", "within", "beyond"),
    [
        ("total_mismatch", sale(1, line(), total="2.02"), sale(1, line(), total="2.03")),
        ("net_mismatch", sale(1, line(), net="2.02"), sale(1, line(), net="1.97")),
        ("tax_mismatch", sale(tax="0.42"), sale(tax="0.43")),
        ("discount_mismatch", sale(discount="0.02"), sale(discount="-0.03")),
        ("item_count_mismatch", sale(item_count="4"), sale(item_count="5")),
        ("line_discount_mismatch", sale(1, line() | {"discount": "-0.02"}), sale(1, line() | {"discount": "0.03"})),
        ("line_extension_mismatch", sale(1, line(amount="2.02")), sale(1, line(amount="1.97"))),
        (
            "line_tax_mismatch",
            sale(1, line(taxes=[{"code": "STD", "rate": "0.1", "amount": "0.22"}])),
            sale(1, line(taxes=[{"code": "STD", "rate": "0.1", "amount": "0.23"}])),
        ),
        ("rounding_invalid", sale(1, line(), rounding="0.07"), sale(1, line(), rounding="-0.08")),
    ],
)
def test_each_tolerance_holds_to_its_last_unit(code: str, within: Event, beyond: Event) -> None:
    auditor = tolerated(code, 2)
    assert check(auditor, within) == []
    assert [fault.code for fault in check(auditor, beyond)] == [code]
    strict = tolerated(code, 0)
    assert [fault.code for fault in check(strict, within)] == [code]
