"""Reading other systems' JSON: numbers exactly, text cleaned, and what is not as the contract says located.

Money never passes through float: numbers with a fraction are decimals as they are written. A field of a wrong type is
a ``DriftError`` with a JSON pointer, which a connector turns into the trouble of one record.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any, BinaryIO, NamedTuple, NoReturn

import msgspec

from tillwire.connectors.inbound import MalformedError
from tillwire.errors import TillwireError
from tillwire.model.money import AMOUNT_LIMIT, MOST_DECIMALS, is_sound

MOST_BYTES = 64 * 2**20
"""Of a JSON document, which is read as a whole; JSON Lines are read line by line and may be longer."""

_CONTROLS = re.compile("[\x00-\x1f\x7f\ud800-\udfff]+")
_UNFIT_IN_KEYS = re.compile(r"[%/;|]")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_EARLIEST, _LATEST = 1980, 2200
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


class DriftError(TillwireError):
    """A record is not as its contract says: ``pointer`` names the field, the message the reason."""

    def __init__(self, pointer: str, reason: str) -> None:
        super().__init__(f"{pointer}: {reason}")
        self.pointer = pointer
        self.reason = reason


def words(text: str, most: int = 500) -> str:
    """Text without control characters and blanks at its ends, cut to ``most`` characters."""
    return " ".join(_CONTROLS.sub(" ", text).split(" ")).strip()[:most].rstrip()


def key_part(text: str, most: int = 64) -> str:
    """Text that may be part of a key: the separators / ; | (and %) are percent-encoded, so that two different texts
    stay different; one that is too long ends in a digest of the whole. Empty if nothing is left.
    """
    made = _UNFIT_IN_KEYS.sub(lambda found: f"%{ord(found.group()):02X}", words(text, 10_000))
    if len(made) <= most:
        return made
    return made[: most - 9].rstrip() + "~" + hashlib.sha256(made.encode()).hexdigest()[:8]


def number_of(text: str) -> int:
    """A number made from a text identifier, always the same: for systems that count nothing. 62 bits."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big") >> 2


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def parsed(raw: bytes | memoryview, place: str = "the body") -> Any:
    """JSON with exact numbers. Raises ``MalformedError``."""
    try:
        return json.loads(bytes(raw).decode("utf-8-sig"), parse_float=Decimal, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise MalformedError(f"{place}, byte {error.start}", "it is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise MalformedError(f"{place}, line {error.lineno}, column {error.colno}", error.msg) from error
    except (ValueError, ArithmeticError) as error:
        raise MalformedError(place, str(error)) from error
    except RecursionError as error:
        raise MalformedError(place, "it is nested deeper than the limit") from error


def documents(stream: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """The JSON documents of a stream with their places: one, or one per line (JSON Lines).

    Raises ``MalformedError`` for what is empty or longer than ``MOST_BYTES``; what is not JSON shows when it is parsed.
    """
    head = stream.read(MOST_BYTES + 1)
    if not head.strip(b" \t\r\n\xef\xbb\xbf"):
        raise MalformedError("the body", "it is empty")
    first, _, rest = head.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")
    if first[:1] == b"{" and first.rstrip()[-1:] == b"}" and rest.strip():
        stream.seek(0)
        yield from _lines(stream)
        return
    if len(head) > MOST_BYTES:
        raise MalformedError("the body", f"it is longer than {MOST_BYTES} bytes: split it, or write JSON Lines")
    yield "the body", head.removeprefix(b"\xef\xbb\xbf")


def _lines(stream: BinaryIO) -> Iterator[tuple[str, bytes]]:
    number = 0
    while line := stream.readline(MOST_BYTES + 1):
        number += 1
        if len(line) > MOST_BYTES:
            raise MalformedError(f"line {number}", f"it is longer than {MOST_BYTES} bytes")
        line = line.removeprefix(b"\xef\xbb\xbf").strip()
        if line:
            yield f"line {number}", line


def members(raw: bytes, place: str) -> dict[str, bytes] | list[bytes] | None:
    """The raw bytes of an object's members or of an array's elements; none for anything else.

    Raises ``MalformedError``.
    """
    start = raw.lstrip()[:1]
    try:
        if start == b"{":
            found = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
            return {name: bytes(value) for name, value in found.items()}
        if start == b"[":
            return [bytes(value) for value in msgspec.json.decode(raw, type=list[msgspec.Raw])]
    except RecursionError as error:
        raise MalformedError(place, "it is nested deeper than the limit") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        parsed(raw, place)  # its words name the line
        raise MalformedError(place, str(error)) from error
    parsed(raw, place)
    return None


def joined(**parts: bytes) -> bytes:
    """An object of members that stay as they came."""
    return b"{" + b",".join(b'"%s":%s' % (name.encode(), raw) for name, raw in parts.items()) + b"}"


class Node(NamedTuple):
    """One JSON object, with its JSON pointer."""

    data: Mapping[str, Any]
    pointer: str = ""

    def drift(self, name: str, reason: str) -> DriftError:
        """The error that names a field of this object."""
        return DriftError(f"{self.pointer}/{name}", reason)

    def _wrong(self, name: str, wanted: str) -> DriftError:
        shown = repr(self.data.get(name))[:60]
        return self.drift(name, f"{wanted} is expected, not {shown}")

    def text(self, name: str, most: int = 500) -> str:
        """A text, cleaned; a number as it is written; empty if there is none."""
        value = self.data.get(name)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise self._wrong(name, "a text")
        return words(str(value), most)

    def needed(self, name: str) -> str:
        """A text that must be there."""
        value = self.text(name)
        if not value:
            raise self.drift(name, "it is missing")
        return value

    def number(self, name: str) -> Decimal | None:
        """A decimal, written as a number or as a text; none if it is missing or empty."""
        value = self.data.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise self._wrong(name, "a number")
        written = str(value).strip()
        if len(written) > 400 or not _NUMBER.fullmatch(written):
            raise self._wrong(name, "a number")
        number = Decimal(written)
        if not number:
            return Decimal(0) if not is_sound(number) or number.is_signed() else number
        if not -AMOUNT_LIMIT < number < AMOUNT_LIMIT:
            raise self._wrong(name, "a number below 10^15")
        exponent = number.as_tuple().exponent
        if isinstance(exponent, int) and exponent < -MOST_DECIMALS:
            number = number.quantize(Decimal(1).scaleb(-MOST_DECIMALS))  # a float's noise
            return number if number else Decimal(0)
        return number if is_sound(number) else number.quantize(Decimal(1))

    def amount(self, name: str) -> Decimal:
        """A decimal that must be there."""
        value = self.number(name)
        if value is None:
            raise self.drift(name, "it is missing")
        return value

    def integer(self, name: str) -> int | None:
        """A whole number of at most 63 bits; none if it is missing or empty."""
        value = self.data.get(name)
        if value is None or value == "":
            return None
        if (
            isinstance(value, Decimal)
            and value.is_finite()
            and abs(value) < 2**63
            and value == value.to_integral_value()
        ):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self._wrong(name, "a whole number")
        if isinstance(value, str):
            if not _INTEGER.fullmatch(value.strip()):
                raise self._wrong(name, "a whole number")
            value = int(value)
        if not -(2**63) < value < 2**63 - 1:
            raise self.drift(name, "the number is beyond 63 bits")
        return value

    def identity(self, name: str = "id") -> int:
        """The number by which the system knows it: there, and not below zero."""
        value = self.integer(name)
        if value is None:
            raise self.drift(name, "it is missing")
        if value < 0:
            raise self._wrong(name, "a number that is not below zero")
        return value

    def flag(self, name: str) -> bool | None:
        """A boolean, also as PHP and forms write it; none if it is missing or empty."""
        value = self.data.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool):
            return value
        told = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(str(value).lower())
        if told is None:
            raise self._wrong(name, "true or false")
        return told

    def child(self, name: str) -> Node | None:
        """An object; none if it is missing or empty (PHP writes an empty one as ``[]``)."""
        value = self.data.get(name)
        if value is None or value == [] or value == "" or value is False:
            return None
        if not isinstance(value, dict):
            raise self._wrong(name, "an object")
        return Node(value, f"{self.pointer}/{name}")

    def items(self, name: str) -> list[Node]:
        """The objects of an array (or, as PHP may write it, of an object with numbers for names); empty if missing."""
        value = self.data.get(name)
        if value is None or value == "" or value is False:
            return []
        if isinstance(value, dict):
            value = list(value.values())
        if not isinstance(value, list):
            raise self._wrong(name, "an array")
        for i, item in enumerate(value):
            if not isinstance(item, dict):
                raise DriftError(f"{self.pointer}/{name}/{i}", f"an object is expected, not {repr(item)[:60]}")
        return [Node(item, f"{self.pointer}/{name}/{i}") for i, item in enumerate(value)]

    def moment(self, name: str, zone: tzinfo = UTC) -> datetime | None:
        """A time in UTC; one without a zone is of ``zone``. None if it is missing, or "not set" (years before 1980)."""
        value = self.data.get(name)
        if value is None or value == "" or value is False:
            return None
        found = _MOMENT.fullmatch(value.strip()) if isinstance(value, str) else None
        if found is None:
            raise self._wrong(name, "a time (ISO 8601)")
        day, clock, fraction, offset = found.groups()
        year = int(day[:4])
        if year < _EARLIEST:
            return None
        if year >= _LATEST:
            raise self._wrong(name, "a time of this century")
        try:
            made = datetime.fromisoformat(f"{day}T{clock}{(fraction or '')[:7]}{(offset or '').replace('Z', '+00:00')}")
        except ValueError as error:
            raise self._wrong(name, "a time (ISO 8601)") from error
        return (made if made.tzinfo else made.replace(tzinfo=zone)).astimezone(UTC)


def seconds_of(moment: datetime) -> int:
    """Whole seconds since 1970, by which versions rise."""
    return int(moment.timestamp())


def milliseconds_of(moment: datetime) -> int:
    """Whole milliseconds since 1970, exactly."""
    return seconds_of(moment) * 1000 + moment.microsecond // 1000


def trading_day(moment: datetime, zone: tzinfo) -> date:
    """The calendar day of a moment at the store."""
    return moment.astimezone(zone).date()


def sound(message: Any) -> Any:
    """The message, if it keeps the limits of the model. Raises ``DriftError`` that names the field that does not."""
    try:
        msgspec.json.decode(msgspec.json.encode(message), type=type(message))
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise DriftError("", f"it cannot be said in a {type(message).__name__}: {str(error)[:200]}") from error
    return message
