"""Odoo 17 and 18, the ERP: journals go to ``account.move`` over JSON-RPC under an external id of ours."""

from __future__ import annotations

from tillwire.connectors.odoo.connector import OdooConnector
from tillwire.connectors.odoo.settings import OdooSettings
from tillwire.connectors.spec import Spec

SPEC = Spec(
    name="odoo",
    title="Odoo",
    about="Posts journals to ``account.move`` over JSON-RPC under external ids, and reads them back.",
    contract="Odoo 17.0 and 18.0, External API (JSON-RPC, ``execute_kw``) and the models of its Accounting",
    roles=("erp",),
    settings=OdooSettings,
    make=OdooConnector,
    simulator="tillwire.connectors.odoo.simulator:OdooSimulator",
)

__all__ = ["SPEC", "OdooConnector", "OdooSettings"]
