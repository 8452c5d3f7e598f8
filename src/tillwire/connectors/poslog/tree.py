"""One transaction as elements without namespaces, and how their values are read."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NoReturn
from xml.etree.ElementTree import Element, ParseError, XMLParser

from tillwire.connectors.inbound import MalformedError
from tillwire.connectors.poslog.reader import Piece, declared_encoding
from tillwire.model.money import AMOUNT_LIMIT, MOST_DECIMALS

MOST_DEPTH = 64
MOST_ATTRIBUTES = 500_000

_NO_TEXT = frozenset({"unicode_escape", "raw_unicode_escape", "idna", "punycode", "utf-7", "undefined"})
_WIDE = ("utf-16", "utf-32", "iso2022", "hz")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_REFERENCES = re.compile(r"&#(?:0*([0-9]{1,8})|[xX]0*([0-9A-Fa-f]{1,6}));")
_SMALLEST = Decimal(1).scaleb(-MOST_DECIMALS)


class DriftError(Exception):
    """A field is missing or of another type than the standard's. Becomes a trouble of the record."""

    def __init__(self, message: str, pointer: str, code: str = "schema_drift") -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer
        self.code = code


@lru_cache(maxsize=256)
def codec_of(label: str) -> str:
    """Python's name of an encoding that is a superset of ASCII; empty for others and unknown ones."""
    try:
        name = codecs.lookup(label).name
        if name in _NO_TEXT or name.startswith(_WIDE) or b"<a>".decode(name) != "<a>":
            return ""
    except (LookupError, UnicodeError, ValueError):
        return ""
    return name


class Document:
    """A piece that was read: its element, and what had to be known to read it."""

    __slots__ = ("element", "note")

    def __init__(self, element: Element, note: str) -> None:
        self.element = element
        self.note = note
        """Such as: read as cp932. Empty for what is as it says."""


def parse(piece: Piece, fallbacks: Iterable[str], most_elements: int) -> Document:
    """The Transaction element of a piece. Raises ``MalformedError`` for what is not well-formed or beyond limits."""
    raw = piece.raw
    place = f"Transaction {piece.number}, line {piece.line}"
    if raw.count(b"<") > 2 * most_elements or raw.count(b"=") > MOST_ATTRIBUTES:
        raise MalformedError(place, f"a transaction of more than {most_elements} elements (most_elements)")
    label = declared_encoding(raw[:200])
    codec = codec_of(label) or "utf-8"
    note = ""
    try:
        root = _parsed(raw if codec == "utf-8" else raw.decode(codec))
    except (ParseError, UnicodeDecodeError) as error:
        text, note = _as_text(raw, codec, label, fallbacks, place)
        root, scrubbed = _mended(text, error, piece, place)
        note = "; ".join(part for part in (note, scrubbed) if part)
    for _ in range(piece.depth):
        root = root[0]
    _bare(root, place)
    return Document(root, note)


def _parsed(text: bytes | str) -> Element:
    # Text is read as it is, bytes as UTF-8, whatever the declaration says.
    parser = XMLParser(encoding="utf-8")
    parser.feed(text)
    element: Element = parser.close()
    return element


def _as_text(raw: bytes, codec: str, label: str, fallbacks: Iterable[str], place: str) -> tuple[str, str]:
    try:
        return raw.decode(codec), ""
    except UnicodeDecodeError:
        for fallback in fallbacks:
            try:
                return raw.decode(fallback), f"read as {fallback}, for it is not in {label} as it says"
            except (UnicodeDecodeError, LookupError):
                continue
    raise MalformedError(place, f"its text is in none of the encodings {label}, {', '.join(fallbacks)}")


def _mended(text: str, error: Exception, piece: Piece, place: str) -> tuple[Element, str]:
    """Parsed, if need be without characters that XML has no place for (printer controls in receipt texts)."""
    try:
        return _parsed(text), ""
    except (ParseError, UnicodeEncodeError) as unread:
        error = unread
    mended = _REFERENCES.sub(_allowed, _CONTROLS.sub("\ufffd", text))
    if mended != text:
        try:
            return _parsed(mended), "characters that XML does not allow are read as U+FFFD"
        except ParseError as unread:
            error = unread
    if isinstance(error, ParseError):
        row, column = error.position
        # The declaration and the wrappers before the element may hold lines of their own.
        raise MalformedError(f"{place} (row {row}, column {column} of the record)", str(error)) from error
    raise MalformedError(place, str(error)) from error


def _allowed(reference: re.Match[str]) -> str:
    decimal, hexadecimal = reference.groups()
    number = int(decimal) if decimal else int(hexadecimal, 16)
    sound = number in (9, 10, 13) or 32 <= number < 0xD800 or 0xE000 <= number < 0xFFFE or 0x10000 <= number <= 0x10FFFF
    return reference.group() if sound else "\ufffd"


def _bare(root: Element, place: str) -> None:
    """Takes namespaces off every name, level by level, which also tells how deep it goes."""
    level = [root]
    for _ in range(MOST_DEPTH):
        below: list[Element] = []
        for element in level:
            tag = element.tag
            if tag[0] == "{" or ":" in tag:
                element.tag = tag.rpartition("}")[2]
            if element.attrib:
                _bare_attributes(element.attrib)
            below.extend(element)
        if not below:
            return
        level = below
    raise MalformedError(place, f"elements within elements, more than {MOST_DEPTH} deep")


def _bare_attributes(attributes: dict[str, str]) -> None:
    for name in [name for name in attributes if name[0] == "{"]:
        attributes.setdefault(name.rpartition("}")[2], attributes[name])


def kids(element: Element | None) -> dict[str, Element]:
    """The first child of each name."""
    found: dict[str, Element] = {}
    if element is not None:
        for child in element:
            if child.tag not in found:
                found[child.tag] = child
    return found


def text_of(element: Element | None) -> str:
    """The text of an element without blanks at its ends; empty if there is none."""
    if element is None or element.text is None:
        return ""
    return element.text.strip()


def text_at(element: Element | None, path: str) -> str:
    """The text of the first element at a path that is filled; empty if there is none."""
    if element is not None:
        for found in element.iterfind(path):
            text = text_of(found)
            if text:
                return text
    return ""


def attribute(element: Element | None, name: str) -> str:
    """An attribute without blanks at its ends; empty if there is none."""
    value = element.get(name) if element is not None else None
    return value.strip() if value else ""


def flag(element: Element | None, name: str) -> bool:
    """A boolean attribute: true, True, 1, yes, Y."""
    value = element.get(name) if element is not None else None
    return value is not None and value.strip().lower() in ("true", "1", "yes", "y")


def number(element: Element | None, pointer: str) -> Decimal | None:
    """The number that an element holds; none if it is missing or empty. Raises ``DriftError`` for what is no number."""
    text = text_of(element)
    return to_number(text, pointer) if text else None


def to_number(text: str, pointer: str) -> Decimal:
    """A number as it is written, also with its sign behind. More than eight decimals (float noise) are rounded off."""
    if text[-1] in "+-" and len(text) > 1:
        text = text[-1] + text[:-1]
    try:
        value = Decimal(text.removesuffix("%").rstrip())
    except InvalidOperation:
        _refuse(text, pointer)
    if not value.is_finite() or not -AMOUNT_LIMIT < value < AMOUNT_LIMIT:
        _refuse(text, pointer)
    if not value:
        value = abs(value)
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    if exponent < -MOST_DECIMALS:
        value = value.quantize(_SMALLEST)
    elif exponent > 0:
        value = value.quantize(Decimal(1))
    return value


def times(amount: Decimal, factor: Decimal, pointer: str) -> Decimal:
    """The product, which must be of sane size, too. Raises ``DriftError``."""
    made = amount * factor
    if not -AMOUNT_LIMIT < made < AMOUNT_LIMIT:
        _refuse(str(made), pointer)
    exponent = made.as_tuple().exponent
    return made.quantize(_SMALLEST) if isinstance(exponent, int) and exponent < -MOST_DECIMALS else made


def _refuse(text: str, pointer: str) -> NoReturn:
    raise DriftError(f"{text[:60]!r} is not a number (or one beyond all measure)", pointer)
