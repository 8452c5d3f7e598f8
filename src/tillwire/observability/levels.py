"""Service levels as people ask for them: every figure and objective as it is now, within their reach."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
import psycopg

from tillwire.config import Objective
from tillwire.governance.access import ALL, Reach
from tillwire.observability.history import floor
from tillwire.observability.now import FigureLevel, StoreValue, by_store, figure_levels
from tillwire.observability.objectives import ObjectiveLevel, levels_of
from tillwire.observability.sampler import position


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """How things stand."""

    sampled_at: datetime | None
    """Until when figures are measured; none: the observer (`tillwire observe`) has never looked."""
    figures: list[FigureLevel]
    objectives: list[ObjectiveLevel]


def levels(
    connection: psycopg.Connection,
    objectives: Sequence[Objective],
    now: datetime,
    *,
    reach: Reach = ALL,
    store: str | None = None,
) -> Levels:
    """Figures and objectives of the hub, of one store, or of the stores within reach together."""
    at = position(connection)
    narrowed = reach.narrowed(store)
    rolled_to = at.rolled_to if at is not None else floor(now, "hour")
    return Levels(
        sampled_at=at.sampled_at if at is not None else None,
        figures=figure_levels(connection, now, rolled_to, reach=narrowed),
        objectives=levels_of(connection, objectives, now, rolled_to, reach=narrowed),
    )


def of_stores(
    connection: psycopg.Connection, figure: str, now: datetime, *, reach: Reach = ALL, store: str | None = None
) -> list[StoreValue]:
    """A figure of every store within reach that has it. Raises ``KeyError`` for a figure there is not."""
    at = position(connection)
    return by_store(
        connection, figure, now, at.rolled_to if at is not None else floor(now, "hour"), reach=reach.narrowed(store)
    )
