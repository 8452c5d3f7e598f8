"""Signing in: from a name and a password, over a code, to a session; and how long those wait who fail.

A session's token is made anew at each step, so that one that was there before signing in is good for nothing after it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

import msgspec
import psycopg

from tillwire import clock
from tillwire.config import Access
from tillwire.database import sql
from tillwire.errors import TillwireError
from tillwire.governance import audit, people
from tillwire.governance.access import Principal
from tillwire.governance.people import RoleGrant
from tillwire.governance.sealing import Sealer

_sql = sql.load("tillwire.governance", "people.sql")

SESSION = _sql.session
Stage = Literal["totp", "enrol", "password", "full"]
FREE_FAILURES = 5
"""So many failures are answered at once; each further one doubles the wait."""
FREE_OF_ADDRESS = 50
"""The same for an address, behind which there may be a whole office."""
MOST_WAIT_S = 900


class LockedOut(TillwireError):
    """Too many failures: nothing is looked at until the wait is over."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many attempts have failed: try again in {wait_s} s")
        self.wait_s = wait_s


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is signed in, or on the way to it."""

    digest: bytes
    principal: Principal
    display: str
    stage: Stage
    csrf: str
    pending: bytes | None


def digest_of(token: str) -> bytes:
    """What is kept of a session's token, which has 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def session_of(digest: bytes, row: tuple[Any, ...]) -> Session:
    """A session from a row of ``SESSION``. Until it is full, its person may do nothing."""
    name, display, stage, csrf, pending, grants = row
    given = [msgspec.convert(one, RoleGrant) for one in grants] if stage == "full" else []
    return Session(
        digest=digest,
        principal=people.principal_of(name, given),
        display=display,
        stage=stage,
        csrf=csrf,
        pending=None if pending is None else bytes(pending),
    )


def sign_in(
    connection: psycopg.Connection, settings: Access, name: str, password: str, *, address: str, agent: str
) -> str | None:
    """A session's token for who knows the password; none for who does not, or is not known: the two are alike.

    Raises ``LockedOut``.
    """
    subjects = [f"person {name[:64]}", f"address {address}"]
    _refuse_locked(connection, subjects)
    with connection.transaction():
        row = connection.execute(_sql.who, (name[:64],)).fetchone()
        good = people.password_is(row[0] if row else None, password) and row is not None and not row[3]
        if not good or row is None:
            connection.execute(_sql.failed, {"subjects": subjects})
            audit.note(connection, name[:64], "sign-in failed", f"address {address}", kind="person")
            return None
        connection.execute(_sql.sweep, {"idle_s": settings.idle_minutes * 60})
        token = _open(connection, settings, name, _stage_after_password(settings, row), address, agent)
        if row[1] is None:
            connection.execute(_sql.forgiven, (subjects,))
        audit.note(connection, name, "sign in", f"address {address}", kind="person")
        return token


def _stage_after_password(settings: Access, row: tuple[Any, ...]) -> Stage:
    _, totp, must_change, _, roles = row
    if totp is not None:
        return "totp"
    if must_change:
        return "password"
    return "enrol" if set(roles) & set(settings.totp_roles) else "full"


def _stage_after_code(must_change: bool) -> Stage:
    return "password" if must_change else "full"


def prove(
    connection: psycopg.Connection,
    settings: Access,
    session: Session,
    code: str,
    sealer: Sealer,
    *,
    address: str,
    agent: str,
) -> str | None:
    """The next session's token for who has shown a code; none for a wrong or a used one. Raises ``LockedOut``."""
    name = session.principal.name
    subjects = [f"person {name}", f"address {address}"]
    _refuse_locked(connection, subjects)
    with connection.transaction():
        if not people.code_is(connection, name, code, sealer):
            connection.execute(_sql.failed, {"subjects": subjects})
            audit.note(connection, name, "code failed", f"address {address}", kind="person")
            return None
        (person,) = people.listed(connection, name)
        connection.execute(_sql.end_session, (session.digest,))
        connection.execute(_sql.forgiven, (subjects,))
        return _open(connection, settings, name, _stage_after_code(person.must_change), address, agent)


def step_on(connection: psycopg.Connection, settings: Access, session: Session, *, address: str, agent: str) -> str:
    """The next session's token for who has enrolled codes, or changed the password as was asked for."""
    (person,) = people.listed(connection, session.principal.name)
    if person.must_change:
        stage: Stage = "password"
    elif not person.has_totp and {one.role for one in person.grants} & set(settings.totp_roles):
        stage = "enrol"
    else:
        stage = "full"
    with connection.transaction():
        connection.execute(_sql.end_session, (session.digest,))
        return _open(connection, settings, person.name, stage, address, agent)


def knows_password(connection: psycopg.Connection, name: str, password: str, *, address: str) -> bool:
    """Whether somebody who is signed in knows their own password. Raises ``LockedOut``."""
    subjects = [f"person {name}", f"address {address}"]
    _refuse_locked(connection, subjects)
    row = connection.execute(_sql.who, (name,)).fetchone()
    if row is not None and people.password_is(row[0], password):
        return True
    connection.execute(_sql.failed, {"subjects": subjects})
    return False


def sign_out(connection: psycopg.Connection, digest: bytes) -> None:
    """End a session."""
    with connection.transaction():
        row = connection.execute(_sql.end_session, (digest,)).fetchone()
        if row is not None:
            audit.note(connection, row[0], "sign out", kind="person")


def begin_enrolling(connection: psycopg.Connection, session: Session, sealer: Sealer) -> str:
    """The secret that is being enrolled in this session; the same until it is."""
    if session.pending is not None:
        return sealer.open(session.pending, session.principal.name)
    secret = people.new_secret()
    sealed = sealer.seal(secret, session.principal.name)
    connection.execute(_sql.set_pending, {"digest": session.digest, "pending": sealed})
    return secret


def of_person(connection: psycopg.Connection, name: str) -> list[tuple[Any, ...]]:
    """Where somebody is signed in: digest in hexadecimal digits, since when, last seen, address, browser."""
    return connection.execute(_sql.sessions, (name,)).fetchall()


def _open(connection: psycopg.Connection, settings: Access, name: str, stage: Stage, address: str, agent: str) -> str:
    token = secrets.token_urlsafe(32)
    connection.execute(
        _sql.open_session,
        {
            "digest": digest_of(token),
            "name": name,
            "stage": stage,
            "csrf": secrets.token_urlsafe(32),
            "ends_at": clock.now() + timedelta(minutes=settings.session_hours * 60 if stage == "full" else 15),
            "address": address[:100],
            "agent": agent[:200],
        },
    )
    return token


def _refuse_locked(connection: psycopg.Connection, subjects: Sequence[str]) -> None:
    for subject, failures, last in connection.execute(_sql.failures, (list(subjects),)):
        free = FREE_FAILURES if subject.startswith("person ") else FREE_OF_ADDRESS
        if failures >= free:
            wait_s = min(MOST_WAIT_S, 2 ** min(failures - free, 20))
            left_s = wait_s - (clock.now() - last).total_seconds()
            if left_s > 0:
                raise LockedOut(max(1, round(left_s)))
