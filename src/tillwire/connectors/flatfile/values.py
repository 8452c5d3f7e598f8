"""From the text of a cell to a typed value. Money is Decimal from the first digit on."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from tillwire.connectors.flatfile.settings import Field, Flatfile
from tillwire.connectors.flatfile.targets import Target
from tillwire.connectors.spec import time_zone
from tillwire.errors import ConfigurationError
from tillwire.model.money import is_sound

Convert = Callable[[Any], Any]
_FORBIDDEN = re.compile(r"[/;|]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES = {
    "text": {"text", "texts"},
    "integer": {"integer", "decimal", "text"},
    "decimal": {"decimal", "integer"},
    "date": {"date", "integer"},
    "datetime": {"datetime", "date", "integer"},
    "boolean": {"boolean"},
}
"""Types of cells, and the kinds of canonical fields that each can become."""
_NATURAL = {"texts": "text"}


class CellError(Exception):
    """A cell that cannot be read as what it should be."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def number_reader(field: Field, settings: Flatfile, where: str) -> Convert:
    """Reads decimals. Raises ``ConfigurationError`` if the separators contradict each other."""
    point = settings.decimal_separator if field.decimal_separator is None else field.decimal_separator
    thousands = settings.thousands_separator if field.thousands_separator is None else field.thousands_separator
    if len(point) != 1 or point.isdigit() or point in "+-()":
        raise ConfigurationError(f"{where}: decimal_separator {point!r} must be one character that is no digit or sign")
    if thousands == point or len(thousands) > 1 or thousands.isdigit():
        raise ConfigurationError(f"{where}: thousands_separator {thousands!r} must be one other character, or none")
    if field.decimals and field.factor:
        raise ConfigurationError(f"{where}: decimals and factor do the same: give one of them")
    factor = Decimal(1)
    if field.factor:
        try:
            factor = Decimal(field.factor)
        except InvalidOperation as error:
            raise ConfigurationError(f"{where}.factor: {field.factor!r} is no decimal") from error
        if not is_sound(factor) or not factor:
            raise ConfigurationError(f"{where}.factor: {field.factor} is no factor")
    spaces = "[ \u00a0\u202f']" if thousands in (" ", "'", "\u00a0", "\u202f") else re.escape(thousands)
    grouped = rf"|[0-9]{{1,3}}(?:{spaces}[0-9]{{2,3}})*{spaces}[0-9]{{3}}" if thousands else ""
    shape = re.compile(rf"(?:[0-9]+{grouped})(?P<decimals>{re.escape(point)}[0-9]*)?|{re.escape(point)}[0-9]+")
    strip = re.compile(spaces) if thousands else None
    implied = field.decimals

    def read(value: Any) -> Decimal:
        if isinstance(value, Decimal | int):
            number = Decimal(value).scaleb(-implied) if implied and isinstance(value, int) else Decimal(value)
        else:
            text = value.strip()
            negative = False
            if text[:1] == "(" and text[-1:] == ")":
                text, negative = text[1:-1].strip(), True
            elif text[-1:] in ("-", "+"):
                text, negative = text[:-1].rstrip(), text[-1] == "-"
            elif text[:1] in ("-", "+", "\u2212"):
                text, negative = text[1:].lstrip(), text[0] != "+"
            found = shape.fullmatch(text) if len(text) <= 60 else None
            if found is None:
                raise CellError("is no number")
            if strip is not None:
                text = strip.sub("", text)
            number = Decimal(text.replace(point, ".") if point != "." else text)
            if implied and point not in text:
                number = number.scaleb(-implied)
            if negative:
                number = -number
        number = number * factor if factor != 1 else number
        if not is_sound(number):
            number = number.normalize() if number.is_finite() else number
            if not is_sound(number):
                raise CellError("is no number below 10^15 with at most 8 decimals")
        return number

    return read


@lru_cache(maxsize=4096)
def _read_date(text: str, form: str) -> date:
    if form:
        return datetime.strptime(text, form).date()  # noqa: DTZ007 - a day has no zone
    if len(text) > 10:
        return datetime.fromisoformat(text).date()
    if "W" in text:
        raise ValueError("a date by weeks")
    return date.fromisoformat(text)


def _check_format(form: str, where: str, *, with_time: bool) -> None:
    sample = datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC)
    try:
        back = datetime.strptime(sample.strftime(form), form)  # noqa: DTZ007 - only its parts are compared
    except (ValueError, re.error) as error:
        raise ConfigurationError(f"{where}: {form!r} cannot be read back: {error}") from error
    if back.date() != sample.date() or (with_time and back.hour != sample.hour):
        need = "year, month, day and hour" if with_time else "year, month and day"
        raise ConfigurationError(f"{where}: {form!r} must have {need}")


def _date_reader(field: Field, settings: Flatfile, where: str) -> Convert:
    form = field.format or settings.date_format
    if form:
        _check_format(form, f"{where}.format" if field.format else "date_format", with_time=False)

    def read(value: Any) -> date:
        text = str(value).strip()
        try:
            return _read_date(text, form)
        except (ValueError, OverflowError) as error:
            raise CellError(f"is no date of the form {form or 'YYYY-MM-DD'}") from error

    return read


def zone(name: str, where: str) -> ZoneInfo | None:
    """A time zone by its IANA name, none for none. Raises ``ConfigurationError``."""
    if not name:
        return None
    return time_zone(name, where)


def _time_reader(field: Field, settings: Flatfile, where: str, *, naive: bool) -> Convert:
    form = field.format or settings.datetime_format
    epoch = form in ("epoch", "epoch_ms")
    if form and not epoch:
        _check_format(form, f"{where}.format" if field.format else "datetime_format", with_time=True)
    local = zone(field.time_zone or settings.time_zone, f"{where}.time_zone")
    scale = 1000 if form == "epoch_ms" else 1

    def read(value: Any) -> datetime:
        text = str(value).strip()
        try:
            if epoch:
                micros = int(Decimal(text) * 1_000_000 / scale)
                found = _EPOCH + timedelta(microseconds=micros)
            elif form:
                found = datetime.strptime(text, form)  # noqa: DTZ007 - the zone is added below
            else:
                found = datetime.fromisoformat(text)
        except (ValueError, OverflowError, InvalidOperation) as error:
            raise CellError(f"is no time of the form {form or 'YYYY-MM-DDThh:mm:ss'}") from error
        if not 1970 <= found.year <= 9990:
            raise CellError("is no time between 1970 and 9990")
        if naive:
            if found.tzinfo is not None:
                raise CellError("names a zone, and the store's own clock is meant")
            return found
        if found.tzinfo is None:
            if local is None:
                raise CellError("has no zone, and no time_zone is set")
            found = found.replace(tzinfo=local)
        offset = found.utcoffset()
        assert offset is not None
        return found.replace(tzinfo=timezone(timedelta(minutes=round(offset.total_seconds() / 60))))

    return read


def _boolean_reader(field: Field, where: str) -> Convert:
    true = {word.strip().casefold() for word in field.true}
    false = {word.strip().casefold() for word in field.false}
    both = true & false
    if both:
        raise ConfigurationError(f"{where}: {sorted(both)[0]!r} cannot mean both true and false")

    def read(value: Any) -> bool:
        if isinstance(value, bool):
            return value
        word = str(value).strip().casefold()
        if word in true:
            return True
        if word in false:
            return False
        raise CellError("is no word for true or false")

    return read


def _text_reader(field: Field, target: Target, where: str, table: dict[str, str] | None) -> Convert:
    words = target.words
    if words and table is not None:
        wrong = [word for word in table.values() if word not in words and word != "="]
        if wrong:
            raise ConfigurationError(f"{where}.lookup: {wrong[0]!r} is none of {', '.join(words)}")

    def read(value: Any) -> str:
        text = str(value).strip()
        if target.key:
            text = "".join(c if c.isprintable() else " " for c in _FORBIDDEN.sub("-", text)).strip()
        if field.cut:
            text = text[: field.cut].rstrip()
        if words and text not in words:
            if text.lower() in words:
                return text.lower()
            raise CellError(f"is none of {', '.join(words)}")
        return text

    return read


def _integer_reader(field: Field, settings: Flatfile, where: str) -> Convert:
    number = number_reader(field, settings, where)

    def read(value: Any) -> int:
        if isinstance(value, int):
            return value
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 60:
            return int(value)  # digits of any number: identifiers may have more than a number that is counted with
        found: Decimal = number(value)
        if found != found.to_integral_value():
            raise CellError("is no whole number")
        return int(found)

    return read


def _as_integer(read: Convert) -> Convert:
    """A date as YYYYMMDD, a time as milliseconds since 1970: numbers that rise, for revisions."""

    def converted(value: Any) -> int:
        found = read(value)
        if isinstance(found, datetime):
            return (found - _EPOCH) // timedelta(milliseconds=1)
        return int(found.strftime("%Y%m%d")) if found.year > 999 else int(found.toordinal())

    return converted


def converter(field: Field, target: Target, settings: Flatfile, where: str) -> Convert:
    """Reads cells that are not empty into what ``target`` is. Raises ``CellError``.

    Raises ``ConfigurationError`` here and now for what cannot work.
    """
    kind = field.type or _NATURAL.get(target.kind, target.kind)
    if kind not in _TYPES:
        raise ConfigurationError(f"{where}: map the parts of it, not the whole ({target.kind})")
    if target.kind not in _TYPES[kind]:
        raise ConfigurationError(f"{where}.type: {kind} cannot become {target.kind}")
    table = None
    if field.lookup:
        if field.lookup not in settings.tables:
            known = ", ".join(settings.tables) or "none"
            raise ConfigurationError(f"{where}.lookup: there is no table {field.lookup!r}; there are {known}")
        table = settings.tables[field.lookup]
    match kind:
        case "decimal":
            read = number_reader(field, settings, where)
        case "integer":
            read = _integer_reader(field, settings, where)
            if target.kind == "text":
                read = _chain(read, str)
            elif target.kind == "decimal":
                read = _chain(read, Decimal)
        case "date":
            read = _date_reader(field, settings, where)
        case "datetime":
            read = _time_reader(field, settings, where, naive=target.naive)
            if target.kind == "date":
                read = _chain(read, lambda found: found.date())
        case "boolean":
            read = _boolean_reader(field, where)
        case _:
            read = _text_reader(field, target, where, table)
    if kind == "decimal" and target.kind == "integer":
        read = _integer_reader(field, settings, where)
    if kind in ("date", "datetime") and target.kind == "integer":
        read = _as_integer(read)
    return _transformed(field, read, table, where)


def _chain(first: Convert, second: Convert) -> Convert:
    return lambda value: second(first(value))


def _transformed(field: Field, read: Convert, table: dict[str, str] | None, where: str) -> Convert:
    """What is done to the text before it is read."""
    pattern = None
    if field.pattern:
        try:
            pattern = re.compile(field.pattern)
        except re.error as error:
            raise ConfigurationError(f"{where}.pattern: {error}") from error
    if not (pattern or table is not None or field.strip_zeros or field.upper):
        return read
    strip, upper = field.strip_zeros, field.upper

    def transformed(value: Any) -> Any:
        text = str(value).strip()
        if pattern is not None:
            found = pattern.search(text)
            if found is None:
                raise CellError(f"does not match {pattern.pattern!r}")
            text = (found[1] if pattern.groups else found[0]) or ""
        if strip:
            text = text.lstrip("0") or text[-1:]
        if upper:
            text = text.upper()
        if table is not None:
            known = table.get(text)
            if known is None:
                known = table.get("*")
            if known is None:
                raise CellError(f"is not in the table {field.lookup!r}")
            text = text if known == "=" else known
        return read(text)

    return transformed
