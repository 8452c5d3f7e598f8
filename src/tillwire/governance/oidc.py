"""A company's own sign-in (OpenID Connect Core 1.0): authorization code with PKCE (RFC 7636), state and nonce.

What the hub must know again when somebody comes back is carried by their browser, sealed; state, nonce and PKCE's
verifier are derived from a secret in it, so that none of them is kept here, and each is good in that browser alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import httpx2
import msgspec

from tillwire import clock
from tillwire.config import Oidc, is_loopback
from tillwire.errors import TillwireError, TransientError
from tillwire.governance.id_tokens import KeySource, TokenRefused, read
from tillwire.governance.identities import Identity
from tillwire.governance.sealing import Sealer

GOOD_S = 600
"""How long somebody may take at the provider."""
METADATA_GOOD_S = 3600.0
AWAY_S = 5.0
"""A provider that did not answer is not asked again for so long."""
ASKED_PATIENCE_S = 1.0
MOST_ANSWER = 1024 * 1024
MOST_CODE = 4096
_OF = "an attempt to sign in"
_T = TypeVar("_T")


class SignInRefused(TillwireError):
    """Nobody can be told from what came back; the message is for the log, as it may help whoever tries to get in."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody is on the way to the provider and back."""

    seed: str
    there: str
    """The page that they wanted."""
    made_s: int

    def _derived(self, of: str) -> str:
        digest = hmac.digest(self.seed.encode(), of.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    @property
    def state(self) -> str:
        """What comes back with the code: it was this browser that asked."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """What the ID token has: it was made for this attempt."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """What the code is exchanged with: nobody who has only seen the code can."""
        return self._derived("verifier")

    @property
    def digest(self) -> bytes:
        """What is kept of an attempt that has come back."""
        return hashlib.sha256(self.seed.encode()).digest()

    @property
    def ends_at(self) -> datetime:
        """When it is over."""
        return datetime.fromtimestamp(self.made_s + GOOD_S, UTC)


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of itself (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class _Tokens(msgspec.Struct, frozen=True, kw_only=True):
    id_token: str
    access_token: str | None = None


class _Error(msgspec.Struct, frozen=True, kw_only=True):
    error: str = ""


class Provider:
    """One provider, as one process knows it."""

    def __init__(self, settings: Oidc, *, secret: str, redirect_uri: str, sealer: Sealer) -> None:
        self.settings = settings
        self._secret = secret
        self._redirect_uri = redirect_uri
        self._sealer = sealer
        self._http = httpx2.Client(timeout=httpx2.Timeout(5, connect=3), follow_redirects=False)
        self._lock = threading.Lock()
        self._metadata: tuple[float, Metadata] | None = None
        self._away_until_s = float("-inf")
        self._keys = KeySource(lambda: self._get(self._told().jwks_uri))

    def close(self) -> None:
        """No more calls."""
        self._http.close()

    def begin(self, there: str) -> tuple[str, str]:
        """Where to send a browser that wants to go ``there``, and what it is to carry. Raises ``TransientError``."""
        attempt = Attempt(seed=secrets.token_urlsafe(32), there=there, made_s=int(clock.now().timestamp()))
        challenge = hashlib.sha256(attempt.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        endpoint = self._told().authorization_endpoint
        carried = self._sealer.seal(msgspec.json.encode(attempt).decode(), _OF)
        joined = "&" if urlsplit(endpoint).query else "?"
        return endpoint + joined + urlencode(asked), base64.urlsafe_b64encode(carried).decode()

    def attempt(self, carried: str, answer: Mapping[str, str]) -> Attempt:
        """The attempt that an answer belongs to. Raises ``SignInRefused`` unless this browser has made it, lately."""
        try:
            sealed = base64.urlsafe_b64decode(carried.encode())
            found = msgspec.json.decode(self._sealer.open(sealed, _OF), type=Attempt)
        except (ValueError, TillwireError) as error:
            raise SignInRefused("this browser is on no way to sign in") from error
        if not hmac.compare_digest(found.state.encode(), answer.get("state", "").encode()):
            raise SignInRefused("the answer is to another attempt than this browser's (state)")
        if clock.now() >= found.ends_at:
            raise SignInRefused("the attempt has taken too long")
        return found

    def finish(self, attempt: Attempt, answer: Mapping[str, str]) -> Identity:
        """Who somebody is, by the code that they have come back with. Raises ``SignInRefused``, and ``TransientError``
        while the provider is away.
        """
        told = self._told()
        issuer = answer.get("iss", "")
        if issuer != self.settings.issuer and (issuer or told.authorization_response_iss_parameter_supported):
            raise SignInRefused("the answer is another provider's (iss)")
        if "error" in answer:
            raise SignInRefused(f"the provider refuses: {answer['error'][:100]!r}")
        code = answer.get("code", "")
        if not code or len(code) > MOST_CODE:
            raise SignInRefused("the answer has no code")
        tokens = self._exchange(told, code, attempt.verifier)
        try:
            claims = read(tokens.id_token, self._keys, self.settings, nonce=attempt.nonce, access=tokens.access_token)
        except TokenRefused as error:
            raise SignInRefused(f"the ID token is refused: {error}") from error
        return identity_of(claims, self.settings)

    def _exchange(self, told: Metadata, code: str, verifier: str) -> _Tokens:
        client_id = self.settings.client_id
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"Accept": "application/json"}
        if self._secret and "client_secret_basic" in told.token_endpoint_auth_methods_supported:
            pair = f"{quote(client_id, '')}:{quote(self._secret, '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form |= {"client_id": client_id} | ({"client_secret": self._secret} if self._secret else {})
        answer = self._call("POST", told.token_endpoint, data=form, headers=headers)
        if answer.status_code != 200:
            raise SignInRefused(
                f"{told.token_endpoint} gives no token, {answer.status_code} {_error_of(answer.content)}"
            )
        return _decoded(answer.content, _Tokens, told.token_endpoint)

    def _told(self) -> Metadata:
        """What the provider says of itself; asked anew every hour, and kept while it is away. Whoever comes while it is
        asked, or soon after it was in vain, does not wait for it.
        """
        kept = self._metadata
        if kept is not None and clock.monotonic_s() < kept[0]:
            return kept[1]
        url = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        if clock.monotonic_s() < self._away_until_s or not self._lock.acquire(timeout=ASKED_PATIENCE_S):
            if kept is not None:
                return kept[1]
            raise TransientError(f"{url} was away a moment ago", retry_after_s=AWAY_S)
        try:
            if self._metadata is not kept and self._metadata is not None:  # somebody else has just asked
                return self._metadata[1]
            try:
                told = _decoded(self._get(url), Metadata, url)
            except TransientError:
                self._away_until_s = clock.monotonic_s() + AWAY_S
                if kept is None:
                    raise
                told = kept[1]
            if told.issuer != self.settings.issuer:
                raise SignInRefused(f"{url} is of {told.issuer[:200]!r}: set access.oidc.issuer exactly so")
            for address in (told.authorization_endpoint, told.token_endpoint, told.jwks_uri):
                _refuse_unsafe(address, self.settings.issuer)
            self._metadata = (clock.monotonic_s() + METADATA_GOOD_S, told)
            return told
        finally:
            self._lock.release()

    def _get(self, url: str) -> bytes:
        answer = self._call("GET", url, headers={"Accept": "application/json"})
        if answer.status_code != 200:
            raise TransientError(f"{url} answers {answer.status_code}", retry_after_s=5)
        return answer.content

    def _call(self, method: str, url: str, **given: Any) -> httpx2.Response:
        """One call. Raises ``TransientError`` if there is no answer, and ``SignInRefused`` for one without end."""
        try:
            with self._http.stream(method, url, **given) as answer:
                content = b""
                for piece in answer.iter_bytes():
                    content += piece
                    if len(content) > MOST_ANSWER:
                        raise SignInRefused(f"{url} answers more than {MOST_ANSWER:,} bytes")
        except httpx2.TransportError as error:
            raise TransientError(f"{urlsplit(url).netloc} is away: {error}", retry_after_s=5) from error
        if answer.status_code >= 500:
            raise TransientError(f"{url} answers {answer.status_code}", retry_after_s=5)
        return httpx2.Response(answer.status_code, content=content)


def _decoded(content: bytes, kind: type[_T], url: str) -> _T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SignInRefused(f"{url} answers what is no {kind.__name__.strip('_').lower()}: {error}") from error


def _error_of(content: bytes) -> str:
    """The error's name (RFC 6749, 5.2), and nothing else of an answer, which may repeat a secret."""
    try:
        return repr(msgspec.json.decode(content, type=_Error).error[:100])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "without a reason"


def _refuse_unsafe(address: str, issuer: str) -> None:
    """Raises ``SignInRefused`` for an address of the provider's that is not over https, unless the whole provider is on
    this machine.
    """
    parts, own = urlsplit(address), urlsplit(issuer)
    local = own.scheme == "http" and parts.scheme == "http" and is_loopback(parts.hostname or "")
    if parts.scheme != "https" and not local:
        raise SignInRefused(f"the provider names {address[:200]!r}, which is not over https")


SECOND_FACTORS = frozenset({"mfa", "otp", "hwk"})
"""What an ID token says (RFC 8176) of who has shown more than a password."""


def identity_of(claims: Mapping[str, Any], settings: Oidc) -> Identity:
    """Who a sound ID token is of. Raises ``SignInRefused`` if it lacks the name that was asked for."""
    name, amr = claims.get(settings.name_claim), claims.get("amr")
    if not isinstance(name, str) or not name.strip():
        raise SignInRefused(f"the ID token has no {settings.name_claim!r} to name somebody by (access.oidc.name_claim)")
    display = claims.get("name")
    methods = {one for one in amr if isinstance(one, str)} if isinstance(amr, list) else set()
    return Identity(
        issuer=settings.issuer,
        subject=claims["sub"],
        name=name.strip(),
        display=display.strip() if isinstance(display, str) and display.isprintable() else name.strip(),
        groups=_groups(claims, settings.groups_claim),
        strong=bool(methods & SECOND_FACTORS),
    )


def _groups(claims: Mapping[str, Any], claim: str) -> frozenset[str]:
    found: Any = claims.get(claim)
    if found is None and "." in claim:
        found = claims
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return frozenset({found})
    return frozenset(one for one in found if isinstance(one, str)) if isinstance(found, list) else frozenset()
