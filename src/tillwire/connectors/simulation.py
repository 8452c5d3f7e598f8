"""The kit of simulated ERPs: a small HTTP server with faults on order and by chance, that measures who calls it.

A simulator is written from its ERP's public contract, says which, and validates requests as strictly as that does. It
runs inside a test (``with``) or by itself (``tillwire simulate NAME``).
"""

from __future__ import annotations

import random
import socket
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple, Self, get_args
from urllib.parse import parse_qsl, urlsplit

import msgspec

from tillwire import clock
from tillwire.connectors.simulated_books import SimulatedBooks
from tillwire.errors import ConfigurationError
from tillwire.model.ledger import DocumentKind

Fault = Literal[
    "lost_request", "lost_reply", "cut_reply", "duplicated", "throttled", "unavailable", "broken", "slow", "expired"
]
"""``lost_request``: hangs up unheard. ``lost_reply``: does it and hangs up. ``cut_reply``: does it and gives half of
the answer. ``duplicated``: does it twice, as a network that repeats itself would. ``throttled``: too many calls, as
this ERP says it. ``unavailable``: 503. ``broken``: does it and answers 500. ``slow``: answers late. ``expired``: the
credentials in use have run out."""


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong by chance: the probability of each, per call that writes (``everywhere``: per call)."""

    rates: Mapping[Fault, float] = {}
    everywhere: bool = False
    seed: int = 0
    slow_s: float = 0.2
    retry_after_s: int = 1

    def __post_init__(self) -> None:
        unknown = set(self.rates) - set(get_args(Fault))
        if unknown or sum(self.rates.values()) > 1 or any(rate < 0 for rate in self.rates.values()):
            raise ConfigurationError(f"faults: unknown kinds {sorted(unknown)}, or rates that are not probabilities")


class Request(NamedTuple):
    """What was asked."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Answer(NamedTuple):
    """What is answered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class _Scripted(NamedTuple):
    fault: Fault
    path: str
    writing: bool
    after: int
    """Of the calls that write, by their count."""


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in JSON."""
    return Answer(status, msgspec.json.encode(content), {"Content-Type": "application/json", **(headers or {})})


class ErpSimulator(ABC):
    """One simulated ERP on an address of this machine; a context manager. What it knows survives ``stop``, ``start``.

    ``handle`` is called by one thread at a time; while ``slow`` requests wait, others are served.
    """

    name: str
    contract: str
    """The public contract it is written from."""
    books: SimulatedBooks
    """What it has booked; ``books.accounts`` and ``books.closed`` may be changed at any time."""
    company = "SIM"
    currency = "USD"
    """Of the journals that it takes, unless it is told otherwise."""
    account_codes: tuple[str, ...] = ("1010", "4000", "2200")
    """Accounts that journals may be posted to, as the lines of a journal name them; at least three."""
    unknown_account = "9999"
    """An account of the same form that is not there."""
    dimensions: Mapping[str, str] = {"store": "101"}
    """What the lines of a journal may carry with ``settings()`` as they are."""
    skus: tuple[str, ...] = ("milk-1l",)
    """Products that it knows, where it takes documents that name some."""
    unit = "EA"
    """Their stock unit."""
    variants: tuple[Mapping[str, Any], ...] = ({},)
    """What it is made with, for an ERP that is set up in several ways: the conformance suite runs each."""

    def __init__(
        self,
        *,
        port: int = 0,
        faults: Faults | None = None,
        limit_per_min: int | None = None,
        limit_at_once: int | None = None,
    ) -> None:
        """``limit_per_min`` and ``limit_at_once``: more calls than these are answered as this ERP answers too many."""
        self._port = port
        self.faults = faults or Faults()
        self.limit_per_min = limit_per_min
        self.limit_at_once = limit_at_once
        self.injected: Counter[str] = Counter()
        """Faults so far, by kind."""
        self.refused = 0
        """Calls over the limits."""
        self.peak_at_once = 0
        self.called_at: list[float] = []
        """Of each call, on the clock that never goes back."""
        self.calls: Counter[str] = Counter()
        """Calls by method and path."""
        self.latency_s = 0.0
        """How long every call takes at least."""
        self.writing_calls = 0
        """Calls so far that ``writes`` says yes to."""
        self._under_way = 0
        self._chance = random.Random(self.faults.seed)
        self._scripted: deque[_Scripted] = deque()
        self._lock = threading.RLock()
        self._counting = threading.Lock()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    # ---- what each ERP says for itself

    @abstractmethod
    def handle(self, request: Request) -> Answer:
        """The ERP's answer; what it does, it has done when this returns."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The settings with which its connector reaches it."""

    def throttled(self) -> Answer:
        """How this ERP says "too many"."""
        return Answer(429, b"Too Many Requests", {"Retry-After": str(self.faults.retry_after_s)})

    @abstractmethod
    def expire(self) -> None:
        """Make the credentials in use (tokens, sessions) run out."""

    def writes(self, request: Request) -> bool:
        """True if the request may change the books: what faults by chance are meant for. Not asking for a token."""
        return request.method not in ("GET", "HEAD")

    def open_accounts(self, codes: Iterable[str]) -> None:
        """Have these accounts and no others; ``codes`` as the lines of a journal name them."""
        self.books.accounts = set(codes)

    def close_period(self, first: date, last: date) -> None:
        """Close the period from ``first`` to ``last``, both included."""
        self.books.closed.append((first, last))

    def wrong_credentials(self) -> dict[str, Any]:
        """Settings that differ from ``settings()`` in that they prove nothing; empty: any other secret will do."""
        return {}

    def held(self, kind: DocumentKind) -> int:
        """How many posted documents of a kind there are."""
        if kind != "journal":
            raise NotImplementedError(f"the simulator of {self.name} does not count {kind} documents")
        return len(self.books.documents)

    def calls_back(self) -> list[tuple[Mapping[str, str], bytes]]:
        """Headers and bodies of the calls that this ERP has made to the hub since this was last asked."""
        return []

    def copy(self, reference: str) -> None:
        """As an accountant does who copies a posted journal, our reference with it, and posts the copy."""
        made = self.books.under(reference)[0]
        self.books.book(made.reference, made.on, made.currency, made.lines, company=made.company, extra=made.extra)

    # ---- running it

    @property
    def url(self) -> str:
        """Where it answers; it stays the same over ``stop`` and ``start``."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Begin to listen."""
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True, name=self.name)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and hang up."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def fail_next(self, fault: Fault, path: str = "", times: int = 1, *, writing: bool = False, after: int = 0) -> None:
        """Give the next ``times`` calls with ``path`` in their path this fault, whatever chance says; with ``writing``
        only calls that ``writes`` says yes to, and not the first ``after`` of them."""
        self._scripted.extend([_Scripted(fault, path, writing, self.writing_calls + after if writing else 0)] * times)

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self.faults = Faults()
        self._scripted.clear()

    def most_in(self, seconds: float) -> int:
        """The most calls in any stretch of so many seconds."""
        most, first = 0, 0
        times = sorted(self.called_at)
        for last, at in enumerate(times):
            while at - times[first] >= seconds:
                first += 1
            most = max(most, last - first + 1)
        return most

    # ---- one call

    def answer(self, request: Request) -> tuple[Answer | None, bool]:
        """The answer (none: hang up), and whether to cut it."""
        with self._counting:
            self._under_way += 1
            self.peak_at_once = max(self.peak_at_once, self._under_way)
            moment = clock.monotonic_s()
            self.called_at.append(moment)
            self.calls[f"{request.method} {request.path}"] += 1
            over = self._over(moment)
            fault = self._choose(request)
            self.writing_calls += self.writes(request)
            if fault is not None:
                self.injected[fault] += 1
        try:
            if over:
                self.refused += 1
                return self.throttled(), False
            return self._answer(request, fault)
        finally:
            with self._counting:
                self._under_way -= 1

    def _answer(self, request: Request, fault: Fault | None) -> tuple[Answer | None, bool]:
        if self.latency_s or fault == "slow":
            time.sleep(max(self.latency_s, self.faults.slow_s if fault == "slow" else 0.0))
        match fault:
            case "lost_request":
                return None, False
            case "throttled":
                return self.throttled(), False
            case "unavailable":
                return Answer(503, b"Service Unavailable", {"Retry-After": str(self.faults.retry_after_s)}), False
            case "expired":
                self.expire()
        with self._lock:
            answer = self.handle(request)
            if fault == "duplicated":
                answer = self.handle(request)
        match fault:
            case "lost_reply":
                return None, False
            case "broken":
                return Answer(500, b"Internal Server Error"), False
        return answer, fault == "cut_reply"

    def _over(self, moment: float) -> bool:
        if self.limit_at_once is not None and self._under_way > self.limit_at_once:
            return True
        if self.limit_per_min is None:
            return False
        recent = 0
        for at in reversed(self.called_at):
            if moment - at >= 60:
                break
            recent += 1
        return recent > self.limit_per_min

    def _choose(self, request: Request) -> Fault | None:
        writes = self.writes(request)
        for position, scripted in enumerate(self._scripted):
            if scripted.path in request.path and (
                not scripted.writing or (writes and self.writing_calls >= scripted.after)
            ):
                del self._scripted[position]
                return scripted.fault
        if not (self.faults.everywhere or writes):
            return None
        point = self._chance.random()
        for kind, rate in self.faults.rates.items():
            if point < rate:
                return kind
            point -= rate
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, *given: Any) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # hung up already
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is none of the server's errors; anything else is, and is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _handler(simulator: ErpSimulator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            parts = urlsplit(self.path)
            request = Request(
                self.command,
                parts.path,
                dict(parse_qsl(parts.query, keep_blank_values=True)),
                {name.lower(): value for name, value in self.headers.items()},
                self.rfile.read(int(self.headers.get("content-length") or 0)),
            )
            made, cut = simulator.answer(request)
            self.close_connection = self.close_connection or made is None or cut
            if made is None:
                return
            self.send_response_only(made.status)
            for name, value in {**made.headers, "Content-Length": str(len(made.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(made.body[: len(made.body) // 2] if cut else made.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle

        def log_message(self, format: str, *args: object) -> None:
            """Calls are counted by the simulator."""

    return Handler
