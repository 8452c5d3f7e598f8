"""Which store days have something to post: noted as events are recorded, picked by whoever builds journals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.database.arrays import number_array, text_array
from tillwire.events.recorded import InlineProjection, Recorded
from tillwire.model.reversal import TransactionReversed
from tillwire.model.stock import StockMovement
from tillwire.model.till import TillClosed
from tillwire.model.transaction import Transaction
from tillwire.posting.policy import PostingPolicy, StorePolicy

_sql = sql.load("tillwire.posting", "due.sql")
_POSTED = (Transaction, TransactionReversed, TillClosed, StockMovement)


class MarkDue(InlineProjection):
    """Notes the store days that events have something to post for. Not part of a replay: posting is a state."""

    tables: Sequence[str] = ()

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was gathered."""
        self._due: dict[tuple[str, str], list[int]] = {}

    def apply(self, recorded: Recorded) -> None:
        """Gather the day of an event that has entries or moves goods, and the day it is posted to instead."""
        if not isinstance(recorded.message, _POSTED):
            return
        self._mark(recorded.store, recorded.day, recorded.offset)
        past = recorded.enrichment.past
        if past is not None and past.posted_date is not None:
            self._mark(recorded.store, past.posted_date.isoformat(), recorded.offset)

    def _mark(self, store: str, day: str, offset: int) -> None:
        place = (store, day)
        noted = self._due.get(place)
        if noted is None:
            self._due[place] = [offset, 1]
        else:
            noted[0] = offset
            noted[1] += 1

    def write(self, connection: psycopg.Connection) -> None:
        """Note the days, in the order of their key (no deadlocks)."""
        if self._due:
            places = sorted(self._due)
            parameters = {
                "stores": text_array([store for store, _ in places]),
                "dates": number_array([day for _, day in places]),
                "offsets": number_array([self._due[place][0] for place in places]),
                "events": number_array([self._due[place][1] for place in places]),
            }
            connection.execute(_sql.mark_due, parameters)
        self.begin()


class Day(msgspec.Struct, kw_only=True):
    """A store's day with the range of offsets that is to be posted now: [from_offset, to_offset)."""

    store: str
    business_date: date
    from_offset: int
    to_offset: int
    events: int
    company: str
    region: str
    policy: StorePolicy


def take(connection: psycopg.Connection, policy: PostingPolicy, *, most_days: int, most_events: int) -> list[Day]:
    """Lock days that are due, oldest business date first, inside the caller's transaction.

    A day that a worker is adding to is left for the next look. At most ``most_events`` events, but one day anyway.
    """
    candidates = [
        place
        for *place, events, waiting_s, closed, company in connection.execute(
            _sql.candidates, {"trickles": policy.trickles, "most": most_days}
        )
        if closed or policy.of(place[0], company).wants(waiting_s=waiting_s, events=events)
    ][:most_days]
    if not candidates:
        return []
    parameters = {"stores": [store for store, _ in candidates], "dates": [day for _, day in candidates]}
    found: list[Day] = []
    events = 0
    for store, day, last, start, count, company, region in connection.execute(_sql.take, parameters).fetchall():
        if found and events + count > most_events:
            break
        events += count
        found.append(
            Day(
                store=store,
                business_date=day,
                from_offset=start,
                to_offset=last + 1,
                events=count,
                company=company,
                region=region,
                policy=policy.of(store, company),
            )
        )
    return found


def done(connection: psycopg.Connection, days: Sequence[Day]) -> None:
    """Note how far these days are posted."""
    parameters = {
        "stores": [day.store for day in days],
        "dates": [day.business_date for day in days],
        "tos": [day.to_offset for day in days],
    }
    connection.execute(_sql.advance_cursors, parameters)
    connection.execute(_sql.not_due, parameters)
