"""Business dates as pages speak of them: which one is asked for, and which differences pass by themselves."""

from __future__ import annotations

from datetime import date

import psycopg

from tillwire.console.shell import AnyRequest
from tillwire.database import sql
from tillwire.governance.access import Reach
from tillwire.reconciliation.days import HELD, PASSING

_sql = sql.load("tillwire.console", "console.sql")

UNDER_WAY = PASSING
__all__ = ["HELD", "UNDER_WAY", "asked_day"]


def asked_day(request: AnyRequest, connection: psycopg.Connection, reach: Reach) -> date | None:
    """The business date that the address names (as ``date``), or the newest there is; none where nothing was sold."""
    try:
        return date.fromisoformat(request.query_params.get("date", ""))
    except ValueError:
        row = connection.execute(_sql.newest_date, {"reach": reach.parameter}).fetchone()
        return row[0] if row else None
