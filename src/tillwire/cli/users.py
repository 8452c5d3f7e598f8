"""``tillwire user``: people who sign in, and their roles. Who is lost for words, or for codes, is helped here."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.table import Table

from tillwire.cli.common import DATA, DataFolder, connect, console

app = cyclopts.App(name="user", help="People who sign in, and their roles.")

_Many = Parameter(consume_multiple=True, negative="")
Role = Annotated[
    tuple[str, ...], _Many, Parameter(help="viewer, store-operations, finance, approver, integrator, administrator.")
]
Store = Annotated[tuple[str, ...], _Many, Parameter(help="Only these stores: numbers, with * and ?.")]
Company = Annotated[tuple[str, ...], _Many, Parameter(help="Only stores of these companies, with * and ?.")]


def _password() -> str:
    """From standard input where that is no terminal, else asked for twice."""
    from tillwire.errors import TillwireError

    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("password: ")
    if getpass.getpass("once more: ") != password:
        raise TillwireError("the two are not the same")
    return password


@app.command(name="add")
def user_add(
    name: str,
    *,
    role: Role,
    store: Store = ("*",),
    company: Company = ("*",),
    display: str = "",
    data: DataFolder = DATA,
) -> None:
    """Let somebody sign in. The password is asked for, or read from standard input; it is changed at first sign-in."""
    from tillwire.governance import people

    grants = [people.RoleGrant(role=one, stores=store, companies=company) for one in role]
    password = _password()
    with connect(data) as connection:
        people.add(connection, name, password, grants, by=getpass.getuser(), display=display)
    console.print(f"{name} may sign in")


@app.command(name="list")
def user_list(*, data: DataFolder = DATA) -> None:
    """List everybody with their roles."""
    from tillwire.governance import people

    table = Table("name", "roles", "authenticator", "disabled", "last seen")
    with connect(data) as connection:
        for one in people.listed(connection):
            roles = "\n".join(
                f"{g.role} (stores {' '.join(g.stores)}, companies {' '.join(g.companies)})" for g in one.grants
            )
            disabled = f"{one.disabled_at:%Y-%m-%d %H:%M}" if one.disabled_at else ""
            seen = f"{one.seen_at:%Y-%m-%d %H:%M}" if one.seen_at else ""
            table.add_row(one.name, roles, "yes" if one.has_totp else "no", disabled, seen)
    console.print(table)


@app.command(name="grant")
def user_grant(
    name: str, role: str, *, store: Store = ("*",), company: Company = ("*",), data: DataFolder = DATA
) -> None:
    """Give somebody a role."""
    from tillwire.governance import people

    with connect(data) as connection:
        given = people.RoleGrant(role=role, stores=store, companies=company)
        people.grant(connection, name, given, by=getpass.getuser())


@app.command(name="revoke")
def user_revoke(name: str, role: str, *, data: DataFolder = DATA) -> None:
    """Take a role from somebody."""
    from tillwire.governance import people

    with connect(data) as connection:
        people.revoke(connection, name, role, by=getpass.getuser())


@app.command(name="password")
def user_password(name: str, *, data: DataFolder = DATA) -> None:
    """Give somebody another password, who has lost theirs; they change it when they sign in."""
    from tillwire.governance import people

    password = _password()
    with connect(data) as connection:
        people.set_password(connection, name, password, by=getpass.getuser(), must_change=True)


@app.command(name="reset-codes")
def user_reset_codes(name: str, *, data: DataFolder = DATA) -> None:
    """Take somebody's authenticator away, who has lost it; they enrol another when they sign in."""
    from tillwire.governance import people

    with connect(data) as connection:
        people.reset_totp(connection, name, by=getpass.getuser())


@app.command(name="disable")
def user_disable(name: str, *, data: DataFolder = DATA) -> None:
    """Let somebody sign in no more; who is signed in is no more."""
    from tillwire.governance import people

    with connect(data) as connection:
        people.disable(connection, name, by=getpass.getuser())


@app.command(name="enable")
def user_enable(name: str, *, data: DataFolder = DATA) -> None:
    """Let somebody sign in again."""
    from tillwire.governance import people

    with connect(data) as connection:
        people.disable(connection, name, by=getpass.getuser(), disabled=False)
