"""Reads flat files: rows into groups, groups into records, and what the file says of itself against what was in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tillwire.connectors.flatfile.checks import Tally
from tillwire.connectors.flatfile.fields import MappingError, text_of
from tillwire.connectors.flatfile.layout import Layout
from tillwire.connectors.flatfile.lines import Lines
from tillwire.connectors.flatfile.mapping import EventMapping
from tillwire.connectors.flatfile.rows import ABSENT, Row, RowReader
from tillwire.connectors.flatfile.settings import Flatfile
from tillwire.connectors.inbound import MalformedError, Record, Source, Trouble

PART = "#!tillwire-part-of-a-file"
"""The first line of a record that was cut out of a file with header or trailer: these are not looked for then."""
_MOST_KEYS = 200_000
"""Groups whose keys are remembered, to find rows that are not adjacent; intake finds what is farther apart."""


class FlatfileConnector:
    """Maps the files of one connection. Raises ``ConfigurationError`` if the mapping cannot work."""

    def __init__(self, settings: Flatfile) -> None:
        self.settings = settings
        self.layout = Layout(settings)
        self.events = [EventMapping(one, settings, f"events[{number}]") for number, one in enumerate(settings.events)]
        self.layout.check(self.events)

    def read(self, source: Source) -> Iterator[Record]:
        """The records of a file, in order, in bounded memory.

        Raises ``MalformedError``: nothing in it, a row beyond the limits, columns that are missing, counts or totals
        that are not what header or trailer say, no trailer, or more troubles than a file of this mapping can have.
        """
        return _Reading(self, source).records()


class _Reading:
    """One reading of one file."""

    def __init__(self, connector: FlatfileConnector, source: Source) -> None:
        settings = connector.settings
        self.settings = settings
        self.layout = connector.layout
        self.events = connector.events
        self.lines = Lines(
            source.stream,
            settings.encoding,
            most_bytes=settings.most_row_bytes,
            record_length=settings.record_length,
        )
        self.reader = RowReader(settings, self.lines)
        self.part = False
        self.start = b""
        self.header: Row | None = None
        self.header_raw = b""
        self.group: list[Row] = []
        self.key: tuple[str, ...] | None = None
        self.keys: dict[tuple[str, ...], int] = {}
        self.tally = Tally(self.layout.checks)
        self.closed = False
        self.troubles = 0
        self.any = False
        self.last_line = 0

    def records(self) -> Iterator[Record]:
        """The records."""
        if self.lines.empty:
            raise MalformedError("start of file", "the file is empty")
        self._begin()
        while (row := self._next_row()) is not None:
            self.last_line = row.last
            role = self.layout.role(row)
            if role == "data":
                yield from self._data(row)
            elif role == "ignored":
                self.any = True
                yield Record(place=_place([row]), raw=self._raw([row]), ignored=f"row of kind {row.kind or 'unknown'}")
            else:
                yield from self._flush()
                if row.error:
                    raise MalformedError(f"line {row.first}", row.error)
                if role == "header":
                    self._header(row)
                else:
                    yield from self._trailer(row)
        yield from self._flush()
        if not self.part:
            if self.layout.has_trailer and not self.closed:
                raise MalformedError(
                    f"line {self.last_line}", "the file ends without its trailer record: was it cut off?"
                )
            if not self.layout.has_trailer:
                yield from self._verify(None)
        if not self.any:
            raw = self._raw([])
            yield Record(place="file", raw=raw, ignored="no rows")

    # ------------------------------------------------------------------ the beginning

    def _begin(self) -> None:
        mark = b""
        length = self.settings.record_length
        part = PART[:length].ljust(length) if length else PART + "\n"
        first = self.reader.take()
        if first is not None and first.text is not None and first.text.strip() == part.strip():
            self.part = True
        elif first is not None:
            self.reader.unread(first)
        if self.layout.cut:
            mark = self.lines.encode(part)
        skipped = self.reader.skip(self.settings.skip_lines)
        names = b""
        if self.layout.named:
            read = self.reader.next_row()
            if read is None:
                raise MalformedError("start of file", "there is no header line: nothing but blanks")
            cells, line, _, names, error = read
            if error:
                raise MalformedError(f"line {line}", f"the header line cannot be read: {error}")
            self.layout = self.layout.named_by(cells, line)
        self.start = self.lines.mark + mark + skipped + names

    def _next_row(self) -> Row | None:
        read = self.reader.next_row()
        if read is None:
            return None
        cells, first, last, raw, error = read
        return self.layout.row(cells, first, last, raw, error)

    def _raw(self, rows: Sequence[Row]) -> bytes:
        return self.start + self.header_raw + b"".join([row.raw for row in rows])

    # ------------------------------------------------------------------ the file's own records

    def _header(self, row: Row) -> None:
        if self.layout.has_trailer and self.header is not None and not self.closed and not self.part:
            raise MalformedError(f"line {row.first}", "a second header record before the trailer of the first")
        self.header, self.header_raw = row, row.raw
        if not self.layout.ends(row.raw) and not self.settings.record_length:
            self.header_raw += self.lines.encode("\n")
        self.closed = False
        self.tally = Tally(self.layout.checks)

    def _trailer(self, row: Row) -> Iterator[Record]:
        if self.closed:
            raise MalformedError(f"line {row.first}", "a second trailer record")
        self.closed = True
        if not self.part:
            yield from self._verify(row)

    def _verify(self, trailer: Row | None) -> Iterator[Record]:
        unsure = self.tally.verify(self.header, trailer)
        if unsure and trailer is not None:
            self.any = True
            trouble = Trouble(code="schema_drift", message=unsure, pointer=f"line {trailer.first}")
            yield self._troubled([trailer], trouble)

    # ------------------------------------------------------------------ rows and groups

    def _data(self, row: Row) -> Iterator[Record]:
        if self.closed and not self.part:
            raise MalformedError(f"line {row.first}", "there are rows after the trailer record")
        if self.layout.has_header and self.header is None:
            raise MalformedError(f"line {row.first}", "the file does not begin with its header record")
        if not self.layout.grouped:
            self.group = [row]
            yield from self._flush()
            return
        key = self._key_of(row)
        if self._begins(row, key):
            yield from self._flush()
            self.key = key
        elif self.key is None:
            self.key = key
        self.group.append(row)
        if len(self.group) > self.settings.most_group_rows:
            reason = f"more than {self.settings.most_group_rows} rows of one group (most_group_rows)"
            raise MalformedError(f"line {self.group[0].first}", reason)

    def _key_of(self, row: Row) -> tuple[str, ...] | None:
        columns = self.settings.group_by
        if not columns or any(row.get(column) is ABSENT for column in columns):
            return None
        key = tuple([text_of(row, column) for column in columns])
        if not any(key) and not row.error:
            row.error = f"the columns of group_by ({', '.join(columns)}) are empty"
        return key

    def _begins(self, row: Row, key: tuple[str, ...] | None) -> bool:
        if not self.group or self.layout.starts(row):
            return True
        if not self.settings.group_by or key is None:
            return False
        return self.key is not None and key != self.key

    def _flush(self) -> Iterator[Record]:
        rows, self.group = self.group, []
        if not rows:
            return
        key, self.key = self.key, None
        self.any = True
        self.tally.add(rows)
        yield self._record(rows, key)

    def _record(self, rows: list[Row], key: tuple[str, ...] | None) -> Record:
        bad = next((row for row in rows if row.error), None)
        if bad is not None:
            return self._troubled(rows, _trouble(f"line {bad.first}: {bad.error}", f"line {bad.first}"))
        if self.layout.has_starts and not self.layout.starts(rows[0]):
            text = f"line {rows[0].first}: a row of kind {rows[0].kind} before any that begins a group"
            return self._troubled(rows, _trouble(text, f"line {rows[0].first}"))
        if self.settings.group_by and key is not None:
            before = self.keys.setdefault(key, rows[0].first)
            if before != rows[0].first:
                text = f"rows of {'/'.join(key)} were at line {before} already: those of one group must be adjacent"
                return self._troubled(rows, _trouble(text, f"line {rows[0].first}"))
            if len(self.keys) > _MOST_KEYS:
                del self.keys[next(iter(self.keys))]
        event = next((one for one in self.events if one.fits(rows[0])), None)
        if event is None:
            if self.settings.other_groups == "ignored":
                return Record(place=_place(rows), raw=self._raw(rows), ignored="fits no event")
            return self._troubled(rows, _trouble("the rows fit the conditions of no event", f"line {rows[0].first}"))
        try:
            outgoing, claims = event.build(rows, self.header)
        except MappingError as error:
            return self._troubled(rows, _trouble(str(error), error.pointer), event)
        return Record(place=_place(rows), raw=self._raw(rows), events=(outgoing,), claims=claims)

    def _troubled(self, rows: list[Row], trouble: Trouble, event: EventMapping | None = None) -> Record:
        self.troubles += 1
        if self.troubles > self.settings.most_troubles:
            reason = f"more than {self.settings.most_troubles} troubles (most_troubles); this one: {trouble.message}"
            raise MalformedError(_place(rows), reason)
        if event is None:
            event = next((one for one in self.events if one.fits(rows[0])), None)
        if event is not None:
            known: dict[str, Any] = event.at_risk(rows, self.header)
            trouble = Trouble(code=trouble.code, message=trouble.message, pointer=trouble.pointer, **known)
        return Record(place=_place(rows), raw=self._raw(rows), troubles=(trouble,))


def _trouble(message: str, pointer: str) -> Trouble:
    return Trouble(code="schema_drift", message=message, pointer=pointer)


def _place(rows: Sequence[Row]) -> str:
    first, last = rows[0].first, rows[-1].last
    return f"line {first}" if first == last else f"lines {first}-{last}"
