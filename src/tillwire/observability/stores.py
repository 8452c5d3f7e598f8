"""When stores were last heard from, which are silent against their habit, and how long they take to catch up.

A store's habit is what it sold in the same hour of the same weekdays of the last four weeks, on its own clock. It is
silent when so many transactions should have come since it was last heard, and none did.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import msgspec
import psycopg

from tillwire.config import Alerts
from tillwire.database import sql
from tillwire.events.log import read_events
from tillwire.events.recorded import Enrichment
from tillwire.masterdata.localtime import local_time
from tillwire.masterdata.places import Place

_sql = sql.load("tillwire.observability", "stores.sql")
_enrichment = msgspec.msgpack.Decoder(Enrichment)

WEEKS = 4
HOURS = 7 * 24
"""Hours of a week, from Monday's first."""

READ_AGAIN = timedelta(hours=6)
"""How often habits are read again: they are those of weeks."""

PRESENT = timedelta(minutes=10)
"""What is recorded so soon after it happened is of the present."""

FURTHEST = timedelta(days=7)
"""Beyond it nobody counts what should have come: the store has closed for good."""


class Seen(msgspec.Struct, frozen=True):
    """A store as it was last heard from."""

    store: str
    event_offset: int
    seen_at: datetime
    silent_since: datetime | None
    back_at: datetime | None


class Silent(msgspec.Struct, frozen=True):
    """A store from which nothing comes although it should: since when, and how many transactions should have come."""

    store: str
    since: datetime
    expected: float


class Recovered(msgspec.Struct, frozen=True):
    """A store that was silent and has caught up: how long that took from when it was heard again."""

    store: str
    seconds: float


class Habits:
    """How many transactions each store has in each hour of its week."""

    def __init__(self) -> None:
        self._weeks: dict[str, array[float]] = {}
        self._read_at: datetime | None = None

    def refresh(self, connection: psycopg.Connection, now: datetime) -> None:
        """Read them, if that was long ago."""
        if self._read_at is not None and now - self._read_at < READ_AGAIN:
            return
        today = now.astimezone(UTC).date()
        span = {"first": today - timedelta(days=7 * WEEKS), "last": today - timedelta(days=1)}
        found: dict[str, array[float]] = {}
        for store, weekday, hour, transactions, weeks in connection.execute(_sql.habits, span):
            week = found.get(store)
            if week is None:
                week = found[store] = array("d", bytes(8 * HOURS))
            week[24 * weekday + hour] = transactions / weeks
        self._weeks, self._read_at = found, now

    def expected(self, place: Place, since: datetime, until: datetime) -> float:
        """How many transactions should have come between two moments."""
        week = self._weeks.get(place.store)
        if week is None or until <= since or until - since > FURTHEST:
            return 0.0
        total, moment = 0.0, since
        while moment < until:
            local = local_time(moment, place.zone)
            left = timedelta(hours=1) - timedelta(
                minutes=local.minute, seconds=local.second, microseconds=local.microsecond
            )
            piece = min(left, until - moment)
            total += week[24 * local.weekday() + local.hour] * (piece / timedelta(hours=1))
            moment += piece
        return total


def look(
    connection: psycopg.Connection, places: Mapping[str, Place], starts: Mapping[int, int]
) -> tuple[list[Seen], list[Recovered]]:
    """Note the newest event of every store whose partition has recorded something since ``starts``; returns the stores
    heard from, and those that have caught up after a silence.
    """
    known = {row[0]: Seen(*row) for row in connection.execute(_sql.seen)}
    chosen = [one for one in places.values() if one.partition in starts]
    parameters = {
        "stores": [one.store for one in chosen],
        "partitions": [one.partition for one in chosen],
        "offsets": [known[one.store].event_offset if one.store in known else -1 for one in chosen],
    }
    heard: list[Seen] = []
    for store, event_offset, seen_at in connection.execute(_sql.newest, parameters) if chosen else ():
        before = known.get(store)
        silent, back = (before.silent_since, before.back_at) if before else (None, None)
        heard.append(Seen(store, event_offset, seen_at, silent, seen_at if silent and back is None else back))
    return heard, _caught_up(connection, places, heard)


def _caught_up(connection: psycopg.Connection, places: Mapping[str, Place], heard: list[Seen]) -> list[Recovered]:
    """Of the stores that are back, those whose newest event is of the present. Notes all that were heard."""
    recovered = []
    for n, one in enumerate(heard):
        if one.back_at is not None and _of_the_present(connection, places[one.store], one):
            recovered.append(Recovered(one.store, (one.seen_at - one.back_at).total_seconds()))
            heard[n] = Seen(one.store, one.event_offset, one.seen_at, None, None)
    if heard:
        parameters = {
            "stores": [one.store for one in heard],
            "partitions": [places[one.store].partition for one in heard],
            "offsets": [one.event_offset for one in heard],
            "seen": [one.seen_at for one in heard],
            "silent": [one.silent_since for one in heard],
            "back": [one.back_at for one in heard],
        }
        connection.execute(_sql.note, parameters)
    return recovered


def _of_the_present(connection: psycopg.Connection, place: Place, one: Seen) -> bool:
    """Whether the newest event was recorded soon after it happened. One without a time of its own says nothing."""
    at = (place.partition, one.event_offset)
    message = read_events(connection, [at])[at].decoded(_enrichment).message
    moment = getattr(message, "ended_at", None) or getattr(message, "began_at", None)
    return moment is None or one.seen_at - moment <= PRESENT


def at_rest(connection: psycopg.Connection, now: datetime) -> list[Recovered]:
    """Stores that are back and have sent nothing more for a while: they have caught up with their last event."""
    rows = connection.execute(_sql.at_rest, {"before": now - PRESENT}).fetchall()
    return [Recovered(store, (seen_at - back_at).total_seconds()) for store, seen_at, back_at in rows]


def silent(
    connection: psycopg.Connection, places: Mapping[str, Place], habits: Habits, limits: Alerts, now: datetime
) -> list[Silent]:
    """The stores that are silent, noted as such until they are heard from. One whose day is closed rests."""
    habits.refresh(connection, now)
    least = timedelta(minutes=limits.silent_minutes)
    found: list[Silent] = []
    for row in connection.execute(_sql.seen):
        one = Seen(*row)
        place = places.get(one.store)
        if place is None or one.back_at is not None or now - one.seen_at < least:
            continue
        expected = habits.expected(place, one.seen_at, now)
        if expected >= limits.silent_transactions:
            found.append(Silent(one.store, one.seen_at, expected))
    days = [local_time(now, places[one.store].zone).date() for one in found]
    found = _without_closed(connection, found, days)
    noted = {"stores": [one.store for one in found]}
    connection.execute(_sql.note_silent, noted)
    return found


def _without_closed(connection: psycopg.Connection, found: list[Silent], days: list[date]) -> list[Silent]:
    parameters = {"stores": [one.store for one in found], "dates": days}
    closed = {store for (store,) in connection.execute(_sql.closed, parameters)} if found else set()
    return [one for one in found if one.store not in closed]
