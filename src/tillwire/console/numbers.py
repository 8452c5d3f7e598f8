"""Numbers, money and times as people read them: in a company's locale, in a store's zone with the zone shown."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.core import UnknownLocaleError
from babel.dates import format_date, format_datetime
from babel.numbers import format_compact_decimal, format_currency, format_decimal

from tillwire import clock
from tillwire.errors import ConfigurationError
from tillwire.model.money import minor_units


def checked(locale: str) -> str:
    """A locale that there is. Raises ``ConfigurationError``."""
    try:
        Locale.parse(locale.replace("-", "_"))
    except (ValueError, UnknownLocaleError) as error:
        raise ConfigurationError(f"console.locale: {locale!r} is no locale such as en_US or de_CH: {error}") from error
    return locale.replace("-", "_")


def money(amount: Decimal | None, currency: str | None, locale: str) -> str:
    """An amount in its currency with all of its minor units; a dash for none."""
    if amount is None or currency is None:
        return "–"
    digits = "0" * minor_units(currency)
    return format_currency(
        amount, currency, format="¤#,##0" + (f".{digits}" if digits else ""), currency_digits=False, locale=locale
    )


def number(value: float | Decimal | None, locale: str) -> str:
    """A number with at most three decimals; a dash for none."""
    return "–" if value is None else format_decimal(value, locale=locale)


def compact(value: float | Decimal, locale: str) -> str:
    """A number as a chart has it: 12K."""
    return format_compact_decimal(value, fraction_digits=1, locale=locale)


def day(value: date | None, locale: str) -> str:
    """A business date, with its day of the week."""
    return "–" if value is None else format_date(value, "EEE d MMM y", locale=locale)


def moment(value: datetime | None, locale: str, zone: str = "UTC") -> str:
    """An instant on the clocks of a zone, which is named."""
    if value is None:
        return "–"
    local = value.astimezone(ZoneInfo(zone))
    return f"{format_datetime(local, 'd MMM y HH:mm:ss', locale=locale)} {local.tzname()}"


def ago(value: datetime | None) -> str:
    """How long ago something was, in one unit."""
    return "never" if value is None else f"{duration((clock.now() - value).total_seconds())} ago"


def duration(seconds: float) -> str:
    """A length of time in one unit, or two short ones."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
