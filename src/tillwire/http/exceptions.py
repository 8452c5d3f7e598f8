"""The exception queue over HTTP: what is in it, by root cause, and the fixes, each with its dry run.

Who acts is the API client whose key it is; a second person is another client.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from litestar import MediaType, Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import Parameter

from tillwire import bootstrap, clock
from tillwire.exceptions import fixes, queue
from tillwire.exceptions.fixes import Fixed
from tillwire.exceptions.held import FixRefused, NoSuchException, PayloadRefused
from tillwire.governance.access import Operation, Reach
from tillwire.http.access import needs, principal_of, reach_of
from tillwire.http.node import Node
from tillwire.http.problem import problem, respond

AnyRequest = Request[Any, Any, Any]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]
Id = Annotated[int, Parameter(ge=1, le=2**62)]
State = Literal["open", "waiting", "retrying", "approval", "resolved", "dismissed", "superseded", "all"]
_TEXT: dict[str, Any] = {"max_length": 500, "pattern": r"^[^\x00]*$"}


class Edit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An edited payload: the whole event as it should have been. ``dry_run``: show what it would do, and do nothing."""

    payload: msgspec.Raw
    reason: Text
    dry_run: bool = False


class Reasoned(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decision with its reason."""

    reason: Text


class Approval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An approval, with a note if there is something to say."""

    note: Annotated[str, msgspec.Meta(max_length=2000, pattern=r"^[^\x00]*$")] = ""


class Assignment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who works an exception; none: nobody does any more."""

    to: Text | None = None


class Records(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Proposed master records and mappings, as the events that would bring them."""

    records: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=100)]


class _BadBody(PayloadRefused):
    """A request body that is not what the route takes."""


def on_refused(request: AnyRequest, error: FixRefused) -> Response[bytes]:
    """409: the exception is in no state for it, or who asks may not; 422 where the body is wrong in itself."""
    if isinstance(error, _BadBody):
        return respond(problem(422, "invalid request", str(error), pointer=error.pointer or None))
    if isinstance(error, PayloadRefused):
        return respond(problem(422, "invalid payload", str(error), pointer="/payload" + error.pointer))
    return respond(problem(409, "fix refused", str(error)))


def on_missing(request: AnyRequest, error: NoSuchException) -> Response[bytes]:
    """404: there is no such exception."""
    return respond(problem(404, "not found", str(error)))


def _json(content: Any) -> Response[bytes]:
    return Response(msgspec.json.encode(content), media_type=MediaType.JSON, status_code=200)


def _read(body: bytes, kind: Any) -> Any:
    from tillwire.intake.door import pointer_of

    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise _BadBody(*pointer_of(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _BadBody(f"malformed JSON: {error}") from error


def _who(request: AnyRequest) -> tuple[Node, str]:
    node: Node = request.app.state.node
    return node, principal_of(request).name


@get(
    "/exceptions",
    summary="The exception queue",
    tags=["exceptions"],
    sync_to_thread=True,
    opt=needs(Operation.READ_EXCEPTIONS),
)
def listed(
    request: AnyRequest,
    status: Annotated[State, Parameter(query="state")] = "open",
    code: Annotated[str | None, Parameter(query="code", max_length=64, pattern=r"^[a-z_]*$")] = None,
    cause: Annotated[str | None, Parameter(query="cause", **_TEXT)] = None,
    owner: Annotated[str | None, Parameter(query="owner", **_TEXT)] = None,
    store: Annotated[str | None, Parameter(query="store", **_TEXT)] = None,
    assigned: Annotated[str | None, Parameter(query="assigned", **_TEXT)] = None,
    severity: Annotated[Literal["blocking", "warning"] | None, Parameter(query="severity")] = None,
    least: Annotated[int | None, Parameter(query="least", ge=0, le=10**15)] = None,
    older_than_hours: Annotated[int | None, Parameter(query="older_than_hours", ge=0, le=10**6)] = None,
    overdue: Annotated[bool, Parameter(query="overdue")] = False,
    after: Annotated[int, Parameter(query="after", ge=0, le=2**62)] = 0,
    most: Annotated[int, Parameter(query="most", ge=1, le=1000)] = 100,
) -> Response[bytes]:
    """Exceptions in the order they were raised, open ones if no state is asked for; page on with the last id as
    ``after``. ``least`` is money at risk in each exception's own currency.
    """
    node: Node = request.app.state.node
    now = clock.now()
    wanted = queue.Filter(
        states=None if status == "all" else (status,),
        code=code,
        cause=cause,
        owner=owner,
        store=store,
        assigned=assigned,
        severity=severity,
        least=None if least is None else Decimal(least),
        before=None if older_than_hours is None else now - timedelta(hours=older_than_hours),
        overdue_at=now if overdue else None,
        reach=reach_of(request),
        after=after,
        most=most,
    )
    with node.reading() as connection:
        return _json(queue.found(connection, wanted, node.settings.exceptions.service_levels))


@get(
    "/exceptions/causes",
    summary="The queue by root cause",
    tags=["exceptions"],
    sync_to_thread=True,
    opt=needs(Operation.READ_EXCEPTIONS),
)
def by_cause(
    request: AnyRequest,
    owner: Annotated[str | None, Parameter(query="owner", **_TEXT)] = None,
    store: Annotated[str | None, Parameter(query="store", **_TEXT)] = None,
) -> Response[bytes]:
    """What one fix each would mend, most money at risk first. ``name`` is a cause's name in addresses."""
    node: Node = request.app.state.node
    with node.reading() as connection:
        return _json(queue.causes(connection, owner=owner, store=store, reach=reach_of(request)))


@get(
    "/exceptions/{exception_id:int}",
    summary="One exception",
    tags=["exceptions"],
    sync_to_thread=True,
    opt=needs(Operation.READ_EXCEPTIONS),
)
def shown(request: AnyRequest, exception_id: Id) -> Response[bytes]:
    """Every fault, the payload as it was accepted, the fixes, and the audit trail."""
    node: Node = request.app.state.node
    with node.reading() as connection:
        levels = node.settings.exceptions.service_levels
        found = queue.detail(connection, exception_id, levels=levels, reach=reach_of(request))
    if found is None:
        raise NotFoundException(f"there is no exception {exception_id}")
    return _json(found)


@post(
    "/exceptions/{exception_id:int}/edit",
    summary="Edit a payload",
    tags=["exceptions"],
    sync_to_thread=True,
    opt=needs(Operation.WORK_EXCEPTIONS),
)
def edit(request: AnyRequest, exception_id: Id, body: bytes) -> Response[bytes]:
    """Process an edited payload in the place of what was accepted, which is kept; with ``dry_run`` only show what it
    would do. An edit that moves more money than the limit waits for approval.
    """
    asked: Edit = _read(body, Edit)
    node, by = _who(request)
    limit, reach = node.settings.exceptions.second_person_above, reach_of(request)
    payload = bytes(asked.payload)
    with node.reading() as connection:
        if asked.dry_run:
            rehearsal = bootstrap.rehearsal(connection, node.settings, reach)
            return _json(rehearsal.of_edit(exception_id, payload, limit=limit))
        reason = asked.reason
        return _json(fixes.edit(connection, exception_id, payload, by=by, reason=reason, limit=limit, reach=reach))


@post(
    "/exceptions/{exception_id:int}/dry-run",
    summary="Show a retry",
    tags=["exceptions"],
    sync_to_thread=True,
    opt=needs(Operation.READ_EXCEPTIONS),
)
def rehearsed(request: AnyRequest, exception_id: Id) -> Response[bytes]:
    """The events, journal lines and stock that processing it again would make, or what would still be wrong."""
    node: Node = request.app.state.node
    with node.reading() as connection:
        rehearsal = bootstrap.rehearsal(connection, node.settings, reach_of(request))
        return _json(rehearsal.of_retry(exception_id=exception_id))


@post(
    "/exceptions/dry-run",
    summary="Show master data",
    tags=["exceptions"],
    sync_to_thread=True,
    opt=needs(Operation.READ_EXCEPTIONS),
)
def rehearsed_records(request: AnyRequest, body: bytes) -> Response[bytes]:
    """Which exceptions proposed master records would clear, and what would be recorded."""
    asked: Records = _read(body, Records)
    node: Node = request.app.state.node
    with node.reading() as connection:
        records = [bytes(record) for record in asked.records]
        return _json(bootstrap.rehearsal(connection, node.settings, reach_of(request)).of_master_data(records))


@post(
    "/exceptions/{exception_id:int}/retry",
    summary="Process again",
    tags=["exceptions"],
    sync_to_thread=True,
    opt=needs(Operation.WORK_EXCEPTIONS),
)
def retry(request: AnyRequest, exception_id: Id) -> Response[bytes]:
    """Back to the workers, after its cause was mended."""
    node, by = _who(request)
    reach = reach_of(request)
    with node.reading() as connection:
        if not queue.retry(connection, exception_id=exception_id, by=by, reach=reach):
            found = queue.detail(connection, exception_id, reach=reach)
            if found is None:
                raise NotFoundException(f"there is no exception {exception_id}")
            row = found.exception
            raise FixRefused(f"exception {exception_id} is {row.state} ({row.code}, {row.severity}): no retry")
    return _json(Fixed(exception_id=exception_id, state="retrying"))


@post(
    "/exceptions/{exception_id:int}/approve",
    summary="Approve a fix",
    tags=["exceptions"],
    sync_to_thread=True,
    opt=needs(Operation.APPROVE_FIXES),
)
def approve(request: AnyRequest, exception_id: Id, body: bytes) -> Response[bytes]:
    """Let a fix take effect that another client has proposed."""
    asked: Approval = _read(body, Approval)
    node, by = _who(request)
    with node.reading() as connection:
        return _json(fixes.approve(connection, exception_id, by=by, note=asked.note, reach=reach_of(request)))


@post(
    "/exceptions/{exception_id:int}/refuse",
    summary="Refuse a fix",
    tags=["exceptions"],
    sync_to_thread=True,
    opt=needs(Operation.APPROVE_FIXES),
)
def refuse(request: AnyRequest, exception_id: Id, body: bytes) -> Response[bytes]:
    """Turn down a fix that waits for approval; its own author withdraws it."""
    asked: Reasoned = _read(body, Reasoned)
    node, by = _who(request)
    with node.reading() as connection:
        return _json(fixes.refuse(connection, exception_id, by=by, reason=asked.reason, reach=reach_of(request)))


@post(
    "/exceptions/{exception_id:int}/dismiss",
    summary="Dismiss",
    tags=["exceptions"],
    sync_to_thread=True,
    opt=needs(Operation.WORK_EXCEPTIONS),
)
def dismiss(request: AnyRequest, exception_id: Id, body: bytes) -> Response[bytes]:
    """Close it without any effect, or acknowledge a warning. More money than the limit waits for approval."""
    asked: Reasoned = _read(body, Reasoned)
    node, by = _who(request)
    told: dict[str, Any] = {"by": by, "reason": asked.reason, "limit": node.settings.exceptions.second_person_above}
    with node.reading() as connection:
        return _json(fixes.dismiss(connection, exception_id, **told, reach=reach_of(request)))


@post(
    "/exceptions/{exception_id:int}/assign",
    summary="Assign",
    tags=["exceptions"],
    sync_to_thread=True,
    opt=needs(Operation.WORK_EXCEPTIONS),
)
def assign(request: AnyRequest, exception_id: Id, body: bytes) -> Response[bytes]:
    """Say who works it."""
    asked: Assignment = _read(body, Assignment)
    node, by = _who(request)
    with node.reading() as connection:
        return _json(fixes.assign(connection, exception_id, asked.to, by=by, reach=reach_of(request)))


Named = Annotated[str, Parameter(max_length=500, pattern=r"^[^\x00]*$")]


@post(
    "/exceptions/causes/{cause:str}/retry",
    summary="Process a cause",
    tags=["exceptions"],
    sync_to_thread=True,
    opt=needs(Operation.WORK_EXCEPTIONS),
)
def retry_cause(request: AnyRequest, cause: Named) -> Response[bytes]:
    """Everything of a root cause back to the workers, after it was mended."""
    node, by = _who(request)
    reach = reach_of(request)
    with node.reading() as connection:
        found = _cause(connection, cause, reach)
        return _json({"retrying": queue.retry(connection, cause=found, by=by, reach=reach)})


@post(
    "/exceptions/causes/{cause:str}/dismiss",
    summary="Dismiss a cause",
    tags=["exceptions"],
    sync_to_thread=True,
    opt=needs(Operation.WORK_EXCEPTIONS),
)
def dismiss_cause(request: AnyRequest, cause: Named, body: bytes) -> Response[bytes]:
    """Close everything of a root cause without any effect; more money together than the limit waits for approval."""
    asked: Reasoned = _read(body, Reasoned)
    node, by = _who(request)
    told: dict[str, Any] = {"by": by, "reason": asked.reason, "limit": node.settings.exceptions.second_person_above}
    reach = reach_of(request)
    with node.reading() as connection:
        found = _cause(connection, cause, reach)
        return _json(fixes.dismiss_cause(connection, found, **told, reach=reach))


def _cause(connection: Any, name: str, reach: Reach) -> str:
    found = None if "\x00" in name else queue.cause_named(connection, name, reach=reach)
    if found is None:
        raise NotFoundException(f"nothing in the queue has the cause {name!r}")
    return found


BODIES: dict[str, Any] = {
    "/v1/exceptions/{exception_id}/edit": Edit,
    "/v1/exceptions/dry-run": Records,
    "/v1/exceptions/{exception_id}/approve": Approval,
    "/v1/exceptions/{exception_id}/refuse": Reasoned,
    "/v1/exceptions/{exception_id}/dismiss": Reasoned,
    "/v1/exceptions/{exception_id}/assign": Assignment,
    "/v1/exceptions/causes/{cause}/dismiss": Reasoned,
}
"""What POST routes take; they read it themselves, so that the framework does not know it."""

ROUTES: list[Any] = [
    listed,
    by_cause,
    shown,
    edit,
    rehearsed,
    rehearsed_records,
    retry,
    approve,
    refuse,
    dismiss,
    assign,
    retry_cause,
    dismiss_cause,
]
