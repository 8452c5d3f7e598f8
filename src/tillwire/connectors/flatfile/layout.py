"""How the rows of a file look: kinds, columns, spans. Checked against the mapping before the first file comes."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from typing import Any

from tillwire.connectors.flatfile.checks import CompiledCheck
from tillwire.connectors.flatfile.fields import Mapped, text_of
from tillwire.connectors.flatfile.mapping import EventMapping
from tillwire.connectors.flatfile.rows import FixedRow, JsonRow, Names, Row, Spans, span
from tillwire.connectors.flatfile.settings import Condition, Flatfile
from tillwire.connectors.flatfile.values import zone
from tillwire.connectors.inbound import MalformedError
from tillwire.errors import ConfigurationError

_NO_TEXT = frozenset(["idna", "punycode", "utf-7", "unicode_escape", "raw_unicode_escape", "undefined"])


def _check_plain(settings: Flatfile) -> None:
    """What can be judged without the mapping."""
    try:
        info = codecs.lookup(settings.encoding)
    except LookupError as error:
        raise ConfigurationError(f"encoding: there is no encoding {settings.encoding!r}") from error
    wide = info.name.startswith(("utf-16", "utf-32"))
    if info.name in _NO_TEXT or not getattr(info, "_is_text_encoding", True):
        raise ConfigurationError(f"encoding: {settings.encoding!r} is no encoding of text files")
    if not wide and not settings.record_length and "\n".encode(settings.encoding) != b"\n":
        raise ConfigurationError(f"encoding: {settings.encoding!r} has other line ends: give record_length")
    for name in ("delimiter", "quote", "escape"):
        value = getattr(settings, name)
        if (len(value) != 1 and not (name != "delimiter" and not value)) or value in ("\r", "\n", "\x00"):
            raise ConfigurationError(f"{name}: {value!r} is not one character")
    if settings.delimiter in (settings.quote, settings.escape):
        raise ConfigurationError("delimiter: it is also the quote or the escape character")
    zone(settings.time_zone, "time_zone")
    if settings.record_length and settings.format != "fixed":
        raise ConfigurationError("record_length: only rows of fixed width have one")
    if settings.spans and settings.format != "fixed":
        raise ConfigurationError("spans: only rows of fixed width have them")
    if settings.columns and (settings.format != "csv" or settings.header):
        raise ConfigurationError("columns: only CSV without a header line (header = false) needs them")
    if settings.rows and not settings.discriminator:
        raise ConfigurationError("discriminator: name the column that says of which kind a row is")
    if settings.discriminator and not settings.rows:
        raise ConfigurationError("rows: name the kinds of rows that the discriminator tells apart")


class Layout:
    """The layout, compiled. Raises ``ConfigurationError`` that names the path."""

    def __init__(self, settings: Flatfile) -> None:
        _check_plain(settings)
        self.settings = settings
        self.named = settings.format == "csv" and settings.header
        self._names: Any = Names(settings.columns)
        self._width = len(settings.columns)
        self._kind_names: dict[str, Any] = {}
        self._widths: dict[str, int] = {}
        self._kinds: dict[str, str] = {}
        for name, kind in settings.rows.items():
            for value in kind.values or (name,):
                if self._kinds.setdefault(value, name) != name:
                    raise ConfigurationError(f"rows.{name}.values: {value!r} is also a value of {self._kinds[value]}")
            if kind.columns and self.named:
                raise ConfigurationError(f"rows.{name}.columns: the header line names the columns (header = true)")
            if kind.spans and settings.format != "fixed":
                raise ConfigurationError(f"rows.{name}.spans: only rows of fixed width have them")
            if kind.starts and kind.role != "data":
                raise ConfigurationError(f"rows.{name}.starts: only rows of data begin groups")
            self._kind_names[name] = Names(kind.columns or settings.columns)
            self._widths[name] = len(kind.columns or settings.columns)
        if settings.format == "fixed":
            base = {one: span(text, f"spans.{one}") for one, text in settings.spans.items()}
            self._names = Spans(base)
            for name, kind in settings.rows.items():
                own = {one: span(text, f"rows.{name}.spans.{one}") for one, text in kind.spans.items()}
                self._kind_names[name] = Spans(base | own)
        roles = {kind.role for kind in settings.rows.values()}
        if settings.rows and "data" not in roles:
            raise ConfigurationError("rows: no kind of row carries data")
        self.has_header = "header" in roles
        self.has_trailer = "trailer" in roles
        self.cut = self.has_header or self.has_trailer
        self.has_starts = any(kind.starts for kind in settings.rows.values())
        self.grouped = bool(settings.group_by) or self.has_starts
        self._starting = frozenset(name for name, kind in settings.rows.items() if kind.starts)
        self.checks = [CompiledCheck(one, settings, f"checks[{number}]") for number, one in enumerate(settings.checks)]

    # ------------------------------------------------------------------ the lint

    def check(self, events: Sequence[EventMapping]) -> None:
        """Raises ``ConfigurationError`` for columns that no kind of row has, and for kinds that nothing uses."""
        self._columns = list(self._all_columns(events))
        header_columns = {(where, one) for where, one, from_header, _ in self._columns if from_header}
        if header_columns and not self.has_header:
            where, one = sorted(header_columns)[0]
            raise ConfigurationError(f"{where}.header: {one!r}: no kind of row has the role header")
        if self.settings.format == "fixed":
            self._check_spans()
        elif self.settings.format == "csv" and not self.named:
            self._check_positions()
        used = {kind for event in events for kind in event.kinds_used()} | self._starting
        everywhere = any(event.uses_all_kinds() for event in events)
        for name, kind in self.settings.rows.items():
            if kind.role == "data" and name not in used and not everywhere:
                raise ConfigurationError(f"rows.{name}: no event uses it: map it, or give it the role ignored")

    def _all_columns(self, events: Sequence[EventMapping]) -> Iterator[tuple[str, str, bool, bool]]:
        """Where a column is named, its name, whether in the file's header record, and whether it may be absent."""
        settings = self.settings

        def conditions(some: Sequence[Condition], where: str) -> Iterator[tuple[str, str, bool, bool]]:
            for number, one in enumerate(some):
                yield f"{where}.when[{number}].column", one.column, False, False

        def of(mapped: Mapped) -> Iterator[tuple[str, str, bool, bool]]:
            for column in mapped.columns:
                yield mapped.where, column, bool(mapped.field.header), mapped.field.optional
            if mapped.field.sign_column:
                yield f"{mapped.where}.sign_column", mapped.field.sign_column, False, False

        for number, column in enumerate(settings.group_by):
            yield f"group_by[{number}]", column, False, False
        if settings.discriminator:
            yield "discriminator", settings.discriminator, False, False
        for event, given in zip(events, settings.events, strict=True):
            for mapped in event.mapped():
                yield from of(mapped)
            yield from conditions(given.when, f"events.{given.type}")
            for some in event.all_lists:
                yield from conditions(some.mapping.when, some.where)
                for column in some.mapping.distinct:
                    yield f"{some.where}.distinct", column, False, False
        for check in self.checks:
            yield from of(check.claimed)
            if check.sum is not None:
                yield from of(check.sum)
            yield from conditions(check.check.when, check.claimed.where)

    def _check_spans(self) -> None:
        everything = [self._names, *self._kind_names.values()]
        for where, column, _, _ in self._columns:
            if any(column in names for names in everything):
                continue
            if not column[:1].isdigit():
                raise ConfigurationError(f"{where}: no kind of row has a span {column!r}")
            found = span(column, where)
            for names in everything:
                names[column] = found

    def _check_positions(self) -> None:
        everything = [self._names, *self._kind_names.values()]
        for where, column, _, _ in self._columns:
            if all(names[column] < 0 for names in everything):
                raise ConfigurationError(
                    f"{where}: no kind of row has a column {column!r}: name it, or give its number"
                )
            ambiguous = [names for names in everything if names.ambiguous(column)]
            if ambiguous:
                raise ConfigurationError(f"{where}: several columns are named {column!r}")

    # ------------------------------------------------------------------ rows

    def named_by(self, cells: Sequence[str], line: int) -> Layout:
        """This layout for a file with this header line. Raises ``MalformedError`` if columns are missing there."""
        names = Names([cell.strip() for cell in cells])
        for where, column, _, optional in self._columns:
            if names[column] < 0 and not optional:
                there = ", ".join(cell.strip()[:40] for cell in cells[:60])
                raise MalformedError(f"line {line}", f"there is no column {column!r} ({where}); there are {there}")
            if names.ambiguous(column):
                raise MalformedError(f"line {line}", f"several columns are named {column!r} ({where})")
        made = object.__new__(Layout)
        made.__dict__.update(self.__dict__)
        made._names = names
        made._width = len(cells)
        made._kind_names = dict.fromkeys(self._kind_names, names)
        made._widths = dict.fromkeys(self._widths, len(cells))
        return made

    def row(self, cells: Any, first: int, last: int, raw: bytes, error: str) -> Row:
        """A row of its kind."""
        kind_of_row = {"csv": Row, "fixed": FixedRow, "json": JsonRow}[self.settings.format]
        made = kind_of_row(first, last, raw, cells, cells if self.settings.format == "json" else self._names, error)
        width = self._width
        if self.settings.rows:
            value = text_of(made, self.settings.discriminator)
            kind = self._kinds.get(value)
            if kind is None:
                if self.settings.unknown_rows == "trouble" and not error:
                    made.error = f"{self.settings.discriminator} is {value[:60]!r}, which is no kind of row"
                return made
            made.kind = kind
            if self.settings.format != "json":
                made.names = self._kind_names[kind]
            width = self._widths[kind]
        if self.settings.format == "csv" and not made.error and width and len(cells) != width:
            if len(cells) < width:
                if not self.settings.short_rows:
                    made.error = f"has {len(cells)} columns, and there are {width}"
            elif any(cell.strip(" \x00") for cell in cells[width:]):
                made.error = f"has {len(cells)} columns, and there are {width}"
        if self.settings.last_line_end == "needed" and not made.error and not self.ends(raw):
            made.error = "the line does not end: was the file cut off?"
        if self.settings.record_length and not made.error and len(raw) < self.settings.record_length:
            made.error = f"has {len(raw)} bytes, and a row has {self.settings.record_length}"
        return made

    @staticmethod
    def ends(raw: bytes) -> bool:
        """True for the bytes of a line with its line end, in any encoding."""
        return raw.rstrip(b"\x00").endswith((b"\n", b"\r"))

    def role(self, row: Row) -> str:
        """What a row is for."""
        if row.kind:
            return self.settings.rows[row.kind].role
        if self.settings.rows and self.settings.unknown_rows == "ignored" and not row.error:
            return "ignored"
        return "data"

    def starts(self, row: Row) -> bool:
        """True if a row begins a group."""
        return row.kind in self._starting
