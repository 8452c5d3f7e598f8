"""Strategies of a retailer's days: every kind of transaction, built to break no rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from builders import (
    DAY,
    REGISTERS,
    Data,
    Event,
    cash_movement,
    day_close,
    day_open,
    line,
    masters,
    movement,
    original_of,
    post_void,
    store,
    tender,
    till_close,
    till_open,
    total_of,
    transaction,
)
from hypothesis import strategies as st

from tillwire.model.cash import cash_unit
from tillwire.model.money import quantum, rounded

CURRENCIES = ("USD", "USD", "JPY", "KWD")
ITEMS = (
    ("milk", "EA"),
    ("bread", "EA"),
    ("beer", "EA"),
    ("beer", "SIX"),
    ("beer", "CS"),
    ("fuel", "L"),
    ("fuel", "GAL"),
)
OTHERS = ("gift_card", "tip", "donation", "deposit", "service", "charge")
WITHOUT_EFFECT = ("training", "cancelled", "suspended", "resumed", "no_sale")
CASH = ("pay_in", "pay_out", "loan", "pickup")
TENDERS = ("cash", "card", "gift_card")


@dataclass
class Shop:
    """A store with what it has sold so far."""

    number: str
    currency: str
    tax_included: bool
    sequences: dict[tuple[str, date], int] = field(default_factory=dict)

    def next_sequence(self, register: str, day: date) -> int:
        """The next number of a register on a day."""
        place = (register, day)
        self.sequences[place] = self.sequences.get(place, 0) + 1
        return self.sequences[place]


def units(currency: str, least: int, most: int) -> st.SearchStrategy[Decimal]:
    """Amounts of so many minor units of a currency."""
    return st.integers(least, most).map(lambda count: count * quantum(currency))


@st.composite
def lines(draw: st.DrawFn, shop: Shop, sign: int) -> Data:
    """One line; what is returned has a negative quantity and amount."""
    kind = draw(st.sampled_from(("item",) * 6 + OTHERS))
    sku, unit = draw(st.sampled_from(ITEMS)) if kind == "item" else (kind, "EA")
    if sku == "fuel":
        quantity = draw(st.decimals("0.001", 60, places=3))
        price = draw(st.decimals(0, 3, places=3))
    else:
        quantity = Decimal(draw(st.integers(0, 6)))
        price = draw(units(shop.currency, 0, 3000))
    gross = rounded(quantity * price, shop.currency)
    off = draw(st.integers(0, 100)) * gross / 100 if draw(st.booleans()) else Decimal(0)
    off = rounded(off, shop.currency)
    amount = gross - off
    made = line(sku, str(sign * quantity), str(price), amount=str(sign * amount), unit=unit, kind=kind)
    if off:
        made["discounts"] = [{"amount": str(sign * off), "reason": draw(st.sampled_from(("", "promo", "staff")))}]
    taxed = draw(st.sampled_from(((), (), ("STD",), ("STD", "RED"))))
    made["taxes"] = [
        {"code": code, "amount": str(sign * rounded(amount * draw(st.integers(0, 30)) / 100, shop.currency))}
        for code in taxed
    ]
    made["voided"] = draw(st.sampled_from((False, False, False, True)))
    return made


@st.composite
def tenders(draw: st.DrawFn, shop: Shop, total: Decimal) -> list[Data]:
    """Means of payment that come to ``total``: several, with change in cash, and voided ones."""
    paid = []
    left = total
    for kind in draw(st.lists(st.sampled_from(TENDERS), max_size=2)):
        part = draw(units(shop.currency, 0, 4000))
        if kind == "gift_card":  # pays no more than is owed: what is left on it is not paid out
            part = min(part, max(left, Decimal(0)))
        paid.append(tender(part, kind))
        left -= part
    if left:
        paid.append(tender(left, "cash", change=left < 0))
    if draw(st.booleans()):
        paid.append(tender(draw(units(shop.currency, 1, 500)), "card", voided=True))
    return paid


@st.composite
def transactions(draw: st.DrawFn, shop: Shop, day: date, before: list[Event]) -> Event:
    """A transaction of any kind; ``before`` are those that a post-void may reverse."""
    register = draw(st.sampled_from(REGISTERS))
    sequence = shop.next_sequence(register, day)
    at = {"store": shop.number, "register": register, "day": day, "currency": shop.currency}
    selling = ("sale",) * 5 + ("return", "exchange", "layaway")
    kind = draw(st.sampled_from((*selling, "post_void", *CASH, *WITHOUT_EFFECT)))
    voided = [one["data"]["original"] for one in before if one["data"]["kind"] == "post_void"]
    reversible = [
        one
        for one in before
        if one["data"]["kind"] in ("sale", "return", "exchange", "post_void")
        and one["data"]["register"] == register
        and original_of(one) not in voided
    ]
    if kind == "post_void" and reversible:
        return post_void(sequence, draw(st.sampled_from(reversible)))
    if kind in CASH:
        amount = draw(units(shop.currency, 1, 50_000)) * (1 if kind in ("pay_in", "loan") else -1)
        return cash_movement(sequence, kind, str(amount), **at)
    if kind in WITHOUT_EFFECT:
        return transaction(sequence, kind, draw(st.lists(lines(shop, 1), max_size=2)), **at)
    if kind == "post_void":
        kind = "sale"
    signs = {"return": [-1], "exchange": [-1, 1]}.get(kind, [1])
    sold = [draw(lines(shop, sign)) for sign in signs for _ in range(draw(st.integers(1, 3)))]
    if all(one["voided"] for one in sold):
        sold[0]["voided"] = False
    most = min(2, int(cash_unit(shop.currency) / quantum(shop.currency)))
    rounding = str(draw(units(shop.currency, -most, most)))
    before_rounding = total_of(sold, tax_included=shop.tax_included)
    if abs(before_rounding) <= 2 * quantum(shop.currency):  # rounding never turns a sale into a refund
        rounding = "0"
    total = before_rounding + Decimal(rounding)
    paid = draw(tenders(shop, total))
    return transaction(sequence, kind, sold, tenders=paid, rounding=rounding, tax_included=shop.tax_included, **at)


@st.composite
def days(draw: st.DrawFn, shop: Shop, day: date) -> list[Event]:
    """One trading day of a store, closed or not, with goods that move besides."""
    sold: list[Event] = []
    for _ in range(draw(st.integers(0, 6))):
        sold.append(draw(transactions(shop, day, sold)))
    at = {"store": shop.number, "day": day}
    events = [day_open(**at), *sold]
    for number in range(draw(st.integers(0, 2))):
        quantity = str(draw(st.integers(-20, 100)))
        events.append(movement(f"{day}-{number}", [("beer", quantity), ("milk", "7")], unit="EA", **at))
    if draw(st.booleans()):
        due, found = (str(draw(units(shop.currency, 0, 9000))) for _ in range(2))
        events.append(till_open(currency=shop.currency, **at))
        events += [
            till_close(sold, register, currency=shop.currency, counts=[("cash", due, found)], **at)
            for register in REGISTERS
        ]
    if draw(st.sampled_from((True, True, False))):
        events.append(day_close(sold, currency=shop.currency, **at))
    return events


@st.composite
def retailers(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """Master data, and the events of several stores over one or two days."""
    shops = [
        Shop(f"S{number}", draw(st.sampled_from(CURRENCIES)), draw(st.booleans()))
        for number in range(draw(st.integers(1, 3)))
    ]
    records = masters(*(store(shop.number, currency=shop.currency) for shop in shops))
    dates = [DAY + timedelta(days=offset) for offset in range(draw(st.integers(1, 2)))]
    return records, [one for shop in shops for day in dates for one in draw(days(shop, day))]
