"""OAuth 2.0 client credentials of NetSuite: a client assertion, signed with a certificate's key, for a token."""

from __future__ import annotations

from urllib.parse import urlencode

import jwt

from tillwire import clock
from tillwire.connectors.erp_http import ErpHttp
from tillwire.connectors.netsuite.settings import NetSuiteSettings
from tillwire.errors import AuthenticationError, ConfigurationError

TOKEN_PATH = "/services/rest/auth/oauth2/v1/token"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPE = "rest_webservices"

_ASSERTION_S = 300
"""How long an assertion holds; NetSuite allows less than an hour."""
_EARLY_S = 60.0
"""So long before it runs out (an hour after it was given) a token is used no more."""


class TokenKeeper:
    """Has a token at hand, and asks for another when it runs out or NetSuite refuses it."""

    def __init__(self, settings: NetSuiteSettings) -> None:
        self._settings = settings
        self._token = ""
        self._until_s = 0.0

    def forget(self) -> None:
        """Ask anew next time."""
        self._token = ""

    def headers(self, http: ErpHttp) -> dict[str, str]:
        """The header that proves who we are. Raises ``AuthenticationError`` if NetSuite gives no token,
        ``TransientError`` if it does not answer, ``ConfigurationError`` for a key that cannot sign."""
        if not self._token or clock.monotonic_s() >= self._until_s:
            self._fetch(http)
        return {"Authorization": f"Bearer {self._token}"}

    def _fetch(self, http: ErpHttp) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._assertion(),
        }
        asked_s = clock.monotonic_s()
        reply = http.plain(
            "POST",
            TOKEN_PATH,
            content=urlencode(form).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
        )
        if reply.status != 200:
            raise AuthenticationError(
                f"NetSuite gives no token for client {self._settings.client_id!r} with certificate "
                f"{self._settings.certificate_id!r}: {reply.status} {reply.text()[:300]}; check the certificate's "
                "mapping and whether it has expired"
            )
        given = reply.json()
        if not isinstance(given, dict) or not isinstance(given.get("access_token"), str):
            raise reply.unreadable("no access_token")
        self._token = given["access_token"]
        lasts = str(given.get("expires_in", "3600"))
        self._until_s = asked_s + (float(lasts) if lasts.isdigit() else 3600.0) - _EARLY_S

    def _assertion(self) -> str:
        settings, issued = self._settings, int(clock.now().timestamp())
        claims = {
            "iss": settings.client_id,
            "scope": [SCOPE],
            "aud": settings.base_url + TOKEN_PATH,
            "iat": issued,
            "exp": issued + _ASSERTION_S,
        }
        try:
            return jwt.encode(
                claims, settings.private_key, algorithm=settings.algorithm, headers={"kid": settings.certificate_id}
            )
        except (jwt.PyJWTError, ValueError, TypeError) as cause:
            # The cause may quote the key.
            raise ConfigurationError(
                f"private_key cannot sign with {settings.algorithm}: {type(cause).__name__}; it must be a PEM of an "
                "RSA key for PS…, of an elliptic curve's for ES…"
            ) from None
