"""Fiscal periods as master data knows them: on which day something counts when the period of its own day is closed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.model.master import PeriodRecord, joined

_sql = sql.load("tillwire.posting", "periods.sql")
_decode = msgspec.json.Decoder(PeriodRecord).decode


class Periods:
    """The periods of some companies, as master data has them."""

    def __init__(self, records: Collection[PeriodRecord]) -> None:
        self._of: dict[str, list[PeriodRecord]] = {}
        for record in sorted((one for one in records if one.active), key=lambda one: (one.first, one.last)):
            self._of.setdefault(record.company, []).append(record)

    def posting_date(self, company: str, day: date) -> date | None:
        """The day itself if it may be posted to (no period of the company's is known, or one that holds it is open),
        else the first day of the next open period; none if there is no later one.
        """
        known = self._of.get(company, [])
        if not known or any(one.open and one.first <= day <= one.last for one in known):
            return day
        return self.next_open(company, day)

    def next_open(self, company: str, day: date) -> date | None:
        """The first day of the first open period that begins after ``day``, if there is one."""
        return next((one.first for one in self._of.get(company, []) if one.open and one.first > day), None)


def load(connection: psycopg.Connection, companies: Collection[str]) -> Periods:
    """The periods of these companies."""
    prefixes = [joined(company, "") for company in companies]
    return Periods([_decode(body) for (body,) in connection.execute(_sql.periods, (prefixes,))])


def posting_date(connection: psycopg.Connection, company: str, day: date) -> date | None:
    """As ``Periods.posting_date``, looked up for one day."""
    return load(connection, [company]).posting_date(company, day)


def next_open(connection: psycopg.Connection, company: str, day: date) -> date | None:
    """As ``Periods.next_open``, looked up for one day."""
    return load(connection, [company]).next_open(company, day)
