"""POST /v1/connections/NAME: what other systems send in their own words, durable before the answer.

A webhook authenticates by its signature alone. Everybody else shows an API key, and is told at once if what was sent
cannot be read at all; nothing of it is kept then.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
import psycopg
import structlog
from litestar import MediaType, Request, Response, get, post
from litestar.exceptions import (
    ClientException,
    NotAuthorizedException,
    NotFoundException,
    PermissionDeniedException,
)
from litestar.params import Parameter
from psycopg_pool import PoolTimeout

from tillwire.connectors.inbound import Delivery, InboundConnector, MalformedError, Record, body_source
from tillwire.errors import AuthenticationError, TransientError
from tillwire.faultpoints import passing
from tillwire.governance.access import Operation
from tillwire.http.access import granted, needs, principal_of
from tillwire.http.node import Node
from tillwire.http.problem import problem, respond
from tillwire.http.sending import Sending, Wrong
from tillwire.intake import foreign
from tillwire.intake.card_numbers import DETAIL, body_holds_card_number
from tillwire.intake.recording import source_of

_log = structlog.get_logger(__name__)

ConnectionName = Annotated[str, Parameter(max_length=40, pattern="^[a-z][a-z0-9-]*$")]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a delivery: accepted, or duplicate (it is on disk already)."""

    status: str
    connection: str


@post(
    "/v1/connections/{name:str}",
    status_code=202,
    summary="Deliver to a connection",
    tags=["connections"],
    opt=needs(Operation.SEND_EVENTS),
)
async def deliver(request: Request[Any, Any, Any], name: ConnectionName) -> Response[bytes]:
    """Store a body for the connection's connector to read. The answer is 202, or 200 for a repetition.

    Webhooks are always answered 200, as some senders count nothing else as taken.
    """
    node: Node = request.app.state.node
    connector = node.connectors.get(name)
    if connector is None:
        raise NotFoundException(f"there is no connection {name!r}: connections are made in the configuration")
    headers = {key.lower(): value for key, value in request.headers.items()}
    sending = None
    if not hasattr(connector, "verify"):
        await granted(request, request.route_handler)
        sending = node.sending(principal_of(request))
        _refuse(sending.wrong_source(Operation.SEND_EVENTS, source_of(name)))
    node.refuse_if_overloaded()
    body = await request.body()
    if not body:
        raise ClientException("the body is empty")
    if body_holds_card_number(body):
        _log.error("delivery_refused", connection=name, reason="it holds a payment card's number")
        return respond(problem(422, "card number", DETAIL))
    if hasattr(connector, "verify"):
        try:
            delivery: Delivery = connector.verify(headers, body)
        except AuthenticationError as error:
            _log.warning("delivery_refused", connection=name, reason=str(error))
            raise NotAuthorizedException(str(error)) from error
    else:
        delivery = Delivery(
            body=body,
            topic=request.headers.get("x-topic", "")[:200],
            headers={"content-type": request.headers.get("content-type", "")[:200]},
        )
        try:
            wrong = await asyncio.to_thread(_read_to_end, connector, delivery, name, sending)
        except MalformedError as error:
            return respond(problem(422, "malformed", str(error), pointer=error.place))
        _refuse(wrong)
    status = "accepted" if await _store(node, name, delivery) else "duplicate"
    receipt = Receipt(status=status, connection=name)
    code = 202 if status == "accepted" and not hasattr(connector, "verify") else 200
    return Response(msgspec.json.encode(receipt), status_code=code, media_type=MediaType.JSON)


def _refuse(wrong: Wrong | None) -> None:
    """Raises ``PermissionDeniedException`` for what is outside every grant."""
    if wrong is not None:
        raise PermissionDeniedException(wrong.detail)


def _read_to_end(connector: InboundConnector, delivery: Delivery, name: str, sending: Sending | None) -> Wrong | None:
    """Raises ``MalformedError`` for what cannot be read; returns what first is outside every grant of its sender: who
    may send for a store only may not have others' sales in what is delivered.
    """
    for record in connector.read(body_source(delivery.body, delivery.topic, delivery.headers)):
        if sending is not None:
            wrong = _outside(record, source_of(name), sending)
            if wrong is not None:
                return Wrong(wrong.pointer, f"{record.place}: {wrong.detail}")
    return None


def _outside(record: Record, source: str, sending: Sending) -> Wrong | None:
    for event in record.events:
        wrong = sending.wrong_message(source, event.type, event.data)
        if wrong is not None:
            return wrong
    for trouble in record.troubles:
        if trouble.store is not None:
            return sending.wrong_place(Operation.SEND_EVENTS, source, trouble.store)
    return None


async def _store(node: Node, name: str, delivery: Delivery) -> bool:
    if not node.ready:
        raise TransientError("the database is away", retry_after_s=1)
    try:
        async with node.pool.connection() as connection:
            cursor = await connection.execute(foreign.RECEIVE, foreign.receive_parameters(name, [delivery]))
            new = await cursor.fetchone() is not None
    except (psycopg.OperationalError, PoolTimeout) as error:
        raise TransientError("the database is away; nothing of this request is stored", retry_after_s=1) from error
    passing("foreign.after_receive")
    return new


class ConnectionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One connection, with the messages it has had."""

    name: str
    connector: str
    roles: tuple[str, ...]
    inbox: str
    messages: int = 0
    waiting: int = 0
    failed: int = 0
    last_received_at: str | None = None
    last_error: str = ""


@get(
    "/connections",
    summary="The connections there are",
    tags=["connections"],
    sync_to_thread=True,
    opt=needs(Operation.READ_CONNECTORS),
)
def connections(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Every configured connection: its connector, messages received, waiting and failed, and its last error. What comes
    by a connection is of any store: who may see some stores only sees none of them.
    """
    from tillwire.connectors.registry import spec_of

    node: Node = request.app.state.node
    principal = principal_of(request)
    with node.reading() as connection:
        figures = {row[0]: row[1:] for row in foreign.figures(connection)}
    found = []
    for one in node.settings.connections:
        if not principal.reads_source(Operation.READ_CONNECTORS, source_of(one.name)):
            continue
        messages, waiting, failed, last, error = figures.get(one.name, (0, 0, 0, None, ""))
        found.append(
            ConnectionStatus(
                name=one.name,
                connector=one.connector,
                roles=spec_of(one.connector).roles,
                inbox=one.inbox,
                messages=messages,
                waiting=waiting,
                failed=failed,
                last_received_at=last.isoformat() if last else None,
                last_error=error,
            )
        )
    return Response(msgspec.json.encode(found), media_type=MediaType.JSON)
