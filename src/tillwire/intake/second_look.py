"""A second look at exceptions that wait for another transaction: mostly originals that come later than returns."""

from __future__ import annotations

import psycopg

from tillwire import clock
from tillwire.database import sql
from tillwire.exceptions import moves

_sql = sql.load("tillwire.intake", "history.sql")
_LOOK_EVERY_S = 0.5
_IN_THE_QUEUE = ("open", "waiting", "retrying", "approval")


class SecondLook:
    """Puts exceptions back into the queue once what they wait for has come, or has changed."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self.due = True
        """Something that is waited for has come: look at once."""
        self._looked_at = 0.0

    def look(self) -> int:
        """Retry what may pass now; returns how many. Looks at most twice a second unless something is known to be due.

        An exception is looked at at growing intervals of its own, to about an hour; at once when its original changes.
        """
        now = clock.monotonic_s()
        if not self.due and now - self._looked_at < _LOOK_EVERY_S:
            return 0
        self.due, self._looked_at = False, now
        retried = 0
        # Each exception in a transaction of its own: it must hold nothing that a worker waits for.
        for group_id, ordinal, state, changed in self._connection.execute(_sql.look).fetchall():
            if not changed and state in _IN_THE_QUEUE:
                continue
            with self._connection.transaction():
                ids = [one for (one,) in self._connection.execute(_sql.open_exception, (group_id, ordinal))]
                moves.requeue(self._connection, ids, "clear", moves.HUB, note="what it refers to has come or changed")
                self._connection.execute(_sql.no_longer, (group_id, ordinal))
            retried += len(ids)
        return retried
