"""Figures, objectives and alerts as Prometheus metrics: their names are made from the definitions, here and in what is
generated for dashboards and rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec
from prometheus_client.core import GaugeMetricFamily

from tillwire.database import sql
from tillwire.observability.definitions import ALERTS
from tillwire.observability.figures import FIGURES, Figure
from tillwire.observability.now import ATTAINED, BUDGET_LEFT, BURN, KEPT, OBJECTIVE_VALUES, TARGET

_sql = sql.load("tillwire.observability", "exported.sql")

QUERIES: Mapping[str, str] = {
    "kept": KEPT,
    "alerts": _sql.alerts,
    "observed": _sql.observed,
    "deliveries": _sql.waiting,
}
"""What is read for ``families``, by the names of its parameters."""

_SUFFIX = {"seconds": "_seconds", "ratio": "_ratio", "money": "_amount", "count": ""}


class Metric(msgspec.Struct, frozen=True):
    """A metric: its name, what it says, and its labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


def label_of(figure: Figure) -> str:
    """The label that tells the parts of a figure apart; empty if it has none."""
    return figure.part.lower()


def metric_of(figure: Figure) -> Metric:
    """The metric of a figure. Of a distribution it has the quantiles."""
    labels = [label_of(figure)] if figure.part else []
    if figure.kind == "distribution":
        labels.append("quantile")
    return Metric(f"tillwire_{figure.name}{_SUFFIX[figure.unit]}", _help(figure), tuple(labels))


def mean_of(figure: Figure) -> Metric:
    """The metric of a distribution's mean."""
    labels = (label_of(figure),) if figure.part else ()
    return Metric(f"tillwire_{figure.name}{_SUFFIX[figure.unit]}_mean", f"{_help(figure)}; the mean", labels)


def _help(figure: Figure) -> str:
    span = "" if figure.kind == "state" else f" (over {span_in_words(figure.over_minutes)})"
    return figure.title + span


def span_in_words(minutes: int) -> str:
    """A stretch of minutes as people say it."""
    for length, word in ((24 * 60, "day"), (60, "hour")):
        if minutes % length == 0:
            count = minutes // length
            return f"{count} {word}s" if count > 1 else f"one {word}"
    return f"{minutes} minutes"


OBJECTIVES = {
    TARGET: Metric("tillwire_objective_target_ratio", "What an objective wants to be good", ("objective",)),
    ATTAINED: Metric("tillwire_objective_attained_ratio", "What was good, over its window", ("objective",)),
    BUDGET_LEFT: Metric(
        "tillwire_objective_budget_left_ratio",
        "The error budget that is left; below zero, it is overdrawn",
        ("objective",),
    ),
    BURN: Metric(
        "tillwire_objective_burn_rate",
        "How fast the error budget is used up; one uses it up in exactly the objective's window",
        ("objective", "window"),
    ),
}
FIRING = Metric("tillwire_alerts_firing", "Alerts that fire", ("alert", "severity", "owner", "silenced"))
OBSERVED = Metric("tillwire_observed_timestamp_seconds", "Until when figures are measured")
DELIVERIES = Metric("tillwire_alert_messages_waiting", "Messages that were not taken yet", ("route",))


def metrics() -> list[Metric]:
    """Every metric there is of service levels."""
    found = []
    for figure in FIGURES.values():
        found.append(metric_of(figure))
        if figure.kind == "distribution":
            found.append(mean_of(figure))
    return [*found, *OBJECTIVES.values(), FIRING, OBSERVED, DELIVERIES]


def families(
    kept: Iterable[tuple[str, str, str, Decimal]],
    alerts: Iterable[tuple[str, str, str, bool, int]],
    observed: Iterable[tuple[float]],
    deliveries: Iterable[tuple[str, int]],
) -> Iterator[GaugeMetricFamily]:
    """The metrics with their values, from the rows of ``QUERIES``."""
    made: dict[str, GaugeMetricFamily] = {}

    def family(metric: Metric) -> GaugeMetricFamily:
        if metric.name not in made:
            made[metric.name] = GaugeMetricFamily(metric.name, metric.help, labels=list(metric.labels))
        return made[metric.name]

    for name, part, quantile, value in kept:
        if name in OBJECTIVE_VALUES:
            labels = [part, quantile] if name == BURN else [part]
            family(OBJECTIVES[name]).add_metric(labels, float(value))
            continue
        figure = FIGURES.get(name)
        if figure is None:  # of another release
            continue
        parts = [part] if figure.part else []
        if figure.kind != "distribution":
            family(metric_of(figure)).add_metric(parts, float(value))
        elif quantile:
            family(metric_of(figure)).add_metric([*parts, quantile], float(value))
        else:
            family(mean_of(figure)).add_metric(parts, float(value))
    firing = {
        (name, severity, owner, str(silenced).lower()): number for name, severity, owner, silenced, number in alerts
    }
    for alert in ALERTS.values():  # there from the start, so that rules and graphs have something to look at
        firing.setdefault((alert.name, alert.severity, alert.owner, "false"), 0)
    for places, number in sorted(firing.items()):
        family(FIRING).add_metric(list(places), number)
    for (at,) in observed:
        family(OBSERVED).add_metric([], at)
    for route, waiting in deliveries:
        family(DELIVERIES).add_metric([route], waiting)
    yield from made.values()
