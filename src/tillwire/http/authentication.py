"""API keys: ``Authorization: Bearer tw_…``. Everything under /v1 needs one, unless keys are off (loopback only)."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers.base import BaseRouteHandler

from tillwire.errors import TransientError
from tillwire.governance.clients import digest_of
from tillwire.http.node import Node


def require_key(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard: 401 without a key in force; 503 while the keys could not be read yet."""
    node: Node = connection.app.state.node
    if node.settings.http.api_keys == "off":
        return
    scheme, _space, key = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and digest_of(key.strip()) in node.client_keys:
        return
    if not node.ready and not node.client_keys:
        raise TransientError("the database is away; keys cannot be checked", retry_after_s=1)
    raise NotAuthorizedException(
        "send Authorization: Bearer with a key made by `tillwire client add`", headers={"WWW-Authenticate": "Bearer"}
    )
