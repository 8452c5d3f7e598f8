"""Guards: every route says which operation it needs, and whoever asks must have it; one that says nothing is closed."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit

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
    """Who calls: whoever the Authorization header names, or without one whoever is signed in; none if nobody is known.

    Raises ``PermissionDeniedException`` for what a page of another site sends in somebody's name.
    """
    node: Node = connection.app.state.node
    if node.settings.http.api_keys == "off":
        refuse_other_sites(connection)
    elif "authorization" not in connection.headers:
        node.refuse_unread_keys()
        session = await node.signed_in.session(connection)
        connection.state.session = session
        if session is None or session.stage != "full":
            return None
        refuse_other_sites(connection)
        return session.principal
    return await node.principal(connection.headers.get("authorization", ""), connection.scope)  # type: ignore[arg-type]


def same(one: str, other: str) -> bool:
    """Whether two texts are the same, in a time that tells nothing of where they differ."""
    return secrets.compare_digest(one.encode(), other.encode())


def refuse_other_sites(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Raises ``PermissionDeniedException`` for what a page of another site sends in the name of whoever looks at it: a
    browser says where a request comes from.
    """
    if connection.scope.get("method") in ("GET", "HEAD", "OPTIONS"):
        return
    site, origin = connection.headers.get("sec-fetch-site", ""), connection.headers.get("origin", "")
    if site not in ("", "same-origin", "none") or (origin and not _is_own(connection, origin)):
        raise PermissionDeniedException("this was sent by a page of another site")


def _is_own(connection: ASGIConnection[Any, Any, Any, Any], origin: str) -> bool:
    """Whether an origin is this hub: as it was asked for, or as it is reached from outside (``http.public_url``)."""
    public = urlsplit(connection.app.state.node.settings.http.public_url)
    return origin.partition("://")[2] == connection.headers.get("host", "") or (
        bool(public.netloc) and origin == f"{public.scheme}://{public.netloc}"
    )


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
    session = getattr(connection.state, "session", None)
    if (
        session is not None
        and connection.scope.get("method") not in ("GET", "HEAD")
        and not same(connection.headers.get("x-csrf-token", ""), session.csrf)
    ):
        raise PermissionDeniedException("send the session's token as X-CSRF-Token, or use an API key")
    connection.state.principal = principal


def principal_of(request: Request[Any, Any, Any]) -> Principal:
    """Who is asking; the guard has let them in."""
    found: Principal = request.state.principal
    return found


def reach_of(request: Request[Any, Any, Any], operation: Operation | None = None) -> Reach:
    """The stores that whoever is asking may see in the operation of this route, or in another one."""
    node: Node = request.app.state.node
    return node.reach(principal_of(request), operation or request.route_handler.opt[NEEDS])
