"""The versions of the rule book that journals were built by: each is kept once, so that a line can always be explained,
and taken back from the accounts that it went to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
import psycopg

from tillwire.config import AccountRule, Posting
from tillwire.database import sql
from tillwire.errors import TillwireError
from tillwire.posting.accounts import AccountBook

_sql = sql.load("tillwire.posting", "rule_books.sql")


class _Content(msgspec.Struct):
    accounts: tuple[AccountRule, ...]
    dimensions: Mapping[str, str]
    suspense_account: str


def version_of(connection: psycopg.Connection, book: AccountBook) -> int:
    """The version of a rule book: the one under which the same content is kept, or a new one."""
    content, digest = _content(book)
    row = connection.execute(_sql.known, (digest,)).fetchone()
    if row is None:
        row = connection.execute(_sql.keep, (digest, content.decode())).fetchone()
    assert row is not None
    return int(row[0])


def known_version(connection: psycopg.Connection, book: AccountBook) -> int | None:
    """The version under which a rule book is kept; none if no journal was built by it yet."""
    row = connection.execute(_sql.known, (_content(book)[1],)).fetchone()
    return None if row is None else int(row[0])


def _content(book: AccountBook) -> tuple[bytes, bytes]:
    """A book as it is kept, and the digest that it is known by."""
    content = msgspec.json.encode(_Content(tuple(book.rules), book.dimensions, book.suspense_account))
    return content, hashlib.sha256(content).digest()


def load(connection: psycopg.Connection, version: int) -> AccountBook:
    """The rule book of a version. Raises ``TillwireError`` if there is none."""
    row = connection.execute(_sql.content, (version,)).fetchone()
    if row is None:
        raise TillwireError(f"there is no version {version} of the rule book: `tillwire ledger show` names a journal's")
    content = msgspec.json.decode(row[0], type=_Content)
    return AccountBook(
        Posting(
            accounts=content.accounts,
            dimensions=dict(content.dimensions),
            suspense_account=content.suspense_account,
        )
    )
