"""Dynamics 365 Finance: journals by data package in batch, headers and look-ups over OData."""

from __future__ import annotations

from tillwire.connectors.dynamics365.connector import Dynamics365Connector
from tillwire.connectors.dynamics365.settings import Dynamics365Settings
from tillwire.connectors.spec import Spec

SPEC = Spec(
    name="dynamics365",
    title="Dynamics 365 Finance",
    about="Opens general journals over OData, fills them by a data package in batch, and asks until Finance has posted "
    "them; reads them back; pulls main accounts.",
    contract="Dynamics 365 Finance 10.0: OData v4, data management package REST API, General journal entity",
    roles=("erp",),
    settings=Dynamics365Settings,
    make=Dynamics365Connector,
    simulator="tillwire.connectors.dynamics365.simulator:Dynamics365Simulator",
)

__all__ = ["SPEC", "Dynamics365Connector", "Dynamics365Settings"]
