"""API clients: their grants, keys, networks and end. A key is shown once, when it is made; its digest is kept.

Every change is one transaction, and counts in every API process within a second.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg

from tillwire import clock
from tillwire.database import sql
from tillwire.errors import TillwireError
from tillwire.governance.access import Grant
from tillwire.governance.keys import digest_of, grants_of
from tillwire.governance.networks import networks_of

_sql = sql.load("tillwire.governance", "clients.sql")

KEYS_IN_FORCE = _sql.keys_in_force

MOST_NAME = 64
MOST_GRANTS = 50
MOST_PATTERNS = 200
MOST_PATTERN = 200
MOST_NETWORKS = 200


class NoSuchClient(TillwireError):
    """There is no client of that name in force."""


class Key(msgspec.Struct, frozen=True):
    """A key that was not revoked, without what it is."""

    key_id: int
    made_at: datetime
    expires_at: datetime | None


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """An API client, in force or revoked."""

    name: str
    made_at: datetime
    expires_at: datetime | None
    """After it none of its keys counts."""
    revoked_at: datetime | None
    networks: list[str]
    """From where it may call; none: from anywhere."""
    grants: tuple[Grant, ...]
    keys: list[Key]


def add_client(
    connection: psycopg.Connection,
    name: str,
    grants: Sequence[Grant],
    *,
    networks: Iterable[str] = (),
    expires_at: datetime | None = None,
) -> str:
    """Make a client; returns its key. Raises ``TillwireError`` if the name is none or in force already, if a grant or a
    network is wrong, or if it would have expired already.
    """
    if not name.strip() or not name.isprintable() or "/" in name or len(name) > MOST_NAME:
        raise TillwireError(f"{name!r} is no name for a client: up to {MOST_NAME} printable characters, no /")
    told = {"name": name, "expires_at": _future(expires_at), "networks": _networks(networks)}
    _check(grants)
    with connection.transaction():
        if connection.execute(_sql.add_client, told).fetchone() is None:
            raise TillwireError(f"there is a client {name!r} in force: revoke it first, or take another name")
        connection.execute(_sql.drop_grants, (name,))
        _add_grants(connection, name, grants)
        return _new_key(connection, name, None)


def revoke_client(connection: psycopg.Connection, name: str) -> None:
    """Take a client with all its keys out of force. Raises ``NoSuchClient`` if there is none in force."""
    with connection.transaction():
        if connection.execute(_sql.revoke_client, (name,)).fetchone() is None:
            raise NoSuchClient(f"there is no client {name!r} in force")
        connection.execute(_sql.revoke_keys, (name,))


def rotate(
    connection: psycopg.Connection, name: str, *, keep: timedelta = timedelta(0), expires_at: datetime | None = None
) -> str:
    """Make a further key and return it; the keys before it are good for ``keep`` at the most.

    Raises ``NoSuchClient``, or ``TillwireError`` if the key would have expired already.
    """
    if keep < timedelta(0):
        raise TillwireError("keys cannot be kept for less than no time")
    with connection.transaction():
        _lock(connection, name)
        if keep:
            connection.execute(_sql.expire_keys, {"name": name, "until": clock.now() + keep})
        else:
            connection.execute(_sql.revoke_keys, (name,))
        return _new_key(connection, name, _future(expires_at))


def grant(connection: psycopg.Connection, name: str, grants: Sequence[Grant], *, replace: bool = False) -> None:
    """Give a client further grants, or these in the place of those it has.

    Raises ``NoSuchClient``, or ``TillwireError`` if a grant is wrong.
    """
    _check(grants)
    with connection.transaction():
        _lock(connection, name)
        if replace:
            connection.execute(_sql.drop_grants, (name,))
        _add_grants(connection, name, grants)


def restrict(
    connection: psycopg.Connection,
    name: str,
    *,
    networks: Iterable[str] | None = None,
    expires_at: datetime | None = None,
) -> None:
    """Say from where a client may call (no network: from anywhere) and when it ends; what is none stays as it is.

    Raises ``NoSuchClient``, or ``TillwireError`` if a network is wrong or the end is past.
    """
    told = {
        "name": name,
        "networks": None if networks is None else _networks(networks),
        "expires_at": _future(expires_at),
    }
    with connection.transaction():
        _lock(connection, name)
        connection.execute(_sql.restrict, told)


def clients(connection: psycopg.Connection) -> list[Client]:
    """Every client, the revoked ones, too, by their names."""
    return [_client(row) for row in connection.execute(_sql.clients, {"name": None})]


def client_named(connection: psycopg.Connection, name: str) -> Client:
    """One client. Raises ``NoSuchClient`` if there never was one of that name."""
    row = connection.execute(_sql.clients, {"name": name}).fetchone()
    if row is None:
        raise NoSuchClient(f"there is no client {name!r}")
    return _client(row)


def _client(row: tuple[Any, ...]) -> Client:
    name, made_at, expires_at, revoked_at, networks, grants, keys = row
    return Client(
        name=name,
        made_at=made_at,
        expires_at=expires_at,
        revoked_at=revoked_at,
        networks=networks,
        grants=grants_of(grants),
        keys=msgspec.convert(keys, list[Key]),
    )


def _lock(connection: psycopg.Connection, name: str) -> None:
    if connection.execute(_sql.lock_client, (name,)).fetchone() is None:
        raise NoSuchClient(f"there is no client {name!r} in force")


def _new_key(connection: psycopg.Connection, name: str, expires_at: datetime | None) -> str:
    key = "tw_" + secrets.token_urlsafe(32)
    connection.execute(_sql.add_key, {"name": name, "digest": digest_of(key), "expires_at": expires_at})
    return key


def _add_grants(connection: psycopg.Connection, name: str, grants: Sequence[Grant]) -> None:
    content = [
        {
            "operations": sorted(one.operations),
            "stores": one.stores,
            "companies": one.companies,
            "sources": one.sources,
        }
        for one in grants
    ]
    connection.execute(_sql.add_grants, {"name": name, "grants": msgspec.json.encode(content).decode()})


def _check(grants: Sequence[Grant]) -> None:
    if not grants or len(grants) > MOST_GRANTS:
        raise TillwireError(f"a client needs 1 to {MOST_GRANTS} grants: without one it may do nothing")
    for one in grants:
        if not one.operations:
            raise TillwireError("a grant needs at least one operation")
        for what, patterns in (("stores", one.stores), ("companies", one.companies), ("sources", one.sources)):
            if not patterns or len(patterns) > MOST_PATTERNS:
                raise TillwireError(f"{what} of a grant: 1 to {MOST_PATTERNS} patterns; * is all of them")
            for pattern in patterns:
                if not pattern or len(pattern) > MOST_PATTERN or not pattern.isprintable():
                    raise TillwireError(f"{what}: {pattern!r} is no pattern: 1 to {MOST_PATTERN} printable characters")


def _networks(networks: Iterable[str]) -> list[str]:
    found = [str(network) for network in networks_of(networks)]
    if len(found) > MOST_NETWORKS:
        raise TillwireError(f"{len(found)} networks; the limit is {MOST_NETWORKS}")
    return found


def _future(moment: datetime | None) -> datetime | None:
    if moment is not None and moment <= clock.now():
        raise TillwireError(f"{moment.isoformat()} is past: it would have expired already")
    return moment
