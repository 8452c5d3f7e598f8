"""A mapped field: finds its cell in a row, reads it, and says where it was if it cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from tillwire.connectors.flatfile.rows import ABSENT, FixedRow, JsonRow, Row
from tillwire.connectors.flatfile.settings import Condition, Field, Flatfile
from tillwire.connectors.flatfile.targets import Target
from tillwire.connectors.flatfile.values import CellError, converter
from tillwire.errors import ConfigurationError

NOTHING: Any = object()
"""What a field gives that the row does not fill: the canonical default counts."""
_MOST_SHOWN = 80
_MISSING = "is missing"


class MappingError(Exception):
    """A row that cannot be mapped: the line, the column, and the value that stood there."""

    def __init__(self, row: Row, column: str, reason: str, value: Any = NOTHING) -> None:
        shown = "" if value is NOTHING else f" {str(value)[:_MOST_SHOWN]!r}"
        super().__init__(f"line {row.first}, column {column}:{shown} {reason}")
        self.pointer = f"line {row.first}, {column}"


def text_of(row: Row, column: str) -> str:
    """The text of a cell for comparisons, blanks around it removed; empty where the row has none."""
    value = row.get(column)
    if value is ABSENT or isinstance(value, dict | list):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip()


def matcher(conditions: Sequence[Condition], where: str) -> Callable[[Row], bool]:
    """True for rows that fit all conditions. Raises ``ConfigurationError`` if one says nothing."""
    for number, condition in enumerate(conditions):
        if bool(condition.is_in) == bool(condition.not_in):
            raise ConfigurationError(f"{where}.when[{number}]: give either is_in or not_in")
    tests = [(one.column, frozenset(one.is_in or one.not_in), bool(one.is_in)) for one in conditions]
    return lambda row: all((text_of(row, column) in words) is wanted for column, words, wanted in tests)


class Mapped:
    """A field of the mapping, compiled."""

    def __init__(self, field: Field, target: Target, settings: Flatfile, where: str) -> None:
        self.field = field
        self.where = where
        self.target = target
        sources = [bool(field.column), bool(field.columns), bool(field.header), field.constant is not None]
        sources += [bool(field.sum), bool(field.product), bool(field.quotient)]
        if sum(sources) != 1:
            raise ConfigurationError(
                f"{where}: give exactly one of column, columns, header, constant, sum, product and quotient"
            )
        self.computed = any(sources[4:])
        if self.computed and target.kind not in ("decimal", "integer"):
            raise ConfigurationError(f"{where}: what is computed is a number, and this is {target.kind}")
        if len(field.product) == 1 or len(field.quotient) == 1:
            raise ConfigurationError(f"{where}: name two fields")
        self.columns = (field.column,) if field.column else field.columns or ((field.header,) if field.header else ())
        if field.split and target.kind != "texts":
            raise ConfigurationError(f"{where}.split: this is no list of texts")
        if bool(field.sign_column) != bool(field.negative):
            raise ConfigurationError(f"{where}: sign_column and negative belong together")
        if field.positive and not field.negative:
            raise ConfigurationError(f"{where}: positive needs sign_column and negative")
        signed = field.sign_column or field.negate or field.absolute
        if signed and target.kind not in ("decimal", "integer"):
            raise ConfigurationError(f"{where}: a sign needs a number, and this is {target.kind}")
        self._convert = converter(field, target, settings, where)
        self._empty = frozenset(field.empty)
        self._negative, self._positive = frozenset(field.negative), frozenset(field.positive)
        self._signed = bool(signed)
        self.constant = self._read_constant(field.constant)
        self._default = self._read_constant(field.default)

    def _read_constant(self, value: str | int | bool | None) -> Any:
        if value is None:
            return NOTHING
        try:
            return self._one(value)
        except CellError as error:
            raise ConfigurationError(f"{self.where}: {value!r} {error.reason}") from error

    def _one(self, value: Any) -> Any:
        if self.target.kind == "texts":
            parts = value if isinstance(value, list) else [value]
            if self.field.split:
                parts = [piece for part in parts for piece in str(part).split(self.field.split)]
            return tuple(self._convert(part) for part in parts if str(part).strip())
        return self._convert(value)

    def read(self, row: Row) -> Any:
        """The value in a row, or ``NOTHING``. Raises ``MappingError``."""
        if self.constant is not NOTHING:
            return self.constant
        try:
            value = self._cell(row)
            if value is NOTHING:
                return self._default
            found = self._one(value)
            return self._with_sign(found, row) if self._signed else found
        except CellError as error:
            raise MappingError(row, self.name, error.reason) from error

    @property
    def name(self) -> str:
        """The column, or columns, in the file's words."""
        return "+".join(self.columns)

    def _cell(self, row: Row) -> Any:
        if len(self.columns) == 1:
            value = self._raw(row, self.columns[0])
        else:
            parts = [self._raw(row, column) for column in self.columns]
            filled = [str(part).strip() for part in parts if part is not NOTHING]
            value = self.field.separator.join(filled) if any(filled) else NOTHING
        if value is NOTHING or value == "" or (self._empty and str(value) in self._empty):
            return NOTHING
        return value

    def _raw(self, row: Row, column: str) -> Any:
        value = row.get(column)
        if value is ABSENT:
            if isinstance(row, JsonRow) and not self.field.optional and self._default is NOTHING:
                raise CellError(_MISSING)
            return NOTHING
        if isinstance(value, str):
            if "\x00" in value:
                if value.strip("\x00 "):
                    raise CellError("has a NUL character in it")
                return NOTHING
            if isinstance(row, FixedRow) and value and self.target.kind != "text" and row.cut(column):
                raise CellError("is cut off by the end of the row")
            return value.strip()
        if isinstance(value, bool) and self.target.kind not in ("boolean", "text"):
            raise CellError(f"is {str(value).lower()}, not a {self.target.kind}")
        if isinstance(value, dict | list):
            plain = isinstance(value, list) and all(type(part) in (str, int, Decimal) for part in value)
            if self.target.kind == "texts" and plain:
                return value
            raise CellError("is a JSON object or list, not one value")
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            if self.target.kind in ("decimal", "integer"):
                return value
            return str(value)
        return value if isinstance(value, bool) and self.target.kind == "boolean" else str(value).lower()

    def _with_sign(self, number: Any, row: Row) -> Any:
        field = self.field
        if field.sign_column:
            word = text_of(row, field.sign_column)
            if word in self._negative:
                number = -abs(number)
            elif self._positive and word not in self._positive:
                raise MappingError(row, field.sign_column, "is no word for positive or negative", word)
            else:
                number = abs(number)
        elif field.absolute:
            number = abs(number)
        return -number if field.negate and number else number

    def guarded(self, row: Row) -> Any:
        """As ``read``, with the value that could not be read in the message."""
        try:
            return self.read(row)
        except MappingError as error:
            cause = error.__cause__
            if isinstance(cause, CellError) and cause.reason != _MISSING:
                shown = self.field.separator.join(text_of(row, column) for column in self.columns)
                raise MappingError(row, self.name, cause.reason, shown) from cause
            raise
