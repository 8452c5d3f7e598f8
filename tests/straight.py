"""What a hub must know after some events, computed straight from their JSON, without any code of the hub's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from builders import SELLING, Event

Place = tuple[Any, ...]
CASH_KINDS = ("pay_in", "pay_out", "loan", "pickup")
LIABILITIES = ("gift_card", "deposit", "tip", "donation")


class Straight:
    """Stock, subledger, completeness and control totals of events that break no rule."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.stock: dict[Place, Decimal] = defaultdict(Decimal)
        """(store, sku) -> on hand."""
        self.ledger: dict[Place, Decimal] = defaultdict(Decimal)
        """(store, day, component, code) -> amount, debit positive."""
        self.recorded: dict[Place, int] = defaultdict(int)
        """(store, register, day) -> transactions of every kind."""
        self.selling: dict[Place, list[Decimal]] = defaultdict(list)
        """(store, register, day) -> totals of transactions that sell."""
        self.sequences: dict[Place, set[int]] = defaultdict(set)
        self.tills: dict[Place, tuple[int, Decimal, Decimal]] = {}
        """(store, day, register, shift) -> transactions, amount, over or short."""
        self.days: dict[Place, tuple[int, Decimal]] = {}
        self._products: dict[str, dict[str, Any]] = {}
        ordered = sorted(events, key=lambda one: not one["type"].startswith("tillwire.master."))
        for one in ordered:
            name = "_" + one["type"].removeprefix("tillwire.").removesuffix(".v1").replace(".", "_")
            getattr(self, name.replace("-", "_"), self._nothing)(one["data"])

    def _nothing(self, data: dict[str, Any]) -> None:
        pass

    def _master_product(self, data: dict[str, Any]) -> None:
        self._products[data["sku"]] = data

    def _moved(self, data: dict[str, Any], one: dict[str, Any], sign: int) -> None:
        product = self._products[one["sku"]]
        unit = one.get("unit", "EA")
        factor = 1 if unit == product.get("unit", "EA") else Decimal(product["units"][unit])
        quantity = sign * Decimal(one["quantity"]) * factor
        if quantity:
            self.stock[(data["store"], one["sku"])] += quantity

    def _stock_movement(self, data: dict[str, Any]) -> None:
        for one in data["lines"]:
            self._moved(data, one, 1)

    def _transaction(self, data: dict[str, Any]) -> None:
        register = (data["store"], data["register"], data["business_date"])
        self.recorded[register] += 1
        self.sequences[register].add(data["sequence"])
        kind = data["kind"]
        day = (data["store"], data["business_date"])
        total, rounding = Decimal(data["total"]), Decimal(data.get("rounding", "0"))
        if kind in SELLING:
            self.selling[register].append(total)
            for one in data["lines"]:
                if not one.get("voided"):
                    self._line(day, data, one)
        elif kind == "layaway":
            self.ledger[(*day, "liability", "deposit")] -= total - rounding
        elif kind in CASH_KINDS:
            self.ledger[(*day, "cash_movement", kind)] -= total
        else:
            return
        self.ledger[(*day, "rounding", "cash")] -= rounding
        for one in data["tenders"]:
            if not one.get("voided"):
                self.ledger[(*day, "change" if one.get("change") else "tender", one["type"])] += Decimal(one["amount"])

    def _line(self, day: Place, data: dict[str, Any], one: dict[str, Any]) -> None:
        kind = one.get("kind", "item")
        if kind == "item":
            self._moved(data, one, -1)
        off = sum((Decimal(part["amount"]) for part in one.get("discounts", ())), Decimal(0))
        tax = sum((Decimal(part["amount"]) for part in one.get("taxes", ())), Decimal(0))
        for part in one.get("discounts", ()):
            self.ledger[(*day, "discount", part.get("reason") or "other")] += Decimal(part["amount"])
        for part in one.get("taxes", ()):
            self.ledger[(*day, "tax", part["code"])] -= Decimal(part["amount"])
        gross = Decimal(one["amount"]) + off - (tax if data.get("tax_included") else 0)
        if kind in LIABILITIES:
            self.ledger[(*day, "liability", kind)] -= gross
        else:
            code = self._products[one["sku"]]["product_class"] if kind == "item" else kind
            self.ledger[(*day, "revenue", code)] -= gross

    def _till_closed(self, data: dict[str, Any]) -> None:
        over = Decimal(0)
        for one in data["tenders"]:
            difference = Decimal(one["counted"]) - Decimal(one["calculated"])
            over += difference
            day = (data["store"], data["business_date"])
            self.ledger[(*day, "tender", one["type"])] += difference
            self.ledger[(*day, "over_short", one["type"])] -= difference
        place = (data["store"], data["business_date"], data["register"], data.get("shift", "1"))
        self.tills[place] = (data["totals"]["transactions"], Decimal(data["totals"]["amount"]), over)

    def _day_closed(self, data: dict[str, Any]) -> None:
        totals = data["totals"]
        self.days[(data["store"], data["business_date"])] = (totals["transactions"], Decimal(totals["amount"]))


def known(places: dict[Place, Decimal]) -> dict[Place, Decimal]:
    """Without what is zero."""
    return {place: amount for place, amount in places.items() if amount}
