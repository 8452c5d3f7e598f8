"""``/exceptions/causes``: what one fix mends, with what it would do before it is done."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.exceptions import NotFoundException

from tillwire import bootstrap
from tillwire.console.exception_rows import AGAIN, CLOSED, MOST, ROWS, Name, rehearsed
from tillwire.console.shell import AnyRequest, form_of, node_of, render, seen, stop
from tillwire.console.tables import exported, table, wants_csv
from tillwire.exceptions import fixes, queue
from tillwire.exceptions.held import PayloadRefused
from tillwire.governance.access import Operation
from tillwire.http.access import needs, principal_of, reach_of
from tillwire.http.node import Node
from tillwire.masterdata.bulk import Bulk, Outcome
from tillwire.model.event import MASTER_PRODUCT

SOURCE = "urn:tillwire:console"
"""Where master records come from that are added here."""


@get(
    "/exceptions/causes/{name:str}", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_EXCEPTIONS)
)
def cause(request: AnyRequest, name: Name) -> Response[Any]:
    """One root cause: what it holds, and what mends all of it."""
    node, reach = node_of(request), reach_of(request)
    with node.reading() as connection:
        found = queue.cause_named(connection, name, reach=reach)
        if found is None:
            raise NotFoundException("nothing in the queue has this cause any more: it may be mended")
        wanted = queue.Filter(states=queue.IN_QUEUE, cause=found, most=MOST, reach=reach)
        rows = queue.found(connection, wanted, node.settings.exceptions.service_levels)
    made = table(request, ROWS, rows, sort="raised", descending=False)
    if wants_csv(request):
        return exported(made, "exceptions")
    code, _, value = found.partition(":")
    return render(
        request, "cause.html", title=found, cause=found, name=name, code=code, value=value, made=made, rows=rows
    )


@post(
    "/exceptions/causes/{name:str}/retry",
    include_in_schema=False,
    sync_to_thread=True,
    status_code=200,
    opt=needs(Operation.WORK_EXCEPTIONS),
)
def retry_cause(request: AnyRequest, name: Name, body: bytes) -> Response[Any]:
    """All of a cause back to the workers: first what that would do, then (``sure``) it is done."""
    node, reach, form = node_of(request), reach_of(request), form_of(request, body)
    with node.reading() as connection:
        found = queue.cause_named(connection, name, reach=reach)
        if found is None:
            raise NotFoundException("nothing in the queue has this cause any more")
        if form.get("sure"):
            count = queue.retry(connection, cause=found, by=principal_of(request).name, reach=reach)
            return seen("/exceptions", f"{count} exceptions of {found} are on their way through the workers")
        shown = rehearsed(lambda: bootstrap.rehearsal(connection, node.settings, reach).of_retry(cause=found))
    return render(
        request,
        "sure.html",
        title="Process again",
        what=f"Process everything of {found} again",
        run=shown,
        action=f"/exceptions/causes/{name}/retry",
        given={},
        back=f"/exceptions/causes/{name}",
        danger=False,
        words_of_it=AGAIN,
    )


@post(
    "/exceptions/causes/{name:str}/dismiss",
    include_in_schema=False,
    sync_to_thread=True,
    status_code=200,
    opt=needs(Operation.WORK_EXCEPTIONS),
)
def dismiss_cause(request: AnyRequest, name: Name, body: bytes) -> Response[Any]:
    """Close all of a cause without an effect: first what is lost by it, then (``sure``) it is done."""
    node, reach, form = node_of(request), reach_of(request), form_of(request, body)
    reason = form.get("reason", "")
    with node.reading() as connection:
        found = queue.cause_named(connection, name, reach=reach)
        if found is None:
            raise NotFoundException("nothing in the queue has this cause any more")
        if form.get("sure"):
            limit = node.settings.exceptions.second_person_above
            by = principal_of(request).name
            done = fixes.dismiss_cause(connection, found, by=by, reason=reason, limit=limit, reach=reach)
            told = f"{done['dismissed']} exceptions are dismissed"
            if done["approval"]:
                told += f", {done['approval']} wait for a second person"
            return seen("/exceptions", told)
        wanted = queue.Filter(states=queue.IN_QUEUE, cause=found, most=MOST, reach=reach)
        rows = queue.found(connection, wanted)
    return render(
        request,
        "sure.html",
        title="Dismiss",
        what=f"Dismiss {len(rows)} exceptions of {found}",
        run=None,
        rows=rows,
        action=f"/exceptions/causes/{name}/dismiss",
        given={"reason": reason},
        back=f"/exceptions/causes/{name}",
        danger=True,
        words_of_it=CLOSED,
    )


@post(
    "/exceptions/causes/{name:str}/record",
    include_in_schema=False,
    status_code=200,
    opt=needs(Operation.WRITE_MASTER_DATA),
)
async def add_record(request: AnyRequest, name: Name) -> Response[Any]:
    """The product that master data lacks: first which exceptions it would clear, then (``sure``) it is added."""
    form = form_of(request, await request.body())
    fields = ("sku", "name", "product_class", "unit")
    record = {field: form.get(field, "").strip() for field in fields}
    node: Node = node_of(request)
    back = f"/exceptions/causes/{name}"
    if form.get("sure"):
        outcome = await _added(request, record)
        if outcome.rejected or outcome.conflict:
            return await asyncio.to_thread(stop, request, "; ".join(error.detail for error in outcome.errors), back)
        return seen("/exceptions", f"{record['sku']} is in master data: what waited for it mends itself")

    def shown() -> Response[Any]:
        event = {
            "specversion": "1.0",
            "id": "dry-run",
            "source": SOURCE,
            "type": MASTER_PRODUCT,
            "data": record | {"revision": 1},
        }
        with node.reading() as connection:
            rehearsal = bootstrap.rehearsal(connection, node.settings, reach_of(request, Operation.READ_EXCEPTIONS))
            try:
                run = rehearsal.of_master_data([msgspec.json.encode(event)])
            except PayloadRefused as error:
                return stop(request, str(error), back)
        return render(
            request,
            "sure.html",
            title="Add a product",
            what=f"Add the product {record['sku']} to master data",
            run=run,
            action=f"{back}/record",
            given=record,
            back=back,
            danger=False,
            words_of_it="It counts for all stores. What waits for it is processed at once.",
        )

    return await asyncio.to_thread(shown)


async def _added(request: AnyRequest, record: dict[str, str]) -> Outcome:
    node = node_of(request)
    sending = node.sending(principal_of(request))

    def refusal(made: Any) -> str | None:
        wrong = sending.wrong_message(SOURCE, MASTER_PRODUCT, made)
        return None if wrong is None else wrong.detail

    bulk = Bulk(
        node.group_commit.submit,
        node.reading,
        source=SOURCE,
        refusal=None if sending.every_record else refusal,
    )
    return await bulk.array("product", [msgspec.Raw(msgspec.json.encode(record))])


ROUTES = (cause, retry_cause, dismiss_cause, add_record)
