"""The only source of "now", so that a seeded run repeats and a test can set the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def monotonic_s() -> float:
    """Seconds on a clock that never goes back, for durations and deadlines."""
    return time.monotonic()
