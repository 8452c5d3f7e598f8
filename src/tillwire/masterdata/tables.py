"""Master records as CSV: the header names the fields; lists stand in one cell, their items divided by ``|``.

``gtins``: ``4006381333931|96385074``; ``units``: ``CS=24|SIX=6``; ``components``: ``cup=1 EA|saucer=1 EA``;
``rates``: ``2026-07-01=0.05|2027-01-01=0.07``. An empty cell leaves the field at its default.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from io import StringIO
from typing import Any, NamedTuple

import msgspec

from tillwire.errors import TillwireError
from tillwire.model.master import Component, DatedRate

_DELIMITERS = ",;\t"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class TableError(TillwireError):
    """A file that cannot be read as a table of records from ``row`` (1 is the header) on."""

    def __init__(self, row: int, column: str | None, detail: str) -> None:
        super().__init__(f"row {row}{f', column {column}' if column else ''}: {detail}")
        self.row = row
        self.column = column
        self.detail = detail


class Cells(NamedTuple):
    """One row of a table, or what is wrong with it."""

    row: int
    """The line in the file where it begins; the header is line 1."""
    fields: dict[str, Any]
    column: str | None = None
    error: str | None = None


def _pairs(cell: str) -> list[tuple[str, str]]:
    found = []
    for item in cell.split("|"):
        name, sign, value = item.rpartition("=")
        if not sign or not name.strip() or not value.strip():
            raise ValueError(f"{item!r} is not of the form name=value; several are divided by |")
        found.append((name.strip(), value.strip()))
    return found


def _units(cell: str) -> dict[str, str]:
    pairs = _pairs(cell)
    units = dict(pairs)
    if len(units) < len(pairs):
        raise ValueError(f"{cell!r} names a unit twice")
    return units


def _components(cell: str) -> list[dict[str, str]]:
    made = []
    for sku, amount in _pairs(cell):
        quantity, _, unit = amount.partition(" ")
        made.append({"sku": sku, "quantity": quantity, **({"unit": unit.strip()} if unit.strip() else {})})
    return made


def _rates(cell: str) -> list[dict[str, str]]:
    return [{"effective_from": day, "rate": rate} for day, rate in _pairs(cell)]


def _list(cell: str) -> list[str]:
    return [item.strip() for item in cell.split("|")]


def _moment(cell: str) -> str:
    return f"{cell}T00:00:00" if _DAY.fullmatch(cell) else cell


_READ: dict[str, Callable[[str], Any]] = {
    "units": _units,
    "components": _components,
    "rates": _rates,
    "gtins": _list,
    "registers": _list,
    "codes": _list,
    "effective_from": _moment,
    "effective_to": _moment,
}


def decoded(content: bytes) -> str:
    """The text of a file: UTF-8, with or without a byte-order mark. Raises ``TableError``."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        detail = f"byte 0x{content[error.start]:02x} is not UTF-8: save the file in that encoding"
        raise TableError(row, None, detail) from error


def read_table(text: str, record: type[msgspec.Struct]) -> Iterator[Cells]:
    """The rows of a table of ``record``: fields by name, as texts, lists and pairs, ready to be converted.

    Raises ``TableError`` if the header names no or unknown fields, or if the rest of the file cannot be read at all.
    """
    head = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    row = 1
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, record)
        while True:
            row = reader.line_num + 1
            cells = next(reader, None)
            if cells is None:
                return
            if any(cell.strip() for cell in cells):
                yield _row(row, header, cells)
    except csv.Error as error:
        raise TableError(row, None, f"no CSV: {error}; what follows was not read") from error


def _check_header(header: Sequence[str], record: type[msgspec.Struct]) -> None:
    known = record.__struct_fields__
    if not any(header):
        raise TableError(1, None, f"the first row must name the fields: {', '.join(known)}")
    for name in header:
        if name not in known:
            raise TableError(1, name or "(empty)", f"no field of that name; there are {', '.join(known)}")
        if header.count(name) > 1:
            raise TableError(1, name, "the field is named twice")


def _row(row: int, header: Sequence[str], cells: Sequence[str]) -> Cells:
    if len(cells) != len(header):
        return Cells(row, {}, None, f"{len(cells)} cells, but the header names {len(header)} fields")
    fields: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        content = cell.strip()
        if content:
            try:
                fields[name] = _READ[name](content) if name in _READ else content
            except ValueError as error:
                return Cells(row, fields, name, str(error))
    return Cells(row, fields)


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return "|".join(f"{name}={factor}" for name, factor in value.items())
    if isinstance(value, tuple):
        return "|".join(_item(one) for one in value)
    return str(value)


def _item(one: Any) -> str:
    match one:
        case Component():
            return f"{one.sku}={one.quantity} {one.unit}"
        case DatedRate():
            return f"{one.effective_from}={one.rate}"
    return str(one)


def write_table(records: Iterable[msgspec.Struct], record: type[msgspec.Struct]) -> Iterator[str]:
    """Records as lines of CSV, header first, in the form that ``read_table`` reads."""
    names = record.__struct_fields__
    for values in [names], ([_written(getattr(one, name)) for name in names] for one in records):
        for cells in values:
            line = StringIO()
            csv.writer(line, lineterminator="\n").writerow(cells)
            yield line.getvalue()
