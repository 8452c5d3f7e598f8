"""From bytes to lines of text: encodings, byte-order marks, line ends. The bytes of each line are kept as they came."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from tillwire.connectors.inbound import MalformedError

_CHUNK = 256 * 1024
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PADDING = " \t\r\n\x00\x1a\ufeff"
"""What a line without content may hold: blanks, the NULs of a block that was not filled, the end-of-file of DOS."""


class Line(NamedTuple):
    """A physical line. ``text`` is none where its bytes are not of the file's encoding; ``error`` says why."""

    number: int
    raw: bytes
    text: str | None
    error: str = ""

    @property
    def blank(self) -> bool:
        """True if there is nothing in it."""
        return self.text is not None and not self.text.strip(_PADDING)


def wide(encoding: str) -> int:
    """Bytes of a code unit: 1, or 2 and 4 for UTF-16 and UTF-32."""
    name = codecs.lookup(encoding).name
    return 2 if name.startswith("utf-16") else 4 if name.startswith("utf-32") else 1


class Lines:
    """The lines of a stream, once. ``mark`` is its byte-order mark, ``encoding`` what it is in."""

    def __init__(self, stream: BinaryIO, encoding: str, *, most_bytes: int, record_length: int = 0) -> None:
        self._stream = stream
        self._most = most_bytes
        self._length = record_length
        head = stream.read(4)
        self.encoding = encoding
        self.mark = b""
        for mark, name in _MARKS:
            if head.startswith(mark):
                self.mark, self.encoding = mark, name
                break
        else:
            if codecs.lookup(encoding).name in ("utf-16", "utf-32"):  # without a mark: little endian, as on Windows
                self.encoding = f"{codecs.lookup(encoding).name}-le"
        self._rest = head[len(self.mark) :]
        self.empty = not head
        self._unit = wide(self.encoding)
        self._decode = codecs.lookup(self.encoding).decode

    def encode(self, text: str) -> bytes:
        """Text in the file's encoding."""
        return text.encode(self.encoding)

    def __iter__(self) -> Iterator[Line]:
        pieces = self._fixed() if self._length else self._split()
        for number, raw in enumerate(pieces, 1):
            try:
                yield Line(number, raw, self._decode(raw, "strict")[0])
            except UnicodeDecodeError as error:
                byte = raw[error.start] if error.start < len(raw) else 0
                why = f"byte 0x{byte:02x} at {error.start + 1} is not {self.encoding}"
                yield Line(number, raw, None, why)

    def _fixed(self) -> Iterator[bytes]:
        """Rows of one length without line ends."""
        rest = self._rest
        while True:
            chunk = self._stream.read(_CHUNK)
            rest += chunk
            for start in range(0, len(rest) - self._length + 1, self._length):
                yield rest[start : start + self._length]
            rest = rest[len(rest) - len(rest) % self._length :] if len(rest) >= self._length else rest
            if not chunk:
                break
        if rest:
            yield rest

    def _split(self) -> Iterator[bytes]:
        """Pieces that end with a line feed; with a carriage return where the file's beginning has no line feed."""
        rest = self._rest
        feed = b""
        count = 0
        ended = False
        while not ended:
            chunk = self._stream.read(_CHUNK)
            ended = not chunk
            rest = rest + chunk if rest else chunk
            if not feed:
                feed = self._line_end(rest)
            start = 0
            while (end := self._find(rest, feed, start)) >= 0:
                count += 1
                if end - start > self._most:
                    raise self._too_long(count)
                yield rest[start:end]
                start = end
            rest = rest[start:]
            if len(rest) > self._most:
                raise self._too_long(count + 1)
        if rest:
            yield rest

    def _too_long(self, number: int) -> MalformedError:
        return MalformedError(f"line {number}", f"longer than {self._most} bytes (most_row_bytes)")

    def _line_end(self, head: bytes) -> bytes:
        feed, back = self._code(10), self._code(13)
        if self._find(head, feed, 0) < 0 <= self._find(head, back, 0):
            return back
        return feed

    def _code(self, number: int) -> bytes:
        return number.to_bytes(self._unit, "big" if self.encoding.endswith("be") else "little")

    def _find(self, text: bytes, feed: bytes, start: int) -> int:
        """The index after the next line end, on a boundary of code units; -1 if there is none."""
        found = text.find(feed, start)
        while found >= 0 and (found - start) % self._unit:
            found = text.find(feed, found + 1)
        return found + self._unit if found >= 0 else -1
