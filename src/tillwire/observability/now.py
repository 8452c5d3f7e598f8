"""The value of every figure as it is now: of the hub, kept for who asks often; of some stores, when asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.governance.access import ALL, Reach
from tillwire.observability.figures import FIGURES, Figure
from tillwire.observability.history import Sample, decimal_of, floor, quantiles_of, value_of
from tillwire.observability.objectives import ObjectiveLevel

_sql = sql.load("tillwire.observability", "now.sql")

STATE_AGE = timedelta(hours=2)
"""A store's state that was not looked at for so long is none."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A figure's value, of all or of a part. Of a distribution the mean, with its quantiles beside it."""

    part: str = ""
    value: Decimal | None
    quantiles: dict[str, Decimal] = {}
    n: int = 0
    """How much was measured."""


class FigureLevel(msgspec.Struct, frozen=True, kw_only=True):
    """A figure as it is now. Without values, nothing was measured (yet)."""

    name: str
    title: str
    unit: str
    kind: str
    better: str
    over_minutes: int
    """The time that its value is of; a state is of the last look."""
    told_by: str
    """What its parts are; empty if it has none."""
    value: Decimal | None
    quantiles: dict[str, Decimal]
    n: int
    parts: list[Value]


class StoreValue(msgspec.Struct, frozen=True, kw_only=True):
    """A figure's value of one store."""

    store: str
    part: str
    value: Decimal | None
    quantiles: dict[str, Decimal]
    n: int


def keep_values(
    connection: psycopg.Connection,
    samples: Iterable[Sample],
    objectives: Iterable[ObjectiveLevel],
    measured: Set[str],
    now: datetime,
    rolled_to: datetime,
) -> None:
    """Keep what every figure and objective of the hub is now. A state that was not looked at stays; a part that is
    gone goes.
    """
    rows: list[tuple[str, str, str, Decimal]] = []
    for one in samples:
        figure = FIGURES.get(one.figure)
        if figure is not None and figure.kind == "state" and not one.store:
            rows.append((one.figure, one.part, "", one.last))
    for figure in FIGURES.values():
        if figure.kind != "state":
            for value in _flows(connection, figure, now, rolled_to, ALL):
                if value.value is not None:
                    rows.append((figure.name, value.part, "", value.value))
                rows += [(figure.name, value.part, share, number) for share, number in value.quantiles.items()]
    flows = [figure.name for figure in FIGURES.values() if figure.kind != "state"]
    for level in objectives:
        rows += _of_objective(level)
    parameters = {
        "measured": sorted({*measured, *flows, *OBJECTIVE_VALUES}),
        "figures": [row[0] for row in rows],
        "parts": [row[1] for row in rows],
        "quantiles": [row[2] for row in rows],
        "values": [row[3] for row in rows],
        "at": now,
    }
    connection.execute(_sql.forget, parameters)
    connection.execute(_sql.keep, parameters)


TARGET, ATTAINED, BUDGET_LEFT, BURN = OBJECTIVE_VALUES = (
    "objective_target",
    "objective_attained",
    "objective_budget_left",
    "objective_burn",
)
"""What is kept of objectives; of paces each window, in the place of a quantile."""


def _of_objective(level: ObjectiveLevel) -> list[tuple[str, str, str, Decimal]]:
    rows = [(TARGET, level.name, "", decimal_of(level.target))]
    if level.attained is not None and level.budget_left is not None:
        rows.append((ATTAINED, level.name, "", decimal_of(level.attained)))
        rows.append((BUDGET_LEFT, level.name, "", decimal_of(level.budget_left)))
    return rows + [(BURN, level.name, window, decimal_of(pace)) for window, pace in level.burn.items()]


def kept(connection: psycopg.Connection) -> list[tuple[str, str, str, Decimal]]:
    """Figure, part, quantile (empty: the value itself) and value of the hub as it is now."""
    return connection.execute(_sql.kept).fetchall()


KEPT = _sql.kept
"""The same, for who asks asynchronously."""


def _flows(
    connection: psycopg.Connection, figure: Figure, now: datetime, rolled_to: datetime, reach: Reach
) -> list[Value]:
    """What a figure came to in its time: by the minute while that is short, else by the hour and the minutes since."""
    since = now - timedelta(minutes=figure.over_minutes)
    long = figure.over_minutes > 6 * 60
    hour = floor(since, "hour")
    parameters = {
        "figure": figure.name,
        "hour": hour,
        "rolled_to": rolled_to if long else hour,
        "from_minutes": max(since, rolled_to) if long else since,
        "until": now,
        "reach": reach.parameter,
    }
    query = _sql.flow_of_hub if reach.stores is None else _sql.flow_of_stores
    return [
        Value(part=part, value=value_of(figure, int(n), total), quantiles=quantiles_of(sketch), n=int(n))
        for part, n, total, sketch in connection.execute(query.encode(), parameters)
    ]


def figure_levels(
    connection: psycopg.Connection, now: datetime, rolled_to: datetime, *, reach: Reach = ALL
) -> list[FigureLevel]:
    """Every figure as it is now: of the hub, or of the stores within reach together. Figures that stores do not have
    are for who reaches all of them.
    """
    found = []
    states = _states_of_hub(connection) if reach.stores is None else {}
    for figure in FIGURES.values():
        if reach.stores is not None and not figure.per_store:
            continue
        if figure.kind != "state":
            values = _flows(connection, figure, now, rolled_to, reach)
        elif reach.stores is None:
            values = states.get(figure.name, [])
        else:
            values = _states_of(connection, figure, now, reach)
        whole = next((one for one in values if not one.part), None)
        found.append(
            FigureLevel(
                name=figure.name,
                title=figure.title,
                unit=figure.unit,
                kind=figure.kind,
                better=figure.better,
                over_minutes=0 if figure.kind == "state" else figure.over_minutes,
                told_by=figure.part,
                value=whole.value if whole else None,
                quantiles=whole.quantiles if whole else {},
                n=whole.n if whole else 0,
                parts=[one for one in values if one.part],
            )
        )
    return found


def _states_of_hub(connection: psycopg.Connection) -> dict[str, list[Value]]:
    found: dict[str, list[Value]] = {}
    for name, part, share, value in kept(connection):
        if not share:
            found.setdefault(name, []).append(Value(part=part, value=value, n=1))
    return found


def _states_of(connection: psycopg.Connection, figure: Figure, now: datetime, reach: Reach) -> list[Value]:
    parameters = {"figure": figure.name, "since": floor(now - STATE_AGE, "hour"), "reach": reach.parameter}
    parts: dict[str, list[Decimal]] = {}
    for _, part, value in connection.execute(_sql.states_of_stores, parameters):
        parts.setdefault(part, []).append(value)
    return [Value(part=part, value=together(figure, values), n=len(values)) for part, values in sorted(parts.items())]


def together(figure: Figure, values: Sequence[Decimal]) -> Decimal:
    """A state of several stores: their sum, the most of them, or their mean where it is a share."""
    if figure.combined == "most":
        return max(values)
    total = sum(values, Decimal(0))
    return total / len(values) if figure.combined == "ratio" else total


def by_store(
    connection: psycopg.Connection, name: str, now: datetime, rolled_to: datetime, *, reach: Reach = ALL
) -> list[StoreValue]:
    """A figure of every store within reach that has it. Raises ``KeyError`` for a figure there is not."""
    figure = FIGURES[name]
    if not figure.per_store:
        return []
    if figure.kind == "state":
        parameters = {"figure": name, "since": floor(now - STATE_AGE, "hour"), "reach": reach.parameter}
        rows = connection.execute(_sql.states_of_stores, parameters).fetchall()
        return [StoreValue(store=store, part=part, value=value, quantiles={}, n=1) for store, part, value in rows]
    since = floor(now - timedelta(minutes=figure.over_minutes), "hour")
    parameters = {"figure": name, "since": since, "reach": reach.parameter}
    return [
        StoreValue(
            store=store, part=part, value=value_of(figure, int(n), total), quantiles=quantiles_of(sketch), n=int(n)
        )
        for store, part, n, total, sketch in connection.execute(_sql.flows_by_store, parameters)
    ]
