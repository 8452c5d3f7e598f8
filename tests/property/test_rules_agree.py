"""The walk that proves a transaction right, and the rules one by one, find the same faults in whatever comes."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
from builders import DAY, line, masters, product, raw, sale, store, tender, trading_day, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from tillwire.intake.rules import RULES, Auditor, Policy, Scope
from tillwire.intake.rules.registry import given as limits
from tillwire.intake.rules.registry import sums_of
from tillwire.masterdata.snapshot import Snapshot
from tillwire.model.event import EVENT_DECODER
from tillwire.model.transaction import CASH_MANAGEMENT, SELLING, Kind, LineKind, Transaction

TODAY = DAY + timedelta(days=3)


def snapshot() -> Snapshot:
    made = Snapshot()
    stores = (store(), store("81", currency="JPY"), store("82", currency="KWD"))
    for record in masters(*stores, product("phone", "phones")):
        made.put(EVENT_DECODER.decode(raw(record)).data)
    made.customers = {"c-1"}
    made.serial_controlled = {"phone"}
    made.tax_groups = {"G": frozenset({"STD"})}
    made.periods = {"ACME": [(DAY - timedelta(days=9), DAY - timedelta(days=1), False)]}
    return made


MASTER = snapshot()
POLICIES = [
    Policy(),
    Policy(total_tolerance_units=Decimal(2), over_payment_units=Decimal(5), under_payment_units=Decimal(1)),
    Policy(severities={"tax_rate_mismatch": "warning", "tax_mismatch": "off"}),
    Policy(extension_tolerance_units=Decimal(0), tolerances={"item_count_mismatch": Decimal(1)}),
]


def one_by_one(tx: Transaction, policy: Policy) -> list[tuple[str, str, str]]:
    """Every rule, called for everything it looks at: no shorter way, no order of importance."""
    by = limits(MASTER, policy, TODAY, tx.currency)
    found: list[tuple[str, str, str]] = []

    def judge(scope: Scope, place: str, *subject: Any) -> None:
        for rule in RULES:
            if rule.scope is scope and policy.severity(rule.code) != "off":
                found.extend((rule.code, text, place + pointer) for text, pointer in rule.check(*subject, by))

    judge(Scope.PLACE, "/data", tx)
    judge(Scope.KIND, "/data", tx)
    sells = tx.kind in SELLING or tx.kind is Kind.LAYAWAY
    if sells:
        for i, one in enumerate(tx.lines):
            if one.kind is LineKind.ITEM:
                judge(Scope.GOODS, f"/data/lines/{i}", one)
            if not one.voided:
                judge(Scope.LINE, f"/data/lines/{i}", one, tx)
        judge(Scope.HEADER, "/data", tx, sums_of(tx))
    if sells or tx.kind in CASH_MANAGEMENT:
        judge(Scope.AMOUNTS, "/data", tx)
        judge(Scope.PAYMENT, "/data", tx)
        for i, one in enumerate(tx.tenders):
            judge(Scope.TENDER, f"/data/tenders/{i}", one)
    return sorted(found)


FULL = sale(
    1,
    line("milk", "3", "0.333", amount="1.00", taxes=[{"code": "STD", "rate": "0.10", "amount": "0.10"}]),
    line("beer", "1", "24.00", discount=("2.00", "promo"), unit="CS", tax=("STD", "2.20")),
    line("fuel", "10.123", "1.500", amount="15.18", unit="L"),
    line("gc", "1", "50.00", kind="gift_card"),
    line("bread", "2", "1.00", taxes=[{"code": "RED", "rate": "0.05", "taxable": "2.00", "amount": "0.10"}]),
    tenders=[tender("10.00", "gift_card"), tender("100.00"), tender("-17.42", change=True)],
    net="90.18",
    tax="2.40",
    discount="2.00",
    item_count="7",
)
INCLUSIVE = sale(
    2,
    line("milk", "1", "2.20", taxes=[{"code": "STD", "rate": "0.10", "amount": "0.20"}], tax_included=True),
    line(
        "bread",
        "1",
        "1.15",
        taxes=[{"code": c, "rate": r, "amount": a} for c, r, a in (("STD", "0.10", "0.10"), ("RED", "0.05", "0.05"))],
    ),
    tax_included=True,
    rounding="0.02",
)
EXAMPLES = [FULL, INCLUSIVE, transaction(3, "layaway", [line("d", kind="deposit")])]
EXAMPLES += [one for one in trading_day() if one["type"] == "tillwire.transaction.v1"]

NUMBERS = st.sampled_from(
    ["0", "-0", "0.00", "0.01", "-0.01", "1", "2.000", "-2.00", "0.005", "0.100", "0.06", "3", "99"]
)
NUDGES = st.sampled_from(["0.01", "-0.01", "0.02", "0.001", "-0.10", "1", "0.000"])
CHANGES: dict[str, Any] = {
    "sku": st.sampled_from(["milk", "phone", "pear", "beer"]),
    "unit": st.sampled_from(["EA", "CS", "L", "PAL"]),
    "kind": st.sampled_from(["item", "service", "gift_card", "charge"]),
    "voided": st.booleans(),
    "serial": st.sampled_from([None, "", "S1"]),
    "reference": st.sampled_from([None, "GC-1", "GC-2"]),
    "discount": st.one_of(st.none(), NUMBERS),
    "tax": st.one_of(st.none(), NUMBERS),
    "tax_included": st.sampled_from([None, True, False]),
    "tax_exempt": st.booleans(),
    "tax_group": st.sampled_from([None, "G", "X"]),
}
HEADER: dict[str, Any] = {
    "kind": st.sampled_from([kind.value for kind in Kind]),
    "store": st.sampled_from(["101", "81", "82", "999"]),
    "register": st.sampled_from(["1", "3"]),
    "currency": st.sampled_from(["USD", "JPY", "KWD"]),
    "business_date": st.sampled_from([(DAY + timedelta(days=n)).isoformat() for n in (0, -3, 5, -4000)]),
    "customer": st.sampled_from([None, "c-1", "c-2"]),
    "tax_exempt": st.sampled_from([None, "diplomat"]),
    "tax_included": st.booleans(),
    "rounding": NUMBERS,
    "net": st.one_of(st.none(), NUMBERS),
    "tax": st.one_of(st.none(), NUMBERS),
    "discount": st.one_of(st.none(), NUMBERS),
    "item_count": st.one_of(st.none(), NUMBERS),
    "lines": st.just([]),
    "tenders": st.just([]),
}


def numbers_of(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(node, dict):
        return [found for key, value in node.items() for found in numbers_of(value, (*path, key))]
    if isinstance(node, list):
        return [found for i, value in enumerate(node) for found in numbers_of(value, (*path, i))]
    named = path and path[-1] in ("total", "quantity", "unit_price", "amount", "rate", "taxable", "net", "item_count")
    return [path] if named else []


@st.composite
def disturbed(draw: st.DrawFn) -> Transaction:
    """A transaction that is right, with some of its values nudged, set to others or contradicted."""
    one = EVENT_DECODER.decode(raw(draw(st.sampled_from(EXAMPLES))))
    data = msgspec.to_builtins(one.data, builtin_types=(Decimal,))
    for _ in range(draw(st.integers(0, 3))):
        what = draw(st.sampled_from(["number", "line", "header", "tender"]))
        if what == "number":
            *path, last = draw(st.sampled_from(numbers_of(data)))
            node = data
            for step in path:
                node = node[step]
            before = Decimal(node[last] or 0)
            nudged = before + Decimal(draw(NUDGES))
            node[last] = str(draw(st.sampled_from([Decimal(draw(NUMBERS)), nudged, -before])))
        elif what == "line" and data.get("lines"):
            name = draw(st.sampled_from(sorted(CHANGES)))
            draw(st.sampled_from(data["lines"]))[name] = draw(CHANGES[name])
        elif what == "tender" and data.get("tenders"):
            chosen = draw(st.sampled_from(data["tenders"]))
            chosen["type"] = draw(st.sampled_from(["cash", "card", "gift_card", "shells"]))
            chosen["voided"] = draw(st.booleans())
            chosen["reference"] = draw(st.sampled_from([None, "GC-1"]))
        else:
            name = draw(st.sampled_from(sorted(HEADER)))
            data[name] = draw(HEADER[name])
    return msgspec.convert(data, Transaction, strict=False)


@settings(max_examples=1_500, deadline=None)
@given(disturbed(), st.sampled_from(POLICIES))
def test_the_walk_finds_what_the_rules_find_and_nothing_else(tx: Transaction, policy: Policy) -> None:
    faults, _ = Auditor(MASTER, policy).check(tx, TODAY)
    assert sorted((fault.code, fault.message, fault.pointer) for fault in faults) == one_by_one(tx, policy)


def test_what_is_right_breaks_no_rule() -> None:
    for example in EXAMPLES:
        tx = EVENT_DECODER.decode(raw(example)).data
        assert one_by_one(tx, POLICIES[0]) == [], example
        assert Auditor(MASTER, POLICIES[0]).check(tx, TODAY)[0] == []
