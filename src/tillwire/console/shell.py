"""What every page has: who looks at it, the menu, figures in the right words, and headers that keep others out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import jinja2
import msgspec
import structlog
from litestar import MediaType, Request, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import ClientException, HTTPException, NotAuthorizedException, PermissionDeniedException
from litestar.handlers.base import BaseRouteHandler
from litestar.response import Redirect

import tillwire
from tillwire import clock
from tillwire.console import assets, charts, numbers
from tillwire.console.navigation import sections_of
from tillwire.errors import TransientError
from tillwire.governance.access import Operation
from tillwire.http.access import NEEDS, caller, principal_of, same
from tillwire.http.node import Node

FORM = "application/x-www-form-urlencoded"
AnyRequest = Request[Any, Any, Any]
_log = structlog.get_logger(__name__)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every page: nothing from elsewhere, no script or style but files of ours, in nobody's frame, kept nowhere."""


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("tillwire.console", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "asset": assets.address,
        "version": tillwire.__version__,
        "charts": charts,
        "ago": numbers.ago,
        "duration": numbers.duration,
        "now": clock.now,
        "Operation": Operation,
        "zip": zip,
    }
    made.filters |= {"path": lambda text: quote(str(text), safe=""), "pretty": pretty}
    return made


def pretty(raw: Any) -> str:
    """JSON for people to read; what is none, as it is."""
    body = bytes(raw) if isinstance(raw, (msgspec.Raw, bytes)) else None
    try:
        if body is None:
            body = raw.encode() if isinstance(raw, str) else msgspec.json.encode(raw)
        return msgspec.json.format(body, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode("utf-8", "replace") if body is not None else str(raw)


class Words:
    """Figures as whoever looks reads them: bound to a locale."""

    def __init__(self, locale: str, of_companies: Mapping[str, str]) -> None:
        self.locale = locale
        self._of_companies = of_companies

    def _of(self, company: str | None) -> str:
        return self._of_companies.get(company or "", self.locale)

    def money(self, amount: Any, currency: Any, company: str | None = None) -> str:
        """An amount in its currency."""
        return numbers.money(amount, currency, self._of(company))

    def number(self, value: Any, company: str | None = None) -> str:
        """A number."""
        return numbers.number(value, self._of(company))

    def compact(self, value: Any) -> str:
        """A number as a chart has it."""
        return numbers.compact(value, self.locale)

    def day(self, value: Any) -> str:
        """A business date."""
        return numbers.day(value, self.locale)

    def moment(self, value: Any, zone: str = "UTC") -> str:
        """An instant on the clocks of a zone."""
        return numbers.moment(value, self.locale, zone)


def words_of(request: AnyRequest) -> Words:
    """The words of this hub."""
    settings = request.app.state.node.settings.console
    return Words(settings.locale.replace("-", "_"), settings.locales)


def render(request: AnyRequest, template: str, *, status: int = 200, **context: Any) -> Response[str]:
    """A page. ``context`` is the template's; each has ``words``, ``principal``, ``may``, ``sections`` and ``url``."""
    principal = principal_of(request)
    text = (
        _environment()
        .get_template(template)
        .render(
            request=request,
            principal=principal,
            may=principal.may,
            sections=sections_of(principal),
            here=request.url.path,
            words=words_of(request),
            url=lambda **changes: address_with(request, **changes),
            csrf=getattr(request.state, "csrf", ""),
            **context,
        )
    )
    return Response(text, media_type=MediaType.HTML, status_code=status, headers=HEADERS)


def bare(
    template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any
) -> Response[str]:
    """A page for who is not signed in: no menu, nothing of the hub."""
    text = _environment().get_template(template).render(**context)
    return Response(text, media_type=MediaType.HTML, status_code=status, headers=HEADERS | dict(headers or {}))


def address_with(request: AnyRequest, **changes: Any) -> str:
    """This page's address with other parameters; None takes one away."""
    asked = {name: value for name, value in request.query_params.items() if name not in changes}
    asked |= {name: value for name, value in changes.items() if value is not None and value != ""}
    return request.url.path + ("?" + urlencode(asked) if asked else "")


def form_of(request: AnyRequest, body: bytes) -> dict[str, str]:
    """The fields of a form, each once. Raises ``ClientException`` for what is no form, and
    ``PermissionDeniedException`` for one that no page of this session has made.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise ClientException(f"send a form ({FORM})")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=100)
    except ValueError as error:
        raise ClientException(f"the form cannot be read: {error}") from error
    if any("\x00" in value for _, value in fields):
        raise ClientException("the form has a character U+0000")
    form = dict(fields)
    csrf = getattr(request.state, "csrf", "")
    if csrf and not same(form.get("csrf", ""), csrf):
        raise PermissionDeniedException("the form is not of this session: open the page again")
    return form


def seen(path: str, told: str) -> Response[Any]:
    """On to another page, which says what was done."""
    return Redirect(f"{path}?{urlencode({'told': told})}", status_code=303)


def stop(request: AnyRequest, why: str, back: str) -> Response[str]:
    """Nothing was done, and why."""
    return render(request, "stopped.html", status=409, title="Not done", why=why, back=back)


async def page_granted(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard of pages: as that of the API, told in pages."""
    if any("\x00" in text for pair in connection.query_params.multi_items() for text in pair):
        raise ClientException("the address has a character U+0000")
    principal = await caller(connection)
    session = getattr(connection.state, "session", None)
    if principal is None:
        raise NotAuthorizedException("nobody is signed in")
    connection.state.principal = principal
    connection.state.csrf = session.csrf if session is not None else ""
    operation = handler.opt.get(NEEDS)
    if operation is None or not principal.may(operation):
        raise PermissionDeniedException(f"{principal.name} has no grant for {operation or 'this page'}")


STAGES = {"totp": "/sign-in/code", "enrol": "/sign-in/enrol", "password": "/sign-in/password"}
"""Where somebody goes on who is on the way to be signed in."""

_TITLES = {
    400: "That did not work",
    401: "Nobody is signed in",
    403: "Not yours to open",
    404: "There is nothing here",
    405: "That did not work",
    409: "Not done",
    413: "Too much at once",
    422: "That did not work",
    503: "The database is away",
}


def told(request: AnyRequest, status: int, detail: str) -> Response[str]:
    """An error as a page."""
    title = _TITLES.get(status, "Something broke")
    if getattr(request.state, "principal", None) is None:
        return bare("bare_error.html", status=status, title=title, detail=detail, code=status)
    return render(request, "error.html", status=status, title=title, detail=detail, code=status)


def on_http_exception(request: AnyRequest, error: HTTPException) -> Response[Any]:
    """What the framework, a guard or a page refuses. Who is not signed in is sent to do so, and comes back."""
    if error.status_code == 401 and request.method == "GET":
        session = getattr(request.state, "session", None)
        there = STAGES.get(session.stage, "/sign-in") if session is not None else "/sign-in"
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return Redirect(f"{there}?{urlencode({'next': wanted})}", status_code=303)
    principal = getattr(request.state, "principal", None)
    if error.status_code == 403 and request.method == "GET" and request.url.path == "/" and principal is not None:
        first = next(iter(sections_of(principal)), None)  # the overview is not everybody's first page
        if first is not None:
            return Redirect(first.path, status_code=303)
    return told(request, error.status_code, error.detail or "")


def on_transient(request: AnyRequest, error: TransientError) -> Response[str]:
    """What can be tried again in a moment; the page tries by itself."""
    answer = told(request, 503, f"{error}. Sales are not lost: what was acknowledged is on disk.")
    answer.headers["Retry-After"] = str(max(1, round(error.retry_after_s or 1)))
    return answer


def on_unexpected(request: AnyRequest, error: Exception) -> Response[str]:
    """A fault of ours: logged in full, told without its inside."""
    _log.error("page_failed", path=request.url.path, exc_info=error)
    return told(request, 500, "The hub failed to make this page; its log says why.")


def node_of(request: AnyRequest) -> Node:
    """The process that answers."""
    node: Node = request.app.state.node
    return node
