"""One child process: how it is started, seen to be ready, and ended together with all that it started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

from tillwire import clock
from tillwire.engines.system_user import SystemUser
from tillwire.errors import EngineError

SignalLadder = tuple[tuple[signal.Signals, float], ...]
"""Signals to try in order, each with the seconds to wait for the process to go; SIGKILL comes last of itself."""

_POLL_S = 0.02
_LOG_LIMIT_BYTES = 64 * 1024 * 1024
_PR_SET_PDEATHSIG = 1
# Loaded before any fork: between fork and exec nothing may be imported.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _nothing() -> None:
    return None


def _at_once(_pid: int) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class ChildSpec:
    """What to run, and how it is started, watched and ended. Durations are seconds."""

    name: str
    argv: Sequence[str]
    log: Path
    """Standard output and error go here, appended; set aside as ``.1`` when a start finds it over 64 MiB."""
    env: Mapping[str, str] | None = None
    """The whole environment; None hands on ours."""
    cwd: Path | None = None
    account: SystemUser | None = None
    """The system user to run as, which needs root; None is whoever we are."""
    nice: int = 0
    prepare: Callable[[], None] = _nothing
    """Called before every start; may block, raises ``EngineError`` when the child cannot be started."""
    ready: Callable[[int], bool] = _at_once
    """Given the child's pid: does it serve? Asked often, so it must answer within milliseconds and not raise."""
    ready_timeout_s: float = 60.0
    after_ready: Callable[[], None] = _nothing
    """Called once, when the child is ready for the first time and before the next child starts; may block."""
    after_stop: Callable[[], None] = _nothing
    """Called once, after the child was stopped for good or could not be started."""
    stop_signals: SignalLadder = ((signal.SIGTERM, 10.0),)
    death_signals: SignalLadder = ((signal.SIGKILL, 0.0),)
    """What it gets when the supervisor itself has died; the first one comes from the kernel where it can."""
    restart: Literal["always", "never"] = "always"


class Child:
    """The process of a ``ChildSpec``, in a session of its own; it does not outlive the thread that started it.

    Call ``start`` from a thread that lives as long as the child should: on Linux the parent-death signal comes when
    the starting *thread* ends. Usable as a context manager: started and ready inside, stopped outside.
    """

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = False
        self._swept = False
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """Process id of the running child."""
        return self.group if self.alive else None

    @property
    def group(self) -> int | None:
        """Process group of the child last started, which may be gone by now."""
        return None if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether the process runs and its ready check says yes."""
        return self._process is not None and self.alive and self.spec.ready(self._process.pid)

    def start(self) -> None:
        """Spawn, wait until it is ready, and call ``after_ready``.

        Raises ``EngineError`` if it ends first or is not ready in time; then nothing of it is left.
        """
        try:
            self.spawn()
            self.wait_ready()
            self.spec.after_ready()
        except BaseException:
            self.stop()
            raise

    def spawn(self) -> None:
        """Call ``prepare`` and start the process, without waiting. Raises ``EngineError`` if that is impossible."""
        spec = self.spec
        self._begun = True
        try:
            spec.prepare()
            self._swept = False
            with open_log(spec.log) as log:
                self._log_start = log.tell()
                self._process = subprocess.Popen(
                    list(spec.argv),
                    env=None if spec.env is None else dict(spec.env),
                    cwd=spec.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    **isolation(spec.account, spec.death_signals[0][0]),
                )
            if spec.nice:
                _yield_to_others(self._process.pid, spec.nice)
        except (OSError, subprocess.SubprocessError) as error:
            raise EngineError(f"{spec.name} cannot be started: {error}; see {spec.log}") from error

    def wait_ready(self, meanwhile: Callable[[], bool] = lambda: False) -> None:
        """Wait until the child is ready, calling ``meanwhile`` between looks; its true answer ends the wait.

        Raises ``EngineError`` if the child ends or its time is over.
        """
        deadline = clock.monotonic_s() + self.spec.ready_timeout_s
        while not meanwhile():
            if not self.alive:
                raise self.failure("ended before it was ready")
            if self.ready:
                return
            if clock.monotonic_s() > deadline:
                raise self.failure(f"was not ready within {self.spec.ready_timeout_s:g} s")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """End the child by its ladder of signals, then whatever it left in its group, and call ``after_stop``."""
        try:
            self.end()
        finally:
            if self._begun:
                self._begun = False
                self.spec.after_stop()

    def end(self) -> None:
        """As ``stop``, for a child that may be started again: ``after_stop`` is not called."""
        process = self._process
        if process is None:
            return
        for number, wait_s in self.spec.stop_signals:
            if process.poll() is not None:
                break
            process.send_signal(number)
            try:
                process.wait(wait_s)
            except subprocess.TimeoutExpired:
                continue
        self.sweep()
        process.wait()

    def sweep(self) -> None:
        """Kill every process of the child's group, itself included if it still runs; harmless to repeat."""
        if self._process is None or self._swept:
            return
        self._swept = True  # later the number may belong to a group of strangers
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # nobody is left; macOS says so with EPERM
            return

    def exit_text(self) -> str:
        """How the process ended, in words for a log."""
        code = None if self._process is None else self._process.poll()
        if code is None:
            return "still running" if self._process is not None else "not started"
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    def last_words(self, lines: int = 20) -> str:
        """The last lines that this run of the child wrote to its log."""
        return log_tail(self.spec.log, start=self._log_start, lines=lines)

    def failure(self, what: str) -> EngineError:
        """An error that says what happened to the child, with its log file and the last lines of it."""
        return EngineError(
            f"{self.spec.name} {what} ({self.exit_text()}); its log is {self.spec.log}, and ends:\n{self.last_words()}"
        )

    def __enter__(self) -> Child:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _yield_to_others(pid: int, nice: int) -> None:
    """Lower a process's priority. Linux groups processes by session, and there the group's value is what counts."""
    os.setpriority(os.PRIO_PROCESS, pid, nice)
    group = Path(f"/proc/{pid}/autogroup")
    if group.exists():
        with contextlib.suppress(OSError):  # the kernel limits how often it is set; the plain value stands then
            group.write_text(str(nice))


def isolation(account: SystemUser | None, death_signal: signal.Signals) -> dict[str, Any]:
    """Arguments for ``subprocess``: a session of its own, the system user, and death when the parent dies."""
    arguments: dict[str, Any] = {"start_new_session": True, "preexec_fn": _die_with_parent(os.getpid(), death_signal)}
    if account is not None:
        # Our own supplementary groups would stay with the child otherwise.
        arguments |= {"user": account.user, "group": account.group, "extra_groups": []}
    return arguments


def _die_with_parent(parent: int, death_signal: signal.Signals) -> Callable[[], None] | None:
    """What a child does after it changed user (which clears the parent-death signal) and before exec."""
    if _libc is None:
        return None
    prctl = _libc.prctl
    number = ctypes.c_ulong(death_signal)

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before the signal was set
            os._exit(1)

    return before_exec


def log_tail(path: Path, *, start: int = 0, lines: int = 20) -> str:
    """The last ``lines`` lines of a log file, none from before byte ``start``; empty if there is no file."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(start, end - 16_384))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending, for this user's eyes only (servers log data); one grown too long is set aside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab")
