"""Who is signed in, by the cookie of a session. A look at the database is good for a second, in every API process."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from psycopg import OperationalError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tillwire import clock
from tillwire.config import Access
from tillwire.errors import TransientError
from tillwire.governance.sessions import SESSION, Session, digest_of, session_of

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
        self._kept: dict[bytes, tuple[float, Session | None]] = {}

    async def session(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Session | None:
        """The session whose cookie was sent. Raises ``TransientError`` while the database is away."""
        token = connection.cookies.get(SECURE_COOKIE if is_secure(connection) else COOKIE, "")
        if not token or len(token) > 100:
            return None
        digest = digest_of(token)
        kept = self._kept.get(digest)
        if kept is not None and clock.monotonic_s() < kept[0]:
            return kept[1]
        try:
            async with self._pool.connection() as database:
                parameters = {"digest": digest, "idle_s": self._settings.idle_minutes * 60}
                row = await (await database.execute(SESSION.encode(), parameters)).fetchone()
        except (OperationalError, PoolTimeout, OSError) as error:
            raise TransientError("the database is away; who is signed in cannot be told", retry_after_s=1) from error
        found = None if row is None else session_of(digest, row)
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[digest] = (clock.monotonic_s() + GOOD_S, found)
        return found

    def forget(self, digest: bytes) -> None:
        """A session has changed by this process's own doing: look again."""
        self._kept.pop(digest, None)


def is_secure(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether browsers reach this hub over https: by itself, or (``http.public_url``) by what stands before it."""
    public: str = connection.app.state.node.settings.http.public_url
    return connection.url.scheme == "https" or public.startswith("https://")


def cookie(connection: ASGIConnection[Any, Any, Any, Any], token: str | None) -> Cookie:
    """The cookie that opens a session; without a token, the one that takes it away."""
    secure = is_secure(connection)
    return Cookie(
        key=SECURE_COOKIE if secure else COOKIE,
        value=token or "",
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
        max_age=None if token else 0,
    )
