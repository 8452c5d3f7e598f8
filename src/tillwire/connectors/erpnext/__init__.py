"""ERPNext 14 and 15, the ERP: journals go to the DocType ``Journal Entry`` over Frappe's REST API."""

from __future__ import annotations

from tillwire.connectors.erpnext.connector import ErpNextConnector
from tillwire.connectors.erpnext.settings import ErpNextSettings
from tillwire.connectors.spec import Spec

SPEC = Spec(
    name="erpnext",
    title="ERPNext",
    about="Posts journals as ``Journal Entry`` over REST, under a unique field or as drafts first; reads them back.",
    contract="Frappe Framework 15, REST API (``/api/resource``, ``/api/method``); ERPNext 15, DocType Journal Entry",
    roles=("erp",),
    settings=ErpNextSettings,
    make=ErpNextConnector,
    simulator="tillwire.connectors.erpnext.simulator:ErpNextSimulator",
)

__all__ = ["SPEC", "ErpNextConnector", "ErpNextSettings"]
