"""SAP S/4HANA: journals go in by the SOAP service Journal Entry - Post, and are looked up and read back by OData.

``simulator`` stands in for a system in tests and trials.
"""

from __future__ import annotations

from tillwire.connectors.sap_s4hana.connector import SapConnector
from tillwire.connectors.sap_s4hana.settings import SapSettings
from tillwire.connectors.spec import Spec

SPEC = Spec(
    name="sap_s4hana",
    title="SAP S/4HANA",
    about="Posts journals by the SOAP service Journal Entry - Post, synchronously or asynchronously with SAP's "
    "confirmation; finds and reads them back by OData; pulls accounts and products.",
    contract="Journal Entry - Post (SOAP, SAP_COM_0002); API_OPLACCTGDOCITEMCUBE_SRV, API_JOURNALENTRYITEMBASIC_SRV, "
    "API_GLACCOUNTINCHARTOFACCOUNTS_SRV, API_PRODUCT_SRV (OData V2), as of S/4HANA 2023",
    roles=("erp",),
    settings=SapSettings,
    make=SapConnector,
    simulator="tillwire.connectors.sap_s4hana.simulator:SapSimulator",
)

__all__ = ["SPEC", "SapConnector", "SapSettings"]
