"""The gate before an ERP: its budget of calls, pauses and breaker, shared by all dispatchers through PostgreSQL.

Times only: a process that dies holds nothing that others wait for. All of them are the database's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import psycopg
import structlog

from tillwire.config import ErpPolicy
from tillwire.database import sql
from tillwire.errors import TransientError
from tillwire.faultpoints import passing

_sql = sql.load("tillwire.posting", "gate.sql")
_log = structlog.get_logger(__name__)

MARGIN_S = 3.0
"""A call may reach the ERP so much later than the call after it: no minute of the ERP's own has more than the limit."""

MOST_WAIT_S = 5.0
"""A call waits for a pause to end so long; for a longer one it is given up, and what it was for stays ours."""

MOST_PAUSE_S = 3600.0
"""An ERP that asks for a longer pause is asked again after an hour."""


class Budget(msgspec.Struct, frozen=True):
    """A limit per minute as the generic cell rate algorithm keeps it. ITU-T I.371, annex A."""

    interval_s: float
    burst_s: float

    @classmethod
    def of(cls, limit_per_min: int) -> Budget:
        """The interval between calls and the tolerance for bursts, so that no stretch of a minute, as the ERP sees it,
        has more than ``limit_per_min`` calls: a burst first, then one call an interval.
        """
        burst = max(1, limit_per_min // 20)
        interval_s = (60.0 + MARGIN_S) / (limit_per_min - burst + 1)
        return cls(interval_s, (burst - 1) * interval_s)


class Gate:
    """The gate of one ERP for one lane: a ``CallWatch`` of its connector. One thread, on the lane's own connection."""

    def __init__(
        self,
        connection: psycopg.Connection,
        policy: ErpPolicy,
        *,
        wait: Callable[[float], None],
        stopping: Callable[[], bool] = lambda: False,
        budget: Budget | None = None,
    ) -> None:
        """``wait`` sleeps, or less when asked to stop; ``connection`` is in autocommit."""
        self._connection = connection
        self._policy = policy
        self._wait = wait
        self._stopping = stopping
        self._budget = budget or Budget.of(policy.limit_per_min)
        self._ticket = False
        self._under_way = False
        connection.execute(_sql.make, (policy.name,))

    @property
    def probing(self) -> bool:
        """True while this lane holds the one probe of an open breaker."""
        return self._ticket

    def admit(self) -> bool:
        """Before anything is marked sent: true if calls may be made now.

        With an open breaker one lane of all processes is let through when its time has come, for one call.
        """
        row = self._connection.execute(_sql.look, (self._policy.name,)).fetchone()
        assert row is not None
        is_open, paused_s, probe_s, _ = row
        if paused_s > 0 or self._stopping():
            return False
        if not is_open or self._ticket:
            return True
        if probe_s > 0:
            return False
        lease_s = max(self._policy.settle_s, self._policy.retry_most_s)
        parameters = {"erp": self._policy.name, "lease_s": lease_s}
        self._ticket = self._connection.execute(_sql.claim_probe, parameters).fetchone() is not None
        return self._ticket

    def before_call(self) -> None:
        """Wait for a slot of the budget. Raises ``TransientError`` if the ERP is to be left alone for now."""
        name = self._policy.name
        while True:
            succeeded, self._under_way = self._under_way, False
            if succeeded:
                self._ticket = False
            parameters = {
                "erp": name,
                "ticket": self._ticket,
                "succeeded": succeeded,
                "interval_s": self._budget.interval_s,
                "burst_s": self._budget.burst_s,
            }
            row = self._connection.execute(_sql.reserve, parameters).fetchone()
            assert row is not None
            passing("posting.after_reserve")
            is_open, paused_s, wait_s, reason = row
            if is_open and not self._ticket:
                raise TransientError(f"the ERP {name} is left alone after failures in a row, the last: {reason}")
            if paused_s > MOST_WAIT_S:
                raise TransientError(f"the ERP {name} asked us to wait", retry_after_s=paused_s)
            if paused_s > 0:
                self._sleep(paused_s)
            elif wait_s <= 0 or self._still_good(wait_s):
                self._under_way = True
                return

    def _still_good(self, wait_s: float) -> bool:
        """Wait until a slot's time has come; false if meanwhile it has lapsed: calls are paused, the breaker opened."""
        self._sleep(wait_s)
        row = self._connection.execute(_sql.look, (self._policy.name,)).fetchone()
        assert row is not None
        return row[1] <= 0 and (not row[0] or self._ticket)

    def _sleep(self, seconds: float) -> None:
        self._wait(seconds)
        if self._stopping():
            raise TransientError("the dispatcher is asked to stop: nothing more is sent")

    def failed(self, kind: str, detail: str, retry_after_s: float | None = None) -> None:
        """Note a failed call. Enough of them in a row open the breaker; "too many calls" pauses all lanes."""
        name = self._policy.name
        self._under_way = False
        self._connection.execute(_sql.note_incident, (name, kind, detail))
        parameters = {
            "erp": name,
            "reason": f"{kind}: {detail}",
            "threshold": self._policy.breaker_failures,
            "first_s": self._policy.retry_first_s,
            "most_s": self._policy.retry_most_s,
        }
        if kind == "rate_limited":
            self._ticket = False
            self._connection.execute(_sql.throttled, parameters | {"retry_after_s": _bounded(retry_after_s)})
            return
        row = self._connection.execute(_sql.failed, parameters | {"ticket": self._ticket}).fetchone()
        self._ticket = False
        if row is not None and row[0]:
            _log.error("erp_breaker_open", erp=name, failures=row[1], reason=parameters["reason"])
        if retry_after_s is not None:
            self.pause(retry_after_s)

    def pause(self, seconds: float) -> None:
        """The ERP asked for no calls for so long: all lanes wait."""
        self._connection.execute(_sql.pause, {"erp": self._policy.name, "seconds": _bounded(seconds)})

    def finished(self) -> None:
        """No call is under way any more: if the last one went well, that closes the breaker."""
        if self._under_way:
            self._under_way = self._ticket = False
            self._connection.execute(_sql.succeeded, (self._policy.name,))
        elif self._ticket:  # claimed and not used
            self._ticket = False
            self._connection.execute(_sql.give_back_probe, (self._policy.name,))


def _bounded(seconds: float | None) -> float | None:
    if seconds is None or not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), MOST_PAUSE_S)


def probe_now(connection: psycopg.Connection, erp: str) -> None:
    """Somebody has mended what was wrong: try the ERP at once, whatever it asked for."""
    connection.execute(_sql.probe_now, (erp,))
