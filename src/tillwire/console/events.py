"""``/events``: what the event store holds, by store or partition, the newest first; and one event, raw."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import Parameter

from tillwire.console.shell import AnyRequest, node_of, render
from tillwire.events.log import Stored, next_offsets, read_chunks, read_events
from tillwire.events.partitions import PARTITIONS, partition_of
from tillwire.governance.access import Operation
from tillwire.http.access import needs, reach_of

PER_PAGE = 100
LOOK_AT = 5_000
"""So many events are looked at for a page of those that fit."""
Number = Annotated[int, Parameter(ge=0, le=2**62)]


@get("/events", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_EVENTS))
def events(request: AnyRequest) -> Response[str]:
    """Events of a store, or of a partition, that fit, from an offset downwards. Master data is of all stores."""
    asked, reach = request.query_params, reach_of(request)
    store, kind = asked.get("store", "")[:64], asked.get("type", "")[:100]
    with node_of(request).reading() as connection:
        ends = next_offsets(connection)
        partition = partition_of(store) if store else _number(asked.get("partition", ""), 1)
        partition = partition if partition in ends else 1
        end = min(_number(asked.get("before", ""), ends[partition]), ends[partition])
        found: list[Stored] = []
        lowest = end
        for first in range(max(0, end - PER_PAGE * 5), -1, -PER_PAGE * 5) if end else ():
            seen = _between(connection, partition, first, lowest)
            found += [one for one in reversed(seen) if _fits(one, store, kind, reach)]
            lowest = first
            if len(found) >= PER_PAGE or end - first >= LOOK_AT:
                break
        else:
            lowest = 0
    shown = found[:PER_PAGE]
    below = shown[-1].offset if len(found) > PER_PAGE else lowest
    rows = [(one, *one.type_and_store(), _key(one)) for one in shown]
    return render(
        request, "events.html", title="Events", rows=rows, partition=partition, partitions=sorted(PARTITIONS),
        end=ends[partition], below=below, store=store, kind=kind,
    )  # fmt: skip


def _between(connection: Any, partition: int, first: int, end: int) -> list[Stored]:
    found: list[Stored] = []
    for chunk in read_chunks(connection, partition, first, most_chunks=LOOK_AT):
        found += [one for one in chunk if one.offset < end]
        if chunk[-1].offset >= end - 1:
            break
    return found


def _fits(one: Stored, store: str, kind: str, reach: Any) -> bool:
    of, its = one.type_and_store()
    within = reach.stores is None or (its and reach.covers(its))
    return bool(within) and store in ("", its) and kind in of


def _key(one: Stored) -> str:
    try:
        content = msgspec.json.decode(one.raw)
        data = content["data"]
        if "sequence" in data:
            return "/".join(str(data[name]) for name in ("store", "register", "business_date", "sequence"))
        return str(content["id"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return ""


def _number(text: str, other: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else other


@get("/events/{partition:int}/{offset:int}", include_in_schema=False, sync_to_thread=True,
     opt=needs(Operation.READ_EVENTS))  # fmt: skip
def event(request: AnyRequest, partition: Number, offset: Number) -> Response[str]:
    """One event as it is recorded."""
    with node_of(request).reading() as connection:
        found = read_events(connection, [(partition, offset)]) if partition < 2**15 else {}
    one = found.get((partition, offset))
    if one is None or not _fits(one, "", "", reach_of(request)):
        raise NotFoundException(f"there is no event {offset} in partition {partition} within your reach")
    kind, store = one.type_and_store()
    return render(
        request, "event.html", title=f"Event {partition}/{offset}", one=one, kind=kind, store=store, key=_key(one)
    )


ROUTES = (events, event)
