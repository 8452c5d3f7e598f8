"""``/master-data``: records of each kind, and one with all its versions."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import Parameter

from tillwire.console.shell import AnyRequest, node_of, render
from tillwire.governance.access import Operation
from tillwire.http.access import needs, principal_of, reach_of
from tillwire.masterdata import listing
from tillwire.masterdata.listing import KINDS
from tillwire.masterdata.lookup import NoSuchRecordError

Text = Annotated[str, Parameter(max_length=1024, pattern=r"^[^\x00]*$")]
PERSONAL = ("customer",)
"""Kinds whose records are of persons: shown to who may see personal data."""


def _within(request: AnyRequest) -> listing.Within:
    reach = reach_of(request)
    return listing.Within(reach, node_of(request).stores.companies_of(reach))


def _kinds(request: AnyRequest) -> list[str]:
    may = principal_of(request).may(Operation.READ_PERSONAL_DATA)
    return [kind for kind in KINDS if may or kind not in PERSONAL]


@get("/master-data", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_MASTER_DATA))
def records(request: AnyRequest) -> Response[str]:
    """Records of a kind, in the order of their identifiers."""
    asked, kinds = request.query_params, _kinds(request)
    kind = asked.get("kind", "product") if asked.get("kind", "product") in kinds else kinds[0]
    text, after = asked.get("q", "")[:200], asked.get("after", "")[:1024]
    with node_of(request).reading() as connection:
        page = listing.listed(connection, kind, after=after, text=text, most=100, within=_within(request))
    found = [msgspec.json.decode(record) for record in page.records]
    columns = list(dict.fromkeys(name for one in found for name in one if name != "revision"))[:7]
    identifiers = [_identifier(kind, one) for one in found]
    return render(
        request,
        "master_data.html",
        title="Master data",
        kind=kind,
        kinds=kinds,
        rows=list(zip(identifiers, found, strict=True)),
        columns=columns,
        after=page.after,
        text=text,
    )


def _identifier(kind: str, record: dict[str, Any]) -> str:
    """The identifier of a record by its own fields, as its struct makes it."""
    from tillwire.model.event import MESSAGES

    made: Any = msgspec.convert(record, MESSAGES[KINDS[kind]], strict=False)
    return str(made.identifier)


@get(
    "/master-data/{kind:str}/{record:path}",
    include_in_schema=False,
    sync_to_thread=True,
    opt=needs(Operation.READ_MASTER_DATA),
)
def versions(request: AnyRequest, kind: Text, record: Text) -> Response[str]:
    """One record with its versions, the newest first, each with what it changed."""
    if kind not in _kinds(request):
        raise NotFoundException(f"there is no kind {kind} that you may see")
    name = record.removeprefix("/")
    try:
        with node_of(request).reading() as connection:
            found = listing.versions(
                connection, kind, name, before=listing.MOST_REVISION, most=50, within=_within(request)
            )
    except NoSuchRecordError as error:
        raise NotFoundException(str(error)) from error
    decoded = [msgspec.json.decode(one.record) for one in found.versions]
    changes = [
        {field for field in {*new, *old} - {"revision"} if new.get(field) != old.get(field)}
        for new, old in zip(decoded, [*decoded[1:], {}], strict=False)
    ]
    return render(
        request,
        "record.html",
        title=name,
        kind=kind,
        name=name,
        versions=list(zip(found.versions, decoded, changes, strict=True)),
    )


ROUTES = (records, versions)
