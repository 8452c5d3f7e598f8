"""Who is signed in, by the cookie of a session. A look at the database is good for a second, in every API process."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from psycopg import OperationalError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tillwire import clock
from tillwire.config import Access, is_loopback
from tillwire.errors import TransientError
from tillwire.governance.sessions import SESSION, Session, digest_of, session_of
from tillwire.http.outer import host_of

GOOD_S = 1.0
MOST_KEPT = 10_000
COOKIE = "tillwire"
SECURE_COOKIE = "__Host-tillwire"
"""Over https: a browser takes it from this host alone, for all of its paths, and sends it over https only."""


class SignedIn:
    """The sessions that one process has looked up."""

    def __init__(self, pool: AsyncConnectionPool, settings: Access) -> None:
        self._pool = pool
        self._settings = settings
        self._kept: dict[bytes, tuple[float, bool, Session | None]] = {}

    async def session(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Session | None:
        """The session whose cookie was sent. Raises ``TransientError`` while the database is away."""
        token = connection.cookies.get(name_of(connection), "")
        if not token or len(token) > 100:
            return None
        digest, done = digest_of(token), does_something(connection)
        kept = self._kept.get(digest)
        if kept is not None and clock.monotonic_s() < kept[0] and done <= kept[1]:
            return kept[2]
        try:
            async with self._pool.connection() as database:
                parameters = {"digest": digest, "idle_s": self._settings.idle_minutes * 60, "done": done}
                row = await (await database.execute(SESSION.encode(), parameters)).fetchone()
        except (OperationalError, PoolTimeout, OSError) as error:
            raise TransientError("the database is away; who is signed in cannot be told", retry_after_s=1) from error
        found = None if row is None else session_of(digest, row)
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[digest] = (clock.monotonic_s() + GOOD_S, done, found)
        return found

    def forget(self, digest: bytes) -> None:
        """A session has changed by this process's own doing: look again."""
        self._kept.pop(digest, None)


def does_something(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether somebody asks for this, and not a page of theirs that follows what happens while nobody is there."""
    return connection.url.path != "/live" and "x-live" not in connection.headers


def is_secure(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether browsers reach this hub over https: by itself, or (``http.public_url``) by what stands before it."""
    public: str = connection.app.state.node.settings.http.public_url
    return connection.url.scheme == "https" or public.startswith("https://")


def is_private(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether nobody on the way can read what is sent: it comes over https, or does not leave this machine."""
    return is_secure(connection) or is_loopback(host_of(connection.scope["headers"]))


def name_of(connection: ASGIConnection[Any, Any, Any, Any], suffix: str = "") -> str:
    """The name of a cookie."""
    return (SECURE_COOKIE if is_secure(connection) else COOKIE) + suffix


def cookie(
    connection: ASGIConnection[Any, Any, Any, Any], token: str | None, suffix: str = "", most_s: int | None = None
) -> Cookie:
    """The cookie that opens a session; without a token, the one that takes it away. ``suffix``: one for something else,
    that is kept for ``most_s``.
    """
    return Cookie(
        key=name_of(connection, suffix),
        value=token or "",
        path="/",
        secure=is_secure(connection),
        httponly=True,
        samesite="lax",
        max_age=most_s if token else 0,
    )
