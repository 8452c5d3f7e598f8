"""Posting over HTTP: what waits for the ERPs, and what ERPs that post later call back with.

A callback shows no API key: its connector proves that it comes from the ERP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import structlog
from litestar import MediaType, Request, Response, get, post
from litestar.exceptions import ClientException, NotAuthorizedException, NotFoundException
from litestar.params import Parameter

from tillwire import bootstrap
from tillwire.connectors.erp import PostingOutcome
from tillwire.errors import AuthenticationError, RejectedError
from tillwire.faultpoints import passing
from tillwire.governance.access import Operation
from tillwire.http.access import needs, reach_of
from tillwire.http.node import Node
from tillwire.posting.backlog import backlog
from tillwire.posting.outcomes import Recorder

_log = structlog.get_logger(__name__)

ErpName = Annotated[str, Parameter(max_length=40, pattern="^[a-z][a-z0-9-]*$")]


class CallbackReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a callback: how many outcomes it told, and how many journals got another state by it."""

    outcomes: int
    changed: int


@get(
    "/posting/backlog",
    summary="What waits for the ERPs",
    tags=["posting"],
    sync_to_thread=True,
    opt=needs(Operation.READ_LEDGER),
)
def waiting(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Per ERP: breaker, reason, pause, calls left, counts and amounts by state, oldest business date, age, stores."""
    node: Node = request.app.state.node
    with node.reading() as connection:
        found = backlog(connection, bootstrap.erps(node.settings), reach=reach_of(request))
    return Response(msgspec.json.encode(found), media_type=MediaType.JSON)


@post("/v1/erps/{name:str}/callback", status_code=200, summary="An ERP tells outcomes", tags=["posting"])
async def called_back(request: Request[Any, Any, Any], name: ErpName) -> Response[bytes]:
    """Record what an ERP says of documents that it had accepted. In any order, any number of times: 200 when it is on
    disk.
    """
    node: Node = request.app.state.node
    connector = node.callbacks.get(name)
    if connector is None:
        raise NotFoundException(f"there is no ERP {name!r} that calls back")
    body = await request.body()
    headers = {key.lower(): value for key, value in request.headers.items()}
    try:
        outcomes = connector.called_back(headers, body)
    except AuthenticationError as error:
        _log.warning("callback_refused", erp=name, reason=str(error))
        raise NotAuthorizedException(str(error)) from error
    except RejectedError as error:
        raise ClientException(str(error)) from error
    changed = await asyncio.to_thread(_record, node, name, outcomes)
    passing("posting.after_callback")
    receipt = CallbackReceipt(outcomes=len(outcomes), changed=changed)
    return Response(msgspec.json.encode(receipt), media_type=MediaType.JSON)


def _record(node: Node, name: str, outcomes: Sequence[PostingOutcome]) -> int:
    policy = bootstrap.erp_named(node.settings, name)
    with node.reading() as connection:
        recorder = Recorder(connection, policy, closed_period=node.settings.posting.closed_period)
        return recorder.record(outcomes, wait_s=policy.retry_first_s)
