"""POST /v1/events: one event or a batch, durable before the answer."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import MediaType, Request, Response, post

from tillwire import clock
from tillwire.http.node import Node
from tillwire.http.problem import PROBLEM_JSON, Problem, problem, respond
from tillwire.intake.door import BodyRefused, Prepared, Refusal, read_batch, read_one
from tillwire.intake.group_commit import ACCEPTED, CONFLICT, DUPLICATE

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
REJECTED = "rejected"


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


def _refused(refusal: Refusal) -> EventOutcome:
    status = 400 if refusal.title in ("malformed JSON", "nested too deep", "wrong encoding") else 422
    told = problem(status, refusal.title, refusal.detail, pointer=refusal.pointer)
    return EventOutcome(status=REJECTED, id=refusal.id, problem=told)


_CONFLICT_DETAIL = "this key was accepted before with other content; that stays, this has no effect and is an exception"


def _stored(event: Prepared, status: str) -> EventOutcome:
    told = problem(409, "conflict", _CONFLICT_DETAIL) if status == CONFLICT else None
    return EventOutcome(status=status, id=event.id, key=event.key, problem=told)


async def _accept(node: Node, events: list[Prepared | Refusal]) -> list[EventOutcome]:
    started = clock.monotonic_s()
    good = [event for event in events if isinstance(event, Prepared)]
    statuses = iter(await node.group_commit.submit(good) if good else ())
    outcomes = [_stored(event, next(statuses)) if isinstance(event, Prepared) else _refused(event) for event in events]
    node.commit_seconds.observe(clock.monotonic_s() - started)
    return outcomes


def _media_type(request: Request[Any, Any, Any]) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


@post(
    "/events",
    status_code=202,
    media_type=MediaType.JSON,
    summary="Accept events",
    tags=["events"],
)
async def accept_events(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Accept one event (`application/cloudevents+json`) or a batch (`application/cloudevents-batch+json`).

    What is answered `accepted` is on disk. The same key with the same content is `duplicate`, with other content
    `conflict` (an exception, without effect); what is structurally wrong is `rejected`, and harms no neighbour.
    """
    node: Node = request.app.state.node
    kind = _media_type(request)
    if kind not in (ONE, BATCH):
        return respond(problem(415, "unsupported media type", f"send {ONE} or {BATCH}, not {kind or 'nothing'}"))
    if request.headers.get("content-encoding", "identity") != "identity":
        return respond(problem(415, "unsupported media type", "send the body without a content encoding"))
    node.refuse_if_overloaded()
    body = await request.body()
    try:
        if kind == ONE:
            return await _one(node, body)
        return await _batch(node, body)
    except BodyRefused as refused:
        refusal = refused.refusal
        status = 413 if refusal.title == "batch too large" else 400
        return respond(problem(status, refusal.title, refusal.detail, pointer=refusal.pointer))


_ONE_STATUS = {ACCEPTED: 202, DUPLICATE: 200, CONFLICT: 409}


async def _one(node: Node, body: bytes) -> Response[bytes]:
    (outcome,) = await _accept(node, [read_one(body)])
    node.events.labels(outcome.status).inc()
    if outcome.problem is not None:
        return Response(
            msgspec.json.encode(outcome.problem), status_code=outcome.problem.status, media_type=PROBLEM_JSON
        )
    return Response(msgspec.json.encode(outcome), status_code=_ONE_STATUS[outcome.status], media_type=MediaType.JSON)


async def _batch(node: Node, body: bytes) -> Response[bytes]:
    outcomes = await _accept(node, read_batch(body, most_events=node.settings.http.most_batch_events))
    counts = dict.fromkeys((ACCEPTED, DUPLICATE, CONFLICT, REJECTED), 0)
    for outcome in outcomes:
        counts[outcome.status] += 1
    for name, count in counts.items():
        if count:
            node.events.labels(name).inc(count)
    answer = BatchOutcome(**counts, results=outcomes)
    status = 207 if counts[CONFLICT] or counts[REJECTED] else 202
    return Response(msgspec.json.encode(answer), status_code=status, media_type=MediaType.JSON)
