"""People whom their company's sign-in vouches for (OpenID Connect): who they are there, and what their groups may do.

Somebody is known by issuer and subject, and by nothing else: whoever can choose a name or an e-mail address at the
provider is not thereby somebody else here.
"""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg

from tillwire.config import Oidc
from tillwire.database import sql
from tillwire.errors import TillwireError
from tillwire.governance import audit, people
from tillwire.governance.access import Principal
from tillwire.governance.people import RoleGrant

_sql = sql.load("tillwire.governance", "identities.sql")


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who somebody is, as a provider has told it."""

    issuer: str
    subject: str
    name: str
    display: str
    groups: frozenset[str]
    strong: bool
    """Whether there was a second factor, as the provider told it."""


def grants_of(settings: Oidc, groups: frozenset[str]) -> list[RoleGrant]:
    """The roles that groups give, each as often as its scopes differ."""
    found = [
        RoleGrant(role=role, stores=one.stores, companies=one.companies, by_groups=True)
        for one in settings.groups
        if one.group in groups
        for role in one.roles
    ]
    return list(dict.fromkeys(found))


def take(connection: psycopg.Connection, settings: Oidc, identity: Identity) -> tuple[str, str]:
    """The name here of who signs in, and why they may not (empty: they may). Who is not known yet is made known if they
    have a role by their groups; the roles of others are as their groups are now. In the caller's transaction, which is
    to be kept either way.
    """
    given = grants_of(settings, identity.groups)
    row = connection.execute(_sql.of_identity, _key(identity.issuer, identity.subject)).fetchone()
    if row is None:
        if not given:
            return "", "You are in no group that has a role here. Ask an administrator of this hub."
        why = _made(connection, identity)
        if why:
            return "", why
    name = identity.name if row is None else row[0]
    _follow_groups(connection, name, given)
    if row is not None and row[1]:
        return name, "You may not sign in here any more. Ask an administrator of this hub."
    if not connection.execute(_sql.has_grants, (name,)).fetchone():
        return name, "You have no role here any more. Ask an administrator of this hub."
    return name, ""


def _made(connection: psycopg.Connection, identity: Identity) -> str:
    """Make somebody known; why they cannot be, or nothing."""
    try:
        with connection.transaction():
            people.add(connection, identity.name, None, (), by=identity.issuer, display=identity.display[:200])
    except TillwireError as error:
        return (
            f"You are {identity.name!r} there, and cannot be here: {error}. An administrator can link you to somebody "
            f"who is known: `tillwire user link NAME {identity.subject}`."
        )
    connection.execute(_sql.link, _key(identity.issuer, identity.subject) | {"name": identity.name})
    return ""


def _follow_groups(connection: psycopg.Connection, name: str, given: list[RoleGrant]) -> None:
    had = connection.execute(_sql.by_groups, (name,)).fetchall()
    if sorted(had) == sorted((one.role, list(one.stores), list(one.companies)) for one in given):
        return
    connection.execute(_sql.drop_by_groups, (name,))
    for one in given:
        connection.execute(_sql.grant_by_groups, {"name": name, **_row(one)})
    audit.note(connection, name, "roles by groups", name, {"grants": [_row(one) for one in given]}, kind="person")


def _row(one: RoleGrant) -> dict[str, Any]:
    return {"role": one.role, "stores": list(one.stores), "companies": list(one.companies)}


def link(connection: psycopg.Connection, name: str, issuer: str, subject: str, *, by: Principal | str) -> None:
    """Let somebody who is known sign in as this subject of a provider. Raises ``TillwireError``."""
    if not issuer or not subject:
        raise TillwireError("there is no provider (access.oidc.issuer), or no subject")
    with connection.transaction():
        people.known(connection, name)
        if connection.execute(_sql.link, _key(issuer, subject) | {"name": name}).fetchone() is None:
            raise TillwireError(f"{subject} of {issuer} is somebody already: unlink them first")
        audit.note(connection, by, "link person", name, {"issuer": issuer, "subject": subject})


def unlink(connection: psycopg.Connection, name: str, *, by: Principal | str) -> None:
    """Let somebody sign in by no provider any more: what its groups gave is gone, and sessions end. Raises
    ``TillwireError``.
    """
    with connection.transaction():
        people.known(connection, name)
        if not connection.execute(_sql.unlink, (name,)).rowcount:
            raise TillwireError(f"{name} is linked to nobody")
        connection.execute(_sql.drop_by_groups, (name,))
        people.end_sessions(connection, name)
        audit.note(connection, by, "unlink person", name)


def _key(issuer: str, subject: str) -> dict[str, str]:
    return {"issuer": issuer, "subject": subject}
