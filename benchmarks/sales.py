"""Sales to measure with: generated ones of four lines, and the real baskets of the demo's retailer."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

LINES = 4
STORES = 200
PRODUCTS = 20_000
BUSINESS_DATE = "2026-11-19"


def event(event_type: str, identifier: str, source: str, data: dict[str, Any]) -> dict[str, Any]:
    """A CloudEvent in structured mode."""
    return {
        "specversion": "1.0",
        "id": identifier,
        "source": source,
        "type": event_type,
        "time": "2026-11-19T12:10:28-05:00",
        "data": data,
    }


def master() -> list[dict[str, Any]]:
    """Stores, products, tax codes and tenders of the generated sales."""
    records = [
        event(
            "tillwire.master.store.v1",
            f"store-{n}",
            "urn:bench",
            {
                "store": f"B{n}",
                "name": f"Store {n}",
                "company": "1",
                "currency": "USD",
                "time_zone": "America/New_York",
                "registers": ["1", "2", "3"],
                "revision": 1,
            },
        )
        for n in range(STORES)
    ]
    records += [
        event(
            "tillwire.master.product.v1",
            f"product-{n}",
            "urn:bench",
            {"sku": f"P{n:07}", "name": f"Product {n}", "product_class": f"CLASS {n % 25}", "revision": 1},
        )
        for n in range(PRODUCTS)
    ]
    tax = {"code": "STD", "name": "standard", "rate": "0.06", "revision": 1}
    tenders = [{"type": kind, "name": kind, "revision": 1} for kind in ("cash", "card")]
    records.append(event("tillwire.master.tax-code.v1", "tax-std", "urn:bench", tax))
    return records + [event("tillwire.master.tender.v1", f"tender-{t['type']}", "urn:bench", t) for t in tenders]


def generated(count: int, *, seed: int, register: str = "1") -> Iterator[dict[str, Any]]:
    """Sales of four lines: two of them discounted, all taxed, paid in cash with change. Prices in USD."""
    chance = random.Random(seed)
    for n in range(count):
        store = f"B{n // 100 % STORES}"
        lines = []
        net = tax = discount = 0
        for line in range(LINES):
            cents = chance.randrange(50, 2000)
            off = 15 if line % 2 else 0
            amount = cents - off
            line_tax = round(amount * 6 / 100)
            lines.append(
                {
                    "sku": f"P{chance.randrange(PRODUCTS):07}",
                    "quantity": "1",
                    "unit_price": _money(cents),
                    "amount": _money(amount),
                    "taxes": [{"code": "STD", "rate": "0.06", "amount": _money(line_tax)}],
                    **({"discounts": [{"amount": _money(off), "reason": "loyalty"}]} if off else {}),
                }
            )
            net, tax, discount = net + amount, tax + line_tax, discount + off
        total = net + tax
        data = {
            "store": store,
            "register": register,
            "business_date": BUSINESS_DATE,
            "sequence": seed * 10_000_000 + n,
            "kind": "sale",
            "currency": "USD",
            "total": _money(total),
            "tax": _money(tax),
            "discount": _money(discount),
            "ended_at": "2026-11-19T12:10:28-05:00",
            "lines": lines,
            "tenders": [
                {"type": "cash", "amount": _money(total + 500)},
                {"type": "cash", "amount": _money(-500), "change": True},
            ],
        }
        yield event("tillwire.transaction.v1", f"sale-{seed}-{n}", f"urn:pos:{store}", data)


def _money(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02}"


def price_tables(count: int, size: int) -> list[bytes]:
    """Prices of the generated products, everywhere and in single stores, as CSV bodies of ``size`` rows."""
    head = "sku,store,currency,amount,effective_from\n"
    rows = [
        f"P{n % PRODUCTS:07},{f'B{n // PRODUCTS}' if n >= PRODUCTS else ''},USD,{_money(50 + n % 2000)},2026-01-01\n"
        for n in range(count)
    ]
    return [(head + "".join(rows[i : i + size])).encode() for i in range(0, count, size)]


def batches(events: Sequence[dict[str, Any]], size: int) -> list[bytes]:
    """The events as JSON bodies of ``size``."""
    return [msgspec.json.encode(events[i : i + size]) for i in range(0, len(events), size)]


def joined(events: Sequence[bytes], size: int) -> list[bytes]:
    """Events that are JSON already as bodies of ``size``."""
    return [b"[" + b",".join(events[i : i + size]) + b"]" for i in range(0, len(events), size)]
