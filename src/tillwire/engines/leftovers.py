"""Server processes that outlived the supervisor they belonged to: found by the folder they work in, and ended."""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path

import psutil

from tillwire import clock


def processes_in(folder: Path, program: str) -> list[psutil.Process]:
    """The live processes of a program whose working folder is ``folder``, as far as we may look at them."""
    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if (process.info["name"] or "").startswith(program) and process.cwd() == str(folder):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # gone meanwhile, or another user's and so not ours
            continue
    return found


def end_processes(
    folder: Path, program: str, number: signal.Signals, wait_s: float, *, only: int | None = None
) -> list[psutil.Process]:
    """Signal a program's processes in a folder (``only`` one pid of them), wait for them; returns all that are left."""
    concerned = [process for process in processes_in(folder, program) if only in (None, process.pid)]
    for process in concerned:
        with contextlib.suppress(psutil.NoSuchProcess):  # it went by itself
            process.send_signal(number)
    deadline = clock.monotonic_s() + wait_s
    # Looked for anew each time: one that is dead but that nobody reaps has no working folder any more.
    while (left := processes_in(folder, program)) and any(process in concerned for process in left):
        if clock.monotonic_s() > deadline:
            break
        time.sleep(0.05)
    return left
