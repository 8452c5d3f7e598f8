"""Who calls: API clients by a key of theirs or by an access token, from an address of their networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import structlog

from tillwire import clock
from tillwire.governance import networks
from tillwire.governance.access import Grant, Operation, Principal
from tillwire.governance.keys import KeyRing, Known
from tillwire.governance.networks import Address, Network
from tillwire.governance.tokens import Claims, Tokens

_log = structlog.get_logger(__name__)

MOST_TOKENS = 10_000
"""Tokens that are remembered as sound: checking a signature costs more than a look-up."""

TELL_AGAIN_S = 60.0
"""How often the log says of one client that it calls from another network."""

Scope = dict[str, Any]


class Callers:
    """The keys in force, the tokens given for them, and where requests come from."""

    def __init__(self, tokens: Tokens | None, trusted: Sequence[Network]) -> None:
        self.ring = KeyRing()
        self.tokens = tokens
        self._trusted = trusted
        self._told_s: dict[str, float] = {}
        self._sound: dict[str, Claims] = {}
        self._narrowed: dict[tuple[int, frozenset[Operation]], Principal] = {}

    def refresh(self, rows: Sequence[Any]) -> bool:
        """Take the rows of ``KEYS_IN_FORCE``; whether anything has changed."""
        changed = self.ring.refresh(rows)
        if changed:
            self._narrowed = {}
        return changed

    def address(self, scope: Scope) -> Address | None:
        """From where a request comes; none if nobody can tell."""
        peer = scope.get("client")
        if not peer:
            return None
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return networks.caller(str(peer[0]), forwarded, self._trusted)

    def is_local(self, scope: Scope) -> bool:
        """Whether a program on this machine calls, and no proxy for somebody else."""
        passed_on = any(name in (b"x-forwarded-for", b"forwarded", b"x-real-ip") for name, _ in scope["headers"])
        address = self.address(scope)
        return not passed_on and address is not None and address.is_loopback

    def may_be_new(self, secret: str) -> bool:
        """Whether a key, or the key that a sound token was given for, is not known, and may have been made just now."""
        if "." not in secret:
            return self.ring.of_key(secret) is None
        claims = self._read(secret)
        return claims is not None and self.ring.of_id(claims.key_id) is None

    def principal(self, secret: str, scope: Scope) -> Principal | None:
        """Who calls with a key or a token; none for who has none in force, or calls from another network."""
        found = self._found(secret)
        if found is None:
            return None
        known, operations = found
        if not self.may_be_used(known, scope):
            return None
        return known.principal if operations is None else self._narrow(known, operations)

    def may_be_used(self, known: Known, scope: Scope) -> bool:
        """Whether a key has not expired, and the request comes from one of its client's networks."""
        if known.expired:
            return False
        if known.networks:
            address = self.address(scope)
            if not networks.within(address, known.networks):
                self._tell(known.principal.name, address)
                return False
        return True

    def _tell(self, client: str, address: Address | None) -> None:
        """Log where a key was used that may not be used there: not for every request of somebody who goes on trying."""
        now_s = clock.monotonic_s()
        if now_s >= self._told_s.get(client, -math.inf) + TELL_AGAIN_S:
            self._told_s[client] = now_s
            _log.warning("client_from_another_network", client=client, address=str(address))

    def _found(self, secret: str) -> tuple[Known, frozenset[Operation] | None] | None:
        """The key, and for a token also what it is narrowed to."""
        if "." not in secret:  # no key has one, every token has two
            known = self.ring.of_key(secret)
            return None if known is None else (known, None)
        claims = self._read(secret)
        if claims is None or clock.now().timestamp() >= claims.expires_s:
            return None
        known = self.ring.of_id(claims.key_id)
        if known is None or known.principal.name != claims.client:
            return None
        return known, claims.operations

    def _read(self, token: str) -> Claims | None:
        claims = self._sound.get(token)
        if claims is None and self.tokens is not None:
            claims = self.tokens.read(token)
            if claims is not None:
                if len(self._sound) >= MOST_TOKENS:
                    self._sound.clear()
                self._sound[token] = claims
        return claims

    def _narrow(self, known: Known, operations: frozenset[Operation]) -> Principal:
        """The client with no more than a token's operations: of its grants as they are now."""
        key = (known.key_id, operations)
        found = self._narrowed.get(key)
        if found is None:
            grants = [narrowed(grant, operations) for grant in known.principal.grants]
            principal = known.principal
            found = Principal(name=principal.name, kind=principal.kind, grants=tuple(g for g in grants if g.operations))
            self._narrowed[key] = found
        return found


def narrowed(grant: Grant, operations: frozenset[Operation]) -> Grant:
    """A grant with no more than some operations."""
    return Grant(
        operations=grant.operations & operations,
        stores=grant.stores,
        companies=grant.companies,
        sources=grant.sources,
    )
