"""POSLog: the log of point-of-sale transactions of ARTS/OMG, in XML, as vendors really write it."""

from __future__ import annotations

from tillwire.connectors.poslog.connector import PoslogConnector
from tillwire.connectors.poslog.samples import EXAMPLES
from tillwire.connectors.poslog.settings import PoslogSettings
from tillwire.connectors.spec import Spec

SPEC = Spec(
    name="poslog",
    title="POSLog (ARTS/OMG)",
    about=(
        "Files and messages of POSLog XML, versions 2 to 6, of any vendor: sales, returns, exchanges, voids, suspended "
        "and training transactions, tender control, tills and days, loyalty."
    ),
    contract="ARTS/OMG XML POSLog 6.0.0, and the habits of vendors in 2.1, 2.2.1, 3 and 4",
    roles=("file", "message"),
    settings=PoslogSettings,
    make=PoslogConnector,
    media_types=("application/xml", "text/xml"),
    examples=EXAMPLES,
)

__all__ = ["SPEC", "PoslogConnector", "PoslogSettings"]
