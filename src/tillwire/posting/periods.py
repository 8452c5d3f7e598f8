"""Fiscal periods as master data knows them: the day on which something may still be posted."""

from __future__ import annotations

from datetime import date

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.model.master import PeriodRecord, joined

_sql = sql.load("tillwire.posting", "periods.sql")
_decode = msgspec.json.Decoder(PeriodRecord).decode


def periods(connection: psycopg.Connection, company: str) -> list[PeriodRecord]:
    """The company's fiscal periods in use, by their first day."""
    prefix = joined(company, "")
    found = [_decode(body) for (body,) in connection.execute(_sql.periods, (prefix,))]
    return sorted((one for one in found if one.active and one.company == company), key=lambda one: one.first)


def posting_date(connection: psycopg.Connection, company: str, day: date) -> date | None:
    """The day itself if its period is open or no periods are known; else the first day of the next open one, if any."""
    known = periods(connection, company)
    if not known or any(one.open and one.first <= day <= one.last for one in known):
        return day
    return _first_open_after(known, day)


def next_open(connection: psycopg.Connection, company: str, day: date) -> date | None:
    """The first day of the next open period after the one of ``day``, whatever that is; none if none is known."""
    return _first_open_after(periods(connection, company), day)


def _first_open_after(known: list[PeriodRecord], day: date) -> date | None:
    return next((one.first for one in known if one.open and one.first > day), None)
