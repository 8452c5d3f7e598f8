"""The form of a journal's files: columns from templates, the data file's bytes, the control file, and their name.

The same journal gives the same bytes, whenever and wherever it is written.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from tillwire.errors import ConfigurationError
from tillwire.model.ledger import Journal, JournalLine


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column: its name in the header, and its text with ``{places}`` that a line fills."""

    name: str
    value: str = ""
    """Such as ``{account}``, ``{dimension:store}``, ``{segment:1}`` or a constant."""


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """What of the settings shapes a file."""

    columns: Sequence[Column]
    header: bool
    delimiter: str
    encoding: str
    constants: Mapping[str, str]
    segment_separator: str


_PLACES = re.compile(r"\{([a-z_]+)(?::([^{}]*))?\}")
_OF_JOURNAL = {"reference", "company", "store", "currency", "description", "reverses"}
_DATES = {"business_date", "posting_date"}
_OF_LINE = {"line", "account", "debit", "credit", "amount", "line_description", "foreign_amount", "foreign_currency"}
_CONSTANTS = {"ledger", "source", "category"}
_WITH_ARGUMENT = {"dimension", "segment"}

_CSV = (
    ("reference", "{reference}"),
    ("line", "{line}"),
    ("company", "{company}"),
    ("store", "{store}"),
    ("posting_date", "{posting_date}"),
    ("business_date", "{business_date}"),
    ("currency", "{currency}"),
    ("account", "{account}"),
    ("debit", "{debit}"),
    ("credit", "{credit}"),
    ("description", "{line_description}"),
    ("journal", "{description}"),
    ("reverses", "{reverses}"),
)
_SEGMENTS = 30
_FBDI = (
    ("STATUS", "NEW"),
    ("LEDGER_ID", "{ledger}"),
    ("ACCOUNTING_DATE", "{posting_date:%Y/%m/%d}"),
    ("USER_JE_SOURCE_NAME", "{source}"),
    ("USER_JE_CATEGORY_NAME", "{category}"),
    ("CURRENCY_CODE", "{currency}"),
    ("DATE_CREATED", "{posting_date:%Y/%m/%d}"),
    ("ACTUAL_FLAG", "A"),
    *((f"SEGMENT{number}", f"{{segment:{number}}}") for number in range(1, _SEGMENTS + 1)),
    ("ENTERED_DR", "{debit}"),
    ("ENTERED_CR", "{credit}"),
    ("ACCOUNTED_DR", ""),
    ("ACCOUNTED_CR", ""),
    ("REFERENCE1", "{company} {store} {business_date}"),
    ("REFERENCE2", "{description}"),
    ("REFERENCE3", ""),
    ("REFERENCE4", "{reference}"),
    ("REFERENCE5", "{description}"),
    ("REFERENCE6", "{reference}"),
    ("REFERENCE7", ""),
    ("REFERENCE8", ""),
    ("REFERENCE9", ""),
    ("REFERENCE10", "{line_description}"),
    *((f"COLUMN{number}", "") for number in range(53, 95)),  # further references, conversion, group and attributes
    ("END", "END"),
)


def default_columns(form: Literal["csv", "fbdi"]) -> tuple[Column, ...]:
    """The columns of a format."""
    return tuple(Column(name=name, value=value) for name, value in (_CSV if form == "csv" else _FBDI))


def check_columns(columns: Sequence[Column]) -> None:
    """Raises ``ConfigurationError`` for a place that nothing fills, or a file that would not say what it posts."""
    text = "".join(column.value for column in columns)
    for column in columns:
        rest = _PLACES.sub("", column.value)
        if "{" in rest or "}" in rest:
            raise ConfigurationError(f"columns.{column.name}: {column.value!r} has a brace of no place")
        for name, argument in _PLACES.findall(column.value):
            known = name in _OF_JOURNAL | _DATES | _OF_LINE | _CONSTANTS | _WITH_ARGUMENT
            if not known or (argument and name not in _DATES | _WITH_ARGUMENT):
                raise ConfigurationError(f"columns.{column.name}: {{{name}}} is no place")
            if name in _WITH_ARGUMENT and not argument:
                raise ConfigurationError(f"columns.{column.name}: {{{name}:…}} must name one")
            if name == "segment" and not (argument.isdigit() and int(argument)):
                raise ConfigurationError(f"columns.{column.name}: segments are numbered from 1")
    for needed in (("{reference}",), ("{account}", "{segment:"), ("{debit}", "{amount}")):
        if not any(place in text for place in needed):
            raise ConfigurationError(f"columns: one of them must hold {' or '.join(needed)}")
    if "{debit}" in text and "{credit}" not in text and "{amount}" not in text:
        raise ConfigurationError("columns: one of them must hold {credit}, or {amount}")


def file_name(reference: str, prefix: str) -> str:
    """The name of a journal's files without suffix: readable, and of each reference another one by its digest."""
    readable = re.sub(r"[^A-Za-z0-9-]+", "_", reference)[:60].strip("_")
    return f"{prefix}{readable}_{hashlib.sha256(reference.encode()).hexdigest()[:16]}"


def data_bytes(journal: Journal, form: Form) -> bytes:
    """The data file: one row for each line."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=form.delimiter, lineterminator="\r\n")
    if form.header:
        writer.writerow([column.name for column in form.columns])
    for number, line in enumerate(journal.lines, 1):
        writer.writerow([_filled(column.value, journal, number, line, form) for column in form.columns])
    return text.getvalue().encode(form.encoding, "replace")


def control(journal: Journal, name: str, data: bytes) -> dict[str, Any]:
    """What the control file says of the data file; amounts are texts in the journal's currency."""
    return {
        "reference": journal.reference,
        "file": name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "lines": len(journal.lines),
        "debit": f"{journal.debit():f}",
        "credit": f"{journal.credit():f}",
        "currency": journal.currency,
        "company": journal.company,
        "posting_date": journal.books_date.isoformat(),
    }


def _filled(template: str, journal: Journal, number: int, line: JournalLine, form: Form) -> str:
    def place(found: re.Match[str]) -> str:
        name, argument = found.group(1), found.group(2) or ""
        match name:
            case "business_date":
                return journal.business_date.strftime(argument or "%Y-%m-%d")
            case "posting_date":
                return journal.books_date.strftime(argument or "%Y-%m-%d")
            case "dimension":
                return line.dimensions.get(argument, "")
            case "segment":
                segments = line.account.split(form.segment_separator) if form.segment_separator else [line.account]
                return segments[int(argument) - 1] if int(argument) <= len(segments) else ""
            case "ledger" | "source" | "category":
                return form.constants[name]
        return _plain(name, journal, number, line)

    # One line of text for one row: ERPs that read rows by lines take no line ends inside quotes.
    return " ".join(_PLACES.sub(place, template).split())


def _plain(name: str, journal: Journal, number: int, line: JournalLine) -> str:
    match name:
        case "line":
            return str(number)
        case "account":
            return line.account
        case "debit" | "credit":
            amount = line.debit if name == "debit" else line.credit
            return f"{amount:f}" if amount else ""
        case "amount":
            return f"{line.debit - line.credit:f}"
        case "line_description":
            return line.description
        case "foreign_amount":
            return f"{line.foreign.amount:f}" if line.foreign else ""
        case "foreign_currency":
            return line.foreign.currency if line.foreign else ""
    return str(getattr(journal, name) or "")
