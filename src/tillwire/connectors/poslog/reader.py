"""Cuts a stream of XML into its Transaction elements, in bounded memory, without reading what is in them.

A lexer, not a parser: outside of transactions it follows every tag; inside one it looks only for its end, past comments
and CDATA. Each piece then goes to expat, which judges well-formedness. There is no DTD here: a DOCTYPE is refused, so
no entity can be declared, and none but the five of XML is ever resolved.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO, NamedTuple

from tillwire.connectors.inbound import MalformedError

CHUNK = 1 << 20
MOST_TAG_BYTES = 1 << 16
MOST_WRAPPERS = 16
MOST_OUTSIDE_BYTES = 1 << 24
MOST_OUTSIDE_TAGS = 20_000
"""So much without a transaction is no POSLog."""

_TAG = re.compile(rb"<([^\s<>/=\"'!?]++)(?>[^<>\"']++|\"[^\"<]*+\"|'[^'<]*+')*+>")
_END_TAG = re.compile(rb"</([^\s<>/]++)\s*>")
_DECLARED = re.compile(rb"^<\?xml\s[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._\-]+)[\"']")
_BLANKS = b" \t\r\n\x1a"
_ARCHIVES = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_WIDE = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"<\0\0\0": "utf-32-le",
    b"\0\0\0<": "utf-32-be",
    b"<\0": "utf-16-le",
    b"\0<": "utf-16-be",
}


class Piece(NamedTuple):
    """One Transaction element."""

    raw: bytes
    """The element as it came, within the declaration and the start tags it stood in: readable alone."""
    depth: int
    """How many wrappers are around it."""
    number: int
    line: int
    """Where it begins in the source; both count from one."""


def declared_encoding(head: bytes) -> str:
    """The encoding that a document's declaration names; UTF-8 if it names none."""
    found = _DECLARED.match(head)
    return found.group(1).decode("ascii") if found else "utf-8"


@lru_cache(maxsize=64)
def _endings(name: bytes) -> re.Pattern[bytes]:
    quoted = re.escape(name)
    return re.compile(rb"<!--|<!\[CDATA\[|<\?|<!|</" + quoted + rb"\s*>|<" + quoted + rb"(?=[\s/>])")


def local(name: bytes) -> bytes:
    """A tag's name without its prefix."""
    return name.rpartition(b":")[2]


class Reader:
    """Reads one stream to its end."""

    def __init__(self, stream: BinaryIO, most_record_bytes: int) -> None:
        self._stream = stream
        self._most = most_record_bytes
        self._decoder: codecs.IncrementalDecoder | None = None
        self._buffer = b""
        self._at = 0
        self._line = 1
        self._ended = False
        self._wrappers: list[tuple[bytes, bytes]] = []
        self._declaration = b""
        self.root = b""
        """The name of the last document's outermost element."""
        self.root_alone = b""
        """That element without what is in it."""

    def _fail(self, reason: str) -> MalformedError:
        return MalformedError(f"line {self._line}", reason)

    def _fill(self) -> bool:
        """One chunk more behind what is not consumed yet; false at the end of the stream."""
        if self._ended:
            return False
        chunk = self._stream.read(CHUNK)
        if not chunk:
            self._ended = True
        if self._decoder is not None:
            chunk = self._transcoded(chunk)
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        return bool(chunk) or not self._ended

    def _transcoded(self, chunk: bytes) -> bytes:
        assert self._decoder is not None
        try:
            return self._decoder.decode(chunk, not chunk).encode("utf-8")
        except UnicodeError as error:
            raise self._fail(f"is not in the encoding it says: {error}") from error

    def _advance(self, to: int) -> None:
        self._line += self._buffer.count(b"\n", self._at, to)
        self._at = to

    def _begin(self) -> None:
        self._fill()
        head = self._buffer
        for magic, name in _ARCHIVES.items():
            if head.startswith(magic):
                raise self._fail(f"is a {name} archive, not XML: unpack it first")
        wide = next((name for magic, name in _WIDE.items() if head.startswith(magic)), "")
        if not wide:
            label = declared_encoding(head[:200])
            wide = label if label.lower().replace("_", "-").startswith(("iso-2022", "hz")) else ""
        if wide:
            # Markup in such text is not single ASCII bytes: all is read as UTF-8 from here on.
            try:
                self._decoder = codecs.getincrementaldecoder(wide)("strict")
            except LookupError as error:
                raise self._fail(f"declares the unknown encoding {wide}") from error
            self._buffer = self._transcoded(head)
        text = self._buffer.lstrip(_BLANKS + codecs.BOM_UTF8)
        if text[:1] not in (b"<", b"") or (not text and len(self._buffer) >= CHUNK):
            raise self._fail("does not begin with XML")

    def pieces(self) -> Iterator[Piece]:
        """Every Transaction element in its order. Raises ``MalformedError`` where the stream stops to be XML."""
        self._begin()
        number = outside = tags = 0
        while True:
            start = self._buffer.find(b"<", self._at)
            until = len(self._buffer) if start < 0 else start
            outside += until - self._at
            self._check_between(until)
            self._advance(until)
            if outside > MOST_OUTSIDE_BYTES or tags > MOST_OUTSIDE_TAGS:
                raise self._fail("goes on and on without a Transaction element: is it a POSLog?")
            if start < 0:
                if not self._fill():
                    break
                continue
            before = self._at
            tag = self._token()
            if tag is None:
                outside += self._at - before
                tags += 1
                continue
            number, outside, tags = number + 1, 0, 0
            yield self._transaction(tag, number)
        if self._wrappers:
            name = self._wrappers[-1][0].decode("utf-8", "replace")
            raise self._fail(f"ends within <{name}>: the file is cut off")
        if not self.root:
            raise self._fail("is empty")

    def _check_between(self, until: int) -> None:
        if not self._wrappers and until > self._at:
            text = self._buffer[self._at : until].replace(codecs.BOM_UTF8, b"").strip(_BLANKS)
            if text:
                raise self._fail("text outside of the root element")

    def _find(self, mark: bytes, skip: int) -> int:
        """The end of a token that begins here and ends with ``mark``."""
        while True:
            end = self._buffer.find(mark, self._at + skip)
            if end >= 0:
                return end + len(mark)
            if len(self._buffer) - self._at > self._most or not self._fill():
                raise self._fail(f"a token without its end ({mark.decode()})")

    def _token(self) -> re.Match[bytes] | None:
        """Consumes what begins here; the start tag of a transaction is returned instead."""
        while len(self._buffer) - self._at < 16 and self._fill():
            pass
        head = self._buffer[self._at : self._at + 16]
        if head.startswith(b"<?"):
            end = self._find(b"?>", 2)
            if head.startswith(b"<?xml") and head[5:6].isspace():
                if self._wrappers:
                    raise self._fail("an XML declaration within an element")
                self._declaration = self._buffer[self._at : end]
            self._advance(end)
        elif head.startswith(b"<!--"):
            self._advance(self._find(b"-->", 4))
        elif head.startswith(b"<![CDATA[") and self._wrappers:
            self._advance(self._find(b"]]>", 9))
        elif head.startswith(b"<!"):
            raise self._fail("a DOCTYPE (or other declaration of a DTD) is refused")
        elif head.startswith(b"</"):
            self._end_tag()
        else:
            return self._start_tag()
        return None

    def _match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        while True:
            found = pattern.match(self._buffer, self._at)
            if found is not None and found.end() - self._at <= MOST_TAG_BYTES:
                return found
            if len(self._buffer) - self._at > MOST_TAG_BYTES or not self._fill():
                raise self._fail("not a tag, or one without its end")

    def _end_tag(self) -> None:
        found = self._match(_END_TAG)
        name = found.group(1)
        if not self._wrappers or self._wrappers[-1][0] != name:
            raise self._fail(f"</{name.decode('utf-8', 'replace')}> ends what is not open")
        self._wrappers.pop()
        self._advance(found.end())

    def _start_tag(self) -> re.Match[bytes] | None:
        found = self._match(_TAG)
        name = found.group(1)
        if not self._wrappers:
            self.root = name
            closed = found.group().endswith(b"/>")
            self.root_alone = self._head() + found.group() + (b"" if closed else b"</" + name + b">")
        if local(name) == b"Transaction":
            return found
        if not found.group().endswith(b"/>"):
            if len(self._wrappers) >= MOST_WRAPPERS:
                raise self._fail(f"no Transaction within {MOST_WRAPPERS} levels of elements")
            self._wrappers.append((name, found.group()))
        self._advance(found.end())
        return None

    def _transaction(self, tag: re.Match[bytes], number: int) -> Piece:
        line = self._line
        size = len(tag.group()) if tag.group().endswith(b"/>") else self._size(tag)
        end = self._at + size
        parts = [self._head(), *(start for _, start in self._wrappers), self._buffer[self._at : end]]
        parts += [b"</" + name + b">" for name, _ in reversed(self._wrappers)]
        self._advance(end)
        return Piece(b"".join(parts), len(self._wrappers), number, line)

    def _head(self) -> bytes:
        return b'<?xml version="1.0" encoding="UTF-8"?>' if self._decoder is not None else self._declaration

    def _size(self, tag: re.Match[bytes]) -> int:
        """How long the element that begins here is. Offsets are kept from its beginning, which ``_fill`` moves."""
        endings = _endings(tag.group(1))
        offset, depth = len(tag.group()), 1
        while depth:
            found = endings.search(self._buffer, self._at + offset)
            if found is None:
                # A token may lie across the end of what was read: its longest beginning is looked at again.
                offset = max(offset, len(self._buffer) - self._at - len(tag.group(1)) - 64)
                self._more(number_of=offset)
                continue
            begin, text = found.start() - self._at, found.group()
            if text in _SKIPPED:
                offset = self._skip(begin, _SKIPPED[text], len(text))
            elif text == b"<!":
                if len(self._buffer) - found.start() < 9 and not self._ended:
                    self._more(number_of=begin)
                    offset = begin
                    continue
                raise self._fail("a declaration within an element")
            elif text.startswith(b"</"):
                depth -= 1
                offset = found.end() - self._at
            else:
                offset, own = self._nested(begin)
                depth += own
        return offset

    def _more(self, number_of: int) -> None:
        if number_of > self._most or len(self._buffer) - self._at > self._most + 2 * CHUNK:
            raise self._fail(f"a transaction of more than {self._most} bytes (most_record_bytes)")
        if not self._fill():
            raise self._fail("ends within a transaction: the file is cut off")

    def _skip(self, begin: int, mark: bytes, skip: int) -> int:
        offset = begin + skip
        while True:
            end = self._buffer.find(mark, self._at + offset)
            if end >= 0:
                return end + len(mark) - self._at
            offset = max(offset, len(self._buffer) - self._at - len(mark))
            self._more(number_of=offset)

    def _nested(self, begin: int) -> tuple[int, int]:
        """An element of the same name within: where its start tag ends, and whether it is open."""
        while True:
            found = _TAG.match(self._buffer, self._at + begin)
            if found is not None:
                return found.end() - self._at, 0 if found.group().endswith(b"/>") else 1
            if len(self._buffer) - self._at - begin > MOST_TAG_BYTES:
                raise self._fail("not a tag, or one without its end")
            self._more(number_of=begin)


_SKIPPED = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}
"""What may hold anything, and how it ends."""
