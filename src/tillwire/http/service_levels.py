"""Service levels and alerts over HTTP, each within the reach of who asks; silences by who may make them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from litestar import MediaType, Request, Response, get, post
from litestar.exceptions import NotFoundException, ValidationException
from litestar.params import Parameter
from msgspec import Meta

from tillwire import clock
from tillwire.errors import TillwireError
from tillwire.governance import audit
from tillwire.governance.access import Operation
from tillwire.http.access import needs, principal_of, reach_of
from tillwire.http.node import Node
from tillwire.http.problem import problem, respond
from tillwire.intake.door import pointer_of
from tillwire.observability import alerts as service
from tillwire.observability.alerts import OPEN, SilenceRefused
from tillwire.observability.figures import FIGURES
from tillwire.observability.history import Grain, history
from tillwire.observability.levels import levels, of_stores

AnyRequest = Request[Any, Any, Any]
_Store = Annotated[str | None, Parameter(max_length=64, pattern=r"^[^\x00]*$")]
_Figure = Annotated[str, Parameter(max_length=64, pattern=r"^[a-z_]*$")]
_Part = Annotated[str, Parameter(max_length=512, pattern=r"^[^\x00]*$")]
_At = Annotated[datetime | None, Parameter(description="RFC 3339 with an offset")]
_Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
_STATES = {"open": OPEN, "firing": ("firing",), "resolved": ("resolved",), "all": (*OPEN, "resolved")}

MOST_POINTS = 5_000


class NewSilence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Alerts that are not to be told until some time. Who reaches some stores only names those, by their numbers."""

    until: Annotated[datetime, Meta(tz=True)]
    reason: Annotated[str, Meta(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]
    alerts: _Text = "*"
    """Names of alerts, with * and ?."""
    keys: _Text = "*"
    """What they are about: an ERP, an owner, a currency, a store; with * and ?."""
    stores: Annotated[tuple[_Text, ...], Meta(min_length=1, max_length=1000)] = ("*",)
    """An alert is silenced if each of its stores fits one of these."""


class BodyRefused(TillwireError):
    """A body that is not what the route takes; ``pointer`` is a JSON pointer into it."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


def on_refused(request: AnyRequest, error: SilenceRefused) -> Response[bytes]:
    """422: what the silence says cannot be."""
    return respond(problem(422, "silence refused", str(error)))


def on_bad_body(request: AnyRequest, error: BodyRefused) -> Response[bytes]:
    """422: the body is wrong in itself."""
    return respond(problem(422, "invalid request", str(error), pointer=error.pointer or None))


def _json(content: Any, status: int = 200) -> Response[bytes]:
    return Response(msgspec.json.encode(content), media_type=MediaType.JSON, status_code=status)


@get(
    "/service-levels",
    summary="Service levels",
    tags=["service levels"],
    sync_to_thread=True,
    opt=needs(Operation.READ_SERVICE_LEVELS),
)
def service_levels(request: AnyRequest, store: _Store = None) -> Response[bytes]:
    """Every figure and objective as it is now: of the hub, of a store, or of the stores within reach together."""
    node: Node = request.app.state.node
    with node.reading() as connection:
        return _json(
            levels(connection, node.settings.objectives, clock.now(), reach=reach_of(request), store=store),
        )


def _known(figure: str) -> None:
    if figure not in FIGURES:
        raise NotFoundException(f"there is no figure {figure!r}; GET /v1/service-levels has them")


@get(
    "/service-levels/{figure:str}",
    summary="A figure's history",
    tags=["service levels"],
    sync_to_thread=True,
    opt=needs(Operation.READ_SERVICE_LEVELS),
)
def figure_history(
    request: AnyRequest,
    figure: _Figure,
    since: _At = None,
    until: _At = None,
    grain: Literal["minute", "hour", "day"] = "hour",
    part: _Part = "",
    store: _Store = None,
) -> Response[bytes]:
    """By the minute, hour or day (UTC), a day back if nothing else is asked for. Of stores the hour is the finest."""
    _known(figure)
    now = clock.now()
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise ValidationException(f"{name}: {moment.isoformat()} is in no time zone; add Z or an offset")
    end = until or now
    begin = since or end - timedelta(days=1)
    lengths: dict[Grain, timedelta] = {
        "minute": timedelta(minutes=1),
        "hour": timedelta(hours=1),
        "day": timedelta(days=1),
    }
    if (end - begin) / lengths[grain] > MOST_POINTS:
        raise ValidationException(f"since: more than {MOST_POINTS} points; ask for less time, or for a coarser grain")
    node: Node = request.app.state.node
    with node.reading() as connection:
        found = history(
            connection,
            figure,
            since=begin,
            until=end,
            grain=grain,
            part=part,
            store=store,
            reach=reach_of(request),
        )
    return _json(found)


@get(
    "/service-levels/{figure:str}/stores",
    summary="A figure by store",
    tags=["service levels"],
    sync_to_thread=True,
    opt=needs(Operation.READ_SERVICE_LEVELS),
)
def figure_by_store(request: AnyRequest, figure: _Figure, store: _Store = None) -> Response[bytes]:
    """A figure as it is now of every store within reach that has it."""
    _known(figure)
    node: Node = request.app.state.node
    with node.reading() as connection:
        return _json(of_stores(connection, figure, clock.now(), reach=reach_of(request), store=store))


@get("/alerts", summary="Alerts", tags=["alerts"], sync_to_thread=True, opt=needs(Operation.READ_SERVICE_LEVELS))
def listed(
    request: AnyRequest,
    status: Annotated[Literal["open", "firing", "resolved", "all"], Parameter(query="state")] = "open",
    store: _Store = None,
    most: Annotated[int, Parameter(ge=1, le=1000)] = 200,
) -> Response[bytes]:
    """Alerts that are about a store within reach, with the stores and the money of those; who reaches all sees all."""
    node: Node = request.app.state.node
    with node.reading() as connection:
        found = service.alerts(
            connection, reach_of(request), states=_STATES[status], now=clock.now(), store=store, most=most
        )
    return _json(found)


@get(
    "/alerts/silences",
    summary="Silences in force",
    tags=["alerts"],
    sync_to_thread=True,
    opt=needs(Operation.READ_SERVICE_LEVELS),
)
def silences(request: AnyRequest) -> Response[bytes]:
    """What is not told at present, until when, why, and by whom it was silenced."""
    node: Node = request.app.state.node
    with node.reading() as connection:
        return _json(service.silences(connection, clock.now(), reach_of(request)))


@post(
    "/alerts/silences",
    summary="Silence alerts",
    tags=["alerts"],
    sync_to_thread=True,
    status_code=201,
    opt=needs(Operation.SILENCE_ALERTS),
)
def silence(request: AnyRequest, body: bytes) -> Response[bytes]:
    """Keep alerts from being told until some time. They go on, are shown, and count in every figure."""
    try:
        asked = msgspec.json.decode(body or b"{}", type=NewSilence)
    except msgspec.ValidationError as error:
        raise BodyRefused(*pointer_of(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BodyRefused(f"malformed JSON: {error}") from error
    node, who = request.app.state.node, principal_of(request)
    with node.reading() as connection, connection.transaction():
        made = service.silence(
            connection,
            until=asked.until,
            reason=asked.reason,
            by=who.name,
            now=clock.now(),
            alerts=asked.alerts,
            keys=asked.keys,
            stores=asked.stores,
            reach=reach_of(request),
        )
        told = {"alerts": made.alerts, "keys": made.keys, "stores": made.stores, "until": made.until.isoformat()}
        audit.note(connection, who, "silence alerts", f"silence {made.silence_id}", told)
    return _json(made, 201)


@post(
    "/alerts/silences/{silence_id:int}/end",
    summary="End a silence",
    tags=["alerts"],
    sync_to_thread=True,
    status_code=200,
    opt=needs(Operation.SILENCE_ALERTS),
)
def end_silence(request: AnyRequest, silence_id: Annotated[int, Parameter(ge=1, le=2**62)]) -> Response[bytes]:
    """Let alerts be told again from now on."""
    node, who = request.app.state.node, principal_of(request)
    with node.reading() as connection, connection.transaction():
        try:
            service.unsilence(connection, silence_id, by=who.name, now=clock.now(), reach=reach_of(request))
        except SilenceRefused as error:
            raise NotFoundException(str(error)) from error
        audit.note(connection, who, "end silence", f"silence {silence_id}")
    return _json({"ended": silence_id})


ROUTES: list[Any] = [service_levels, figure_history, figure_by_store, listed, silences, silence, end_silence]
