"""Stock documents as ``stock.move``: goods between a store's location and where they come from or go to.

Tryton's stock moves have no place for a reference, and its shipments none for goods that go both ways, so this needs
the server-side module: it gives a move the reference and the number of its line, unique together, and posts the
moves of a document in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from tillwire.connectors.erp_run import Run
from tillwire.connectors.tryton.books import STOCK_MOVE, Objection, reference_objection
from tillwire.connectors.tryton.drafts import Desk, Entry, document_id, ids_of
from tillwire.connectors.tryton.lookup import Found, one_each
from tillwire.model.ledger import ErpDocument, StockDocument, StockLine

_COUNTER_TYPES = {"sale": "customer", "return": "customer", "receipt": "supplier"}
"""The type of the location that goods go to or come from, by reason; lost and found for what is not here."""
_TRANSFERS = frozenset({"transfer_shipped", "transfer_received"})
_TYPES = frozenset({"customer", "supplier", "lost_found"})
_PRICED = frozenset({"customer", "supplier"})

NEEDS_MODULE = (
    "Tryton's stock moves have no place for a reference: activate its module stock, and the module hub_reference of "
    "this project (erp-modules/tryton-hub-reference), or send this ERP no stock documents"
)


class _Product(NamedTuple):
    product_id: int
    unit_id: int
    symbol: str
    cost: Decimal


class Stock(msgspec.Struct, frozen=True):
    """What was looked up for one batch."""

    products: Mapping[str, Sequence[_Product]]
    by_code: Mapping[str, Sequence[int]]
    """Locations by code, those of a warehouse being its storage location."""
    by_type: Mapping[str, Sequence[int]]
    """The top locations of a type."""
    priced: frozenset[int]
    """Locations to or from which Tryton wants a price."""
    transit: int | None


class StockDesk(Desk):
    """Stock documents of one company. The identifier of a document is the numbers of its moves."""

    kind = "stock"
    model = STOCK_MOVE
    post_method = "hub_do"

    def entries(self, documents: Sequence[tuple[int, StockDocument]], run: Run) -> list[Entry]:
        """The documents as stock moves, one record per line."""
        if STOCK_MOVE not in self.company.unique:
            for position, _ in documents:
                run.reject(position, NEEDS_MODULE)
            return []
        stock = self._look_up([document for _, document in documents])
        entries = []
        for position, document in documents:
            objection = reference_objection(document.reference, document.company, self.settings)
            objection = objection or self._objection(document, stock)
            if objection is not None:
                run.reject(position, objection.words, objection.kind)
            else:
                records = [
                    self._move(document, number, line, stock) for number, line in enumerate(document.lines, start=1)
                ]
                entries.append(Entry(position, document.reference, records, len(records)))
        return entries

    def held(self, references: Sequence[str]) -> dict[str, ErpDocument]:
        """The documents whose moves have these references. A document is posted once all of its moves are
        done. As it has no number of its own, it goes by that of its first move's record.
        """
        if STOCK_MOVE not in self.company.unique:
            return {}
        domain = [["company", "=", self.company.company_id], ["hub_reference", "in", list(references)]]
        fields = ["hub_reference", "state", "effective_date", "create_uid"]
        order = [["hub_reference", "ASC"], ["hub_line", "ASC"]]
        by_reference: dict[str, list[dict[str, Any]]] = {}
        for row in self.client.call("model.stock.move.search_read", domain, 0, None, order, fields):
            by_reference.setdefault(row["hub_reference"], []).append(row)
        return one_each(
            self, [Found(_document(reference, rows), mine=True) for reference, rows in by_reference.items()]
        )

    def posted(self, ids: Sequence[int]) -> dict[int, bool]:
        """Whether moves are done."""
        rows = self.client.call("model.stock.move.search_read", [["id", "in", list(ids)]], 0, None, None, ["state"])
        return {row["id"]: row["state"] == "done" for row in rows}

    def filled(self, documents: Mapping[str, ErpDocument]) -> dict[str, ErpDocument]:
        """The documents with the goods that moved, in the order of their lines."""
        done = {reference: ids_of(document) for reference, document in documents.items() if document.posted}
        fields = ["product.code", "quantity", "unit.symbol", "hub_reason"]
        wanted = [number for ids in done.values() for number in ids]
        rows = {row["id"]: row for row in self.client.call("model.stock.move.read", wanted, fields)} if wanted else {}
        return {
            reference: msgspec.structs.replace(
                document, goods=tuple(self._goods(rows[number]) for number in done.get(reference, ()))
            )
            for reference, document in documents.items()
        }

    def _goods(self, row: dict[str, Any]) -> StockLine:
        reason, bucket, way = str(row["hub_reason"]).split("/")
        symbol = row["unit."]["symbol"]
        units = {theirs: ours for ours, theirs in self._units().items()}
        quantity = Decimal(str(row["quantity"])).normalize() + 0
        return StockLine(
            sku=row["product."]["code"],
            quantity=-quantity if way == "out" else quantity,
            unit=units.get(symbol, symbol),
            reason=reason,
            bucket=bucket,
        )

    def _units(self) -> dict[str, str]:
        return {"EA": "u", **self.settings.units}

    def _look_up(self, documents: Sequence[StockDocument]) -> Stock:
        """Products and locations, by two or three calls."""
        lines = [(document.store, line) for document in documents for line in document.lines]
        skus = sorted({line.sku for _, line in lines})
        products: dict[str, list[_Product]] = {}
        fields = ["code", "default_uom.symbol", "cost_price"]
        rows = self.client.call("model.product.product.search_read", [["code", "in", skus]], 0, None, None, fields)
        for row in rows:
            unit = row["default_uom."]
            made = _Product(row["id"], unit["id"], unit["symbol"], row["cost_price"] or Decimal(0))
            products.setdefault(row["code"], []).append(made)

        codes = {self._place(store, line) for store, line in lines} | set(self.settings.counter_locations.values())
        tops = [["type", "in", sorted(_TYPES)], ["parent", "=", None]]
        domain = ["OR", ["code", "in", sorted(codes)], tops]
        fields = ["code", "type", "parent", "storage_location"]
        by_code: dict[str, list[int]] = {}
        by_type: dict[str, list[int]] = {}
        priced: set[int] = set()
        for row in self.client.call("model.stock.location.search_read", domain, 0, None, None, fields):
            if row["code"] in codes:
                by_code.setdefault(row["code"], []).append(row["storage_location"] or row["id"])
            if row["type"] in _TYPES and row["parent"] is None:
                by_type.setdefault(row["type"], []).append(row["id"])
            if row["type"] in _PRICED:
                priced.add(row["id"])
        transit = None
        if any(line.reason in _TRANSFERS for _, line in lines):
            transit = self.client.call("model.ir.model.data.get_id", "stock", "location_transit")
        return Stock(products, by_code, by_type, frozenset(priced), transit)

    def _place(self, store: str, line: StockLine) -> str:
        """The code of the store's location for a bucket."""
        place = store if line.bucket == "on_hand" else f"{store}/{line.bucket}"
        return self.settings.stock_locations.get(place, place)

    def _counter(self, line: StockLine, stock: Stock) -> tuple[str, Sequence[int]]:
        """What to call the other location in words, and the locations that it may be."""
        code = self.settings.counter_locations.get(line.reason)
        if code is not None:
            return f"of code {code}", stock.by_code.get(code, ())
        if line.reason in _TRANSFERS:
            return "for transit", [stock.transit] if stock.transit else ()
        kind = _COUNTER_TYPES.get(line.reason, "lost_found")
        return f"of type {kind} without a parent", stock.by_type.get(kind, ())

    def _objection(self, document: StockDocument, stock: Stock) -> Objection | None:
        if not document.lines:
            return Objection("the document has no lines")
        for line in document.lines:
            found = stock.products.get(line.sku, ())
            if len(found) != 1:
                return Objection(f"the ERP has {len(found)} products of code {line.sku}, not one")
            wanted = self._units().get(line.unit, line.unit)
            if found[0].symbol != wanted:
                return Objection(
                    f"product {line.sku} is counted in {found[0].symbol} in the ERP, in {line.unit} here: "
                    "mend the product, or the connector's setting units"
                )
            place = self._place(document.store, line)
            if len(stock.by_code.get(place, ())) != 1:
                return Objection(
                    f"the ERP has {len(stock.by_code.get(place, ()))} stock locations of code {place}, not one: "
                    "give one that code, or say another by the connector's setting stock_locations"
                )
            words, counters = self._counter(line, stock)
            if len(counters) != 1:
                return Objection(
                    f"the ERP has {len(counters)} stock locations {words} for {line.reason}, not one: "
                    "say which by the connector's setting counter_locations"
                )
        return None

    def _move(self, document: StockDocument, number: int, line: StockLine, stock: Stock) -> dict[str, Any]:
        product = stock.products[line.sku][0]
        store = stock.by_code[self._place(document.store, line)][0]
        counter = self._counter(line, stock)[1][0]
        out = line.quantity < 0
        priced = counter in stock.priced
        return _values(self.company.company_id, document.books_date, product, abs(line.quantity)) | {
            "from_location": store if out else counter,
            "to_location": counter if out else store,
            "hub_reference": document.reference,
            "hub_line": number,
            "hub_reason": f"{line.reason}/{line.bucket}/{'out' if out else 'in'}",
            "unit_price": product.cost if priced else None,
            "currency": self.company.currency_id if priced else None,
        }


def _values(company: int, day: date, product: _Product, quantity: Decimal) -> dict[str, Any]:
    return {
        "company": company,
        "product": product.product_id,
        "unit": product.unit_id,
        # Tryton's quantities are floats; the shortest text of one is the decimal it was made of.
        "quantity": float(quantity),
        "planned_date": day,
        "effective_date": day,
    }


def _document(reference: str, rows: Sequence[dict[str, Any]]) -> ErpDocument:
    rows = sorted(rows, key=lambda row: row["id"])
    posted = all(row["state"] == "done" for row in rows)
    ids = [row["id"] for row in rows]
    return ErpDocument(
        reference=reference,
        document_id=document_id(ids),
        number=str(ids[0]) if posted else None,
        posted=posted,
        posting_date=rows[0]["effective_date"],
    )
