"""Building journals: each covers the events of a store's day in a range of offsets, and the ranges follow one another.

So every event is in exactly one journal, whatever comes late, twice or after a crash: what arrives after a journal was
built is in the next one of the same day.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.database.copying import copy_rows, escaped
from tillwire.errors import TillwireError
from tillwire.events.partitions import partition_of
from tillwire.faultpoints import passing
from tillwire.model.master import StoreRecord
from tillwire.model.money import ZERO
from tillwire.model.transaction import SELLING
from tillwire.posting.accounts import AccountBook, Posting

_sql = sql.load("tillwire.posting", "posting.sql")
_store_decoder = msgspec.json.Decoder(StoreRecord)


_NO_DATE = "\\N"


@dataclass
class _Day:
    store: str
    business_date: date
    from_offset: int
    to_offset: int


@dataclass
class _Draft:
    """A journal in the making: its key is (day, offset or none, currency)."""

    day: _Day
    from_offset: int
    to_offset: int
    currency: str
    entries: dict[date | None, list[tuple[str, str, Decimal]]] = field(default_factory=dict)
    """By the business date of late arrivals that are posted to this day; none for the day's own."""
    transactions: int = 0
    amount: Decimal = ZERO
    version: int = 1
    company: str = ""

    @property
    def reference(self) -> str:
        return f"{self.company}/{self.day.store}/{self.day.business_date}/{self.from_offset}/{self.currency}"


def build_journals(connection: psycopg.Connection, book: AccountBook, mode: str, *, most_days: int = 200) -> int:
    """Build the journals of closed store days that are due, in one transaction; returns how many were built.

    ``mode`` is ``summary`` (one journal per store and business date) or ``transaction``. Raises ``TillwireError`` if
    entries do not balance, which no recorded event can cause.
    """
    with connection.transaction():
        due = connection.execute(_sql.due, {"most": most_days}).fetchall()
        if not due:
            return 0
        days = [_Day(store, day, start, last + 1) for store, day, last, start in due]
        drafts = _drafts(connection, days, mode)
        _number(connection, drafts)
        _insert(connection, drafts, book)
        _close(connection, days)
        passing("posting.after_build")
    return len(drafts)


def _parameters(days: list[_Day]) -> dict[str, object]:
    return {
        "days": list(range(len(days))),
        "stores": [day.store for day in days],
        "dates": [day.business_date for day in days],
        "froms": [day.from_offset for day in days],
        "tos": [day.to_offset for day in days],
        "selling": [kind.value for kind in SELLING],
    }


def _drafts(connection: psycopg.Connection, days: list[_Day], mode: str) -> list[_Draft]:
    by_item = mode == "transaction"
    parameters = _parameters(days)
    drafts: dict[tuple[int, int | None, str], _Draft] = {}
    rows = connection.execute(_sql.itemise if by_item else _sql.summarise, parameters)
    for index, offset, currency, component, code, amount, original_date in rows:
        draft = drafts.get((index, offset, currency))
        if draft is None:
            draft = drafts[(index, offset, currency)] = _draft(days[index], offset, currency)
        draft.entries.setdefault(original_date, []).append((component, code, amount))
    for index, offset, currency, count, amount in connection.execute(
        _sql.item_totals if by_item else _sql.totals, parameters
    ):
        draft = drafts.get((index, offset, currency))
        if draft is None:  # transactions whose amounts are all zero: counted, with nothing to post
            draft = drafts[(index, offset, currency)] = _draft(days[index], offset, currency)
        draft.transactions, draft.amount = count, amount
    return list(drafts.values())


def _draft(day: _Day, offset: int | None, currency: str) -> _Draft:
    """A journal of a whole range, or of the one transaction at ``offset``."""
    if offset is None:
        return _Draft(day, day.from_offset, day.to_offset, currency)
    return _Draft(day, offset, offset + 1, currency)


def _number(connection: psycopg.Connection, drafts: list[_Draft]) -> None:
    stores = sorted({draft.day.store for draft in drafts})
    companies = {
        store: _store_decoder.decode(body).company for store, body in connection.execute(_sql.companies, (stores,))
    }
    parameters = {"stores": [d.day.store for d in drafts], "dates": [d.day.business_date for d in drafts]}
    versions = {(store, day): newest for store, day, newest in connection.execute(_sql.versions, parameters)}
    for draft in drafts:
        place = (draft.day.store, draft.day.business_date)
        draft.version = versions[place] = versions.get(place, 0) + 1
        draft.company = companies[draft.day.store]


def _insert(connection: psycopg.Connection, drafts: list[_Draft], book: AccountBook) -> None:
    lines = {draft.reference: _balanced(draft, book) for draft in drafts}
    parameters = {
        "references": [draft.reference for draft in drafts],
        "companies": [draft.company for draft in drafts],
        "stores": [draft.day.store for draft in drafts],
        "dates": [draft.day.business_date for draft in drafts],
        "versions": [draft.version for draft in drafts],
        "currencies": [draft.currency for draft in drafts],
        "partitions": [partition_of(draft.day.store) for draft in drafts],
        "froms": [draft.from_offset for draft in drafts],
        "tos": [draft.to_offset for draft in drafts],
        "transactions": [draft.transactions for draft in drafts],
        "empty": [not lines[draft.reference] for draft in drafts],
        "amounts": "{" + ",".join(str(draft.amount) for draft in drafts) + "}",
    }
    rows = []
    for reference, journal_id in connection.execute(_sql.add_journals, parameters).fetchall():
        for number, (original_date, posting) in enumerate(lines[reference], 1):
            line = posting.line
            rows.append(
                f"{journal_id}\t{number}\t{escaped(line.account)}\t{line.debit}\t{line.credit}\t"
                f"{posting.component}\t{escaped(posting.code)}\t{original_date or _NO_DATE}\n"
            )
    copy_rows(connection, _sql.copy_lines, rows)


def _balanced(draft: _Draft, book: AccountBook) -> list[tuple[date | None, Posting]]:
    postings = [(day, posting) for day, entries in draft.entries.items() for posting in book.lines(entries)]
    difference = sum((posting.line.debit - posting.line.credit for _, posting in postings), ZERO)
    if difference:
        raise TillwireError(
            f"the entries of {draft.reference} are out of balance by {difference} {draft.currency}: nothing is built"
        )
    return postings


def _close(connection: psycopg.Connection, days: list[_Day]) -> None:
    parameters = {
        "stores": [day.store for day in days],
        "dates": [day.business_date for day in days],
        "tos": [day.to_offset for day in days],
    }
    connection.execute(_sql.advance_cursors, parameters)
    connection.execute(_sql.not_due, parameters)
