"""``/proof``: store days, what was told, recorded, posted and read back of each, and every difference by its name."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from litestar import Response, get

from tillwire import bootstrap
from tillwire.console.days import HELD, UNDER_WAY, asked_day
from tillwire.console.shell import AnyRequest, node_of, render
from tillwire.console.tables import Column, exported, table, wants_csv
from tillwire.governance.access import Operation
from tillwire.http.access import needs, reach_of
from tillwire.reconciliation.days import StoreDay, reconcile

MOST_DAYS = 35

STATES = {
    "proven": "told, recorded, posted and read back: the same",
    "waiting": "on its way, or in exceptions",
    "broken": "something is not as it should be",
    "open": "the store has not closed the day",
}


def state_of(day: StoreDay) -> str:
    """One of ``STATES``."""
    if day.captured is None:
        return "open"
    codes = {difference.code for difference in day.differences}
    if not codes:
        return "proven"
    return "waiting" if codes <= UNDER_WAY | HELD else "broken"


_COLUMNS = (
    Column("date", "Business date", lambda one: one.business_date),
    Column("store", "Store", lambda one: one.store),
    Column("currency", "Currency", lambda one: one.currency),
    Column("captured", "Told", lambda one: one.captured.amount if one.captured else None, numeric=True),
    Column("recorded", "Recorded", lambda one: one.recorded.amount, numeric=True),
    Column("exceptions", "In exceptions", lambda one: one.in_exceptions.amount, numeric=True),
    Column("posted", "Posted", lambda one: one.posted.amount, numeric=True),
    Column("acknowledged", "Read back", lambda one: one.acknowledged.amount, numeric=True),
    Column("state", "State", state_of),
)


@get("/proof", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_SALES))
def proof(request: AnyRequest) -> Response[Any]:
    """Store days of one date, or of a span of at most five weeks."""
    node, reach, asked = node_of(request), reach_of(request), request.query_params
    with node.reading() as connection:
        last = asked_day(request, connection, reach)
        first = last
        if last is not None:
            first = _from(asked.get("from", ""), last)
            report = reconcile(
                connection, store=asked.get("store") or None, first=first, last=last,
                erp=bool(bootstrap.erps(node.settings)), reach=reach,
            )  # fmt: skip
            days = [day for day in report.days if asked.get("state", "") in ("", state_of(day))]
            counts = {state: sum(state_of(day) == state for day in report.days) for state in STATES}
        else:
            days, counts = [], dict.fromkeys(STATES, 0)
    made = table(request, _COLUMNS, days, sort="store", descending=False)
    if wants_csv(request):
        return exported(made, "proof")
    return render(
        request, "proof.html", title="Proof", made=made, first=first, last=last, states=STATES, counts=counts,
        asked=asked, state_of=state_of,
    )  # fmt: skip


def _from(text: str, last: date) -> date:
    try:
        first = date.fromisoformat(text)
    except ValueError:
        return last
    return max(min(first, last), last - timedelta(days=MOST_DAYS - 1))


ROUTES = (proof,)
