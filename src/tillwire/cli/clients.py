"""``tillwire client``: API clients, what they may do and where, and their keys."""

from __future__ import annotations

import contextlib
import getpass
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import cyclopts
import psycopg
from cyclopts import Parameter
from rich.table import Table

from tillwire import clock
from tillwire.cli.common import DATA, DataFolder, connect, console, print_json
from tillwire.errors import TillwireError
from tillwire.governance.access import Grant, Operation, operations_of, role_named

app = cyclopts.App(name="client", help="API clients, what they may do and where, and their keys.")

_Many = Parameter(consume_multiple=True, negative="")
Allow = Annotated[tuple[str, ...], _Many, Parameter(help="Operations, such as events:send.")]
Role = Annotated[tuple[str, ...], _Many, Parameter(help="What a role may do: viewer, finance and so on.")]
Store = Annotated[tuple[str, ...], _Many, Parameter(help="Only these stores: numbers, with * and ?.")]
Company = Annotated[tuple[str, ...], _Many, Parameter(help="Only stores of these companies, with * and ?.")]
Source = Annotated[tuple[str, ...], _Many, Parameter(help="It sends as these sources only, with * and ?.")]
Networks = Annotated[tuple[str, ...], _Many, Parameter(name="--network", help="It calls from these networks only.")]
Expires = Annotated[str | None, Parameter(help="After so long it is over: 90d, 12h, 30m.")]

_DURATION = re.compile(r"(\d{1,6})([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def duration(text: str) -> timedelta:
    """``90d``, ``24h`` or ``30m``; ``0``. Raises ``TillwireError``."""
    if text == "0":
        return timedelta(0)
    found = _DURATION.fullmatch(text)
    if found is None:
        raise TillwireError(f"{text!r} is no duration such as 90d, 24h or 30m")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _end(expires: str | None) -> datetime | None:
    return None if expires is None else clock.now() + duration(expires)


def _grant(
    allow: tuple[str, ...], role: tuple[str, ...], store: tuple[str, ...], company: tuple[str, ...],
    source: tuple[str, ...],
) -> Grant:  # fmt: skip
    operations = operations_of(allow).union(*(role_named(name) for name in role))
    return Grant(
        operations=operations or frozenset({Operation.SEND_EVENTS}),
        stores=store or ("*",),
        companies=company or ("*",),
        sources=source or ("*",),
    )


@contextlib.contextmanager
def _changing(data: Path, action: str, name: str) -> Iterator[psycopg.Connection]:
    """A transaction that changes a client, and is in the audit log if it does."""
    from tillwire.governance.audit import note

    with connect(data) as connection, connection.transaction():
        yield connection
        note(connection, getpass.getuser(), action, f"client {name}")


@app.command(name="add")
def client_add(
    name: str,
    *,
    allow: Allow = (),
    role: Role = (),
    store: Store = (),
    company: Company = (),
    source: Source = (),
    networks: Networks = (),
    expires: Expires = None,
    data: DataFolder = DATA,
) -> None:
    """Make an API client; its key is shown once. It may send events and do nothing else, unless --allow or --role says
    what it may do.
    """
    from tillwire.governance.clients import add_client

    granted = _grant(allow, role, store, company, source)
    with _changing(data, "add client", name) as connection:
        key = add_client(connection, name, [granted], networks=networks, expires_at=_end(expires))
    print(key)


@app.command(name="grant")
def client_grant(
    name: str,
    *,
    allow: Allow = (),
    role: Role = (),
    store: Store = (),
    company: Company = (),
    source: Source = (),
    networks: Annotated[
        tuple[str, ...] | None, _Many, Parameter(name="--network", help="It calls from these only, from now on.")
    ] = None,
    expires: Expires = None,
    replace: Annotated[bool, Parameter(negative="", help="Instead of the grants it has.")] = False,
    data: DataFolder = DATA,
) -> None:
    """Give a client a further grant, or say from where it may call and for how long."""
    from tillwire.governance.clients import grant, restrict

    gives = bool(allow or role)
    if not gives and (store or company or source or replace):
        raise TillwireError("say with --allow or --role what it may do there")
    if not gives and networks is None and expires is None:
        raise TillwireError("say with --allow or --role what it may do, or give --network or --expires")
    with _changing(data, "grant to client", name) as connection:
        if gives:
            grant(connection, name, [_grant(allow, role, store, company, source)], replace=replace)
        if networks is not None or expires is not None:
            restrict(connection, name, networks=networks, expires_at=_end(expires))


@app.command(name="rotate")
def client_rotate(
    name: str,
    *,
    keep: Annotated[str, Parameter(help="The keys before it stay good for so long: 24h, 30m.")] = "0",
    expires: Annotated[str | None, Parameter(help="The new key is good for so long: 90d.")] = None,
    data: DataFolder = DATA,
) -> None:
    """Make a new key for a client; it is shown once."""
    from tillwire.governance.clients import rotate

    with _changing(data, "rotate keys of client", name) as connection:
        key = rotate(connection, name, keep=duration(keep), expires_at=_end(expires))
    print(key)


@app.command(name="revoke")
def client_revoke(name: str, *, data: DataFolder = DATA) -> None:
    """Take a client with all its keys and tokens out of force."""
    from tillwire.governance.clients import revoke_client

    with _changing(data, "revoke client", name) as connection:
        revoke_client(connection, name)


@app.command(name="show")
def client_show(name: str, *, data: DataFolder = DATA) -> None:
    """Show a client: its grants, networks and keys (not what they are, which nobody knows)."""
    from tillwire.governance.clients import client_named

    with connect(data) as connection:
        print_json(client_named(connection, name))


@app.command(name="list")
def client_list(*, data: DataFolder = DATA) -> None:
    """List API clients."""
    from tillwire.governance.clients import clients

    table = Table("name", "may", "where", "keys", "made", "expires", "revoked")
    with connect(data) as connection:
        for one in clients(connection):
            may = sorted({operation for grant in one.grants for operation in grant.operations})
            table.add_row(
                one.name,
                ", ".join(may),
                "; ".join(dict.fromkeys(_where(grant) for grant in one.grants)),
                str(len(one.keys)),
                _minute(one.made_at),
                _minute(one.expires_at),
                _minute(one.revoked_at),
            )
    console.print(table)


def _where(grant: Grant) -> str:
    parts = (("stores", grant.stores), ("companies", grant.companies), ("sources", grant.sources))
    return " ".join(f"{what} {' '.join(some)}" for what, some in parts if "*" not in some) or "everywhere"


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
