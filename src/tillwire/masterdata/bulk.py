"""Bulk upsert: rows become events and go the way of every event, through the door and the group commit.

A row without a revision is given one by the hub: the next if its content is new, the same if it is not. The revision is
on disk before the event is accepted, so that sending the same again, after whatever broke off, makes the same event: a
duplicate, or the one that was missing.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

import msgspec
import psycopg

from tillwire import clock
from tillwire.database import sql
from tillwire.errors import TillwireError
from tillwire.intake.door import Prepared, Refusal, pointer_of, read_event
from tillwire.masterdata.listing import KINDS
from tillwire.masterdata.tables import Cells, TableError, read_table
from tillwire.model import fields
from tillwire.model.event import MESSAGES
from tillwire.model.master import MasterRecord

_sql = sql.load("tillwire.masterdata", "masterdata.sql")
_encode = msgspec.json.Encoder().encode

SOURCE = "urn:tillwire:masterdata"
"""The source of records whose sender names none."""

CHUNK_ROWS = 250
"""Rows that are given revisions and committed together."""

TURN_ROWS = 25
"""After so many rows other requests have their turn: a row takes some 0.1 ms."""

_MOST_REST_S = 0.05

MOST_ATOMIC_ROWS = 10_000
"""All or nothing is one commit: it may hold so many."""

MOST_REQUEST_ROWS = 200_000
"""A request may hold so many: the API has other callers."""

MOST_ERRORS = 1_000
"""Errors that are told one by one; the rest is counted."""

_NAMED_FIELD = re.compile(r"(?:missing required|contains unknown) field `([^`]+)`")

Submit = Callable[[list[Prepared]], Awaitable[list[str]]]
Connect = Callable[[], AbstractContextManager[psycopg.Connection]]


class RowError(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a row. ``row`` is its line in a table (the header is 1), or its place in an array (from 0)."""

    row: int
    column: str | None
    detail: str


class Outcome(msgspec.Struct, kw_only=True):
    """What became of the rows. Accepted is on disk; unchanged and duplicate have no effect; ``errors`` has the rest."""

    accepted: int = 0
    duplicate: int = 0
    unchanged: int = 0
    conflict: int = 0
    rejected: int = 0
    errors: list[RowError] = []
    errors_omitted: int = 0

    def fault(self, error: RowError) -> None:
        """Count one rejected row and, up to a limit, tell why."""
        self.rejected += 1
        self._tell(error)

    def clash(self, error: RowError) -> None:
        """Count one row in conflict."""
        self.conflict += 1
        self._tell(error)

    def _tell(self, error: RowError) -> None:
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(error)
        else:
            self.errors_omitted += 1


class TooManyRowsError(TillwireError):
    """More rows than one request, or all-or-nothing, takes. Nothing of it was taken."""


class _Row(msgspec.Struct, gc=False):
    row: int
    record: Any
    """With a revision of 0 until it is given one."""
    revision: int | None
    event: Prepared | None = None
    """As the door let it in, with revision 0 for one that is the hub's to give."""


def _unrevised(kind: str) -> type[Any]:
    """The record of a kind, whose revision may be left out and whose fields may not be misspelt."""
    record = MESSAGES[KINDS[kind]]
    return msgspec.defstruct(
        record.__name__,
        [("revision", fields.Sequence | None, None)],
        bases=(record,),
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        omit_defaults=True,
    )


_UNREVISED = {kind: _unrevised(kind) for kind in KINDS}
_DECODERS = {kind: msgspec.json.Decoder(struct) for kind, struct in _UNREVISED.items()}
_RECORDS = {kind: msgspec.json.Decoder(MESSAGES[name]) for kind, name in KINDS.items()}


class Bulk:
    """Takes rows of one kind. ``submit`` is the group commit's; ``connect`` lends a connection in autocommit.

    A ``polite`` one rests as long as it works, so that a bulk takes half a core at the most from those who sell.
    ``refusal`` says why whoever sends a record may not; it is asked before anything is looked up.
    """

    def __init__(
        self,
        submit: Submit,
        connect: Connect,
        *,
        source: str = SOURCE,
        most_rows: int | None = None,
        polite: bool = False,
        refusal: Callable[[Any], str | None] | None = None,
    ) -> None:
        self._most_rows = most_rows
        self._refusal = refusal
        self._polite = polite
        self._began_s = 0.0
        self._submit = submit
        self._connect = connect
        self._source = source

    async def table(self, kind: str, text: str, *, all_or_nothing: bool = False) -> Outcome:
        """Take a table (CSV). Raises ``TableError`` if its header is wrong: then nothing of it was taken."""
        self._refuse_above(text.count("\n"))
        rows = read_table(text, MESSAGES[KINDS[kind]])
        first = next(rows, None)
        return await self._take(kind, _after(first, rows) if first else [], _of_cells(kind), all_or_nothing)

    async def array(self, kind: str, items: Sequence[msgspec.Raw], *, all_or_nothing: bool = False) -> Outcome:
        """Take records as JSON."""
        self._refuse_above(len(items))
        return await self._take(kind, enumerate(items), _of_json(kind), all_or_nothing)

    def _refuse_above(self, rows: int) -> None:
        if self._most_rows is not None and rows > self._most_rows:
            raise TooManyRowsError(f"{rows:,} rows in one request; the limit is {self._most_rows:,}: send several")

    async def records(self, kind: str, records: Iterable[MasterRecord]) -> Outcome:
        """Take records of ours whose revision is the hub's to give."""

        def read(item: tuple[int, MasterRecord]) -> _Row:
            return _Row(item[0], item[1], None)

        return await self._take(kind, enumerate(records), read, all_or_nothing=False)

    async def _take(
        self, kind: str, items: Iterable[Any], read: Callable[[Any], _Row | RowError], all_or_nothing: bool
    ) -> Outcome:
        outcome = Outcome()
        size = MOST_ATOMIC_ROWS + 1 if all_or_nothing else CHUNK_ROWS
        source = iter(items)
        while True:
            chunk, broken = _chunk(source, size)
            if all_or_nothing and len(chunk) > MOST_ATOMIC_ROWS:
                raise TooManyRowsError(f"all or nothing takes {MOST_ATOMIC_ROWS:,} rows at the most")
            # The door first: what it refuses must not use up a revision.
            sound: list[_Row] = []
            self._began_s = clock.monotonic_s()
            for number, item in enumerate(chunk, 1):
                made = read(item)
                if isinstance(made, RowError):
                    outcome.fault(made)
                elif self._passes(kind, made, outcome):
                    sound.append(made)
                if number % TURN_ROWS == 0:
                    await self._give_way()
            if broken is not None:
                outcome.fault(RowError(row=broken.row, column=broken.column, detail=broken.detail))
            if sound and not (all_or_nothing and outcome.rejected):
                await self._send(kind, sound, outcome)
            if len(chunk) < size or broken is not None:
                return outcome

    async def _give_way(self) -> None:
        """Let others have their turn."""
        rest = clock.monotonic_s() - self._began_s if self._polite else 0.0
        await asyncio.sleep(min(rest, _MOST_REST_S))
        self._began_s = clock.monotonic_s()

    def _passes(self, kind: str, row: _Row, outcome: Outcome) -> bool:
        row.record = _with_revision(kind, row.record, row.revision or 0)
        refusal = None if self._refusal is None else self._refusal(row.record)
        if refusal is not None:
            outcome.fault(RowError(row=row.row, column=None, detail=refusal))
            return False
        judged = read_event(self._event(kind, row.record))
        if isinstance(judged, Refusal):
            outcome.fault(_refused(row, judged))
            return False
        row.event = judged
        return True

    async def _send(self, kind: str, sound: list[_Row], outcome: Outcome) -> None:
        revisions = await asyncio.to_thread(self._revisions, kind, sound)
        self._began_s = clock.monotonic_s()
        events: list[Prepared] = []
        sent: list[_Row] = []
        for row, revision in zip(sound, revisions, strict=True):
            if revision is None:
                outcome.unchanged += 1
                continue
            events.append(self._numbered(kind, row, revision))
            sent.append(row)
            if len(events) % TURN_ROWS == 0:
                await self._give_way()
        statuses = await self._submit(events) if events else []
        for row, status in zip(sent, statuses, strict=True):
            if status == "conflict":
                text = f"revision {row.revision} of {row.record.identifier!r} was accepted before with other content"
                outcome.clash(RowError(row=row.row, column="revision", detail=text))
            else:
                setattr(outcome, status, getattr(outcome, status) + 1)

    def _numbered(self, kind: str, row: _Row, revision: int) -> Prepared:
        """The event that the door has let in, with its revision: nothing else of it is another."""
        assert row.event is not None
        if row.revision is not None:
            return row.event
        record = msgspec.structs.replace(row.record, revision=revision)
        raw = self._event(kind, record)
        return msgspec.structs.replace(row.event, id=record.key[:256], key=record.key, raw=raw)

    def _event(self, kind: str, record: Any) -> bytes:
        head = {"specversion": "1.0", "id": record.key[:256], "source": self._source, "type": KINDS[kind]}
        return _encode({**head, "data": record})

    def _revisions(self, kind: str, rows: Sequence[_Row]) -> list[int | None]:
        """A revision for each row; none for a row that says what is recorded already."""
        given = [row.revision for row in rows]
        if None not in given:
            return given
        with self._connect() as connection, connection.transaction():
            connection.execute(_sql.lock_assignment, (kind,))
            return self._assign(connection, kind, rows)

    @staticmethod
    def _assign(connection: psycopg.Connection, kind: str, rows: Sequence[_Row]) -> list[int | None]:
        names = sorted({row.record.identifier for row in rows})
        parameters: dict[str, Any] = {"type": KINDS[kind], "ids": names}
        decode = _RECORDS[kind].decode
        recorded = {
            name: (revision, _digest(decode(body)))
            for name, revision, body in connection.execute(_sql.current, parameters)
        }
        assigned = {
            name: (revision, bytes(digest)) for name, revision, digest in connection.execute(_sql.assigned, parameters)
        }
        before = dict(assigned)
        revisions: list[int | None] = []
        for row in rows:
            name = row.record.identifier
            if row.revision is not None:
                revisions.append(row.revision)
                continue
            digest = _digest(row.record)
            newest, content = recorded.get(name, (0, b""))
            last, last_content = assigned.get(name, (0, b""))
            if newest >= last and digest == content:
                revisions.append(None)
            elif last > newest and digest == last_content:
                revisions.append(last)  # on its way, or lost between here and the group commit
            else:
                assigned[name] = (max(newest, last) + 1, digest)
                revisions.append(assigned[name][0])
        new = [name for name in names if assigned.get(name) != before.get(name)]
        if new:
            values = {"revisions": [assigned[name][0] for name in new], "digests": [assigned[name][1] for name in new]}
            connection.execute(_sql.assign, {"type": KINDS[kind], "ids": new, **values})
        return revisions


def _chunk(source: Iterator[Any], size: int) -> tuple[list[Any], TableError | None]:
    """The next items, and why there are no more if the table breaks off."""
    chunk: list[Any] = []
    try:
        for item in islice(source, size):
            chunk.append(item)
    except TableError as error:
        return chunk, error
    return chunk, None


def _after(first: Cells, rows: Iterator[Cells]) -> Iterator[Cells]:
    yield first
    yield from rows


def _of_cells(kind: str) -> Callable[[Cells], _Row | RowError]:
    struct = _UNREVISED[kind]

    def read(cells: Cells) -> _Row | RowError:
        if cells.error is not None:
            return RowError(row=cells.row, column=cells.column, detail=cells.error)
        try:
            record = msgspec.convert(cells.fields, struct, strict=False)
        except msgspec.ValidationError as error:
            return _invalid(cells.row, error)
        return _Row(cells.row, record, record.revision)

    return read


def _of_json(kind: str) -> Callable[[tuple[int, msgspec.Raw]], _Row | RowError]:
    decode = _DECODERS[kind].decode

    def read(item: tuple[int, msgspec.Raw]) -> _Row | RowError:
        try:
            record = decode(item[1])
        except msgspec.ValidationError as error:
            return _invalid(item[0], error)
        return _Row(item[0], record, record.revision)

    return read


def _invalid(row: int, error: msgspec.ValidationError) -> RowError:
    detail, pointer = pointer_of(error)
    named = _NAMED_FIELD.search(detail)
    return RowError(row=row, column=_column(pointer) or (named.group(1) if named else None), detail=detail)


def _refused(row: _Row, refusal: Refusal) -> RowError:
    return RowError(row=row.row, column=_column(refusal.pointer.removeprefix("/data")), detail=refusal.detail)


def _column(pointer: str) -> str | None:
    return pointer.strip("/").partition("/")[0] or None


def _with_revision(kind: str, record: Any, revision: int) -> Any:
    struct = MESSAGES[KINDS[kind]]
    values = {name: getattr(record, name) for name in struct.__struct_fields__}
    return struct(**{**values, "revision": revision})


def _digest(record: Any) -> bytes:
    """Of a record's content, whatever its revision and whatever of it was left at its default."""
    content = [_plain(getattr(record, name)) for name in record.__struct_fields__ if name != "revision"]
    return hashlib.sha256(_encode(content)).digest()


def _plain(node: Any) -> Any:
    if isinstance(node, msgspec.Struct):
        return [_plain(getattr(node, name)) for name in node.__struct_fields__]
    if isinstance(node, tuple):
        return [_plain(one) for one in node]
    if isinstance(node, dict):
        return sorted([name, _plain(one)] for name, one in node.items())
    return node
