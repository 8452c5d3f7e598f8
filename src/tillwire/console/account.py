"""``/account``: one's own password, authenticator and recovery codes, and where one is signed in.

Whoever sits down at somebody's open page changes none of it: each change asks for the password once more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Response, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.response import Redirect
from psycopg import Connection

from tillwire.console.shell import AnyRequest, form_of, node_of, render, seen, stop
from tillwire.console.sign_in import picture_of, sealer_of, where_of
from tillwire.errors import TillwireError, TransientError
from tillwire.governance import people, sessions
from tillwire.governance.access import Operation
from tillwire.governance.sessions import Session
from tillwire.http.access import needs
from tillwire.http.signed_in import cookie

_OWN = needs(Operation.READ_CATALOGUE)
"""Everybody's own affairs: every role has it."""


_BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
_SYSTEMS = ("Windows", "Android", "iPhone", "iPad", "Mac OS X", "CrOS", "Linux")


def browser_of(agent: str) -> str:
    """A browser in few words, by what it calls itself; as it is where that says nothing known."""
    browser = next((name for sign, name in _BROWSERS.items() if f"{sign}/" in agent), None)
    system = next((name for name in _SYSTEMS if name in agent), None)
    return ", ".join(one for one in (browser, system) if one) or agent[:40]


def _session(request: AnyRequest) -> Session:
    found: Session | None = getattr(request.state, "session", None)
    if found is None:
        raise NotFoundException("nobody is signed in here: this hub asks for no sign-in, or a key was shown")
    return found


@get("/account", include_in_schema=False, sync_to_thread=True, opt=_OWN)
def account(request: AnyRequest) -> Response[str]:
    """Who I am here, what I may do, and where I am signed in."""
    session, node = _session(request), node_of(request)
    with node.reading() as connection:
        (person,) = people.listed(connection, session.principal.name)
        places = sessions.of_person(connection, node.settings.access, person.name)
    return render(
        request,
        "account.html",
        title="Account",
        person=person,
        places=places,
        current=session.digest.hex(),
        browser_of=browser_of,
    )


async def _confirmed(
    request: AnyRequest, form: dict[str, str], act: Callable[[Connection, Session], Response[Any]], *, code: bool
) -> Response[Any]:
    """Do something for who shows their password once more, and if ``code`` a code of their authenticator, too."""
    session, access = _session(request), node_of(request).settings.access
    shown, sealer = (form.get("code", ""), sealer_of(request)) if code else (None, None)
    current, where = form.get("current", ""), where_of(request)

    def confirm_and_act(connection: Connection) -> Response[Any]:
        sessions.refuse_unconfirmed(connection, access, session, current, shown, sealer, where=where)
        return act(connection, session)

    try:
        return await node_of(request).with_passwords(confirm_and_act)
    except TransientError:
        raise
    except TillwireError as error:
        return stop(request, str(error), "/account")


def _another_session(request: AnyRequest, connection: Connection, session: Session, answer: Response[Any]) -> None:
    """A new token, as what a session is worth has changed; all others of its person have ended."""
    node = node_of(request)
    sessions.end(connection, session.principal.name, by=session.principal, only=None, but=session.digest)
    token = sessions.step_on(connection, node.settings.access, session, where=where_of(request))
    node.signed_in.forget(session.digest)
    answer.cookies.append(cookie(request, token))


@post("/account/password", include_in_schema=False, status_code=200, opt=_OWN)
async def password(request: AnyRequest, body: bytes) -> Response[Any]:
    """Another password, for who knows the one of now. All other sessions end."""
    form = form_of(request, body)

    def change(connection: Connection, session: Session) -> Response[Any]:
        name = session.principal.name
        (person,) = people.listed(connection, name)
        if not person.has_password:
            raise TillwireError("You have no password here: you sign in by your company's sign-in.")
        people.set_password(connection, name, form.get("password", ""), by=session.principal, but=session.digest)
        answer = seen("/account", "Your password is changed, and you are signed out everywhere else")
        _another_session(request, connection, session, answer)
        return answer

    return await _confirmed(request, form, change, code=False)


@post("/account/sessions/end", include_in_schema=False, sync_to_thread=True, status_code=200, opt=_OWN)
def end(request: AnyRequest, body: bytes) -> Response[Any]:
    """One of my sessions ends, or (without ``session``) all but this one."""
    session, form = _session(request), form_of(request, body)
    try:
        only = bytes.fromhex(form["session"]) if form.get("session") else None
    except ValueError as error:
        raise ClientException("session: no session is called so") from error
    with node_of(request).reading() as connection:
        name = session.principal.name
        ended = sessions.end(connection, name, by=session.principal, only=only, but=session.digest)
    if only is not None:
        node_of(request).signed_in.forget(only)
    return seen("/account", f"{ended} {'session has' if ended == 1 else 'sessions have'} ended")


@post("/account/authenticator", include_in_schema=False, status_code=200, opt=_OWN)
async def another(request: AnyRequest, body: bytes) -> Response[Any]:
    """Begin to take an authenticator, or another one."""
    form = form_of(request, body)

    def begin(connection: Connection, session: Session) -> Response[Any]:
        sessions.begin_enrolling(connection, session, sealer_of(request))
        return Redirect("/account/authenticator", status_code=303)

    return await _confirmed(request, form, begin, code=True)


@get("/account/authenticator", include_in_schema=False, sync_to_thread=True, opt=_OWN)
def shown(request: AnyRequest) -> Response[Any]:
    """The secret of the authenticator that is being taken, for a quarter of an hour."""
    session, sealer = _session(request), sealer_of(request)
    with node_of(request).reading() as connection:
        secret = sessions.enrolling(connection, session, sealer)
    if secret is None:
        return Redirect("/account", status_code=303)
    picture = picture_of(secret, session.principal.name)
    return render(request, "account_enrol.html", title="An authenticator", secret=secret, picture=picture)


@post("/account/authenticator/confirm", include_in_schema=False, sync_to_thread=True, status_code=200, opt=_OWN)
def confirmed(request: AnyRequest, body: bytes) -> Response[Any]:
    """The code that shows that it has the secret. The one before is good for nothing, and all other sessions end."""
    session, sealer, form = _session(request), sealer_of(request), form_of(request, body)
    code = form.get("code", "").strip().replace(" ", "")
    try:
        with node_of(request).reading() as connection:
            secret = sessions.enrolling(connection, session, sealer)
            if secret is None:
                raise TillwireError("That has taken too long: begin again.")
            codes = people.enrol(connection, session.principal.name, secret, code, sealer)
            answer = render(request, "account_codes.html", title="Recovery codes", codes=codes)
            _another_session(request, connection, session, answer)
    except TransientError:
        raise
    except TillwireError as error:
        return stop(request, str(error), "/account/authenticator")
    return answer


@post("/account/recovery", include_in_schema=False, status_code=200, opt=_OWN)
async def renewed(request: AnyRequest, body: bytes) -> Response[Any]:
    """Other recovery codes."""
    form = form_of(request, body)

    def renew(connection: Connection, session: Session) -> Response[Any]:
        (person,) = people.listed(connection, session.principal.name)
        if not person.has_totp:
            raise TillwireError("Recovery codes are for who has an authenticator.")
        codes = people.renew_codes(connection, person.name)
        return render(request, "account_codes.html", title="Recovery codes", codes=codes)

    return await _confirmed(request, form, renew, code=True)


ROUTES = (account, password, end, another, shown, confirmed, renewed)
