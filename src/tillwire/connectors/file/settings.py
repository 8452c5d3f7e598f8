"""What the file connector must be told: which folders, which columns, and whether the ERP acknowledges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from tillwire.connectors.file.layout import Column, check_columns, default_columns
from tillwire.errors import ConfigurationError

Suffix = Annotated[str, msgspec.Meta(pattern=r"^\.[A-Za-z0-9._-]{1,20}$")]


class FileSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ERP's folders, and the form of its files."""

    folder: Annotated[str, msgspec.Meta(min_length=1)]
    """Where files are handed over. The ERP takes a data file once its control file is there, and not before."""
    archive: str = ""
    """Where we keep what was handed over; the ERP leaves it alone. On the same file system as ``folder``. Empty:
    ``.sent`` in ``folder``."""
    acknowledge: Literal["files", "none"] = "files"
    """``files``: a journal is posted when the ERP says so by a file. ``none``: when it has been handed over."""
    acknowledgements: str = ""
    """Where the ERP answers; empty: in ``folder``."""
    accepted_suffix: Suffix = ".ack"
    """With ``NAME.ack`` the ERP says that it has posted NAME; its first line is the ERP's number, if it has one."""
    rejected_suffix: Suffix = ".rej"
    """With ``NAME.rej`` it says that it has not; the text is its reason."""
    format: Literal["csv", "fbdi"] = "csv"
    """``fbdi``: the columns of Oracle's GL_INTERFACE import, without a header."""
    columns: tuple[Column, ...] = ()
    """What the columns hold, instead of those of ``format``."""
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ","
    encoding: Literal["utf-8", "utf-8-sig", "cp1252", "latin-1"] = "utf-8"
    """A character that the encoding lacks is written as ``?``."""
    data_suffix: Suffix = ".csv"
    control_suffix: Suffix = ".ctl"
    prefix: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{0,20}$")] = "TW_"
    """How the names of our files begin."""
    ledger: str = ""
    """For ``{ledger}``: the ledger's identifier in the ERP."""
    source: str = "Tillwire"
    """For ``{source}``."""
    category: str = "Sales"
    """For ``{category}``."""
    segment_separator: str = "-"
    """``fbdi``: what stands between the segments of our account codes, such as 01-110-4010."""

    def __post_init__(self) -> None:
        check_columns(self.fields)
        suffixes = [self.data_suffix, self.control_suffix, self.accepted_suffix, self.rejected_suffix]
        if len(set(suffixes)) < len(suffixes):
            raise ConfigurationError("data, control, accepted and rejected files need suffixes of their own")

    @property
    def fields(self) -> tuple[Column, ...]:
        """The columns in their order."""
        return self.columns or default_columns(self.format)

    @property
    def outbox(self) -> Path:
        """Where files are handed over."""
        return Path(self.folder)

    @property
    def kept(self) -> Path:
        """Where we keep what was handed over."""
        return Path(self.archive) if self.archive else self.outbox / ".sent"

    @property
    def answers(self) -> Path:
        """Where the ERP answers."""
        return Path(self.acknowledgements) if self.acknowledgements else self.outbox
