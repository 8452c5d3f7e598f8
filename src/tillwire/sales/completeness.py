"""Completeness: per store, register and business date what was recorded, against the source's own control totals.

Sequence numbers are kept as a multirange, whatever order they come in: its holes are the sequence gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import psycopg

from tillwire.database import sql
from tillwire.events.recorded import InlineProjection, Recorded
from tillwire.model.money import ZERO
from tillwire.model.reversal import TransactionReversed
from tillwire.model.till import DayClosed, DayOpened, TillClosed
from tillwire.model.transaction import SELLING, Transaction

_sql = sql.load("tillwire.sales", "sales.sql")


class _Counter:
    __slots__ = ("amount", "recorded", "selling", "sequences")

    def __init__(self) -> None:
        self.recorded = 0
        self.selling = 0
        self.amount = ZERO
        self.sequences: list[int] = []


class Completeness(InlineProjection):
    """Gathers counts and amounts per register and day, control totals, and the notes of rules."""

    tables: Sequence[str] = ("completeness", "till_close", "store_day", "rule_note")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was gathered."""
        self._counters: dict[tuple[str, str, date, str], _Counter] = {}
        self._tills: list[tuple[object, ...]] = []
        self._opened: list[tuple[object, ...]] = []
        self._closed: list[tuple[object, ...]] = []
        self._notes: dict[tuple[str, date, str], int] = {}

    def apply(self, recorded: Recorded) -> None:
        """Gather a transaction or its reversal, a till close, or the opening or closing of a store's day."""
        message = recorded.message
        effect = 1
        if recorded.enrichment.past is not None and recorded.superseded():
            return
        if isinstance(message, Transaction):
            self._transaction(message, 1)
        elif isinstance(message, TransactionReversed):
            effect = -1
            self._transaction(message.transaction, -1)
        elif isinstance(message, TillClosed):
            over_short = sum((tender.counted - tender.calculated for tender in message.tenders), ZERO)
            totals = message.totals
            self._tills.append(
                (
                    message.store,
                    message.business_date,
                    message.register,
                    message.shift,
                    recorded.offset,
                    message.currency,
                    totals.transactions,
                    totals.amount,
                    over_short,
                    totals.first_sequence,
                    totals.last_sequence,
                )
            )
        elif isinstance(message, DayOpened):
            self._opened.append((message.store, message.business_date, recorded.offset))
        elif isinstance(message, DayClosed):
            totals = message.totals
            self._closed.append(
                (
                    message.store,
                    message.business_date,
                    recorded.offset,
                    message.currency,
                    totals.transactions,
                    totals.amount,
                )
            )
        if recorded.enrichment.notes:
            for rule, lines in recorded.enrichment.notes.items():
                place = (message.store, message.business_date, rule)
                self._notes[place] = self._notes.get(place, 0) + effect * lines

    def _transaction(self, tx: Transaction, effect: int) -> None:
        place = (tx.store, tx.register, tx.business_date, tx.currency)
        counter = self._counters.get(place)
        if counter is None:
            counter = self._counters[place] = _Counter()
        counter.recorded += effect
        counter.sequences.append(tx.sequence)
        if tx.kind in SELLING:
            counter.selling += effect
            counter.amount += effect * tx.total

    def write(self, connection: psycopg.Connection) -> None:
        """Add to the counters and store the control totals."""
        if self._counters:
            self._write_counters(connection)
        with connection.cursor() as cursor:
            if self._tills:
                cursor.executemany(_sql.add_till_close, self._tills)
            if self._opened:
                cursor.executemany(_sql.open_day, self._opened)
            if self._closed:
                cursor.executemany(_sql.close_day, self._closed)
        if self._notes:
            places = sorted(self._notes)
            parameters = {
                "stores": [store for store, _, _ in places],
                "dates": [day for _, day, _ in places],
                "rules": [rule for _, _, rule in places],
                "lines": [self._notes[place] for place in places],
            }
            connection.execute(_sql.add_notes, parameters)
        self.begin()

    def _write_counters(self, connection: psycopg.Connection) -> None:
        places = sorted(self._counters)
        counters = [self._counters[place] for place in places]
        parameters = {
            "stores": [store for store, _, _, _ in places],
            "registers": [register for _, register, _, _ in places],
            "dates": [day for _, _, day, _ in places],
            "recorded": [counter.recorded for counter in counters],
            "selling": [counter.selling for counter in counters],
            "amounts": _numerics([counter.amount for counter in counters]),
            "currencies": [currency for _, _, _, currency in places],
            "sequences": [_multirange(counter.sequences) for counter in counters],
        }
        connection.execute(_sql.add_completeness, parameters)


def _numerics(amounts: list[Decimal]) -> str:
    return "{" + ",".join(map(str, amounts)) + "}"


def _multirange(sequences: list[int]) -> str:
    """The numbers as a PostgreSQL multirange of runs: [3, 1, 2, 7] is {[1,4),[7,8)}."""
    runs: list[list[int]] = []
    for number in sorted(sequences):
        if runs and number <= runs[-1][1]:
            runs[-1][1] = max(runs[-1][1], number + 1)
        else:
            runs.append([number, number + 1])
    return "{" + ",".join(f"[{first},{end})" for first, end in runs) + "}"
