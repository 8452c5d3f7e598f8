"""Problem details for HTTP APIs (RFC 9457), with a JSON pointer to the field where there is one."""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.status_codes import HTTP_500_INTERNAL_SERVER_ERROR

from tillwire.errors import TransientError

PROBLEM_JSON = "application/problem+json"

SHOW_A_KEY = "send Authorization: Bearer with a key made by `tillwire client add`, or a token given for one"
"""What whoever is not known is told."""

_log = structlog.get_logger(__name__)


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One problem. ``type`` identifies its kind, ``detail`` says what to do about this occurrence."""

    type: str
    title: str
    status: int
    detail: str = ""
    instance: str | None = None
    pointer: str | None = None
    id: str | None = None
    """Of the event that it is about; ``key`` likewise."""
    key: str | None = None


def problem(
    status: int, title: str, detail: str, *, pointer: str | None = None, instance: str | None = None
) -> Problem:
    """A problem whose type is made from its title."""
    kind = "urn:tillwire:problem:" + title.lower().replace(" ", "-")
    return Problem(type=kind, title=title, status=status, detail=detail, pointer=pointer, instance=instance)


def encoded(content: Problem) -> bytes:
    """The problem as it is sent."""
    return msgspec.json.encode(content)


def respond(content: Problem, headers: dict[str, str] | None = None) -> Response[bytes]:
    """The problem as a response."""
    return Response(encoded(content), status_code=content.status, media_type=PROBLEM_JSON, headers=headers)


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Litestar's own refusals (404, 405, 413, bad parameters) in the same form."""
    detail = error.detail or ""
    if isinstance(error.extra, list) and error.extra:
        detail += ": " + "; ".join(str(item.get("message", item)) for item in error.extra if isinstance(item, dict))
    title = type(error).__name__.removesuffix("Exception")
    title = "".join(" " + c.lower() if c.isupper() else c for c in title).strip()
    return respond(problem(error.status_code, title or "error", detail), headers=dict(error.headers or {}))


def unavailable(detail: str, retry_after_s: float | None) -> Response[bytes]:
    """503 with ``Retry-After`` in whole seconds."""
    return respond(problem(503, "unavailable", detail), {"Retry-After": str(max(1, round(retry_after_s or 1)))})


def on_transient(request: Request[Any, Any, Any], error: TransientError) -> Response[bytes]:
    """What can be tried again later."""
    return unavailable(str(error), error.retry_after_s)


def on_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A fault of ours: logged in full, told without its inside."""
    _log.error("request_failed", path=request.url.path, exc_info=error)
    return respond(problem(HTTP_500_INTERNAL_SERVER_ERROR, "internal error", "the hub failed; its log says why"))
