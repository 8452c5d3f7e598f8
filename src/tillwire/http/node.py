"""What one API process holds: connections, the group commit, and a watch on keys and backlog."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from tillwire import bootstrap, clock
from tillwire.config import Settings
from tillwire.database import sql
from tillwire.database.migrate import migrate
from tillwire.errors import TillwireError, TransientError
from tillwire.governance.access import LOCAL, Operation, Principal, Reach
from tillwire.governance.clients import KEYS_IN_FORCE
from tillwire.governance.networks import networks_of
from tillwire.http.callers import Callers, Scope
from tillwire.http.sending import Sending
from tillwire.http.signed_in import SignedIn
from tillwire.intake.group_commit import GroupCommit
from tillwire.masterdata.places import Stores
from tillwire.observability.acknowledged import Acknowledged

_intake_sql = sql.load("tillwire.intake", "intake.sql")
_log = structlog.get_logger(__name__)
_T = TypeVar("_T")

WATCH_EVERY_S = 1.0
"""A revoked key stays good for at most so long."""

LOOK_AGAIN_S = 0.05
"""Unknown keys make an API process look at the database at most so often."""

MOST_REACHES = 10_000
"""Reaches that are remembered until clients or stores change."""

SIGN_IN_AT_ONCE = 2
"""People whose passwords are looked at, at a time: each takes much memory and the time of a whole core, on purpose."""
SIGN_IN_PATIENCE_S = 10.0

_POOL: dict[str, Any] = {"timeout": 5, "reconnect_timeout": 2, "kwargs": {"autocommit": True}}
"""A pool waits ever longer between attempts to connect, up to ``reconnect_timeout``: else a hub would stay unready
for about as long again as the database was away."""


class Node:
    """The state of one API process; made at start, closed at stop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.connectors = bootstrap.inbound_connectors(settings)
        self.callbacks = bootstrap.callback_connectors(settings)
        owner = bootstrap.policy(settings.rules).owner("duplicate_conflict")
        self.group_commit = GroupCommit(settings.database_url, conflict_owner=owner)
        self.pool = AsyncConnectionPool(settings.database_url, min_size=1, max_size=4, open=False, **_POOL)
        self._readers = ConnectionPool(settings.database_url, min_size=0, max_size=4, open=False, **_POOL)
        self.callers = Callers(bootstrap.tokens(settings), networks_of(settings.http.trusted_proxies))
        self.stores = Stores()
        self.signed_in = SignedIn(self.pool, settings.access)
        self.provider = bootstrap.provider(settings)
        self._signing_in = asyncio.Semaphore(SIGN_IN_AT_ONCE)
        self._reaches: dict[tuple[Principal, Operation], Reach] = {}
        self._sending: dict[Principal, Sending] = {}
        self.backlog = 0
        self.catalogue_backlog = 0
        self.ready = False
        self._migrated = False
        self._looked_s = 0.0
        self._looking = asyncio.Lock()
        self._next_look: asyncio.Task[None] | None = None
        self.registry = CollectorRegistry()
        self.events = Counter(
            "tillwire_intake_events",
            "Events by answer (accepted, duplicate, conflict, rejected)",
            ["status"],
            registry=self.registry,
        )
        self.commit_seconds = Histogram(
            "tillwire_intake_commit_seconds",
            "From a request's last byte to its events on disk",
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self.registry,
        )
        self.acknowledged = Acknowledged(settings.objectives, clock.now())
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start writers and the watch. The database need not be there yet: answers are 503 until it is."""
        await self.pool.open(wait=False)
        self._readers.open(wait=False)
        await self.group_commit.start()
        await self._look()
        self._watch = asyncio.create_task(self._look_for_ever())

    async def stop(self) -> None:
        """Stop everything; what was acknowledged is on disk already."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        if self._next_look is not None:
            self._next_look.cancel()
        await self.group_commit.stop()
        await self.pool.close()
        await asyncio.to_thread(self._readers.close)
        if self.provider is not None:
            self.provider.close()

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            await self._look()

    async def _look(self) -> None:
        """Refresh what every request is judged by: keys in force, stores and the backlog. One look at a time, so that
        what an earlier one has read never takes the place of what a later one has.
        """
        async with self._looking:
            await self._refresh()

    async def _refresh(self) -> None:
        self._looked_s = clock.monotonic_s()
        try:
            if not self._migrated:
                await asyncio.to_thread(migrate, self.settings.database_url)
                self._migrated = True
            async with self.pool.connection() as connection:
                cursor = await connection.execute(KEYS_IN_FORCE)
                changed = self.callers.refresh(await cursor.fetchall())
                changed |= await self.stores.refresh(connection)
                if changed:
                    self._reaches, self._sending = {}, {}
                cursor = await connection.execute(_intake_sql.backlog, {"most": self.settings.http.backlog_limit + 1})
                row = await cursor.fetchone()
                self.backlog, self.catalogue_backlog = (int(row[0]), int(row[1])) if row else (0, 0)
                await self.acknowledged.write(connection, clock.now())
            self.ready = True
        except (psycopg.Error, OSError, TimeoutError, TillwireError) as error:
            if self.ready:
                _log.warning("database_away", error=str(error).strip())
            self.ready = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[psycopg.Connection]:
        """A connection for a route that reads, in a thread. Raises ``TransientError`` if the database is away."""
        if not self.ready:  # told at once, not after a pool's patience
            raise TransientError("the database is away", retry_after_s=1)
        try:
            with self._readers.connection() as connection:
                yield connection
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise TransientError("the database is away", retry_after_s=1) from error

    async def with_passwords(self, work: Callable[[psycopg.Connection], _T]) -> _T:
        """Work that looks at passwords, with a connection and in a thread; few at a time, and who waits takes neither.
        Raises ``TransientError`` for who would wait for long.
        """

        def alone() -> _T:
            with self.reading() as connection:
                return work(connection)

        try:
            await asyncio.wait_for(self._signing_in.acquire(), SIGN_IN_PATIENCE_S)
        except TimeoutError as error:
            raise TransientError("too many people are signing in at this moment", retry_after_s=5) from error
        try:
            return await asyncio.to_thread(alone)
        finally:
            self._signing_in.release()

    async def principal(self, authorization: str, scope: Scope) -> Principal | None:
        """Who sends this header with a request; None for who has no key in force. A key that is not known yet may have
        been made a moment ago: look.

        Raises ``TransientError`` while the keys could not be read yet.
        """
        if self.settings.http.api_keys == "off":
            return LOCAL
        self.refuse_unread_keys()
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not secret:
            return None
        secret = secret.strip()
        found = self.callers.principal(secret, scope)
        if found is None and self.callers.may_be_new(secret):
            await self.look_again()
            found = self.callers.principal(secret, scope)
        return found

    def refuse_unread_keys(self) -> None:
        """Raises ``TransientError`` while the keys could not be read yet."""
        if not self.ready and not self.callers.ring:
            raise TransientError("the database is away; keys cannot be checked", retry_after_s=1)

    async def look_again(self) -> None:
        """Look at the database for keys that were made just now: at most so often, for all who wait for it together."""
        if self._next_look is None:
            self._next_look = asyncio.create_task(self._look_again())
        await asyncio.shield(self._next_look)  # whose caller goes does not take it from the others

    async def _look_again(self) -> None:
        await asyncio.sleep(max(0.0, self._looked_s + LOOK_AGAIN_S - clock.monotonic_s()))
        self._next_look = None  # who comes from here on has to wait for the next: what is read now may be older
        await self._look()

    def reach(self, principal: Principal, operation: Operation) -> Reach:
        """The stores where somebody may do something."""
        key = (principal, operation)
        found = self._reaches.get(key)
        if found is None:
            if len(self._reaches) >= MOST_REACHES:
                self._reaches.clear()
            found = principal.reach(operation, self.stores.companies)
            self._reaches[key] = found
        return found

    def sending(self, principal: Principal) -> Sending:
        """What somebody may send."""
        found = self._sending.get(principal)
        if found is None:
            if len(self._sending) >= MOST_REACHES:
                self._sending.clear()
            found = self._sending[principal] = Sending(principal, self.stores.companies)
        return found

    def refuse_if_overloaded(self) -> None:
        """Raises ``TransientError`` while more events wait for workers than the limit allows.

        Prices and customers do not count: no sale waits behind them, so none is refused for them.
        """
        self._refuse_above_limit(self.backlog)

    def refuse_if_catalogue_overloaded(self) -> None:
        """Raises ``TransientError`` while more events of either lane wait for workers than the limit allows."""
        self._refuse_above_limit(max(self.backlog, self.catalogue_backlog))

    def _refuse_above_limit(self, waiting: int) -> None:
        limit = self.settings.http.backlog_limit
        if waiting > limit:
            raise TransientError(f"{waiting} events wait for workers, the limit is {limit}", retry_after_s=2)
