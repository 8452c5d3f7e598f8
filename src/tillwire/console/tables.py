"""Tables that sort, filter, page and export: by parameters of the address, so that every view has one."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from litestar import Response

from tillwire.console.shell import HEADERS, AnyRequest

PER_PAGE = 100
MOST_EXPORTED = 100_000
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


class Column(NamedTuple):
    """One column. ``value`` is what it is sorted and exported by; how it looks is the template's."""

    name: str
    title: str
    value: Callable[[Any], Any]
    numeric: bool = False


class Table(NamedTuple):
    """Rows of one page, and what the page says of the others."""

    columns: Sequence[Column]
    rows: Sequence[Any]
    total: int
    page: int
    pages: int
    sort: str
    descending: bool
    filter: str


def table(request: AnyRequest, columns: Sequence[Column], rows: Sequence[Any], *, sort: str, descending: bool) -> Table:
    """The rows that the address asks for: ``q`` is looked for in every column, ``sort`` names one (a ``-`` before it
    turns the order), ``page`` counts from one. What it asks for wrongly is as if it had not been asked for.
    """
    asked = request.query_params
    text = asked.get("q", "")[:200].casefold()
    found = list(rows)
    if text:
        found = [row for row in found if any(text in _text(column.value(row)).casefold() for column in columns)]
    named = {column.name: column for column in columns}
    wanted = asked.get("sort", "")
    if wanted.lstrip("-") in named:
        sort, descending = wanted.lstrip("-"), wanted.startswith("-")
    if sort in named:
        key = named[sort].value
        known = [row for row in found if key(row) is not None]
        found = sorted(known, key=key, reverse=descending) + [row for row in found if key(row) is None]
    pages = max(1, -(-len(found) // PER_PAGE))
    number = asked.get("page", "")
    page = min(pages, max(1, int(number))) if number.isascii() and number.isdigit() and len(number) < 9 else 1
    shown = found if wants_csv(request) else found[(page - 1) * PER_PAGE : page * PER_PAGE]
    return Table(columns, shown, len(found), page, pages, sort, descending, asked.get("q", "")[:200])


def wants_csv(request: AnyRequest) -> bool:
    """Whether the address asks for the table as a file."""
    return request.query_params.get("format") == "csv"


def exported(made: Table, name: str) -> Response[bytes]:
    """The table as a file. Texts that a spreadsheet would take for formulas are quoted for it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([column.title for column in made.columns])
    for row in made.rows[:MOST_EXPORTED]:
        writer.writerow([_cell(column.value(row)) for column in made.columns])
    headers = HEADERS | {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text.getvalue().encode("utf-8-sig"), media_type="text/csv; charset=utf-8", headers=headers)


def _text(value: Any) -> str:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return "" if value is None else str(value)


def _cell(value: Any) -> str:
    text = _text(value)
    return "'" + text if isinstance(value, str) and text.startswith(_DANGEROUS) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except ArithmeticError:
        return False
