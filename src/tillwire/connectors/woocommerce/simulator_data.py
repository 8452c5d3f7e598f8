"""What a simulated shop sells and how its orders add up, as WooCommerce computes and writes them (wc/v3)."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any

Json = dict[str, Any]

CENT = Decimal("0.01")
_FINE = Decimal("0.000001")
RATE_ID = 3
RATE = Decimal("0.21")
RATE_CODE = "NL-BTW-1"
_NAMES = ("Teapot", "Kettle", "Mug", "Bowl", "Plate", "Jug", "Tray", "Spoon", "Whisk", "Ladle")
_COLOURS = ("Blue", "Green", "Red")


def money(amount: Decimal) -> str:
    """An amount with two decimals, as the REST API writes it."""
    return str(amount.quantize(CENT, rounding=ROUND_HALF_UP))


def written(moment: datetime) -> str:
    """A time as WooCommerce writes it: in UTC, without saying so."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def catalogue(random: Random, count: int, now: datetime) -> dict[int, Json]:
    """Products by their number: simple ones with and without a SKU, and a variable one with its variations."""
    found: dict[int, Json] = {}
    for i in range(count):
        number = 100 + i
        price = Decimal(random.randrange(199, 9_999)) / 100
        name = f"{_NAMES[i % len(_NAMES)]} {i}"
        sku = "" if i % 7 == 5 else f"SKU-{i:03}"
        found[number] = product(number, name, sku, price, random.randrange(5, 200), now)
    parent = product(90, "Apron", "APRON", Decimal("24.95"), 0, now)
    numbers = [91 + i for i in range(len(_COLOURS))]
    found[90] = {**parent, "type": "variable", "manage_stock": False, "stock_quantity": None, "variations": numbers}
    for number, colour in zip(numbers, _COLOURS, strict=True):
        one = product(number, "Apron", f"APRON-{colour.upper()}", Decimal("24.95"), 20, now)
        attributes = [{"id": 1, "name": "Colour", "option": colour}]
        found[number] = {**one, "type": "variation", "parent_id": 90, "attributes": attributes}
    return found


def product(number: int, name: str, sku: str, price: Decimal, stock: int, now: datetime) -> Json:
    """A simple product."""
    return {
        "id": number,
        "name": name,
        "type": "simple",
        "status": "publish",
        "sku": sku,
        "price": money(price),
        "regular_price": money(price),
        "sale_price": "",
        "manage_stock": True,
        "stock_quantity": stock,
        "stock_status": "instock",
        "categories": [{"id": 7, "name": "Kitchen", "slug": "kitchen"}],
        "attributes": [],
        "parent_id": 0,
        "variations": [],
        "date_created_gmt": written(now),
        "date_modified_gmt": written(now),
    }


def order(
    random: Random, number: int, products: list[Json], now: datetime, *, currency: str, included: bool, status: str
) -> Json:
    """An order of one to four products, some with a coupon, shipping, a fee that lowers it, a gift card."""
    percent = Decimal(10) if random.random() < 0.3 else Decimal(0)
    bought = random.sample(products, min(len(products), random.randint(1, 4)))
    lines, taxes, owed = [], Decimal(0), Decimal(0)
    for i, one in enumerate(bought):
        quantity = random.randint(1, 3)
        before = Decimal(one["price"]) * quantity
        after = before - (before * percent / 100).quantize(CENT, rounding=ROUND_HALF_UP)
        line, tax = _line(number * 100 + i, one, quantity, before, after, included)
        lines.append(line)
        taxes += tax
        owed += after
    tax_total = taxes.quantize(CENT, rounding=ROUND_HALF_UP)
    shipping = Decimal("4.95") if random.random() < 0.5 else Decimal(0)
    shipping_tax = (shipping * RATE).quantize(CENT, rounding=ROUND_HALF_UP)
    fee = Decimal("-1.00") if random.random() < 0.2 else Decimal(0)
    total = owed + (Decimal(0) if included else tax_total) + shipping + shipping_tax + fee
    card = min(Decimal("2.00"), total) if random.random() < 0.15 else Decimal(0)
    paid = status not in ("pending", "on-hold", "failed")
    made: Json = {
        "id": number,
        "parent_id": 0,
        "number": f"W{number}",
        "status": status,
        "currency": currency,
        "prices_include_tax": included,
        "order_key": f"wc_order_{number}",
        "date_created_gmt": written(now),
        "date_modified_gmt": written(now),
        "date_paid_gmt": written(now) if paid else None,
        "discount_total": money(sum((Decimal(x["subtotal"]) - Decimal(x["total"]) for x in lines), Decimal(0))),
        "discount_tax": money(sum((Decimal(x["subtotal_tax"]) - Decimal(x["total_tax"]) for x in lines), Decimal(0))),
        "shipping_total": money(shipping),
        "shipping_tax": money(shipping_tax),
        "cart_tax": money(tax_total),
        "total": money(total - card),
        "total_tax": money(tax_total + shipping_tax),
        "customer_id": random.choice((0, 0, 11, 12, 13)),
        "payment_method": random.choice(("stripe", "paypal", "cod")),
        "transaction_id": f"ch_{number}",
        "billing": {"first_name": "Sam", "email": f"buyer{number}@shop.example"},
        "line_items": lines,
        "tax_lines": [_tax_line(tax_total, shipping_tax)],
        "shipping_lines": [_shipping(shipping, shipping_tax)] if shipping else [],
        "fee_lines": [_fee(fee)] if fee else [],
        "coupon_lines": [{"id": 1, "code": "ten", "discount": "0"}] if percent else [],
        "refunds": [],
    }
    if card:
        made["gift_cards"] = [{"id": 1, "code": "ABCD-EFGH-IJKL-MNOP", "amount": float(card)}]
    return made


def _line(
    number: int, one: Json, quantity: int, before: Decimal, after: Decimal, included: bool
) -> tuple[Json, Decimal]:
    """A line and its unrounded tax. Prices that include tax are told without it."""
    divisor = 1 + RATE if included else Decimal(1)
    subtotal, total = before / divisor, after / divisor
    tax = total * RATE
    made = {
        "id": number,
        "name": one["name"],
        "product_id": one["parent_id"] or one["id"],
        "variation_id": one["id"] if one["parent_id"] else 0,
        "quantity": quantity,
        "subtotal": money(subtotal),
        "subtotal_tax": money(subtotal * RATE),
        "total": money(total),
        "total_tax": money(tax),
        "taxes": [{"id": RATE_ID, "total": str(tax.quantize(_FINE)), "subtotal": ""}],
        "sku": one["sku"],
        "price": float(total / quantity),
        "meta_data": [],
    }
    return made, tax


def _tax_line(tax: Decimal, shipping_tax: Decimal) -> Json:
    return {
        "id": 1,
        "rate_code": RATE_CODE,
        "rate_id": RATE_ID,
        "label": "BTW",
        "compound": False,
        "tax_total": money(tax),
        "shipping_tax_total": money(shipping_tax),
        "rate_percent": 21,
    }


def _shipping(total: Decimal, tax: Decimal) -> Json:
    taxes = [{"id": RATE_ID, "total": money(tax), "subtotal": ""}]
    made = {"id": 2, "method_title": "Flat rate", "method_id": "flat_rate", "taxes": taxes}
    return {**made, "total": money(total), "total_tax": money(tax)}


def _fee(total: Decimal) -> Json:
    return {"id": 3, "name": "Loyal customer", "total": money(total), "total_tax": "0.00", "taxes": []}


def refund(number: int, of: Json, now: datetime, *, whole: bool) -> Json:
    """A refund of an order: of all that was paid, or of one piece of its first line."""
    lines: list[Json] = []
    amount = Decimal(0)
    for line in of["line_items"] if whole else of["line_items"][:1]:
        pieces = line["quantity"] if whole else 1
        share = Decimal(pieces) / line["quantity"]
        total = (Decimal(line["total"]) * share).quantize(CENT, rounding=ROUND_HALF_UP)
        tax = (Decimal(line["total_tax"]) * share).quantize(CENT, rounding=ROUND_HALF_UP)
        amount += total + tax
        lines.append(
            {
                **line,
                "id": number * 100 + len(lines),
                "quantity": -pieces,
                "subtotal": money(-total),
                "subtotal_tax": money(-tax),
                "total": money(-total),
                "total_tax": money(-tax),
                "taxes": [{"id": RATE_ID, "total": money(-tax), "subtotal": money(-tax)}],
                "meta_data": [{"id": 1, "key": "_refunded_item_id", "value": str(line["id"])}],
            }
        )
    shipping = []
    for line in of["shipping_lines"] if whole else []:
        amount += Decimal(line["total"]) + Decimal(line["total_tax"])
        taxes = [{"id": RATE_ID, "total": money(-Decimal(line["total_tax"])), "subtotal": ""}]
        total_tax = money(-Decimal(line["total_tax"]))
        shipping.append({**line, "total": money(-Decimal(line["total"])), "total_tax": total_tax, "taxes": taxes})
    fees = [{**line, "total": money(-Decimal(line["total"]))} for line in (of["fee_lines"] if whole else [])]
    amount -= sum((Decimal(line["total"]) for line in fees), Decimal(0))
    return {
        "id": number,
        "parent_id": of["id"],
        "date_created_gmt": written(now),
        "amount": money(amount),
        "reason": "",
        "refunded_by": 1,
        "refunded_payment": True,
        "line_items": lines,
        "shipping_lines": shipping,
        "fee_lines": fees,
    }
