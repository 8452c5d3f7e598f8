"""What people are told of: every alert defined once, with what it finds.

A finding says what it is about, since when, which stores and how much money are concerned, and until when somebody has
to act. Findings of one group have one cause, and are told together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

import msgspec
import psycopg

from tillwire.config import Objective, Settings
from tillwire.config.posting import ErpPolicy
from tillwire.config.service_levels import COMPLETENESS
from tillwire.masterdata.places import Place
from tillwire.observability.stores import Habits
from tillwire.posting.backlog import ErpBacklog, Stake
from tillwire.posting.lane import served_by

Severity = Literal["info", "warning", "critical"]

FINANCE, STORES, INTEGRATION = "finance", "store operations", "integration"

Impact = dict[tuple[str, str], Decimal]
"""By store and currency (empty: no money)."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong."""

    alert: str
    """The definition's name."""
    key: str
    """What it is about, the same as long as it is the same."""
    group: str
    """Its cause, as far as that can be told."""
    began_at: datetime
    """When it began, which is before anybody could notice."""
    impact: Impact
    detail: str
    """In words."""
    deadline: datetime | None = None
    severity: Severity | None = None
    """Where it depends on what was found; none: the definition's."""
    owner: str | None = None


class Scene(msgspec.Struct, kw_only=True):
    """What findings are made from: the database, the settings, and what all of them ask for, read once."""

    connection: psycopg.Connection
    settings: Settings
    erps: Sequence[ErpPolicy]
    places: dict[str, Place]
    habits: Habits
    now: datetime
    backlog: list[ErpBacklog]
    stakes: dict[str, list[Stake]]

    def completeness(self) -> list[Objective]:
        """The objectives with a deadline."""
        return [one for one in self.settings.objectives if one.figure == COMPLETENESS]

    def cause_of(self, company: str) -> str:
        """The group of what goes to the books of a company."""
        policy = served_by(self.erps, company)
        return f"erp {policy.name}" if policy is not None else f"company {company}"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """The definition of an alert."""

    name: str
    title: str
    meaning: str
    """When it fires, and why that matters."""
    severity: Severity
    owner: str
    find: Callable[[Scene], list[Finding]]
    wait: Callable[[Settings], timedelta] = lambda _: timedelta(0)
    """How long it must be found before it fires."""
    figure: str = ""
    """The figure that shows it best."""

    @property
    def runbook(self) -> str:
        """Where to read what to do."""
        return f"docs/runbooks/alerts.md#{self.name.replace('_', '-')}"


def money_in_words(impact: Impact) -> str:
    """The money of an impact, by currency."""
    sums: dict[str, Decimal] = {}
    for (_, currency), amount in impact.items():
        if currency:
            sums[currency] = sums.get(currency, Decimal(0)) + amount
    return ", ".join(f"{amount:,} {currency}" for currency, amount in sorted(sums.items()))
