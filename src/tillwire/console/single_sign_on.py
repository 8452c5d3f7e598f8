"""``/sign-in/oidc``: to the company's own sign-in, and back."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import structlog
from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.response import Redirect

from tillwire.console.shell import AnyRequest, bare, node_of
from tillwire.console.sign_in import local_path, refuse_plain_http, where_of
from tillwire.errors import TransientError
from tillwire.governance import sessions
from tillwire.governance.oidc import GOOD_S, Attempt, Provider, SignInRefused
from tillwire.governance.sessions import NotLetIn
from tillwire.http.signed_in import cookie, name_of

_log = structlog.get_logger(__name__)
_ON_THE_WAY = "-oidc"
"""The suffix of the cookie that an attempt is carried in."""


def _provider(request: AnyRequest) -> Provider:
    found = node_of(request).provider
    if found is None:
        raise NotFoundException("no company's sign-in is set here (access.oidc)")
    return found


@get("/sign-in/oidc", include_in_schema=False, sync_to_thread=True)
def begun(request: AnyRequest) -> Response[Any]:
    """On to the provider. The browser carries what its answer is looked at by."""
    provider = _provider(request)
    refuse_plain_http(request)
    try:
        there, carried = provider.begin(local_path(request.query_params.get("next", "/")))
    except SignInRefused as refused:
        return _refused(request, refused)
    except TransientError as error:
        return _away(error)
    made = cookie(request, carried, _ON_THE_WAY, GOOD_S)
    return Redirect(there, status_code=303, cookies=[made])


@get("/sign-in/oidc/callback", include_in_schema=False, sync_to_thread=True)
def come_back(request: AnyRequest) -> Response[Any]:
    """From the provider, with a code that says who it is; each attempt is good once."""
    provider, node = _provider(request), node_of(request)
    try:
        answer = _answer(request)
        attempt = provider.attempt(request.cookies.get(name_of(request, _ON_THE_WAY), ""), answer)
        _refuse_second(request, attempt)
    except SignInRefused as refused:
        return _refused(request, refused)
    try:
        identity = provider.finish(attempt, answer)
    except SignInRefused as refused:
        return _refused(request, refused)
    except TransientError as error:
        return _away(error)
    try:
        with node.reading() as connection:
            token = sessions.sign_in_as(connection, node.settings.access, identity, where=where_of(request))
    except NotLetIn as error:
        return _told(request, 403, "Not let in", str(error))
    gone = cookie(request, None, _ON_THE_WAY)
    return Redirect(attempt.there, status_code=303, cookies=[cookie(request, token), gone])


def _answer(request: AnyRequest) -> dict[str, str]:
    """The parameters of an answer, each of which may be there once (RFC 6749, 3.1)."""
    pairs = parse_qsl(request.url.query or "", keep_blank_values=True)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise SignInRefused("the answer has a parameter more than once")
    return found


def _refuse_second(request: AnyRequest, attempt: Attempt) -> None:
    with node_of(request).reading() as connection:
        if not sessions.use_once(connection, attempt.digest, attempt.ends_at):
            raise SignInRefused("the attempt has come back before")


def _refused(request: AnyRequest, why: SignInRefused) -> Response[Any]:
    """The log has the reason; whoever tries to get in learns nothing by it."""
    _log.warning("sign_in_refused", reason=str(why), address=where_of(request).address)
    detail = "The answer of the company's sign-in could not be verified. Try again; the hub's log says why it was not."
    return _told(request, 403, "Not signed in", detail)


def _away(error: TransientError) -> Response[Any]:
    _log.warning("sign_in_provider_away", error=str(error))
    headers = {"Retry-After": str(max(1, round(error.retry_after_s or 1)))}
    detail = "The company's sign-in does not answer. Try again in a moment, or sign in by a password of this hub."
    return bare("sign_in_refused.html", status=503, headers=headers, title="Not signed in", detail=detail)


def _told(request: AnyRequest, status: int, title: str, detail: str) -> Response[Any]:
    answer = bare("sign_in_refused.html", status=status, title=title, detail=detail)
    answer.cookies.append(cookie(request, None, _ON_THE_WAY))
    return answer


ROUTES = (begun, come_back)
