"""Faults between the hub and its ERP: an HTTP proxy that answers "unavailable", loses replies, and counts.

For the demo and the tests. It speaks as much HTTP as a JSON-RPC client does: one request with a length per
connection.
"""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections import Counter, deque
from collections.abc import Mapping
from types import TracebackType
from typing import Literal, Self, get_args
from urllib.parse import urlsplit

import msgspec

from tillwire.errors import ConfigurationError

FaultKind = Literal[
    "unavailable",
    "unavailable_retry_after",
    "rate_limited",
    "lose_request",
    "lose_reply",
    "cut_reply",
    "delay",
    "twice",
]
"""``unavailable``: 503. ``unavailable_retry_after``: 503 with ``Retry-After``. ``rate_limited``: 429 with it.
``lose_request``: hangs up without passing it on. ``lose_reply``: passes it on, waits for the ERP's answer, hangs up.
``cut_reply``: gives half of the answer. ``delay``: passes it on after a while. ``twice``: passes it on two times, one
after the other, and gives the first answer."""

_METHOD = re.compile(rb'"method"\s*:\s*"([^"]{1,200})"')
_HEAD_LIMIT = 64 * 1024
_HOP = (b"connection:", b"keep-alive:", b"proxy-connection:")


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Which faults to inject by chance, into which calls. The same seed and calls give the same faults."""

    rates: Mapping[FaultKind, float] = {}
    """The probability of each kind, per matching call; together at most 1."""
    methods: tuple[str, ...] = ("model.account.move.create", "model.account.move.post")
    """The JSON-RPC methods to trouble. Others, such as the log-in, pass untouched."""
    seed: int = 0
    delay_s: float = 0.2
    retry_after_s: int = 1
    most: int | None = None
    """Stop after so many faults."""

    def __post_init__(self) -> None:
        unknown = set(self.rates) - set(get_args(FaultKind))
        if unknown or sum(self.rates.values()) > 1 or any(rate < 0 for rate in self.rates.values()):
            raise ConfigurationError(f"faults: unknown kinds {sorted(unknown)}, or rates that are not probabilities")


class _Request(msgspec.Struct):
    head: bytes
    body: bytes

    def method(self) -> str:
        found = _METHOD.search(self.body[:2000]) or _METHOD.search(self.body)
        return found[1].decode("utf-8", "replace") if found else ""


class FaultProxy:
    """Stands before the ERP at ``upstream`` (``http://host:port``) on a free port of 127.0.0.1, in a thread of its
    own. Point the connector's ``url`` at ``url``. The counters may be read at any time.
    """

    def __init__(self, upstream: str, plan: FaultPlan | None = None) -> None:
        address = urlsplit(upstream)
        if address.hostname is None:
            raise ConfigurationError(f"faults: {upstream!r} is not an address to stand before")
        self._upstream = (address.hostname, address.port or 80)
        self.plan = plan or FaultPlan()
        self.injected: Counter[str] = Counter()
        """Faults so far, by kind."""
        self.calls: Counter[str] = Counter()
        """Requests so far, by JSON-RPC method, troubled or not."""
        self.peak_concurrency = 0
        """The most requests that were under way at once."""
        self.url = ""
        self._under_way = 0
        self._chance = random.Random(self.plan.seed)
        self._scripted: deque[tuple[FaultKind, str]] = deque()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="erp-faults", daemon=True)
        self._listening = threading.Event()
        self._ended: asyncio.Event | None = None

    @property
    def under_way(self) -> int:
        """Requests that are being dealt with at present, those whose sender has given up included."""
        return self._under_way

    def inject_next(self, kind: FaultKind, method: str = "", times: int = 1) -> None:
        """Give the next ``times`` calls whose method ends with ``method`` this fault, whatever the plan says."""
        self._scripted.extend([(kind, method)] * times)

    def reset(self, plan: FaultPlan | None = None) -> None:
        """Begin anew: another plan (none: no more faults), counters at nought. Not while calls are under way."""
        self.plan = plan or FaultPlan()
        self.injected.clear()
        self.calls.clear()
        self.peak_concurrency = 0
        self._scripted.clear()
        self._chance = random.Random(self.plan.seed)

    def start(self) -> Self:
        """Begin to listen; returns once it does."""
        self._thread.start()
        self._listening.wait()
        return self

    def stop(self) -> None:
        """Hang up on everyone and end the thread."""
        if self._thread.is_alive() and self._ended is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_HEAD_LIMIT)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._listening.set()
        await self._ended.wait()
        # What is still under way is cancelled by the runner.
        server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._under_way += 1
        self.peak_concurrency = max(self.peak_concurrency, self._under_way)
        try:
            await self._answer(await _read_request(reader), writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            # One side hung up, or the proxy ends: streams would log a cancelled handler as an error.
            writer.transport.abort()
        finally:
            self._under_way -= 1
            writer.close()

    async def _answer(self, request: _Request, writer: asyncio.StreamWriter) -> None:
        method = request.method()
        self.calls[method] += 1
        fault = self._choose(method)
        if fault is not None:
            self.injected[fault] += 1
        match fault:
            case "unavailable":
                await _send(writer, _refusal(503, "Service Unavailable", None))
            case "unavailable_retry_after":
                await _send(writer, _refusal(503, "Service Unavailable", self.plan.retry_after_s))
            case "rate_limited":
                await _send(writer, _refusal(429, "Too Many Requests", self.plan.retry_after_s))
            case "lose_request":
                writer.transport.abort()
            case "lose_reply":
                await self._forward(request)
                writer.transport.abort()
            case "cut_reply":
                answer = await self._forward(request)
                await _send(writer, answer[: len(answer) // 2])
            case "twice":
                answer = await self._forward(request)
                await self._forward(request)
                await _send(writer, answer)
            case _:
                if fault == "delay":
                    await asyncio.sleep(self.plan.delay_s)
                await _send(writer, await self._forward(request))

    def _choose(self, method: str) -> FaultKind | None:
        for position, (kind, wanted) in enumerate(self._scripted):
            if method.endswith(wanted):
                del self._scripted[position]
                return kind
        if method not in self.plan.methods:
            return None
        if self.plan.most is not None and self.injected.total() >= self.plan.most:
            return None
        point = self._chance.random()
        for kind, rate in self.plan.rates.items():
            if point < rate:
                return kind
            point -= rate
        return None

    async def _forward(self, request: _Request) -> bytes:
        """The ERP's whole answer; 503 if nobody listens there, as for the hub it is the same."""
        try:
            reader, writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            return _refusal(503, "Service Unavailable", None)
        try:
            writer.write(request.head + request.body)
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> _Request:
    raw = await reader.readuntil(b"\r\n\r\n")
    lines = [line for line in raw.rstrip(b"\r\n").split(b"\r\n") if not line.lower().startswith(_HOP)]
    lengths = [int(line.split(b":", 1)[1]) for line in lines if line.lower().startswith(b"content-length:")]
    body = await reader.readexactly(lengths[0] if lengths else 0)
    return _Request(b"\r\n".join([*lines, b"Connection: close", b"", b""]), body)


async def _send(writer: asyncio.StreamWriter, answer: bytes) -> None:
    writer.write(answer)
    await writer.drain()


def _refusal(status: int, reason: str, retry_after_s: int | None) -> bytes:
    body = f"<!doctype html><title>{status} {reason}</title><p>{reason}".encode()
    head = [
        f"HTTP/1.1 {status} {reason}",
        "Content-Type: text/html",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if retry_after_s is not None:
        head.append(f"Retry-After: {retry_after_s}")
    return "\r\n".join([*head, "", ""]).encode() + body
