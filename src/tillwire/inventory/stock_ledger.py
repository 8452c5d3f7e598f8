"""The stock ledger: an inline projection of every event that moves goods.

A sale moves stock out (negative), a return in. Quantities are in the product's stock unit: what was sold in another unit
is converted by the factor that master data gave when the event was recorded. Negative balances are normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import psycopg

from tillwire.database import sql
from tillwire.database.copying import copy_rows, escaped
from tillwire.events.recorded import Recorded
from tillwire.model.money import ZERO
from tillwire.model.stock import StockMovement
from tillwire.model.transaction import SELLING, LineKind, Transaction

_sql = sql.load("tillwire.inventory", "inventory.sql")


class StockLedger:
    """Gathers movements and adds them up per store and item."""

    tables: Sequence[str] = ("stock_movement", "stock_balance")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was gathered."""
        self._rows: list[str] = []
        self._balances: dict[tuple[str, str], Decimal] = {}

    def apply(self, recorded: Recorded) -> None:
        """Gather the movements of a transaction that sells or of a stock movement."""
        message = recorded.message
        if isinstance(message, Transaction):
            if message.kind in SELLING:
                self._transaction(recorded, message)
        elif isinstance(message, StockMovement):
            self._movement(recorded, message)

    def _transaction(self, recorded: Recorded, transaction: Transaction) -> None:
        store = transaction.store
        plain = recorded.plain
        head = f"{store if plain else escaped(store)}\t{transaction.business_date}\t{recorded.offset}\t"
        reason = transaction.kind.value
        rows, balances = self._rows, self._balances
        for i, (line, factor) in enumerate(zip(transaction.lines, recorded.enrichment.factors, strict=True)):
            quantity = line.quantity
            if line.voided or not quantity or line.kind is not LineKind.ITEM:
                continue
            moved = -quantity if factor is None else -quantity * factor
            sku = line.sku
            rows.append(f"{head}{i}\t{sku if plain else escaped(sku)}\t{reason}\t{moved}\n")
            place = (store, sku)
            balances[place] = balances.get(place, ZERO) + moved

    def _movement(self, recorded: Recorded, movement: StockMovement) -> None:
        head = f"{escaped(movement.store)}\t{movement.business_date}\t{recorded.offset}\t"
        for i, (line, factor) in enumerate(zip(movement.lines, recorded.enrichment.factors, strict=True)):
            moved = line.quantity if factor is None else line.quantity * factor
            if not moved:
                continue
            self._rows.append(f"{head}{i}\t{escaped(line.sku)}\t{movement.reason.value}\t{moved}\n")
            place = (movement.store, line.sku)
            self._balances[place] = self._balances.get(place, ZERO) + moved

    def write(self, connection: psycopg.Connection) -> None:
        """Copy the movements and add them to the balances, in the order of the key (no deadlocks, near pages)."""
        copy_rows(connection, _sql.copy_movements, self._rows)
        if self._balances:
            places = sorted(self._balances)
            parameters = {
                "stores": [store for store, _ in places],
                "skus": [sku for _, sku in places],
                "quantities": "{" + ",".join(str(self._balances[place]) for place in places) + "}",
            }
            connection.execute(_sql.add_to_balances, parameters)
        self.begin()


def on_hand(connection: psycopg.Connection, store: str, sku: str) -> Decimal:
    """What the ledger says lies in the store, in the product's stock unit; zero if it never moved there."""
    row = connection.execute(_sql.on_hand, (store, sku)).fetchone()
    return row[0] if row else ZERO
