"""The folder of a drop folder: which files in it are complete, how one is claimed, and where it goes afterwards.

``INBOX/working`` holds what is being read, ``INBOX/done`` and ``INBOX/failed`` what was, each with its report beside
it. All are on the same file system as the inbox, so that a rename is atomic.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog

from tillwire import clock
from tillwire.config import Drop

_log = structlog.get_logger(__name__)

REPORT = ".report.json"
_BETWEEN = "~"
_LEAST_WATCH_S, _WATCH_TIMES = 60.0, 20
"""A writer that paused for longer than the quiet period is found out for so long after its file was put away."""


class Claimed(NamedTuple):
    """A file that was taken: its path in ``working``, and the name it had in the inbox."""

    path: Path
    name: str

    @property
    def claim(self) -> str:
        """By what it is known in the database: no other file ever has the same."""
        return shown(self.path.name)


def _written(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_size, found.st_mtime_ns


def shown(name: str) -> str:
    """A file's name as text, whatever bytes it has."""
    return os.fsencode(name).decode("utf-8", "replace")


class Inbox:
    """One watched folder. Creates it, with its inner folders."""

    def __init__(self, folder: Path, drop: Drop) -> None:
        self.folder = folder
        self.working = folder / "working"
        self.done = folder / "done"
        self.failed = folder / "failed"
        for one in (self.working, self.done, self.failed):
            one.mkdir(parents=True, exist_ok=True)
        self._drop = drop
        self._seen: dict[str, tuple[tuple[int, int, int], float]] = {}
        self._told: set[str] = set()
        self._watched: dict[Path, tuple[int, int, float]] = {}
        """Files done a moment ago: size and time of writing then, and until when they are looked at."""
        self._watch_s = max(_LEAST_WATCH_S, _WATCH_TIMES * drop.quiet_s)

    # ------------------------------------------------------------------ what is complete

    def complete(self) -> list[str]:
        """The names of files that may be taken, oldest first."""
        drop = self._drop
        present: dict[str, os.stat_result] = {}
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    present[entry.name] = entry.stat(follow_symlinks=False)
        self._seen = {name: seen for name, seen in self._seen.items() if name in present}
        ready = [name for name, found in present.items() if self._wanted(name, found) and self._ready(name, present)]
        if drop.marker:
            ready = [name for name in ready if not name.endswith(drop.marker)]
        return sorted(ready, key=lambda name: (present[name].st_mtime_ns, name))

    def _wanted(self, name: str, found: os.stat_result) -> bool:
        if stat.S_ISDIR(found.st_mode):
            if name not in ("working", "done", "failed") and name not in self._told:
                self._told.add(name)
                _log.warning("folder_in_inbox", inbox=str(self.folder), name=shown(name))
            return False
        unfinished = tuple(suffix.casefold() for suffix in self._drop.ignore)
        if name.startswith(".") or name.casefold().endswith((REPORT, *unfinished)):
            return False
        return fnmatchcase(name, self._drop.pattern)

    def _ready(self, name: str, present: dict[str, os.stat_result]) -> bool:
        drop = self._drop
        if drop.marker:
            return any(marker in present for marker in self._markers(name))
        if not drop.quiet_s:
            return True
        found = present[name]
        now = clock.monotonic_s()
        state = (found.st_size, found.st_mtime_ns, found.st_ino)
        before = self._seen.get(name)
        if before is None or before[0] != state:
            self._seen[name] = (state, now)
            return False
        return now - before[1] >= drop.quiet_s

    def _markers(self, name: str) -> tuple[str, str]:
        return name + self._drop.marker, os.path.splitext(name)[0] + self._drop.marker

    # ------------------------------------------------------------------ claims

    def claim_name(self, name: str) -> str:
        """A name for a claim that no other file has."""
        return f"{uuid.uuid4().hex}{_BETWEEN}{name}"

    def take(self, name: str, claim: str) -> Claimed | None:
        """Move a file to ``working``; none if another process was quicker, or it has gone. One of two gets it."""
        target = self.working / claim
        try:
            os.rename(self.folder / name, target)
        except FileNotFoundError:
            return None
        except OSError as error:
            if name not in self._told:
                self._told.add(name)
                _log.warning("file_cannot_be_taken", inbox=str(self.folder), name=shown(name), error=str(error))
            return None
        self._seen.pop(name, None)
        self._told.discard(name)
        return Claimed(target, name)

    def claimed(self) -> Iterator[Claimed]:
        """What lies in ``working``: being read, or left by a process that died."""
        for name in sorted(os.listdir(self.working)):
            token, between, original = name.partition(_BETWEEN)
            if between and len(token) == 32 and original:
                yield Claimed(self.working / name, original)

    def holds(self, claim: str) -> bool:
        """True if the file of a claim is still in ``working``."""
        return any(one.claim == claim for one in self.claimed())

    def clear_marker(self, name: str) -> None:
        """Remove the marker of a file that was taken, unless the next of its name has come already."""
        if not self._drop.marker or (self.folder / name).exists():
            return
        own, short = self._markers(name)
        (self.folder / own).unlink(missing_ok=True)
        stem = os.path.splitext(name)[0]
        others = [one for one in os.listdir(self.folder) if os.path.splitext(one)[0] == stem and one != short]
        if not others:
            (self.folder / short).unlink(missing_ok=True)

    # ------------------------------------------------------------------ the end

    def put_away(self, claimed: Claimed, folder: Path, report: dict[str, Any]) -> Path | None:
        """Move a file to ``done`` or ``failed`` with its report beside it; where, or none if it has gone meanwhile.

        Names that are taken get a number. A process that dies in between is taken over without a second report.
        """
        path = self._write_report(claimed, folder, report)
        try:
            os.rename(claimed.path, path)
        except FileNotFoundError:
            _log.warning("file_vanished", inbox=str(self.folder), name=shown(claimed.name))
            return None
        if folder == self.done:
            self._watched[path] = (*_written(path), clock.monotonic_s() + self._watch_s)
        return path

    def take_back(self) -> int:
        """Put files back into the inbox that somebody has written to since they were put away as done: what is new in
        them is recorded, what was recorded has no second effect. Returns how many there were.
        """
        now_s = clock.monotonic_s()
        back = 0
        for path, (size, written_ns, until_s) in list(self._watched.items()):
            try:
                changed = _written(path) != (size, written_ns)
            except OSError:  # somebody has moved it on
                changed, until_s = False, now_s
            if changed:
                self._back(path)
                back += 1
            if changed or until_s <= now_s:
                del self._watched[path]
        return back

    def _back(self, path: Path) -> None:
        stem, suffix = os.path.splitext(path.name)
        number = 1
        while os.path.lexists(self.folder / f"{stem}{_BETWEEN}more{number}{suffix}"):
            number += 1
        target = self.folder / f"{stem}{_BETWEEN}more{number}{suffix}"
        os.rename(path, target)
        _log.warning("file_written_on", inbox=str(self.folder), name=shown(path.name), again_as=shown(target.name))

    def _write_report(self, claimed: Claimed, folder: Path, report: dict[str, Any]) -> Path:
        content = msgspec.json.format(msgspec.json.encode({**report, "claim": claimed.claim}), indent=2) + b"\n"
        stem, suffix = os.path.splitext(claimed.name)
        number = 1
        while True:
            name = claimed.name if number == 1 else f"{stem}{_BETWEEN}{number}{suffix}"
            number += 1
            path, beside = folder / name, folder / (name + REPORT)
            if os.path.lexists(path):
                continue
            try:
                file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            except FileExistsError:
                if _claim_in(beside) == claimed.claim:
                    return path
                continue
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                claimed = Claimed(claimed.path, f"{stem[:100]}{suffix[:20]}")
                stem, suffix = os.path.splitext(claimed.name)
                number = 1
                continue
            with os.fdopen(file, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            return path


def _claim_in(report: Path) -> str | None:
    try:
        found = msgspec.json.decode(report.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None  # cut off when its writer died: its name is left alone
    return found.get("claim") if isinstance(found, dict) else None
