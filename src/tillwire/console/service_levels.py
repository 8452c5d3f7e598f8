"""``/service-levels``: alerts that fire, objectives with what is left of their error budgets, and every figure."""

from __future__ import annotations

from typing import Any

from litestar import Response, get

from tillwire import clock
from tillwire.console.shell import AnyRequest, node_of, render
from tillwire.governance.access import Operation
from tillwire.http.access import needs, reach_of
from tillwire.observability import alerts
from tillwire.observability.levels import levels


def in_words(value: Any, unit: str) -> str:
    """A figure's value with its unit, short."""
    if value is None:
        return "–"
    if unit == "ratio":
        return f"{value:.2%}"
    if unit == "seconds":
        return (
            f"{value * 1000:,.0f} ms" if value < 1 else f"{value:,.1f} s" if value < 120 else f"{value / 60:,.0f} min"
        )
    return f"{value:,.2f}" if unit == "money" else f"{value:,.0f}"


@get("/service-levels", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_SERVICE_LEVELS))
def service_levels(request: AnyRequest) -> Response[str]:
    """How things stand, of the stores within reach."""
    node, reach, now = node_of(request), reach_of(request), clock.now()
    with node.reading() as connection:
        found = levels(connection, node.settings.objectives, now, reach=reach)
        firing = alerts.alerts(connection, reach, now=now)
    return render(request, "service_levels.html", title="Service levels", found=found, alerts=firing, in_words=in_words)


ROUTES = (service_levels,)
