"""The past of events, as tables: late arrivals, versions, what was done to originals, and the orders that were sold."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from tillwire.database import sql
from tillwire.database.copying import copy_rows, escaped
from tillwire.events.recorded import InlineProjection, Past, Recorded
from tillwire.model.money import ZERO
from tillwire.model.reversal import TransactionReversed
from tillwire.model.transaction import SELLING, Transaction

_sql = sql.load("tillwire.sales", "sales.sql")


class PastOfEvents(InlineProjection):
    """Gathers what is noted of events that have a past. A reversal takes back what its transaction had done."""

    tables: Sequence[str] = ("late_arrival", "reference_to", "version", "order_sale")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was gathered."""
        self._late: list[str] = []
        self._references: list[tuple[object, ...]] = []
        self._versions: list[tuple[object, ...]] = []
        self._orders: list[tuple[object, ...]] = []

    def apply(self, recorded: Recorded) -> None:
        """Gather the past of an event, if it has one."""
        past = recorded.enrichment.past
        if past is None:
            return
        message, effect = recorded.message, 1
        if isinstance(message, TransactionReversed):
            message, effect = message.transaction, -1
        place = (recorded.partition, recorded.offset)
        if past.outcome:
            self._versions.append((*place, past.key, past.source, message.version, past.outcome, past.by_version))
        if recorded.superseded():
            return
        if past.posted_date is not None:
            self._late.append(_late_row(recorded, message, effect))
        for one in past.references:
            quantities = [effect * quantity for quantity in one.quantities]
            voids = effect * one.voids
            self._references.append((*place, one.original, past.key, voids, list(one.skus), quantities))
        if past.order is not None:
            self._orders.append((*place, *_order(recorded, message, past), effect))

    def write(self, connection: psycopg.Connection) -> None:
        """Add what was gathered."""
        copy_rows(connection, _sql.copy_late, self._late)
        with connection.cursor() as cursor:
            for statement, rows in (
                (_sql.add_references, self._references),
                (_sql.add_versions, self._versions),
                (_sql.add_order_sales, self._orders),
            ):
                if rows:
                    cursor.executemany(statement, rows)
        self.begin()


def _late_row(recorded: Recorded, message: object, effect: int) -> str:
    sells = isinstance(message, Transaction) and message.kind in SELLING
    amount = effect * message.total if isinstance(message, Transaction) and sells else ZERO
    register, currency = getattr(message, "register", ""), getattr(message, "currency", "")
    return (
        f"{escaped(recorded.store)}\t{recorded.day}\t{recorded.offset}\t{recorded.posted_date()}\t{escaped(register)}\t"
        f"{currency}\t{effect if sells else 0}\t{amount}\n"
    )


def _order(recorded: Recorded, tx: Transaction, past: Past) -> tuple[object, ...]:
    return (
        recorded.enrichment.company,
        past.order,
        past.source,
        tx.channel or "",
        past.key,
        tx.store,
        tx.business_date,
    )
