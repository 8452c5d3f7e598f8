"""Following the hub while it works: figures from its database a few times a second, and waiting until they say so."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

import msgspec
import psycopg

from tillwire import clock
from tillwire.errors import TillwireError

_EVERY_S = 0.25
PATIENCE_S = 180.0
"""How long nothing may move before the demo gives up."""


class Stuck(TillwireError):
    """The hub stopped moving before it was done; its logs say why."""


class Interrupted(TillwireError):
    """Somebody asked the demo to stop."""


class Figures(msgspec.Struct, frozen=True):
    """How far the hub is."""

    queued: int = 0
    recorded: int = 0
    """Events of stores in the event store."""
    exceptions: int = 0
    masters: int = 0
    """Master records in the event store."""
    due: int = 0
    """Store days with entries in no journal yet."""
    journals: int = 0
    posted: int = 0
    rejected: int = 0
    relayed: int = 0
    """Events published on the backbone, master records included."""
    unread: int = 0
    """Messages of other systems that wait to be read, and files that are not put away."""
    online: int = 0
    """Sales and returns of online shops in the event store."""


_QUERY = """
SELECT (SELECT count(*) FROM intake_queue),
       (SELECT sum(next_offset)::int8 FROM event_partition WHERE partition <> 0),
       (SELECT count(*) FROM exception WHERE code <> 'duplicate_conflict' AND severity = 'blocking'),
       (SELECT next_offset FROM event_partition WHERE partition = 0),
       (SELECT count(*) FROM posting_due),
       count(*), count(*) FILTER (WHERE state = 'posted'), count(*) FILTER (WHERE state = 'rejected'),
       (SELECT coalesce(sum(next_offset), 0)::int8 FROM projection_position WHERE projection = 'relay'),
       (SELECT count(*) FROM foreign_message WHERE state = 'waiting')
           + (SELECT count(*) FROM foreign_file WHERE state IN ('checking', 'recording')),
       (SELECT coalesce(sum(selling), 0)::int8 FROM completeness WHERE register = 'web' OR store = '9001')
FROM journal
"""


class Watch:
    """Reads the figures in a thread of its own. A context manager. ``check`` raises to end a wait."""

    def __init__(self, database_url: str, check: Callable[[], None]) -> None:
        self.figures = Figures()
        self._database_url = database_url
        self._told: Callable[[Figures], None] = lambda _: None
        self._check = check
        self._ended = threading.Event()
        self._failure: Exception | None = None
        self._moved_at = clock.monotonic_s()
        self._thread = threading.Thread(target=self._run, name="demo-watch", daemon=True)

    def tell(self, told: Callable[[Figures], None]) -> None:
        """Whom to tell new figures, from now on; from the watch's own thread."""
        self._told = told

    def until(self, done: Callable[[Figures], bool], what: str) -> Figures:
        """Wait until the figures satisfy ``done``.

        Raises ``Stuck`` if they have not moved for ``PATIENCE_S``, or if a journal was rejected, and ``Interrupted``.
        """
        self._moved_at = clock.monotonic_s()
        while True:
            self._check()
            if self._failure is not None:
                raise Stuck(f"{what}: the hub's database cannot be read: {self._failure}")
            figures = self.figures
            if done(figures):
                return figures
            if figures.rejected:
                raise Stuck(f"{what}: the ERP rejected {figures.rejected} journals")
            if clock.monotonic_s() - self._moved_at > PATIENCE_S:
                raise Stuck(f"{what}: nothing has moved for {PATIENCE_S:g} s at {figures}")
            time.sleep(_EVERY_S / 2)

    def _run(self) -> None:
        try:
            with psycopg.connect(self._database_url, autocommit=True) as connection:
                while not self._ended.wait(_EVERY_S):
                    row = connection.execute(_QUERY).fetchone()
                    assert row is not None
                    figures = Figures(*row)
                    if figures != self.figures:
                        self._moved_at = clock.monotonic_s()
                        self.figures = figures
                        self._told(figures)
        except psycopg.Error as error:
            self._failure = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()


class Signals:
    """SIGINT and SIGTERM as a flag that is looked at between two steps; what was started is then stopped in order.

    A second one is not waited for: the process ends at once, and its children with it.
    """

    _WANTED = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, told: Callable[[], None]) -> None:
        self.number = 0
        """The signal that came; 0 while none has."""
        self._told = told

    def check(self) -> None:
        """Raises ``Interrupted`` if a signal came."""
        if self.number:
            raise Interrupted(f"stopped by {signal.Signals(self.number).name}")

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.number:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.number = number
        self._told()

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._on_signal) for number in self._WANTED}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
