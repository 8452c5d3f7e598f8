"""GET routes that prove: reconciliation, the trace of one key."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import Parameter

from tillwire import bootstrap
from tillwire.governance.access import Operation
from tillwire.http.access import needs, reach_of
from tillwire.http.node import Node
from tillwire.reconciliation.days import reconcile
from tillwire.reconciliation.trace import trace


def _json(content: Any) -> Response[bytes]:
    return Response(msgspec.json.encode(content), media_type=MediaType.JSON)


StoreParameter = Annotated[str | None, Parameter(query="store", max_length=64, pattern=r"^[^\x00]*$")]


@get(
    "/reconciliation",
    summary="Captured, recorded, posted, acknowledged",
    tags=["proof"],
    sync_to_thread=True,
    opt=needs(Operation.READ_SALES),
)
def reconciliation(
    request: Request[Any, Any, Any],
    store: StoreParameter = None,
    first: Annotated[date | None, Parameter(query="from")] = None,
    last: Annotated[date | None, Parameter(query="to")] = None,
) -> Response[bytes]:
    """Counts and amounts per store and business date, every difference named."""
    node: Node = request.app.state.node
    with node.reading() as connection:
        erp = bool(bootstrap.erps(node.settings))
        days = {"first": first or date.min, "last": last or date.max}
        return _json(reconcile(connection, store=store, **days, erp=erp, reach=reach_of(request)))


@get(
    "/trace/{key:path}",
    summary="The way of one event",
    tags=["proof"],
    sync_to_thread=True,
    opt=needs(Operation.READ_SALES),
)
def trace_key(request: Request[Any, Any, Any], key: str) -> Response[bytes]:
    """From raw bytes to the ERP's document, by business key (store/register/business date/sequence)."""
    node: Node = request.app.state.node
    wanted = key.lstrip("/")
    found = []
    if "\x00" not in wanted:
        with node.reading() as connection:
            found = trace(connection, wanted, reach=reach_of(request))
    if not found:
        raise NotFoundException(f"nothing was accepted under the key {wanted!r}")
    return _json(found)
