"""ID tokens (OpenID Connect Core 1.0, 2 and 3.1.3.7): whose signature counts, and what they must say.

How a token may be signed is set here and not told by it; keys are the provider's published ones alone, each for
signatures of its own kind, so that a public key is never taken for a shared secret.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

from tillwire import clock
from tillwire.config import Oidc
from tillwire.errors import TillwireError, TransientError

_log = structlog.get_logger(__name__)

KEYS_GOOD_S = 3600.0
KEYS_KEPT_S = 86_400.0
"""Keys that could not be asked for anew are kept for so long."""
LOOK_AGAIN_S = 10.0
"""A key that is not known has the provider asked, but not again for so long if nothing has changed there."""
SKEW_S = 60
"""The provider's clock and ours may differ by so much."""
MOST_TOKEN = 64 * 1024
LEAST_RSA_BITS = 2048

_KINDS: Mapping[str, type] = {"RS": RSAKey, "PS": RSAKey, "ES": ECKey, "Ed": OKPKey}


class TokenRefused(TillwireError):
    """A token proves nothing; the message says why, for the log."""


class KeySource:
    """A provider's published keys (JWK Set), asked for anew as they grow old, or when a token names one that is not
    known: providers change them without a word.
    """

    def __init__(self, fetch: Callable[[], bytes]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._told = b""
        self._keys: list[Key] = []
        self._unchanged_s = float("-inf")
        self._had_s = float("-inf")

    def fitting(self, algorithm: str, key_id: str | None) -> Key:
        """The key of a signature. Raises ``TokenRefused`` if there is none or it cannot be told which, and
        ``TransientError`` while the provider is away.
        """
        with self._lock:
            if clock.monotonic_s() - self._had_s > KEYS_GOOD_S:
                self._look()
            found = self._fitting(algorithm, key_id)
            if not found and clock.monotonic_s() - self._unchanged_s > LOOK_AGAIN_S:
                self._look()
                found = self._fitting(algorithm, key_id)
        if len(found) != 1:
            raise TokenRefused(f"{len(found)} of the provider's keys fit {algorithm} and key {key_id!r}")
        return found[0]

    def _fitting(self, algorithm: str, key_id: str | None) -> list[Key]:
        return [
            key
            for key in self._keys
            if isinstance(key, _KINDS[algorithm[:2]])
            and (key_id is None or key.kid == key_id)
            and key.get("use", "sig") == "sig"
            and key.get("alg", algorithm) == algorithm
            and "verify" in (key.get("key_ops") or ["verify"])
        ]

    def _look(self) -> None:
        now_s = clock.monotonic_s()
        try:
            told = self._fetch()
        except TransientError as error:
            if now_s - self._had_s > KEYS_KEPT_S:
                raise
            _log.warning("sign_in_keys_kept", error=str(error))
            self._unchanged_s = now_s
            return
        if told == self._told:
            self._unchanged_s = now_s
        else:
            self._told, self._keys = told, _keys_of(told)
        self._had_s = now_s


def _keys_of(told: bytes) -> list[Key]:
    """Keys that signatures can be checked with; of other kinds there may be any."""
    try:
        listed = json.loads(told)["keys"]
    except (ValueError, KeyError, TypeError) as error:
        raise TokenRefused("the provider's keys are no JWK Set") from error
    found: list[Key] = []
    for one in listed if isinstance(listed, list) else []:
        try:
            (key,) = KeySet.import_key_set({"keys": [one]}).keys
        except (JoseError, ValueError, KeyError, TypeError) as error:
            _log.warning("sign_in_key_unread", error=str(error))
            continue
        if isinstance(key, RSAKey) and key.public_key.key_size < LEAST_RSA_BITS:
            _log.warning("sign_in_key_too_short", key=key.kid)
            continue
        found.append(key)
    return found


def read(token: str, keys: KeySource, settings: Oidc, *, nonce: str, access: str | None) -> dict[str, Any]:
    """What a sound ID token says: signed by the provider, for us, for this attempt, and of now. ``access``: the access
    token that came with it.

    Raises ``TokenRefused``, and ``TransientError`` while keys cannot be had.
    """
    if len(token) > MOST_TOKEN:
        raise TokenRefused("it is too long")
    try:
        header = jws.extract_compact(token.encode()).headers()
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in settings.algorithms or "crit" in header:
            raise TokenRefused(f"it is signed by {algorithm!r:.40}, which is not among access.oidc.algorithms")
        if key_id is not None and not isinstance(key_id, str):
            raise TokenRefused("its key is no text")
        registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        decoded = jwt.decode(token, keys.fitting(algorithm, key_id), registry=registry)
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options={
                "iss": {"essential": True, "value": settings.issuer},
                "aud": {"essential": True, "value": settings.client_id},
                "sub": {"essential": True},
                "nonce": {"essential": True, "value": nonce},
            },
            params={"nonce": nonce, "client_id": settings.client_id, "access_token": access},
        )
        claims.validate(now=int(clock.now().timestamp()), leeway=SKEW_S)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise TokenRefused(f"{type(error).__name__}: {error}") from error
    if len(claims["sub"]) > 255:
        raise TokenRefused("its subject is too long")
    return dict(claims)
