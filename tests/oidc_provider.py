"""A simulated OpenID Connect provider, by the public contract: OpenID Connect Core 1.0 and Discovery 1.0, RFC 6749, RFC 7636,
RFC 9207. It refuses what those have refused, and lies to order.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

CLIENT = "tillwire-hub"
SECRET = "a secret: of + the client"

Claims = dict[str, Any]


def encoded(content: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def forged(header: Claims, claims: Claims, key: bytes = b"") -> str:
    """A token as an attacker makes it: unsigned, or by a shared secret."""
    text = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    signature = hmac.digest(key, text.encode(), "sha256") if key else b""
    return f"{text}.{encoded(signature)}"


@dataclass
class Given:
    """A code that was given, and for what."""

    claims: Claims
    redirect_uri: str
    challenge: str
    nonce: str | None


@dataclass
class Provider:
    """What the provider holds, and the lies that it is to tell."""

    url: str = ""
    user: Claims = field(default_factory=dict)
    """The claims of whoever is signed in at the provider."""
    keys: list[Key] = field(default_factory=list)
    """The last one signs."""
    codes: dict[str, Given] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Paths, as they were asked for."""
    metadata: Claims = field(default_factory=dict)
    """What it says of itself otherwise."""
    twist: Callable[[Claims], Claims] | None = None
    """Changes the claims of an ID token."""
    forge: Callable[[Claims], str] | None = None
    """Makes the ID token instead."""
    once: bool = True
    """Whether a code is good once."""
    down: bool = False
    iss: bool = True

    def rotate(self, *, kid: str, algorithm: str = "RS256") -> Key:
        """Another key signs; those before it are withdrawn."""
        parameters = {"kid": kid, "use": "sig", "alg": algorithm}
        made: Key = (
            ECKey.generate_key("P-256", parameters)  # type: ignore[arg-type]
            if algorithm == "ES256"
            else RSAKey.generate_key(2048, parameters)  # type: ignore[arg-type]
        )
        self.keys = [made]
        return made

    def discovery(self) -> Claims:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": self.iss,
        } | self.metadata

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser is sent on to: somebody is signed in here already, and consents."""
        back = asked["redirect_uri"]
        iss = {"iss": self.url} if self.iss else {}
        if (
            asked.get("client_id") != CLIENT
            or asked.get("response_type") != "code"
            or "openid" not in asked.get("scope", "").split()
            or asked.get("code_challenge_method") != "S256"
            or not asked.get("state")
        ):
            return back + "?" + urlencode({"error": "invalid_request", "state": asked.get("state", "")} | iss)
        code = secrets.token_urlsafe(16)
        self.codes[code] = Given(dict(self.user), back, asked["code_challenge"], asked.get("nonce"))
        return back + "?" + urlencode({"code": code, "state": asked["state"]} | iss)

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, Claims]:
        """An answer of the token endpoint."""
        scheme, _, pair = authorization.partition(" ")
        if scheme == "Basic":
            client, _, secret = base64.b64decode(pair).decode().partition(":")
            client, secret = unquote_plus(client), unquote_plus(secret)
        else:
            client, secret = form.get("client_id", ""), form.get("client_secret", "")
        if (client, secret) != (CLIENT, SECRET):
            return 401, {"error": "invalid_client"}
        given = self.codes.get(form.get("code", ""))
        if given is None or form.get("grant_type") != "authorization_code":
            return 400, {"error": "invalid_grant"}
        if self.once:
            del self.codes[form["code"]]
        challenge = encoded(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if form.get("redirect_uri") != given.redirect_uri or challenge != given.challenge:
            return 400, {"error": "invalid_grant"}
        access = secrets.token_urlsafe(16)
        return 200, {"access_token": access, "token_type": "Bearer", "id_token": self.id_token(given, access)}

    def id_token(self, given: Given, access: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "at_hash": encoded(hashlib.sha256(access.encode()).digest()[:16]),
            **({"nonce": given.nonce} if given.nonce else {}),
            **given.claims,
        }
        if self.twist is not None:
            claims = self.twist(claims)
        if self.forge is not None:
            return self.forge(claims)
        key = self.keys[-1]
        algorithm = str(key.get("alg"))
        return jwt.encode({"alg": algorithm, "kid": key.kid}, claims, key, algorithms=[algorithm])


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.provider.asked.append(parts.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if self.provider.down:
            self._answer(503, {})
        elif parts.path == "/.well-known/openid-configuration":
            self._answer(200, self.provider.discovery())
        elif parts.path == "/jwks":
            self._answer(200, {"keys": [key.as_dict(private=False) for key in self.provider.keys]})
        elif parts.path == "/authorize":
            self._answer(302, {}, location=self.provider.authorize(asked))
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        self.provider.asked.append(self.path)
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        if self.provider.down:
            self._answer(503, {})
        else:
            self._answer(*self.provider.token(form, self.headers.get("authorization", "")))

    def _answer(self, status: int, content: Any, location: str = "") -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what was asked is in ``asked``."""


@contextlib.contextmanager
def simulated() -> Iterator[Provider]:
    """A provider on a free port of this machine."""
    provider = Provider()
    handler = type("Handler", (_Handler,), {"provider": provider})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        provider.url = f"http://127.0.0.1:{server.server_port}"
        provider.rotate(kid="first")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
