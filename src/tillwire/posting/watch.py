"""Watching calls to the ERP: a budget of calls per minute, and a note of every call that failed."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from tillwire import clock
from tillwire.database import sql

_sql = sql.load("tillwire.posting", "posting.sql")


class ErpWatch:
    """Spaces calls so that no minute has more than ``limit_per_min``, with short bursts; notes failures.

    ``connection`` is the dispatcher's own, in autocommit; it is set anew whenever the dispatcher connects again.
    """

    def __init__(self, limit_per_min: int, *, wait: Callable[[float], None] = time.sleep) -> None:
        self.connection: psycopg.Connection | None = None
        self._per_s = limit_per_min / 60
        self._burst = max(1.0, limit_per_min / 6)
        self._allowance = self._burst
        self._seen_s = clock.monotonic_s()
        self._wait = wait

    def before_call(self) -> None:
        """Wait until the budget allows one more call (a token bucket)."""
        moment = clock.monotonic_s()
        self._allowance = min(self._burst, self._allowance + (moment - self._seen_s) * self._per_s)
        self._seen_s = moment
        if self._allowance < 1:
            self._wait((1 - self._allowance) / self._per_s)
        self._allowance -= 1

    def failed(self, kind: str, detail: str) -> None:
        """Note a failed call."""
        if self.connection is not None:
            self.connection.execute(_sql.note_incident, (kind, detail))
