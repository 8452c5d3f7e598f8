"""``tillwire user``: people who sign in, and their roles. Who is lost for words, or for codes, is helped here."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter
from rich.table import Table

from tillwire.cli.common import DATA, DataFolder, connect, console, print_json, print_note, settings_of
from tillwire.errors import TillwireError

if TYPE_CHECKING:
    from tillwire.governance.people import RoleGrant

app = cyclopts.App(name="user", help="People who sign in, and their roles.")

_Many = Parameter(consume_multiple=True, negative="")
Role = Annotated[
    tuple[str, ...], _Many, Parameter(help="viewer, store-operations, finance, approver, integrator, administrator.")
]
Store = Annotated[tuple[str, ...], _Many, Parameter(help="Only these stores: numbers, with * and ?.")]
Company = Annotated[tuple[str, ...], _Many, Parameter(help="Only stores of these companies, with * and ?.")]


Generate = Annotated[bool, Parameter(negative="", help="Make a password, and show it once.")]


def _password(generate: bool) -> str:
    """Made; or from standard input where that is no terminal, else asked for twice."""
    from tillwire.governance import people

    if generate:
        return people.new_password()
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("password: ")
    if getpass.getpass("once more: ") != password:
        raise TillwireError("the two are not the same")
    return password


@app.command(name="add")
def user_add(
    name: str,
    *,
    role: Role = (),
    store: Store = ("*",),
    company: Company = ("*",),
    display: str = "",
    generate: Generate = False,
    password: Annotated[bool, Parameter(help="--no-password: only by the company's own sign-in.")] = True,
    data: DataFolder = DATA,
) -> None:
    """Let somebody sign in. The password is asked for, read from standard input, or made; it is changed
    at first sign-in.
    """
    from tillwire.governance import people

    grants = [people.RoleGrant(role=one, stores=store, companies=company) for one in role]
    with connect(data) as connection:
        given = _password(generate) if password else None
        people.add(connection, name, given, grants, by=getpass.getuser(), display=display)
    if generate and given is not None:
        print(given)
    print_note(f"{name} may sign in" if grants else f"{name} may sign in, and do nothing yet: tillwire user grant")


@app.command(name="list")
def user_list(*, data: DataFolder = DATA) -> None:
    """List everybody with their roles."""
    from tillwire.governance import people

    table = Table("name", "roles", "authenticator", "disabled", "last seen")
    with connect(data) as connection:
        for one in people.listed(connection):
            roles = "\n".join(_told(given) for given in one.grants)
            disabled = f"{one.disabled_at:%Y-%m-%d %H:%M}" if one.disabled_at else ""
            seen = f"{one.seen_at:%Y-%m-%d %H:%M}" if one.seen_at else ""
            table.add_row(one.name, roles, "yes" if one.has_totp else "no", disabled, seen)
    console.print(table)


def _told(given: RoleGrant) -> str:
    by = ", by a group" if given.by_groups else ""
    return f"{given.role} (stores {' '.join(given.stores)}, companies {' '.join(given.companies)}{by})"


@app.command(name="show")
def user_show(name: str, *, json: bool = False, data: DataFolder = DATA) -> None:
    """Show one person: roles, how they sign in, and where they are signed in."""
    from tillwire.governance import people, sessions

    settings = settings_of(data)
    with connect(data) as connection:
        found = people.listed(connection, name)
        if not found:
            raise TillwireError(f"there is nobody {name!r}")
        places = sessions.of_person(connection, settings.access, name)
    (one,) = found
    if json:
        print_json({"person": one, "sessions": places})
        return
    table = Table(show_header=False)
    table.add_row("name", f"{one.name} ({one.display})")
    table.add_row("roles", "\n".join(_told(given) for given in one.grants) or "none")
    table.add_row("password", ("to be changed" if one.must_change else "yes") if one.has_password else "no")
    table.add_row("authenticator", f"yes, {one.recovery_codes} recovery codes left" if one.has_totp else "no")
    table.add_row("company's sign-in", "\n".join(one.identities) or "no")
    table.add_row("disabled", f"{one.disabled_at:%Y-%m-%d %H:%M}" if one.disabled_at else "no")
    table.add_row("made", f"{one.made_at:%Y-%m-%d %H:%M}")
    for place in places:
        table.add_row("signed in", f"{place.address}, last seen {place.seen_at:%Y-%m-%d %H:%M}, {place.agent}")
    console.print(table)


@app.command(name="sessions")
def user_sessions(
    name: str,
    *,
    end: Annotated[bool, Parameter(negative="", help="Sign them out everywhere.")] = False,
    data: DataFolder = DATA,
) -> None:
    """Show where somebody is signed in, or end it."""
    from tillwire.governance import people, sessions

    settings = settings_of(data)
    with connect(data) as connection:
        if not people.listed(connection, name):
            raise TillwireError(f"there is nobody {name!r}")
        if end:
            ended = sessions.end(connection, name, by=getpass.getuser(), only=None, but=None)
            print_note(f"{ended} sessions have ended")
            return
        table = Table("since", "last seen", "from", "browser")
        for place in sessions.of_person(connection, settings.access, name):
            since, seen = f"{place.made_at:%Y-%m-%d %H:%M}", f"{place.seen_at:%Y-%m-%d %H:%M}"
            table.add_row(since, seen, place.address, place.agent)
    console.print(table)


@app.command(name="link")
def user_link(name: str, subject: str, *, issuer: str = "", data: DataFolder = DATA) -> None:
    """Let somebody sign in by the company's own sign-in, where they are this subject (``sub`` of the ID token)."""
    from tillwire.governance import identities

    of = issuer or settings_of(data).access.oidc.issuer
    with connect(data) as connection:
        identities.link(connection, name, of, subject, by=getpass.getuser())


@app.command(name="unlink")
def user_unlink(name: str, *, data: DataFolder = DATA) -> None:
    """Let somebody sign in by the company's own sign-in no more; what its groups gave them is gone."""
    from tillwire.governance import identities

    with connect(data) as connection:
        identities.unlink(connection, name, by=getpass.getuser())


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
def user_password(name: str, *, generate: Generate = False, data: DataFolder = DATA) -> None:
    """Give somebody another password, who has lost theirs; they change it when they sign in."""
    from tillwire.governance import people

    with connect(data) as connection:
        if not people.listed(connection, name):
            raise TillwireError(f"there is nobody {name!r}")
        password = _password(generate)
        people.set_password(connection, name, password, by=getpass.getuser(), must_change=True)
    if generate:
        print(password)


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
