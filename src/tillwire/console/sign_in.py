"""``/sign-in``: a name and a password, a code, and what has to be done before the first page opens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

import segno
from litestar import Response, get, post
from litestar.exceptions import HTTPException, NotAuthorizedException, PermissionDeniedException
from litestar.response import Redirect
from markupsafe import Markup
from psycopg import Connection

from tillwire import bootstrap
from tillwire.console.shell import AnyRequest, bare, form_of, node_of
from tillwire.errors import TillwireError, TransientError
from tillwire.governance import people, sessions
from tillwire.governance.lockout import LockedOut
from tillwire.governance.sealing import Sealer
from tillwire.governance.sessions import From, Session
from tillwire.http.access import refuse_other_sites
from tillwire.http.signed_in import cookie, is_private

QUIET = 4
"""Modules of light around a QR code (ISO/IEC 18004): without them some cameras do not find it."""
WRONG = "That name and that password do not go together."


def local_path(text: str) -> str:
    """Where to go after signing in: a path of this hub and nothing else."""
    good = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and len(text) < 2000
    return text if good and "\\" not in text else "/"


def where_of(request: AnyRequest) -> From:
    """From where somebody asks."""
    address = node_of(request).callers.address(dict(request.scope))
    return From(str(address or "unknown"), request.headers.get("user-agent", ""))


def sealer_of(request: AnyRequest) -> Sealer:
    """What seals people's secrets. Raises ``HTTPException`` if the hub has no key."""
    found = bootstrap.sealer(node_of(request).settings)
    if found is None:
        detail = (
            "Authenticators need a key of this hub: whoever runs it sets clients.token_key or clients.token_key_file."
        )
        raise HTTPException(status_code=409, detail=detail)
    return found


def go_on(request: AnyRequest, token: str, there: str) -> Response[Any]:
    """To the next page, with a new session's cookie."""
    return Redirect(there, status_code=303, cookies=[cookie(request, token)])


async def _session(request: AnyRequest, *stages: str) -> Session:
    """The session that this request is in the middle of. Raises ``NotAuthorizedException`` if it is at no such step."""
    refuse_other_sites(request)
    found = await node_of(request).signed_in.session(request)
    if found is None or found.stage not in stages:
        raise NotAuthorizedException("sign in first")
    request.state.session, request.state.csrf = found, found.csrf
    return found


def _page(request: AnyRequest, template: str, *, status: int = 200, **context: Any) -> Response[str]:
    there = local_path(request.query_params.get("next", "/"))
    session = getattr(request.state, "session", None)
    return bare(template, status=status, next=there, csrf=session.csrf if session else "", **{"wrong": "", **context})


def _told(request: AnyRequest, template: str, error: Exception, **context: Any) -> Response[str]:
    if isinstance(error, LockedOut):
        return _waits(_page(request, template, status=429, wrong=str(error), **context), error)
    return _page(request, template, status=400, wrong=str(error), **context)


def _waits(answer: Response[str], error: LockedOut) -> Response[str]:
    answer.headers["Retry-After"] = str(error.wait_s)
    return answer


def refuse_plain_http(request: AnyRequest) -> None:
    """Raises ``PermissionDeniedException`` where whoever is on the way would read passwords and cookies."""
    if not is_private(request) and not node_of(request).settings.access.plain_http:
        raise PermissionDeniedException(
            "Nobody signs in over http from another machine. Open the https address of this hub; whoever runs it names "
            "that in http.public_url, or allows this with access.plain_http."
        )


def _form(request: AnyRequest, *, status: int = 200, wrong: str = "") -> Response[str]:
    provider = node_of(request).provider
    company = provider.settings.title if provider is not None else ""
    return _page(request, "sign_in.html", status=status, title="Sign in", wrong=wrong, company=company)


@get("/sign-in", include_in_schema=False, sync_to_thread=False)
def asked(request: AnyRequest) -> Response[str]:
    """The form."""
    refuse_plain_http(request)
    return _form(request)


@post("/sign-in", include_in_schema=False, status_code=200)
async def signed_in(request: AnyRequest, body: bytes) -> Response[Any]:
    """A name and a password."""
    refuse_other_sites(request)
    refuse_plain_http(request)
    node, form = node_of(request), form_of(request, body)
    name, password = form.get("name", ""), form.get("password", "")

    def look(connection: Connection) -> str | None:
        return sessions.sign_in(connection, node.settings.access, name, password, where=where_of(request))

    try:
        token = await node.with_passwords(look)
    except LockedOut as error:
        return _waits(_form(request, status=429, wrong=str(error)), error)
    if token is None:
        return _form(request, status=401, wrong=WRONG)
    return go_on(request, token, local_path(request.query_params.get("next", "/")))


@get("/sign-in/code", include_in_schema=False)
async def code_asked(request: AnyRequest) -> Response[str]:
    """The form for a code."""
    await _session(request, "totp")
    return _page(request, "sign_in_code.html", title="Your code")


@post("/sign-in/code", include_in_schema=False, status_code=200)
async def code_shown(request: AnyRequest) -> Response[Any]:
    """A code of the authenticator, or a recovery code."""
    session = await _session(request, "totp")
    form = form_of(request, await request.body())
    return await _step(request, session, "sign_in_code.html", "Your code", partial(_prove, request, session, form))


def _prove(request: AnyRequest, session: Session, form: dict[str, str], connection: Connection) -> str:
    access, code = node_of(request).settings.access, form.get("code", "")
    token = sessions.prove(connection, access, session, code, sealer_of(request), where=where_of(request))
    if token is None:
        raise TillwireError("That is not the code of now, or it was used already.")
    return token


@get("/sign-in/password", include_in_schema=False)
async def password_asked(request: AnyRequest) -> Response[str]:
    """The form for another password."""
    await _session(request, "password")
    return _page(request, "sign_in_password.html", title="A password of your own")


@post("/sign-in/password", include_in_schema=False, status_code=200)
async def password_changed(request: AnyRequest) -> Response[Any]:
    """A password in the place of the one that somebody else knows."""
    session = await _session(request, "password")
    form = form_of(request, await request.body())

    def change(connection: Connection) -> str:
        if form.get("password") != form.get("again"):
            raise TillwireError("The two are not the same.")
        name, given = session.principal.name, form.get("password", "")
        people.set_password(connection, name, given, by=session.principal, but=session.digest)
        return sessions.step_on(connection, node_of(request).settings.access, session, where=where_of(request))

    return await _step(request, session, "sign_in_password.html", "A password of your own", change)


@get("/sign-in/enrol", include_in_schema=False)
async def enrol_asked(request: AnyRequest) -> Response[str]:
    """A secret for an authenticator, as a picture and as text."""
    session = await _session(request, "enrol")
    return await asyncio.to_thread(_enrolling, request, session, "")


def _enrolling(request: AnyRequest, session: Session, wrong: str) -> Response[str]:
    with node_of(request).reading() as connection:
        secret = sessions.begin_enrolling(connection, session, sealer_of(request))
    picture = picture_of(secret, session.principal.name)
    title = "An authenticator"
    return _page(request, "sign_in_enrol.html", title=title, secret=secret, picture=picture, wrong=wrong)


def picture_of(secret: str, name: str) -> Markup:
    """A QR code for an authenticator, without a style of its own."""
    made = segno.make(people.address_of(secret, name, "Tillwire"), error="m")
    looks = {"border": QUIET, "dark": "#000", "light": "#fff", "svgclass": "qr", "lineclass": None}
    return Markup(made.svg_inline(omitsize=True, **looks))


@post("/sign-in/enrol", include_in_schema=False, status_code=200)
async def enrolled(request: AnyRequest) -> Response[Any]:
    """A code that shows that the authenticator has the secret; answered by recovery codes, once."""
    session = await _session(request, "enrol")
    form = form_of(request, await request.body())

    def enrol() -> Response[Any]:
        node, sealer = node_of(request), sealer_of(request)
        try:
            with node.reading() as connection:
                secret = sessions.begin_enrolling(connection, session, sealer)
                codes = people.enrol(connection, session.principal.name, secret, form.get("code", "").strip(), sealer)
                token = sessions.step_on(connection, node.settings.access, session, where=where_of(request))
        except TransientError:
            raise
        except TillwireError as error:
            return _enrolling(request, session, str(error))
        node.signed_in.forget(session.digest)
        answer = _page(request, "sign_in_codes.html", title="Recovery codes", codes=codes)
        answer.cookies.append(cookie(request, token))
        return answer

    return await asyncio.to_thread(enrol)


async def _step(
    request: AnyRequest, session: Session, template: str, title: str, work: Callable[[Connection], str]
) -> Response[Any]:
    try:
        token = await node_of(request).with_passwords(work)
    except TransientError:
        raise
    except TillwireError as error:
        return _told(request, template, error, title=title)
    node_of(request).signed_in.forget(session.digest)
    return go_on(request, token, local_path(request.query_params.get("next", "/")))


@post("/sign-out", include_in_schema=False, status_code=200)
async def signed_out(request: AnyRequest) -> Response[Any]:
    """The session ends."""
    session = await _session(request, "full", "totp", "enrol", "password")
    form_of(request, await request.body())

    def end() -> None:
        with node_of(request).reading() as connection:
            sessions.sign_out(connection, session.digest)

    await asyncio.to_thread(end)
    node_of(request).signed_in.forget(session.digest)
    return Redirect(f"/sign-in?{urlencode({'next': '/'})}", status_code=303, cookies=[cookie(request, None)])


ROUTES = (
    asked, signed_in, code_asked, code_shown, password_asked, password_changed, enrol_asked, enrolled, signed_out,
)  # fmt: skip
