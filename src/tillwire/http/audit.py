"""The audit log over HTTP: who did what, and whether the log is whole."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.exceptions import ValidationException
from litestar.params import Parameter

from tillwire.governance import audit
from tillwire.governance.access import Operation
from tillwire.http.access import needs, reach_of
from tillwire.http.node import Node

_Text = Annotated[str | None, Parameter(max_length=512, pattern=r"^[^\x00]*$")]
_At = Annotated[datetime | None, Parameter(description="RFC 3339 with an offset")]


@get("/audit", summary="Who did what", tags=["audit"], sync_to_thread=True, opt=needs(Operation.READ_AUDIT))
def entries(
    request: Request[Any, Any, Any],
    who: _Text = None,
    action: _Text = None,
    subject: _Text = None,
    since: _At = None,
    until: _At = None,
    before: Annotated[int, Parameter(ge=1, le=audit.NEWEST)] = audit.NEWEST,
    most: Annotated[int, Parameter(ge=1, le=1000)] = 100,
) -> Response[bytes]:
    """Entries of the audit log, the newest first; page on with the last one's ``entry_id`` as ``before``. It is
    the whole hub's: who may see some stores only sees nothing of it.
    """
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise ValidationException(f"{name}: {moment.isoformat()} is in no time zone; add Z or an offset")
    node: Node = request.app.state.node
    if reach_of(request).stores is not None:
        return Response(b"[]", media_type=MediaType.JSON)
    with node.reading() as connection:
        found = audit.listed(
            connection, who=who, action=action, subject=subject, since=since, until=until, before=before, most=most
        )
    return Response(msgspec.json.encode(found), media_type=MediaType.JSON)


ROUTES = (entries,)
"""GET routes of the audit log."""
