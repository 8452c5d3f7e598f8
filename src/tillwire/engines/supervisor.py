"""Keeps a list of child processes alive: ordered start and stop, restarts, and no orphan whatever happens to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import structlog

from tillwire import clock
from tillwire.engines.folder import FolderLock, write_whole
from tillwire.engines.lifeline import Lifeline
from tillwire.engines.process import Child, ChildSpec
from tillwire.errors import EngineError

_log = structlog.get_logger()
_POLL_S = 0.05


@dataclass(frozen=True)
class ChildEvent:
    """Something that happened to a child, for whoever shows it to a person."""

    name: str
    kind: Literal["starting", "ready", "died", "stopped"]
    pid: int | None = None
    elapsed_s: float = 0.0
    """Seconds from its start."""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How long to wait before a dead child is started again, in seconds."""

    first_s: float = 0.1
    limit_s: float = 10.0
    steady_after_s: float = 30.0
    """A child that was ready this long starts again from ``first_s`` when it dies."""

    def delay_s(self, deaths_in_a_row: int) -> float:
        """The wait after the n-th death in a row: doubled each time, up to the limit."""
        return float(min(self.limit_s, self.first_s * 2 ** min(deaths_in_a_row - 1, 30)))


class _Kept:
    """A child and what its keeper remembers of it."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.child = Child(spec)
        self.started_s = 0.0
        self.ready_s: float | None = None
        self.deaths_in_a_row = 0
        self.start_again_s: float | None = None
        self.kept_alive = False
        """Whether it was ready once, and is to be started again when it dies."""


class Supervisor:
    """Starts children in order, restarts those that die, and stops them in reverse order.

    ``folder`` is the data folder: it is locked for as long as the supervisor runs, and ``runtime.json`` in it says
    what runs where (``published``, such as the database's URL, goes into it as it is). Either ``run()`` in the main
    thread, which returns after SIGTERM, SIGINT or SIGHUP; or ``start()`` and ``stop()``, or ``with``, from anywhere.
    """

    def __init__(
        self,
        children: Sequence[ChildSpec],
        *,
        folder: Path,
        published: Mapping[str, str | None] | None = None,
        listener: Callable[[ChildEvent], None] = lambda event: None,
        backoff: Backoff | None = None,
    ) -> None:
        names = [spec.name for spec in children]
        if len(set(names)) != len(names):
            raise ValueError(f"two children share a name: {names}")
        self.folder = folder.resolve()
        self._kept = [_Kept(spec) for spec in children]
        self._published = dict(published or {})
        self._listener = listener
        self._backoff = backoff or Backoff()
        self._lock = FolderLock(self.folder)
        self._lifeline = Lifeline()
        self._stop_wanted = False
        self._all_ready = False
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def run(self) -> int:
        """Start everything, keep it alive until a signal asks to stop, stop everything; returns the exit code 0.

        Raises ``EngineError`` if a child cannot be started or another process uses the folder.
        """
        self._stop_wanted = False
        before = {number: signal.signal(number, self._on_signal) for number in _signals_to_obey()}
        try:
            self._keep()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return 0

    def start(self) -> None:
        """Start everything and return when all is ready; a thread of its own then keeps it alive until ``stop()``.

        Raises as ``run`` does. If this process ends without ``stop()``, the children end with it.
        """
        if self._thread is not None:
            raise RuntimeError("this supervisor runs already")
        self._stop_wanted, self._failure = False, None
        self._ready.clear()
        self._thread = threading.Thread(target=self._keep_in_thread, name="supervisor", daemon=True)
        self._thread.start()
        try:
            self._ready.wait()
        except BaseException:  # Ctrl-C while we wait
            self.stop()
            raise
        if self._failure is not None:
            self.stop()

    def stop(self) -> None:
        """Stop the children in reverse order and return when all are gone. Raises what ended the keeping, if so."""
        self._stop_wanted = True
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the children that run now, by name."""
        pids = {kept.spec.name: kept.child.pid for kept in self._kept}
        return {name: pid for name, pid in pids.items() if pid is not None}

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _on_signal(self, number: int, _frame: object) -> None:
        # A plain flag that is polled: a lock taken here could be one that the main thread holds.
        self._stop_wanted = True

    def _keep_in_thread(self) -> None:
        try:
            self._keep()
        except BaseException as error:  # noqa: BLE001 - handed to the thread that called start() or stop()
            self._failure = error
        finally:
            self._ready.set()

    def _keep(self) -> None:
        """The whole life, in one thread, which all children are bound to by their parent-death signal."""
        with self._lock:
            try:
                self._start_all()
                self._ready.set()
                while not self._tend_all():
                    time.sleep(_POLL_S)
            finally:
                self._stop_all()

    def _start_all(self) -> None:
        self._kept = [_Kept(kept.spec) for kept in self._kept]
        self._all_ready = False
        self._write_runtime()
        self._lifeline.tend()
        for kept in self._kept:
            if self._stop_wanted:
                return
            kept.started_s = clock.monotonic_s()
            self._tell(kept, "starting")
            kept.child.spawn()
            self._lifeline.add(kept.child)
            self._write_runtime()
            kept.child.wait_ready(self._tend_all)
            if self._stop_wanted:
                return
            kept.spec.after_ready()
            kept.ready_s = clock.monotonic_s()
            kept.kept_alive = True
            self._tell(kept, "ready")
        self._all_ready = True
        self._write_runtime()

    def _stop_all(self) -> None:
        """Stop in reverse order; one that fails to stop does not keep the others, and its error is raised at last."""
        with contextlib.ExitStack() as steps:
            steps.callback((self.folder / "runtime.json").unlink, missing_ok=True)
            steps.callback(self._lifeline.close)
            for kept in self._kept:
                steps.callback(self._stop_one, kept)

    def _stop_one(self, kept: _Kept) -> None:
        ran = kept.child.pid is not None
        kept.child.stop()
        self._lifeline.drop(kept.child)
        if ran:
            self._tell(kept, "stopped", kept.child.exit_text())

    def _tend_all(self) -> bool:
        """One look at the guard and at every child that was ready once; returns whether it is time to stop."""
        for kept in self._kept:
            if kept.kept_alive:
                self._tend(kept)
        self._lifeline.tend()
        return self._stop_wanted

    def _tend(self, kept: _Kept) -> None:
        """One look at one child; never waits for it, so that the others are looked at as well."""
        now_s = clock.monotonic_s()
        if kept.start_again_s is not None:
            if now_s >= kept.start_again_s:
                self._start_again(kept)
        elif not kept.child.alive:
            self._note_death(kept, kept.child.exit_text())
        elif kept.ready_s is not None:
            if kept.deaths_in_a_row and now_s - kept.ready_s > self._backoff.steady_after_s:
                kept.deaths_in_a_row = 0
        elif kept.child.ready:
            kept.ready_s = now_s
            _log.info("child_ready_again", child=kept.spec.name, pid=kept.child.pid)
            self._tell(kept, "ready")
        elif now_s - kept.started_s > kept.spec.ready_timeout_s:
            kept.child.end()
            self._note_death(kept, f"not ready within {kept.spec.ready_timeout_s:g} s, so it was ended")

    def _note_death(self, kept: _Kept, how: str) -> None:
        """Clear up after a child that died and set the time of its next start."""
        kept.child.sweep()
        self._lifeline.drop(kept.child)
        kept.deaths_in_a_row += 1
        kept.ready_s = None
        kept.kept_alive = kept.spec.restart == "always"
        delay_s = self._backoff.delay_s(kept.deaths_in_a_row)
        kept.start_again_s = clock.monotonic_s() + delay_s
        _log.warning(
            "child_died",
            child=kept.spec.name,
            how=how,
            deaths_in_a_row=kept.deaths_in_a_row,
            restart_in_s=delay_s if kept.kept_alive else None,
            log=str(kept.spec.log),
            last_line=kept.child.last_words(lines=1),
        )
        self._tell(kept, "died", how)
        self._write_runtime()

    def _start_again(self, kept: _Kept) -> None:
        kept.start_again_s = None
        kept.started_s = clock.monotonic_s()
        self._tell(kept, "starting")
        try:
            kept.child.spawn()
        except EngineError as error:
            kept.child.end()
            self._note_death(kept, str(error))
            return
        self._lifeline.add(kept.child)
        self._write_runtime()

    def _tell(self, kept: _Kept, kind: Literal["starting", "ready", "died", "stopped"], detail: str = "") -> None:
        elapsed_s = clock.monotonic_s() - kept.started_s
        self._listener(ChildEvent(kept.spec.name, kind, kept.child.pid, elapsed_s, detail))

    def _write_runtime(self) -> None:
        runtime: dict[str, Any] = {"pid": os.getpid(), "database_url": None, "nats_url": None, "http_url": None}
        runtime |= self._published | {"ready": self._all_ready, "children": self.pids}
        # Only for this user's eyes: the URLs may hold passwords.
        write_whole(self.folder / "runtime.json", json.dumps(runtime, indent=2) + "\n", mode=0o600)


def read_runtime(folder: Path) -> dict[str, Any] | None:
    """What the supervisor of this data folder published, or None if none runs there now.

    Keys: ``pid``, ``ready`` (every child was ready once), ``database_url``, ``nats_url``, ``http_url``, and
    ``children``, a mapping of names to process ids.
    """
    path = folder / "runtime.json"
    holder = FolderLock(folder).holder()
    if holder is None or not _exists(holder):
        return None
    try:
        runtime: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:  # it is just starting, or just stopped
        return None
    # The next supervisor may hold the folder already, and not yet have replaced what one that was killed has left.
    return runtime if runtime["pid"] == holder else None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _signals_to_obey() -> list[signal.Signals]:
    # Under nohup SIGHUP is ignored on purpose, and stays so.
    hangup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGTERM, signal.SIGINT, *hangup]
