"""The sales subledger: an inline projection with one row per transaction and its double-entry components."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import psycopg

from tillwire.database import sql
from tillwire.database.arrays import number_array, text_array
from tillwire.database.copying import copy_rows, escaped
from tillwire.events.recorded import InlineProjection, Recorded
from tillwire.model.money import ZERO
from tillwire.model.reversal import TransactionReversed
from tillwire.model.till import TillClosed
from tillwire.model.transaction import Transaction
from tillwire.sales.entries import DISCOUNT, TAX, Entries, entries_of, foreign_amounts, has_foreign, till_entries

_sql = sql.load("tillwire.sales", "sales.sql")


class Subledger(InlineProjection):
    """Gathers transactions and till differences as rows."""

    tables: Sequence[str] = ("sale",)
    copied: Sequence[str] = ("sale",)

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was gathered."""
        self._sales: list[str] = []
        self._others: list[str] = []

    def apply(self, recorded: Recorded) -> None:
        """Gather a transaction, its reversal, or a till close with its over and short."""
        message = recorded.message
        if isinstance(message, Transaction):
            if recorded.enrichment.past is None and not has_foreign(message):
                self._transaction(recorded, message)
            elif not recorded.superseded():
                self._with_past(recorded, message, 1)
        elif isinstance(message, TillClosed):
            if not recorded.superseded():
                self._till(recorded, message)
        elif isinstance(message, TransactionReversed):
            self._with_past(recorded, message.transaction, -1)

    def _transaction(self, recorded: Recorded, tx: Transaction) -> None:
        entries = entries_of(tx, recorded.enrichment.classes)
        tax = discount = ZERO
        for component, _, amount in entries:
            if component is TAX:
                tax -= amount
            elif component is DISCOUNT:
                discount += amount
        plain = recorded.plain
        store, register = (tx.store, tx.register) if plain else (escaped(tx.store), escaped(tx.register))
        self._sales.append(
            f"{store}\t{recorded.day}\t{recorded.offset}\t{register}\t{tx.sequence}\t{tx.kind!s}\t"
            f"{tx.currency}\t{tx.total!s}\t{tax!s}\t{discount!s}\t{_columns(entries, plain=plain)}"
        )

    def _with_past(self, recorded: Recorded, tx: Transaction, effect: int) -> None:
        """A transaction or its reversal (``effect`` -1: all with the other sign), perhaps posted to a later day."""
        entries = [
            (component, code, effect * amount)
            for component, code, amount in entries_of(tx, recorded.enrichment.classes)
        ]
        tax = -sum([amount for component, _, amount in entries if component is TAX], ZERO)
        discount = sum([amount for component, _, amount in entries if component is DISCOUNT], ZERO)
        head = f"{tx.sequence}\t{tx.kind!s}\t{tx.currency}\t{effect * tx.total!s}\t{tax!s}\t{discount!s}"
        foreign = "\\N"
        if has_foreign(tx):
            foreign = number_array([effect * amount for amount in foreign_amounts(tx, entries)])
        self._other(recorded, tx.register, head, effect, entries, foreign)

    def _till(self, recorded: Recorded, till: TillClosed) -> None:
        entries = till_entries(till)
        past = recorded.enrichment.past
        if past is not None and past.before:  # a correction: what differs from the close that it corrects
            entries = _less(entries, past.before)
        self._other(recorded, till.register, f"\\N\t\\N\t{till.currency}\t0\t0\t0", 1, entries)

    def _other(
        self, recorded: Recorded, register: str, head: str, effect: int, entries: Entries, foreign: str = "\\N"
    ) -> None:
        posted = recorded.posted_date()
        own = recorded.day
        original = own if own != posted.isoformat() else "\\N"
        self._others.append(
            f"{escaped(recorded.store)}\t{posted}\t{recorded.offset}\t{effect}\t{original}\t{foreign}\t"
            f"{escaped(register)}\t{head}\t{_columns(entries, plain=False)}"
        )

    def write(self, connection: psycopg.Connection) -> None:
        """Copy the rows."""
        copy_rows(connection, _sql.copy_sales, self._sales)
        copy_rows(connection, _sql.copy_other_sales, self._others)
        self.begin()


def _less(entries: Entries, before: Sequence[tuple[str, str, Decimal]]) -> Entries:
    """``entries`` less those of ``before``, without what is zero."""
    amounts = {(component, code): amount for component, code, amount in entries}
    for component, code, amount in before:
        amounts[(component, code)] = amounts.get((component, code), ZERO) - amount
    return [(component, code, amount) for (component, code), amount in amounts.items() if amount]


def _columns(entries: Entries, *, plain: bool) -> str:
    """Components, codes and amounts as the last three columns of a COPY row."""
    codes = [code for _, code, _ in entries]
    shown = text_array(codes)  # a product class is master data's: it may have a quote in a plain event
    if not plain or "\\" in shown:
        shown = escaped(shown)
    components = ",".join([component for component, _, _ in entries])
    amounts = ",".join([str(amount) for _, _, amount in entries])
    return f"{{{components}}}\t{shown}\t{{{amounts}}}\n"
