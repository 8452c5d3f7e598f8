"""The worker: takes accepted events from the queue, checks and enriches them, and records them with all inline effects.

One transaction per batch: claim partitions, append to the event store, project, raise exceptions, clear the queue. A
worker killed anywhere leaves nothing half done. A batch that fails is bisected until the poison stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg
import structlog

from tillwire import clock
from tillwire.database import sql
from tillwire.events import frames
from tillwire.events.log import Append
from tillwire.events.partitions import CATALOGUE_PARTITION, MASTER_PARTITION
from tillwire.events.recorded import Enrichment, InlineProjection
from tillwire.exceptions.codes import BLOCKING
from tillwire.faultpoints import passing
from tillwire.intake.faulty import exception_row, failed_processing
from tillwire.intake.rules import Auditor, Fault, Policy
from tillwire.masterdata.conflicts import conflicts
from tillwire.masterdata.snapshot import Snapshot
from tillwire.masterdata.translate import Translator, reencoded
from tillwire.model.event import MASTER_TYPES, MESSAGE_DECODER, type_of

_sql = sql.load("tillwire.intake", "worker.sql")
_log = structlog.get_logger(__name__)

_NOTHING = Enrichment()

MOST_BATCH_BYTES = 32 * 1024 * 1024
"""A batch takes no further group once it has so many bytes of raw events: decoded, they are some ten times larger."""

CATALOGUE_EVENTS = 100
"""Prices and customers in one transaction: a sale that comes meanwhile waits some milliseconds for a worker."""

CATALOGUE_TURN = 20
"""Sales go first; but every so many batches the catalogue has its turn even if sales never cease."""


class Item(msgspec.Struct, gc=False):
    """One accepted event on its way: where its raw bytes are, and what came of it."""

    partition: int
    group_id: int
    ordinal: int
    raw: bytes
    retry: bool
    event: Any = None
    """In our words: translated, where its source has mappings."""
    recorded_as: bytes = b""
    """What goes to the event store: the raw bytes, or the translated event."""
    enrichment: Enrichment = _NOTHING
    faults: list[Fault] = []
    """Every fault of an event that is not recorded, blocking ones first."""
    warnings: Sequence[Fault] = ()
    """The faults of an event that is recorded all the same."""


class Claim(msgspec.Struct):
    """What one transaction works on."""

    offsets: dict[int, int]
    queue_rows: list[tuple[int, int, bool]]
    items: list[Item]
    left: list[tuple[int, int, bool, list[int]]] = []
    """Rows of the queue that were taken in part, with what stays of them."""


class Worker:
    """Works batches on one connection. ``projections`` are applied in order, in the append's transaction."""

    def __init__(
        self,
        connection: psycopg.Connection,
        projections: Sequence[InlineProjection],
        policy: Policy,
        *,
        most_events: int = 1_000,
        most_partitions: int = 8,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._connection = connection
        self._projections = projections
        self._master = Snapshot()
        self._policy = policy
        self._auditor = Auditor(self._master, policy)
        self._translator = Translator(self._master)
        self._most_events = most_events
        self._most_partitions = most_partitions
        self._batches = 0
        self._now = now

    def work_once(self) -> int:
        """Record one batch; returns how many events were taken off the queue, 0 if none waited.

        Raises ``psycopg.OperationalError`` if the database is away: connect again and go on.
        """
        try:
            with self._connection.transaction():
                claim = self._claim()
                if claim is None:
                    return 0
                self._record(claim.offsets, claim.items)
                self._finish(claim)
                passing("worker.before_commit")
            passing("worker.after_commit")
        except Exception as error:
            if _is_away(error):
                raise
            _log.warning("batch_failed", error=str(error), reaction="bisecting")
            return self._work_bisecting()
        return len(claim.items)

    def _work_bisecting(self) -> int:
        """The same, but with savepoints: halves that fail are halved again, until what fails stands alone."""
        with self._connection.transaction():
            claim = self._claim()
            if claim is None:
                return 0
            self._record_bisecting(claim.offsets, claim.items)
            self._finish(claim)
        return len(claim.items)

    def _record_bisecting(self, offsets: dict[int, int], items: list[Item]) -> None:
        before = dict(offsets)
        try:
            with self._connection.transaction():
                self._record(offsets, items)
        except Exception as error:
            if _is_away(error):
                raise
            offsets.update(before)
            if len(items) == 1:
                _log.error("event_failed", error=str(error), group_id=items[0].group_id, ordinal=items[0].ordinal)
                items[0].faults = [failed_processing(error)]
                self._raise(items)
                return
            half = len(items) // 2
            self._record_bisecting(offsets, items[:half])
            self._record_bisecting(offsets, items[half:])

    def _claim(self) -> Claim | None:
        connection = self._connection
        self._batches += 1
        claimed, most = self._claim_partitions()
        if not claimed:
            return None
        offsets: dict[int, int] = dict(claimed)
        parameters = {"partitions": list(offsets), "most": most}
        rows = connection.execute(_sql.take, parameters, binary=True).fetchall()
        passing("worker.after_claim")
        bodies: dict[int, list[bytes]] = {}
        items: list[Item] = []
        taken: list[tuple[int, int, bool]] = []
        left: list[tuple[int, int, bool, list[int]]] = []
        size = 0
        for partition, group_id, ordinals, retry, body in rows:
            if size > MOST_BATCH_BYTES:  # the rest stays in the queue
                break
            if group_id not in bodies:
                pieces = bodies[group_id] = frames.unpack(body)
                size += sum(map(len, pieces))
            pieces = bodies[group_id]
            if partition == CATALOGUE_PARTITION and len(items) + len(ordinals) > most:
                left.append((partition, group_id, retry, ordinals[most - len(items) :]))
                ordinals = ordinals[: most - len(items)]
            else:
                taken.append((partition, group_id, retry))
            items += [Item(partition, group_id, ordinal, pieces[ordinal], retry) for ordinal in ordinals]
        return Claim(offsets, taken, items, left)

    def _claim_partitions(self) -> tuple[list[Any], int]:
        """Partitions and their next offsets, and how many events to take: stores first, then the catalogue."""
        connection = self._connection
        catalogue_first = self._batches % CATALOGUE_TURN == 0
        for catalogue in (True, False) if catalogue_first else (False, True):
            if catalogue:
                claimed = connection.execute(_sql.claim_catalogue).fetchall()
            else:
                claimed = connection.execute(_sql.claim, {"most": self._most_partitions}).fetchall()
            if claimed:
                return claimed, min(CATALOGUE_EVENTS, self._most_events) if catalogue else self._most_events
        return [], 0

    def _refresh_master(self) -> None:
        offsets: dict[int, int] = dict(self._connection.execute(_sql.master_offsets).fetchall())
        self._master.refresh(self._connection, offsets[MASTER_PARTITION], offsets[CATALOGUE_PARTITION])

    def _contradictions(self, items: list[Item]) -> dict[int, list[Fault]]:
        """The faults of master records that contradict others, by the identity of their items."""
        if not any(item.partition in (MASTER_PARTITION, CATALOGUE_PARTITION) for item in items):
            return {}
        records = [item for item in items if type_of(item.event) in MASTER_TYPES]
        found = conflicts(self._connection, [item.event.data for item in records])
        return {id(records[place]): [Fault(*conflict)] for place, conflict in found.items()}

    def _record(self, offsets: dict[int, int], items: list[Item]) -> None:
        """Check, append and project a batch. Business faults become exceptions; anything else raises."""
        if any(item.partition != MASTER_PARTITION for item in items):
            self._refresh_master()
        for projection in self._projections:
            projection.begin()
        append = Append(offsets)
        add = append.add
        applies = [projection.apply for projection in self._projections]
        today = self._now().date()
        check = self._auditor.check
        faulty: list[Item] = []
        warned: list[Item] = []
        retried: list[Item] = []
        translate = self._translator.translate
        for item in items:
            decoded = MESSAGE_DECODER.decode(item.raw)
            item.event = translate(decoded.source, decoded) if self._master.mappings else decoded
            item.recorded_as = item.raw if item.event is decoded else reencoded(item.raw, item.event)
        contradictions = self._contradictions(items)
        for item in items:
            event = item.event
            if type_of(event) not in MASTER_TYPES:
                faults, item.enrichment = check(event.data, today, event.source)
                if faults:
                    _sort(item, faults)
                    if item.faults:
                        faulty.append(item)
                        continue
                    warned.append(item)
            else:
                item.faults = contradictions.get(id(item), [])
                if item.faults:
                    faulty.append(item)
                    continue
            if item.retry:
                retried.append(item)
            recorded = add(
                event,
                item.recorded_as,
                item.enrichment,
                partition=item.partition,
                group_id=item.group_id,
                ordinal=item.ordinal,
            )
            for apply in applies:
                apply(recorded)
        append.write(self._connection)
        passing("worker.between_copies")
        for projection in self._projections:
            projection.write(self._connection)
        self._raise(faulty)
        self._raise_warnings(warned)
        if retried:
            parameters = {"groups": [i.group_id for i in retried], "ordinals": [i.ordinal for i in retried]}
            self._connection.execute(_sql.resolve, parameters)

    def _raise(self, faulty: list[Item]) -> None:
        if faulty:
            rows = [exception_row(i.raw, i.group_id, i.ordinal, i.faults, self._policy) for i in faulty]
            with self._connection.cursor() as cursor:
                cursor.executemany(_sql.raise_exceptions, rows)

    def _raise_warnings(self, warned: list[Item]) -> None:
        """Show the warnings of events that are recorded: closed exceptions, since nothing waits for them."""
        if warned:
            rows = [exception_row(i.raw, i.group_id, i.ordinal, i.warnings, self._policy) for i in warned]
            with self._connection.cursor() as cursor:
                cursor.executemany(_sql.raise_warnings, rows)

    def _finish(self, claim: Claim) -> None:
        parameters = {
            "partitions": [partition for partition, _, _ in claim.queue_rows],
            "groups": [group_id for _, group_id, _ in claim.queue_rows],
            "retries": [retry for _, _, retry in claim.queue_rows],
        }
        self._connection.execute(_sql.done, parameters)
        for partition, group_id, retry, ordinals in claim.left:
            self._connection.execute(
                _sql.leave, {"partition": partition, "group": group_id, "retry": retry, "ordinals": ordinals}
            )


def _sort(item: Item, faults: list[Fault]) -> None:
    """Blocking faults keep an event from being recorded, and take its warnings along; warnings alone do not."""
    blocking = [fault for fault in faults if fault.severity == BLOCKING]
    warnings = [fault for fault in faults if fault.severity != BLOCKING]
    if blocking:
        item.faults = blocking + warnings
    else:
        item.warnings = warnings


def _is_away(error: Exception) -> bool:
    """True if the database is away or short of something: the same may go well later.

    What goes over one of its limits (class 54) never will: that is the event's fault.
    """
    return isinstance(error, psycopg.OperationalError) and not (error.sqlstate or "").startswith("54")
