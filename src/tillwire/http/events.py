"""POST /v1/events: one event or a batch, durable before the answer.

Nearly every request of a hub is this one, so it is answered here, straight on ASGI, before any framework: that saves
more than half of what a single sale costs. All other paths go on to the application.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from tillwire import clock
from tillwire.errors import TransientError
from tillwire.http.node import Node
from tillwire.http.outer import Application, Pair, Receive, Scope, Send
from tillwire.http.problem import PROBLEM_JSON, SHOW_A_KEY, Problem, problem
from tillwire.http.sending import NOT_GRANTED, Sending
from tillwire.intake.door import BodyRefused, Prepared, Refusal, read_batch, read_one
from tillwire.intake.grouping import ACCEPTED, CONFLICT, DUPLICATE

PATH = "/v1/events"
ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
REJECTED = "rejected"

MOST_HELD_BYTES = 512 * 1024 * 1024
"""Bodies that one API process holds at a time, from their first byte to their answer: while the database is slow,
further ones are answered 503 before they are read."""


class EventOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What became of one event: accepted, duplicate, conflict or rejected; the latter two with their problem."""

    status: str
    id: str | None = None
    key: str | None = None
    problem: Problem | None = None


class BatchOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch: counts, and one outcome per event in the order they were sent."""

    accepted: int
    duplicate: int
    conflict: int
    rejected: int
    results: list[EventOutcome]


class _Answer(Exception):
    """A request that is answered before its events are looked at."""

    def __init__(self, content: Problem, *headers: Pair) -> None:
        super().__init__(content.title)
        self.content = content
        self.headers = headers


_encode = msgspec.json.Encoder().encode
_JSON_TYPE = (b"content-type", b"application/json")
_PROBLEM_TYPE = (b"content-type", PROBLEM_JSON.encode())
_ONE_STATUS = {ACCEPTED: 202, DUPLICATE: 200}
_CONFLICT_DETAIL = "this key was accepted before with other content; that stays, this has no effect and is an exception"


class EventsEndpoint:
    """An ASGI application that answers POST /v1/events and hands everything else on."""

    def __init__(self, node: Node, application: Application, headers: tuple[Pair, ...]) -> None:
        self._node = node
        self._headers = headers
        self._application = application
        self._most_bytes = node.settings.http.most_body_bytes
        self._held_bytes = 0
        self._keys_off = node.settings.http.api_keys == "off"
        self._counters = {status: node.events.labels(status) for status in (ACCEPTED, DUPLICATE, CONFLICT, REJECTED)}

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._application(scope, receive, send)
            return
        try:
            status, media_type, body = await self._answer(scope, receive)
            await self._respond(send, status, media_type, body)
        except _Answer as answer:
            await self._respond(send, answer.content.status, _PROBLEM_TYPE, _encode(answer.content), *answer.headers)
        except TransientError as error:
            wait = str(max(1, round(error.retry_after_s or 1))).encode()
            told = problem(503, "unavailable", str(error))
            await self._respond(send, 503, _PROBLEM_TYPE, _encode(told), (b"retry-after", wait))

    async def _respond(self, send: Send, status: int, media_type: Pair, body: bytes, *headers: Pair) -> None:
        length = (b"content-length", str(len(body)).encode())
        told = [media_type, length, *headers, *self._headers]
        await send({"type": "http.response.start", "status": status, "headers": told})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, tuple[bytes, bytes], bytes]:
        if scope["method"] != "POST":
            told = problem(405, "method not allowed", f"POST events to {PATH}")
            raise _Answer(told, (b"allow", b"POST"))
        kind, length, encoding, authorization = _headers(scope["headers"])
        sending = None if self._keys_off else await self._authenticate(authorization, scope)
        if kind not in (ONE, BATCH):
            detail = f"send {ONE} or {BATCH}, not {kind or 'nothing'}"
            raise _Answer(problem(415, "unsupported media type", detail))
        if encoding not in ("", "identity"):
            raise _Answer(problem(415, "unsupported media type", "send the body without a content encoding"))
        self._node.refuse_if_overloaded()
        # What has no length may turn out as large as the limit.
        held = min(length or self._most_bytes, self._most_bytes)
        if self._held_bytes + held > MOST_HELD_BYTES:
            raise TransientError("too many bodies are being taken in at once", retry_after_s=1)
        self._held_bytes += held
        try:
            body = await self._read(receive, length)
            return await (self._one(body, sending) if kind == ONE else self._batch(body, sending))
        except BodyRefused as refused:
            refusal = refused.refusal
            status = 413 if refusal.title == "batch too large" else 400
            raise _Answer(problem(status, refusal.title, refusal.detail, pointer=refusal.pointer)) from refused
        finally:
            self._held_bytes -= held

    async def _authenticate(self, authorization: str, scope: Scope) -> Sending:
        """What whoever asks may send; that is judged event by event."""
        principal = await self._node.principal(authorization, scope)
        if principal is None:
            told = problem(401, "not authorized", SHOW_A_KEY)
            raise _Answer(told, (b"www-authenticate", b"Bearer"))
        sending = self._node.sending(principal)
        if not sending.anything:
            raise _Answer(problem(403, "permission denied", f"{principal.name} has no grant for events:send"))
        return sending

    async def _read(self, receive: Receive, length: int) -> bytes:
        """The body, never more of it in memory than the limit."""
        if length > self._most_bytes:
            raise self._too_large()
        message = await receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            if len(body) > self._most_bytes:
                raise self._too_large()
            return body
        pieces, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Answer(problem(400, "incomplete body", "the connection ended before the body did"))
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > self._most_bytes:
                raise self._too_large()
        return b"".join(pieces)

    def _too_large(self) -> _Answer:
        detail = f"a body may have {self._most_bytes:,} bytes: send smaller batches"
        return _Answer(problem(413, "body too large", detail), (b"connection", b"close"))

    async def _accept(self, events: list[Prepared | Refusal]) -> list[EventOutcome]:
        started = clock.monotonic_s()
        good = [event for event in events if isinstance(event, Prepared)]
        statuses = iter(await self._node.group_commit.submit(good) if good else ())
        outcomes = [
            _stored(event, next(statuses)) if isinstance(event, Prepared) else _refused(event) for event in events
        ]
        took_s = clock.monotonic_s() - started
        self._node.commit_seconds.observe(took_s)
        self._node.acknowledged.observe(took_s)
        return outcomes

    async def _one(self, body: bytes, sending: Sending | None) -> tuple[int, tuple[bytes, bytes], bytes]:
        events = [read_one(body, most_depth=self._node.settings.http.most_depth)]
        (outcome,) = await self._accept(events if sending is None else sending.judged(events))
        self._counters[outcome.status].inc()
        if outcome.problem is not None:
            return outcome.problem.status, _PROBLEM_TYPE, _encode(outcome.problem)
        return _ONE_STATUS[outcome.status], _JSON_TYPE, _encode(outcome)

    async def _batch(self, body: bytes, sending: Sending | None) -> tuple[int, tuple[bytes, bytes], bytes]:
        http = self._node.settings.http
        events = read_batch(body, most_events=http.most_batch_events, most_depth=http.most_depth)
        outcomes = await self._accept(events if sending is None else sending.judged(events))
        counts = dict.fromkeys(self._counters, 0)
        for outcome in outcomes:
            counts[outcome.status] += 1
        for name, count in counts.items():
            if count:
                self._counters[name].inc(count)
        answer = BatchOutcome(**counts, results=outcomes)
        return 207 if counts[CONFLICT] or counts[REJECTED] else 202, _JSON_TYPE, _encode(answer)


def _headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, int, str, str]:
    """Content type without parameters, content length (0 if unknown), content encoding, authorization."""
    kind = encoding = authorization = ""
    length = 0
    for name, value in headers:
        if name == b"content-type":
            kind = value.decode("latin-1").partition(";")[0].strip().lower()
        elif name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"content-encoding":
            encoding = value.decode("latin-1").strip().lower()
        elif name == b"authorization":
            authorization = value.decode("latin-1")
    return kind, length, encoding, authorization


_REFUSED_STATUS = {"malformed JSON": 400, "nested too deep": 400, "wrong encoding": 400, NOT_GRANTED: 403}


def _refused(refusal: Refusal) -> EventOutcome:
    status = _REFUSED_STATUS.get(refusal.title, 422)
    told = problem(status, refusal.title, refusal.detail, pointer=refusal.pointer)
    return EventOutcome(status=REJECTED, id=refusal.id, problem=told)


def _stored(event: Prepared, status: str) -> EventOutcome:
    told = None
    if status == CONFLICT:
        told = msgspec.structs.replace(problem(409, "conflict", _CONFLICT_DETAIL), id=event.id, key=event.key)
    return EventOutcome(status=status, id=event.id, key=event.key, problem=told)
