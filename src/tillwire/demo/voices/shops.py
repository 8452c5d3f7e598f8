"""Two online shops that trade beside the stores: a Shopify one and a WooCommerce one, simulated over real HTTP.

Their webhooks come twice, late, in any order or never; what never came, the connectors fetch. What the shops themselves
know they sold is kept apart from the hub, to prove the hub against.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import TracebackType
from typing import Any, NamedTuple, Self
from zoneinfo import ZoneInfo

from tillwire.config import Connection
from tillwire.connectors.shopify.simulator import Faults as ShopifyFaults
from tillwire.connectors.shopify.simulator import ShopifySimulator
from tillwire.connectors.woocommerce.simulator import Faults as WooFaults
from tillwire.connectors.woocommerce.simulator import Shop as WooSimulator
from tillwire.demo.books import Books, Tally
from tillwire.demo.retailer import COMPANY, CURRENCY, TIME_ZONE
from tillwire.model.master import MasterRecord, StoreRecord, TaxCodeRecord, TenderRecord
from tillwire.model.till import ControlTotals, DayClosed

_OPENS = time(15, tzinfo=UTC)
"""Midday or morning in the shops' zone, winter or summer: an order never slips into another day."""
_ORDERS_A_DAY = (4, 12)
_REFUNDED, _SHIPPED = 0.15, 0.6
_PULL_EVERY_S = 1


class Sold(NamedTuple):
    """What a shop knows it sold, per business date, and what it took from stock (negative) in all."""

    days: dict[date, Tally]
    stock: dict[str, Decimal]


def _day(text: str) -> date:
    """The business date of a time in UTC."""
    moment = datetime.fromisoformat(text.rstrip("Z")).replace(tzinfo=UTC)
    return moment.astimezone(ZoneInfo(TIME_ZONE)).date()


class _Open:
    """A shop is open as long as its simulator serves."""

    simulator: Any

    def __enter__(self) -> Self:
        self.simulator.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.simulator.__exit__(kind, error, trace)


class ShopifyShop(_Open):
    """The Shopify shop."""

    name, store = "shopify", "9001"

    def __init__(self, *, seed: int, began: date) -> None:
        self._chance = random.Random(f"shopify/{seed}")
        faults = ShopifyFaults(duplicated=0.2, lost=0.1, late=0.15, shuffled=True)
        self.simulator = ShopifySimulator(seed=seed, began=datetime.combine(began, _OPENS), faults=faults)

    def connection(self, hub_url: str) -> Connection:
        """The connection that the hub has with the shop."""
        simulator = self.simulator
        inventory = {
            str(variant["inventory_item_id"]): variant["sku"]
            for product in simulator.shop.products.values()
            for variant in product["variants"]
        }
        settings: dict[str, Any] = {
            "shop": simulator.domain, "secret": simulator.secret, "token": simulator.token, "store": self.store,
            "pos_register": "pos", "time_zone": TIME_ZONE, "currency": CURRENCY, "url": simulator.url,
            "inventory_items": inventory, "callback_url": f"{hub_url}/v1/connections/{self.name}",
            "interval_s": _PULL_EVERY_S, "watch_interval_s": _PULL_EVERY_S, "backfill_days": 36_500,
        }  # fmt: skip
        return Connection(name=self.name, connector="shopify", settings=settings)

    def trade(self, day: date) -> None:
        """One day's orders, refunds and shipments; their webhooks go out."""
        shop, chance = self.simulator.shop, self._chance
        shop.now = max(shop.now, datetime.combine(day, _OPENS))
        for _ in range(chance.randint(*_ORDERS_A_DAY)):
            placed = shop.place(paid=chance.random() < 0.8)
            if chance.random() < _SHIPPED:
                shop.pay(placed)
                shop.fulfil(placed)
        for number in sorted(shop.orders):
            if chance.random() < _REFUNDED / 3:
                shop.refund(number, restock=chance.random() < 0.7)
        self.simulator.deliver()

    def finish(self) -> None:
        """What was held back goes out; what was lost stays lost."""
        self.simulator.release_late()
        self.simulator.deliver()

    def lost(self) -> int:
        """Webhooks that never went out."""
        return len(self.simulator.lost)

    def sold(self) -> Sold:
        """By the shop's own orders."""
        days: dict[date, Tally] = defaultdict(Tally)
        stock: dict[str, Decimal] = defaultdict(Decimal)
        shop = self.simulator.shop
        for order in shop.orders.values():
            if order["status"] not in ("paid", "partially_refunded", "refunded"):
                continue
            days[_day(order["created"])].add(shop.total(order))
            for item in order["items"]:
                stock[item["variant"]["sku"]] -= item["quantity"]
            for refund in order["refunds"]:
                days[_day(refund["created"])].add(-sum((one["amount"] for one in refund["transactions"]), Decimal(0)))
                for line in refund["lines"]:
                    if line["restock"] == "return":
                        stock[line["item"]["variant"]["sku"]] += line["quantity"]
        return Sold(dict(days), dict(stock))


def _code(line: dict[str, Any]) -> str:
    """What the hub knows a WooCommerce line's product by, where it has no SKU."""
    return line["sku"] or f"product:{line['variation_id'] or line['product_id']}"


class WooShop(_Open):
    """The WooCommerce shop."""

    name, store = "woocommerce", "9002"

    def __init__(self, *, seed: int, began: date) -> None:
        self._chance = random.Random(f"woocommerce/{seed}")
        faults = WooFaults(duplicated=0.2, lost=0.1, late=0.15, shuffled=True, failing=0.02)
        self.simulator = WooSimulator(seed, faults=faults, currency=CURRENCY)
        self.simulator.now = datetime.combine(began, _OPENS)
        for product in self.simulator.products.values():
            product["date_created_gmt"] = product["date_modified_gmt"] = f"{began}T00:00:00"

    def connection(self, hub_url: str) -> Connection:
        """The connection that the hub has with the shop."""
        simulator = self.simulator
        settings: dict[str, Any] = {
            "store": self.store, "time_zone": TIME_ZONE, "currency": CURRENCY, "url": simulator.url,
            "consumer_key": simulator.consumer_key, "consumer_secret": simulator.consumer_secret,
            "webhook_secret": "simulated-secret", "delivery_url": f"{hub_url}/v1/connections/{self.name}",
            "interval_s": _PULL_EVERY_S,
        }  # fmt: skip
        return Connection(name=self.name, connector="woocommerce", settings=settings)

    def trade(self, day: date) -> None:
        """One day's orders and refunds; their webhooks go out."""
        shop, chance = self.simulator, self._chance
        shop.now = max(shop.now, datetime.combine(day, _OPENS))
        for _ in range(chance.randint(*_ORDERS_A_DAY)):
            number = shop.place_order("processing" if chance.random() < 0.8 else "pending")
            if chance.random() < _SHIPPED:
                shop.set_status(number, "completed")
        for number, order in sorted(shop.orders.items()):
            if order["date_paid_gmt"] and not order["refunds"] and chance.random() < _REFUNDED / 3:
                shop.refund(number, whole=chance.random() < 0.5)
        shop.deliver()

    def finish(self) -> None:
        """What was held back goes out; what was lost stays lost."""
        self.simulator.faults.late = 0.0
        self.simulator.deliver()

    def lost(self) -> int:
        """Unknown: the simulator does not count them."""
        return 0

    def sold(self) -> Sold:
        """By the shop's own orders."""
        days: dict[date, Tally] = defaultdict(Tally)
        stock: dict[str, Decimal] = defaultdict(Decimal)
        shop = self.simulator
        for number, order in shop.orders.items():
            if not order["date_paid_gmt"]:
                continue
            cards = sum((Decimal(str(card["amount"])) for card in order.get("gift_cards", ())), Decimal(0))
            days[_day(order["date_created_gmt"])].add(Decimal(order["total"]) + cards)
            for line in order["line_items"]:
                stock[_code(line)] -= line["quantity"]
            for refund in shop.refunds.get(number, ()):
                days[_day(refund["date_created_gmt"])].add(-Decimal(refund["amount"]))
                for line in refund["line_items"]:
                    stock[_code(line)] -= line["quantity"]
        return Sold(dict(days), dict(stock))


Shop = ShopifyShop | WooShop


class Shops:
    """The online shops of the demo, from their first day to their last."""

    def __init__(self, *, seed: int, days: Iterable[date]) -> None:
        self.days = sorted(set(days))
        self.all: tuple[Shop, ...] = (
            ShopifyShop(seed=seed, began=self.days[0] - timedelta(days=1)),
            WooShop(seed=seed, began=self.days[0] - timedelta(days=1)),
        )
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        for shop in self.all:
            self._opened.enter_context(shop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def store_records(self) -> list[StoreRecord]:
        """The shops as stores of the master data."""
        return [
            StoreRecord(
                revision=1, store=shop.store, name=f"{shop.name} shop", company=COMPANY, currency=CURRENCY,
                time_zone=TIME_ZONE, registers=("web", "pos"),
            )
            for shop in self.all
        ]  # fmt: skip

    def master_records(self) -> list[MasterRecord]:
        """The shops' stores, and the taxes and tenders that they name. Products come from the shops themselves."""
        taxes = (("State Tax", "0.0825"), ("NL-BTW-1", "0.21"))
        tenders = ("shopify_payments", "stripe", "paypal", "cod")
        return [
            *self.store_records(),
            *(TaxCodeRecord(revision=1, code=code, name=code, rate=Decimal(rate)) for code, rate in taxes),
            *(TenderRecord(revision=1, type=kind, name=f"{kind}, online") for kind in tenders),
        ]

    def trade(self, check: Callable[[], None]) -> None:
        """All days, one after the other. Blocking; ``check`` raises to stop."""
        for day in self.days:
            check()
            for shop in self.all:
                shop.trade(day)
        for shop in self.all:
            shop.finish()

    def sales(self) -> int:
        """Sales and returns of all shops, by their own books."""
        return sum(tally.count for shop in self.all for tally in shop.sold().days.values())

    def enter(self, books: Books) -> list[DayClosed]:
        """Enter what the shops sold into the books; returns their day closes, as head office sends them."""
        closes = []
        for shop in self.all:
            sold = shop.sold()
            for sku, quantity in sold.stock.items():
                books.stock[(shop.store, sku)] += quantity
            for day, tally in sorted(sold.days.items()):
                books.captured.count += tally.count
                books.captured.amount += tally.amount
                books.kinds["online"] += tally.count
                books.store_days.add((shop.store, day))
                books.closed_later.add((shop.store, day))
                totals = ControlTotals(transactions=tally.count, amount=tally.amount)
                closes.append(DayClosed(store=shop.store, business_date=day, currency=CURRENCY, totals=totals))
        return closes
