"""What a worker remembers of the past for one batch: asked for in bulk, kept current as the batch is recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.database.arrays import number_array, text_array
from tillwire.events.recorded import Enrichment, Past, Recorded, Reference
from tillwire.intake import rules_history as rules
from tillwire.intake.item import Item
from tillwire.intake.rules_history import Fact
from tillwire.inventory.movements import movements_of
from tillwire.model.money import ZERO
from tillwire.model.reversal import TransactionReversed
from tillwire.model.till import DayClosed, DayOpened, TillClosed
from tillwire.model.transaction import SELLING, Kind, Transaction

_sql = sql.load("tillwire.intake", "history.sql")

Place = tuple[str, date]
"""A store and its business date."""


def _place_of(key: str) -> Place:
    store, _, day, _ = key.split("/")
    return store, date.fromisoformat(day)


class Known(msgspec.Struct, gc=False):
    """What was accepted under one business key."""

    facts: dict[str, Fact] = {}
    """Per source, the newest version that is recorded."""
    recorded: int = 0
    accepted: bool = False
    """True if something was accepted under it that is not recorded."""

    def of(self, source: str) -> Fact | None:
        """What ``source`` said; else what another one did."""
        return self.facts.get(source) or next((self.facts[name] for name in sorted(self.facts)), None)


class Remembered:
    """The past, as far as the events of a batch need it."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._forget()

    def _forget(self) -> None:
        self._closed: set[Place] = set()
        self._expected: dict[str, list[tuple[str, int, bool]]] = {}
        self._known: dict[str, Known] = {}
        self._references: dict[str, list[Reference]] = defaultdict(list)
        self._made: dict[tuple[int, int], list[Reference]] = defaultdict(list)
        self._before: dict[tuple[int, int], tuple[Any, Enrichment]] = {}
        self._orders: dict[tuple[str, str], list[tuple[str, str, str, Place]]] = defaultdict(list)
        self._days: dict[str, dict[date, bool]] = {}
        self._expect: list[tuple[object, ...]] = []
        self._arrived: list[tuple[object, ...]] = []
        self._touched: dict[str, Place] = {}

    def begin(self, items: Sequence[Item]) -> None:
        """Forget the batch before, mark the items that have a past, and ask for all that they need."""
        self._forget()
        places: set[Place] = set()
        keys: dict[str, Place] = {}
        orders: set[str] = set()
        closing = voiding = False
        for item in items:
            if item.event is None:
                continue
            message = item.event.data
            kind = type(message)
            item.has_past = False
            if kind is Transaction:
                places.add((message.store, message.business_date))
                if message.version != 1 or message.original is not None or message.order is not None:
                    item.has_past = True
                else:
                    for line in message.lines:
                        if line.original is not None:
                            item.has_past = True
                            break
                if item.has_past:
                    self._want(message, keys, orders)
                    voiding = voiding or message.kind is Kind.POST_VOID
            elif kind is TillClosed or kind is DayClosed or kind is DayOpened:
                places.add((message.store, message.business_date))
                closing = item.has_past = True
                if kind is not DayOpened and message.version != 1:
                    keys[message.base_key] = (message.store, message.business_date)
        if places:
            self._ask_places(places)
        if keys:
            self._ask_past(keys)
        if voiding:
            self._ask_roots(keys)
        if orders:
            for order, company, source, channel, key, store, day in self._connection.execute(
                _sql.orders, (list(orders),)
            ):
                self._orders[(company, order)].append((source, channel, key, (store, day)))
        if closing or keys or self._closed or self._expected:
            self._mark(items, keys)
        if self._closed or closing:
            self._ask_days(places)

    @staticmethod
    def _want(tx: Transaction, keys: dict[str, Place], orders: set[str]) -> None:
        if tx.version != 1:
            keys[tx.base_key] = (tx.store, tx.business_date)
        for original, _ in rules.originals_of(tx):
            keys[original.key] = (original.store, original.business_date)
        if tx.order is not None:
            orders.add(tx.order)

    def _mark(self, items: Sequence[Item], keys: dict[str, Place]) -> None:
        """Mark what others in the batch need, what is expected, and what is late."""
        closing = set(self._closed)
        needed = keys.keys() | self._expected.keys()
        numbers = {key.rpartition("/")[2] for key in needed}
        for item in items:
            if item.event is None:
                continue
            message = item.event.data
            if type(message) is DayClosed:
                closing.add((message.store, message.business_date))
            if type(message) is Transaction and not item.has_past:
                item.has_past = (message.store, message.business_date) in closing or (
                    str(message.sequence) in numbers and message.base_key in needed
                )

    def _ask_places(self, places: set[Place]) -> None:
        ordered = sorted(places)
        parameters = {
            "stores": text_array([store for store, _ in ordered]),
            "dates": number_array([day for _, day in ordered]),
        }
        for store, day, key, source, version, group_id in self._connection.execute(_sql.places, parameters):
            if key is None:
                self._closed.add((store, day))
            else:
                self._expected.setdefault(key, []).append((source, version, group_id > 0))

    def _ask_days(self, places: set[Place]) -> None:
        firsts: dict[str, date] = {}
        for store, day in places:
            firsts[store] = min(firsts.get(store, day), day)
        parameters = {"stores": list(firsts), "firsts": list(firsts.values())}
        for store, day, closed in self._connection.execute(_sql.days_of, parameters):
            self._days.setdefault(store, {})[day] = closed

    def _ask_past(self, keys: dict[str, Place]) -> None:
        parameters: dict[str, object] = {
            "keys": list(keys),
            "stores": [store for store, _ in keys.values()],
            "dates": [day for _, day in keys.values()],
        }
        self._known |= {key: Known({}, 0) for key in keys}
        for base, key, source, *found in self._connection.execute(_sql.past_of, parameters):
            partition, offset, kind, currency, total, register, sequence, skus, quantities = found
            known = self._known[base]
            version = int(key.rpartition("@")[2]) if len(key) > len(base) else 1
            if partition is None:
                known.accepted = True
                continue
            if sequence is not None and base.split("/")[1::2] != [register, str(sequence)]:
                continue  # a person has edited it, and it was another transaction
            known.recorded += 1
            before = known.facts.get(source)
            if before is None or before.version < version:
                moved = tuple(zip(skus, quantities, strict=True)) if skus else ()
                known.facts[source] = Fact(version, partition, offset, kind, currency, total or ZERO, moved)
        facts = [fact for key in keys for fact in self._known[key].facts.values()]
        places = {(fact.partition, fact.offset) for fact in facts}
        parameters = {
            "keys": list(keys),
            "partitions": [partition for partition, _ in places],
            "offsets": [offset for _, offset in places],
        }
        for original, voids, skus, quantities, partition, offset in self._connection.execute(
            _sql.references, parameters
        ):
            reference = Reference(original, voids, tuple(skus), tuple(quantities))
            if original in keys:
                self._references[original].append(reference)
            if (partition, offset) in places:
                self._made[(partition, offset)].append(reference)

    def _ask_roots(self, keys: dict[str, Place]) -> None:
        """Also ask for what the voids of a batch may bring back into force: what those that they void did to others.

        Once is enough: what a void of a void undoes is all in the references of that one.
        """
        roots: dict[str, Place] = {}
        for references in self._made.values():
            for one in references:
                if one.original not in keys:
                    roots[one.original] = _place_of(one.original)
        if roots:
            self._ask_past(roots)
            keys |= roots

    def _wait(self, item: Item, key: str, place: Place) -> None:
        """The item will be looked at again when something happens to the transaction of that key."""
        known = self._known.get(key)
        self._touched.pop(key, None)
        seen = known.recorded if known is not None else 1
        self._expect.append((*place, key, "", seen, item.group_id, item.ordinal))
        self._expected.setdefault(key, []).append(("", seen, True))

    def note(self, item: Item, recorded: Recorded) -> None:
        """An item that has a past, or a reversal before it, is recorded: those behind it in the batch see it."""
        message, past, effect = recorded.message, recorded.enrichment.past, 1
        if type(message) is DayOpened or type(message) is DayClosed:
            closed = type(message) is DayClosed
            days = self._days.setdefault(message.store, {})
            days[message.business_date] = closed or days.get(message.business_date, False)
            if closed:
                self._closed.add((message.store, message.business_date))
            if not closed:
                return
        if isinstance(message, TransactionReversed):
            message, effect = message.transaction, -1
        base: str = message.base_key
        for one in past.references if past is not None and not recorded.superseded() else ():
            undone = Reference(one.original, effect * one.voids, one.skus, tuple(effect * q for q in one.quantities))
            self._references[one.original].append(undone)
            # A void, a correction: not a return, or its void, which make nothing right that was too much in its place.
            if one.voids or effect < 0 or message.version > 1:
                self._touched[one.original] = _place_of(one.original)
        if isinstance(message, Transaction) and past is not None and past.order is not None:
            self._note_order(message, recorded, past, effect)
        if effect < 0:
            return
        source = past.source if past is not None else item.event.source
        self._note_version(item, recorded, base, source)
        if base in self._expected:
            self._touched[base] = (message.store, message.business_date)

    def _note_order(self, tx: Transaction, recorded: Recorded, past: Past, effect: int) -> None:
        assert past.order is not None
        sold = self._orders[(recorded.enrichment.company, past.order)]
        row = (past.source, tx.channel or "", past.key, (tx.store, tx.business_date))
        if effect > 0:
            sold.append(row)
        elif row in sold:
            sold.remove(row)

    def _note_version(self, item: Item, recorded: Recorded, base: str, source: str) -> None:
        message = recorded.message
        known = self._known.get(base)
        fact = known.facts.get(source) if known is not None else None
        own: Place = (message.store, message.business_date)
        if recorded.superseded():
            if message.version == 1 and base in self._expected:
                self._arrived.append((*own, base, source))
            return
        if known is None:
            return
        if message.version > 1 and fact is None:
            self._expect.append((*own, base, source, message.version, 0, 0))
            self._expected.setdefault(base, []).append((source, message.version, False))
        moved: tuple[tuple[str, Decimal], ...] = ()
        if isinstance(message, Transaction) and message.kind in SELLING:
            movements = movements_of(message, recorded.enrichment.factors)
            moved = tuple((sku, quantity) for _, sku, quantity, _ in movements)
        kind = getattr(message, "kind", None)
        total = getattr(message, "total", ZERO)
        place = (recorded.partition, recorded.offset)
        known.facts[source] = Fact(message.version, *place, kind, message.currency, total, moved)
        known.recorded += 1
        past = recorded.enrichment.past
        self._before[place] = (message, recorded.enrichment)
        self._made[place] = list(past.references) if past is not None else []

    def write(self) -> bool:
        """Write what is expected and what has come, in the caller's transaction; true if somebody waits for that."""
        waited_for = False
        with self._connection.cursor() as cursor:
            if self._expect:
                cursor.executemany(_sql.expect, self._expect)
            if self._arrived:
                cursor.executemany(_sql.arrived, self._arrived)
            if self._touched:
                keys = sorted(self._touched)
                places = {
                    "stores": [self._touched[key][0] for key in keys],
                    "dates": [self._touched[key][1] for key in keys],
                    "keys": keys,
                }
                waited_for = cursor.execute(_sql.touched, places).rowcount > 0
        return waited_for
