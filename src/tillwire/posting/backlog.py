"""The backlog: what waits for each ERP and why, for people who ask, and for those who must be told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

import msgspec
import psycopg
import structlog

from tillwire import clock
from tillwire.config import ErpPolicy
from tillwire.config import Posting as PostingSettings
from tillwire.database import sql
from tillwire.governance.access import ALL, Reach
from tillwire.posting.gate import Budget
from tillwire.posting.lane import served_by
from tillwire.posting.outcomes import raise_unknown

_sql = sql.load("tillwire.posting", "backlog.sql")
_log = structlog.get_logger(__name__)

MOST_STORES = 20
"""So many stores are named; the rest is counted."""

LOOK_EVERY_S = 10.0

_NAMES = {"built": "waiting"}


class Sum(msgspec.Struct, frozen=True):
    """Journals in a state: how many, and their transactions' totals by currency."""

    journals: int
    amounts: dict[str, Decimal]


class ErpBacklog(msgspec.Struct, frozen=True, kw_only=True):
    """What is not in one ERP's books yet."""

    erp: str
    """Its name; empty: what no configured ERP serves."""
    enabled: bool
    breaker: str
    """``closed``, or ``open``: it is left alone but for single probes."""
    reason: str
    """The last failure, in words."""
    open_since: datetime | None
    next_probe_at: datetime | None
    paused_until: datetime | None
    """Until when it asked us to wait."""
    calls_left: int
    """Calls that may be made at once; the budget fills up again over a minute."""
    states: dict[str, Sum]
    """waiting, sent, accepted, unknown, rejected; those there are."""
    oldest_business_date: date | None
    """Of what waits or is under way."""
    waiting_since: datetime | None
    """When the oldest journal that waits was built."""
    age_s: float
    """How long that is ago."""
    accepted_since: datetime | None
    """When it accepted the oldest journal of those that it has not posted yet."""
    stores: list[str]
    """Of what waits or is under way, the oldest first, at most ``MOST_STORES``."""
    store_count: int


class Trouble(msgspec.Struct, frozen=True):
    """What is wrong with an ERP's backlog: a name, in words, and since when."""

    name: str
    words: str
    since: datetime


class Stake(msgspec.Struct, frozen=True):
    """What of a store's day is not in an ERP's books: an amount, in its currency."""

    store: str
    business_date: date
    currency: str
    amount: Decimal


def backlog(
    connection: psycopg.Connection,
    policies: Sequence[ErpPolicy],
    *,
    now: datetime | None = None,
    reach: Reach = ALL,
) -> list[ErpBacklog]:
    """The backlog of every configured ERP, and of those that are no longer configured but not done with, or of which
    people were told something that is not over for them yet: what stores within reach have in it. An ERP's last words,
    which may name anybody's journal, and what people were told, are for who reaches all stores.
    """
    moment = now or clock.now()
    gates = {row[0]: row[1:] for row in connection.execute(_sql.gates)}
    groups: dict[str, list[tuple]] = defaultdict(list)
    for company, erp, *rest in connection.execute(_sql.figures, {"reach": reach.parameter}):
        name = erp
        if name is None:
            policy = served_by(policies, company)
            name = policy.name if policy is not None else ""
        groups[name].append((company, *rest))
    named = {policy.name: policy for policy in policies}
    alerted = {name for name, gate in gates.items() if gate[-1] and reach.stores is None}
    names = [*named, *sorted((groups.keys() | alerted) - named.keys())]
    return [_one(connection, name, named.get(name), gates.get(name), groups[name], moment, reach) for name in names]


def _one(
    connection: psycopg.Connection,
    name: str,
    policy: ErpPolicy | None,
    gate: tuple | None,
    rows: list[tuple],
    now: datetime,
    reach: Reach,
) -> ErpBacklog:
    counts: dict[str, int] = defaultdict(int)
    amounts: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for _, state, currency, count, amount, *_ in rows:
        counts[_NAMES.get(state, state)] += count
        amounts[_NAMES.get(state, state)][currency] += amount
    open_rows = [row for row in rows if row[1] != "rejected"]
    waiting = [row for row in rows if row[1] == "built"]
    since = min((row[6] for row in waiting), default=None)
    companies = sorted({row[0] for row in waiting})
    parameters = {"companies": companies, "erp": name, "most": MOST_STORES, "reach": reach.parameter}
    stores = connection.execute(_sql.stores, parameters).fetchall() if open_rows else []
    opened_at, reason, paused_until, ahead_s, probe_at, _ = gate or (None, "", None, 0.0, None, False)
    if reach.stores is not None:
        reason = ""
    return ErpBacklog(
        erp=name,
        enabled=policy is not None and policy.enabled,
        breaker="closed" if opened_at is None else "open",
        reason=reason if policy is not None else _unserved(name),
        open_since=opened_at,
        next_probe_at=probe_at,
        paused_until=paused_until,
        calls_left=_calls_left(policy, ahead_s),
        states={state: Sum(counts[state], dict(amounts[state])) for state in sorted(counts)},
        oldest_business_date=min((row[5] for row in open_rows), default=None),
        waiting_since=since,
        age_s=max(0.0, (now - since).total_seconds()) if since else 0.0,
        accepted_since=min((row[7] for row in rows if row[7] is not None), default=None),
        stores=[store for store, _ in stores],
        store_count=stores[0][1] if stores else 0,
    )


def _unserved(name: str) -> str:
    return f"no ERP {name} is configured any more" if name else "no configured ERP serves these companies"


def _calls_left(policy: ErpPolicy | None, ahead_s: float) -> int:
    if policy is None:
        return 0
    budget = Budget.of(policy.limit_per_min)
    return max(0, int((budget.burst_s - ahead_s) / budget.interval_s) + 1)


class Upkeep:
    """What a dispatcher looks after beside its lanes: people are told of backlogs, and of replies that never came."""

    def __init__(
        self,
        connection: psycopg.Connection,
        policies: Sequence[ErpPolicy],
        settings: PostingSettings,
        *,
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._connection = connection
        self._policies = policies
        self._settings = settings
        self._every_s = every_s
        self._next_s = 0.0

    def look(self) -> None:
        """Look, if it is time to."""
        if not self._policies or clock.monotonic_s() < self._next_s:
            return
        self._next_s = clock.monotonic_s() + self._every_s
        for one in backlog(self._connection, self._policies):
            if one.states.get("unknown"):
                raise_unknown(self._connection, one.erp, self._settings.alert_minutes)
            self._tell(one)

    def _tell(self, one: ErpBacklog) -> None:
        """An alert in the log, when there is one and then again and again; ``erp_backlog_over`` when it is over."""
        open_s, accepted_s = _age_s(one.open_since), _age_s(one.accepted_since)
        trouble = trouble_of(one, self._settings, clock.now())
        alert = trouble.words if trouble is not None else None
        parameters = {"erp": one.erp, "alert": alert, "minutes": self._settings.alert_minutes}
        if self._connection.execute(_sql.tell, parameters).fetchone() is None:
            return
        if alert is None:
            _log.info("erp_backlog_over", erp=one.erp)
            return
        _log.error(
            "erp_backlog",
            erp=one.erp,
            alert=alert,
            reason=one.reason,
            journals={state: each.journals for state, each in one.states.items()},
            amounts={
                state: {currency: str(amount) for currency, amount in each.amounts.items()}
                for state, each in one.states.items()
            },
            oldest_business_date=str(one.oldest_business_date),
            age_minutes=round(max(one.age_s, open_s, accepted_s) / 60),
            stores=one.stores,
            store_count=one.store_count,
        )


def trouble_of(one: ErpBacklog, settings: PostingSettings, now: datetime) -> Trouble | None:
    """What people must be told of an ERP's backlog, if anything. One that is switched off is waited for on purpose."""
    limit, accepted_limit = (
        timedelta(minutes=settings.alert_minutes),
        timedelta(minutes=settings.accepted_alert_minutes),
    )
    if one.enabled and one.open_since is not None and now - one.open_since > limit:
        return Trouble("erp_down", "its breaker is open", one.open_since)
    if one.waiting_since is not None and now - one.waiting_since > limit and (one.enabled or not one.erp):
        if one.erp:
            return Trouble("erp_backlog", "journals wait", one.waiting_since)
        return Trouble("erp_unserved", "no ERP serves their companies", one.waiting_since)
    if one.enabled and one.accepted_since is not None and now - one.accepted_since > accepted_limit:
        return Trouble("erp_accepted", "it accepted journals and has not posted them", one.accepted_since)
    return None


def at_stake(connection: psycopg.Connection, policies: Sequence[ErpPolicy]) -> dict[str, list[Stake]]:
    """What is not in each ERP's books (empty: what none serves), by store, business date and currency."""
    found: dict[str, list[Stake]] = defaultdict(list)
    for company, erp, *rest in connection.execute(_sql.at_stake):
        policy = served_by(policies, company) if erp is None else None
        found[erp or (policy.name if policy is not None else "")].append(Stake(*rest))
    return found


def _age_s(since: datetime | None) -> float:
    return (clock.now() - since).total_seconds() if since else 0.0
