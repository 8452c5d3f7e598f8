"""Routes of master data: lists, records with their versions, what counts at a moment, bulk upsert."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import MediaType, Request, Response, get, post
from litestar.exceptions import NotFoundException, PermissionDeniedException, ValidationException
from litestar.params import Parameter

from tillwire import clock
from tillwire.governance.access import Operation
from tillwire.http.access import needs, principal_of, reach_of
from tillwire.http.node import Node
from tillwire.http.problem import problem, respond
from tillwire.masterdata import listing, lookup
from tillwire.masterdata.bulk import MOST_REQUEST_ROWS, SOURCE, Bulk, TooManyRowsError
from tillwire.masterdata.listing import KINDS
from tillwire.masterdata.lookup import NoSuchRecordError
from tillwire.masterdata.tables import TableError, decoded

Kind = Literal[
    "account",
    "customer",
    "mapping",
    "period",
    "price",
    "product",
    "register",
    "store",
    "tax-code",
    "tax-group",
    "tender",
]
_Name = Annotated[str, Parameter(max_length=1024, pattern=r"^[^\x00]*$")]
_At = Annotated[datetime | None, Parameter(query="at", description="RFC 3339 with an offset")]
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


def _moment(at: datetime | None) -> datetime:
    """An instant: now, if none is given. Raises ``ValidationException`` for a time of no zone."""
    if at is None:
        return clock.now()
    if at.tzinfo is None:
        raise ValidationException(f"at: {at.isoformat()} is in no time zone; add Z or an offset")
    return at


def _within(request: Request[Any, Any, Any]) -> listing.Within:
    """The records that whoever asks may see."""
    node: Node = request.app.state.node
    reach = reach_of(request)
    return listing.Within(reach, node.stores.companies_of(reach))


def _json(content: Any, status: int = 200) -> Response[bytes]:
    return Response(msgspec.json.encode(content), media_type=MediaType.JSON, status_code=status)


@get(
    "/masterdata/prices",
    summary="Prices in force",
    tags=["master data"],
    sync_to_thread=True,
    opt=needs(Operation.READ_MASTER_DATA),
)
def prices(
    request: Request[Any, Any, Any],
    store: _Name,
    sku: _Name,
    at: _At = None,
    unit: _Name = "",
    currency: _Name = "",
) -> Response[bytes]:
    """What a product costs in a store at a moment (now, if none is given), one price per unit, in the store's currency
    unless another is named: the store's own price, else its price list's, else everyone's.
    """
    node: Node = request.app.state.node
    try:
        with node.reading() as connection:
            wanted = {"unit": unit or None, "currency": currency or None}
            return _json(lookup.prices_at(connection, store, sku, _moment(at), **wanted, reach=reach_of(request)))
    except NoSuchRecordError as error:
        raise NotFoundException(str(error)) from error


@get(
    "/masterdata/rates",
    summary="Tax rate in force",
    tags=["master data"],
    sync_to_thread=True,
    opt=needs(Operation.READ_MASTER_DATA),
)
def rates(request: Request[Any, Any, Any], store: _Name, code: _Name, at: _At = None) -> Response[bytes]:
    """The rate of a tax code on the store's day of a moment (now, if none is given), as a fraction."""
    node: Node = request.app.state.node
    try:
        with node.reading() as connection:
            return _json(lookup.rate_at(connection, store, code, _moment(at), reach=reach_of(request)))
    except NoSuchRecordError as error:
        raise NotFoundException(str(error)) from error


@get(
    "/masterdata/{kind:str}",
    summary="Master records of a kind",
    tags=["master data"],
    sync_to_thread=True,
    opt=needs(Operation.READ_MASTER_DATA),
)
def records(
    request: Request[Any, Any, Any],
    kind: Kind,
    after: _Name = "",
    prefix: _Name = "",
    q: _Name = "",
    active: bool | None = None,
    most: Annotated[int, Parameter(ge=1, le=1000)] = 100,
) -> Response[bytes]:
    """In the order of identifiers; ``prefix`` looks at identifiers, ``q`` anywhere in a record. Page on with the
    answer's ``after``.
    """
    node: Node = request.app.state.node
    with node.reading() as connection:
        wanted: dict[str, Any] = {"after": after, "prefix": prefix, "text": q, "active": active, "most": most}
        return _json(listing.listed(connection, kind, **wanted, within=_within(request)))


@get(
    "/masterdata/{kind:str}/{record:path}",
    summary="One record",
    tags=["master data"],
    sync_to_thread=True,
    opt=needs(Operation.READ_MASTER_DATA),
)
def record(
    request: Request[Any, Any, Any],
    kind: Kind,
    record: _Name,
    before: Annotated[int, Parameter(ge=0, le=listing.MOST_REVISION)] = listing.MOST_REVISION,
    most: Annotated[int, Parameter(ge=1, le=1000)] = 100,
) -> Response[bytes]:
    """The newest revision of a record by its identifier (a product also by any of its GTINs); with ``/versions`` behind
    it, every revision, the newest first (page on with ``before``).
    """
    node: Node = request.app.state.node
    name = record.removeprefix("/")
    wanted = name.removesuffix("/versions")
    try:
        with node.reading() as connection:
            if wanted != name:
                pages = {"before": before, "most": most}
                return _json(listing.versions(connection, kind, wanted, **pages, within=_within(request)))
            return _json(listing.one(connection, kind, name, within=_within(request)))
    except NoSuchRecordError as error:
        raise NotFoundException(str(error)) from error


@post(
    "/masterdata/{kind:str}",
    summary="Bulk upsert",
    tags=["master data"],
    status_code=200,
    opt=needs(Operation.WRITE_MASTER_DATA),
)
async def upsert(
    request: Request[Any, Any, Any],
    kind: Kind,
    source: Annotated[str, Parameter(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")] = SOURCE,
    all_or_nothing: bool = False,
) -> Response[bytes]:
    """Records as a JSON array or as ``text/csv``. Good rows are accepted and bad ones told with row and column, unless
    ``all_or_nothing`` is asked for. A record without a revision is given one; unchanged content makes none.
    """
    node: Node = request.app.state.node
    sending = node.sending(principal_of(request))
    wrong = sending.wrong_source(Operation.WRITE_MASTER_DATA, source)
    if wrong is not None:
        raise PermissionDeniedException(wrong.detail)

    def refusal(record: Any) -> str | None:
        wrong = sending.wrong_message(source, KINDS[kind], record)
        return None if wrong is None else wrong.detail

    node.refuse_if_catalogue_overloaded()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    bulk = Bulk(
        node.group_commit.submit,
        node.reading,
        source=source,
        most_rows=MOST_REQUEST_ROWS,
        polite=True,
        refusal=None if sending.every_record else refusal,
    )
    try:
        if media_type == "text/csv":
            outcome = await bulk.table(kind, decoded(body), all_or_nothing=all_or_nothing)
        elif media_type == "application/json":
            outcome = await bulk.array(kind, _ARRAY.decode(body), all_or_nothing=all_or_nothing)
        else:
            return respond(problem(415, "unsupported media type", "send application/json or text/csv"))
    except TableError as error:
        return respond(problem(400, "malformed table", str(error)))
    except TooManyRowsError as error:
        return respond(problem(413, "batch too large", str(error)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return respond(problem(400, "malformed JSON", f"the body is no JSON array of records: {error}"))
    if outcome.rejected and all_or_nothing:
        return _json(outcome, 422)
    return _json(outcome, 207 if outcome.rejected or outcome.conflict else 200)
