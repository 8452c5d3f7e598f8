"""Routes of the ledger: trial balance, journals down to their transactions, suspense."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import Parameter

from tillwire.governance.access import Operation
from tillwire.http.access import needs, reach_of
from tillwire.http.node import Node
from tillwire.posting import drilldown, suspense
from tillwire.posting.trial_balance import trial_balance

_Text = Annotated[str | None, Parameter(max_length=512, pattern=r"^[^\x00]*$")]
_Reference = Annotated[str, Parameter(max_length=1024, pattern=r"^[^\x00]*$")]


def _json(content: Any) -> Response[bytes]:
    return Response(msgspec.json.encode(content), media_type=MediaType.JSON)


@get(
    "/ledger/balance",
    summary="Trial balance",
    tags=["ledger"],
    sync_to_thread=True,
    opt=needs(Operation.READ_LEDGER),
)
def balance(
    request: Request[Any, Any, Any],
    company: _Text = None,
    store: _Text = None,
    first: Annotated[date | None, Parameter(query="from")] = None,
    last: Annotated[date | None, Parameter(query="to")] = None,
) -> Response[bytes]:
    """Per company, currency and account: what journals of these business dates hold, and what the ERP has posted of it.
    Amounts are debit positive."""
    node: Node = request.app.state.node
    with node.reading() as connection:
        days = {"first": first or date.min, "last": last or date.max}
        return _json(trial_balance(connection, company=company, store=store, **days, reach=reach_of(request)))


@get(
    "/ledger/journal",
    summary="One journal with its lines",
    tags=["ledger"],
    sync_to_thread=True,
    opt=needs(Operation.READ_LEDGER),
)
def journal(request: Request[Any, Any, Any], reference: _Reference) -> Response[bytes]:
    """A journal by its reference, with its lines as the ERP has them."""
    node: Node = request.app.state.node
    with node.reading() as connection:
        found = drilldown.head(connection, reference, reach=reach_of(request))
        if found is None:
            raise NotFoundException(f"there is no journal {reference!r}")
        return _json(drilldown.JournalWithLines(found, drilldown.erp_lines(connection, reference)))


@get(
    "/ledger/journal/parts",
    summary="The transactions behind a line",
    tags=["ledger"],
    sync_to_thread=True,
    opt=needs(Operation.READ_LEDGER),
)
def parts(
    request: Request[Any, Any, Any],
    reference: _Reference,
    line: Annotated[int, Parameter(ge=1, le=2**31 - 1)],
    most: Annotated[int, Parameter(ge=1, le=100_000)] = 10_000,
) -> Response[bytes]:
    """What is in one line of a journal, transaction by transaction; the amounts add up to the line's."""
    node: Node = request.app.state.node
    with node.reading() as connection:
        if drilldown.head(connection, reference, reach=reach_of(request)) is None:
            raise NotFoundException(f"there is no journal {reference!r}")
        return _json(drilldown.parts_of(connection, reference, line, most=most))


@get(
    "/ledger/suspense",
    summary="What lies in suspense",
    tags=["ledger"],
    sync_to_thread=True,
    opt=needs(Operation.READ_LEDGER),
)
def in_suspense(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What no rule maps, or is no rounding difference any more, by store and reason, with amount and oldest date."""
    node: Node = request.app.state.node
    with node.reading() as connection:
        return _json(suspense.listed(connection, reach=reach_of(request)))


ROUTES = (balance, journal, parts, in_suspense)
