"""The worker: takes accepted events from the queue, checks and enriches them, and records them with all inline effects.

One transaction per batch: claim partitions, append to the event store, project, raise exceptions, clear the queue. A
worker killed anywhere leaves nothing half done. An event that the hub cannot read, check or project is set aside by
itself; a batch that the database refuses is split until the poison stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime

import psycopg
import structlog

from tillwire import clock
from tillwire.database import sql
from tillwire.events.log import Append
from tillwire.events.partitions import CATALOGUE_PARTITION, MASTER_PARTITION
from tillwire.events.recorded import InlineProjection
from tillwire.exceptions import moves
from tillwire.exceptions.causes import cleared_by, cleared_endings, entity_of
from tillwire.exceptions.codes import BLOCKING, WARNING
from tillwire.exceptions.raising import Row, raise_all
from tillwire.faultpoints import passing
from tillwire.intake.claims import Claims
from tillwire.intake.faulty import MASTER_CAUSES, exception_row, failed_processing, held_back
from tillwire.intake.history import History, late_policy
from tillwire.intake.holds import Holds
from tillwire.intake.item import Claim, Item
from tillwire.intake.rules import Auditor, Fault, Policy
from tillwire.intake.rules_history import LatePolicy
from tillwire.intake.second_look import SecondLook
from tillwire.masterdata.conflicts import conflicts
from tillwire.masterdata.snapshot import Snapshot
from tillwire.masterdata.translate import Translator, reencoded
from tillwire.model.event import MASTER_TYPES, MESSAGE_DECODER, type_of

_sql = sql.load("tillwire.intake", "worker.sql")
_log = structlog.get_logger(__name__)

PARTS = 8
"""Into so many parts a batch is split that the database refuses."""

_MASTER_PARTITIONS = frozenset({MASTER_PARTITION, CATALOGUE_PARTITION})


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
        late: Callable[[str], LatePolicy] = late_policy,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._connection = connection
        self._projections = projections
        self._master = Snapshot()
        self._policy = policy
        self._auditor = Auditor(self._master, policy)
        self._translator = Translator(self._master)
        self._history = History(connection, late, policy)
        self._second_look = SecondLook(connection)
        self._claims = Claims(connection, most_events=most_events, most_partitions=most_partitions)
        self._accepted: Mapping[int, datetime] = {}
        self._now = now

    def work_once(self) -> int:
        """Record one batch; returns how many events were taken off the queue (or put back into it, because what they
        waited for has come), 0 if none waited.

        Raises ``psycopg.OperationalError`` if the database is away: connect again and go on.
        """
        if self._second_look.due:
            self._second_look.look()
        try:
            with self._connection.transaction():
                claim = self._claim()
                if claim is None:
                    return self._second_look.look()
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
        """The same, but with savepoints: parts that fail are split again, until what fails stands alone."""
        with self._connection.transaction():
            claim = self._claim()
            if claim is None:
                return 0
            self._record_parts(claim.offsets, claim.items)
            self._finish(claim)
        return len(claim.items)

    def _record_parts(self, offsets: dict[int, int], items: list[Item]) -> None:
        """Several parts rather than halves: what fails is tried less often on its way to standing alone."""
        size = -(-len(items) // PARTS)
        for start in range(0, len(items), size):
            self._record_part(offsets, items[start : start + size])

    def _record_part(self, offsets: dict[int, int], items: list[Item]) -> None:
        before = dict(offsets)
        try:
            with self._connection.transaction():
                self._record(offsets, items)
        except Exception as error:
            if _is_away(error):
                raise
            offsets.update(before)
            if len(items) > 1:
                self._record_parts(offsets, items)
                return
            _log.error("event_failed", error=str(error), group_id=items[0].group_id, ordinal=items[0].ordinal)
            items[0].faults = [failed_processing(error)]
            self._raise(items, [], recorded_masters=False)

    def rehearse(self, offsets: dict[int, int], items: list[Item]) -> None:
        """Record items inside the caller's transaction, which is never to commit: this worker is of no use after it.

        ``offsets`` are the next offsets of all partitions, which the caller has locked.
        """
        self._record_part(offsets, items)

    def _claim(self) -> Claim | None:
        claim = self._claims.take()
        self._accepted = claim.accepted if claim is not None else {}
        return claim

    def _refresh_master(self) -> bool:
        offsets: dict[int, int] = dict(self._connection.execute(_sql.master_offsets).fetchall())
        return self._master.refresh(self._connection, offsets[MASTER_PARTITION], offsets[CATALOGUE_PARTITION])

    def _contradictions(self, items: list[Item]) -> dict[int, list[Fault]]:
        """The faults of master records that contradict others, by their items' places."""
        places = [n for n, i in enumerate(items) if i.partition in _MASTER_PARTITIONS and i.event is not None]
        if not places:
            return {}
        found = conflicts(self._connection, [items[n].event.data for n in places])
        return {places[place]: [Fault(*conflict)] for place, conflict in found.items()}

    def _record(self, offsets: dict[int, int], items: list[Item]) -> None:
        """Check, append and project a batch. Business faults become exceptions; anything else raises."""
        if any(item.partition != MASTER_PARTITION for item in items):
            self._refresh_master()
        retried = [item for item in items if item.retry]
        if retried:
            self._take_edits(retried)
        today = self._now().date()
        for item in items:
            self._judge(item, today)
        for place, faults in self._contradictions(items).items():
            items[place].faults = faults
        holds = Holds()
        readable = (item for item in items if item.event is not None)
        holds.look_up(self._connection, ((i.group_id, i.ordinal, i.raw, i.event.data) for i in readable))
        append, passed, faulty = self._apply(offsets, items, holds, today)
        append.write(self._connection, self._accepted)
        passing("worker.between_copies")
        for projection in self._projections:
            projection.write(self._connection)
        self._settle(passed, faulty)
        if self._history.write():
            self._second_look.due = True

    def _take_edits(self, retried: list[Item]) -> None:
        """What a person has edited is processed in place of what was accepted."""
        edited = moves.edits(self._connection, [item.place for item in retried])
        for item in retried:
            item.raw = edited.get(item.place, item.raw)

    def _judge(self, item: Item, today: date) -> None:
        """Read and check one event. Whatever goes wrong inside is its own fault, and its neighbours' none."""
        try:
            item.event = event = decoded = MESSAGE_DECODER.decode(item.raw)
            item.recorded_as = item.raw
            if self._master.mappings:
                item.event = event = self._translator.translate(decoded.source, decoded)
                if event is not decoded:
                    item.recorded_as = reencoded(item.raw, event)
            if type_of(event) not in MASTER_TYPES:
                faults, item.enrichment = self._auditor.check(event.data, today, event.source)
                if faults:
                    item.take(faults)
        except psycopg.Error:  # the transaction is lost with it
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is kept and shown
            item.faults = [failed_processing(error)]

    def _apply(
        self, offsets: dict[int, int], items: list[Item], holds: Holds, today: date
    ) -> tuple[Append, list[Item], list[Item]]:
        """Append and project in memory what has no fault and waits for nothing; those recorded, and those not.

        An event that a projection cannot take is set aside, and the gathering starts over without it.
        """
        before = dict(offsets)
        while True:
            offsets.update(before)
            holds.begin()
            self._history.begin(items)
            for projection in self._projections:
                projection.begin()
            append = Append(offsets)
            poison = self._gather(append, items, holds, today)
            if poison is None:
                faulty = [item for item in items if item.faults]
                return append, [item for item in items if not item.faults], faulty
            for item in items:
                if item.waits_for is not None:  # judged anew, with the poison in its place
                    item.faults, item.waits_for = [], None
                elif item.looked_back:
                    item.faults, item.warnings, item.looked_back = [], (), False
                    self._judge(item, today)

    def _gather(self, append: Append, items: list[Item], holds: Holds, today: date) -> Item | None:
        """Gather one event after the other; returns the one that could not be, if any."""
        add = append.add
        applies = [projection.apply for projection in self._projections]
        history = self._history
        for item in items:
            if item.faults and not (item.has_past and history.outdated(item)):
                holds.failed(item.event)
                continue
            event = item.event
            if holds.wanted:
                item.waits_for = holds.behind(item.group_id, item.ordinal)
                if item.waits_for is not None:
                    item.faults = [held_back(item.waits_for)]
                    holds.failed(event)
                    continue
            if item.retry:
                holds.recorded_again(item.group_id, item.ordinal)
            try:
                if item.has_past:
                    for reversal in history.look_back(item, append, today):
                        for apply in applies:
                            apply(reversal)
                        history.note(item, reversal)
                    if item.faults:
                        holds.failed(event)
                        continue
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
                if item.has_past:
                    history.note(item, recorded)
            except psycopg.Error:  # the transaction is lost with it
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, it is kept and shown
                _log.error("event_failed", error=str(error), group_id=item.group_id, ordinal=item.ordinal)
                item.faults, item.looked_back = [failed_processing(error)], False
                return item
        return None

    def _settle(self, passed: list[Item], faulty: list[Item]) -> None:
        """The exception queue after a batch: what failed goes in; what was mended, cleared or outdated goes out."""
        masters = [i.event.data for i in passed if i.partition in _MASTER_PARTITIONS]
        warned = [item for item in passed if item.warnings]
        if faulty or warned:
            self._raise(faulty, warned, recorded_masters=bool(masters))
        passing("worker.after_raise")
        retried = [item.place for item in passed if item.retry]
        if retried:
            moves.resolve(self._connection, retried)
        messages = [item.event.data for item in passed]
        states = [(entity_of(m), m.revision) for m in messages if getattr(m, "revision", None) is not None]
        if states:
            moves.supersede(self._connection, states)
        if masters:
            moves.lock_against_raising(self._connection)
            endings = [ending for record in masters for ending in cleared_endings(record)]
            moves.clear(self._connection, [cause for record in masters for cause in cleared_by(record)], endings)

    def _raise(self, faulty: list[Item], warned: list[Item], *, recorded_masters: bool) -> None:
        """Raise exceptions. Those for want of master data that has come meanwhile go back to the queue at once."""
        mended: list[Item] = []
        wanting = [item for item in faulty if item.faults[0].code in MASTER_CAUSES]
        if recorded_masters:
            moves.lock_against_raising(self._connection)
        elif wanting:
            moves.lock_against_clearing(self._connection)
            if self._refresh_master():
                mended = [item for item in wanting if self._passes_now(item)]
        rows = [self._row(item, item.faults, BLOCKING) for item in faulty]
        rows += [self._row(item, item.warnings, WARNING) for item in warned]
        ids = raise_all(self._connection, rows)
        if mended:
            back = [ids[item.place] for item in mended]
            moves.requeue(self._connection, back, "clear", moves.HUB, note="what was missing is recorded")

    def _row(self, item: Item, faults: Sequence[Fault], severity: str) -> Row:
        return exception_row(
            item.raw,
            item.group_id,
            item.ordinal,
            item.partition,
            faults,
            severity=severity,
            waits_for=item.waits_for,
            owner=self._policy.owner,
            judged=item.recorded_as,
        )

    def _passes_now(self, item: Item) -> bool:
        again = Item(item.partition, item.group_id, item.ordinal, item.raw, item.retry)
        self._judge(again, self._now().date())
        item.faults = again.faults or item.faults
        return not again.faults

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


def _is_away(error: Exception) -> bool:
    """True if the database is away or short of something: the same may go well later.

    What goes over one of its limits (class 54) never will: that is the event's fault.
    """
    return isinstance(error, psycopg.OperationalError) and not (error.sqlstate or "").startswith("54")
