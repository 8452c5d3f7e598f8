"""Registers that send side by side, again and again until they are answered, and some of it once more after that."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
from builders import Event, batch, raw
from driving import until

_HEADERS = {"Content-Type": "application/cloudevents-batch+json"}
_REPEATED = 0.1
"""Share of batches that are sent again although they were answered, shuffled, by whichever client comes next."""
_PATIENCE_S = 120.0
_MUCH = 2_500
"""After so many events clients slow down: what follows has a backlog then, and a busy machine is spared."""


class Load:
    """Clients under load. ``source`` is given a function that says whether more is wanted, and yields batches."""

    def __init__(
        self,
        url: str,
        first: Sequence[Event],
        source: Callable[[Callable[[], bool]], Iterator[list[Event]]],
        *,
        clients: int = 6,
        events_per_s: int = 500,
        seed: int = 1,
    ) -> None:
        self.sent: dict[bytes, Event] = {}
        """Every event that a client took upon itself to deliver, by its bytes."""
        self.answers: dict[bytes, list[str]] = defaultdict(list)
        self.troubles: Counter[str] = Counter()
        """Requests that were not answered: 503, or why nothing came back."""
        self._address = urlsplit(url)
        self._first = first
        self._enough = threading.Event()
        self._batches = source(lambda: not self._enough.is_set())
        self._again: deque[list[bytes]] = deque()
        self._lock = threading.Lock()
        self._clients = clients
        self._pace = clients / events_per_s
        self._seed = seed
        self._pool = ThreadPoolExecutor(clients, thread_name_prefix="register")
        self._running: list[Any] = []

    def __enter__(self) -> Self:
        self.deliver(self._first)
        self._running = [self._pool.submit(self._send_for_long, number) for number in range(self._clients)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enough.set()
        self._pool.shutdown(wait=error is None)

    def finish(self) -> None:
        """Begin no other day, and return when every event was answered. Raises what stopped a client."""
        self._enough.set()
        for client in self._running:
            client.result()

    def deliver(self, events: Sequence[Event]) -> None:
        """Send events as one batch until they are answered."""
        connection = self._connection()
        self._deliver(connection, self._known(events))
        connection.close()

    def goes_on(self) -> bool:
        """True while no client has failed; raises what stopped one."""
        for client in self._running:
            if client.done():
                client.result()
        return True

    def first_answers(self) -> Counter[str]:
        """How often each answer was the first that an event got."""
        with self._lock:
            return Counter(statuses[0] for statuses in self.answers.values())

    def wait_sent(self, events: int) -> None:
        """Wait until at least so many events have been taken up, of which all but the last few are answered."""
        until(lambda: self.goes_on() and len(self.sent) >= events, _PATIENCE_S)

    def events(self) -> list[Event]:
        """Everything sent, each once."""
        return list(self.sent.values())

    def check_answers(self) -> None:
        """Assert that every event was answered, never refused, and accepted at most once."""
        assert self.sent.keys() == self.answers.keys()
        told = Counter(status for statuses in self.answers.values() for status in statuses)
        assert told.keys() <= {"accepted", "duplicate"}, told
        assert all(statuses.count("accepted") <= 1 for statuses in self.answers.values())

    def _known(self, events: Sequence[Event]) -> list[bytes]:
        with self._lock:
            known = {raw(one): one for one in events}
            self.sent.update(known)
        return list(known)

    def _connection(self) -> HTTPConnection:
        return HTTPConnection(self._address.hostname or "", self._address.port, timeout=30)

    def _send_for_long(self, number: int) -> None:
        chance = random.Random(f"register/{self._seed}/{number}")
        connection = self._connection()
        try:
            while (events := self._next(chance)) is not None:
                self._deliver(connection, events)
                if chance.random() < _REPEATED:
                    self._again.append(chance.sample(events, len(events)))
                self._enough.wait(self._pace * len(events) * (1 if len(self.sent) < _MUCH else 8))
        finally:
            connection.close()

    def _next(self, chance: random.Random) -> list[bytes] | None:
        if self._again and chance.random() < 0.5:
            try:
                return self._again.popleft()
            except IndexError:  # another client has it
                pass
        with self._lock:
            events = next(self._batches, None)
        return None if events is None else self._known(events)

    def _deliver(self, connection: HTTPConnection, events: list[bytes]) -> None:
        body = batch(events)
        deadline = time.monotonic() + _PATIENCE_S
        while (statuses := self._send(connection, body)) is None:
            assert time.monotonic() < deadline, f"not answered within {_PATIENCE_S} s: {self.troubles}"
            time.sleep(0.05)  # as a register would, between two attempts
        with self._lock:
            for one, status in zip(events, statuses, strict=True):
                self.answers[one].append(status)

    def _send(self, connection: HTTPConnection, body: bytes) -> list[str] | None:
        try:
            connection.request("POST", "/v1/events", body, _HEADERS)
            reply = connection.getresponse()
            content = reply.read()
        except (OSError, HTTPException) as error:
            connection.close()
            self._trouble(type(error).__name__)
            return None
        if reply.status == 503:
            self._trouble("503")
            return None
        assert reply.status in (202, 207), (reply.status, content)
        return [result["status"] for result in msgspec.json.decode(content)["results"]]

    def _trouble(self, what: str) -> None:
        with self._lock:
            self.troubles[what] += 1
