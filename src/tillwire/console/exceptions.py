"""``/exceptions``: the queue by cause, one by one and waiting for approval; and one cause, with what mends it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.exceptions import NotFoundException, PermissionDeniedException

from tillwire import bootstrap
from tillwire.console.exception_rows import AGAIN, CLOSED, MOST, ROWS, WAITS, Name, rehearsed
from tillwire.console.shell import AnyRequest, form_of, node_of, render, seen, stop
from tillwire.console.tables import Column, exported, table, wants_csv
from tillwire.exceptions import fixes, queue
from tillwire.exceptions.held import FixRefused, PayloadRefused
from tillwire.governance.access import Operation
from tillwire.http.access import needs, principal_of, reach_of

_OPT = needs(Operation.READ_EXCEPTIONS)

_CAUSES = (
    Column("cause", "Cause", lambda one: one.cause),
    Column("owner", "Owner", lambda one: one.owner),
    Column("exceptions", "Exceptions", lambda one: one.exceptions, numeric=True),
    Column("money", "Money at risk", lambda one: one.money[0].amount if one.money else Decimal(0), numeric=True),
    Column("oldest", "Oldest", lambda one: one.oldest),
)


@get("/exceptions", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_EXCEPTIONS))
def exceptions(request: AnyRequest) -> Response[Any]:
    """The queue: by cause, or (``view=list``, ``view=approval``) each by itself."""
    node, reach, asked = node_of(request), reach_of(request), request.query_params
    view = asked.get("view", "causes" if not asked.get("state") and not asked.get("store") else "list")
    owner, store = asked.get("owner") or None, asked.get("store") or None
    with node.reading() as connection:
        causes = queue.causes(connection, owner=owner, store=store, reach=reach)
        waiting = sum(cause.states["approval"] for cause in causes)
        if view == "causes":
            made = table(request, _CAUSES, causes, sort="money", descending=True)
        else:
            state = "approval" if view == "approval" else asked.get("state")
            states = (state,) if state in queue.STATES else queue.IN_QUEUE
            wanted = queue.Filter(states=states, owner=owner, store=store, most=MOST, reach=reach)
            rows = queue.found(connection, wanted, node.settings.exceptions.service_levels)
            made = table(request, ROWS, rows, sort="raised", descending=True)
    if wants_csv(request):
        return exported(made, "exceptions")
    owners = sorted({cause.owner for cause in causes} | ({owner} if owner else set()))
    return render(
        request,
        "exceptions.html",
        title="Exceptions",
        made=made,
        view=view,
        owners=owners,
        asked=asked,
        waiting=waiting,
        open_causes=len(causes),
        held=sum(cause.exceptions for cause in causes),
    )


@get(
    "/exceptions/{exception_id:int}", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_EXCEPTIONS)
)
def exception(request: AnyRequest, exception_id: int) -> Response[Any]:
    """One exception: what is wrong, the payload, its fixes, and everything that was done to it."""
    node = node_of(request)
    with node.reading() as connection:
        levels = node.settings.exceptions.service_levels
        found = queue.detail(connection, exception_id, levels=levels, reach=reach_of(request))
    if found is None:
        raise NotFoundException(f"there is no exception {exception_id} within your reach")
    return render(
        request,
        "exception.html",
        title=f"Exception {exception_id}",
        one=found.exception,
        found=found,
        name=queue.name_of(found.exception.cause),
        pending=[one for one in found.proposals if one.state == "waits"],
        states=queue.STATES,
        payload=_current(found),
    )


def _current(found: queue.ExceptionDetail) -> Any:
    """The payload that workers process: the newest edit that was applied, else what was accepted."""
    applied = [one.payload for one in found.proposals if one.kind == "edit" and one.state == "applied"]
    return applied[-1] if applied and applied[-1] is not None else found.raw


@post(
    "/exceptions/{exception_id:int}/{action:str}",
    include_in_schema=False,
    sync_to_thread=True,
    status_code=200,
    opt=needs(Operation.READ_EXCEPTIONS),
)
def act(request: AnyRequest, exception_id: int, action: Name, body: bytes) -> Response[Any]:
    """One of ``ACTIONS``: what it would do first, where it does something that is hard to take back."""
    if action not in ACTIONS:
        raise NotFoundException(f"there is no action {action}")
    operation, work = ACTIONS[action]
    principal = principal_of(request)
    if not principal.may(operation):
        raise PermissionDeniedException(f"{principal.name} has no grant for {operation}")
    try:
        return work(request, exception_id, form_of(request, body))
    except PayloadRefused as error:
        return stop(
            request, f"{error}" + (f" (at {error.pointer})" if error.pointer else ""), f"/exceptions/{exception_id}"
        )
    except FixRefused as error:
        return stop(request, str(error), f"/exceptions/{exception_id}")


def _retry(request: AnyRequest, exception_id: int, form: dict[str, str]) -> Response[Any]:
    node, reach = node_of(request), reach_of(request, Operation.WORK_EXCEPTIONS)
    with node.reading() as connection:
        if form.get("sure"):
            if not queue.retry(connection, exception_id=exception_id, by=principal_of(request).name, reach=reach):
                raise FixRefused(f"exception {exception_id} is in no state in which it can be processed again")
            return seen(f"/exceptions/{exception_id}", "It is on its way through the workers again")
        shown = rehearsed(
            lambda: bootstrap.rehearsal(connection, node.settings, reach).of_retry(exception_id=exception_id)
        )
    return render(
        request,
        "sure.html",
        title="Process again",
        what=f"Process exception {exception_id} again",
        run=shown,
        action=f"/exceptions/{exception_id}/retry",
        given={},
        back=f"/exceptions/{exception_id}",
        danger=False,
        words_of_it=AGAIN,
    )


def _edit(request: AnyRequest, exception_id: int, form: dict[str, str]) -> Response[Any]:
    node, reach = node_of(request), reach_of(request, Operation.WORK_EXCEPTIONS)
    payload, reason = form.get("payload", ""), form.get("reason", "")
    limit = node.settings.exceptions.second_person_above
    try:
        written = msgspec.json.encode(msgspec.json.decode(payload, type=msgspec.Raw))
        written = msgspec.json.format(written, indent=0)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadRefused(f"the payload is no JSON: {error}") from error
    with node.reading() as connection:
        if form.get("sure"):
            by = principal_of(request).name
            done = fixes.edit(connection, exception_id, written, by=by, reason=reason, limit=limit, reach=reach)
            told = (
                "It waits for a second person"
                if done.state == queue.APPROVAL
                else "The edit is on its way through the workers"
            )
            return seen(f"/exceptions/{exception_id}", told)
        shown = bootstrap.rehearsal(connection, node.settings, reach).of_edit(exception_id, written, limit=limit)
    return render(
        request,
        "sure.html",
        title="Edit",
        what=f"Edit the payload of exception {exception_id}",
        run=shown,
        action=f"/exceptions/{exception_id}/edit",
        given={"payload": payload, "reason": reason},
        back=f"/exceptions/{exception_id}",
        danger=False,
        words_of_it="What was accepted is kept; the edit is processed in its place.",
    )


def _dismiss(request: AnyRequest, exception_id: int, form: dict[str, str]) -> Response[Any]:
    node, reach = node_of(request), reach_of(request, Operation.WORK_EXCEPTIONS)
    limit, reason = node.settings.exceptions.second_person_above, form.get("reason", "")
    with node.reading() as connection:
        if form.get("sure"):
            by = principal_of(request).name
            done = fixes.dismiss(connection, exception_id, by=by, reason=reason, limit=limit, reach=reach)
            told = WAITS if done.state == queue.APPROVAL else "It is dismissed"
            return seen(f"/exceptions/{exception_id}", told)
        found = queue.detail(connection, exception_id, reach=reach)
    if found is None:
        raise FixRefused(f"there is no exception {exception_id} within your reach")
    return render(
        request,
        "sure.html",
        title="Dismiss",
        what=f"Dismiss exception {exception_id}",
        run=None,
        rows=[found.exception],
        action=f"/exceptions/{exception_id}/dismiss",
        given={"reason": reason},
        back=f"/exceptions/{exception_id}",
        danger=True,
        words_of_it=CLOSED,
    )


def _approve(request: AnyRequest, exception_id: int, form: dict[str, str]) -> Response[Any]:
    reach = reach_of(request, Operation.APPROVE_FIXES)
    with node_of(request).reading() as connection:
        by = principal_of(request).name
        fixes.approve(connection, exception_id, by=by, note=form.get("reason", ""), reach=reach)
    return seen(f"/exceptions/{exception_id}", "Approved: it takes effect now")


def _refuse(request: AnyRequest, exception_id: int, form: dict[str, str]) -> Response[Any]:
    reach = reach_of(request, Operation.APPROVE_FIXES)
    with node_of(request).reading() as connection:
        by = principal_of(request).name
        fixes.refuse(connection, exception_id, by=by, reason=form.get("reason", ""), reach=reach)
    return seen(f"/exceptions/{exception_id}", "Refused: it is open again")


def _assign(request: AnyRequest, exception_id: int, form: dict[str, str]) -> Response[Any]:
    reach = reach_of(request, Operation.WORK_EXCEPTIONS)
    with node_of(request).reading() as connection:
        to = form.get("to", "").strip() or None
        fixes.assign(connection, exception_id, to, by=principal_of(request).name, reach=reach)
    return seen(f"/exceptions/{exception_id}", f"{to} works on it" if to else "Nobody works on it")


ACTIONS = {
    "retry": (Operation.WORK_EXCEPTIONS, _retry),
    "edit": (Operation.WORK_EXCEPTIONS, _edit),
    "dismiss": (Operation.WORK_EXCEPTIONS, _dismiss),
    "assign": (Operation.WORK_EXCEPTIONS, _assign),
    "approve": (Operation.APPROVE_FIXES, _approve),
    "refuse": (Operation.APPROVE_FIXES, _refuse),
}
"""What can be done to one exception, and what that needs."""


ROUTES = (exceptions, exception, act)
