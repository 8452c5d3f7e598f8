"""What all transactions share: store, register, business date, sequence, times, operator, currency."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple
from xml.etree.ElementTree import Element
from zoneinfo import ZoneInfo

from tillwire.connectors.poslog.people import Pseudonyms, key_part, plain
from tillwire.connectors.poslog.settings import PoslogSettings
from tillwire.connectors.poslog.tree import DriftError, attribute, kids, text_at, text_of

_DATE = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})(?:[T ].*|Z|[+-][0-9]{2}:?[0-9]{2})?")
_TIME = re.compile(
    r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})[T ]?([0-9]{2}):?([0-9]{2})(?::?([0-9]{2})(?:[.,]([0-9]+))?)?"
    r"\s*(Z|z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_CURRENCY = re.compile("[A-Z]{3}")
_NO_CURRENCY = "XXX"
"""ISO 4217's code for none."""
MOST_SEQUENCE = 2**63 - 2


class Header(NamedTuple):
    """Who, where, when."""

    store: str
    register: str
    business_date: date
    sequence: int
    began_at: datetime | None
    ended_at: datetime | None
    operator: str | None
    receipt: str | None
    correlation: str | None
    currency: str
    """Empty if nothing says it."""
    till: str


class Where(NamedTuple):
    """The business key's parts as far as they are said, in our terms."""

    store: str
    register: str
    business_date: date | None
    sequence: int | None


def to_date(text: str, pointer: str) -> date:
    """A date in any of the forms that are seen, its zone left aside. Raises ``DriftError``."""
    found = _DATE.fullmatch(text)
    try:
        if found is not None:
            return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        pass
    raise DriftError(f"{text[:40]!r} is not a date", pointer)


@lru_cache(maxsize=512)
def _offset(text: str) -> tzinfo:
    if text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    if hours > 14 or minutes > 59:
        raise ValueError(text)
    delta = timedelta(hours=hours, minutes=minutes)
    return timezone(delta if text[0] == "+" else -delta)


def to_time(text: str, pointer: str) -> datetime:
    """A moment, or a local time if it names no zone; fractions of a second beyond six digits are cut off.

    Raises ``DriftError``.
    """
    found = _TIME.fullmatch(text)
    try:
        if found is not None:
            year, month, day, hour, minute, second, fraction, zone = found.groups()
            whole = datetime(  # the zone follows
                int(year), int(month), int(day), int(hour) % 24, int(minute), int(second or 0), tzinfo=UTC
            ).replace(tzinfo=_offset(zone) if zone else None)
            if hour == "24":
                whole += timedelta(days=1)
            whole.astimezone(UTC)  # years at the end of time have no place in UTC
            return whole.replace(microsecond=int((fraction or "0")[:6].ljust(6, "0")))
        if _DATE.fullmatch(text):
            day_only = to_date(text, pointer)
            return datetime(day_only.year, day_only.month, day_only.day)  # noqa: DTZ001 (local, by intent)
    except (ValueError, OverflowError):
        pass
    raise DriftError(f"{text[:40]!r} is not a date and time", pointer)


def to_sequence(text: str, pointer: str) -> int:
    """A sequence number, leading zeros left aside. Raises ``DriftError``."""
    if text.isascii() and text.isdigit() and len(text) <= 40:
        value = int(text)
        if value <= MOST_SEQUENCE:
            return value
    raise DriftError(f"{text[:40]!r} is not a sequence number of at most {MOST_SEQUENCE}", pointer)


class HeaderReader:
    """Reads headers under one connection's settings."""

    def __init__(self, settings: PoslogSettings, zone: ZoneInfo | None, pseudonyms: Pseudonyms) -> None:
        self._settings = settings
        self._zone = zone
        self._pseudonyms = pseudonyms

    def moment(self, text: str, pointer: str) -> datetime | None:
        """A moment; none if the source and the settings say no zone."""
        if not text:
            return None
        local = to_time(text, pointer)
        if local.tzinfo is not None:
            return local
        if self._zone is None:
            return None
        try:
            moment = local.replace(tzinfo=self._zone)
            moment.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise DriftError(f"{text[:40]!r} is not a date and time", pointer) from error
        return moment

    def where(self, element: Element) -> Where:
        """The parts of a business key that an element names: a transaction, or a link to one."""
        own = kids(element)
        source_store = (
            text_of(own.get("RetailStoreID"))
            or text_at(own.get("BusinessUnit"), "UnitID")
            or text_of(own.get("UnitID"))
            or text_of(own.get("StoreID"))
            or text_of(own.get("StoreLocation"))
        )
        source_register = text_of(own.get("WorkstationID")) or text_of(own.get("WorkStationID"))
        store = key_part(self._settings.stores.get(source_store, source_store))
        registers = self._settings.registers
        register = registers.get(f"{source_store}/{source_register}") or registers.get(source_register, source_register)
        day = text_of(own.get("BusinessDayDate")) or text_of(own.get("BusinessDate"))
        number = text_of(own.get("SequenceNumber")) or text_of(own.get("TransactionSequenceNumber"))
        return Where(
            store,
            key_part(register),
            to_date(day, "BusinessDayDate") if day else None,
            to_sequence(number, "SequenceNumber") if number else None,
        )

    def read(self, transaction: Element) -> Header:
        """The header. Raises ``DriftError`` if a part of the business key is missing."""
        own = kids(transaction)
        where = self.where(transaction)
        store = where.store or key_part(self._settings.store)
        register = where.register or key_part(self._settings.register) or key_part(text_of(own.get("TillID")))
        if not store:
            raise DriftError("names no store (RetailStoreID, BusinessUnit/UnitID)", "RetailStoreID")
        if not register:
            raise DriftError("names no register (WorkstationID)", "WorkstationID")
        if where.sequence is None:
            raise DriftError("has no sequence number", "SequenceNumber")
        times = {name: text_of(own.get(name)) for name in _TIMES}
        began_at = self.moment(times["BeginDateTime"], "BeginDateTime")
        ended_at = self.moment(times["EndDateTime"], "EndDateTime")
        if ended_at is None and not times["EndDateTime"]:
            ended_at = self.moment(times["ReceiptDateTime"], "ReceiptDateTime")
        if ended_at is not None and began_at is not None and ended_at < began_at:
            ended_at = None if not times["EndDateTime"] else ended_at
        operator = own.get("OperatorID")
        return Header(
            store,
            register,
            where.business_date or self._day_of(times),
            where.sequence,
            began_at,
            ended_at,
            self._pseudonyms.operator(text_of(operator) or attribute(operator, "AssociateID")),
            plain(text_of(own.get("ReceiptNumber")) or text_of(own.get("InvoiceNumber")), mask=False),
            (plain(text_of(own.get("TransactionID")), mask=False) or "")[:256] or None,
            self._currency(transaction, own),
            text_of(own.get("TillID")),
        )

    def _day_of(self, times: dict[str, str]) -> date:
        """The business date that nobody says: the day of the transaction in its store's zone."""
        for name in ("BeginDateTime", "EndDateTime", "ReceiptDateTime", "DateTime", "POSLogDateTime"):
            if times[name]:
                moment = to_time(times[name], name)
                if moment.tzinfo is None or self._zone is None:
                    return moment.date()
                try:
                    return moment.astimezone(self._zone).date()
                except (ValueError, OverflowError) as error:
                    raise DriftError(f"{times[name][:40]!r} is no time in {self._zone.key}", name) from error
        raise DriftError("has neither a business date nor a time", "BusinessDayDate")

    def _currency(self, transaction: Element, own: dict[str, Element]) -> str:
        said = text_of(own.get("CurrencyCode"))
        if not said:
            # Attributes of totals and amounts say it where the header does not.
            for element in transaction.iter():
                if element.attrib:
                    said = element.get("CurrencyCode") or element.get("Currency") or ""
                    if said.strip() not in ("", _NO_CURRENCY):
                        break
                    said = ""
        said = said.strip().upper() or self._settings.currency
        if said and not _CURRENCY.fullmatch(said):
            raise DriftError(f"{said[:20]!r} is not a currency code", "CurrencyCode")
        return said


_TIMES = ("BeginDateTime", "EndDateTime", "ReceiptDateTime", "DateTime", "POSLogDateTime")
