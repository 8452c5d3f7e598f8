"""States that other systems report: stock levels and fulfilments. In whatever order they come, the newest counts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import psycopg

from tillwire.database import sql
from tillwire.events.recorded import InlineProjection, Recorded
from tillwire.model.stock import Fulfilment, StockLevel

_sql = sql.load("tillwire.inventory", "inventory.sql")


class ReportedStates(InlineProjection):
    """Gathers stock levels and fulfilments, the newest of each in a batch."""

    tables: Sequence[str] = ("stock_level", "fulfilment")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was gathered."""
        self._levels: dict[tuple[str, str], tuple[StockLevel, Decimal]] = {}
        self._fulfilments: dict[tuple[str, str], tuple[Fulfilment, tuple[Decimal | None, ...]]] = {}

    def apply(self, recorded: Recorded) -> None:
        """Gather a level or a fulfilment, unless a newer one is gathered already."""
        message = recorded.message
        factors = recorded.enrichment.factors
        if isinstance(message, StockLevel):
            place = (message.store, message.sku)
            if place not in self._levels or self._levels[place][0].revision < message.revision:
                factor = factors[0] if factors else None
                quantity = message.quantity if factor is None else message.quantity * factor
                self._levels[place] = (message, quantity)
        elif isinstance(message, Fulfilment):
            place = (message.store, message.document)
            if place not in self._fulfilments or self._fulfilments[place][0].revision < message.revision:
                self._fulfilments[place] = (message, factors)

    def write(self, connection: psycopg.Connection) -> None:
        """Store what is newer than what is stored."""
        with connection.cursor() as cursor:
            if self._levels:
                cursor.executemany(
                    _sql.set_levels,
                    [
                        (level.store, level.sku, quantity, level.at, level.revision)
                        for level, quantity in self._levels.values()
                    ],
                )
            if self._fulfilments:
                cursor.executemany(_sql.set_fulfilments, [_row(*found) for found in self._fulfilments.values()])
        self.begin()


def _row(one: Fulfilment, factors: tuple[Decimal | None, ...]) -> tuple[object, ...]:
    quantities = [
        line.quantity * factor if factors and (factor := factors[i]) is not None else line.quantity
        for i, line in enumerate(one.lines)
    ]
    return (
        one.store,
        one.document,
        one.order,
        one.state.value,
        one.revision,
        one.business_date,
        one.carrier,
        one.tracking,
        one.at,
        [line.sku for line in one.lines],
        quantities,
    )
