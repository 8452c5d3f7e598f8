"""``/audit``: who did what, and whether the log is whole."""

from __future__ import annotations

from typing import Any

from litestar import Response, get

from tillwire.console.shell import AnyRequest, node_of, render
from tillwire.console.tables import Column, exported, table, wants_csv
from tillwire.governance import audit
from tillwire.governance.access import Operation
from tillwire.http.access import needs, reach_of

MOST = 2_000

_COLUMNS = (
    Column("entry", "Entry", lambda one: one.entry_id, numeric=True),
    Column("at", "At", lambda one: one.at),
    Column("who", "Who", lambda one: one.who),
    Column("action", "Action", lambda one: one.action),
    Column("subject", "To", lambda one: one.subject),
    Column("details", "Details", lambda one: ", ".join(f"{name} {value}" for name, value in one.details.items())),
)


@get("/audit", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_AUDIT))
def entries(request: AnyRequest) -> Response[Any]:
    """The newest entries."""
    asked = request.query_params
    before = asked.get("before", "")
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else audit.NEWEST
    with node_of(request).reading() as connection:
        who = (asked.get("who") or None, asked.get("subject") or None)
        if reach_of(request).stores is not None:
            number = 0  # the log is the whole hub's: who may see some stores only sees nothing of it
        found = audit.listed(connection, who=who[0], subject=who[1], before=min(number, audit.NEWEST), most=MOST)
    made = table(request, _COLUMNS, found, sort="entry", descending=True)
    if wants_csv(request):
        return exported(made, "audit")
    older = found[-1].entry_id if len(found) == MOST else None
    return render(request, "audit.html", title="Audit", made=made, asked=asked, older=older)


ROUTES = (entries,)
