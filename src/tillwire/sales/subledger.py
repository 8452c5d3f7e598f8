"""The sales subledger: an inline projection with one row per transaction and its double-entry components."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import psycopg

from tillwire.database import sql
from tillwire.database.copying import copy_rows, escaped
from tillwire.events.recorded import Recorded
from tillwire.model.till import TillClosed
from tillwire.model.transaction import Transaction
from tillwire.sales.entries import DISCOUNT, TAX, Entries, entries_of, till_entries

_sql = sql.load("tillwire.sales", "sales.sql")


class Subledger:
    """Gathers transactions and till differences as rows."""

    tables: Sequence[str] = ("sale", "ledger_entry")

    def __init__(self, *, mark_due: bool = True) -> None:
        """``mark_due`` is off in a replay: posting is a state, and a replay posts nothing."""
        self._mark_due = mark_due
        self.begin()

    def begin(self) -> None:
        """Forget what was gathered."""
        self._sales: list[str] = []
        self._entries: list[str] = []
        self._due: dict[tuple[str, date], int] = {}

    def apply(self, recorded: Recorded) -> None:
        """Gather a transaction, or a till close with its over and short."""
        message = recorded.message
        if isinstance(message, Transaction):
            self._transaction(recorded, message)
        elif isinstance(message, TillClosed):
            head = f"{escaped(message.store)}\t{message.business_date}\t{recorded.offset}\t"
            self._add(head, message.currency, till_entries(message), plain=False)
        else:
            return
        self._due[(message.store, message.business_date)] = recorded.offset

    def _transaction(self, recorded: Recorded, tx: Transaction) -> None:
        plain = recorded.plain
        store, register = (tx.store, tx.register) if plain else (escaped(tx.store), escaped(tx.register))
        entries = entries_of(tx, recorded.enrichment.classes)
        tax = -sum([amount for (component, _), amount in entries.items() if component == TAX])
        discount = sum([amount for (component, _), amount in entries.items() if component == DISCOUNT])
        self._sales.append(
            f"{store}\t{tx.business_date}\t{recorded.partition}\t{recorded.offset}\t{register}\t{tx.sequence}\t"
            f"{tx.kind.value}\t{tx.currency}\t{tx.total}\t{tax}\t{discount}\n"
        )
        self._add(f"{store}\t{tx.business_date}\t{recorded.offset}\t", tx.currency, entries, plain=plain)

    def _add(self, head: str, currency: str, entries: Entries, *, plain: bool) -> None:
        rows = self._entries
        for (component, code), amount in entries.items():
            rows.append(f"{head}{component}\t{code if plain else escaped(code)}\t{currency}\t{amount}\n")

    def write(self, connection: psycopg.Connection) -> None:
        """Copy the rows."""
        copy_rows(connection, _sql.copy_sales, self._sales)
        copy_rows(connection, _sql.copy_entries, self._entries)
        if self._due and self._mark_due:
            places = sorted(self._due)
            parameters = {
                "stores": [store for store, _ in places],
                "dates": [day for _, day in places],
                "offsets": [self._due[place] for place in places],
            }
            connection.execute(_sql.mark_due, parameters)
        self.begin()
