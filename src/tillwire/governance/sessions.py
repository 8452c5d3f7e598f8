"""Signing in: from a name and a password, or from what a company's sign-in tells, over a code, to a session.

A session's token is made anew at each step, so that one that was there before signing in is good for nothing after it.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
import psycopg

from tillwire import clock
from tillwire.config import Access
from tillwire.database import sql
from tillwire.errors import TillwireError
from tillwire.governance import audit, identities, lockout, people
from tillwire.governance.access import Principal
from tillwire.governance.identities import Identity
from tillwire.governance.people import RoleGrant
from tillwire.governance.sealing import Sealer

_sql = sql.load("tillwire.governance", "sessions.sql")

SESSION = _sql.session
Stage = Literal["totp", "enrol", "password", "full"]
ON_THE_WAY = timedelta(minutes=15)
"""How long somebody may take to sign in, or to take another authenticator."""


class NotLetIn(TillwireError):
    """Somebody is who they are, and has no business here; the message is for them."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is signed in, or on the way to it."""

    digest: bytes
    principal: Principal
    display: str
    stage: Stage
    csrf: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody is signed in."""

    digest: str
    """In hexadecimal digits."""
    made_at: datetime
    seen_at: datetime
    address: str
    agent: str
    """The browser, as it calls itself."""


class From(msgspec.Struct, frozen=True):
    """From where somebody asks."""

    address: str
    agent: str = ""


def digest_of(token: str) -> bytes:
    """What is kept of a session's token, which has 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def session_of(digest: bytes, row: tuple[Any, ...]) -> Session:
    """A session from a row of ``SESSION``. Until it is full, its person may do nothing."""
    name, display, stage, csrf, grants = row
    given = [msgspec.convert(one, RoleGrant) for one in grants] if stage == "full" else []
    return Session(digest=digest, principal=people.principal_of(name, given), display=display, stage=stage, csrf=csrf)


def sign_in(connection: psycopg.Connection, settings: Access, name: str, password: str, *, where: From) -> str | None:
    """A session's token for who knows the password; none for who does not, or is not known: the two are alike.

    Raises ``LockedOut``.
    """
    typed = people.typed_name(name)
    subjects = lockout.subjects_of(typed, where.address)
    lockout.attempt(connection, settings, subjects)
    row = connection.execute(_sql.who, (typed,)).fetchone()
    known, hashed, has_totp, must_change, disabled, roles = row or ("", None, False, False, False, ())
    good = people.password_is(hashed, password)
    with connection.transaction():
        if not good or disabled:
            told = known or "(somebody unknown)"  # not what was typed: it may be a password
            audit.note(connection, told, "sign-in failed", f"address {where.address}", kind="person")
            return None
        people.strengthen(connection, known, hashed, password)
        _sweep(connection, settings)
        stage: Stage = "totp" if has_totp else _stage(settings, must_change, has_totp=False, roles=roles)
        lockout.succeeded(connection, subjects, wholly=stage != "totp")
        token = _open(connection, settings, known, stage, where)
        audit.note(connection, known, "sign in", f"address {where.address}", kind="person")
        return token


def sign_in_as(connection: psycopg.Connection, settings: Access, identity: Identity, *, where: From) -> str:
    """A session's token for whom a provider vouches. Raises ``NotLetIn`` for who has no business here."""
    with connection.transaction():
        name, why = identities.take(connection, settings.oidc, identity)
        told = {"issuer": identity.issuer, "subject": identity.subject}
        act = "sign-in refused" if why else "sign in"
        if not why:
            _sweep(connection, settings)
            (person,) = people.listed(connection, name)
            roles = {one.role for one in person.grants}
            vouched = settings.oidc.second_factor == "provider" or (
                settings.oidc.second_factor == "told" and identity.strong
            )
            if vouched:
                stage: Stage = "full"
            else:
                stage = "totp" if person.has_totp else _stage(settings, False, has_totp=False, roles=roles)
            token = _open(connection, settings, name, stage, where)
        audit.note(connection, name or identity.subject, act, f"address {where.address}", told, kind="person")
    if why:
        raise NotLetIn(why)
    return token


def _stage(settings: Access, must_change: bool, *, has_totp: bool, roles: Any) -> Stage:
    """What comes next for who has shown all that they have."""
    if must_change:
        return "password"
    return "enrol" if not has_totp and set(roles) & set(settings.totp_roles) else "full"


def prove(
    connection: psycopg.Connection, settings: Access, session: Session, code: str, sealer: Sealer, *, where: From
) -> str | None:
    """The next session's token for who has shown a code; none for a wrong or a used one. Raises ``LockedOut``."""
    name = session.principal.name
    subjects = lockout.subjects_of(name, where.address)
    lockout.attempt(connection, settings, subjects)
    with connection.transaction():
        if not people.code_is(connection, name, code, sealer):
            audit.note(connection, name, "code failed", f"address {where.address}", kind="person")
            return None
        lockout.succeeded(connection, subjects)
        (person,) = people.listed(connection, name)
        stage = _stage(settings, person.must_change, has_totp=True, roles=())
        return _next(connection, settings, session, stage, where)


def step_on(connection: psycopg.Connection, settings: Access, session: Session, *, where: From) -> str:
    """The next session's token for who has enrolled codes, or changed their password."""
    (person,) = people.listed(connection, session.principal.name)
    roles = {one.role for one in person.grants}
    stage = _stage(settings, person.must_change, has_totp=person.has_totp, roles=roles)
    with connection.transaction():
        return _next(connection, settings, session, stage, where)


def _next(connection: psycopg.Connection, settings: Access, session: Session, stage: Stage, where: From) -> str:
    """Another session in the place of one, which ends. Raises ``NotLetIn`` if it has ended already."""
    if connection.execute(_sql.end_session, (session.digest,)).fetchone() is None:
        raise NotLetIn("You have been signed out.")
    return _open(connection, settings, session.principal.name, stage, where)


def refuse_unconfirmed(
    connection: psycopg.Connection,
    settings: Access,
    session: Session,
    password: str,
    code: str | None,
    sealer: Sealer | None,
    *,
    where: From,
) -> None:
    """Raises ``TillwireError`` unless whoever is signed in shows their password once more and, where ``code`` is one, a
    code of their authenticator, as far as they have them. Raises ``LockedOut``.
    """
    name = session.principal.name
    (person,) = people.listed(connection, name)
    subjects = lockout.subjects_of(name, where.address)
    lockout.attempt(connection, settings, subjects)
    hashed = (connection.execute(_sql.who, (name,)).fetchone() or (None, None))[1]
    good = not person.has_password or people.password_is(hashed, password)
    with connection.transaction():
        if good and code is not None and person.has_totp and sealer is not None:
            good = people.code_is(connection, name, code, sealer)
        if good:
            lockout.succeeded(connection, subjects)
        else:
            audit.note(connection, session.principal, "confirmation failed", f"address {where.address}")
    if not good:
        raise TillwireError("That is not your password of now, or not the code of now.")


def sign_out(connection: psycopg.Connection, digest: bytes) -> None:
    """End a session."""
    with connection.transaction():
        row = connection.execute(_sql.end_session, (digest,)).fetchone()
        if row is not None:
            audit.note(connection, row[0], "sign out", kind="person")


def end(
    connection: psycopg.Connection, name: str, *, by: Principal | str, only: bytes | None, but: bytes | None
) -> int:
    """End one session of somebody, or all of them ``but`` one; how many have ended."""
    with connection.transaction():
        ended = connection.execute(_sql.end_of_person, {"name": name, "only": only, "but": but}).rowcount
        if ended:
            audit.note(connection, by, "end sessions", name, {"sessions": ended})
        return ended


def begin_enrolling(connection: psycopg.Connection, session: Session, sealer: Sealer) -> str:
    """The secret that is being enrolled in this session; the same until it is."""
    secret = enrolling(connection, session, sealer)
    if secret is None:
        secret = people.new_secret()
        until = int((clock.now() + ON_THE_WAY).timestamp())
        sealed = sealer.seal(f"{secret} {until}", session.principal.name)
        connection.execute(_sql.set_pending, {"digest": session.digest, "pending": sealed})
    return secret


def enrolling(connection: psycopg.Connection, session: Session, sealer: Sealer) -> str | None:
    """The secret that is being enrolled in this session, if one is."""
    row = connection.execute(_sql.pending, (session.digest,)).fetchone()
    if row is None or row[0] is None:
        return None
    secret, _, until = sealer.open(bytes(row[0]), session.principal.name).partition(" ")
    return secret if until.isdigit() and clock.now().timestamp() < int(until) else None


def of_person(connection: psycopg.Connection, settings: Access, name: str) -> list[Place]:
    """Where somebody is signed in, the last seen first."""
    told = {"name": name, "idle_s": settings.idle_minutes * 60}
    return [
        Place(digest=row[0], made_at=row[1], seen_at=row[2], address=row[3], agent=row[4])
        for row in connection.execute(_sql.of_person, told)
    ]


def use_once(connection: psycopg.Connection, digest: bytes, ends_at: datetime) -> bool:
    """Whether what has this digest is used for the first time; told anew until it has ended by itself."""
    return connection.execute(_sql.use, {"digest": digest, "ends_at": ends_at}).fetchone() is not None


def _sweep(connection: psycopg.Connection, settings: Access) -> None:
    connection.execute(_sql.sweep, {"idle_s": settings.idle_minutes * 60})
    connection.execute(_sql.sweep_used)
    lockout.sweep(connection)


def _open(connection: psycopg.Connection, settings: Access, name: str, stage: Stage, where: From) -> str:
    token = secrets.token_urlsafe(32)
    lasts = timedelta(hours=settings.session_hours) if stage == "full" else ON_THE_WAY
    connection.execute(
        _sql.open_session,
        {
            "digest": digest_of(token),
            "name": name,
            "stage": stage,
            "csrf": secrets.token_urlsafe(32),
            "ends_at": clock.now() + lasts,
            "address": where.address[:100],
            "agent": where.agent[:200],
        },
    )
    return token
