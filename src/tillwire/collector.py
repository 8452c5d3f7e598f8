"""The garbage collector of hot processes."""

from __future__ import annotations

import gc


def quiet_garbage_collector() -> None:
    """Hot processes make millions of short-lived objects without cycles: collect seldom, and not what start-up made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
