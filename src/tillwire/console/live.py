"""What has changed, told to every open page: one look at the database for all, and none while nobody watches."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psycopg
from litestar import Request, get
from litestar.response import ServerSentEvent
from litestar.response.sse import ServerSentEventMessage
from psycopg_pool import PoolTimeout

from tillwire import clock
from tillwire.database import sql
from tillwire.errors import TransientError
from tillwire.governance.access import Operation
from tillwire.http.access import caller, needs
from tillwire.http.node import Node

_sql = sql.load("tillwire.console", "console.sql")

EVERY_S = 1.0
BEAT_S = 5.0
"""So often something is said even if nothing has changed, so that a page knows that it is connected."""
TOPICS = ("sales", "exceptions", "posting", "waiting")


class Live:
    """Watches for all pages of one process."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._listeners: set[asyncio.Queue[str]] = set()
        self._task: asyncio.Task[None] | None = None
        self._marks: tuple[Any, ...] | None = None
        self._recorded: list[tuple[float, int]] = []

    def rate(self) -> float | None:
        """Events recorded a second, over the last ten seconds; none until two looks were had."""
        if len(self._recorded) < 2:
            return None
        (first_s, first), (last_s, last) = self._recorded[0], self._recorded[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else None

    async def follow(self, may: Callable[[], Awaitable[bool]]) -> AsyncIterator[ServerSentEventMessage]:
        """Messages for one page, until it goes or whoever looks at it ``may`` no more, which is asked at each beat."""
        queue: asyncio.Queue[str] = asyncio.Queue(maxsize=64)
        self._listeners.add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        try:
            yield ServerSentEventMessage(event="beat", data="", retry=2000)
            beat_s = clock.monotonic_s() + BEAT_S
            while True:
                try:
                    topics = await asyncio.wait_for(queue.get(), max(0.0, beat_s - clock.monotonic_s()))
                except TimeoutError:
                    if not await may():
                        return
                    beat_s = clock.monotonic_s() + BEAT_S
                    yield ServerSentEventMessage(event="beat", data="")
                else:
                    yield ServerSentEventMessage(event="changed", data=topics)
        finally:
            self._listeners.discard(queue)

    async def _watch(self) -> None:
        while self._listeners:
            with contextlib.suppress(psycopg.Error, PoolTimeout, OSError):  # away: pages say so, as no beat comes
                await self._look()
            await asyncio.sleep(EVERY_S)
        self._marks, self._recorded = None, []

    async def _look(self) -> None:
        async with self._node.pool.connection() as connection:
            row = await (await connection.execute(_sql.marks.encode())).fetchone()
        assert row is not None
        self._recorded = [*self._recorded[-10:], (clock.monotonic_s(), int(row[0]))]
        before, self._marks = self._marks, tuple(row)
        if before is None or before == self._marks:
            return
        changed = " ".join(name for name, old, new in zip(TOPICS, before, self._marks, strict=True) if old != new)
        for queue in self._listeners:
            if not queue.full():  # who does not read gets the next one
                queue.put_nowait(changed)


def live_of(node: Node) -> Live:
    """The watch of this process."""
    found: Live | None = getattr(node, "live", None)
    if found is None:
        found = Live(node)
        node.live = found  # type: ignore[attr-defined]
    return found


@get("/live", include_in_schema=False, opt=needs(Operation.READ_SERVICE_LEVELS))
async def live(request: Request[Any, Any, Any]) -> ServerSentEvent:
    """Names of topics as they change (server-sent events): nothing of what has changed."""

    async def may() -> bool:
        try:
            principal = await caller(request)
        except TransientError:  # the database is away: nothing is told, and whoever looked may still look
            return True
        return principal is not None and principal.may(Operation.READ_SERVICE_LEVELS)

    return ServerSentEvent(live_of(request.app.state.node).follow(may))
