"""API clients over HTTP: what they may do, where and from where, and their keys, each shown once when it is made.

Only what the bodies below name can be set. Whoever administers access must do so for all stores, as a client is of no
store; and nobody changes what they may do themselves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
import psycopg
from litestar import MediaType, Request, Response, get, post, put
from litestar.exceptions import PermissionDeniedException
from litestar.params import Parameter
from msgspec import Meta

from tillwire.errors import TillwireError
from tillwire.governance import audit
from tillwire.governance import clients as service
from tillwire.governance.access import Grant, Operation, role_named
from tillwire.governance.clients import Client, NoSuchClient
from tillwire.http.access import needs, principal_of, reach_of
from tillwire.http.node import Node
from tillwire.http.problem import problem, respond
from tillwire.intake.door import pointer_of

AnyRequest = Request[Any, Any, Any]
Name = Annotated[str, Parameter(max_length=service.MOST_NAME, pattern=r"^[^\x00]*$")]
_Patterns = Annotated[tuple[str, ...], Meta(min_length=1, max_length=service.MOST_PATTERNS)]
_Moment = Annotated[datetime, Meta(tz=True)]


class GrantAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Operations, or what roles may do, within a scope: patterns of stores, companies and sources, with * and ?."""

    operations: tuple[Operation, ...] = ()
    roles: Annotated[tuple[str, ...], Meta(max_length=20)] = ()
    stores: _Patterns = ("*",)
    companies: _Patterns = ("*",)
    sources: _Patterns = ("*",)

    def grant(self) -> Grant:
        """The grant. Raises ``TillwireError`` for a role that there is not."""
        return Grant(
            operations=frozenset(self.operations).union(*(role_named(name) for name in self.roles)),
            stores=self.stores,
            companies=self.companies,
            sources=self.sources,
        )


class NewClient(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A client to be made."""

    name: Annotated[str, Meta(min_length=1, max_length=service.MOST_NAME)]
    grants: Annotated[tuple[GrantAsked, ...], Meta(min_length=1, max_length=service.MOST_GRANTS)]
    networks: Annotated[tuple[str, ...], Meta(max_length=service.MOST_NETWORKS)] = ()
    expires_at: _Moment | None = None


class Grants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client is granted from now on, in the place of what it was."""

    grants: Annotated[tuple[GrantAsked, ...], Meta(min_length=1, max_length=service.MOST_GRANTS)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From where a client may call (no network: from anywhere) and when it ends; what is left out stays as it is."""

    networks: Annotated[tuple[str, ...], Meta(max_length=service.MOST_NETWORKS)] | None = None
    expires_at: _Moment | None = None


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further key; the keys before it stay good for ``keep_minutes``."""

    keep_minutes: Annotated[int, Meta(ge=0, le=60 * 24 * 366)] = 0
    expires_at: _Moment | None = None


class MadeKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key. It is shown here and never again."""

    name: str
    key: str


class ClientRefused(TillwireError):
    """What was asked of a client cannot be; ``pointer`` is a JSON pointer into the body."""

    def __init__(self, message: str, pointer: str = "", status: int = 422) -> None:
        super().__init__(message)
        self.pointer = pointer
        self.status = status


def on_refused(request: AnyRequest, error: ClientRefused) -> Response[bytes]:
    """422 for a wrong body, 409 for what is against the state of things."""
    title = "invalid request" if error.status == 422 else "refused"
    return respond(problem(error.status, title, str(error), pointer=error.pointer or None))


def on_missing(request: AnyRequest, error: NoSuchClient) -> Response[bytes]:
    """404: there is no such client."""
    return respond(problem(404, "not found", str(error)))


def _json(content: Any, status: int = 200) -> Response[bytes]:
    headers = {"Cache-Control": "no-store"} if isinstance(content, MadeKey) else None
    return Response(msgspec.json.encode(content), media_type=MediaType.JSON, status_code=status, headers=headers)


def _read(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise ClientRefused(*pointer_of(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ClientRefused(f"malformed JSON: {error}") from error


def _administered(request: AnyRequest, name: str | None = None) -> Node:
    """The node, for who administers access everywhere. ``name``: whose access is about to change."""
    principal = principal_of(request)
    if reach_of(request).stores is not None:
        raise PermissionDeniedException("API clients are of all stores: a grant for some stores is not enough")
    if name is not None and principal.kind == "client" and principal.name == name:
        raise ClientRefused("nobody changes what they may do themselves: ask another administrator", status=409)
    node: Node = request.app.state.node
    return node


def _done(act: Any, *arguments: Any, **named: Any) -> Any:
    try:
        return act(*arguments, **named)
    except NoSuchClient:
        raise
    except TillwireError as error:
        raise ClientRefused(str(error)) from error


@get(
    "/access/clients",
    summary="API clients",
    tags=["access"],
    sync_to_thread=True,
    opt=needs(Operation.ADMINISTER_ACCESS),
)
def listed(request: AnyRequest) -> Response[bytes]:
    """Every client with its grants, networks and keys (not what they are, which nobody knows)."""
    with _administered(request).reading() as connection:
        return _json(service.clients(connection))


@get(
    "/access/clients/{name:str}",
    summary="One API client",
    tags=["access"],
    sync_to_thread=True,
    opt=needs(Operation.ADMINISTER_ACCESS),
)
def shown(request: AnyRequest, name: Name) -> Response[bytes]:
    """A client with its grants, networks and keys."""
    with _administered(request).reading() as connection:
        return _json(service.client_named(connection, name))


@contextlib.contextmanager
def _changing(request: AnyRequest, action: str, name: str) -> Iterator[psycopg.Connection]:
    """A transaction that changes a client, and is in the audit log if it does."""
    node: Node = request.app.state.node
    with node.reading() as connection, connection.transaction():
        yield connection
        audit.note(connection, principal_of(request), action, f"client {name}")


@post(
    "/access/clients",
    summary="Make an API client",
    tags=["access"],
    sync_to_thread=True,
    opt=needs(Operation.ADMINISTER_ACCESS),
)
def made(request: AnyRequest, body: bytes) -> Response[bytes]:
    """A new client; the answer has its key, which is shown once."""
    _administered(request)
    asked: NewClient = _read(body, NewClient)
    grants = [_done(one.grant) for one in asked.grants]
    with _changing(request, "add client", asked.name) as connection:
        key = _done(
            service.add_client,
            connection,
            asked.name,
            grants,
            networks=asked.networks,
            expires_at=asked.expires_at,
        )
    return _json(MadeKey(name=asked.name, key=key), 201)


@put(
    "/access/clients/{name:str}/grants",
    summary="Grant",
    tags=["access"],
    sync_to_thread=True,
    opt=needs(Operation.ADMINISTER_ACCESS),
)
def granted_anew(request: AnyRequest, name: Name, body: bytes) -> Response[bytes]:
    """What a client may do from now on, in the place of what it might."""
    _administered(request, name)
    asked: Grants = _read(body, Grants)
    with _changing(request, "grant to client", name) as connection:
        _done(service.grant, connection, name, [_done(one.grant) for one in asked.grants], replace=True)
        return _json(service.client_named(connection, name))


@put(
    "/access/clients/{name:str}/limits",
    summary="Networks and end",
    tags=["access"],
    sync_to_thread=True,
    opt=needs(Operation.ADMINISTER_ACCESS),
)
def limited(request: AnyRequest, name: Name, body: bytes) -> Response[bytes]:
    """From where a client may call, and when it ends."""
    _administered(request, name)
    asked: Limits = _read(body, Limits)
    with _changing(request, "limit client", name) as connection:
        _done(service.restrict, connection, name, networks=asked.networks, expires_at=asked.expires_at)
        return _json(service.client_named(connection, name))


@post(
    "/access/clients/{name:str}/keys",
    summary="A further key",
    tags=["access"],
    sync_to_thread=True,
    opt=needs(Operation.ADMINISTER_ACCESS),
)
def rotated(request: AnyRequest, name: Name, body: bytes) -> Response[bytes]:
    """A new key, shown once; the keys before it end, at once or after an overlap."""
    _administered(request)
    asked: Rotation = _read(body, Rotation)
    keep = timedelta(minutes=asked.keep_minutes)
    with _changing(request, "rotate keys of client", name) as connection:
        key = _done(service.rotate, connection, name, keep=keep, expires_at=asked.expires_at)
    return _json(MadeKey(name=name, key=key), 201)


@post(
    "/access/clients/{name:str}/revoke",
    summary="Revoke",
    tags=["access"],
    sync_to_thread=True,
    status_code=200,
    opt=needs(Operation.ADMINISTER_ACCESS),
)
def revoked(request: AnyRequest, name: Name) -> Response[bytes]:
    """Take a client with all its keys and tokens out of force."""
    _administered(request)
    with _changing(request, "revoke client", name) as connection:
        service.revoke_client(connection, name)
        return _json(service.client_named(connection, name))


BODIES: dict[tuple[str, str], Any] = {
    ("/v1/access/clients", "post"): NewClient,
    ("/v1/access/clients/{name}/grants", "put"): Grants,
    ("/v1/access/clients/{name}/limits", "put"): Limits,
    ("/v1/access/clients/{name}/keys", "post"): Rotation,
}
RESULTS: dict[tuple[str, str], tuple[str, Any]] = {
    ("/v1/access/clients", "get"): ("200", list[Client]),
    ("/v1/access/clients", "post"): ("201", MadeKey),
    ("/v1/access/clients/{name}", "get"): ("200", Client),
    ("/v1/access/clients/{name}/grants", "put"): ("200", Client),
    ("/v1/access/clients/{name}/limits", "put"): ("200", Client),
    ("/v1/access/clients/{name}/keys", "post"): ("201", MadeKey),
    ("/v1/access/clients/{name}/revoke", "post"): ("200", Client),
}
"""What the routes take and answer; they read and write it themselves, so that the framework does not know it."""

ROUTES: list[Any] = [listed, shown, made, granted_anew, limited, rotated, revoked]
