"""What is wrong with posting, exceptions, stores, the hub itself: how each alert finds it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal

import msgspec

from tillwire.database import sql
from tillwire.events import frames
from tillwire.observability import objectives, stores
from tillwire.observability.conditions import Finding, Impact, Scene, Severity
from tillwire.observability.figures import OBJECTIVE
from tillwire.observability.history import floor
from tillwire.observability.sampler import position
from tillwire.observability.storedays import DayStanding, due_at, due_between, standings
from tillwire.posting.backlog import Stake, trouble_of

_sql = sql.load("tillwire.observability", "findings.sql")

ZERO = Decimal(0)

MISSED_DAYS = timedelta(days=7)
"""Days that were not complete at their deadline are told of for so long."""

MOST_GROUPS = 20
"""So many accepted groups are read to see whose events wait."""


class _Data(msgspec.Struct, gc=False):
    store: str = ""


class _Waiting(msgspec.Struct, gc=False):
    data: _Data = msgspec.field(default_factory=_Data)


_waiting = msgspec.json.Decoder(_Waiting)


# ---------------------------------------------------------------- posting


def erp_trouble(scene: Scene, name: str) -> list[Finding]:
    """ERPs with one kind of trouble, and what waits for them."""
    found = []
    for one in scene.backlog:
        trouble = trouble_of(one, scene.settings.posting, scene.now)
        if trouble is None or trouble.name != name:
            continue
        stakes = scene.stakes.get(one.erp, [])
        what = f"ERP {one.erp}" if one.erp else "No ERP"
        found.append(
            Finding(
                alert=name,
                key=one.erp or "none",
                group=f"erp {one.erp or 'none'}",
                began_at=trouble.since,
                impact=_impact((stake.store, stake.currency, stake.amount) for stake in stakes),
                deadline=_next_deadline(scene, stakes),
                detail=f"{what}: {trouble.words}" + (f": {one.reason}" if one.reason else ""),
            )
        )
    return found


def _next_deadline(scene: Scene, stakes: Iterable[Stake]) -> datetime | None:
    """The next deadline of completeness that what is not posted has."""
    days = {(one.store, one.business_date) for one in stakes if one.store in scene.places}
    dues = (due_at(objective, scene.places[store], day) for objective in scene.completeness() for store, day in days)
    return min((due for due in dues if due > scene.now), default=None)


def days_near(scene: Scene) -> list[Finding]:
    """Store days whose deadline is near and that are not complete."""
    if not scene.erps:
        return []
    ahead = timedelta(minutes=scene.settings.alerts.deadline_minutes)
    found = []
    for objective in scene.completeness():
        due = {
            (store, day): at
            for store, day, at in due_between(objective, scene.places.values(), scene.now, scene.now + ahead)
        }
        late = [one for one in standings(scene.connection, list(due)) if not one.complete]
        dues = {(one.store, one.business_date): due[(one.store, one.business_date)] for one in late}
        found += _of_days(scene, "completeness_near", objective.name, late, dues, ahead)
    return found


def days_missed(scene: Scene) -> list[Finding]:
    """Store days that were not complete at their deadline, and still are not."""
    if not scene.erps:
        return []
    found = []
    for objective in scene.completeness():
        parameters = {"objective": objective.name, "since": scene.now - MISSED_DAYS}
        due = {
            (store, day): at
            for store, day, at in scene.connection.execute(_sql.missed, parameters)
            if store in scene.places
        }
        late = [one for one in standings(scene.connection, list(due)) if not one.complete]
        found += _of_days(scene, "completeness_missed", objective.name, late, due, timedelta(0))
    return found


def _of_days(
    scene: Scene,
    alert: str,
    objective: str,
    late: list[DayStanding],
    due: dict[tuple[str, date], datetime],
    ahead: timedelta,
) -> list[Finding]:
    """One finding per company: its stores, their money, and the first deadline."""
    by_company: dict[str, list[DayStanding]] = defaultdict(list)
    for one in late:
        by_company[scene.places[one.store].company].append(one)
    found = []
    for company, days in sorted(by_company.items()):
        first = min(due[(one.store, one.business_date)] for one in days)
        open_days = sum(not one.closed for one in days)
        words = f"{len(days)} store days of {company} are not complete"
        found.append(
            Finding(
                alert=alert,
                key=f"{objective} {company}",
                group=scene.cause_of(company),
                began_at=first - ahead,
                impact=_impact(
                    (one.store, currency, amount)
                    for one in days
                    for currency, amount in (one.unposted or {"": ZERO}).items()
                ),
                deadline=first,
                detail=words + (f"; {open_days} of them are not closed" if open_days else ""),
            )
        )
    return found


def posted_twice(scene: Scene) -> list[Finding]:
    """Journals that are in an ERP's books more than once, until reading back finds them right."""
    found: dict[str, list[tuple]] = defaultdict(list)
    for erp, *row in scene.connection.execute(_sql.posted_twice):
        found[erp].append(tuple(row))
    return [
        Finding(
            alert="posted_twice",
            key=erp,
            group=f"erp {erp}",
            began_at=min(row[1] for row in rows),
            impact=_impact((store, currency, amount) for _, _, store, currency, amount in rows),
            detail=f"{len(rows)} journals are more than once in the books of {erp}: "
            + ", ".join(row[0] for row in rows[:5]),
        )
        for erp, rows in found.items()
    ]


# ---------------------------------------------------------------- exceptions


def exceptions_overdue(scene: Scene) -> list[Finding]:
    """What is in the exception queue longer than its service level allows, by owner."""
    levels = scene.settings.exceptions.service_levels
    parameters = {
        "codes": [one.code for one in levels],
        "owners": [one.owner for one in levels],
        "hours": [one.hours for one in levels],
        "now": scene.now,
    }
    owners: dict[str, list[tuple]] = defaultdict(list)
    for owner, *row in scene.connection.execute(_sql.overdue, parameters) if levels else ():
        owners[owner].append(tuple(row))
    return [
        Finding(
            alert="exceptions_overdue",
            key=owner,
            group=f"owner {owner}",
            began_at=min(row[4] for row in rows),
            impact=_impact((store, currency, amount) for store, currency, amount, _, _ in rows if store),
            deadline=min(row[4] for row in rows),
            owner=owner,
            detail=f"{sum(row[3] for row in rows)} exceptions of {owner} are overdue",
        )
        for owner, rows in owners.items()
    ]


def money_at_risk(scene: Scene) -> list[Finding]:
    """More money in the exception queue than may be, by currency; since when it is more."""
    limit = scene.settings.alerts.money_at_risk
    found = []
    for currency, amount, since in scene.connection.execute(_sql.at_risk, {"limit": limit}):
        rows = scene.connection.execute(_sql.at_risk_by_store, {"currency": currency}).fetchall()
        found.append(
            Finding(
                alert="money_at_risk",
                key=currency,
                group="exceptions",
                began_at=since,
                impact=_impact((store, currency, at_risk) for store, at_risk in rows if store),
                detail=f"{amount:,} {currency} lie in the exception queue, more than {limit:,}",
            )
        )
    return found


# ---------------------------------------------------------------- stores


def stores_silent(scene: Scene) -> list[Finding]:
    """Stores from which nothing comes although it should; those of a region are told together."""
    found = []
    for one in stores.silent(scene.connection, scene.places, scene.habits, scene.settings.alerts, scene.now):
        place = scene.places[one.store]
        found.append(
            Finding(
                alert="store_silent",
                key=one.store,
                group=f"region {place.region}" if place.region else f"company {place.company}",
                began_at=one.since,
                impact={(one.store, ""): ZERO},
                detail=f"nothing from store {one.store} since {one.since:%Y-%m-%d %H:%M} UTC,"
                f" about {one.expected:.0f} transactions should have come",
            )
        )
    return found


# ---------------------------------------------------------------- the hub


def stock_behind(scene: Scene) -> list[Finding]:
    """Accepted events that wait too long to be recorded."""
    row = scene.connection.execute(_sql.oldest_waiting).fetchone()
    limit = timedelta(seconds=scene.settings.alerts.stock_lag_s)
    if row is None or scene.now - row[0] <= limit:
        return []
    names: set[str] = set()
    for ordinals, body in scene.connection.execute(_sql.waiting, {"most": MOST_GROUPS}, binary=True):
        pieces = frames.unpack(body)
        names |= {_store_of(pieces[ordinal]) for ordinal in ordinals}
    waited_s = (scene.now - row[0]).total_seconds()
    return [
        Finding(
            alert="stock_behind",
            key="recording",
            group="hub",
            began_at=row[0],
            impact={(name, ""): ZERO for name in names if name},
            detail=f"{row[1]:,} accepted events wait to be recorded, the oldest for {waited_s:.0f} s",
        )
    ]


def _store_of(raw: bytes) -> str:
    try:
        return _waiting.decode(raw).data.store
    except msgspec.DecodeError:  # of another form: it names no store that could be told
        return ""


def projections_behind(scene: Scene) -> list[Finding]:
    """Async projections, and the relay, that are far behind the event store."""
    limit = scene.settings.alerts.projection_lag_events
    return [
        Finding(
            alert="projection_lag",
            key=name,
            group="hub",
            began_at=scene.now,
            impact={},
            detail=f"{name} has not taken {behind:,} recorded events yet",
        )
        for name, behind in scene.connection.execute(_sql.behind, {"limit": limit})
    ]


def budgets_burn(scene: Scene) -> list[Finding]:
    """Error budgets that are used up faster than they may be."""
    at = position(scene.connection)
    if at is None:
        return []
    spans = sorted({span for burn in objectives.BURNS for span in (burn.long, burn.short)})
    counted = objectives.counts(scene.connection, spans, scene.now, at.rolled_to)
    found = []
    for one in scene.settings.objectives:
        own = {span: counted.get(one.name, {}).get(span, objectives.Counted()) for span in spans}
        burn = objectives.burns(own, one.target)
        if burn is None:
            continue
        since = scene.now - burn.long
        parameters = {"figure": OBJECTIVE, "part": one.name, "since": since, "hour": floor(since, "hour")}
        row = scene.connection.execute(_sql.first_bad, parameters).fetchone()
        names = [store for (store,) in scene.connection.execute(_sql.bad_stores, parameters)]
        severity: Severity = "critical" if burn.severity == "critical" else "warning"
        pace = objectives.pace(own[burn.long], one.target)
        found.append(
            Finding(
                alert="budget_burns",
                key=one.name,
                group=f"objective {one.name}",
                began_at=row[0] if row and row[0] else since,
                impact={(store, ""): ZERO for store in names},
                severity=severity,
                detail=f"the error budget of {one.name} ({one.target:.3%}) is used up {pace:.1f} times as fast"
                f" as it may"
                f" be; {own[burn.long].bad} of {own[burn.long].total} fell short in {burn.long}",
            )
        )
    return found


def proof_broken(scene: Scene) -> list[Finding]:
    """Store days whose proof is broken, as the sampler found them."""
    since = floor(scene.now - timedelta(hours=1), "hour")
    names = [store for (store,) in scene.connection.execute(_sql.broken, {"since": since})]
    if not names:
        return []
    return [
        Finding(
            alert="proof_broken",
            key="proof",
            group="proof",
            began_at=scene.now,
            impact={(name, ""): ZERO for name in names},
            detail=f"the proof of closed days of {len(names)} stores has differences that do not pass by themselves",
        )
    ]


def deliveries_fail(scene: Scene) -> list[Finding]:
    """Routes that take no messages."""
    before = scene.now - timedelta(minutes=15)
    return [
        Finding(
            alert="route_fails",
            key=route,
            group="hub",
            began_at=since,
            impact={},
            detail=f"{waiting} messages for the route {route} wait: {error}",
        )
        for route, waiting, since, error in scene.connection.execute(_sql.undelivered, {"before": before})
    ]


def _impact(rows: Iterable[tuple[str, str | None, Decimal | None]]) -> Impact:
    """Amounts by store and currency; a store without money stands with none."""
    found: Impact = {}
    for store, currency, amount in rows:
        place = (store, currency or "")
        found[place] = found.get(place, ZERO) + (amount or ZERO)
    return found
