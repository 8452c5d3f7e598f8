"""How long requests with events waited for their answer: measured in each API process, kept by the minute.

Measuring costs about a microsecond a request; once a minute what was measured is added to the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from tillwire.config import Objective
from tillwire.observability import history
from tillwire.observability.figures import OBJECTIVE
from tillwire.observability.history import Sample, floor
from tillwire.observability.sketch import bucket_of

NAME = "acknowledgement_latency"

MOST_MINUTES = 60
"""So many minutes are kept while the database is away; older ones are forgotten."""


class _Minute:
    __slots__ = ("at", "good", "least", "most", "n", "sketch", "total")

    def __init__(self, at: datetime, objectives: int) -> None:
        self.at = at
        self.n = 0
        self.total = 0.0
        self.least = float("inf")
        self.most = 0.0
        self.sketch: dict[int, int] = {}
        self.good = [0] * objectives


class Acknowledged:
    """What one API process has measured and not yet written."""

    def __init__(self, objectives: Sequence[Objective], now: datetime) -> None:
        self._objectives = [one for one in objectives if one.figure == NAME]
        self._thresholds = [one.threshold_s or 0.0 for one in self._objectives]
        self._minute = _Minute(floor(now, "minute"), len(self._objectives))
        self._over: list[dict[str, Any]] = []

    def observe(self, seconds: float) -> None:
        """One request was answered."""
        minute = self._minute
        minute.n += 1
        minute.total += seconds
        if seconds < minute.least:
            minute.least = seconds
        if seconds > minute.most:
            minute.most = seconds
        bucket = bucket_of(seconds)
        minute.sketch[bucket] = minute.sketch.get(bucket, 0) + 1
        for place, threshold in enumerate(self._thresholds):
            if seconds <= threshold:
                minute.good[place] += 1

    async def write(self, connection: psycopg.AsyncConnection, now: datetime) -> None:
        """Add minutes that are over to the history. What cannot be written now is written the next time."""
        current = floor(now, "minute")
        if current != self._minute.at:
            minute, self._minute = self._minute, _Minute(current, len(self._objectives))
            if minute.n:
                self._over = [*self._over[1 - MOST_MINUTES :], self._parameters(minute)]
        while self._over:
            await connection.execute(history.ADD, self._over[0])
            del self._over[0]

    def _parameters(self, minute: _Minute) -> dict[str, Any]:
        total, least, most = (history.decimal_of(one) for one in (minute.total, minute.least, minute.most))
        sketch = {str(bucket): times for bucket, times in minute.sketch.items()}
        samples = [
            Sample(figure=NAME, n=minute.n, total=total, least=least, most=most, last=total / minute.n, sketch=sketch)
        ]
        samples += [
            history.ratio(OBJECTIVE, good, minute.n, part=one.name)
            for one, good in zip(self._objectives, minute.good, strict=True)
        ]
        return history.parameters_of(samples, minute.at)
