"""A real API process for tests: ``tillwire serve`` on a database, on a free port."""

from __future__ import annotations

import contextlib
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from sys import executable
from typing import Any

import httpx2
import psutil

from tillwire.engines.ports import LOOPBACK, ReservedPort
from tillwire.engines.process import Child, ChildSpec
from tillwire.governance.access import EVERYTHING, Grant

ANYTHING = (Grant(operations=EVERYTHING),)
"""The grants of a client that may do whatever there is, everywhere."""

PROBLEM = "application/problem+json"
ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


@dataclass
class Api:
    """One API process, a client to it, and the database it is on."""

    url: str
    port: int
    database_url: str
    child: Child
    http: httpx2.Client

    def post(self, content: bytes, kind: str = ONE, **headers: str) -> httpx2.Response:
        """POST /v1/events."""
        return self.http.post("/v1/events", content=content, headers={"Content-Type": kind, **headers})

    def rss_mb(self) -> float:
        """Resident memory of the process."""
        assert self.child.pid is not None
        return float(psutil.Process(self.child.pid).memory_info().rss) / 2**20


def problem_of(answer: httpx2.Response, status: int) -> dict[str, Any]:
    """The problem that an answer tells (RFC 9457)."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].partition(";")[0] == PROBLEM
    told: dict[str, Any] = answer.json()
    assert told["status"] == status
    assert told["type"].startswith("urn:tillwire:problem:")
    assert told["title"]
    return told


@contextlib.contextmanager
def serving(database_url: str, folder: Path, *, ready: bool = True, **environment: str) -> Iterator[Api]:
    """An API process, alive (and ready, if asked for) inside and gone outside. ``environment``: settings, as HTTP_PORT."""
    port = ReservedPort()
    url = f"http://{LOOPBACK}:{port.number}"
    asked = "/readyz" if ready else "/healthz"

    def answers(_: int) -> bool:
        try:
            with urllib.request.urlopen(url + asked, timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    settings = {"DATABASE_URL": database_url, "HTTP_PORT": str(port.number), "HTTP_API_KEYS": "off", **environment}
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TILLWIRE_")}
    spec = ChildSpec(
        name="api",
        argv=[executable, "-m", "tillwire", "serve"],
        log=folder / "api.log",
        env={**ours, **{f"TILLWIRE_{name}": value for name, value in settings.items()}},
        cwd=folder,
        ready=answers,
    )
    try:
        with Child(spec) as child, httpx2.Client(base_url=url, timeout=30) as http:
            yield Api(url, port.number, database_url, child, http)
    finally:
        port.release()
