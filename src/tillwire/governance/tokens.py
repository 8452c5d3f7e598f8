"""Access tokens of API clients: short-lived JWTs (RFC 9068 in form), signed by a key that all API processes share.

There is one algorithm, whatever a token says of itself, and a header that says anything but that algorithm and the type
is refused: no key is fetched, chosen or taken from a token. A token names the client's key that it was given for, and
is good only as long as that key is, so it dies with the client.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import jwt
import msgspec

from tillwire import clock
from tillwire.errors import ConfigurationError, TillwireError
from tillwire.governance.access import Operation, operations_of

ALGORITHM = "HS256"
TYPE = "at+jwt"
AUDIENCE = "tillwire"
LEAST_KEY = 32
"""Characters that a signing key has at least."""

_HEADER = {"alg": ALGORITHM, "typ": TYPE}
_REQUIRED = ["iss", "aud", "sub", "client_id", "key", "scope", "iat", "exp", "jti"]


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a sound token says."""

    client: str
    key_id: int
    operations: frozenset[Operation]
    expires_s: float
    """Seconds since 1970."""


class Tokens:
    """Gives tokens and reads them. ``issuer`` is this hub; ``life_s``: how long a token is good."""

    def __init__(self, key: str, *, issuer: str, life_s: int) -> None:
        if len(key) < LEAST_KEY:
            raise ConfigurationError(f"clients.token_key needs {LEAST_KEY} characters at least, chosen at random")
        self._key = key.encode()
        self.issuer = issuer
        self.life_s = life_s

    def give(self, client: str, key_id: int, operations: Iterable[Operation]) -> str:
        """A token for a client that has shown this key."""
        now = int(clock.now().timestamp())
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": client,
            "client_id": client,
            "key": key_id,
            "scope": " ".join(sorted(operations)),
            "iat": now,
            "exp": now + self.life_s,
            "jti": secrets.token_urlsafe(12),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"typ": TYPE})

    def read(self, token: str) -> Claims | None:
        """What a token says; none unless it is ours, whole, for us, and neither expired nor of a time to come."""
        try:
            decoded = jwt.decode_complete(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self.issuer,
                # Times are looked at below, by the hub's clock.
                options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except jwt.InvalidTokenError:
            return None
        if decoded["header"] != _HEADER:
            return None
        try:
            told = msgspec.convert(decoded["payload"], _Payload)
            operations = operations_of(told.scope.split())
        except (msgspec.ValidationError, TillwireError):
            return None
        now = clock.now().timestamp()
        if told.sub != told.client_id or now >= told.exp or told.iat > now + _SKEW_S:
            return None
        return Claims(client=told.sub, key_id=told.key, operations=operations, expires_s=told.exp)


_SKEW_S = 60
"""API processes on several machines: their clocks may differ by so much."""


class _Payload(msgspec.Struct, frozen=True):
    sub: str
    client_id: str
    key: int
    scope: str
    iat: int
    exp: int
