"""The life of an alert: pending, firing, resolved. One process judges at a time, in one transaction each time.

An alert that is found fires when it has been found for long enough; one that fires is over when what it is about has
been gone for a while, so that what comes and goes is one alert and not twenty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import psycopg
import structlog

from tillwire.config import Settings
from tillwire.database import sql
from tillwire.observability.conditions import Alert, Finding, Scene
from tillwire.observability.definitions import ALERTS

_sql = sql.load("tillwire.observability", "states.sql")
_log = structlog.get_logger(__name__)

PENDING, FIRING, RESOLVED = "pending", "firing", "resolved"


class Kept(msgspec.Struct, frozen=True):
    """An alert that is not over, as it stands."""

    alert_id: int
    name: str
    key: str
    state: str
    began_at: datetime
    seen_at: datetime
    fired_at: datetime | None
    absent_since: datetime | None


def find_all(scene: Scene, alerts: Mapping[str, Alert] = ALERTS) -> tuple[list[Finding], set[str]]:
    """Whatever is wrong, and the alerts that could be judged: one that breaks down is noted, and keeps no other from
    it."""
    found: list[Finding] = []
    judged: set[str] = set()
    for alert in alerts.values():
        try:
            with scene.connection.transaction():
                found += alert.find(scene)
            judged.add(alert.name)
        except psycopg.OperationalError:
            raise  # the database is away
        except Exception:  # noqa: BLE001 - a fault in one must not silence the others
            _log.exception("alert_cannot_be_judged", alert=alert.name)
    return found, judged


def judge(
    connection: psycopg.Connection,
    found: Sequence[Finding],
    judged: set[str],
    settings: Settings,
    now: datetime,
    alerts: Mapping[str, Alert] = ALERTS,
) -> None:
    """Bring the alerts to what was found, inside the caller's transaction."""
    kept = {(one.name, one.key): one for one in (Kept(*row) for row in connection.execute(_sql.open))}
    seen: set[tuple[str, str]] = set()
    for finding in found:
        place = (finding.alert, finding.key)
        if place in seen:
            continue
        seen.add(place)
        _found(connection, finding, alerts[finding.alert], kept.get(place), settings, now)
    settle = timedelta(seconds=settings.alerts.settle_s)
    for place, one in kept.items():
        if place not in seen and (one.name in judged or one.name not in alerts):
            _absent(connection, one, settle, now)


def _found(
    connection: psycopg.Connection,
    finding: Finding,
    alert: Alert,
    kept: Kept | None,
    settings: Settings,
    now: datetime,
) -> None:
    seen_at = kept.seen_at if kept else now
    fires = (kept is not None and kept.state == FIRING) or now - seen_at >= alert.wait(settings)
    parameters: dict[str, object] = {
        "name": finding.alert,
        "key": finding.key,
        "group": finding.group,
        "severity": finding.severity or alert.severity,
        "owner": finding.owner or alert.owner,
        "state": FIRING if fires else PENDING,
        "began_at": min(finding.began_at, kept.began_at if kept else now),
        "seen_at": seen_at,
        "fired_at": (kept.fired_at if kept and kept.fired_at else now) if fires else None,
        "deadline": finding.deadline,
        "store_count": len({store for store, _ in finding.impact}),
        "detail": finding.detail,
    }
    if kept is None:
        row = connection.execute(_sql.add, parameters).fetchone()
        assert row is not None
        alert_id = row[0]
    else:
        alert_id = kept.alert_id
        connection.execute(_sql.keep, parameters | {"alert_id": alert_id})
    _note_impact(connection, alert_id, finding)
    if fires and (kept is None or kept.state == PENDING):
        _log.error(
            "alert",
            alert=finding.alert,
            key=finding.key,
            severity=parameters["severity"],
            owner=parameters["owner"],
            began_at=finding.began_at.isoformat(),
            deadline=finding.deadline.isoformat() if finding.deadline else None,
            stores=parameters["store_count"],
            detail=finding.detail,
        )


def _note_impact(connection: psycopg.Connection, alert_id: int, finding: Finding) -> None:
    places = sorted(finding.impact)
    parameters = {
        "alert_id": alert_id,
        "stores": [store for store, _ in places],
        "currencies": [currency for _, currency in places],
        "amounts": [Decimal(finding.impact[place]) for place in places],
    }
    connection.execute(_sql.forget_impact, parameters)
    if places:
        connection.execute(_sql.note_impact, parameters)


def _absent(connection: psycopg.Connection, one: Kept, settle: timedelta, now: datetime) -> None:
    if one.state == PENDING:  # it never fired: nobody was told
        connection.execute(_sql.drop, (one.alert_id,))
        return
    since = one.absent_since or now
    over = now - since >= settle
    parameters = {"alert_id": one.alert_id, "absent_since": since, "resolved_at": since if over else None}
    connection.execute(_sql.absent, parameters)
    if over:
        _log.info("alert_over", alert=one.name, key=one.key)
