"""``/connectors``: systems that data comes from and ERPs that it goes to, with their settings, but for secrets."""

from __future__ import annotations

from typing import Any

from litestar import Response, get

from tillwire import bootstrap
from tillwire.connectors.registry import spec_of
from tillwire.connectors.spec import secrets_of
from tillwire.console.shell import AnyRequest, node_of, render
from tillwire.governance.access import Operation
from tillwire.http.access import needs
from tillwire.intake import foreign

HIDDEN = "set, and not shown"


def shown(connector: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as they may be seen."""
    secret = secrets_of(spec_of(connector).settings)
    return {name: HIDDEN if name in secret and value else value for name, value in sorted(settings.items())}


@get("/connectors", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_CONNECTORS))
def connectors(request: AnyRequest) -> Response[str]:
    """Every connection and every ERP."""
    node = node_of(request)
    with node.reading() as connection:
        figures = {row[0]: row[1:] for row in foreign.figures(connection)}
    inbound = [
        (one, spec_of(one.connector), figures.get(one.name, (0, 0, 0, None, "")), shown(one.connector, one.settings))
        for one in node.settings.connections
    ]
    erps = [(one, shown(one.kind, dict(one.settings))) for one in bootstrap.erps(node.settings)]
    return render(request, "connectors.html", title="Connectors", inbound=inbound, erps=erps)


ROUTES = (connectors,)
