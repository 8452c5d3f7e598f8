"""Valid events in a few words: what a test does not name is a plain, valid value.

Events are dictionaries as a source would write them; ``raw`` and ``batch`` make the bytes that are sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

Event = dict[str, Any]
Data = dict[str, Any]

DAY = date(2026, 3, 2)
STORE = "101"
REGISTERS = ("1", "2")
SELLING = ("sale", "return", "exchange", "post_void")


def event(event_type: str, data: Data, *, source: str = "urn:pos:test", event_id: str = "e-1", **more: Any) -> Event:
    """An event of ``event_type`` (without its ``tillwire.`` and ``.v1``)."""
    head = {"specversion": "1.0", "id": event_id, "source": source, "type": f"tillwire.{event_type}.v1"}
    return {**head, **more, "data": data}


def raw(one: Any) -> bytes:
    """The event as JSON."""
    return msgspec.json.encode(one)


def batch(events: Iterable[Any]) -> bytes:
    """Events as a JSON batch."""
    return b"[" + b",".join(item if isinstance(item, bytes) else raw(item) for item in events) + b"]"


def changed(one: Event, **data: Any) -> Event:
    """The event with other fields of its data."""
    return {**one, "data": {**one["data"], **data}}


# ---------------------------------------------------------------- master data


def store(number: str = STORE, *, currency: str = "USD", revision: int = 1, **more: Any) -> Event:
    """A store with two registers."""
    data = {
        "store": number,
        "name": f"Store {number}",
        "company": "ACME",
        "currency": currency,
        "time_zone": "America/New_York",
        "registers": list(REGISTERS),
        "revision": revision,
    }
    return event("master.store", {**data, **more})


def product(sku: str = "milk", product_class: str = "dairy", *, revision: int = 1, **more: Any) -> Event:
    """A product that is kept by the piece."""
    data = {"sku": sku, "name": sku, "product_class": product_class, "revision": revision}
    return event("master.product", {**data, **more})


def tax_code(code: str = "STD", rate: str = "0.10", *, revision: int = 1) -> Event:
    """A tax code."""
    return event("master.tax-code", {"code": code, "name": code, "rate": rate, "revision": revision})


def tender_type(name: str = "cash", *, revision: int = 1) -> Event:
    """A type of tender."""
    return event("master.tender", {"type": name, "name": name, "revision": revision})


def price(
    sku: str = "milk", amount: str = "2.00", since: str = "2026-01-01", *, revision: int = 1, **more: Any
) -> Event:
    """A price everywhere, from midnight of a day on; ``until`` names the day of whose midnight it ends."""
    data = {"sku": sku, "currency": "USD", "amount": amount, "effective_from": f"{since}T00:00:00"}
    if until := more.pop("until", None):
        data["effective_to"] = f"{until}T00:00:00"
    return event("master.price", {**data, "revision": revision, **more})


def customer(pseudonym: str = "C1", *, revision: int = 1, **more: Any) -> Event:
    """A customer."""
    return event("master.customer", {"customer": pseudonym, "revision": revision, **more})


def mapping(
    kind: str, external: str, ours: str, *, system: str = "urn:pos:test", revision: int = 1, **more: Any
) -> Event:
    """What a source calls ``external`` is ``ours``."""
    data = {"system": system, "kind": kind, "external": external, "ours": ours, "revision": revision}
    return event("master.mapping", {**data, **more})


def other_masters() -> list[Event]:
    """A master record of every kind that sales do not refer to."""
    company = {"company": "ACME", "revision": 1}
    dated = [{"effective_from": "2026-07-01", "rate": "0.12"}]
    parts = [{"sku": "milk", "quantity": "2"}, {"sku": "bread", "quantity": "1", "unit": "EA"}]
    return [
        event("master.register", {"store": STORE, "register": "9", "revision": 1}),
        product(
            "breakfast", "kits", components=parts, gtins=["4006381333931"], serial_controlled=True, tax_group="food"
        ),
        price(),
        price("beer", "22.00", "2026-03-01", until="2026-03-08", store=STORE, unit="CS", tax_included=True),
        event("master.tax-code", {"code": "VAT", "name": "VAT", "rate": "0.10", "rates": dated, "revision": 1}),
        event("master.tax-group", {"group": "food", "name": "Food", "codes": ["STD", "RED"], "revision": 1}),
        event("master.tender", {"type": "voucher", "name": "Voucher", "change_allowed": False, "revision": 1}),
        customer(),
        event("master.account", {"account": "4000", "name": "Sales", "kind": "revenue", **company}),
        event("master.period", {"period": "2026-03", "first": "2026-03-01", "last": "2026-03-31", **company}),
        mapping("product", "4711", "milk"),
    ]


def masters(*stores: Event) -> list[Event]:
    """What the other builders refer to: a store (or those given), four products, two tax codes, three tenders."""
    return [
        *(stores or (store(),)),
        product("milk", "dairy"),
        product("bread", "bakery"),
        product("beer", "drinks", units={"CS": "24", "SIX": "6"}),
        product("fuel", "fuel", unit="L", units={"GAL": "3.785"}),
        tax_code("STD", "0.10"),
        tax_code("RED", "0.05"),
        tender_type("cash"),
        tender_type("card"),
        tender_type("gift_card"),
    ]


# ---------------------------------------------------------------- transactions


def line(
    sku: str = "milk",
    quantity: str = "1",
    price: str = "2.00",
    *,
    tax: tuple[str, str] | None = None,
    discount: tuple[str, str] | None = None,
    **more: Any,
) -> Data:
    """A line whose amount is quantity x price less the discount (amount, reason); ``tax`` is (code, amount)."""
    off = Decimal(discount[0]) if discount else Decimal(0)
    made: Data = {"sku": sku, "quantity": quantity, "unit_price": price}
    made["amount"] = str(Decimal(quantity) * Decimal(price) - off)
    if more.get("kind") == "gift_card":
        made["reference"] = "GC-1"
    if discount:
        made["discounts"] = [{"amount": discount[0], "reason": discount[1]}]
    if tax:
        made["taxes"] = [{"code": tax[0], "amount": tax[1]}]
    return {**made, **more}


def total_of(lines: Iterable[Mapping[str, Any]], *, tax_included: bool = False, rounding: str = "0") -> Decimal:
    """What the customer owes for lines: amounts, tax unless it is in the prices, and rounding."""
    total = Decimal(rounding)
    for one in lines:
        if one.get("voided"):
            continue
        total += Decimal(one["amount"])
        if not tax_included:
            total += sum((Decimal(tax["amount"]) for tax in one.get("taxes", ())), Decimal(0))
    return total


def tender(amount: Any, kind: str = "cash", **more: Any) -> Data:
    """A means of payment."""
    number = {"reference": "GC-2"} if kind == "gift_card" else {}
    return {"type": kind, "amount": str(amount), **number, **more}


def transaction(
    sequence: int = 1,
    kind: str = "sale",
    lines: Sequence[Data] = (),
    *,
    store: str = STORE,
    register: str = "1",
    day: date = DAY,
    currency: str = "USD",
    tenders: Sequence[Data] | None = None,
    source: str = "urn:pos:test",
    **more: Any,
) -> Event:
    """A transaction of any kind whose total is that of its lines, paid in cash if nothing else is said."""
    included, rounding = more.get("tax_included", False), more.get("rounding", "0")
    total = Decimal(more.pop("total", total_of(lines, tax_included=included, rounding=rounding)))
    if tenders is None:
        tenders = [tender(total)] if total else []
    data = {
        "store": store,
        "register": register,
        "business_date": day.isoformat(),
        "sequence": sequence,
        "kind": kind,
        "currency": currency,
        "total": str(total),
        "lines": list(lines),
        "tenders": list(tenders),
    }
    identity = f"{store}-{register}-{day}-{sequence}"
    return event("transaction", {**data, **more}, source=source, event_id=identity)


def sale(sequence: int = 1, *lines: Data, **more: Any) -> Event:
    """A sale; of two pieces of milk at 2.00 with 10 % tax if no line is given."""
    return transaction(sequence, "sale", lines or (line("milk", "2", "2.00", tax=("STD", "0.40")),), **more)


def returned(sequence: int = 1, *lines: Data, **more: Any) -> Event:
    """A return; of one piece of milk if no line is given."""
    return transaction(sequence, "return", lines or (line("milk", "-1", "2.00", tax=("STD", "-0.20")),), **more)


def post_void(sequence: int, voided: Event) -> Event:
    """The reversal of a finished transaction: every line and tender with the other sign."""
    data = voided["data"]
    lines = [_reversed(one) for one in data["lines"]]
    tenders = [{**one, "amount": _negative(one["amount"])} for one in data["tenders"]]
    names = ("store", "register", "business_date", "sequence")
    return transaction(
        sequence,
        "post_void",
        lines,
        store=data["store"],
        register=data["register"],
        day=date.fromisoformat(data["business_date"]),
        currency=data["currency"],
        tenders=tenders,
        tax_included=data.get("tax_included", False),
        rounding=_negative(data.get("rounding", "0")),
        original={name: data[name] for name in names},
    )


def corrected(one: Event, version: int, *lines: Data, **data: Any) -> Event:
    """A later version of a transaction: with other lines (and what follows from them), or other fields."""
    old = one["data"]
    new = {**old, "version": version, **data}
    if lines:
        total = total_of(lines, tax_included=old.get("tax_included", False))
        new |= {"lines": list(lines), "total": str(total), "tenders": [tender(total)] if total else [], **data}
    return {**one, "id": f"{one['id']}@{version}", "data": new}


def original_of(one: Event) -> Data:
    """How a later transaction names an earlier one."""
    return {name: one["data"][name] for name in ("store", "register", "business_date", "sequence")}


def cash_movement(sequence: int, kind: str, amount: str, **more: Any) -> Event:
    """A pay-in or loan (positive), pay-out or pickup (negative)."""
    return transaction(sequence, kind, total=amount, **more)


def _negative(amount: str) -> str:
    return str(-Decimal(amount))


def _reversed(one: Data) -> Data:
    made = {**one, "quantity": _negative(one["quantity"]), "amount": _negative(one["amount"])}
    for name in ("discounts", "taxes"):
        if name in one:
            made[name] = [{**part, "amount": _negative(part["amount"])} for part in one[name]]
    return made


# ---------------------------------------------------------------- till and day


def totals_of(transactions: Iterable[Event]) -> Data:
    """The source's control totals of transactions."""
    selling = [one["data"] for one in transactions if one["data"].get("kind") in SELLING]
    amount = sum((Decimal(data["total"]) for data in selling), Decimal(0))
    return {"transactions": len(selling), "amount": str(amount)}


def till_open(register: str = "1", *, store: str = STORE, day: date = DAY, currency: str = "USD") -> Event:
    """A till is opened."""
    data = {"store": store, "register": register, "business_date": day.isoformat(), "currency": currency}
    return event("till.opened", data)


def till_close(
    transactions: Iterable[Event] = (),
    register: str = "1",
    *,
    store: str = STORE,
    day: date = DAY,
    currency: str = "USD",
    counts: Sequence[tuple[str, str, str]] = (),
    **more: Any,
) -> Event:
    """A till is closed with the totals of its transactions; ``counts`` are (tender, calculated, counted)."""
    data = {
        "store": store,
        "register": register,
        "business_date": day.isoformat(),
        "currency": currency,
        "totals": totals_of(one for one in transactions if one["data"].get("register") == register),
        "tenders": [{"type": kind, "calculated": due, "counted": found} for kind, due, found in counts],
    }
    return event("till.closed", {**data, **more})


def day_open(*, store: str = STORE, day: date = DAY) -> Event:
    """A store begins its day."""
    return event("day.opened", {"store": store, "business_date": day.isoformat()})


def day_close(
    transactions: Iterable[Event] = (), *, store: str = STORE, day: date = DAY, currency: str = "USD", **more: Any
) -> Event:
    """A store ends its day with the totals of its transactions."""
    totals = totals_of(transactions)
    data = {"store": store, "business_date": day.isoformat(), "currency": currency, "totals": totals}
    return event("day.closed", {**data, **more})


def movement(
    document: str = "D-1",
    lines: Sequence[tuple[str, str]] = (("milk", "10"),),
    *,
    reason: str = "receipt",
    store: str = STORE,
    day: date = DAY,
    **more: Any,
) -> Event:
    """Goods into (positive) or out of a store."""
    data = {
        "store": store,
        "business_date": day.isoformat(),
        "document": document,
        "reason": reason,
        "lines": [{"sku": sku, "quantity": quantity, **more} for sku, quantity in lines],
    }
    return event("stock.movement", data)


def trading_day(store: str = STORE, day: date = DAY) -> list[Event]:
    """A small whole day of one store: opened, every kind of transaction on two registers, closed with its totals."""
    at = {"store": store, "day": day}
    first = sale(
        1,
        line("milk", "2", "2.00", tax=("STD", "0.40")),
        line("beer", "1", "24.00", tax=("STD", "2.40"), unit="CS"),
        tenders=[tender("40.00"), tender("-9.20", change=True)],
        **at,
    )
    transactions = [
        first,
        sale(2, line("fuel", "10.123", "1.500", amount="15.18", unit="L"), tenders=[tender("15.18", "card")], **at),
        sale(3, line("gc", "1", "50.00", kind="gift_card", reference="GC1"), **at),
        sale(4, line("bread", "3", "1.00", discount=("0.50", "promo")), tenders=[tender("2.50", "gift_card")], **at),
        post_void(5, first),
        transaction(6, "training", [line("bread", "9", "1.00")], **at),
        transaction(7, "no_sale", **at),
        transaction(8, "suspended", [line("bread")], **at),
        cash_movement(9, "pickup", "-20.00", **at),
        transaction(10, "layaway", [line("deposit", "1", "5.00", kind="deposit")], **at),
        sale(1, line("milk", "1", "2.20", tax=("STD", "0.20")), tax_included=True, register="2", **at),
        returned(2, register="2", **at),
        transaction(3, "exchange", [line("milk", "-1", "2.00"), line("bread", "2", "1.00")], register="2", **at),
    ]
    return [
        day_open(**at),
        till_open(**at),
        *transactions,
        till_close(transactions, "1", counts=[("cash", "30.00", "29.50")], **at),
        till_close(transactions, "2", **at),
        day_close(transactions, **at),
    ]


def level(sku: str = "milk", quantity: str = "12", *, revision: int = 1, store: str = STORE, **more: Any) -> Event:
    """What a system says lies in a store."""
    data = {"store": store, "business_date": DAY.isoformat(), "sku": sku, "quantity": quantity, "revision": revision}
    return event("stock.level", {**data, "at": "2026-03-02T12:00:00Z", **more})


def fulfilment(document: str = "F1", *, revision: int = 1, store: str = STORE, **more: Any) -> Event:
    """Goods of an order that leave a store."""
    data = {"store": store, "business_date": DAY.isoformat(), "document": document, "order": "O1", "state": "shipped"}
    return event("fulfilment", {**data, "revision": revision, "lines": [{"sku": "milk", "quantity": "2"}], **more})
