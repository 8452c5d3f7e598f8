"""What a transaction means in double entry."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from builders import (
    Event,
    cash_movement,
    line,
    post_void,
    raw,
    returned,
    sale,
    tender,
    till_close,
    trading_day,
    transaction,
)

from tillwire.model.event import EVENT_DECODER
from tillwire.sales.entries import COMPONENTS, entries_of, foreign_amounts, has_foreign, parts_of, till_entries

CLASSES = {"milk": "dairy", "bread": "bakery", "beer": "drinks", "fuel": "fuel"}


def entries(one: Event) -> dict[str, str]:
    """Entries as "component code" -> amount."""
    message = EVENT_DECODER.decode(raw(one)).data
    classes = tuple(CLASSES[x.sku] if x.kind == "item" else x.kind.value for x in message.lines)
    made = entries_of(message, classes)
    assert sum(amount for _, _, amount in made) == 0, made
    assert {component for component, _, _ in made} <= set(COMPONENTS)
    by_place = {f"{component} {code}": str(amount) for component, code, amount in made}
    assert len(by_place) == len(made), made
    return by_place


def test_a_sale_is_revenue_tax_and_tender() -> None:
    one = sale(1, line("milk", "2", "2.00", tax=("STD", "0.40")), line("bread", price="1.00", tax=("RED", "0.05")))
    assert entries(one) == {
        "revenue dairy": "-4.00",
        "tax STD": "-0.40",
        "revenue bakery": "-1.00",
        "tax RED": "-0.05",
        "tender cash": "5.45",
    }


def test_tax_may_be_in_the_price_of_some_lines() -> None:
    lines = (
        line("milk", "1", "2.20", tax=("STD", "0.20"), tax_included=True),
        line("bread", "1", "1.00", tax=("STD", "0.10")),
    )
    one = sale(1, *lines, total="3.30", tenders=[tender("3.30")])
    assert entries(one) == {
        "tax STD": "-0.30",
        "revenue dairy": "-2.00",
        "revenue bakery": "-1.00",
        "tender cash": "3.30",
    }
    without = sale(1, line("milk", "1", "2.00", tax=("STD", "0.20"), tax_included=False), tax_included=True)
    assert entries({**without, "data": {**without["data"], "total": "2.20", "tenders": [tender("2.20")]}}) == {
        "tax STD": "-0.20",
        "revenue dairy": "-2.00",
        "tender cash": "2.20",
    }


def test_what_the_ledger_does_not_look_at() -> None:
    """Foreign notes count at their value in the transaction's currency; points, the customer's currency not at all."""
    foreign = tender("2.00", foreign={"amount": "300", "currency": "JPY"})
    extra = {"presentment": {"amount": "1.80", "currency": "EUR"}, "loyalty": [{"account": "a", "earned": "2"}]}
    shown = line("bread", "1", "1.00", voided=True)
    one = sale(1, line("milk"), shown, tenders=[foreign], **extra)
    assert entries(one) == {"revenue dairy": "-2.00", "tender cash;JPY": "2.00"}
    kept = line("milk", "-1", "2.00", moves_stock=False)
    assert entries(returned(1, kept)) == {"revenue dairy": "2.00", "tender cash": "-2.00"}


def test_change_is_negative_cash_and_never_negative_revenue() -> None:
    one = sale(1, line("milk"), tenders=[tender("20.00"), tender("-18.00", change=True)])
    assert entries(one) == {"revenue dairy": "-2.00", "tender cash": "20.00", "change cash": "-18.00"}
    mixed = sale(1, line("milk"), tenders=[tender("20.00", "card"), tender("-18.00", change=True)])
    assert entries(mixed) == {"revenue dairy": "-2.00", "tender card": "20.00", "change cash": "-18.00"}


def test_codes_carry_what_rules_look_at() -> None:
    taxed = line("milk", taxes=[
        {"code": "STD", "amount": "0.12", "rate": "0.060", "jurisdiction": "NY; city"},
        {"code": "STD", "amount": "0.12", "rate": "0.06", "jurisdiction": "NY; city"},
        {"code": "CITY", "amount": "0.02", "jurisdiction": "NYC"},
        {"code": "EX", "amount": "0.01", "rate": "0"},
    ])  # fmt: skip
    paid = [tender("1.00", "card", acquirer="adyen"), tender("0.77", "card", acquirer="stripe"), tender("0.50")]
    one = sale(1, taxed, total="2.27", tenders=paid)
    assert entries(one) == {
        "revenue dairy": "-2.00",
        "tax STD;0.06;NY; city": "-0.24",
        "tax CITY;;NYC": "-0.02",
        "tax EX;0": "-0.01",
        "tender card;;adyen": "1.00",
        "tender card;;stripe": "0.77",
        "tender cash": "0.50",
    }
    assert parts_of("STD;0.06;NY; city") == ("STD", "0.06", "NY; city")
    assert parts_of("STD") == ("STD", "", "")


def test_a_code_with_another_rate_is_another_entry() -> None:
    """Whatever rate or jurisdiction a code had last: each line counts with its own."""
    rates = [("0.1", None), ("0.10", ""), ("0.1", "NY"), (None, "NY"), (None, None), ("0", None), ("0.1", None)]
    taxes = [{"code": "STD", "amount": "1.00"} | {"rate": rate, "jurisdiction": where} for rate, where in rates]
    one = sale(1, line("milk", price="10.00", taxes=taxes))
    assert {place: amount for place, amount in entries(one).items() if place.startswith("tax")} == {
        "tax STD;0.1": "-3.00",
        "tax STD;0.1;NY": "-1.00",
        "tax STD;;NY": "-1.00",
        "tax STD": "-1.00",
        "tax STD;0": "-1.00",
    }


def test_exempt_lines_have_no_tax_and_several_taxes_are_each_one() -> None:
    exempt = line("bread", price="3.00", tax_exempt=True)
    both = line("milk", price="10.00", taxes=[{"code": "STD", "amount": "1.00"}, {"code": "RED", "amount": "0.50"}])
    added = sale(1, exempt, both)
    assert entries(added) == {
        "revenue bakery": "-3.00",
        "revenue dairy": "-10.00",
        "tax STD": "-1.00",
        "tax RED": "-0.50",
        "tender cash": "14.50",
    }
    within = sale(1, exempt, both, tax_included=True)
    assert entries(within) == {
        "revenue bakery": "-3.00",
        "revenue dairy": "-8.50",
        "tax STD": "-1.00",
        "tax RED": "-0.50",
        "tender cash": "13.00",
    }


def test_a_layaway_is_paid_in_parts_and_handed_out_against_its_deposit() -> None:
    """Paid in by a layaway, taken out by a deposit line of the other sign on the sale that hands the goods out."""
    assert entries(transaction(1, "layaway", [line("milk", "1", "3.00")])) == {
        "liability deposit": "-3.00",
        "tender cash": "3.00",
    }
    out = sale(2, line("milk", "5", "2.00"), line("x", "-1", "3.00", kind="deposit"))
    assert entries(out) == {"revenue dairy": "-10.00", "liability deposit": "3.00", "tender cash": "7.00"}


def test_what_was_handed_over_in_another_currency_is_kept() -> None:
    given = tender("5.00", foreign={"amount": "4.50", "currency": "EUR"})
    back = tender("-3.00", foreign={"amount": "2.70", "currency": "EUR"}, change=True)
    message = EVENT_DECODER.decode(raw(sale(1, line("milk"), tenders=[given, back]))).data
    made = entries_of(message, ("dairy",))
    assert has_foreign(message)
    kept = dict(
        zip([f"{component} {code}" for component, code, _ in made], foreign_amounts(message, made), strict=True)
    )
    assert kept == {"revenue dairy": 0, "tender cash;EUR": Decimal("4.50"), "change cash;EUR": Decimal("-2.70")}


def test_revenue_is_gross_and_discounts_stand_beside_it() -> None:
    one = sale(1, line("milk", "2", "2.00", discount=("0.50", "promo")), line("milk", discount=("0.25", "")))
    assert entries(one) == {
        "discount promo": "0.50",
        "revenue dairy": "-6.00",
        "discount other": "0.25",
        "tender cash": "5.25",
    }


def test_tax_in_the_price_is_taken_out_of_revenue() -> None:
    one = sale(1, line("milk", "1", "2.20", tax=("STD", "0.20")), tax_included=True)
    assert entries(one) == {"tax STD": "-0.20", "revenue dairy": "-2.00", "tender cash": "2.20"}
    off = sale(1, line("milk", "1", "2.20", tax=("STD", "0.15"), discount=("0.55", "p")), tax_included=True)
    assert entries(off) == {"discount p": "0.55", "tax STD": "-0.15", "revenue dairy": "-2.05", "tender cash": "1.65"}


def test_a_gift_card_is_a_liability_when_sold_and_a_tender_when_redeemed() -> None:
    sold = sale(1, line("gc", "1", "50.00", kind="gift_card"))
    assert entries(sold) == {"liability gift_card": "-50.00", "tender cash": "50.00"}
    redeemed = sale(2, line("milk"), tenders=[tender("2.00", "gift_card")])
    assert entries(redeemed) == {"revenue dairy": "-2.00", "tender gift_card": "2.00"}


@pytest.mark.parametrize("kind", ["tip", "donation", "deposit"])
def test_tips_donations_and_deposits_are_liabilities(kind: str) -> None:
    one = sale(1, line("milk"), line("x", "1", "3.00", kind=kind))
    assert entries(one) == {"revenue dairy": "-2.00", f"liability {kind}": "-3.00", "tender cash": "5.00"}


@pytest.mark.parametrize("kind", ["service", "charge"])
def test_services_and_charges_are_revenue_of_their_own(kind: str) -> None:
    assert entries(sale(1, line("x", "1", "3.00", kind=kind))) == {f"revenue {kind}": "-3.00", "tender cash": "3.00"}


@pytest.mark.parametrize(("rounding", "paid"), [("0.02", "2.00"), ("-0.03", "1.95")])
def test_cash_rounding_is_no_tax(rounding: str, paid: str) -> None:
    one = sale(1, line("milk", price="1.98"), rounding=rounding)
    assert one["data"]["total"] == paid
    assert entries(one) == {
        "revenue dairy": "-1.98",
        "rounding cash": str(-Decimal(rounding)),
        "tender cash": paid,
    }


def test_what_a_tolerance_let_through_goes_to_a_line_of_its_own() -> None:
    one = sale(1, line("milk"), total="2.01", tenders=[tender("2.01")])
    assert entries(one) == {"revenue dairy": "-2.00", "tender cash": "2.01", "rounding tolerance": "-0.01"}


def test_voided_lines_and_tenders_have_no_effect() -> None:
    one = sale(
        1,
        line("milk"),
        line("bread", tax=("STD", "1.00"), discount=("0.10", "p"), voided=True),
        tenders=[tender("2.00"), tender("9.00", "card", voided=True)],
    )
    assert entries(one) == {"revenue dairy": "-2.00", "tender cash": "2.00"}


def test_a_return_and_a_post_void_reverse_a_sale() -> None:
    assert entries(returned(1)) == {"revenue dairy": "2.00", "tax STD": "0.20", "tender cash": "-2.20"}
    one = sale(1, line("milk", "2", "2.00", tax=("STD", "0.40"), discount=("0.10", "p")), rounding="0.02")
    forward, back = entries(one), entries(post_void(2, one))
    assert {place: str(-Decimal(amount)) for place, amount in forward.items()} == back


def test_an_exchange_counts_once() -> None:
    one = transaction(1, "exchange", [line("milk", "-1", "2.00"), line("bread", "1", "2.50")])
    assert entries(one) == {"revenue dairy": "2.00", "revenue bakery": "-2.50", "tender cash": "0.50"}
    even = transaction(1, "exchange", [line("milk", "-1", "2.00"), line("milk", "1", "2.00")])
    assert entries(even) == {}


def test_a_layaway_is_a_deposit_without_revenue() -> None:
    one = transaction(1, "layaway", [line("milk", "5", "2.00")])
    assert entries(one) == {"liability deposit": "-10.00", "tender cash": "10.00"}
    rounded = transaction(1, "layaway", [line("milk", price="1.98")], rounding="0.02")
    assert entries(rounded) == {"liability deposit": "-1.98", "rounding cash": "-0.02", "tender cash": "2.00"}


@pytest.mark.parametrize(
    ("kind", "amount"), [("pay_in", "5.00"), ("loan", "100.00"), ("pay_out", "-5.00"), ("pickup", "-100.00")]
)
def test_cash_management_moves_cash_alone(kind: str, amount: str) -> None:
    opposite = str(-Decimal(amount))
    assert entries(cash_movement(1, kind, amount)) == {f"cash_movement {kind}": opposite, "tender cash": amount}


@pytest.mark.parametrize("kind", ["training", "cancelled", "suspended", "resumed", "no_sale"])
def test_training_and_the_like_never_touch_the_ledger(kind: str) -> None:
    assert entries(transaction(1, kind, [line("milk")])) == {}


def test_zero_amounts_make_no_entry() -> None:
    assert entries(sale(1, line("milk", price="0.00", tax=("STD", "0.00")))) == {}


def test_over_and_short_per_tender() -> None:
    counts: list[Any] = [("cash", "100.00", "99.50"), ("card", "50.00", "50.00"), ("check", "10.00", "11.00")]
    made = till_entries(EVENT_DECODER.decode(raw(till_close(counts=counts))).data)
    assert made == [
        ("tender", "cash", Decimal("-0.50")),
        ("over_short", "cash", Decimal("0.50")),
        ("tender", "check", Decimal("1.00")),
        ("over_short", "check", Decimal("-1.00")),
    ]


def test_a_whole_day_balances_transaction_by_transaction() -> None:
    made = [entries(one) for one in trading_day() if one["type"] == "tillwire.transaction.v1"]
    assert sum(1 for one in made if one) == 10
