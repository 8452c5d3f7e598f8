"""Alerts as people see them, within their reach, and silences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.errors import TillwireError
from tillwire.governance.access import ALL, Reach
from tillwire.observability.definitions import ALERTS

_sql = sql.load("tillwire.observability", "alerts.sql")

MOST_STORES = 20
"""So many stores are named, those with most money at stake first; the rest is counted."""

OPEN = ("pending", "firing")


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """An alert. Who reaches some stores only sees those that are about a store of theirs, with the stores and the money
    of theirs, and not the words, which may name anything.
    """

    alert_id: int
    name: str
    title: str
    key: str
    """What it is about: an ERP, an owner, a store, an objective."""
    group: str
    severity: str
    owner: str
    state: str
    began_at: datetime
    """When what it is about began."""
    seen_at: datetime
    fired_at: datetime | None
    resolved_at: datetime | None
    deadline: datetime | None
    stores: list[str]
    """At most ``MOST_STORES``."""
    store_count: int
    money: dict[str, Decimal]
    """What is at stake, by currency."""
    detail: str
    runbook: str
    silenced_by: int | None
    """The silence that keeps it from being told."""


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts that are not told until some time. An alert with stores is silenced if each of them fits a pattern."""

    silence_id: int
    alerts: str
    keys: str
    stores: list[str]
    until: datetime
    reason: str
    made_by: str
    made_at: datetime
    ended_by: str | None = None
    ended_at: datetime | None = None


class SilenceRefused(TillwireError):
    """A silence that cannot be made, or ended, and why."""


class Open(msgspec.Struct, frozen=True):
    """What silences and routes look at."""

    alert_id: int
    name: str
    key: str
    group: str
    severity: str
    owner: str
    state: str
    fired_at: datetime | None


def alerts(
    connection: psycopg.Connection,
    reach: Reach = ALL,
    *,
    states: Sequence[str] = OPEN,
    now: datetime,
    store: str | None = None,
    most: int = 200,
) -> list[AlertView]:
    """Alerts in some states, the gravest first, of those the longest firing; resolved ones the newest first."""
    narrowed = reach.narrowed(store)
    parameters: dict[str, object] = {"states": list(states), "reach": narrowed.parameter, "most": most, "ids": None}
    return _views(connection, _sql.listed, parameters, now, words=reach.stores is None)


def alerts_by_id(connection: psycopg.Connection, ids: Sequence[int], now: datetime) -> list[AlertView]:
    """Some alerts, as whoever reaches all stores sees them."""
    parameters: dict[str, object] = {
        "states": ["pending", "firing", "resolved"],
        "reach": None,
        "most": len(ids),
        "ids": list(ids),
    }
    return _views(connection, _sql.listed, parameters, now, words=True)


def _views(
    connection: psycopg.Connection, query: str, parameters: dict[str, object], now: datetime, *, words: bool
) -> list[AlertView]:
    rows = connection.execute(query.encode(), parameters).fetchall()
    impact = _impact(connection, [row[0] for row in rows], parameters["reach"])
    silenced = silenced_by(connection, [Open(*(*row[:7], row[9])) for row in rows if row[6] in OPEN], now)
    found = []
    for row in rows:
        alert_id, name, key, group, severity, owner, state, began, seen, fired, resolved, deadline, count, detail = row
        stores, money = impact.get(alert_id, ({}, {}))
        definition = ALERTS.get(name)
        found.append(
            AlertView(
                alert_id=alert_id,
                name=name,
                title=definition.title if definition else name,
                key=key,
                group=group,
                severity=severity,
                owner=owner,
                state=state,
                began_at=began,
                seen_at=seen,
                fired_at=fired,
                resolved_at=resolved,
                deadline=deadline,
                stores=list(stores)[:MOST_STORES],
                store_count=count if parameters["reach"] is None else len(stores),
                money=money,
                detail=detail if words else "",
                runbook=definition.runbook if definition else "",
                silenced_by=silenced.get(alert_id),
            )
        )
    return found


def _impact(
    connection: psycopg.Connection, ids: Sequence[int], reach: object
) -> dict[int, tuple[dict[str, None], dict[str, Decimal]]]:
    found: dict[int, tuple[dict[str, None], dict[str, Decimal]]] = {}
    parameters = {"ids": list(ids), "reach": reach}
    for alert_id, store, currency, amount in connection.execute(_sql.impact, parameters) if ids else ():
        stores, money = found.setdefault(alert_id, ({}, {}))
        stores[store] = None
        if currency:
            money[currency] = money.get(currency, Decimal(0)) + amount
    return found


def open_alerts(connection: psycopg.Connection) -> list[Open]:
    """All that are not over."""
    return [Open(*row) for row in connection.execute(_sql.open)]


def silences(connection: psycopg.Connection, now: datetime, reach: Reach = ALL) -> list[Silence]:
    """The silences in force. Who reaches some stores only sees those of stores of theirs."""
    found = [Silence(**dict(zip(Silence.__struct_fields__, row, strict=True))) for row in _in_force(connection, now)]
    return [one for one in found if reach.stores is None or all(reach.covers(store) for store in one.stores)]


def _in_force(connection: psycopg.Connection, now: datetime) -> list[tuple]:
    return connection.execute(_sql.silences, {"now": now}).fetchall()


def silenced_by(connection: psycopg.Connection, about: Iterable[Open], now: datetime) -> dict[int, int]:
    """Which of these alerts are silenced, and by which silence."""
    chosen = list(about)
    in_force = silences(connection, now) if chosen else []
    stores: dict[int, list[str]] = {}
    if any(one.stores != ["*"] for one in in_force):
        parameters = {"ids": [one.alert_id for one in chosen], "reach": None}
        for alert_id, store, _, _ in connection.execute(_sql.impact, parameters):
            stores.setdefault(alert_id, []).append(store)
    found: dict[int, int] = {}
    for alert in chosen:
        for one in in_force:
            if _silences(one, alert, stores.get(alert.alert_id, [])):
                found.setdefault(alert.alert_id, one.silence_id)
    return found


def _silences(silence: Silence, alert: Open, stores: Sequence[str]) -> bool:
    if not (fnmatchcase(alert.name, silence.alerts) and fnmatchcase(alert.key, silence.keys)):
        return False
    if silence.stores == ["*"]:
        return True
    return bool(stores) and all(any(fnmatchcase(store, one) for one in silence.stores) for store in stores)


def silence(
    connection: psycopg.Connection,
    *,
    until: datetime,
    reason: str,
    by: str,
    now: datetime,
    alerts: str = "*",
    keys: str = "*",
    stores: Sequence[str] = ("*",),
    reach: Reach = ALL,
) -> Silence:
    """Silence alerts until some time: by patterns of their names, of what they are about, and of stores.

    Raises ``SilenceRefused`` that names the field. Who reaches some stores only names those, each by its number.
    """
    if until <= now:
        raise SilenceRefused(f"until: {until.isoformat()} has passed")
    if not reason.strip():
        raise SilenceRefused("reason: say why, for who asks later")
    if not stores or not alerts or not keys:
        raise SilenceRefused("stores, alerts and keys: name some, or * for all")
    if alerts != "*" and not any(fnmatchcase(name, alerts) for name in ALERTS):
        raise SilenceRefused(f"alerts: there is none like {alerts!r}; there are {', '.join(ALERTS)}")
    outside = [store for store in stores if not reach.covers(store)]
    if outside:
        raise SilenceRefused(f"stores: {', '.join(outside)} is not within your reach: name stores by their numbers")
    parameters = {
        "alerts": alerts,
        "keys": keys,
        "stores": list(stores),
        "until": until,
        "reason": reason,
        "by": by,
        "now": now,
    }
    row = connection.execute(_sql.silence, parameters).fetchone()
    assert row is not None
    return Silence(**dict(zip(Silence.__struct_fields__, row, strict=True)))


def unsilence(connection: psycopg.Connection, silence_id: int, *, by: str, now: datetime, reach: Reach = ALL) -> None:
    """End a silence. Raises ``SilenceRefused`` if none of that number is in force within reach."""
    if silence_id not in {one.silence_id for one in silences(connection, now, reach)}:
        raise SilenceRefused(f"no silence {silence_id} is in force")
    connection.execute(_sql.unsilence, {"silence_id": silence_id, "by": by, "now": now})
