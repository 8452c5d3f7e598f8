"""The history of figures: written by the minute (of stores by the hour), added up to hours and days, and read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

import msgspec
import psycopg

from tillwire.config import ServiceLevels
from tillwire.database import sql
from tillwire.governance.access import ALL, Reach
from tillwire.observability.figures import FIGURES, QUANTILES, Figure
from tillwire.observability.sketch import quantile, sketch_of

_sql = sql.load("tillwire.observability", "history.sql")

Grain = Literal["minute", "hour", "day"]

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_LENGTH: dict[Grain, timedelta] = {"minute": MINUTE, "hour": HOUR, "day": DAY}

ROLL_AFTER = timedelta(minutes=3)
"""An hour is added up so long after its end: API processes tell a minute's latencies in the next one."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of a figure in a minute. Of a ratio ``n`` is the denominator, of a state one."""

    figure: str
    store: str = ""
    part: str = ""
    n: int
    total: Decimal
    least: Decimal
    most: Decimal
    last: Decimal
    sketch: dict[str, int] | None = None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A figure in a minute, an hour or a day. None where nothing was measured that would make a value."""

    at: datetime
    n: int
    value: Decimal | None
    """Of a distribution the mean, of a ratio the share, of a count the sum, of a state the mean over the time."""
    least: Decimal
    most: Decimal
    quantiles: dict[str, Decimal]
    """Of distributions."""


def floor(moment: datetime, grain: Grain) -> datetime:
    """The beginning of the minute, hour or day (UTC) that a moment is in."""
    at = moment.astimezone(UTC).replace(second=0, microsecond=0)
    if grain == "minute":
        return at
    return at.replace(minute=0) if grain == "hour" else at.replace(hour=0, minute=0)


def distribution(figure: str, values: Sequence[tuple[float, int]], *, store: str = "", part: str = "") -> Sample:
    """Measured values, each with how often, as a sample; there must be one at least."""
    numbers = [value for value, _ in values]
    return Sample(
        figure=figure,
        store=store,
        part=part,
        n=sum(times for _, times in values),
        total=decimal_of(sum(value * times for value, times in values)),
        least=decimal_of(min(numbers)),
        most=decimal_of(max(numbers)),
        last=decimal_of(numbers[-1]),
        sketch=sketch_of(values),
    )


def state(figure: str, value: Decimal | float, *, store: str = "", part: str = "") -> Sample:
    """What a figure is now."""
    number = decimal_of(value)
    return Sample(figure=figure, store=store, part=part, n=1, total=number, least=number, most=number, last=number)


def ratio(figure: str, total: int, n: int, *, store: str = "", part: str = "") -> Sample:
    """So many of so many. What nothing was measured of is no share."""
    share = Decimal(total) / n if n else Decimal(0)
    return Sample(figure=figure, store=store, part=part, n=n, total=Decimal(total), least=share, most=share, last=share)


def count(figure: str, number: int, *, store: str = "", part: str = "") -> Sample:
    """So many, in the minute."""
    value = Decimal(number)
    return Sample(figure=figure, store=store, part=part, n=number, total=value, least=value, most=value, last=value)


def decimal_of(value: Decimal | float) -> Decimal:
    """A measured number as the history keeps it: to the microsecond."""
    return value if isinstance(value, Decimal) else Decimal(str(round(value, 6)))


def parameters_of(samples: Iterable[Sample], at: datetime) -> dict[str, object]:
    """The parameters of ``ADD`` for what was measured at a moment: the hub's by the minute, stores' by the hour."""
    chosen = list(samples)
    minute, hour = floor(at, "minute"), floor(at, "hour")
    return {
        "figures": [one.figure for one in chosen],
        "grains": ["hour" if one.store else "minute" for one in chosen],
        "stores": [one.store for one in chosen],
        "parts": [one.part for one in chosen],
        "ats": [hour if one.store else minute for one in chosen],
        "ns": [one.n for one in chosen],
        "totals": [one.total for one in chosen],
        "leasts": [one.least for one in chosen],
        "mosts": [one.most for one in chosen],
        "lasts": [one.last for one in chosen],
        "sketches": [None if one.sketch is None else msgspec.json.encode(one.sketch).decode() for one in chosen],
    }


ADD = _sql.add
"""Adds samples to the history; for who writes asynchronously."""


def add(connection: psycopg.Connection, samples: Sequence[Sample], at: datetime) -> None:
    """Add what was measured to the history."""
    if samples:
        connection.execute(_sql.add, parameters_of(samples, at))


def roll(connection: psycopg.Connection, rolled_to: datetime, now: datetime, keep: ServiceLevels) -> datetime:
    """Add up hours and days that are over, drop what is too old; returns to where that is done."""
    end = floor(now - ROLL_AFTER, "hour")
    if end <= rolled_to:
        return rolled_to
    connection.execute(_sql.roll_hours, {"since": rolled_to, "until": end})
    first, last = floor(rolled_to, "day"), floor(end, "day")
    if last > first:
        connection.execute(_sql.roll_days, {"since": first, "until": last})
    for grain, days in (
        ("minute", keep.keep_minutes_days),
        ("hour", keep.keep_hours_days),
        ("day", keep.keep_days_days),
    ):
        connection.execute(_sql.drop_old, {"grain": grain, "before": now - timedelta(days=days)})
    return end


def history(
    connection: psycopg.Connection,
    figure: str,
    *,
    since: datetime,
    until: datetime,
    grain: Grain = "hour",
    part: str = "",
    store: str | None = None,
    reach: Reach = ALL,
) -> list[Point]:
    """A figure's history in [since, until): of the hub, of one store, or of the stores within reach together.

    Of stores there is nothing finer than the hour. A state of several stores is told where it can be added up; of whom
    the reach does not cover nothing is told. Raises ``KeyError`` for a figure there is not.
    """
    kind = FIGURES[figure]
    narrowed = reach.narrowed(store)
    parameters = {
        "figure": figure,
        "grain": grain,
        "part": part,
        "since": since,
        "until": until,
        "reach": narrowed.parameter,
        "sums": kind.kind == "state" and kind.combined == "sum",
    }
    query = _sql.of_hub if narrowed.stores is None else _sql.of_stores
    if narrowed.stores is not None and (grain == "minute" or not kind.per_store):
        return []
    return [_point(kind, row) for row in connection.execute(query.encode(), parameters)]


def _point(figure: Figure, row: tuple) -> Point:
    at, n, total, least, most, sketch = row
    return Point(
        at=at,
        n=n,
        value=value_of(figure, n, total),
        least=least,
        most=most,
        quantiles=quantiles_of(sketch),
    )


def value_of(figure: Figure, n: int, total: Decimal) -> Decimal | None:
    """The value of what was measured ``n`` times."""
    if figure.kind == "count":
        return total
    return round(total / n, 6) if n else None


def quantiles_of(sketch: Mapping[str, int] | None) -> dict[str, Decimal]:
    """The quantiles that are told of a distribution."""
    found = {str(share): quantile(sketch, share) for share in QUANTILES} if sketch else {}
    return {share: decimal_of(float(f"{value:.4g}")) for share, value in found.items() if value is not None}
