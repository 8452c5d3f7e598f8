"""Group commit: requests that arrive together share one transaction, so that durability does not cost throughput.

An answer is given only after the commit that holds its event. While one group is being written the next one gathers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

import psycopg
import structlog

from tillwire.database import sql
from tillwire.errors import TransientError
from tillwire.events import frames
from tillwire.exceptions.codes import owner_of
from tillwire.faultpoints import passing
from tillwire.intake.door import Prepared
from tillwire.intake.grouping import Group, conflict_row

_sql = sql.load("tillwire.intake", "intake.sql")
_log = structlog.get_logger(__name__)


MOST_GROUP_BYTES = 16 * 1024 * 1024
"""Requests share a group up to this size: a group is in memory several times over, here and in workers."""


_CONNECT_S = 5
"""A database that does not even refuse is away: requests that wait for it are answered, not kept."""


@dataclass(slots=True)
class _Request:
    events: list[Prepared]
    answer: asyncio.Future[list[str]]

    def size(self) -> int:
        """Bytes of its events."""
        return sum([len(event.raw) for event in self.events])


class _Alone(_Request):
    """A request that shares no transaction, because one that it shared failed."""


class GroupCommit:
    """Writes groups of prepared events with ``writers`` connections side by side."""

    def __init__(
        self, database_url: str, *, writers: int = 2, most_events: int = 1_000, conflict_owner: str | None = None
    ) -> None:
        self._database_url = database_url
        self._writers = writers
        self._most_events = most_events
        self._conflict_owner = conflict_owner or owner_of("duplicate_conflict")
        self._waiting: deque[_Request] = deque()
        self._arrived = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the writers; they connect by themselves, and again whenever the database was away."""
        self._tasks = [asyncio.create_task(self._write_for_ever()) for _ in range(self._writers)]

    async def stop(self) -> None:
        """Stop the writers. What waits unwritten is answered with ``TransientError``: it was never acknowledged."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while self._waiting:
            self._fail(self._waiting.popleft(), "the hub is stopping")

    async def submit(self, events: list[Prepared]) -> list[str]:
        """Store the events; one status each (accepted, duplicate, conflict), once they are on disk.

        Raises ``TransientError`` if the database is away; then nothing of this request is stored.
        """
        request = _Request(events, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._arrived.set()
        return await request.answer

    @staticmethod
    def _fail(request: _Request, reason: str) -> None:
        if not request.answer.done():
            request.answer.set_exception(TransientError(reason, retry_after_s=1))

    def _fits(self, request: _Request, before: _Request, events: int, size: int) -> bool:
        if isinstance(request, _Alone) or isinstance(before, _Alone):
            return False
        return events + len(request.events) <= self._most_events and size + request.size() <= MOST_GROUP_BYTES

    async def _next_requests(self) -> list[_Request]:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        taken: list[_Request] = []
        events = size = 0
        while self._waiting and (not taken or self._fits(self._waiting[0], taken[-1], events, size)):
            request = self._waiting.popleft()
            if request.answer.done():  # its caller has gone
                continue
            taken.append(request)
            events += len(request.events)
            size += request.size()
        return taken

    async def _write_for_ever(self) -> None:
        connection: psycopg.AsyncConnection | None = None
        requests: list[_Request] = []
        try:
            while True:
                requests = await self._next_requests()
                if not requests:
                    continue
                try:
                    if connection is None or connection.broken:
                        connection = await psycopg.AsyncConnection.connect(
                            self._database_url, autocommit=True, prepare_threshold=0, connect_timeout=_CONNECT_S
                        )
                    await self._write(connection, requests)
                except psycopg.OperationalError as error:
                    _log.warning("intake_database_away", error=str(error).strip(), requests=len(requests))
                    for request in requests:
                        self._fail(request, "the database is away; nothing of this request is stored")
                    if connection is not None:
                        await connection.close()
                    connection = None
                except Exception as error:  # noqa: BLE001 - a writer that died would leave every later request waiting
                    # The door should let nothing through that cannot be stored. If it did: spare the neighbours.
                    _log.error("intake_write_failed", error=str(error).strip(), requests=len(requests))
                    if len(requests) > 1:
                        left = [request for request in reversed(requests) if not request.answer.done()]
                        self._waiting.extendleft(_Alone(request.events, request.answer) for request in left)
                    else:
                        self._fail(requests[0], "the event could not be stored")
        finally:
            for request in requests:
                self._fail(request, "the hub is stopping")
            if connection is not None:
                await connection.close()

    async def _write(self, connection: psycopg.AsyncConnection, requests: list[_Request]) -> None:
        group = Group()
        for request in requests:
            for event in request.events:
                group.add(event)
        passing("intake.before_commit")
        cursor = await connection.execute(_sql.accept, group.parameters())
        passing("intake.after_commit")
        row = await cursor.fetchone()
        assert row is not None
        doubtful = group.doubtful(row[0])
        self._answer(requests, group, set(doubtful))
        if doubtful:
            async with connection.transaction():
                await self._judge(connection, group, doubtful)
            self._answer(requests, group, set())

    @staticmethod
    def _answer(requests: list[_Request], group: Group, doubtful: set[int]) -> None:
        """Answer the requests none of whose events is in doubt; what is in doubt must not keep them waiting."""
        start = 0
        for request in requests:
            end = start + len(request.events)
            if not request.answer.done() and doubtful.isdisjoint(range(start, end)):
                request.answer.set_result(group.statuses[start:end])
            start = end

    async def _judge(self, connection: psycopg.AsyncConnection, group: Group, doubtful: list[int]) -> None:
        """Tell duplicates from conflicts among events whose key was there already; raise those in conflict."""
        cursor = await connection.execute(_sql.known, group.keys_of(doubtful))
        by_group = group.by_stored_group(doubtful, await cursor.fetchall())
        cursor = await connection.execute(_sql.group_bodies, (list(by_group),), binary=True)
        async for stored_in, body in cursor:  # unpacked one at a time: a resent day lies in hundreds of groups
            group.judge(body, by_group[stored_in])
        events = group.conflicts(doubtful)
        if events:
            cursor = await connection.execute(_sql.store_group, {"body": frames.pack([event.raw for event in events])})
            row = await cursor.fetchone()
            assert row is not None
            for ordinal, event in enumerate(events):
                conflict = conflict_row(event, row[0], ordinal) | {"owner": self._conflict_owner}
                await connection.execute(_sql.raise_conflict, conflict)
