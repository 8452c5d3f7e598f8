"""The stock ledger: an inline projection of every event that moves goods.

A sale moves stock out (negative), a return in. Quantities are in the product's stock unit: what was sold in another
unit is converted by the factor that master data gave when the event was recorded. Negative balances are normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import psycopg

from tillwire.database import sql
from tillwire.database.arrays import number_array, plain_text_array, text_array
from tillwire.database.copying import copy_rows, escaped
from tillwire.events.recorded import InlineProjection, Recorded
from tillwire.inventory.movements import ON_HAND, UNMOVED, movements_of
from tillwire.model.money import ZERO
from tillwire.model.reversal import TransactionReversed
from tillwire.model.stock import StockMovement
from tillwire.model.transaction import SELLING, LineKind, Transaction

_sql = sql.load("tillwire.inventory", "inventory.sql")
_ITEM = LineKind.ITEM


class StockLedger(InlineProjection):
    """Gathers movements and adds them up per store and item."""

    tables: Sequence[str] = ("stock_document", "stock_balance")
    copied: Sequence[str] = ("stock_document", "stock_balance")

    def __init__(self, *, into_empty: bool = False) -> None:
        """``into_empty``: a partition is rebuilt from its first event into empty tables, so that its balances are
        added up in memory and written once, at the end.
        """
        self._into_empty = into_empty
        self._balances: dict[str, dict[str, Decimal]] = {}
        self._unavailable: dict[str, dict[str, Decimal]] = {}
        self.begin()

    def begin(self) -> None:
        """Forget what was gathered."""
        self._rows: list[str] = []
        self._others: list[str] = []
        if not self._into_empty:
            self._balances = {}
            self._unavailable = {}

    def apply(self, recorded: Recorded) -> None:
        """Gather the movements of a transaction that sells, of its reversal, or of a stock movement."""
        message = recorded.message
        if isinstance(message, Transaction):
            if message.kind in SELLING and not (recorded.enrichment.past and recorded.superseded()):
                self._transaction(recorded, message)
        elif isinstance(message, TransactionReversed):
            if message.transaction.kind in SELLING:
                self._with_buckets(recorded, message.transaction, -1)
        elif isinstance(message, StockMovement):
            self._movement(recorded, message)

    def _transaction(self, recorded: Recorded, transaction: Transaction) -> None:
        factors = recorded.enrichment.factors
        balances = self._balances_of(transaction.store)
        numbers: list[int] = []
        skus: list[str] = []
        quantities: list[Decimal] = []
        for i, line in enumerate(transaction.lines):
            quantity = line.quantity
            if line.disposition is not None or not line.moves_stock:
                self._with_buckets(recorded, transaction, 1)
                return
            if not quantity or line.voided or line.kind is not _ITEM:
                continue
            factor = factors[i] if factors else None
            numbers.append(i)
            skus.append(line.sku)
            quantities.append(-quantity if factor is None else -quantity * factor)
        if numbers:
            for sku, moved in zip(skus, quantities, strict=True):
                balances[sku] = balances[sku] + moved if sku in balances else moved
            self._add(recorded, transaction.store, transaction.kind, numbers, skus, quantities)

    def _with_buckets(self, recorded: Recorded, transaction: Transaction, effect: int) -> None:
        """A transaction whose goods do not all lie on hand afterwards, or a reversal (``effect`` -1)."""
        movements = movements_of(transaction, recorded.enrichment.factors)
        if not movements:
            return
        for _, sku, quantity, bucket in movements:
            if bucket != UNMOVED:
                of = self._balances if bucket == ON_HAND else self._unavailable
                balances = of.setdefault(transaction.store, {})
                balances[sku] = balances.get(sku, ZERO) + effect * quantity
        items = escaped(text_array([sku for _, sku, _, _ in movements]))
        quantities = number_array([effect * quantity for _, _, quantity, _ in movements])
        self._others.append(
            f"{escaped(transaction.store)}\t{recorded.day}\t{recorded.offset}\t{transaction.kind!s}\t"
            f"{number_array([i for i, _, _, _ in movements])}\t{items}\t{quantities}\t"
            f"{plain_text_array([bucket for _, _, _, bucket in movements])}\n"
        )

    def _movement(self, recorded: Recorded, movement: StockMovement) -> None:
        factors = recorded.enrichment.factors
        balances = self._balances_of(movement.store)
        numbers: list[int] = []
        skus: list[str] = []
        quantities: list[Decimal] = []
        for i, line in enumerate(movement.lines):
            factor = factors[i] if factors else None
            moved = line.quantity if factor is None else line.quantity * factor
            if moved:
                numbers.append(i)
                skus.append(line.sku)
                quantities.append(moved)
                balances[line.sku] = balances.get(line.sku, ZERO) + moved
        if numbers:
            self._add(recorded, movement.store, movement.reason, numbers, skus, quantities)

    def _balances_of(self, store: str) -> dict[str, Decimal]:
        balances = self._balances.get(store)
        if balances is None:
            balances = self._balances[store] = {}
        return balances

    def _add(
        self,
        recorded: Recorded,
        store: str,
        reason: str,
        lines: list[int],
        skus: list[str],
        quantities: list[Decimal],
    ) -> None:
        if recorded.plain:
            items = plain_text_array(skus)
        else:
            store, items = escaped(store), escaped(text_array(skus))
        self._rows.append(
            f"{store}\t{recorded.day}\t{recorded.offset}\t{reason!s}\t{number_array(lines)}\t{items}\t"
            f"{number_array(quantities)}\n"
        )

    def write(self, connection: psycopg.Connection) -> None:
        """Copy the movements and add them to the balances, in the order of the key (no deadlocks, near pages)."""
        copy_rows(connection, _sql.copy_movements, self._rows)
        copy_rows(connection, _sql.copy_movements_with_buckets, self._others)
        if not self._into_empty:
            if self._balances:
                connection.execute(_sql.add_to_balances, _parameters(self._balances))
            if self._unavailable:
                connection.execute(_sql.add_to_unavailable, _parameters(self._unavailable))
        self.begin()

    def finish(self, connection: psycopg.Connection) -> None:
        """Copy the balances that were kept."""
        nothing: dict[str, Decimal] = {}
        for store, unavailable in self._unavailable.items():
            balances = self._balances.setdefault(store, {})
            for sku in unavailable:
                balances.setdefault(sku, ZERO)
        rows = [
            f"{escaped(store)}\t{escaped(sku)}\t{self._balances[store][sku]!s}\t"
            f"{self._unavailable.get(store, nothing).get(sku, ZERO)!s}\n"
            for store, sku in _places(self._balances)
        ]
        copy_rows(connection, _sql.copy_balances, rows)
        self._balances, self._unavailable = {}, {}


def _places(balances: dict[str, dict[str, Decimal]]) -> list[tuple[str, str]]:
    return [(store, sku) for store in sorted(balances) for sku in sorted(balances[store])]


def _parameters(balances: dict[str, dict[str, Decimal]]) -> dict[str, object]:
    places = _places(balances)
    return {
        "stores": text_array([store for store, _ in places]),
        "skus": text_array([sku for _, sku in places]),
        "quantities": number_array([balances[store][sku] for store, sku in places]),
    }


def on_hand(connection: psycopg.Connection, store: str, sku: str) -> Decimal:
    """What the ledger says lies in the store, in the product's stock unit; zero if it never moved there."""
    row = connection.execute(_sql.on_hand, (store, sku)).fetchone()
    return row[0] if row else ZERO
