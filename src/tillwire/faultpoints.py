"""Named points where a test may kill the process or make it fail, to show what survives.

Armed by the environment only: ``TILLWIRE_FAULT=worker.before_commit:3`` kills the process with SIGKILL the third time
it comes by that point. Nothing happens, at the cost of one truth test, when it is not set.
"""

from __future__ import annotations

import os
import signal

FAULT_POINTS = frozenset(
    {
        "intake.before_commit",
        "intake.after_commit",
        "foreign.after_receive",
        "normalise.before_commit",
        "pull.after_delivery",
        "drop.after_claim",
        "drop.after_check",
        "drop.before_commit",
        "drop.after_batch",
        "drop.before_move",
        "worker.after_claim",
        "worker.between_copies",
        "worker.after_raise",
        "worker.before_commit",
        "worker.after_commit",
        "relay.after_publish",
        "relay.after_position",
        "posting.after_build",
        "posting.after_reserve",
        "posting.before_send",
        "posting.after_send",
        "posting.before_record",
        "posting.after_callback",
        "posting.after_pull",
        "alerts.before_send",
        "alerts.after_send",
    }
)
"""Every point there is; a test holds that each is passed by in the code and shown to be survived."""

_point, _, _count = os.environ.get("TILLWIRE_FAULT", "").partition(":")
_left = int(_count or "1") if _point else 0

if _point and _point not in FAULT_POINTS:
    raise ValueError(f"TILLWIRE_FAULT names no fault point: {_point!r}")


def passing(point: str) -> None:
    """Say that execution comes by ``point``; dies here if the environment says so."""
    global _left
    if not _left or point != _point:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
