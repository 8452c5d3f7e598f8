"""``/account``: where somebody is signed in, and their password; ``/people``: everybody, and their roles."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.exceptions import NotFoundException, PermissionDeniedException
from litestar.params import Parameter

from tillwire.console.shell import AnyRequest, form_of, node_of, render, seen, stop
from tillwire.errors import TillwireError
from tillwire.governance import people, sessions
from tillwire.governance.access import ROLES, Operation
from tillwire.governance.people import RoleGrant
from tillwire.http.access import needs, principal_of

Name = Annotated[str, Parameter(max_length=64, pattern=r"^[^\x00/]*$")]
_OWN = needs(Operation.READ_CATALOGUE)
"""Everybody's own affairs: every role has it."""


def _session(request: AnyRequest) -> sessions.Session:
    found: sessions.Session | None = getattr(request.state, "session", None)
    if found is None:
        raise NotFoundException("nobody is signed in here: this hub asks for no sign-in, or a key was shown")
    return found


@get("/account", include_in_schema=False, sync_to_thread=True, opt=_OWN)
def account(request: AnyRequest) -> Response[str]:
    """Who I am here, what I may do, and where I am signed in."""
    session = _session(request)
    with node_of(request).reading() as connection:
        (person,) = people.listed(connection, session.principal.name)
        places = sessions.of_person(connection, person.name)
    return render(request, "account.html", title="Account", person=person, places=places, current=session.digest.hex())


@post("/account/password", include_in_schema=False, sync_to_thread=True, status_code=200, opt=_OWN)
def password(request: AnyRequest, body: bytes) -> Response[Any]:
    """Another password, for who knows the one of now. All other sessions end."""
    session, form, node = _session(request), form_of(request, body), node_of(request)
    name = session.principal.name
    address = str(node.callers.address(dict(request.scope)) or "unknown")
    try:
        with node.reading() as connection:
            if not sessions.knows_password(connection, name, form.get("current", ""), address=address):
                return stop(request, "That is not your password of now.", "/account")
            people.set_password(connection, name, form.get("password", ""), by=session.principal, but=session.digest)
    except TillwireError as error:
        return stop(request, str(error), "/account")
    return seen("/account", "Your password is changed, and you are signed out everywhere else")


@get("/people", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.ADMINISTER_ACCESS))
def everybody(request: AnyRequest) -> Response[str]:
    """Everybody who may sign in, with their roles."""
    with node_of(request).reading() as connection:
        found = people.listed(connection)
    return render(request, "people.html", title="People", people=found, roles=list(ROLES))


@post("/people/{name:str}/{action:str}", include_in_schema=False, sync_to_thread=True, status_code=200,
      opt=needs(Operation.ADMINISTER_ACCESS))  # fmt: skip
def act(request: AnyRequest, name: Name, action: Name, body: bytes) -> Response[Any]:
    """Give or take a role, let somebody sign in no more or again, take codes away that were lost."""
    form, by = form_of(request, body), principal_of(request)
    if name == by.name:
        raise PermissionDeniedException("your own rights are changed by somebody else")
    try:
        with node_of(request).reading() as connection:
            match action:
                case "grant":
                    given = RoleGrant(
                        role=form.get("role", ""),
                        stores=_patterns(form, "stores"),
                        companies=_patterns(form, "companies"),
                    )
                    people.grant(connection, name, given, by=by)
                case "revoke":
                    people.revoke(connection, name, form.get("role", ""), by=by)
                case "disable" | "enable":
                    people.disable(connection, name, by=by, disabled=action == "disable")
                case "reset-codes":
                    people.reset_totp(connection, name, by=by)
                case _:
                    raise NotFoundException(f"there is no action {action}")
    except TillwireError as error:
        return stop(request, str(error), "/people")
    return seen("/people", f"Done: {action} {name}")


def _patterns(form: dict[str, str], field: str) -> tuple[str, ...]:
    return tuple(form.get(field, "").replace(",", " ").split()) or ("*",)


ROUTES = (account, password, everybody, act)
