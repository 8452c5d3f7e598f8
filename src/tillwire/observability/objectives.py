"""Objectives: what was measured that is good, of how much; error budgets, and how fast they burn.

Counts are kept in the history under ``objective``, as ``total`` good of ``n``, so that any window is a sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import psycopg

from tillwire.config import Objective, ServiceLevel
from tillwire.config.service_levels import COMPLETENESS, MEASURED
from tillwire.database import sql
from tillwire.governance.access import ALL, Reach
from tillwire.masterdata.places import Place
from tillwire.observability import history
from tillwire.observability.figures import FIGURES, OBJECTIVE
from tillwire.observability.gathering import Row
from tillwire.observability.history import HOUR, Sample, floor
from tillwire.observability.storedays import takes

_sql = sql.load("tillwire.observability", "objectives.sql")


class Counted(msgspec.Struct, frozen=True):
    """How much was measured, and how much of it was good."""

    good: int = 0
    total: int = 0

    @property
    def bad(self) -> int:
        """How much fell short."""
        return self.total - self.good


class Burn(msgspec.Struct, frozen=True, kw_only=True):
    """A pace at which an error budget is used up that people are told of: both windows must be at it, the short one so
    that the alert ends soon after its cause.
    """

    long: timedelta
    short: timedelta
    pace: float
    """One uses up the budget in exactly its window."""
    severity: str


BURNS = (
    Burn(long=timedelta(hours=1), short=timedelta(minutes=5), pace=14.4, severity="critical"),
    Burn(long=timedelta(hours=6), short=timedelta(minutes=30), pace=6.0, severity="critical"),
    Burn(long=timedelta(days=3), short=timedelta(hours=6), pace=1.0, severity="warning"),
)
"""Of a window of four weeks they use up 2, 5 and 10 per cent. After Google's Site Reliability Workbook, chapter 5."""

LEAST_MEASURED = 20
"""Less is no pace: one late journal of two is not an outage."""


class ObjectiveLevel(msgspec.Struct, frozen=True, kw_only=True):
    """An objective over its window. None where nothing was measured."""

    name: str
    figure: str
    title: str
    target: float
    threshold_s: float | None
    deadline: str
    window_days: int
    good: int
    total: int
    attained: float | None
    """The share that was good."""
    met: bool | None
    budget_left: float | None
    """The share of the error budget that is left; below zero, it is overdrawn."""
    burn: dict[str, float]
    """How fast the budget burns, by window (5m, 1h, 6h, 3d): one uses it up in exactly the objective's window."""


def attained(counted: Counted) -> float | None:
    """The share that was good; none of nothing."""
    return counted.good / counted.total if counted.total else None


def budget_left(counted: Counted, target: float) -> float | None:
    """The share of the error budget that is left: one, if all was good; none of nothing."""
    if not counted.total:
        return None
    return 1 - counted.bad / ((1 - target) * counted.total)


def pace(counted: Counted, target: float) -> float:
    """How fast the error budget burns: what fell short, over what may. Nothing measured burns nothing."""
    return counted.bad / counted.total / (1 - target) if counted.total else 0.0


def burns(counts: Mapping[timedelta, Counted], target: float) -> Burn | None:
    """The gravest pace at which a budget burns now, by what was counted in each window; none if it lasts."""
    for one in BURNS:
        long, short = counts[one.long], counts[one.short]
        enough = long.total >= LEAST_MEASURED
        if enough and pace(long, target) >= one.pace and pace(short, target) >= one.pace:
            return one
    return None


def samples_of(
    objectives: Sequence[Objective],
    rows: Mapping[str, Sequence[Row]],
    places: Mapping[str, Place],
) -> list[Sample]:
    """What objectives count of the rows that figures were made from, by figure: of the hub, and of each store."""
    found = []
    for one in objectives:
        if one.figure not in rows:
            continue
        whole = one.stores == ("*",) and one.companies == ("*",)
        apart = FIGURES[one.figure].hub_apart
        hub = [0, 0]
        stores: dict[str, list[int]] = {}
        for store, part, *measured in rows[one.figure]:
            if one.figure == COMPLETENESS and part != one.name:
                continue
            good, total = _good(one, measured)
            place = places.get(store)
            inside = whole or (place is not None and takes(one, place))
            if not inside:
                continue
            if store:
                own = stores.setdefault(store, [0, 0])
                own[0] += good
                own[1] += total
            if not (apart and whole and store):  # else the hub has rows of its own
                hub[0] += good
                hub[1] += total
        found += [history.ratio(OBJECTIVE, *own, store=store, part=one.name) for store, own in stores.items()]
        if hub[1]:
            found.append(history.ratio(OBJECTIVE, hub[0], hub[1], part=one.name))
    return found


def _good(objective: Objective, measured: Sequence[object]) -> tuple[int, int]:
    if objective.figure in MEASURED:
        value, times = measured
        return (int(str(times)) if float(str(value)) <= (objective.threshold_s or 0) else 0), int(str(times))
    good, total = measured
    return int(str(good)), int(str(total))


def resolutions(
    connection: psycopg.Connection, levels: Sequence[ServiceLevel], since: datetime, until: datetime
) -> list[Row]:
    """Exceptions whose service level was decided in (since, until]: resolved in time, or due and not resolved. Each is
    decided once. Rows: store, nothing, good, one.
    """
    if not levels:
        return []
    parameters = {
        "codes": [level.code for level in levels],
        "owners": [level.owner for level in levels],
        "hours": [level.hours for level in levels],
        "most_hours": max(level.hours for level in levels),
        "since": since,
        "until": until,
    }
    return connection.execute(_sql.resolutions, parameters).fetchall()


def counts(
    connection: psycopg.Connection,
    spans: Sequence[timedelta],
    now: datetime,
    rolled_to: datetime,
    *,
    reach: Reach = ALL,
) -> dict[str, dict[timedelta, Counted]]:
    """What was counted of each objective in the time before now: by objective and span. Of stores, whole hours."""
    found: dict[str, dict[timedelta, Counted]] = {}
    for span in spans:
        since = now - span
        hour, long = floor(since, "hour"), span > HOUR * 6  # short ones are counted by the minute alone
        parameters = {
            "figure": OBJECTIVE,
            "hour": hour,
            "rolled_to": rolled_to if long else hour,
            "from_minutes": max(since, rolled_to) if long else since,
            "until": now,
            "reach": reach.parameter,
        }
        query = _sql.counted_of_hub if reach.stores is None else _sql.counted_of_stores
        for name, good, total in connection.execute(query.encode(), parameters):
            found.setdefault(name, {})[span] = Counted(int(good), int(total))
    return found


SPANS = {
    "5m": timedelta(minutes=5),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "3d": timedelta(days=3),
}
"""The windows of paces, by their names."""


def levels_of(
    connection: psycopg.Connection,
    objectives: Sequence[Objective],
    now: datetime,
    rolled_to: datetime,
    *,
    reach: Reach = ALL,
) -> list[ObjectiveLevel]:
    """Where every objective stands, for the hub or for the stores within reach together."""
    windows = {timedelta(days=one.window_days) for one in objectives}
    counted = counts(connection, [*SPANS.values(), *windows], now, rolled_to, reach=reach)
    found = []
    for one in objectives:
        own = counted.get(one.name, {})
        window = own.get(timedelta(days=one.window_days), Counted())
        share = attained(window)
        found.append(
            ObjectiveLevel(
                name=one.name,
                figure=one.figure,
                title=FIGURES[one.figure].title,
                target=one.target,
                threshold_s=one.threshold_s,
                deadline=one.deadline,
                window_days=one.window_days,
                good=window.good,
                total=window.total,
                attained=share,
                met=None if share is None else share >= one.target,
                budget_left=budget_left(window, one.target),
                burn={name: round(pace(own.get(span, Counted()), one.target), 3) for name, span in SPANS.items()},
            )
        )
    return found


def attainment(levels: Sequence[ObjectiveLevel]) -> list[Row]:
    """Rows of the figure of attainment: every objective, and how many of those with anything measured are met."""
    told = [one for one in levels if one.attained is not None]
    rows: list[Row] = [("", one.name, Decimal(str(round(one.attained or 0.0, 6)))) for one in told]
    if told:
        rows.append(("", "", Decimal(sum(bool(one.met) for one in told)) / len(told)))
    return rows
