"""GET routes that prove: reconciliation, the trace of one key, open exceptions."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import Parameter

from tillwire.exceptions import queue
from tillwire.http.node import Node
from tillwire.reconciliation.days import reconcile
from tillwire.reconciliation.trace import trace


def _json(content: Any) -> Response[bytes]:
    return Response(msgspec.json.encode(content), media_type=MediaType.JSON)


StoreParameter = Annotated[str | None, Parameter(query="store", max_length=64, pattern=r"^[^\x00]*$")]


@get("/reconciliation", summary="Captured, recorded, posted, acknowledged", tags=["proof"], sync_to_thread=True)
def reconciliation(
    request: Request[Any, Any, Any],
    store: StoreParameter = None,
    first: Annotated[date | None, Parameter(query="from")] = None,
    last: Annotated[date | None, Parameter(query="to")] = None,
) -> Response[bytes]:
    """Counts and amounts per store and business date, every difference named."""
    node: Node = request.app.state.node
    with node.reading() as connection:
        erp = node.settings.erp.kind != "none"
        return _json(reconcile(connection, store=store, first=first or date.min, last=last or date.max, erp=erp))


@get("/trace/{key:path}", summary="The way of one event", tags=["proof"], sync_to_thread=True)
def trace_key(request: Request[Any, Any, Any], key: str) -> Response[bytes]:
    """From raw bytes to the ERP's document, by business key (store/register/business date/sequence)."""
    node: Node = request.app.state.node
    wanted = key.lstrip("/")
    found = []
    if "\x00" not in wanted:
        with node.reading() as connection:
            found = trace(connection, wanted)
    if not found:
        raise NotFoundException(f"nothing was accepted under the key {wanted!r}")
    return _json(found)


@get("/exceptions", summary="The exception queue", tags=["exceptions"], sync_to_thread=True)
def exceptions(
    request: Request[Any, Any, Any],
    code: Annotated[str | None, Parameter(query="code", max_length=64, pattern=r"^[a-z_]*$")] = None,
    after: Annotated[int, Parameter(query="after", ge=0, le=2**62)] = 0,
    most: Annotated[int, Parameter(query="most", ge=1, le=1000)] = 100,
) -> Response[bytes]:
    """Open exceptions in the order they were raised; page on with the last id as ``after``."""
    node: Node = request.app.state.node
    with node.reading() as connection:
        return _json(queue.listed(connection, code=code, after=after, most=most))
