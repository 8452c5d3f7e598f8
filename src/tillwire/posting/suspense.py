"""What lies in suspense, since when and how much; and its way to the right account once the rule book maps it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import psycopg

from tillwire import clock
from tillwire.database import sql
from tillwire.governance.access import ALL, Reach
from tillwire.model.money import ZERO
from tillwire.posting.accounts import SUSPENSE_RULE, AccountBook, Mapped, Place
from tillwire.posting.build import store
from tillwire.posting.drafts import RECLASSIFICATION, Draft, EntryKey
from tillwire.posting.due import Day
from tillwire.posting.lines import Books, Line
from tillwire.posting.policy import PostingPolicy

_sql = sql.load("tillwire.posting", "suspense.sql")


class InSuspense(msgspec.Struct, frozen=True, kw_only=True):
    """What one store has in suspense for one reason. ``amount`` is debit positive, in ``currency``."""

    company: str
    store: str
    region: str
    currency: str
    account: str
    kind: str
    component: str
    code: str
    amount: Decimal
    first: date
    """The oldest business date that it is of."""
    journals: int

    def age_days(self) -> int:
        """Days since the oldest business date."""
        return (clock.now().date() - self.first).days


def listed(connection: psycopg.Connection, *, reach: Reach = ALL) -> list[InSuspense]:
    """What lies in suspense of stores within reach, by company, store and reason; the largest amounts first."""
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return [InSuspense(**row) for row in cursor.execute(_sql.listed, {"reach": reach.parameter})]


class Reclassified(msgspec.Struct, frozen=True):
    """One amount on its way out of suspense."""

    what: InSuspense
    account: str
    rule: str


def reclassify(
    connection: psycopg.Connection, book: AccountBook, policy: PostingPolicy, *, on: date, dry_run: bool = False
) -> list[Reclassified]:
    """Build journals that take what the rule book maps by now out of suspense, one per company, store and currency, on
    the business date ``on`` (in the period that is open then); returns what they move.
    """
    with connection.transaction():
        connection.execute(_sql.one_at_a_time)
        found: list[Reclassified] = []
        drafts: dict[Place, tuple[Draft, list[Line]]] = {}
        for one in listed(connection):
            place = Place(one.company, one.store, one.region, one.currency)
            mapped = book.resolve(place, one.first, one.kind, one.component, one.code)
            if mapped.rule == SUSPENSE_RULE:
                continue
            found.append(Reclassified(one, mapped.account, mapped.rule))
            _, lines = drafts.setdefault(place, (_draft(connection, one, policy, on), []))
            lines += _lines(one, mapped, len(lines))
        if not dry_run:
            books = Books(connection, book)
            store(connection, [d for d, _ in drafts.values()], [lines for _, lines in drafts.values()], books, policy)
    return found


def _draft(connection: psycopg.Connection, one: InSuspense, policy: PostingPolicy, on: date) -> Draft:
    row = connection.execute(_sql.before, (one.store,)).fetchone()
    assert row is not None
    day = Day(
        store=one.store,
        business_date=on,
        from_offset=0,
        to_offset=0,
        events=0,
        company=one.company,
        region=one.region,
        policy=policy.of(one.store, one.company),
    )
    return Draft(
        day=day,
        from_offset=0,
        to_offset=0,
        currency=one.currency,
        kind=RECLASSIFICATION,
        company=one.company,
        suffix=f"/reclassification-{row[0] + 1}",
    )


def _lines(one: InSuspense, mapped: Mapped, before: int) -> list[Line]:
    key = EntryKey(one.kind, one.component, one.code)
    return [
        Line(key, one.account, -one.amount, ZERO, {}, SUSPENSE_RULE, before + 1),
        Line(key, mapped.account, one.amount, ZERO, mapped.dimensions, mapped.rule, before + 2),
    ]
