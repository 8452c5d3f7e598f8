"""The observer: samples figures every minute, judges alerts every few seconds, and decides who is told.

Of several processes one does it, whoever holds the lock; the others stand by. It reads, and writes its own tables: if
it is gone, sales go on, and how far it had come stands in the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import psycopg
import structlog

from tillwire import clock
from tillwire.config import ErpPolicy, Settings
from tillwire.database import sql
from tillwire.observability import states
from tillwire.observability.conditions import Scene
from tillwire.observability.sampler import SETTLED, Sampler, position
from tillwire.observability.telling import tell
from tillwire.posting.backlog import at_stake, backlog

_sql = sql.load("tillwire.observability", "observer.sql")
_log = structlog.get_logger(__name__)

_LOCK = 0x7111_0012
"""Key of the advisory lock of whoever observes."""

SAMPLE_EVERY = timedelta(minutes=1)
JUDGE_EVERY = timedelta(seconds=15)
TIDY_EVERY = timedelta(hours=6)

KEEP_ALERTS = timedelta(days=400)
KEEP_DELIVERIES = timedelta(days=60)
SLOW_S = 5.0
"""A look that takes longer is noted."""


class Observer:
    """Observes on one connection (in autocommit)."""

    def __init__(
        self, connection: psycopg.Connection, settings: Settings, erps: Sequence[ErpPolicy], *, hub: str = ""
    ) -> None:
        """``hub``: where others reach it, for messages."""
        self._connection = connection
        self._settings = settings
        self._erps = erps
        self._hub = hub
        self.sampler = Sampler(connection, settings, erps)
        self._owned = False
        self._judged_at: datetime | None = None
        self._tidied_at: datetime | None = None

    def own(self) -> bool:
        """Take the lock, if nobody has it."""
        if not self._owned:
            row = self._connection.execute(_sql.lock, (_LOCK,)).fetchone()
            self._owned = bool(row and row[0])
        return self._owned

    def step(self, now: datetime) -> int:
        """Do what is due; how much that was. Nothing while another process observes."""
        if not self.own():
            return 0
        began_s, done = clock.monotonic_s(), 0
        at = position(self._connection)
        if at is None or now - at.sampled_at >= SAMPLE_EVERY + SETTLED:
            self.sampler.sample(now)
            done += 1
        if self._judged_at is None or now - self._judged_at >= JUDGE_EVERY:
            self.judge(now)
            self._judged_at = now
            done += 1
        if self._tidied_at is None or now - self._tidied_at >= TIDY_EVERY:
            self._tidy(now)
            self._tidied_at = now
        if done and clock.monotonic_s() - began_s > SLOW_S:
            _log.warning("observing_is_slow", seconds=round(clock.monotonic_s() - began_s, 1))
        return done

    def judge(self, now: datetime) -> None:
        """Judge all alerts, and decide who is told of them: in one transaction."""
        connection = self._connection
        with connection.transaction():
            self.sampler.places.refresh(connection)
            scene = Scene(
                connection=connection,
                settings=self._settings,
                erps=self._erps,
                places=self.sampler.places.of,
                habits=self.sampler.habits,
                now=now,
                backlog=backlog(connection, self._erps, now=now),
                stakes=at_stake(connection, self._erps),
            )
            found, judged = states.find_all(scene)
            states.judge(connection, found, judged, self._settings, now)
            tell(connection, self._settings, self._hub, now)

    def _tidy(self, now: datetime) -> None:
        """Drop what is over for long."""
        with self._connection.transaction():
            self._connection.execute(_sql.drop_alerts, (now - KEEP_ALERTS,))
            self._connection.execute(_sql.drop_deliveries, (now - KEEP_DELIVERIES,))
            self._connection.execute(_sql.drop_silences, (now - KEEP_ALERTS,))
