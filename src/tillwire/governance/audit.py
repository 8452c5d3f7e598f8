"""The audit log: who did what to what, and when. Entries are chained by digests, so that a change to any of them shows.

What is noted here must hold no personal data and no secret: the log is never changed, so nothing in it can be erased.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.errors import TillwireError
from tillwire.governance.access import Principal

_sql = sql.load("tillwire.governance", "audit.sql")

NEWEST = 2**62


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done."""

    entry_id: int
    at: datetime
    who: str
    kind: str
    """``person``, ``client``, ``local``, ``command`` (whoever is logged in at the machine), or ``exceptions``: of their
    own audit trail, that has the details."""
    action: str
    subject: str
    details: dict[str, Any]
    digest: str
    """In hexadecimal digits: SHA-256 over the digest before it and this entry."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a chain: note it elsewhere, and it proves later that nothing up to it was changed or taken away."""

    entries: int
    digest: str


def note(
    connection: psycopg.Connection,
    who: Principal | str,
    action: str,
    subject: str = "",
    details: Mapping[str, Any] | None = None,
    *,
    kind: str = "command",
) -> None:
    """Add an entry, in the caller's transaction: it is there if and only if what it tells was done.

    ``kind`` is for those who have no principal. Others that add one wait until the transaction ends: note last.
    """
    name, of = (who, kind) if isinstance(who, str) else (who.name, who.kind)
    parameters = {
        "who": name,
        "kind": of,
        "action": action,
        "subject": subject,
        "details": msgspec.json.encode(details or {}).decode(),
    }
    connection.execute(_sql.note, parameters)


def listed(
    connection: psycopg.Connection,
    *,
    who: str | None = None,
    action: str | None = None,
    subject: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: int = NEWEST,
    most: int = 100,
) -> list[AuditEntry]:
    """Entries, the newest first; page on with the last one's ``entry_id`` as ``before``. ``action``: how it begins."""
    parameters = {
        "who": who,
        "action": action,
        "subject": subject,
        "since": since,
        "until": until,
        "before": before,
        "most": most,
    }
    return [
        AuditEntry(
            entry_id=entry_id,
            at=at,
            who=name,
            kind=kind,
            action=done,
            subject=to,
            details=msgspec.json.decode(details),
            digest=digest,
        )
        for entry_id, at, name, kind, done, to, details, digest in connection.execute(_sql.listed, parameters)
    ]


def verify(connection: psycopg.Connection, expected: Head | None = None) -> Head:
    """Compute the whole chain anew; returns its end.

    Raises ``TillwireError`` that names the first entry that does not fit, or that the chain ends before ``expected`` or
    goes another way there.
    """
    last, digest, seen = 0, b"", None
    with connection.transaction(), connection.cursor(name="audit_chain") as cursor:
        for entry_id, told, text in cursor.execute(_sql.chain):
            if entry_id != last + 1:
                raise TillwireError(f"audit log: after entry {last} comes {entry_id}: entries were taken away")
            digest = hashlib.sha256(digest + text.encode()).digest()
            if digest != bytes(told):
                raise TillwireError(f"audit log: entry {entry_id} is not what was written, or the one before it")
            last = entry_id
            if expected is not None and entry_id == expected.entries:
                seen = digest.hex()
    if expected is not None and expected.entries > 0 and seen != expected.digest:
        told_of = f"ends at {last}" if seen is None else "has another digest there"
        raise TillwireError(
            f"audit log: entry {expected.entries} is expected to end with {expected.digest}; it {told_of}"
        )
    altered = connection.execute(_sql.altered_actions).fetchone()
    if altered is not None:
        raise TillwireError(f"audit log: the action on an exception that entry {altered[0]} tells of was changed")
    return Head(entries=last, digest=digest.hex())
