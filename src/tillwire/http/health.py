"""Liveness, readiness and the schemas of event types, open to all because they say nothing about business; metrics."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.connection import ASGIConnection
from litestar.exceptions import NotFoundException
from litestar.handlers.base import BaseRouteHandler
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tillwire.governance.access import Operation
from tillwire.http.access import granted, needs
from tillwire.http.node import Node
from tillwire.http.problem import unavailable
from tillwire.model.event import HUB_MADE, MESSAGES
from tillwire.model.schema import message_schema
from tillwire.observability.exported import QUERIES, families


class Health(msgspec.Struct, frozen=True):
    """``ok`` says the process answers (healthz) or can store events (readyz)."""

    ok: bool
    waiting: int | None = None
    """Events that wait for a worker; counted up to the backlog limit."""


@get("/healthz", summary="Is the process alive", tags=["operation"], sync_to_thread=False)
def healthz() -> Health:
    """200 as long as the process answers."""
    return Health(ok=True)


@get("/readyz", summary="Can events be stored", tags=["operation"], sync_to_thread=False, status_code=200)
def readyz(request: Request[Any, Any, Any]) -> Response[Any]:
    """200 if the database answered within the last seconds, otherwise 503."""
    node: Node = request.app.state.node
    if not node.ready:
        return unavailable("the database is away", 1)
    return Response(Health(ok=True, waiting=node.backlog), media_type=MediaType.JSON)


class _State(Collector):
    """Gauges that stand in the database, so that every API process tells the same."""

    def __init__(self, values: list[tuple[str, str, str, list[tuple[str, float]]]]) -> None:
        self._values = values

    def collect(self) -> Any:
        for name, text, label, rows in self._values:
            family = GaugeMetricFamily(name, text, labels=[label] if label else [])
            for value, number in rows:
                family.add_metric([value] if label else [], number)
            yield family


class _Levels(Collector):
    """Service levels as the observer has measured them last."""

    def __init__(self, rows: dict[str, Any]) -> None:
        self._rows = rows

    def collect(self) -> Any:
        yield from families(**self._rows)


_GAUGES = (
    (
        "tillwire_waiting_events",
        "Events that wait for a worker",
        "",
        "SELECT '', coalesce(sum(cardinality(ordinals)), 0) FROM intake_queue",
    ),
    (
        "tillwire_recorded_events",
        "Events in the event store, by partition",
        "partition",
        "SELECT partition::text, next_offset FROM event_partition",
    ),
    (
        "tillwire_open_exceptions",
        "Open exceptions by code",
        "code",
        "SELECT code, count(*) FROM exception WHERE state IN ('open', 'waiting', 'retrying', 'approval') GROUP BY code",
    ),
    ("tillwire_journals", "Journals by state", "state", "SELECT state, count(*) FROM journal GROUP BY state"),
    (
        "tillwire_projection_lag_events",
        "Events an async projection has not seen yet",
        "projection",
        "SELECT n.projection, sum(e.next_offset - coalesce(p.next_offset, 0))"
        " FROM event_partition e CROSS JOIN (SELECT DISTINCT projection FROM projection_position) n"
        " LEFT JOIN projection_position p ON p.partition = e.partition AND p.projection = n.projection"
        " GROUP BY n.projection",
    ),
)


async def granted_or_local(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard for metrics, as ``http.metrics`` says: a program on this machine may read them without a key."""
    node: Node = connection.app.state.node
    rule = node.settings.http.metrics
    if rule == "open" or (rule == "local" and node.callers.is_local(cast(dict[str, Any], connection.scope))):
        return
    await granted(connection, handler)


@get(
    "/metrics",
    include_in_schema=False,
    guards=[granted_or_local],
    opt=needs(Operation.READ_SERVICE_LEVELS),
)
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Prometheus metrics: this process's counters, and the state of the hub from the database."""
    node: Node = request.app.state.node
    body = generate_latest(node.registry)
    if node.ready:
        values = []
        async with node.pool.connection() as connection:
            for name, text, label, query in _GAUGES:
                cursor = await connection.execute(query.encode())
                rows = [(str(key), float(number)) for key, number in await cursor.fetchall()]
                values.append((name, text, label, rows))
            levels = {
                name: await (await connection.execute(query.encode())).fetchall() for name, query in QUERIES.items()
            }
        body += generate_latest(_State(values)) + generate_latest(_Levels(levels))
    return Response(body, media_type=CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8"))


@get("/v1/schemas", summary="Event types", tags=["schemas"], sync_to_thread=False)
def schemas() -> list[str]:
    """Every event type this hub takes, and those that only it makes."""
    return [*MESSAGES, *HUB_MADE]


@get("/v1/schemas/{event_type:str}", summary="JSON Schema of an event type", tags=["schemas"], sync_to_thread=False)
def schema(event_type: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of the data of an event type."""
    if event_type not in MESSAGES and event_type not in HUB_MADE:
        raise NotFoundException(f"no event type {event_type!r}; GET /v1/schemas lists them")
    return message_schema(event_type)
