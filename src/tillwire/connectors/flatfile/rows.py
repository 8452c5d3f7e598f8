"""From lines to rows: CSV, fixed width, JSON Lines. A row that cannot be read says why, and spares its neighbours."""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from typing import Any

from tillwire.connectors.flatfile.lines import Line, Lines
from tillwire.connectors.flatfile.settings import Flatfile
from tillwire.errors import ConfigurationError

ABSENT: Any = None
"""What a row says to a column that it does not have."""

csv.field_size_limit(2**27)  # rows are limited by ``most_row_bytes``, not by this


class Row:
    """A row: where it was, its bytes, and its cells by the name of their column."""

    __slots__ = ("cells", "error", "first", "kind", "last", "names", "raw")

    def __init__(self, first: int, last: int, raw: bytes, cells: Any, names: Any, error: str = "") -> None:
        self.first = first
        self.last = last
        self.raw = raw
        self.cells = cells
        self.names = names
        self.kind = ""
        self.error = error

    def get(self, column: str) -> Any:
        """The cell: text, or ``ABSENT``."""
        place = self.names[column]
        cells = self.cells
        return cells[place] if 0 <= place < len(cells) else ABSENT

    def cut(self, column: str) -> bool:
        """True if the row ends within the column."""
        return False


class FixedRow(Row):
    """A row of fixed width: ``cells`` is its text, ``names`` the spans."""

    __slots__ = ()

    def get(self, column: str) -> Any:
        """The text of the span; empty beyond the row's end."""
        first, last = self.names[column]
        return self.cells[first:last]

    def cut(self, column: str) -> bool:
        """True if the row ends within the span."""
        first, last = self.names[column]
        return bool(first < len(self.cells) < last)


class JsonRow(Row):
    """A JSON object: ``cells`` is the object (or an item of an array of it), ``names`` the whole row."""

    __slots__ = ()

    def get(self, column: str) -> Any:
        """The value at a dotted path, as JSON has it; null is an empty text."""
        from_root, path = steps(column)
        node = self.names if from_root else self.cells
        for step in path:
            if isinstance(node, Mapping):
                if step not in node:
                    return ABSENT
                node = node[step]
            elif isinstance(node, list) and step.isascii() and step.isdigit() and len(step) < 6:
                if int(step) >= len(node):
                    return ABSENT
                node = node[int(step)]
            elif node is None:
                return ""
            else:
                return ABSENT
        return "" if node is None else node

    def item(self, cells: Any) -> JsonRow:
        """An entry of an array of this row."""
        made = JsonRow(self.first, self.last, self.raw, cells, self.names)
        made.kind = self.kind
        return made


@lru_cache(maxsize=1024)
def steps(path: str) -> tuple[bool, tuple[str, ...]]:
    """True for a path from the row itself, and its steps."""
    if path == "$":
        return True, ()
    if path.startswith("$."):
        return True, tuple(path[2:].split("."))
    return False, tuple(path.split(".")) if path != "." else ()


def _plain(name: str) -> str:
    return " ".join(name.replace("\u00a0", " ").replace("\ufeff", "").split()).casefold()


class Names(dict[str, int]):
    """Columns to positions: by name, whatever its case and blanks, else by number from 1 on; -1 if there is none."""

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__()
        self.columns = columns
        self._by_name: dict[str, int] = {}
        self.twice: set[str] = set()
        for number, column in enumerate(columns):
            if self._by_name.setdefault(_plain(column), number) != number:
                self.twice.add(_plain(column))

    def __missing__(self, column: str) -> int:
        place = self._by_name.get(_plain(column), -1)
        if place < 0 and column.isascii() and column.isdigit() and 0 < len(column) < 5:
            place = int(column) - 1
        self[column] = place
        return place

    def ambiguous(self, column: str) -> bool:
        """True if several columns have this name."""
        return _plain(column) in self.twice


def span(text: str, path: str) -> tuple[int, int]:
    """ "first-last" as indexes. Raises ``ConfigurationError`` that names ``path``."""
    first, dash, last = text.partition("-")
    if not (first.isascii() and first.isdigit() and (not dash or (last.isascii() and last.isdigit()))):
        raise ConfigurationError(f"{path}: {text!r} is no span: write first-last, counted from 1, such as 3-10")
    begin, end = int(first), int(last if dash else first)
    if not 1 <= begin <= end <= 100_000:
        raise ConfigurationError(f"{path}: {text!r} must begin at 1 or later, and end at or after its beginning")
    return begin - 1, end


class Spans(dict[str, tuple[int, int]]):
    """Names to spans; a span may also be named by itself ("3-10"). What is neither is empty, and held by the lint."""

    def __missing__(self, column: str) -> tuple[int, int]:
        self[column] = (0, 0)
        return 0, 0


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:60]!r} occurs twice in one object")
    return made


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _number(text: str) -> Any:
    return Decimal(text)


class RowReader:
    """The rows of lines, once."""

    def __init__(self, settings: Flatfile, lines: Lines) -> None:
        self._settings = settings
        self._lines = lines
        self._again: deque[Line] = deque()
        self._source = iter(lines)
        self._taken: list[Line] = []
        self._bytes = 0

    def skip(self, count: int) -> bytes:
        """Read over so many lines; returns their bytes."""
        return b"".join(line.raw for line in (self.take() for _ in range(count)) if line is not None)

    def take(self) -> Line | None:
        """The next line, whatever is in it."""
        return next(self._plain_lines(), None)

    def unread(self, line: Line) -> None:
        """Give a line back."""
        self._again.appendleft(line)

    def next_line(self) -> Line | None:
        """The next line that is neither blank nor a comment."""
        comment = self._settings.comment
        for line in self._plain_lines():
            if line.blank or (comment and line.text is not None and line.text.lstrip().startswith(comment)):
                continue
            return line
        return None

    def _plain_lines(self) -> Iterator[Line]:
        while True:
            line = self._again.popleft() if self._again else next(self._source, None)
            if line is None:
                return
            yield line

    def next_row(self) -> tuple[list[str] | str | Any, int, int, bytes, str] | None:
        """Cells (CSV), text (fixed width) or object (JSON) of the next row, its lines, its bytes, what is wrong."""
        line = self.next_line()
        if line is None:
            return None
        error = line.error
        text = line.text
        if text is None:
            text = line.raw.decode(self._lines.encoding, "replace")
        if self._settings.format == "csv":
            return self._csv(line, text, error)
        text = text.rstrip("\r\n\x1a")
        if self._settings.format == "fixed":
            return text, line.number, line.number, line.raw, error
        return self._json(line, text, error)

    def _json(self, line: Line, text: str, error: str) -> tuple[Any, int, int, bytes, str]:
        content: Any = {}
        try:
            content = json.loads(
                text.strip("\x00 \t\ufeff"),
                parse_float=_number,
                parse_constant=_constant,
                object_pairs_hook=_pairs,
            )
        except RecursionError:
            error = error or "nested too deep"
        except (ValueError, ArithmeticError) as reason:
            error = error or f"no JSON: {reason}"
        if not isinstance(content, dict):
            content, error = {}, error or "no JSON object"
        return content, line.number, line.number, line.raw, error

    def _csv(self, line: Line, text: str, error: str) -> tuple[list[str], int, int, bytes, str]:
        if not error and (not self._settings.quote or self._settings.quote not in text):
            plain = text.rstrip("\r\n\x1a")
            if not self._settings.escape and "\r" not in plain:
                return plain.split(self._settings.delimiter), line.number, line.number, line.raw, ""
        self._taken = [line]
        self._bytes = len(line.raw)
        if not error:
            try:
                cells = next(self._reader(chain([text], self._more()), strict=True), [])
                raw = b"".join(taken.raw for taken in self._taken)
                return cells, line.number, self._taken[-1].number, raw, ""
            except csv.Error as reason:
                error = str(reason)
                if len(self._taken) > 1:
                    error = f"a quoted text that begins here does not end properly ({error})"
            for taken in reversed(self._taken[1:]):
                self.unread(taken)
        try:
            cells = next(self._reader(iter([text]), strict=False), [])
        except csv.Error:
            cells = []
        return cells, line.number, line.number, line.raw, error

    def _reader(self, texts: Iterator[str], *, strict: bool) -> Iterator[list[str]]:
        settings = self._settings
        if not settings.quote:
            return csv.reader(
                texts,
                delimiter=settings.delimiter,
                quoting=csv.QUOTE_NONE,
                escapechar=settings.escape or None,
                strict=strict,
            )
        return csv.reader(
            texts,
            delimiter=settings.delimiter,
            quotechar=settings.quote,
            escapechar=settings.escape or None,
            doublequote=not settings.escape,
            strict=strict,
        )

    def _more(self) -> Iterator[str]:
        """Further lines for a quoted text that goes on, within the limits."""
        for line in self._plain_lines():
            self._taken.append(line)
            self._bytes += len(line.raw)
            if line.text is None:
                raise csv.Error(f"line {line.number}: {line.error}")
            if len(self._taken) > self._settings.most_row_lines or self._bytes > self._settings.most_row_bytes:
                raise csv.Error(f"longer than {len(self._taken) - 1} lines or {self._settings.most_row_bytes} bytes")
            yield line.text
