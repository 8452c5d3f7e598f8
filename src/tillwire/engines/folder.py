"""What a data folder needs: one owner at a time, whole files, and a way in for the database's system user."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType

import structlog

from tillwire.errors import EngineError

_log = structlog.get_logger()


class FolderLock:
    """Exclusive use of a folder, for as long as this process holds it; the kernel lets go when the process dies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lock, making the folder if need be. Raises ``EngineError`` at once if another holds it."""
        if self._descriptor is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _number_in(descriptor) or "unknown"
            os.close(descriptor)
            raise EngineError(
                f"the data folder {self.folder} is in use by process {holder}: stop that one, or choose another folder"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; harmless if it is not held. The file stays, for removing it would let two in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> int | None:
        """Process id of whoever holds the lock now, perhaps this process; None if nobody does."""
        if self.held:
            return os.getpid()
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _number_in(descriptor)
        finally:
            os.close(descriptor)
        return None

    @property
    def _path(self) -> Path:
        return self.folder / ".lock"

    def __enter__(self) -> FolderLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _number_in(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return int(text) if text.isdigit() else None


def write_whole(path: Path, text: str, *, mode: int) -> None:
    """Replace ``path`` by ``text`` in one step, with permissions ``mode``: a reader sees the old or the new."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    part.replace(path)


def sync_folder(folder: Path) -> None:
    """Have the folder's own entries on disk, for a rename inside it to outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def let_others_through(folder: Path) -> None:
    """Let every user pass through ``folder`` and its parents (not list them), where they cannot yet.

    Root hands the database to another system user, who must reach its files below a folder of mode 0700.
    """
    for step in [folder, *folder.parents]:
        mode = stat.S_IMODE(step.stat().st_mode)
        if not mode & stat.S_IXOTH:
            _log.info("folder_opened", folder=str(step), reason="the database's system user must pass through it")
            step.chmod(mode | stat.S_IXOTH)


def let_others_read(tree: Path) -> None:
    """Let every user read the files below ``tree``, and run those that their owner may run, where they cannot yet."""
    for folder, _, names in os.walk(tree):
        _allow(Path(folder), stat.S_IROTH | stat.S_IXOTH)
        for name in names:
            path = Path(folder, name)
            executable = path.lstat().st_mode & stat.S_IXUSR
            _allow(path, stat.S_IROTH | (stat.S_IXOTH if executable else 0))


def _allow(path: Path, wanted: int) -> None:
    status = path.lstat()
    if not stat.S_ISLNK(status.st_mode) and status.st_mode & wanted != wanted:
        path.chmod(stat.S_IMODE(status.st_mode) | wanted)
