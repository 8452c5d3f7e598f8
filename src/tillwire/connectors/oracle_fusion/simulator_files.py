"""GL_INTERFACE files as Oracle's loader takes them: what a row must be, column by column."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from tillwire.connectors.oracle_fusion.fbdi import FILE, PLACES

MOST_COLUMNS = 149
"""Of the template as of 25C."""
_AMOUNT = re.compile(r"\d{1,22}(\.\d{1,6})?")
_PLACE = {place: name for name, place in PLACES.items()}
_REQUIRED = ("ACCOUNTING_DATE", "DATE_CREATED", "USER_JE_CATEGORY_NAME", "CURRENCY_CODE", "GROUP_ID")


class WrongFileError(ValueError):
    """The loader cannot load the file."""


class InterfaceRow(NamedTuple):
    """One row of GL_INTERFACE."""

    group: str
    name: str
    """The batch's, from REFERENCE1."""
    description: str
    on: date
    currency: str
    segments: tuple[str, ...]
    account: str
    debit: Decimal
    credit: Decimal
    text: str
    number: int
    """Of the row in its file, which tells apart rows that are alike."""

    @property
    def reference(self) -> str:
        """Ours, which the batch's description begins with."""
        return self.description.split(" | ")[0]


def rows_of(archive: bytes, ledger_id: str, source: str, segments: int) -> list[InterfaceRow]:
    """The rows of a zip. Raises ``WrongFileError``."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
            if zipped.namelist() != [FILE]:
                raise WrongFileError(f"the zip has {zipped.namelist()}, {FILE} is expected")
            text = zipped.read(FILE).decode("utf-8")
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise WrongFileError(f"the file cannot be read: {error}") from error
    told = list(csv.reader(io.StringIO(text, newline="")))
    if not told:
        raise WrongFileError(f"{FILE} has no rows")
    return [_row(number, row, ledger_id, source, segments) for number, row in enumerate(told, start=1)]


def _row(number: int, row: list[str], ledger_id: str, source: str, segments: int) -> InterfaceRow:
    if not 67 <= len(row) <= MOST_COLUMNS:
        raise WrongFileError(f"row {number} has {len(row)} columns")
    told = {name: row[place] for name, place in PLACES.items()}
    for name, expected in (("STATUS", "NEW"), ("LEDGER_ID", ledger_id), ("USER_JE_SOURCE_NAME", source)):
        if told[name] != expected:
            raise WrongFileError(f"row {number}: {name} is {told[name]!r}, not {expected}")
    if told["ACTUAL_FLAG"] != "A" or not re.fullmatch("[A-Z]{3}", told["CURRENCY_CODE"]):
        raise WrongFileError(f"row {number}: ACTUAL_FLAG {told['ACTUAL_FLAG']!r}, CURRENCY {told['CURRENCY_CODE']!r}")
    missing = [name for name in _REQUIRED if not told[name]]
    first = PLACES["SEGMENT1"]
    values = tuple(row[first : first + segments])
    beyond = [place for place in range(first + segments, first + 30) if row[place]]
    unknown = [place for place, value in enumerate(row) if value and place >= 38 and place not in _PLACE]
    if missing or beyond or unknown or not all(values):
        raise WrongFileError(
            f"row {number}: missing {missing}, values in columns {beyond + unknown}, segments {values}"
        )
    if len(told["GROUP_ID"]) > 18 or not told["GROUP_ID"].isdigit():
        raise WrongFileError(f"row {number}: GROUP_ID {told['GROUP_ID']!r} is no number of 18 digits")
    for name in ("REFERENCE1", "REFERENCE4"):
        if len(told[name]) > 100:
            raise WrongFileError(f"row {number}: {name} is longer than 100 characters")
    for name in ("REFERENCE2", "REFERENCE5", "REFERENCE10"):
        if len(told[name]) > 240:
            raise WrongFileError(f"row {number}: {name} is longer than 240 characters")
    debit, credit = (_amount(number, told[name]) for name in ("ENTERED_DR", "ENTERED_CR"))
    if (debit is None) == (credit is None):
        raise WrongFileError(f"row {number}: one of ENTERED_DR and ENTERED_CR is expected")
    return InterfaceRow(
        told["GROUP_ID"],
        told["REFERENCE1"],
        told["REFERENCE2"],
        _day(number, told["ACCOUNTING_DATE"]),
        told["CURRENCY_CODE"],
        values,
        values[-1],
        debit or Decimal(0),
        credit or Decimal(0),
        told["REFERENCE10"],
        number,
    )


def _day(number: int, told: str) -> date:
    found = re.fullmatch(r"(\d{4})/(\d\d)/(\d\d)", told)
    try:
        return date(*map(int, found.groups())) if found else date.fromisoformat("")
    except ValueError as error:
        raise WrongFileError(f"row {number}: date {told!r} is not YYYY/MM/DD") from error


def _amount(number: int, told: str) -> Decimal | None:
    if told and not _AMOUNT.fullmatch(told):
        raise WrongFileError(f"row {number}: amount {told!r} is not valid")
    return Decimal(told) if told else None
