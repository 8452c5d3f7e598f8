"""API clients and their keys. A key is shown once, when it is made; the database holds its digest only."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

import psycopg

from tillwire.database import sql
from tillwire.errors import TillwireError

_sql = sql.load("tillwire.governance", "governance.sql")

KEYS_IN_FORCE = _sql.keys_in_force
COMPANIES_OF_STORES = _sql.companies_of_stores


def digest_of(key: str) -> bytes:
    """What is kept of a key. Keys have 256 random bits, so a plain SHA-256 is as good as a slow hash."""
    return hashlib.sha256(key.encode()).digest()


def add_client(connection: psycopg.Connection, name: str) -> str:
    """Make a client; returns its key. Raises ``TillwireError`` if the name is blank or in force already."""
    if not name.strip() or not name.isprintable():
        raise TillwireError(f"{name!r} is no name for a client")
    key = "tw_" + secrets.token_urlsafe(32)
    if connection.execute(_sql.add_client, (name, digest_of(key))).fetchone() is None:
        raise TillwireError(f"there is a client {name!r} in force: revoke it first, or take another name")
    return key


def revoke_client(connection: psycopg.Connection, name: str) -> None:
    """Take a client's key out of force. Raises ``TillwireError`` if there is none in force."""
    if connection.execute(_sql.revoke_client, (name,)).fetchone() is None:
        raise TillwireError(f"there is no client {name!r} in force")


def clients(connection: psycopg.Connection) -> list[tuple[str, datetime, datetime | None]]:
    """Name, when made, when revoked."""
    return connection.execute(_sql.clients).fetchall()
