"""NetSuite: journals by the REST record API of SuiteTalk, found and read back by SuiteQL."""

from __future__ import annotations

from tillwire.connectors.netsuite.connector import NetSuiteConnector
from tillwire.connectors.netsuite.settings import NetSuiteSettings
from tillwire.connectors.spec import Spec

SPEC = Spec(
    name="netsuite",
    title="NetSuite",
    about="Posts journal entries and inventory adjustments over SuiteTalk REST web services, with the reference as "
    "external id; finds and reads them back by SuiteQL; pulls accounts, accounting periods and items.",
    contract="SuiteTalk REST web services, record and query v1, OAuth 2.0 client credentials (2025.1)",
    roles=("erp",),
    settings=NetSuiteSettings,
    make=NetSuiteConnector,
    simulator="tillwire.connectors.netsuite.simulator:NetSuiteSimulator",
)

__all__ = ["SPEC", "NetSuiteConnector", "NetSuiteSettings"]
