"""Files for ERPs that take nothing else: a journal is a CSV or FBDI-like file with a control file beside it."""

from __future__ import annotations

from tillwire.connectors.file.connector import FileConnector
from tillwire.connectors.file.settings import FileSettings
from tillwire.connectors.spec import Spec

SPEC = Spec(
    name="file",
    title="Journal files",
    about="Writes journals as files with control files into a folder, and reads the ERP's acknowledgements.",
    contract="RFC 4180 (CSV) with columns of your own, or the columns of Oracle's GL_INTERFACE import (FBDI)",
    roles=("erp",),
    settings=FileSettings,
    make=FileConnector,
)

__all__ = ["SPEC", "FileConnector", "FileSettings"]
