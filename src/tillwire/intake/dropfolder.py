"""A drop folder: files in a watched inbox are read by their connection's connector, and recorded once.

A file is read to its end without effect first, then recorded in batches, each in one transaction with the position in
the file: killed anywhere, the next process goes on behind the last batch that is on disk. A claim is held by an
advisory lock of the database session, so that what a dead process held is free.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import psycopg
import structlog

from tillwire import clock
from tillwire.config import Drop
from tillwire.connectors.inbound import InboundConnector, MalformedError, Record, Source, Trouble
from tillwire.database import sql
from tillwire.faultpoints import passing
from tillwire.intake.inbox import Claimed, Inbox, shown
from tillwire.intake.recording import Counts, record_batch
from tillwire.intake.tally import FileTally
from tillwire.model.event import MASTER_TYPES

_sql = sql.load("tillwire.intake", "dropfolder.sql")
_intake_sql = sql.load("tillwire.intake", "intake.sql")
_log = structlog.get_logger(__name__)

LANE = 0x7111_0006
"""Key of the advisory locks under which claimed files are worked."""
_MOST_BATCH_BYTES = 8 * 1024 * 1024
_CHUNK = 1024 * 1024
_BACKLOG_WAIT_S = 0.5
_SAME_CONTENT_WAIT_S = 10.0
"""How long a file waits before it is looked at again, while another of the same content is worked on."""


class Stopped(Exception):
    """The process was asked to stop: the file stays claimed, and is gone on with later."""


class _Unfit(Exception):
    """The file cannot be taken in: where, and why."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(reason)
        self.place = place
        self.reason = reason


class _File(msgspec.Struct):
    """A claimed file and what the database knows of it."""

    claimed: Claimed
    stream: BinaryIO
    was: tuple[int, int, int]
    file_id: int
    state: str
    next_record: int
    tally: FileTally
    began: Any
    digest: bytes


class DropFolder:
    """One connection's inbox, worked on one database connection in autocommit."""

    def __init__(
        self,
        connection: psycopg.Connection,
        connection_name: str,
        connector: InboundConnector,
        inbox: Path,
        drop: Drop,
        *,
        backlog_limit: int = 200_000,
        wait: Callable[[float], None] = lambda _: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._connection = connection
        self._name = connection_name
        self._connector = connector
        self._drop = drop
        self._inbox = Inbox(inbox, drop)
        self._backlog_limit = backlog_limit
        self._wait = wait
        self._stopping = stopping
        self._look_again: dict[str, float] = {}

    def work_once(self) -> int:
        """Take over what a dead process left, or take one complete file; returns how many files came to an end."""
        self._inbox.take_back()
        try:
            for claimed in self._inbox.claimed():
                if self._look_again.get(claimed.claim, 0.0) <= clock.monotonic_s() and self._locked(claimed.claim):
                    try:
                        if os.path.lexists(claimed.path) and self._work(claimed):
                            return 1
                    finally:
                        self._unlock(claimed.claim)
            for name in self._inbox.complete():
                claim = self._inbox.claim_name(name)
                self._locked(shown(claim))  # before the file is there, so that nobody takes it for a dead one's
                try:
                    taken = self._inbox.take(name, claim)
                    if taken is not None:
                        passing("drop.after_claim")
                        if self._work(taken):
                            return 1
                finally:
                    self._unlock(shown(claim))
        except Stopped:
            return 0
        return 0

    def _locked(self, claim: str) -> bool:
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (LANE, claim)).fetchone()
        return bool(row and row[0])

    def _unlock(self, claim: str) -> None:
        if not self._connection.broken:
            self._connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", (LANE, claim))

    # ------------------------------------------------------------------ one file

    def _work(self, claimed: Claimed) -> bool:
        """One claimed file as far as it goes; false if it has to wait for another of the same content."""
        self._inbox.clear_marker(claimed.name)
        known = self._connection.execute(_sql.by_claim, self._keys(claimed)).fetchone()
        if known is not None and known[6] is not None:  # its end is recorded: only the file was not put away
            self._put_away(claimed, known[3], known[6])
            return True
        try:
            stream, was = _opened(claimed.path)
        except _Unfit as unfit:
            return self._end_unread(claimed, None, 0, unfit)
        with stream:
            try:
                digest = self._digest(stream)
                _unchanged(stream, was)
            except _Unfit as unfit:
                return self._end_unread(claimed, None, was[0], unfit)
            file = self._begin(claimed, stream, was, digest)
            if file is None:
                self._look_again[claimed.claim] = clock.monotonic_s() + _SAME_CONTENT_WAIT_S
                return False
            self._look_again.pop(claimed.claim, None)
            if file.state == "duplicate":
                return True
            try:
                if file.state == "checking":
                    self._check(file)
                self._record(file)
            except _Unfit as unfit:
                return self._end(file, "failed", unfit)
            return self._end(file, "done")

    def _keys(self, claimed: Claimed) -> dict[str, Any]:
        return {"connection": self._name, "claim": claimed.claim, "name": shown(claimed.name)}

    def _digest(self, stream: BinaryIO) -> bytes:
        digest = hashlib.sha256()
        try:
            stream.seek(0)
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                if self._stopping():
                    raise Stopped
        except OSError as error:
            raise _Unfit("file", f"it cannot be read: {error.strerror}") from error
        return digest.digest()

    def _begin(self, claimed: Claimed, stream: BinaryIO, was: tuple[int, int, int], digest: bytes) -> _File | None:
        """The file's row: a new one, its own from before, or that of the same content."""
        keys = {**self._keys(claimed), "digest": digest, "bytes": was[0]}
        row = self._connection.execute(_sql.by_claim, keys).fetchone()
        if row is not None and bytes(row[2]) != digest:
            reason = f"its content has changed since it was first read (of {row[4]} records recorded)"
            file = self._file(claimed, stream, was, row)
            self._end(file, "failed", _Unfit("file", reason))
            file.state = "duplicate"
            return file
        if row is None:
            row = self._connection.execute(_sql.begin, keys).fetchone()
        if row is None:
            same = self._connection.execute(_sql.same_content, keys).fetchone()
            if same is None:  # it failed just now: this one is looked at again
                return None
            file_id, name, claim, state, began_at = same
            if state != "done":
                if self._inbox.holds(claim):
                    return None
                given = {"file_id": file_id, "before": claim, "claim": claimed.claim}
                self._connection.execute(_sql.inherit, given)
                row = self._connection.execute(_sql.by_claim, keys).fetchone()
                return None if row is None else self._file(claimed, stream, was, row)
            report = {
                **self._head(claimed, "duplicate", was[0], digest),
                "reason": f"the same content came as {name} at {began_at:%Y-%m-%d %H:%M:%S %Z}: no effect",
                "duplicate_of": {"file_id": file_id, "name": name, "began_at": began_at},
            }
            self._finish_at_once(claimed, "duplicate", digest, was[0], report)
            row = self._connection.execute(_sql.by_claim, keys).fetchone()
            assert row is not None
        return self._file(claimed, stream, was, row)

    def _file(self, claimed: Claimed, stream: BinaryIO, was: tuple[int, int, int], row: tuple[Any, ...]) -> _File:
        file_id, _, digest, state, next_record, counts, _, began_at = row
        tally = msgspec.convert(counts, FileTally, strict=False)
        return _File(claimed, stream, was, file_id, state, next_record, tally, began_at, bytes(digest))

    def _check(self, file: _File) -> None:
        """Read to the end without effect."""
        count = 0
        for _ in self._records(file):
            count += 1
            if count % 1000 == 0 and self._stopping():
                raise Stopped
        if not count:
            raise _Unfit("file", "nothing in it was understood")
        if self._digest(file.stream) != file.digest:
            raise _Unfit("file", "it was changed while it was read: put it back once it is complete")
        _unchanged(file.stream, file.was)
        passing("drop.after_check")
        self._connection.execute(_sql.recording, {"file_id": file.file_id, "claim": file.claimed.claim})
        file.state = "recording"

    def _records(self, file: _File) -> Iterator[Record]:
        file.stream.seek(0)
        try:
            yield from self._connector.read(Source(file.stream, file.claimed.name))
        except MalformedError as error:
            raise _Unfit(error.place, error.reason) from error
        except OSError as error:
            raise _Unfit("file", f"it cannot be read: {error.strerror}") from error
        except Exception as error:
            _log.error("connector_failed", connection=self._name, name=shown(file.claimed.name), exc_info=error)
            raise _Unfit("", f"the connector failed: {type(error).__name__}: {error}") from error

    # ------------------------------------------------------------------ recording

    def _record(self, file: _File) -> None:
        batch: list[Record] = []
        size = 0
        for number, record in enumerate(self._records(file)):
            if number < file.next_record:
                continue
            batch.append(record)
            size += len(record.raw)
            if len(batch) >= self._drop.batch_records or size >= _MOST_BATCH_BYTES:
                self._store(file, batch)
                batch, size = [], 0
        if batch:
            self._store(file, batch)

    def _store(self, file: _File, batch: list[Record]) -> None:
        """One batch and the position behind it, in one transaction."""
        self._await_workers(batch)
        _unchanged(file.stream, file.was)
        keys = {"file_id": file.file_id, "claim": file.claimed.claim}
        after = file.next_record + len(batch)
        with self._connection.transaction():
            row = self._connection.execute(_sql.position, keys).fetchone()
            if row is None or row[0] != file.next_record:
                raise Stopped  # another process has it: this one's lock was lost with a connection
            counts = self._store_some(file, batch)
            told = self._connection.execute(_sql.told, (counts.exceptions,)).fetchall() if counts.exceptions else []
            file.tally.add(batch, counts, told)
            tally = msgspec.json.encode(file.tally).decode()
            self._connection.execute(_sql.advance, {**keys, "next_record": after, "counts": tally})
            passing("drop.before_commit")
        passing("drop.after_batch")
        file.next_record = after

    def _store_some(self, file: _File, records: list[Record]) -> Counts:
        """Store records; one that the database refuses is found by halving, and raised alone."""
        try:
            with self._connection.transaction():
                return record_batch(self._connection, self._name, records, part_of=shown(file.claimed.name))
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            _log.error("records_refused", connection=self._name, records=len(records), error=str(error).strip())
            if len(records) > 1:
                middle = len(records) // 2
                counts = self._store_some(file, records[:middle])
                counts.add(self._store_some(file, records[middle:]))
                return counts
            trouble = Trouble(code="processing_failed", message=f"the record could not be stored: {error}")
            if records[0].troubles:
                raise
            spoilt = Record(place=records[0].place, raw=records[0].raw, troubles=(trouble,))
            return self._store_some(file, [spoilt])

    def _await_workers(self, batch: list[Record]) -> None:
        """Wait while more events wait for workers than the hub's limit: sales do not wait for the catalogue's lane."""
        master = any(event.type in MASTER_TYPES for record in batch for event in record.events)
        most = self._backlog_limit
        while True:
            if self._stopping():
                raise Stopped
            row = self._connection.execute(_intake_sql.backlog, {"most": most + 1}).fetchone()
            assert row is not None
            if row[0] <= most and (row[1] <= most or not master):
                return
            self._wait(_BACKLOG_WAIT_S)

    # ------------------------------------------------------------------ the end

    def _head(self, claimed: Claimed, state: str, size: int, digest: bytes | None) -> dict[str, Any]:
        return {
            "file": shown(claimed.name),
            "connection": self._name,
            "state": state,
            "bytes": size,
            "sha256": digest.hex() if digest else None,
            "finished_at": clock.now(),
        }

    def _end(self, file: _File, state: str, unfit: _Unfit | None = None) -> bool:
        report = self._head(file.claimed, state, file.was[0], file.digest)
        report["file_id"] = file.file_id
        report["began_at"] = file.began
        report["seconds"] = round((report["finished_at"] - file.began).total_seconds(), 3)
        if unfit is not None:
            report |= {"place": unfit.place, "reason": unfit.reason, "recorded_before": file.next_record}
        report |= file.tally.told()
        encoded = msgspec.json.encode(report).decode()
        self._connection.execute(_sql.finish, {"file_id": file.file_id, "state": state, "report": encoded})
        passing("drop.before_move")
        self._put_away(file.claimed, state, report)
        return True

    def _end_unread(self, claimed: Claimed, digest: bytes | None, size: int, unfit: _Unfit) -> bool:
        report = {
            **self._head(claimed, "failed", size, digest),
            "place": unfit.place,
            "reason": unfit.reason,
            "recorded_before": 0,
        }
        row = self._connection.execute(_sql.by_claim, self._keys(claimed)).fetchone()
        if row is None:
            self._finish_at_once(claimed, "failed", digest, size, report)
        else:
            report |= {"recorded_before": row[4]}
            encoded = msgspec.json.encode(report).decode()
            self._connection.execute(_sql.finish, {"file_id": row[0], "state": "failed", "report": encoded})
            self._put_away(claimed, "failed", report)
        return True

    def _finish_at_once(
        self, claimed: Claimed, state: str, digest: bytes | None, size: int, report: dict[str, Any]
    ) -> None:
        keys = {**self._keys(claimed), "digest": digest, "bytes": size, "state": state}
        self._connection.execute(_sql.finished_at_once, {**keys, "report": msgspec.json.encode(report).decode()})
        passing("drop.before_move")
        self._put_away(claimed, state, report)

    def _put_away(self, claimed: Claimed, state: str, report: dict[str, Any]) -> None:
        folder = self._inbox.failed if state == "failed" else self._inbox.done
        self._inbox.put_away(claimed, folder, report)
        _log.info("file_ended", connection=self._name, name=shown(claimed.name), state=state)


def _opened(path: Path) -> tuple[BinaryIO, tuple[int, int, int]]:
    """A regular file and what it is now; anything else is refused without being opened."""
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            raise _Unfit("file", "a symbolic link: links are not followed")
        if not stat.S_ISREG(found.st_mode):
            raise _Unfit("file", "no regular file")
        stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except OSError as error:
        raise _Unfit("file", f"it cannot be opened: {error.strerror}") from error
    return stream, _state(stream)


def _state(stream: BinaryIO) -> tuple[int, int, int]:
    found = os.fstat(stream.fileno())
    return found.st_size, found.st_mtime_ns, found.st_ino


def _unchanged(stream: BinaryIO, was: tuple[int, int, int]) -> None:
    now = _state(stream)
    if now != was:
        what = f"it grew from {was[0]} to {now[0]} bytes" if now[0] > was[0] else "it was changed"
        raise _Unfit("file", f"{what} while it was read: put it back once it is complete")
