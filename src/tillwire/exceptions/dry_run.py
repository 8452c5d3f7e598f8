"""Dry runs: what a fix would do, shown before it is applied, because it is done for once and rolled back.

The same workers' code records the same events in a transaction of its own that never commits: what is shown is what
would happen, with every rule, hold and projection in force. Nothing leaves the database meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.events import frames
from tillwire.events.log import lock_partitions, read_chunks
from tillwire.events.partitions import PARTITIONS
from tillwire.exceptions import fixes, moves
from tillwire.exceptions.held import FixRefused, PayloadRefused
from tillwire.exceptions.queue import retry
from tillwire.governance.access import ALL, Reach
from tillwire.intake.door import Refusal, read_event
from tillwire.intake.item import Item
from tillwire.intake.worker import Worker
from tillwire.model.ledger import JournalLine
from tillwire.model.money import ZERO
from tillwire.posting.accounts import AccountBook, Place

_sql = sql.load("tillwire.exceptions", "dry_run.sql")

MOST = 1_000
"""Exceptions that a dry run processes; of a larger group it shows the first."""

_ANYTHING = Decimal("Infinity")

MakeWorker = Callable[[psycopg.Connection], Worker]
"""A worker as it works in this hub: its projections, rules and time."""


class Movement(msgspec.Struct, frozen=True):
    """Stock that would move, in the product's stock unit; negative out of the store."""

    store: str
    sku: str
    reason: str
    quantity: Decimal


class JournalPart(msgspec.Struct, frozen=True):
    """What an event would add to the journal of its store's day, in ``currency``."""

    store: str
    business_date: date
    currency: str
    lines: list[JournalLine]


class Rehearsed(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of one exception."""

    exception_id: int
    key: str
    clears: bool
    """True if its event would be recorded."""
    state: str
    faults: list[dict[str, Any]]
    """What would still be wrong, or what would be shown as a warning."""
    event: msgspec.Raw | None
    """The canonical event that would be recorded."""
    journals: list[JournalPart]
    movements: list[Movement]
    reversal: msgspec.Raw | None = None
    """Of a correction: the event that takes back the version before; journals and movements hold its effects, too."""


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a fix would do. ``needs_second_person``: it would wait for approval first."""

    results: list[Rehearsed]
    needs_second_person: bool = False
    moved: Decimal | None = None
    currency: str | None = None
    diff: list[dict[str, Any]] = []
    more: int = 0
    """Exceptions that would be processed, too, beyond those shown."""


class _Rollback(Exception):
    """Ends the rehearsal."""


class Rehearsal:
    """Rehearses fixes on one connection, in autocommit. The partitions are locked meanwhile: workers wait.

    What becomes of exceptions out of reach is neither shown nor counted.
    """

    def __init__(
        self, connection: psycopg.Connection, make_worker: MakeWorker, book: AccountBook, reach: Reach = ALL
    ) -> None:
        self._reach = reach
        self._connection = connection
        self._make_worker = make_worker
        self._book = book

    def of_edit(self, exception_id: int, payload: bytes, *, limit: Decimal) -> DryRun:
        """An edited payload. Raises what ``fixes.edit`` raises; nothing has happened then, either."""
        self._refuse_foreign(exception_id, None)
        made: list[fixes.Fixed] = []

        def fix() -> None:
            made.append(
                fixes.edit(
                    self._connection,
                    exception_id,
                    payload,
                    by="dry run",
                    reason="dry run",
                    limit=_ANYTHING,
                    reach=self._reach,
                )
            )

        results, more = self._rehearse(fix, [])
        (fixed,) = made
        return DryRun(
            results=results,
            more=more,
            needs_second_person=fixed.moved is not None and abs(fixed.moved) > limit,
            moved=fixed.moved,
            currency=fixed.currency,
            diff=fixed.diff,
        )

    def of_retry(self, *, exception_id: int | None = None, cause: str | None = None) -> DryRun:
        """Exceptions as they are: one, or all of a root cause."""
        if exception_id is None and cause is None:
            raise FixRefused("name an exception or a cause")
        self._refuse_foreign(exception_id, cause)

        def fix() -> None:
            retry(self._connection, exception_id=exception_id, cause=cause, reach=self._reach)

        results, more = self._rehearse(fix, [])
        return DryRun(results=results, more=more)

    def of_master_data(self, records: Sequence[bytes]) -> DryRun:
        """Proposed master records, each an event as it would be sent: which exceptions would clear.

        Raises ``PayloadRefused`` if one is no master record.
        """
        for i, record in enumerate(records):
            read = read_event(record)
            if isinstance(read, Refusal):
                raise PayloadRefused(f"record {i}: {read.title}: {read.detail}", f"/{i}{read.pointer}")
            if read.store is not None:
                raise PayloadRefused(f"record {i} is a {read.type}: master records only", f"/{i}/type")
        results, more = self._rehearse(lambda: None, list(records))
        return DryRun(results=results, more=more)

    def _refuse_foreign(self, exception_id: int | None, cause: str | None) -> None:
        chosen = {"exception_id": exception_id, "cause": cause, "reach": self._reach.parameter}
        row = self._connection.execute(_sql.foreign_of, chosen).fetchone()
        if row is not None and row[0]:
            raise FixRefused("a message in its source's own words is mapped first: `tillwire try` shows to what")
        if row is not None:
            raise FixRefused("what would become of a journal only its ERP can say: mend the cause there, then retry")

    def _rehearse(self, fix: Callable[[], None], records: list[bytes]) -> tuple[list[Rehearsed], int]:
        found: list[tuple[list[Rehearsed], int]] = []
        try:
            with self._connection.transaction():
                offsets = lock_partitions(self._connection, list(PARTITIONS))
                moves.lock_against_moving(self._connection)
                row = self._connection.execute(_sql.last_retry).fetchone()
                assert row is not None
                worker = self._make_worker(self._connection)
                if records:
                    worker.rehearse(offsets, self._items_of(records))
                fix()
                found.append(self._process(worker, offsets, row[0]))
                raise _Rollback
        except _Rollback:
            return found[0]

    def _items_of(self, records: list[bytes]) -> list[Item]:
        row = self._connection.execute(_sql.rehearsal_group, (frames.pack(records),)).fetchone()
        assert row is not None
        partitions = [read.partition for record in records if not isinstance(read := read_event(record), Refusal)]
        return [Item(partitions[i], row[0], i, record, 0) for i, record in enumerate(records)]

    def _process(self, worker: Worker, offsets: dict[int, int], since: int) -> tuple[list[Rehearsed], int]:
        """Work what the fix has put into the queue, and what that releases, until nothing is left or it is enough."""
        places: dict[tuple[int, int], None] = {}
        left: list[tuple[int, int]] = []
        while items := self._taken(since):
            new = {item.place: None for item in items}
            room = MOST - len(places)
            if new.keys() <= places.keys() or room <= 0:
                left += new.keys() - places.keys()
                break
            left += [item.place for item in items[room:]]
            items = items[:room]
            worker.rehearse(offsets, items)
            places |= {item.place: None for item in items}
        return self._outcomes(offsets, list(places)), self._count(left)

    def _count(self, left: list[tuple[int, int]]) -> int:
        if not left or self._reach.stores is None:
            return len(left)
        row = self._connection.execute(_sql.within_reach, self._parameters(left)).fetchone()
        assert row is not None
        return int(row[0])

    def _parameters(self, places: list[tuple[int, int]]) -> dict[str, Any]:
        groups, ordinals = [group_id for group_id, _ in places], [ordinal for _, ordinal in places]
        return {"groups": groups, "ordinals": ordinals, "reach": self._reach.parameter}

    def _taken(self, since: int) -> list[Item]:
        items: list[Item] = []
        for partition, group_id, ordinals, again, body in self._connection.execute(_sql.queued, (since,)).fetchall():
            pieces = frames.unpack(bytes(body))
            items += [Item(partition, group_id, ordinal, pieces[ordinal], again) for ordinal in ordinals]
        self._connection.execute(_sql.unqueue, (since,))
        return items

    def _outcomes(self, offsets: dict[int, int], places: list[tuple[int, int]]) -> list[Rehearsed]:
        rows = self._connection.execute(_sql.outcomes, self._parameters(places)).fetchall()
        return [self._outcome(*row) for row in rows]

    def _outcome(
        self,
        group_id: int,
        ordinal: int,
        exception_id: int,
        key: str,
        state: str,
        faults: list[dict[str, Any]],
        amount: Decimal | None,
        currency: str | None,
        partition: int | None,
        offset: int | None,
        reversal: int | None,
    ) -> Rehearsed:
        if partition is None or offset is None:
            return Rehearsed(
                exception_id=exception_id,
                key=key,
                clears=False,
                state=state,
                faults=faults,
                event=None,
                journals=[],
                movements=[],
            )
        (events,) = read_chunks(self._connection, partition, offset, most_chunks=1)
        _, store = events[0].type_and_store()
        undone = None
        if reversal is not None:
            (undone,) = next(read_chunks(self._connection, partition, reversal, most_chunks=1))[:1]
        effects = [place for place in (reversal, offset) if place is not None]
        warned = self._connection.execute(_sql.warnings, (group_id, ordinal)).fetchone()
        return Rehearsed(
            exception_id=exception_id,
            key=key,
            clears=True,
            state=state,
            faults=warned[0] if warned else [],
            event=msgspec.Raw(events[0].raw),
            journals=self._journals(store, effects),
            movements=[Movement(*row) for row in self._connection.execute(_sql.movements, (store, effects))],
            reversal=None if undone is None else msgspec.Raw(undone.raw),
        )

    def _journals(self, store: str, offsets: list[int]) -> list[JournalPart]:
        days: dict[tuple[str, date, str], list[JournalLine]] = {}
        for number, day, currency, original, kind, component, code, amount, company, region in self._connection.execute(
            _sql.entries, (store, offsets)
        ):
            place = Place(company, number, region, currency)
            mapped = self._book.resolve(place, original or day, kind, component, code)
            line = JournalLine(
                account=mapped.account,
                debit=max(amount, ZERO),
                credit=max(-amount, ZERO),
                description=f"{component} {code}",
                dimensions=mapped.dimensions,
            )
            days.setdefault((number, day, currency), []).append(line)
        return [JournalPart(*place, lines) for place, lines in days.items()]
