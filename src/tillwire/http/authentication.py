"""API keys: ``Authorization: Bearer tw_…``. Everything under /v1 needs one, unless keys are off (loopback only)."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers.base import BaseRouteHandler

from tillwire.http.node import Node


async def require_key(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard: 401 without a key in force; 503 while the keys could not be read yet."""
    node: Node = connection.app.state.node
    if node.settings.http.api_keys == "off":
        return
    if await node.knows_key(connection.headers.get("authorization", "")):
        return
    raise NotAuthorizedException(
        "send Authorization: Bearer with a key made by `tillwire client add`", headers={"WWW-Authenticate": "Bearer"}
    )
