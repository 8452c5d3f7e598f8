"""Guards: every route says which operation it needs, and whoever asks must have it; one that says nothing is closed."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers.base import BaseRouteHandler

from tillwire.governance.access import Operation, Principal, Reach
from tillwire.http.node import Node
from tillwire.http.problem import SHOW_A_KEY

NEEDS = "needs"


def needs(operation: Operation) -> dict[str, Any]:
    """What a route's ``opt`` is to have: ``@get(..., opt=needs(Operation.READ_SALES))``."""
    return {NEEDS: operation}


async def caller(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal | None:
    """Who calls: whoever the Authorization header names; none if nobody is known by it."""
    node: Node = connection.app.state.node
    return await node.principal(connection.headers.get("authorization", ""), connection.scope)  # type: ignore[arg-type]


async def granted(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard: 401 for who is not known, 403 for who may not; 503 while that could not be read yet."""
    principal = await caller(connection)
    if principal is None:
        raise NotAuthorizedException(
            SHOW_A_KEY,
            headers={"WWW-Authenticate": "Bearer"},
        )
    operation = handler.opt.get(NEEDS)
    if operation is None or not principal.may(operation):
        raise PermissionDeniedException(f"{principal.name} has no grant for {operation or 'this route'}")
    connection.state.principal = principal


def principal_of(request: Request[Any, Any, Any]) -> Principal:
    """Who is asking; the guard has let them in."""
    found: Principal = request.state.principal
    return found


def reach_of(request: Request[Any, Any, Any], operation: Operation | None = None) -> Reach:
    """The stores that whoever is asking may see in the operation of this route, or in another one."""
    node: Node = request.app.state.node
    return node.reach(principal_of(request), operation or request.route_handler.opt[NEEDS])
