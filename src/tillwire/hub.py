"""A whole hub on one machine: engines where none are given, API, workers, relay, dispatcher, observer, under one
supervisor.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from tillwire.config import Settings
from tillwire.database.migrate import migrate
from tillwire.engines.folder import write_whole
from tillwire.engines.nats import EmbeddedNats
from tillwire.engines.ports import ReservedPort
from tillwire.engines.postgres import EmbeddedPostgres
from tillwire.engines.process import ChildSpec
from tillwire.engines.supervisor import ChildEvent, Supervisor
from tillwire.errors import EngineError

DATABASE = "tillwire"

TOKEN_KEY = "token.key"
"""The file of the data folder with the key that signs access tokens."""

_RECORDING = 3
_FOLLOWING = 15
"""On a busy machine, recording yields to accepting (a store never waits for it), and what only follows (relay,
dispatch) to both: they catch up."""


class Hub:
    """Composes the processes of ``tillwire up``; ``folder`` holds everything they keep.

    ``settings.http.port`` 0 means a free port. ``environment`` is added to every process of ours, for tests.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        *,
        durable: bool = True,
        environment: Mapping[str, str] | None = None,
        listener: Callable[[ChildEvent], None] = lambda _: None,
    ) -> None:
        self.folder = folder.resolve()
        self._extra = dict(environment or {})
        self._engines: list[ChildSpec] = []
        database_url, nats_url = settings.database_url, settings.nats_url
        self.postgres: EmbeddedPostgres | None = None
        if not database_url:
            self.postgres = EmbeddedPostgres(self.folder / "postgres", log=self._log("postgres"), durable=durable)
            database_url = self.postgres.url(DATABASE)
            self._engines.append(self._with_schema(self.postgres, database_url))
        if not nats_url:
            server = EmbeddedNats(self.folder / "nats", log=self._log("nats"), durable=durable)
            nats_url = server.url
            self._engines.append(server.spec())
        self._port = None if settings.http.port else ReservedPort()
        port = self._port.number if self._port else settings.http.port
        http = msgspec.structs.replace(settings.http, port=port)
        clients = settings.clients
        if not clients.token_key and not clients.token_key_file:
            clients = msgspec.structs.replace(clients, token_key_file=str(self.folder / TOKEN_KEY))
        self.settings = msgspec.structs.replace(
            settings, database_url=database_url, nats_url=nats_url, http=http, clients=clients
        )
        self.url = f"http://{http.host}:{port}"
        self.supervisor = Supervisor(
            self._children(),
            folder=self.folder,
            published={"database_url": database_url, "nats_url": nats_url, "http_url": self.url},
            listener=listener,
        )

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _with_schema(self, postgres: EmbeddedPostgres, url: str) -> ChildSpec:
        spec = postgres.spec()

        def create_and_migrate() -> None:
            spec.after_ready()
            postgres.create_database(DATABASE)
            migrate(url)

        return replace(spec, after_ready=create_and_migrate)

    def _children(self) -> list[ChildSpec]:
        settings = self.settings
        children = list(self._engines)
        children.append(self._ours("api", "serve", ready=self._api_answers))
        workers = settings.work.processes
        children += [self._ours(f"worker-{number}", "work", nice=_RECORDING) for number in range(1, workers + 1)]
        if any(connection.enabled for connection in settings.connections):
            children.append(self._ours("connect", "connect", nice=_RECORDING))
        children.append(self._ours("relay", "relay", nice=_FOLLOWING))
        children.append(self._ours("dispatch", "dispatch", nice=_FOLLOWING))
        children.append(self._ours("observe", "observe", nice=_FOLLOWING))
        return children

    def _ours(
        self, name: str, command: str, *, nice: int = 0, ready: Callable[[int], bool] = lambda _: True
    ) -> ChildSpec:
        return ChildSpec(
            name=name,
            argv=[sys.executable, "-m", "tillwire", command],
            log=self._log(name),
            env={**os.environ, **self._environment(), **self._extra},
            nice=nice,
            ready=ready,
        )

    def _environment(self) -> dict[str, str]:
        """Settings as a file that only we can read: they may hold a password, which no process list must show."""
        path = self.folder / "settings.json"
        return {"TILLWIRE_SETTINGS": str(path)}

    def _make_token_key(self) -> None:
        """The key that signs access tokens, made once: tokens outlive a restart, and the file is nobody else's."""
        path = self.folder / TOKEN_KEY
        if self.settings.clients.token_key_file != str(path):
            return
        if path.exists() and path.stat().st_size:  # a power cut may have left an empty one
            return
        write_whole(path, secrets.token_urlsafe(48) + "\n", mode=0o600)

    def write_settings(self) -> None:
        """Write the settings for the processes to read; called before they start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_token_key()
        path = self.folder / "settings.json"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(self.settings))

    def _api_answers(self, _: int) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; returns the exit code."""
        self._prepare()
        return self.supervisor.run()

    def start(self) -> None:
        """Start everything and return when all is ready. Raises ``EngineError``."""
        self._prepare()
        self.supervisor.start()

    def stop(self) -> None:
        """Stop everything, in reverse order."""
        self.supervisor.stop()

    def _prepare(self) -> None:
        if self._port is None:
            _refuse_taken(self.settings.http.host, self.settings.http.port)
        self.write_settings()
        if self.postgres is None:
            migrate(self.settings.database_url)


def _refuse_taken(host: str, port: int) -> None:
    """Two servers that share a port would be given requests at random. Raises ``EngineError`` if it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just left by a hub before us is free
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            raise EngineError(f"port {port} of {host} is taken ({error}): name another with --port") from error
