"""What stands around the whole application: headers that every answer has, and whose addresses a hub without access
control answers to.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from tillwire.config import is_loopback
from tillwire.http.problem import PROBLEM_JSON, encoded, problem

Scope = dict[str, Any]
Receive = Callable[[], Coroutine[Any, Any, dict[str, Any]]]
Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]
Application = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]
Pair = tuple[bytes, bytes]

USUAL: tuple[Pair, ...] = (
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""Of every answer that does not say otherwise of itself: it is data, it is nobody's page, and it is kept nowhere."""

STRICT: Pair = (b"strict-transport-security", b"max-age=31536000")
"""Of a hub that is reached over https: browsers never come over anything else for a year."""


def headers_of(public_url: str) -> tuple[Pair, ...]:
    """What every answer of a hub has that is reached at this address."""
    return (*USUAL, STRICT) if public_url.startswith("https://") else USUAL


class WithHeaders:
    """An application whose answers have the usual headers, each unless the answer has it already."""

    def __init__(self, application: Application, headers: tuple[Pair, ...]) -> None:
        self._application = application
        self._headers = headers

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        async def sending(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = list(message["headers"])
                names = {name.lower() for name, _ in given}
                message["headers"] = given + [pair for pair in self._headers if pair[0] not in names]
            await send(message)

        await self._application(scope, receive, sending)


class OwnMachine:
    """A hub without access control, which answers to names of its own machine alone: a page whose name leads to this
    machine (DNS rebinding) would else be let in by the browser of whoever looks at it.
    """

    def __init__(self, application: Application, also: str) -> None:
        """``also``: a further name, of what stands before it."""
        self._application = application
        self._also = also

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] == "http" and not self._is_ours(host_of(scope["headers"])):
            detail = "this hub asks for no key, so it answers at 127.0.0.1 and localhost only"
            body = encoded(problem(421, "misdirected request", detail))
            headers = [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", str(len(body)).encode()), *USUAL]
            await send({"type": "http.response.start", "status": 421, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await self._application(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        return host in ("", self._also) or is_loopback(host)


def host_of(headers: Iterable[Pair]) -> str:
    """The name that a request was sent to, without a port; empty if it names none."""
    found = next((value for name, value in headers if name == b"host"), b"").decode("latin-1").strip().lower()
    if found.startswith("["):
        return found[1:].partition("]")[0]
    return found.partition(":")[0]
