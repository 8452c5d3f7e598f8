"""OAuth 2.0 client credentials (RFC 6749, 4.4): an API client's key for an access token that is good for minutes.

The client's name is its ``client_id``, a key of its own its secret; scopes are operations. What a token allows is what
the client is granted when it is used, and no more than its scope.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from litestar import MediaType, Request, Response, get, post
from litestar.exceptions import NotFoundException

from tillwire import bootstrap
from tillwire.errors import TillwireError, TransientError
from tillwire.governance.access import Operation, operations_of
from tillwire.governance.keys import Known
from tillwire.http.node import Node

TOKEN_PATH = "/oauth/token"
METADATA_PATH = "/.well-known/oauth-authorization-server"
FORM = "application/x-www-form-urlencoded"

MOST_BODY = 64 * 1024
_MOST_FIELDS = 20
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access token (RFC 6749, 5.1)."""

    access_token: str
    token_type: str
    expires_in: int
    """Seconds."""
    scope: str
    """Operations, divided by spaces."""


class TokenError(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is none (RFC 6749, 5.2)."""

    error: str
    error_description: str


class _Refused(Exception):
    def __init__(self, error: str, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.error = error
        self.detail = detail
        self.status = status


class _Credentials(NamedTuple):
    client: str
    secret: str
    basic: bool


@post(
    TOKEN_PATH,
    status_code=200,
    summary="An access token",
    tags=["access"],
    request_max_body_size=MOST_BODY,
)
async def token(request: Request[Any, Any, Any]) -> Response[bytes]:
    """A token for a client's key: form fields ``grant_type=client_credentials`` and, to have it allow less than the
    client may, ``scope``. The client's name and key by HTTP Basic or as ``client_id`` and ``client_secret``.
    """
    node: Node = request.app.state.node
    basic = False
    try:
        _refuse_without_tokens(node)
        fields = _fields(request.headers.get("content-type", ""), await request.body())
        credentials = _credentials(request.headers.get("authorization", ""), fields)
        basic = credentials.basic
        known = await _authenticated(node, credentials, request)
        kind = fields.get("grant_type")
        if not kind:
            raise _Refused("invalid_request", "grant_type is missing")
        if kind != "client_credentials":
            raise _Refused("unsupported_grant_type", "only client_credentials is supported")
        return _given(node, known, fields.get("scope"))
    except _Refused as refused:
        told = TokenError(error=refused.error, error_description=refused.detail)
        headers = dict(_NO_STORE)
        if refused.status == 401 and basic:
            headers["WWW-Authenticate"] = 'Basic realm="tillwire", charset="UTF-8"'
        if refused.status == 503:
            headers["Retry-After"] = "1"
        return Response(
            msgspec.json.encode(told), status_code=refused.status, media_type=MediaType.JSON, headers=headers
        )


def _refuse_without_tokens(node: Node) -> None:
    if node.callers.tokens is None:
        raise _Refused("temporarily_unavailable", "this hub gives no tokens: clients.token_key is not set", 503)
    try:
        node.refuse_unread_keys()
    except TransientError as error:
        raise _Refused("temporarily_unavailable", str(error), 503) from error


def _fields(media_type: str, body: bytes) -> dict[str, str]:
    if media_type.partition(";")[0].strip().lower() != FORM:
        raise _Refused("invalid_request", f"send {FORM}")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise _Refused("invalid_request", "the body is no form") from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise _Refused("invalid_request", "a field is there more than once")
        if value:  # an empty one counts as left out
            fields[name] = value
    return fields


def _credentials(authorization: str, fields: dict[str, str]) -> _Credentials:
    scheme, _, encoded = authorization.partition(" ")
    if authorization and scheme.lower() != "basic":
        raise _Refused("invalid_request", "authenticate by HTTP Basic, or by client_id and client_secret")
    if authorization:
        if "client_secret" in fields:
            raise _Refused("invalid_request", "authenticate in one way, not in two")
        try:
            client, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError) as error:
            raise _Refused("invalid_request", "HTTP Basic is not what it should be") from error
        if not colon:
            raise _Refused("invalid_request", "HTTP Basic is not what it should be")
        found = _Credentials(unquote_plus(client), unquote_plus(secret), basic=True)
        if fields.get("client_id", found.client) != found.client:
            raise _Refused("invalid_request", "client_id is another's than HTTP Basic says")
        return found
    if "client_id" not in fields or "client_secret" not in fields:
        raise _Refused("invalid_client", "client_id and client_secret are missing", 401)
    return _Credentials(fields["client_id"], fields["client_secret"], basic=False)


async def _authenticated(node: Node, credentials: _Credentials, request: Request[Any, Any, Any]) -> Known:
    """The key that was shown, of the client that was named. All that is wrong with it is told in the same words."""
    scope: Any = request.scope
    if "." not in credentials.secret:  # a token is no secret to get another token with
        if node.callers.may_be_new(credentials.secret):
            await node.look_again()
        known = node.callers.ring.of_key(credentials.secret)
        named = known is not None and known.principal.name == credentials.client
        if known is not None and named and node.callers.may_be_used(known, scope):
            return known
    raise _Refused("invalid_client", "no such client, or not a key of its in force", 401)


def _given(node: Node, known: Known, scope: str | None) -> Response[bytes]:
    may = frozenset(operation for grant in known.principal.grants for operation in grant.operations)
    operations = may if scope is None else _asked(scope, may)
    tokens = node.callers.tokens
    assert tokens is not None
    given = Token(
        access_token=tokens.give(known.principal.name, known.key_id, operations),
        token_type="Bearer",
        expires_in=tokens.life_s,
        scope=" ".join(sorted(operations)),
    )
    return Response(msgspec.json.encode(given), media_type=MediaType.JSON, headers=_NO_STORE)


def _asked(scope: str, may: frozenset[Operation]) -> frozenset[Operation]:
    try:
        asked = operations_of(scope.split())
    except TillwireError as error:
        raise _Refused("invalid_scope", "scope names what is no operation") from error
    if not asked:
        raise _Refused("invalid_scope", "scope is empty")
    if not asked <= may:
        raise _Refused("invalid_scope", "scope is more than the client is granted")
    return asked


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What the token endpoint can do (RFC 8414)."""

    issuer: str
    token_endpoint: str
    grant_types_supported: tuple[str, ...] = ("client_credentials",)
    response_types_supported: tuple[str, ...] = ()
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic", "client_secret_post")
    scopes_supported: tuple[str, ...] = tuple(sorted(Operation))
    service_documentation: str


@get(METADATA_PATH, summary="What the token endpoint can do", tags=["access"], sync_to_thread=False)
def metadata(request: Request[Any, Any, Any]) -> Metadata:
    """Authorization server metadata (RFC 8414), where tokens are given."""
    node: Node = request.app.state.node
    if node.callers.tokens is None:
        raise NotFoundException("this hub gives no tokens")
    url = bootstrap.public_url(node.settings)
    return Metadata(issuer=url, token_endpoint=url + TOKEN_PATH, service_documentation=url + "/docs")


ROUTES: list[Any] = [token, metadata]
