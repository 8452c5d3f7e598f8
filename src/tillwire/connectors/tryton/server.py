"""A real Tryton for tests and the demo: its database made once and cached, its server run as a child process.

Tryton is GPL-3. It lives in an environment of its own; from here it is a program that is started and spoken to over
the network, never imported.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import Self

import msgspec
import structlog

from tillwire.connectors.tryton import own_modules
from tillwire.connectors.tryton import setup as setup_module
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.database import ErpDatabase
from tillwire.connectors.tryton.settings import TrytonSettings
from tillwire.connectors.tryton.setup import ErpSetup, set_up
from tillwire.engines.ports import LOOPBACK, ReservedPort
from tillwire.engines.process import Child, ChildSpec, isolation
from tillwire.errors import EngineError

_log = structlog.get_logger(__name__)


class _Credentials(msgspec.Struct, frozen=True):
    admin_password: str
    password: str

    def __repr__(self) -> str:
        return "_Credentials(...)"


class TrytonServer:
    """One Tryton with one database; also a context manager. Start it from a thread that lives as long as it should.

    A database of that name that is already there keeps its books. Else it is restored from ``cache_dir``, or made
    from nothing (about a minute) and put there, under a key of Tryton's version and ``setup``.
    """

    def __init__(
        self,
        postgres: str,
        *,
        setup: ErpSetup,
        work_dir: Path,
        cache_dir: Path,
        database: str = "erp",
        extra_modules: Sequence[Path] = (),
    ) -> None:
        """``postgres``: libpq parameters or URI of a running server that needs no password. ``extra_modules``: projects
        of modules that are activated beside those of ``setup``, without being installed."""
        self.setup = setup
        self._extra_modules = tuple(extra_modules)
        self.work_dir = work_dir.absolute()
        self.cache_dir = cache_dir.absolute()
        self.log_file = self.work_dir / "trytond.log"
        self._database = ErpDatabase(postgres, database)
        self._config = self.work_dir / "trytond.conf"
        self._module_folder = self.work_dir / "own-modules"
        self._credentials: _Credentials | None = None
        self._port: ReservedPort | None = None
        self._child: Child | None = None

    def spec(self, name: str = "erp") -> ChildSpec:
        """How to run the server as a child of a supervisor; its preparation makes the database.

        Raises ``EngineError`` if Tryton is not installed.
        """
        programs = erp_programs()
        self._port = self._port or ReservedPort()
        return ChildSpec(
            name=name,
            argv=[str(programs / "trytond"), "-c", str(self._config), "-d", self._database.name],
            env=self._environment(),
            log=self.log_file,
            prepare=self._prepare,
            ready=self._is_ready,
            # It has nothing to finish: what is not committed is rolled back by PostgreSQL.
            death_signals=((SIGKILL, 0.0),),
        )

    def start(self) -> None:
        """Bring the ERP up, ready to be posted to; after ``kill``, at the same address.

        Raises ``EngineError`` if something it needs is missing.
        """
        self._child = Child(self.spec())
        self._child.start()

    def stop(self) -> None:
        """End the server process; its database stays. Does nothing if it does not run."""
        child, self._child = self._child, None
        if child is not None:
            child.stop()
        if self._port is not None:
            self._port.release()
            self._port = None

    def kill(self) -> None:
        """End the server process at once, in the middle of whatever it does. ``start`` brings it back."""
        child, self._child = self._child, None
        if child is not None:
            child.sweep()
            child.stop()

    def settings(self, company: str = "") -> TrytonSettings:
        """How the hub reaches this ERP, as a user who may enter and post moves: the first company's books, or those of
        the one that is named. Only after ``start``.
        """
        made = self._settings(self.setup.username, self._known().password)
        return msgspec.structs.replace(made, company=company or self.setup.company)

    def admin_settings(self) -> TrytonSettings:
        """The same as the administrator, for what an accountant would do, such as closing a period."""
        return self._settings("admin", self._known().admin_password)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _known(self) -> _Credentials:
        if self._credentials is None:
            raise EngineError("the ERP has not been started")
        return self._credentials

    def _settings(self, username: str, password: str) -> TrytonSettings:
        return TrytonSettings(
            url=self._url(),
            database=self._database.name,
            username=username,
            password=password,
            company=self.setup.company,
            journal_code=self.setup.journal_code,
        )

    def _url(self) -> str:
        if self._port is None:
            raise EngineError("the ERP does not run")
        return f"http://{LOOPBACK}:{self._port.number}"

    def _is_ready(self, _pid: int) -> bool:
        # Not an HTTP client of the better sort: setting one up takes longer than the server takes to answer.
        connection = HTTPConnection(LOOPBACK, int(self._url().rpartition(":")[2]), timeout=2)
        question = b'{"id": 0, "method": "common.server.version", "params": []}'
        try:
            connection.request("POST", "/rpc/", question, {"Content-Type": "application/json"})
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _prepare(self) -> None:
        self.work_dir.mkdir(parents=True, exist_ok=True)
        self.cache_dir.mkdir(parents=True, exist_ok=True)
        listen = self._url().removeprefix("http://")
        own_modules.lay_out(self._extra_modules, self._module_folder)
        self._config.write_text(f"[database]\nuri = {self._database.uri()}\n[web]\nlisten = {listen}\nroot =\n")
        kept = self.work_dir / f"{self._database.name}.credentials"
        if not self._database.exists():
            self._make_database(erp_programs())
            _write_secret(kept, msgspec.json.encode(self._credentials))
        elif not kept.exists():
            raise EngineError(f"the database {self._database.name!r} was not set up by this ERP: {kept} is missing")
        else:
            self._credentials = msgspec.json.decode(kept.read_bytes(), type=_Credentials)

    def _make_database(self, programs: Path) -> None:
        """Two caches: Tryton's modules installed (slow, the same for every set-up), and the books set up on top."""
        own = [own_modules.fingerprint(self._extra_modules)] if self._extra_modules else []
        installed = self._key(programs, self.setup.modules, *own)
        ready = self._key(programs, self.setup, *own, Path(setup_module.__file__).read_bytes())
        with _locked(self.cache_dir / f"{installed}.lock"):
            self._database.create()
            try:
                if self._restored(ready):
                    return
                if not self._restored(installed):
                    self._credentials = _Credentials(secrets.token_urlsafe(18), secrets.token_urlsafe(18))
                    self._install_modules(programs)
                    self._keep(installed)
                self._set_up_books(programs)
                self._keep(ready)
            except BaseException:
                # Half a database would be taken for a whole one by the next start.
                self._database.drop()
                raise

    def _environment(self) -> dict[str, str]:
        # Tryton takes its configuration from TRYTOND_..., and Python its packages from PYTHON...: not from ours.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("TRYTON", "PYTHON", "PG"))}
        # Without its assertions Tryton enters moves twice as fast: some look at the whole batch for each record.
        inherited["PYTHONOPTIMIZE"] = "1"
        return inherited | ({"PYTHONPATH": str(self._module_folder)} if self._extra_modules else {})

    def _key(self, programs: Path, *inputs: object) -> str:
        packages = sorted(
            folder.name for folder in programs.parent.glob("lib/python*/site-packages/trytond*.dist-info")
        )
        told = msgspec.json.encode([packages, self._database.server_version() // 10000, *inputs])
        return "tryton-" + hashlib.sha256(told).hexdigest()[:20]

    def _restored(self, key: str) -> bool:
        dump, secret = self.cache_dir / f"{key}.dump", self.cache_dir / f"{key}.json"
        if not (dump.exists() and secret.exists()):
            return False
        self._credentials = msgspec.json.decode(secret.read_bytes(), type=_Credentials)
        self._database.restore(dump)
        return True

    def _keep(self, key: str) -> None:
        _write_secret(self.cache_dir / f"{key}.json", msgspec.json.encode(self._credentials))
        self._database.dump(self.cache_dir / f"{key}.dump")

    def _install_modules(self, programs: Path) -> None:
        _log.info("installing the erp's modules, once", modules=self.setup.modules, cache=str(self.cache_dir))
        password_file = self.work_dir / "admin.password"
        _write_secret(password_file, self._known().admin_password.encode())
        command = [str(programs / "trytond-admin"), "-c", str(self._config), "-d", self._database.name]
        command += ["--email", "erp@example.com", "-u", *self.setup.modules]
        command += [*own_modules.names(self._extra_modules), "--activate-dependencies", "--all"]
        try:
            done = subprocess.run(
                command,
                env=self._environment() | {"TRYTONPASSFILE": str(password_file)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                **isolation(None, SIGKILL),
            )
        finally:
            password_file.unlink()
        if done.returncode != 0:
            raise EngineError(f"trytond-admin could not install the modules: {done.stderr.strip()[-800:]}")

    def _set_up_books(self, programs: Path) -> None:
        _log.info("setting up the erp's books", company=self.setup.company, years=self.setup.years)
        spec = ChildSpec(
            name="erp (set-up)",
            argv=[str(programs / "trytond"), "-c", str(self._config), "-d", self._database.name],
            env=self._environment(),
            log=self.log_file,
            ready=self._is_ready,
        )
        with Child(spec):
            client = TrytonClient(self.admin_settings())
            try:
                set_up(client, self.setup, self._known().password)
            finally:
                client.close()


def erp_programs() -> Path:
    """The folder with ``trytond``: ``TILLWIRE_ERP_BIN``, else ``.venv-erp/bin`` here or in the project's folder.

    Raises ``EngineError`` that says how to install it.
    """
    stated = os.environ.get("TILLWIRE_ERP_BIN")
    roots = [Path.cwd(), Path(__file__).resolve().parents[4]]
    places = [Path(stated)] if stated else [root / ".venv-erp" / "bin" for root in roots]
    for place in places:
        if (place / "trytond").exists() and (place / "trytond-admin").exists():
            return place.absolute()
    looked = ", ".join(str(place) for place in places)
    raise EngineError(f"no Tryton in {looked}: run `make erp`, or set TILLWIRE_ERP_BIN to the folder of trytond")


def _write_secret(file: Path, content: bytes) -> None:
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Held by one process at a time, so that two that start together make the database once."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
