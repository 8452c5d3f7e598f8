"""A simulated shop's trade: orders that are placed, paid, edited, refunded and shipped, on its own clock.

Everything follows from the seed. The same order is shown in the words of GraphQL and of REST.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tillwire.connectors.shopify.simulator.rendering import fulfilment_rest, order_rest, refund_rest

Changed = Callable[[str, dict[str, Any]], None]
"""Told of each change: a topic, and the object's webhook body."""

_CENT = Decimal("0.01")
_PRODUCTS = (
    ("MUG", "Kitchen", "12.50"),
    ("SCARF", "Clothing", "39.00"),
    ("TEA", "Food", "4.25"),
    ("LAMP", "Home", "79.90"),
)


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, rounding=ROUND_HALF_UP)


class Shop:
    """The state of one shop, in US dollars."""

    def __init__(self, *, seed: int, began: datetime, changed: Changed) -> None:
        self._random = random.Random(seed)
        self._changed = changed
        self.now = began.astimezone(UTC).replace(microsecond=0)
        self.orders: dict[int, dict[str, Any]] = {}
        self.levels: dict[tuple[int, int], dict[str, Any]] = {}
        self._last_id = 9_007_199_254_740_993
        self.products: dict[int, dict[str, Any]] = {}
        for sku, product_type, price in _PRODUCTS:
            self._add_product(sku, product_type, price)

    def next_id(self) -> int:
        """An id beyond 2^53, as Shopify's are on their way to be."""
        self._last_id += self._random.randint(1, 9)
        return self._last_id

    def pass_time(self, seconds: int) -> None:
        """Let the shop's clock go on."""
        self.now += timedelta(seconds=seconds)

    def _stamp(self) -> str:
        self.now += timedelta(seconds=1)
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _add_product(self, sku: str, product_type: str, price: str) -> None:
        own = self.next_id()
        variant = {"id": self.next_id(), "sku": sku, "barcode": "", "title": "Default Title", "price": price}
        variant["inventory_item_id"] = self.next_id()
        at = self._stamp()
        self.products[own] = {"id": own, "title": sku.title(), "product_type": product_type, "status": "active",
                              "created_at": at, "updated_at": at, "variants": [variant]}  # fmt: skip

    def place(self, *, paid: bool = True, pos: bool = False) -> int:
        """A customer orders one to three products; returns the order's id."""
        own, at = self.next_id(), self._stamp()
        items = []
        for product in self._random.sample(
            sorted(self.products.values(), key=lambda p: p["id"]), self._random.randint(1, 3)
        ):
            variant = product["variants"][0]
            quantity = self._random.randint(1, 3)
            price = Decimal(variant["price"])
            off = _cents(price * quantity / 10) if self._random.random() < 0.5 else Decimal(0)
            tax = _cents((price * quantity - off) * Decimal("0.0825"))
            items.append({"id": self.next_id(), "product": product, "variant": variant, "quantity": quantity,
                          "current": quantity, "price": price, "off": off, "tax": tax})  # fmt: skip
        order = {
            "id": own, "name": f"#{1000 + len(self.orders)}", "created": at, "updated": at, "items": items, "pos": pos,
            "shipping": Decimal(0) if pos else Decimal("5.90"), "status": "pending", "cancelled": None,
            "transactions": [], "refunds": [], "fulfillments": [], "customer": None if pos else self.next_id(),
        }  # fmt: skip
        self.orders[own] = order
        if paid:
            self._settle(order)
        self._tell("orders/create", order)
        if paid:
            self._tell("orders/paid", order)
        return own

    def total(self, order: dict[str, Any]) -> Decimal:
        """Lines, tax and shipping."""
        return sum((i["price"] * i["quantity"] - i["off"] + i["tax"] for i in order["items"]), order["shipping"])

    def _settle(self, order: dict[str, Any]) -> None:
        gateway = "cash" if order["pos"] else "shopify_payments"
        order["transactions"].append(self._transaction("sale", self.total(order), gateway))
        order["status"] = "paid"

    def _transaction(self, kind: str, amount: Decimal, gateway: str) -> dict[str, Any]:
        at = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"id": self.next_id(), "kind": kind, "status": "success", "gateway": gateway, "amount": amount, "at": at}

    def pay(self, order_id: int) -> None:
        """A waiting order is paid."""
        order = self.orders[order_id]
        if order["status"] == "pending" and order["cancelled"] is None:
            order["updated"] = self._stamp()
            self._settle(order)
            self._tell("orders/paid", order)
            self._tell("orders/updated", order)

    def refund(self, order_id: int, *, restock: bool = True, shipping: bool = False) -> None:
        """One piece of the first line that has one left goes back, with its money."""
        order = self.orders[order_id]
        item = next((i for i in order["items"] if i["current"]), None)
        if item is None or order["status"] not in ("paid", "partially_refunded"):
            return
        order["updated"] = at = self._stamp()
        before = item["quantity"] - item["current"]
        item["current"] -= 1

        def part(amount: Decimal) -> Decimal:
            return _cents(amount * (before + 1) / item["quantity"]) - _cents(amount * before / item["quantity"])

        subtotal, tax = part(item["price"] * item["quantity"] - item["off"]), part(item["tax"])
        money = subtotal + tax + (order["shipping"] if shipping else Decimal(0))
        gateway = order["transactions"][0]["gateway"]
        refund = {
            "id": self.next_id(), "created": at, "transactions": [self._transaction("refund", money, gateway)],
            "lines": [{"id": self.next_id(), "item": item, "quantity": 1, "subtotal": subtotal, "tax": tax,
                       "restock": "return" if restock else "no_restock"}],
            "shipping": order["shipping"] if shipping else Decimal(0),
        }  # fmt: skip
        order["refunds"].append(refund)
        left = any(i["current"] for i in order["items"])
        order["status"] = "partially_refunded" if left else "refunded"
        self._changed("refunds/create", refund_rest(order, refund))
        self._tell("orders/updated", order)

    def cancel(self, order_id: int) -> None:
        """An order that is not paid is cancelled."""
        order = self.orders[order_id]
        if order["status"] == "pending":
            order["updated"] = order["cancelled"] = self._stamp()
            order["status"] = "voided"
            self._tell("orders/cancelled", order)

    def fulfil(self, order_id: int) -> None:
        """All goods of an order leave."""
        order = self.orders[order_id]
        if not order["fulfillments"]:
            order["updated"] = at = self._stamp()
            fulfilment = {"id": self.next_id(), "created": at, "updated": at, "status": "success",
                          "lines": [(self.next_id(), i) for i in order["items"]]}  # fmt: skip
            order["fulfillments"].append(fulfilment)
            self._changed("fulfillments/create", fulfilment_rest(order, fulfilment))
            self._tell("orders/fulfilled", order)

    def count(self, sku: str, available: int, location: int = 61001) -> None:
        """The level of an item at a location is set."""
        product = next(p for p in self.products.values() if p["variants"][0]["sku"] == sku)
        item = product["variants"][0]["inventory_item_id"]
        level = {"item": item, "location": location, "available": available, "updated": self._stamp()}
        self.levels[item, location] = level
        body = {
            "inventory_item_id": item,
            "location_id": location,
            "available": available,
            "updated_at": level["updated"],
        }
        self._changed("inventory_levels/update", body)

    def rename(self, sku: str, title: str) -> None:
        """A product gets another title."""
        product = next(p for p in self.products.values() if p["variants"][0]["sku"] == sku)
        product["title"], product["updated_at"] = title, self._stamp()
        self._changed("products/update", product)

    def trade(self, steps: int) -> None:
        """Some random steps of trade."""
        for _ in range(steps):
            known = sorted(self.orders)
            step = self._random.choice(("place", "place", "wait", "pos", "pay", "refund", "cancel", "fulfil", "count"))
            if step in ("place", "wait", "pos") or not known:
                self.place(paid=step != "wait", pos=step == "pos")
            elif step == "count":
                self.count(self._random.choice(_PRODUCTS)[0], self._random.randint(-2, 40))
            elif step == "refund":
                self.refund(self._random.choice(known), restock=self._random.random() < 0.7)
            else:
                getattr(self, step)(self._random.choice(known))

    def _tell(self, topic: str, order: dict[str, Any]) -> None:
        self._changed(topic, order_rest(self, order))
