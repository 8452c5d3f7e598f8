"""The last one out: ends a supervisor's children, and their children, when the supervisor itself was killed.

The kernel's parent-death signal reaches only direct children, and only on Linux. This process holds the read end of a
pipe whose write end only the supervisor has; end of file means that the supervisor is gone, however it went. It runs as
a script of its own (``python -I -S guard.py``), so it imports little and nothing of ours.

Lines it reads: ``add GROUP SIGNAL:SECONDS ...`` and ``drop GROUP``, where GROUP is a process group; signals are tried
in order, each with its seconds to wait, and SIGKILL comes last.
"""

from __future__ import annotations

import glob
import os
import signal
import sys
import time
from collections.abc import Iterable


def living(groups: Iterable[int]) -> set[int]:
    """Those of the process groups that have a member which is not a zombie, as far as that can be seen."""
    if not os.path.exists("/proc/self/stat"):
        return {group for group in groups if _exists(group)}
    found = set()
    for path in glob.iglob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                # After the name, which is in parentheses and may hold anything: state, parent, process group.
                state, _, group = file.read().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            found.add(int(group))
    return found.intersection(groups)


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it has members, of another user
        return True
    return True


def send(group: int, number: int) -> None:
    """Signal a process group, which may be gone already."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def end(groups: dict[int, list[tuple[int, float]]]) -> None:
    """End all groups at once, each by its own ladder of signals."""
    due = {group: time.monotonic() for group in groups}
    while groups:
        alive = living(groups)
        groups = {group: ladder for group, ladder in groups.items() if group in alive}
        for group, ladder in groups.items():
            if time.monotonic() >= due[group]:
                number, wait_s = ladder.pop(0) if ladder else (signal.SIGKILL, 1.0)
                send(group, number)
                due[group] = time.monotonic() + wait_s
        time.sleep(0.05)


def main() -> None:
    """Follow the supervisor's lines to their end, then end what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, list[tuple[int, float]]] = {}
    for line in sys.stdin:
        if not line.endswith("\n"):  # cut short by the supervisor's death
            break
        word, group, *ladder = line.split()
        if word == "add":
            steps = (step.split(":") for step in ladder)
            groups[int(group)] = [(int(number), float(wait_s)) for number, wait_s in steps]
        else:
            groups.pop(int(group), None)
    end(groups)


if __name__ == "__main__":
    main()
