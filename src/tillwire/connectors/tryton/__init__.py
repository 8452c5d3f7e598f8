"""Tryton 8.2, the ERP: journals, stock movements and invoices, over JSON-RPC.

``server`` and ``faults`` run a real one, and get in its way, for tests and the demo.
"""

from __future__ import annotations

from tillwire.connectors.erp import DuplicatePostingError
from tillwire.connectors.spec import Spec
from tillwire.connectors.tryton.connector import TrytonConnector
from tillwire.connectors.tryton.settings import TrytonSettings

SPEC = Spec(
    name="tryton",
    title="Tryton",
    about="Posts journals, stock movements, invoices and credit notes over JSON-RPC, and reads them back.",
    contract="Tryton 8.2, JSON-RPC",
    roles=("erp",),
    settings=TrytonSettings,
    make=TrytonConnector,
)

__all__ = ["SPEC", "DuplicatePostingError", "TrytonConnector", "TrytonSettings"]
