"""Store days against their deadline: what was sold, what is held in exceptions, what is posted, and when it is due."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase

import msgspec
import psycopg

from tillwire.config import Objective
from tillwire.database import sql
from tillwire.masterdata.localtime import instant, local_time
from tillwire.masterdata.places import Place

_sql = sql.load("tillwire.observability", "storedays.sql")

WEEK = 7


class DayStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How far a store's day has come: transactions that sell, and money that is not posted yet, by currency."""

    store: str
    business_date: date
    closed: bool
    expected: int
    """What its day close tells, or what is recorded and in exceptions, whichever is more."""
    posted: int
    complete: bool
    """Closed, nothing of it in the exception queue, and everything recorded of it in journals that are posted."""
    unposted: dict[str, Decimal]


def takes(objective: Objective, place: Place) -> bool:
    """Whether an objective counts for a store."""
    return any(fnmatchcase(place.store, one) for one in objective.stores) and any(
        fnmatchcase(place.company, one) for one in objective.companies
    )


def due_at(objective: Objective, place: Place, day: date) -> datetime:
    """When a store's business date is to be complete: the time of day on the store's clock, the day after."""
    return instant(datetime.combine(day + timedelta(days=1), time.fromisoformat(objective.deadline)), place.zone)


def ended_before(place: Place, now: datetime) -> date:
    """The first business date that has not ended yet on a store's clock."""
    return local_time(now, place.zone).date()


def newest_date(connection: psycopg.Connection) -> date | None:
    """The newest business date that anything is recorded of."""
    row = connection.execute(_sql.newest_date).fetchone()
    return row[0] if row else None


def last_week(places: Iterable[Place], now: datetime, newest: date | None) -> list[tuple[str, date]]:
    """The last seven business dates of each store that have ended; where nothing newer is recorded, up to that."""
    if newest is None:
        return []
    found = []
    for place in places:
        last = min(ended_before(place, now) - timedelta(days=1), newest)
        found += [(place.store, last - timedelta(days=back)) for back in range(WEEK)]
    return found


def due_between(
    objective: Objective, places: Iterable[Place], since: datetime, until: datetime
) -> list[tuple[str, date, datetime]]:
    """The store days whose deadline is in (since, until], with it."""
    found = []
    first, last = since.astimezone(UTC).date(), until.astimezone(UTC).date()
    days = [first + timedelta(days=n) for n in range(-3, (last - first).days + 2)]
    for place in places:
        if takes(objective, place):
            dues = ((day, due_at(objective, place, day)) for day in days)
            found += [(place.store, day, due) for day, due in dues if since < due <= until]
    return found


def standings(connection: psycopg.Connection, days: Sequence[tuple[str, date]]) -> list[DayStanding]:
    """How far store days have come; of those that nothing is known of, nothing is told."""
    if not days:
        return []
    parameters = {"stores": [store for store, _ in days], "dates": [day for _, day in days]}
    found: dict[tuple[str, date], DayStanding] = {}
    for store, day, closed, expected, posted, complete, currency, amount in connection.execute(
        _sql.standings, parameters
    ):
        place = (store, day)
        money = {currency: amount} if currency and amount else {}
        known = found.get(place)
        if known is not None:
            money = known.unposted | money
        found[place] = DayStanding(
            store=store,
            business_date=day,
            closed=closed,
            expected=expected,
            posted=posted,
            complete=complete,
            unposted=money,
        )
    return list(found.values())


def judge(
    connection: psycopg.Connection, objective: Objective, places: Iterable[Place], since: datetime, until: datetime
) -> list[tuple[str, str, int, int]]:
    """Judge the store days whose deadline has passed, each once. Rows: store, objective, complete or not, one."""
    due = {(store, day): at for store, day, at in due_between(objective, places, since, until)}
    judged = [(one, due[(one.store, one.business_date)]) for one in standings(connection, list(due))]
    if not judged:
        return []
    parameters = {
        "objective": objective.name,
        "stores": [one.store for one, _ in judged],
        "dates": [one.business_date for one, _ in judged],
        "dues": [at for _, at in judged],
        "complete": [one.complete for one, _ in judged],
    }
    rows = connection.execute(_sql.judge, parameters).fetchall()
    return [(store, objective.name, int(complete), 1) for store, complete in rows]


def forget(connection: psycopg.Connection, before: datetime) -> None:
    """Forget what was judged long ago."""
    connection.execute(_sql.forget, (before,))
