"""The keys in force as an API process knows them: in memory, by their digests.

A key is looked up by its SHA-256, never compared with another: how long that takes depends on the digest, whose bits
nobody can choose who does not know the key, so it tells nothing of any key. A slow hash would add nothing, because keys
have 256 random bits and cannot be guessed from their digests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from tillwire import clock
from tillwire.governance.access import Grant, Operation, Principal
from tillwire.governance.networks import Network, networks_of

_OPERATIONS = {operation.value: operation for operation in Operation}


def digest_of(key: str) -> bytes:
    """What is kept of a key. Keys have 256 random bits, so a plain SHA-256 is as good as a slow hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """One key in force."""

    key_id: int
    principal: Principal
    expires_at: datetime | None
    """The key's own end or its client's, whichever comes first."""
    networks: tuple[Network, ...]
    """From where it may be used; none: from anywhere."""

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and clock.now() >= self.expires_at


class KeyRing:
    """Every key that was not revoked."""

    def __init__(self) -> None:
        self._rows: Sequence[Any] = ()
        self._by_digest: dict[bytes, Known] = {}
        self._by_id: dict[int, Known] = {}

    def __len__(self) -> int:
        return len(self._by_digest)

    def refresh(self, rows: Sequence[Any]) -> bool:
        """Take the rows of ``KEYS_IN_FORCE``; whether anything has changed since the last time."""
        if rows == self._rows:
            return False
        self._by_digest = {bytes(row[0]): _known(*row[1:]) for row in rows}
        self._by_id = {known.key_id: known for known in self._by_digest.values()}
        self._rows = rows
        return True

    def of_key(self, key: str) -> Known | None:
        """The key, if it is known; whether it has expired and from where it may be used is the caller's to look at."""
        return self._by_digest.get(digest_of(key))

    def of_id(self, key_id: int) -> Known | None:
        """The same by its number."""
        return self._by_id.get(key_id)


def _known(
    key_id: int,
    key_ends: datetime | None,
    name: str,
    client_ends: datetime | None,
    networks: list[str],
    grants: list[dict[str, list[str]]] | None,
) -> Known:
    ends = [end for end in (key_ends, client_ends) if end is not None]
    return Known(
        key_id=key_id,
        principal=Principal(name=name, kind="client", grants=grants_of(grants or ())),
        expires_at=min(ends, default=None),
        networks=networks_of(networks),
    )


def grants_of(rows: Sequence[dict[str, list[str]]]) -> tuple[Grant, ...]:
    """Grants as they are stored. An operation that this release does not know is none that it could allow."""
    return tuple(
        Grant(
            operations=frozenset(_OPERATIONS[name] for name in row["operations"] if name in _OPERATIONS),
            stores=tuple(row["stores"]),
            companies=tuple(row["companies"]),
            sources=tuple(row["sources"]),
        )
        for row in rows
    )
