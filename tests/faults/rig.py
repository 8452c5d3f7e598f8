"""A whole hub to be troubled: started, killed in parts, disarmed, and waited for until nothing is left to do."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import psycopg
from driving import rows, scalar, until

from tillwire.config import Erp, Http, LateArrivals, Posting, Rules, Settings, Work
from tillwire.engines.ports import ReservedPort
from tillwire.engines.supervisor import ChildEvent
from tillwire.hub import Hub

_SETTLED_WITHIN_S = 150.0
_ANY_DAYS = 36_500
"""The days of the stores here are long past, and some of their sales come after the close of their day."""
_BEHIND = """SELECT count(*) FROM event_partition p LEFT JOIN projection_position r
    ON r.partition = p.partition AND r.projection = '{}' WHERE coalesce(r.next_offset, 0) < p.next_offset"""
_LEFT = {
    "messages to read": "SELECT count(*) FROM foreign_message WHERE state = 'waiting'",
    "files to read": "SELECT count(*) FROM foreign_file WHERE state IN ('checking', 'recording')",
    "groups in the queue": "SELECT count(*) FROM intake_queue",
    "partitions to publish": _BEHIND.format("relay"),
    "partitions to follow": _BEHIND.format("hourly_sales"),
    "closed days to post": "SELECT count(*) FROM posting_due JOIN store_day USING (store, business_date)"
    " WHERE closed_offset IS NOT NULL",
}
_NOT_POSTED = "SELECT count(*) FROM journal WHERE state <> 'posted'"


def settings_with(
    erp: Erp | None = None, *, port: int = 0, settle_s: float = 1.5, batch_journals: int = 10
) -> Settings:
    """Settings that make many small steps, so that there are many moments to die at."""
    return Settings(
        http=Http(port=port, api_keys="off"),
        work=Work(most_events=100),
        rules=Rules(past_days=_ANY_DAYS),
        late_arrivals=LateArrivals(most_days=_ANY_DAYS),
        posting=Posting(
            settle_s=settle_s,
            batch_journals=batch_journals,
            idle_ms=50,
            limit_per_min=60_000,
            retry_first_s=0.1,
            retry_most_s=1.0,
        ),
        erp=erp or Erp(),
    )


class Place:
    """Where a hub is: its API, its database, its backbone."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings = settings
        self.url = url
        self.posts = settings.erp.kind != "none"

    def connect(self) -> psycopg.Connection:
        """A connection to the hub's database, in autocommit."""
        return psycopg.connect(self.settings.database_url, autocommit=True)

    def left(self) -> dict[str, int]:
        """What the hub has not done yet; raises ``psycopg.OperationalError`` while the database is away."""
        queries = _LEFT | ({"journals to post": _NOT_POSTED} if self.posts else {})
        with self.connect() as connection:
            counts = {what: scalar(connection, query) for what, query in queries.items()}
            rejected = rows(connection, "SELECT reference, last_error FROM journal WHERE state = 'rejected'")
        assert not rejected, f"{len(rejected)} journals will never be posted: {rejected[:3]}"
        return {what: count for what, count in counts.items() if count}

    def settle(self) -> None:
        """Wait until nothing is left to do."""
        last: object = None
        deadline = time.monotonic() + _SETTLED_WITHIN_S
        while True:
            try:
                last = self.left()
                if not last:
                    return
            except psycopg.OperationalError as error:
                last = error
            assert time.monotonic() < deadline, f"not settled within {_SETTLED_WITHIN_S} s: {last}"
            time.sleep(0.1)


class Rig:
    """A hub of this process, at one address over all its starts. ``fault`` is a ``TILLWIRE_FAULT``."""

    def __init__(self, folder: Path, settings: Settings, *, fault: str = "") -> None:
        self.folder = folder
        self.told: list[ChildEvent] = []
        self._port = ReservedPort()
        http = msgspec.structs.replace(settings.http, port=self._port.number)
        self._settings = msgspec.structs.replace(settings, http=http)
        self._fault = fault
        self.hub = self._make()

    def _make(self) -> Hub:
        environment = {"TILLWIRE_FAULT": self._fault} if self._fault else {}
        return Hub(self.folder, self._settings, durable=True, environment=environment, listener=self.told.append)

    @property
    def place(self) -> Place:
        """The hub as it is now; its backbone has another address after each start."""
        return Place(self.hub.settings, self.hub.url)

    def start(self) -> None:
        """Start everything."""
        self.hub.start()

    def stop(self) -> None:
        """Stop everything; the folder stays."""
        self.hub.stop()

    def disarm(self) -> None:
        """Stop the hub in the middle of whatever it does, and start it without the fault."""
        self.hub.stop()
        self._fault = ""
        self.hub = self._make()
        self.hub.start()

    def close(self) -> None:
        """Stop, and give the address back."""
        self.hub.stop()
        self._port.release()

    def kill(self, name: str) -> None:
        """Kill a child with SIGKILL as soon as it runs, and wait until its death was noticed."""
        before = self.deaths()[name]
        pid = until(lambda: self.hub.supervisor.pids.get(name), 60)
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.deaths()[name] > before, 60)

    def kill_at_random(self, names: list[str], *, times: int, chance: random.Random, pause_s: float = 2.0) -> None:
        """Kill one of these after the other, so many times, each at some moment of its first ``pause_s`` seconds."""
        for number in range(times):
            name = names[number % len(names)]
            until(lambda name=name: name in self.hub.supervisor.pids, 60)
            time.sleep(chance.uniform(0.05, pause_s))
            self.kill(name)

    def deaths(self) -> Counter[str]:
        """How often each child has died so far."""
        return Counter(event.name for event in list(self.told) if event.kind == "died")

    def check_deaths(self, *names: str) -> None:
        """Assert that these children, and none else, died, all of them by SIGKILL."""
        died = [event for event in self.told if event.kind == "died"]
        others = [event for event in died if event.name not in names or event.detail != "killed by signal 9"]
        assert not others, others
        assert died

    def logs(self, lines: int = 15) -> str:
        """What happened to the processes, and the last lines of each, for a test that failed."""
        found = [f"{event.name} {event.kind} {event.detail}" for event in self.told]
        for path in sorted((self.folder / "logs").glob("*.log")):
            text = path.read_text("utf-8", "replace").splitlines()[-lines:]
            found.append("\n".join([f"---- {path.name}", *text]))
        return "\n".join(found)


NewRig = Callable[..., Rig]
"""Makes and starts a hub: settings, and the fault it is armed with."""

Tell = Callable[..., None]
"""Tells a test's figures, by name."""
