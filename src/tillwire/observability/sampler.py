"""The sampler: once a minute, every figure from what was recorded since the last time, in one transaction.

It reads what the way of a sale leaves behind and is never in it: nothing waits for the sampler. How far it has looked
stands in the database, so that another process goes on where one stopped, and nothing is measured twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import psycopg

from tillwire.config import ErpPolicy, Settings
from tillwire.config.service_levels import COMPLETENESS, RESOLUTION
from tillwire.database import sql
from tillwire.events.log import next_offsets
from tillwire.masterdata.places import Places
from tillwire.observability import history, objectives, stores
from tillwire.observability.figures import FIGURES, Figure
from tillwire.observability.gathering import Row, samples_of
from tillwire.observability.history import Sample, floor
from tillwire.observability.now import keep_values
from tillwire.observability.objectives import ObjectiveLevel
from tillwire.observability.storedays import forget, judge, last_week, newest_date, standings
from tillwire.observability.stores import Habits
from tillwire.posting.backlog import ErpBacklog, backlog
from tillwire.reconciliation.days import breaks

_figures_sql = sql.load("tillwire.observability", "figures.sql")
_sql = sql.load("tillwire.observability", "sampler.sql")

SETTLED = timedelta(seconds=5)
"""What has a time of its own is measured so long after it: by then whoever wrote it has committed."""

STORE_STATES_EVERY = 5
"""Minutes between looks at the states of single stores, whose history is by the hour."""


class Position(msgspec.Struct, frozen=True):
    """How far the observer has looked."""

    sampled_at: datetime
    offsets: dict[int, int]
    audited: int
    rolled_to: datetime


def position(connection: psycopg.Connection) -> Position | None:
    """How far the observer has looked; none if it never did."""
    row = connection.execute(_sql.position).fetchone()
    if row is None:
        return None
    sampled_at, offsets, audited, rolled_to = row
    return Position(sampled_at, {int(number): offset for number, offset in offsets.items()}, audited, rolled_to)


class Sampler:
    """Samples on one connection (in autocommit); one process at a time."""

    def __init__(self, connection: psycopg.Connection, settings: Settings, erps: Sequence[ErpPolicy]) -> None:
        self._connection = connection
        self._settings = settings
        self._erps = erps
        self.places = Places()
        self.habits = Habits()
        self._standing: set[tuple[str, str, str]] | None = None
        """Figure, store and part of states of stores that were other than nothing the last time."""

    def sample(self, now: datetime) -> list[Sample]:
        """Measure what has happened since the last time, and how things stand; returns what was measured.

        The first time there is nothing to measure from: it only notes where it begins.
        """
        with self._connection.transaction():
            self.places.refresh(self._connection)
            before = position(self._connection)
            offsets = next_offsets(self._connection)
            if before is None:
                self._begin(now, offsets)
                return []
            span = self._span(before, now, offsets)
            if span["until"] <= span["since"]:
                return []
            samples, levels, measured = self._measure(before, span, now)
            history.add(self._connection, samples, now)
            keep_values(self._connection, samples, levels, measured, now, before.rolled_to)
            rolled_to = history.roll(self._connection, before.rolled_to, now, self._settings.service_levels)
            if rolled_to > before.rolled_to:
                longest = max((one.window_days for one in self._settings.objectives), default=28)
                forget(self._connection, now - timedelta(days=longest + 7))
            self._note(span, offsets, rolled_to)
        return samples

    def _begin(self, now: datetime, offsets: Mapping[int, int]) -> None:
        stores.look(self._connection, self.places.of, offsets)
        audited = self._connection.execute(_sql.newest_audit).fetchone()
        span = {"until": now - SETTLED, "audited_to": audited[0] if audited else 0}
        self._note(span, offsets, floor(now, "hour"))

    def _note(self, span: Mapping[str, Any], offsets: Mapping[int, int], rolled_to: datetime) -> None:
        parameters = {
            "sampled_at": span["until"],
            "offsets": msgspec.json.encode({str(one): offset for one, offset in offsets.items()}).decode(),
            "audited": span["audited_to"],
            "rolled_to": rolled_to,
        }
        self._connection.execute(_sql.note, parameters)

    def _span(self, before: Position, now: datetime, offsets: Mapping[int, int]) -> dict[str, Any]:
        """What every query of a figure is given: a stretch of time, of the event store, and of the audit log."""
        partitions = sorted(offsets)
        row = self._connection.execute(_sql.newest_audit).fetchone()
        return {
            "since": before.sampled_at,
            "until": now - SETTLED,
            "partitions": partitions,
            "starts": [before.offsets.get(one, 0) for one in partitions],
            "ends": [offsets[one] for one in partitions],
            "audited": before.audited,
            "audited_to": row[0] if row else 0,
        }

    def _measure(
        self, before: Position, span: dict[str, Any], now: datetime
    ) -> tuple[list[Sample], list[ObjectiveLevel], set[str]]:
        """Samples, where objectives stand, and the figures that were looked at, whether or not there was anything."""
        moved = {
            one: start
            for one, start, end in zip(span["partitions"], span["starts"], span["ends"], strict=True)
            if end > start
        }
        _, recovered = stores.look(self._connection, self.places.of, moved)
        recovered += stores.at_rest(self._connection, now)
        rows: dict[str, Sequence[Row]] = {}
        for figure in FIGURES.values():
            if figure.query and self._due(figure, now):
                query: str = getattr(_figures_sql, figure.query)
                rows[figure.name] = self._connection.execute(query.encode(), span).fetchall()
        rows["store_offline_recovery"] = [(one.store, "", one.seconds, 1) for one in recovered]
        silent = stores.silent(self._connection, self.places.of, self.habits, self._settings.alerts, now)
        rows["stores_silent"] = [(one.store, "", 1) for one in silent]
        rows |= self._of_posting(span, now)
        counted = dict(rows)
        counted[RESOLUTION] = objectives.resolutions(
            self._connection, self._settings.exceptions.service_levels, span["since"], span["until"]
        )
        samples = [one for name, own in rows.items() for one in samples_of(FIGURES[name], own)]
        samples = self._of_stores_now_and_then(samples, rows.keys(), now)
        counts = objectives.samples_of(self._settings.objectives, counted, self.places.of)
        history.add(self._connection, counts, now)  # attainment is of them, too
        levels = objectives.levels_of(self._connection, self._settings.objectives, now, before.rolled_to)
        attained = FIGURES["service_level_attainment"]
        samples += [history.state(attained.name, value, part=part) for _, part, value in objectives.attainment(levels)]
        return samples, levels, {*rows, attained.name}

    @staticmethod
    def _due(figure: Figure, now: datetime) -> bool:
        return now.minute % figure.every_minutes == 0

    def _of_posting(self, span: Mapping[str, Any], now: datetime) -> dict[str, Sequence[Row]]:
        """What is told of posting: the backlog, how complete days are, which of them their proof breaks."""
        if not self._erps:
            return {}  # nothing is posted: nothing is late
        rows: dict[str, Sequence[Row]] = {}
        found = backlog(self._connection, self._erps, now=now)
        rows["posting_backlog"] = [("", one.erp, _unposted(one)) for one in found]
        rows["posting_backlog_age"] = [("", one.erp, one.age_s) for one in found]
        places = self.places.of.values()
        rows["days_complete_by_deadline"] = [
            row
            for one in self._settings.objectives
            if one.figure == COMPLETENESS
            for row in judge(self._connection, one, places, span["since"], span["until"])
        ]
        newest = newest_date(self._connection)
        if self._due(FIGURES["posting_completeness"], now):
            days = standings(self._connection, last_week(places, now, newest))
            rows["posting_completeness"] = [
                (one.store, "", min(one.posted, one.expected), one.expected) for one in days if one.expected
            ]
        if newest is not None and self._due(FIGURES["reconciliation_breaks"], now):
            first = min(newest, now.date()) - timedelta(days=7)
            rows["reconciliation_breaks"] = [(store, "", 1) for store in breaks(self._connection, first=first)]
        return rows

    def _of_stores_now_and_then(self, samples: list[Sample], measured: Set[str], now: datetime) -> list[Sample]:
        """States of stores are kept every few minutes, and once more when they have come to nothing."""
        states = {one.name for one in FIGURES.values() if one.kind == "state" and one.per_store}
        if now.minute % STORE_STATES_EVERY:
            return [one for one in samples if not (one.store and one.figure in states)]
        current = {
            (one.figure, one.store, one.part)
            for one in samples
            if one.store and one.figure in states and one.last and FIGURES[one.figure].combined != "ratio"
        }
        if self._standing is None:
            since = {"since": floor(now, "hour") - timedelta(hours=1), "figures": sorted(states)}
            self._standing = {tuple(row) for row in self._connection.execute(_sql.standing, since)}
        over = [one for one in self._standing - current if one[0] in measured]
        self._standing = current | {one for one in self._standing if one[0] not in measured}
        return samples + [history.state(figure, Decimal(0), store=store, part=part) for figure, store, part in over]


def _unposted(one: ErpBacklog) -> int:
    return sum(each.journals for each in one.states.values())
