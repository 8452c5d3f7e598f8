"""The Litestar application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig

import tillwire
from tillwire.config import Settings
from tillwire.console import routes as console
from tillwire.errors import TransientError
from tillwire.exceptions.held import FixRefused, NoSuchException
from tillwire.governance.clients import NoSuchClient
from tillwire.http import (
    audit,
    clients,
    connections,
    documentation,
    exceptions,
    health,
    ledger,
    masterdata,
    oauth,
    posting,
    proof,
    service_levels,
)
from tillwire.http.access import granted
from tillwire.http.events import EventsEndpoint
from tillwire.http.node import Node
from tillwire.http.outer import Application, OwnMachine, WithHeaders, headers_of
from tillwire.http.problem import on_http_exception, on_transient, on_unexpected
from tillwire.observability.alerts import SilenceRefused


def create_app(settings: Settings) -> Application:
    """The API on ``settings``; connects when it starts."""
    node = Node(settings)
    headers = headers_of(settings.http.public_url)
    application = EventsEndpoint(node, WithHeaders(routes_of(node, settings), headers), headers)
    if settings.http.api_keys == "off":
        return OwnMachine(application, urlsplit(settings.http.public_url).hostname or "")
    return application


def routes_of(node: Node, settings: Settings) -> Litestar:
    """Every route but the one that takes events."""

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await node.start()
        try:
            yield
        finally:
            await node.stop()

    guarded = Router(
        "/v1",
        guards=[granted],
        route_handlers=[
            proof.reconciliation,
            proof.trace_key,
            *exceptions.ROUTES,
            *audit.ROUTES,
            *ledger.ROUTES,
            connections.connections,
            masterdata.prices,
            masterdata.rates,
            masterdata.records,
            masterdata.record,
            masterdata.upsert,
            posting.waiting,
            *clients.ROUTES,
            *service_levels.ROUTES,
        ],
    )
    return Litestar(
        route_handlers=[
            guarded,
            *console.router(),
            connections.deliver,
            posting.called_back,
            *oauth.ROUTES,
            health.healthz,
            health.readyz,
            health.metrics,
            health.schemas,
            health.schema,
            documentation.openapi,
            documentation.documentation_page,
        ],
        lifespan=[lifespan],
        state=State({"node": node}),
        request_max_body_size=settings.http.most_body_bytes,
        openapi_config=OpenAPIConfig(
            title="Tillwire", version=tillwire.__version__, render_plugins=[], enabled_endpoints=set()
        ),
        exception_handlers={
            HTTPException: on_http_exception,
            TransientError: on_transient,
            FixRefused: exceptions.on_refused,
            NoSuchException: exceptions.on_missing,
            NoSuchClient: clients.on_missing,
            clients.ClientRefused: clients.on_refused,
            SilenceRefused: service_levels.on_refused,
            service_levels.BodyRefused: service_levels.on_bad_body,
            Exception: on_unexpected,
        },
        logging_config=None,
    )
