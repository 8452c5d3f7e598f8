"""Who is told of what, when: alerts of a group together, again when they change, and when they are over.

What is to be told becomes rows in the transaction that decides it, so that nothing decided is lost and nothing is told
that was not.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import msgspec
import psycopg

from tillwire.config import AlertRoute, Settings
from tillwire.database import sql
from tillwire.observability.alerts import AlertView, Open, alerts_by_id, open_alerts, silenced_by
from tillwire.observability.states import FIRING, RESOLVED

_sql = sql.load("tillwire.observability", "telling.sql")

FIRES, CHANGED, STILL, OVER = "firing", "changed", "still firing", "resolved"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a group: alerts that fire, the new ones first, and those that are over since the last time."""

    status: str
    group: str
    at: datetime
    severity: str
    firing: list[AlertView]
    resolved: list[AlertView]
    hub: str
    """Where the hub is reached."""


class _Told(msgspec.Struct, frozen=True):
    firing: frozenset[int]
    at: datetime


def takes(route: AlertRoute, alert: Open) -> bool:
    """Whether a route takes an alert."""
    return (
        alert.severity in route.severities
        and any(fnmatchcase(alert.owner, one) for one in route.owners)
        and any(fnmatchcase(alert.name, one) for one in route.alerts)
    )


def tell(connection: psycopg.Connection, settings: Settings, hub: str, now: datetime) -> int:
    """Decide what every route is to be told now, inside the caller's transaction; returns how many messages that is."""
    firing = [one for one in open_alerts(connection) if one.state == FIRING]
    silent = silenced_by(connection, firing, now)
    connection.execute(_sql.note_silenced, {"ids": sorted(silent)})
    if not settings.alert_routes:
        return 0
    loud = [one for one in firing if one.alert_id not in silent]
    told: dict[tuple[str, str], _Told] = {
        (route, group): _Told(frozenset(ids), at) for route, group, ids, at in connection.execute(_sql.told)
    }
    messages = 0
    for route in settings.alert_routes:
        groups: dict[str, list[Open]] = defaultdict(list)
        for one in loud:
            if takes(route, one):
                groups[one.group].append(one)
        for group in groups.keys() | {group for name, group in told if name == route.name}:
            messages += _group(
                connection, settings, route, group, groups[group], told.get((route.name, group)), hub, now
            )
    return messages


def _group(
    connection: psycopg.Connection,
    settings: Settings,
    route: AlertRoute,
    group: str,
    firing: Sequence[Open],
    told: _Told | None,
    hub: str,
    now: datetime,
) -> int:
    before = told.firing if told else frozenset()
    current = {one.alert_id for one in firing}
    new = current - before
    gone = (
        [row[0] for row in connection.execute(_sql.resolved, (sorted(before - current),))] if before - current else []
    )
    status = _status(settings, firing, told, new, gone, now)
    if status is None:
        if told is not None and not current and not gone:  # all of it was silenced, or goes elsewhere now
            connection.execute(_sql.forget, {"route": route.name, "group": group})
        return 0
    views = {one.alert_id: one for one in alerts_by_id(connection, [*current, *gone], now)}
    message = Message(
        status=status,
        group=group,
        at=now,
        severity=_gravest([views[one].severity for one in (current or gone)]),
        firing=[views[one] for one in sorted(current, key=lambda one: (one not in new, one))],
        resolved=[one for one in (views[number] for number in gone) if one.state == RESOLVED],
        hub=hub,
    )
    _deliver(connection, route, message, now)
    parameters = {"route": route.name, "group": group, "firing": sorted(current), "now": now}
    connection.execute(_sql.note if current else _sql.forget, parameters)
    return 1


def _status(
    settings: Settings,
    firing: Sequence[Open],
    told: _Told | None,
    new: set[int],
    gone: Sequence[int],
    now: datetime,
) -> str | None:
    """What is to be told of a group now; none: nothing (yet)."""
    limits = settings.alerts
    if not firing:
        return OVER if gone else None
    since = [one.fired_at for one in firing if one.alert_id in new and one.fired_at is not None]
    waited = bool(since) and now - min(since) >= timedelta(seconds=limits.group_wait_s)
    if told is None:
        return FIRES if waited else None
    if not new and not gone:
        return STILL if now - told.at >= timedelta(hours=limits.repeat_hours) else None
    urgent = any(one.alert_id in new and one.severity == "critical" for one in firing)
    if now - told.at >= timedelta(seconds=limits.group_interval_s) or (urgent and waited):
        return CHANGED
    return None


def _gravest(severities: Sequence[str]) -> str:
    return min(severities, key=("critical", "warning", "info").index)


def _deliver(connection: psycopg.Connection, route: AlertRoute, message: Message, now: datetime) -> None:
    """One delivery for each who is to have it: what one does not take, others do not wait for."""
    recipients = route.to if route.kind == "email" else ("",)
    parameters: dict[str, Any] = {
        "route": route.name,
        "recipients": list(recipients),
        "keys": [str(uuid.uuid4()) for _ in recipients],
        "group": message.group,
        "message": msgspec.json.encode(message).decode(),
        "now": now,
    }
    connection.execute(_sql.deliver, parameters)
