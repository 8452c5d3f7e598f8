"""What the past says of an event: a correction, a late arrival, a return, a void, a sale of an order.

A plain sale has no past that matters, and is not looked at. See ``rules_history`` for the rules themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.events.log import Append, read_events
from tillwire.events.recorded import RECORDED, REVERSED, SUPERSEDED, Enrichment, Past, Recorded, Reference
from tillwire.exceptions.codes import BLOCKING, OFF, WARNING
from tillwire.intake import rules_history as rules
from tillwire.intake.item import Item
from tillwire.intake.remembered import Remembered
from tillwire.intake.rules import Fault, Policy
from tillwire.intake.rules_history import Fact, LatePolicy, Standing
from tillwire.model.event import ReversedEvent
from tillwire.model.fields import iso_text
from tillwire.model.reversal import TransactionReversed
from tillwire.model.till import DayClosed, DayOpened, TillClosed
from tillwire.model.transaction import SELLING, Kind, Transaction
from tillwire.sales.entries import till_entries

_sql = sql.load("tillwire.intake", "history.sql")
_enrichments = msgspec.msgpack.Decoder(Enrichment)

HUB = "urn:tillwire"
"""The source of events that the hub itself makes."""


class Judgement(msgspec.Struct, gc=False):
    """What the past says of an event: faults, or its enrichment and the reversal that goes before it."""

    faults: list[Fault]
    enrichment: Enrichment
    reversal: tuple[Any, bytes, Enrichment] | None = None
    """Event, raw JSON, enrichment."""


def late_policy(_: str) -> LatePolicy:
    """The policy of every store, unless configuration says otherwise."""
    return LatePolicy()


class History(Remembered):
    """Judges the events of one batch after the other by their past."""

    def __init__(self, connection: psycopg.Connection, late: Callable[[str], LatePolicy], policy: Policy) -> None:
        super().__init__(connection)
        self._late = late
        self._policy = policy

    def outdated(self, item: Item) -> bool:
        """True if an event that broke a rule is superseded: nobody needs to mend it; it is recorded without effect."""
        message = item.event.data
        if item.faults[0].code == "processing_failed" or type(message) is DayOpened:
            return False
        if self._newest(message, item.event.source)[0] <= message.version:
            return False
        item.faults = []
        return True

    def look_back(self, item: Item, append: Append, today: date) -> list[Recorded]:
        """Add the past to an event: its faults by their severity, its enrichment; returns the reversal that goes before
        it, if it corrects something, which has been given its offset.
        """
        item.looked_back = True
        judgement = self._judge(item, item.enrichment, today)
        source = item.event.source
        faults = list(item.warnings)
        for fault in judgement.faults:
            severity = self._policy.severity(fault.code, source)
            if fault.severity == WARNING and severity == BLOCKING:
                severity = WARNING
            if severity != OFF:
                faults.append(msgspec.structs.replace(fault, severity=severity))
        if faults:
            item.take(faults)
        if item.faults:
            return []
        item.enrichment = judgement.enrichment
        if judgement.reversal is None:
            return []
        event, raw, enrichment = judgement.reversal
        # It has no place of its own at intake, only the correction's.
        place = {"partition": item.partition, "group_id": item.group_id, "ordinal": -1 - item.ordinal}
        return [append.add(event, raw, enrichment, **place)]

    def _newest(self, message: Any, source: str) -> tuple[int, Fact | None]:
        """The newest version that is recorded (0: none), with what is known of it."""
        base = message.base_key
        known = self._known.get(base)
        fact = known.facts.get(source) if known is not None else None
        newest = fact.version if fact is not None else 0
        if message.version == 1:
            for whose, version, waiter in self._expected.get(base, ()):
                if not waiter and whose == source:
                    newest = max(newest, version)
        return newest, fact

    def _judge(self, item: Item, enrichment: Enrichment, today: date) -> Judgement:
        """What the past says of an item that has one and broke no other rule."""
        message = item.event.data
        if type(message) is DayOpened:
            return Judgement([], enrichment)
        source = item.event.source
        base = message.base_key
        newest, fact = self._newest(message, source)
        if newest > message.version:
            past = Past(key=base, source=source, outcome=SUPERSEDED, by_version=newest)
            return Judgement([], _with(enrichment, past))
        before = self._predecessor(fact)
        posted, fault = self._posted(item, message, today)
        faults = [] if fault is None else [fault]
        references: tuple[Reference, ...] = ()
        order = None
        if isinstance(message, Transaction):
            taken = before[1].past.references if before is not None and before[1].past is not None else ()
            found, references = self._originals(item, message, enrichment, source, taken)
            faults += found
            if fact is not None:
                faults += self._corrected(message, enrichment, source)
            order = message.order if message.kind is Kind.SALE else None
            if order is not None:
                faults += self._channels(item, message, (enrichment.company, order), source)
        corrects = message.version > 1
        if not (corrects or posted or references or order):
            return Judgement(faults, enrichment)
        past = Past(
            key=base,
            source=source,
            outcome=RECORDED if corrects else "",
            posted_date=posted,
            references=references,
            order=order,
            before=tuple(till_entries(before[0])) if before is not None and isinstance(before[0], TillClosed) else (),
        )
        judgement = Judgement(faults, _with(enrichment, past))
        if before is not None and isinstance(before[0], Transaction):
            judgement.reversal = _reversal(before[0], before[1], message.version, past)
        return judgement

    def _predecessor(self, fact: Fact | None) -> tuple[Any, Enrichment] | None:
        """The version that a correction takes the place of, or an original, as it was recorded."""
        if fact is None:
            return None
        place = (fact.partition, fact.offset)
        if place not in self._before:
            wanted = {(f.partition, f.offset) for known in self._known.values() for f in known.facts.values()}
            for found, stored in read_events(self._connection, wanted - self._before.keys()).items():
                recorded = stored.decoded(_enrichments)
                self._before[found] = (recorded.message, recorded.enrichment)
        return self._before[place]

    def _posted(self, item: Item, message: Any, today: date) -> tuple[date | None, Fault | None]:
        """The day that a late arrival is posted to; none for what is not late.

        What was accepted before the close and only mended after it is not late: it has the effect it would have had.
        """
        own: date = message.business_date
        if type(message) is DayClosed or (message.store, own) not in self._closed:
            return None, None
        if item.retry and self._came_in_time(item, f"{message.store}/{iso_text(own)}/day-close"):
            return None, None
        policy = self._late(message.store)
        fault = rules.too_late(own, today, policy)
        return (own if policy.policy == "reopen" else self._open_day(message.store, own)), fault

    def _came_in_time(self, item: Item, close: str) -> bool:
        parameters = {"key": close, "group_id": item.group_id, "ordinal": item.ordinal}
        row = self._connection.execute(_sql.closed_by, parameters).fetchone()
        return row is not None and bool(row[0])

    def _open_day(self, store: str, late: date) -> date:
        """The store's current day: the first later one that is not closed, or the day after the last closed."""
        later = {day: closed for day, closed in self._days.get(store, {}).items() if day > late}
        still_open = [day for day, closed in later.items() if not closed]
        return min(still_open) if still_open else max((*later, late)) + timedelta(days=1)

    def _standing(self, key: str, source: str, without: Sequence[Reference]) -> Standing | None:
        """What became of an original so far, not counting what is about to be taken back."""
        known = self._known.get(key)
        fact = known.of(source) if known is not None else None
        if fact is None:
            return None
        voids = 0
        returned: dict[str, Decimal] = defaultdict(Decimal)
        for sign, references in ((1, self._references.get(key, ())), (-1, without)):
            for one in references:
                if one.original == key:
                    voids += sign * one.voids
                    for sku, quantity in zip(one.skus, one.quantities, strict=True):
                        returned[sku] += sign * quantity
        return Standing(fact, voids, returned, tuple(self._made.get((fact.partition, fact.offset), ())))

    def _originals(
        self, item: Item, tx: Transaction, enrichment: Enrichment, source: str, taken: Sequence[Reference]
    ) -> tuple[list[Fault], tuple[Reference, ...]]:
        """Faults against the originals that a transaction names, or what it does to them."""
        faults: list[Fault] = []
        references: list[Reference] = []
        named = {original.key: (original, pointer) for original, pointer in rules.originals_of(tx)}
        if not named:
            return faults, ()
        back = {} if tx.kind is Kind.POST_VOID else rules.taken_back(tx, enrichment.factors)
        for key, (original, pointer) in named.items():
            standing = self._standing(key, source, taken)
            items = back.get(key, {})
            if items:  # also of what is let through with a warning
                references.append(Reference(key, 0, tuple(items), tuple(quantity for quantity, _ in items.values())))
            if standing is None:
                if tx.kind is Kind.POST_VOID:
                    references.append(Reference(key, 1))
                known = self._known.get(key)
                found = [rules.unknown(original, pointer, known is not None and known.accepted)]
            elif tx.kind is Kind.POST_VOID:
                found = rules.void(tx, enrichment.factors, key, standing)
                effects = rules.undone(key, standing)
                references += effects
                if not found:
                    found = self._brought_back(tx, enrichment, effects[1:], source, taken)
            else:
                found = rules.beyond(key, items, standing)
                faults += self._overpaid(key, tx, enrichment, source, standing.fact)
            # What breaks a rule by a void stays for a person: in its place it would be refused, whatever came later.
            if found and (standing is None or (tx.kind is not Kind.POST_VOID and standing.voids <= 0)):
                self._wait(item, key, (original.store, original.business_date))
            faults += found
        return faults, tuple(references)

    def _overpaid(self, key: str, tx: Transaction, enrichment: Enrichment, source: str, fact: Fact) -> list[Fault]:
        """Refunds above the price paid; the original is read from the event store."""
        if self._policy.severity("refund_exceeds_price", source) == OFF:
            return []
        before = self._predecessor(fact)
        if before is None or not isinstance(before[0], Transaction):
            return []
        return rules.overpaid(key, tx, enrichment.factors, before[0], before[1].factors)

    def _brought_back(
        self,
        tx: Transaction,
        enrichment: Enrichment,
        effects: Sequence[Reference],
        source: str,
        taken: Sequence[Reference],
    ) -> list[Fault]:
        """Faults of the voids and returns that a post-void brings back into force."""
        faults: list[Fault] = []
        for effect in rules.together(effects):
            standing = self._standing(effect.original, source, taken)
            if standing is not None:
                faults += rules.brought_back(tx, enrichment.factors, effect, standing)
        return faults

    def _corrected(self, tx: Transaction, enrichment: Enrichment, source: str) -> list[Fault]:
        """A correction would bring back what was voided, or leaves less sold than is back."""
        base = tx.base_key
        if not self._references.get(base):
            return []
        standing = self._standing(base, source, ())
        if standing is None:
            return []
        if standing.voids > 0:
            return [Fault("already_voided", f"{base} is voided: a correction would bring it back", "/data/version")]
        return rules.fewer(base, tx, enrichment.factors, standing) if tx.kind in SELLING else []

    def _channels(self, item: Item, tx: Transaction, order: tuple[str, str], source: str) -> list[Fault]:
        """Two systems that report one sale: the same order by another source, or from another channel."""
        channel = tx.channel or ""
        for other, its_channel, key, place in self._orders.get(order, ()):
            if (key, other) == (tx.base_key, source):
                continue
            if other != source or (channel and its_channel and channel != its_channel):
                self._wait(item, key, place)
                words = f"order {order[1]!r} is recorded as {key} by {other}" + (
                    f" ({its_channel})" * bool(its_channel)
                )
                return [Fault("duplicate_channel", words, "/data/order")]
        return []


def _with(enrichment: Enrichment, past: Past) -> Enrichment:
    return msgspec.structs.replace(enrichment, past=past)


def _reversal(tx: Transaction, enrichment: Enrichment, by_version: int, past: Past) -> tuple[Any, bytes, Enrichment]:
    """The event that takes back a recorded transaction, with the enrichment that it was recorded with."""
    reason = f"corrected by version {by_version}"
    data = TransactionReversed(
        store=tx.store, business_date=tx.business_date, transaction=tx, by_version=by_version, reason=reason
    )
    event = ReversedEvent(specversion="1.0", id=data.key[-256:], source=HUB, subject=tx.key[-256:], data=data)
    before = enrichment.past
    reversed_past = Past(
        key=past.key,
        source=past.source,
        outcome=REVERSED,
        by_version=by_version,
        posted_date=past.posted_date,
        references=before.references if before is not None else (),
        order=before.order if before is not None else None,
    )
    return event, msgspec.json.encode(event), _with(enrichment, reversed_past)
