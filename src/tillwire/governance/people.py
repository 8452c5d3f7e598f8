"""People who sign in: what they know, and what they may do. Passwords are argon2id; what a person has beside it is a
time-based code (RFC 6238), whose secret is sealed, and recovery codes that are good once.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import argon2
import msgspec
import psycopg
import pyotp

from tillwire import clock
from tillwire.database import sql
from tillwire.errors import TillwireError
from tillwire.governance import audit
from tillwire.governance.access import Grant, Principal, role_named
from tillwire.governance.sealing import Sealer

_sql = sql.load("tillwire.governance", "people.sql")
_hasher = argon2.PasswordHasher()

LEAST_PASSWORD = 12
MOST_PASSWORD = 256
MOST_NAME = 64
RECOVERY_CODES = 10
STEP_S = 30


class RoleGrant(msgspec.Struct, frozen=True, kw_only=True):
    """A role within stores and companies, by patterns of their numbers with * and ?."""

    role: str
    stores: tuple[str, ...] = ("*",)
    companies: tuple[str, ...] = ("*",)
    by_groups: bool = False
    """By their groups at the company's sign-in, and as these were told last; nobody here gives or takes it."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may sign in."""

    name: str
    display: str
    made_at: datetime
    disabled_at: datetime | None
    has_totp: bool
    recovery_codes: int
    """How many are left."""
    must_change: bool
    """Whether the password is to be changed at the next sign-in."""
    grants: tuple[RoleGrant, ...]
    seen_at: datetime | None
    has_password: bool
    """Who signs in by the company's sign-in alone has none."""
    identities: tuple[str, ...]
    """Who they are at the company's sign-in: issuer and subject."""


def principal_of(name: str, grants: Iterable[RoleGrant]) -> Principal:
    """What somebody may do, by their roles. A role that there is no more is nothing."""
    made = [
        Grant(operations=operations, stores=one.stores, companies=one.companies)
        for one in grants
        if (operations := _operations(one.role))
    ]
    return Principal(name=name, kind="person", grants=tuple(made))


def _operations(role: str) -> frozenset[Any]:
    try:
        return role_named(role)
    except TillwireError:
        return frozenset()


def checked_password(password: str, name: str) -> str:
    """A password that is good enough. Raises ``TillwireError`` that says what is wrong with it."""
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise TillwireError(f"a password has {LEAST_PASSWORD} to {MOST_PASSWORD} characters")
    if name.casefold() in password.casefold() or len(set(password)) < 5:
        raise TillwireError("a password is not the name, and not a few characters over and over")
    return password


def checked_name(name: str) -> str:
    """A name that somebody can have. Raises ``TillwireError``."""
    sound = unicodedata.normalize("NFKC", name) == name and name.isprintable() and name == name.strip()
    if not name or len(name) > MOST_NAME or not sound or "/" in name:
        raise TillwireError(f"{name!r} is no name: up to {MOST_NAME} printable characters without / and blanks around")
    return name


def typed_name(text: str) -> str:
    """A name as somebody has typed it, as it could be kept."""
    return unicodedata.normalize("NFKC", text).strip()[:MOST_NAME]


def new_password() -> str:
    """A password that nobody has thought of: 100 random bits."""
    letters = base64.b32encode(secrets.token_bytes(13)).decode().lower()[:20]
    return "-".join(letters[at : at + 5] for at in range(0, 20, 5))


def add(
    connection: psycopg.Connection,
    name: str,
    password: str | None,
    grants: Sequence[RoleGrant],
    *,
    by: Principal | str,
    display: str = "",
    must_change: bool = True,
) -> None:
    """Make somebody known; without a password for who signs in by the company's sign-in alone. Raises ``TillwireError``
    for a name, a password or a role that cannot be.
    """
    checked_name(name)
    for one in grants:
        role_named(one.role)
    told = {
        "name": name,
        "display": display or name,
        "password": None if password is None else _hasher.hash(checked_password(password, name)),
        "must_change": must_change and password is not None,
    }
    with connection.transaction():
        if connection.execute(_sql.add, told).fetchone() is None:
            raise TillwireError(f"there is somebody {name!r} already")
        for one in grants:
            connection.execute(_sql.grant, msgspec.to_builtins(one) | {"name": name, **_lists(one)})
        audit.note(connection, by, "add person", name, {"grants": msgspec.to_builtins(list(grants))})


def _lists(one: RoleGrant) -> dict[str, Any]:
    return {"stores": list(one.stores), "companies": list(one.companies)}


def listed(connection: psycopg.Connection, name: str | None = None) -> list[Person]:
    """Everybody, or one."""
    return [
        Person(
            name=row[0],
            display=row[1],
            made_at=row[2],
            disabled_at=row[3],
            has_totp=row[4],
            recovery_codes=row[5],
            must_change=row[6],
            grants=tuple(msgspec.convert(one, RoleGrant) for one in row[7]),
            seen_at=row[8],
            has_password=row[9],
            identities=tuple(row[10]),
        )
        for row in connection.execute(_sql.people, {"name": name})
    ]


def known(connection: psycopg.Connection, name: str) -> tuple[Any, ...]:
    """Somebody's row, locked until the transaction ends. Raises ``TillwireError`` if there is nobody of the name."""
    row = connection.execute(_sql.lock, (name,)).fetchone()
    if row is None:
        raise TillwireError(f"there is nobody {name!r}")
    return row


def grant(connection: psycopg.Connection, name: str, given: RoleGrant, *, by: Principal | str) -> None:
    """Give somebody a role. Raises ``TillwireError``."""
    role_named(given.role)
    with connection.transaction():
        known(connection, name)
        connection.execute(_sql.grant, {"name": name, "role": given.role, **_lists(given)})
        audit.note(connection, by, "grant role", name, msgspec.to_builtins(given))


def revoke(connection: psycopg.Connection, name: str, role: str, *, by: Principal | str) -> None:
    """Take a role from somebody, wherever they have it. Raises ``TillwireError`` if they have it nowhere."""
    with connection.transaction():
        known(connection, name)
        if not connection.execute(_sql.drop_grant, {"name": name, "role": role}).rowcount:
            raise TillwireError(f"{name} has been given no role {role!r} here (what groups give, groups take)")
        audit.note(connection, by, "revoke role", name, {"role": role})


def disable(connection: psycopg.Connection, name: str, *, by: Principal | str, disabled: bool = True) -> None:
    """Let somebody sign in no more (or again); who is signed in is no more. Raises ``TillwireError``."""
    with connection.transaction():
        if connection.execute(_sql.disable, {"name": name, "disabled": disabled}).fetchone() is None:
            raise TillwireError(f"there is nobody {name!r}")
        end_sessions(connection, name)
        audit.note(connection, by, "disable person" if disabled else "enable person", name)


def end_sessions(connection: psycopg.Connection, name: str) -> None:
    """Sign somebody out, wherever they are signed in."""
    connection.execute(_sql.end_sessions, {"name": name, "but": None})


def set_password(
    connection: psycopg.Connection,
    name: str,
    password: str,
    *,
    by: Principal | str,
    must_change: bool = False,
    but: bytes | None = None,
) -> None:
    """Give somebody another password; all their sessions end, ``but`` one. Raises ``TillwireError``."""
    hashed = _hasher.hash(checked_password(password, name))
    with connection.transaction():
        known(connection, name)
        connection.execute(_sql.set_password, {"name": name, "password": hashed, "must_change": must_change})
        connection.execute(_sql.end_sessions, {"name": name, "but": but})
        audit.note(connection, by, "change password", name)


def reset_totp(connection: psycopg.Connection, name: str, *, by: Principal | str) -> None:
    """Take somebody's codes away, who has lost them: they enrol anew. Raises ``TillwireError``."""
    with connection.transaction():
        known(connection, name)
        connection.execute(_sql.set_totp, {"name": name, "totp": None, "step": 0, "recovery": []})
        end_sessions(connection, name)
        audit.note(connection, by, "reset codes", name)


def password_is(hashed: str | None, password: str) -> bool:
    """Whether it is the password. The same work is done for who is not known (``hashed`` none)."""
    try:
        return _hasher.verify(hashed or _nobody(), password[: MOST_PASSWORD + 1]) and hashed is not None
    except argon2.exceptions.VerificationError:
        return False


@cache
def _nobody() -> str:
    """What an unknown person's password is checked against: it takes as long as a known one's."""
    return _hasher.hash(secrets.token_urlsafe())


def strengthen(connection: psycopg.Connection, name: str, hashed: str, password: str) -> None:
    """Hash a password anew that was hashed when less was asked of hashes."""
    if _hasher.check_needs_rehash(hashed):
        connection.execute(_sql.strengthen, {"name": name, "was": hashed, "password": _hasher.hash(password)})


def enrol(connection: psycopg.Connection, name: str, secret: str, code: str, sealer: Sealer) -> list[str]:
    """Take a secret whose code was shown; returns recovery codes, which are kept nowhere. Raises ``TillwireError``."""
    step = _step_of(secret, code, 0)
    if step is None:
        raise TillwireError("this is not the code that the secret shows now")
    codes = _new_codes()
    told = {"name": name, "totp": sealer.seal(secret, name), "step": step, "recovery": [_digest(one) for one in codes]}
    with connection.transaction():
        connection.execute(_sql.set_totp, told)
        audit.note(connection, name, "enrol codes", name, kind="person")
    return codes


def _new_codes() -> list[str]:
    """Of 80 random bits each: as many as make a digest that can be computed fast hard to turn back."""
    letters = [base64.b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES)]
    return ["-".join(one[at : at + 4] for at in range(0, 16, 4)) for one in letters]


def renew_codes(connection: psycopg.Connection, name: str) -> list[str]:
    """Other recovery codes in the place of those that are left; they are kept nowhere."""
    codes = _new_codes()
    with connection.transaction():
        connection.execute(_sql.set_recovery, {"name": name, "recovery": [_digest(one) for one in codes]})
        audit.note(connection, name, "renew recovery codes", name, kind="person")
    return codes


def code_is(connection: psycopg.Connection, name: str, code: str, sealer: Sealer) -> bool:
    """Whether it is a code that somebody has: the one of now (or of the step before or after), never used before; or a
    recovery code, which is used up by it.
    """
    cleaned = code.strip().replace(" ", "").lower()
    with connection.transaction():
        _, totp, last, *_ = known(connection, name)
        if totp is None:
            return False
        step = _step_of(sealer.open(bytes(totp), name), cleaned, last)
        if step is not None:
            return connection.execute(_sql.use_step, {"name": name, "step": step}).fetchone() is not None
        used = connection.execute(_sql.use_recovery, {"name": name, "digest": _digest(cleaned)}).fetchone()
        return used is not None


def _step_of(secret: str, code: str, last: int) -> int | None:
    """The step whose code it is, if it is later than the last one that was used."""
    now = int(clock.now().timestamp()) // STEP_S
    otp = pyotp.TOTP(secret)
    good = [step for step in (now - 1, now, now + 1) if secrets.compare_digest(otp.generate_otp(step), code)]
    return max((step for step in good if step > last), default=None)


def new_secret() -> str:
    """A secret for an authenticator (base 32)."""
    return pyotp.random_base32()


def address_of(secret: str, name: str, issuer: str) -> str:
    """What a QR code says to an authenticator."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
