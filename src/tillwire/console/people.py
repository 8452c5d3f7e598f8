"""``/people``: everybody who may sign in, and their roles."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.exceptions import NotFoundException, PermissionDeniedException
from litestar.params import Parameter

from tillwire.console.shell import AnyRequest, form_of, node_of, render, seen, stop
from tillwire.errors import TillwireError
from tillwire.governance import people, sessions
from tillwire.governance.access import ROLES, Operation
from tillwire.governance.people import MOST_NAME, RoleGrant
from tillwire.http.access import needs, principal_of, reach_of

Name = Annotated[str, Parameter(max_length=MOST_NAME, pattern=r"^[^\x00/]*$")]


@get("/people", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.ADMINISTER_ACCESS))
def everybody(request: AnyRequest) -> Response[str]:
    """Everybody who may sign in, with their roles."""
    _everywhere(request)
    with node_of(request).reading() as connection:
        found = people.listed(connection)
    return render(request, "people.html", title="People", people=found, roles=list(ROLES))


@post("/people/{name:str}/{action:str}", include_in_schema=False, sync_to_thread=True, status_code=200,
      opt=needs(Operation.ADMINISTER_ACCESS))  # fmt: skip
def act(request: AnyRequest, name: Name, action: Name, body: bytes) -> Response[Any]:
    """Give or take a role, let somebody sign in no more or again, take codes away that were lost."""
    form, by = form_of(request, body), principal_of(request)
    _everywhere(request)
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
                case "sign-out":
                    sessions.end(connection, name, by=by, only=None, but=None)
                case _:
                    raise NotFoundException(f"there is no action {action}")
    except TillwireError as error:
        return stop(request, str(error), "/people")
    return seen("/people", f"Done: {action} {name}")


def _everywhere(request: AnyRequest) -> None:
    """Whoever administers some stores only would give others, or themselves by another name, what reaches all."""
    if reach_of(request).stores is not None:
        raise PermissionDeniedException("people are of all stores: a role for some stores is not enough")


def _patterns(form: dict[str, str], field: str) -> tuple[str, ...]:
    return tuple(form.get(field, "").replace(",", " ").split()) or ("*",)


ROUTES = (everybody, act)
