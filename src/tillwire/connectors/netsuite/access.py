"""OAuth 2.0 client credentials of NetSuite: a client assertion, signed with a certificate's key, for a token."""

from __future__ import annotations

import jwt

from tillwire import clock
from tillwire.connectors.erp_http import ErpHttp
from tillwire.connectors.erp_token import ask_for_token
from tillwire.connectors.netsuite.settings import NetSuiteSettings
from tillwire.errors import ConfigurationError

TOKEN_PATH = "/services/rest/auth/oauth2/v1/token"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPE = "rest_webservices"

_ASSERTION_S = 300
"""How long an assertion holds; NetSuite allows less than an hour."""


def new_token(http: ErpHttp, settings: NetSuiteSettings) -> tuple[str, float]:
    """A token, and how long it lasts, in seconds. Raises ``AuthenticationError`` if NetSuite gives none,
    ``TransientError`` if it does not answer, ``ConfigurationError`` for a key that cannot sign."""
    form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": _assertion(settings)}
    hint = (
        f"; NetSuite was asked for client {settings.client_id!r} with certificate {settings.certificate_id!r}: check "
        "the certificate's mapping and whether it has expired"
    )
    return ask_for_token(http, TOKEN_PATH, form, hint=hint)


def _assertion(settings: NetSuiteSettings) -> str:
    issued = int(clock.now().timestamp())
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
