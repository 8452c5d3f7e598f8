"""Oracle Fusion Cloud Financials: journals go in as GL_INTERFACE files (FBDI) over the REST resource erpintegrations.

``simulator`` stands in for a pod in tests and trials.
"""

from __future__ import annotations

from tillwire.connectors.oracle_fusion.connector import OracleFusionConnector
from tillwire.connectors.oracle_fusion.settings import OracleFusionSettings
from tillwire.connectors.spec import Spec

SPEC = Spec(
    name="oracle_fusion",
    title="Oracle Fusion Cloud Financials",
    about="Imports journals as FBDI files (GlInterface.csv) by ``importBulkData``, follows the job, has them posted by "
    "AutoPost, finds and reads them back as journal batches.",
    contract="REST API for Oracle Fusion Cloud Financials 11.13.18.05 (erpintegrations, journalBatches) and the "
    "JournalImportTemplate of FBDI, as of 25C",
    roles=("erp",),
    settings=OracleFusionSettings,
    make=OracleFusionConnector,
    simulator="tillwire.connectors.oracle_fusion.simulator:OracleFusionSimulator",
)

__all__ = ["SPEC", "OracleFusionConnector", "OracleFusionSettings"]
