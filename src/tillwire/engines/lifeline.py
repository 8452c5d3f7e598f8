"""The supervisor's end of the guard: a pipe that closes when the supervisor dies, however it dies."""

from __future__ import annotations

import contextlib
import subprocess
import sys

from tillwire.engines import guard
from tillwire.engines.process import Child


class Lifeline:
    """Keeps a guard process (``guard.py``) that ends the children, and all they started, when we were killed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._groups: dict[int, str] = {}

    def tend(self) -> None:
        """See that there is a guard, and that it knows every child's process group."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd="/",
            text=True,
            start_new_session=True,
        )
        for line in self._groups.values():
            self._write(line)

    def add(self, child: Child) -> None:
        """A child was spawned."""
        if child.group is not None:
            ladder = " ".join(f"{number.value}:{wait_s}" for number, wait_s in child.spec.death_signals)
            self._groups[child.group] = f"add {child.group} {ladder}\n"
            self._write(self._groups[child.group])

    def drop(self, child: Child) -> None:
        """A child is gone, and its group is no longer ours to signal."""
        if child.group is not None and self._groups.pop(child.group, None) is not None:
            self._write(f"drop {child.group}\n")

    def close(self) -> None:
        """Close the pipe and wait for the guard, which first ends every child that was not dropped."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):  # the guard died: what was buffered for it is of no use
            process.stdin.close()
        process.wait()

    def _write(self, line: str) -> None:
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):  # the guard died: tend() starts another and tells it everything
            self._process.stdin.write(line)
            self._process.stdin.flush()
