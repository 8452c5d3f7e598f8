"""Building journals: each covers the events of a store's day in a range of offsets, and the ranges follow one another.

So every event is in exactly one journal (or, where its store posts documents, in one document and one journal of
payments), whatever comes late, twice or after a crash, and however the mode is changed in between: what arrives after a
journal was built is in the next one of the same day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from zlib import crc32

import psycopg

from tillwire.database import sql
from tillwire.database.copying import copy_rows
from tillwire.events.partitions import partition_of
from tillwire.exceptions import journals as exceptions
from tillwire.faultpoints import passing
from tillwire.posting import amounts, due, invoices, periods, stock
from tillwire.posting.accounts import AccountBook
from tillwire.posting.drafts import Draft
from tillwire.posting.lines import Books, Line, copy_rows_of, lines_of, nothing_to_send
from tillwire.posting.policy import PostingPolicy

_sql = sql.load("tillwire.posting", "build.sql")

LANES = 32_768
"""A store's journals have one of so many lane numbers, of which dispatch makes as many lanes as an ERP has."""


def lane_of(store: str) -> int:
    """The lane number of a store: the same for ever, whatever runs it."""
    return crc32(store.encode()) % LANES


def build_journals(
    connection: psycopg.Connection,
    book: AccountBook,
    policy: PostingPolicy,
    *,
    most_days: int = 200,
    most_events: int = 20_000,
) -> int:
    """Build the journals and documents of store days that are due, in one transaction; returns how many were built.

    Raises ``TillwireError`` if entries do not balance, which no recorded event can cause.
    """
    with connection.transaction():
        days = due.take(connection, policy, most_days=most_days, most_events=most_events)
        if not days:
            return 0
        books = Books(connection, book)
        drafts = invoices.split(connection, amounts.gather(connection, days, policy), books)
        drafts += stock.gather(connection, days)
        write(connection, drafts, books, policy)
        due.done(connection, days)
        passing("posting.after_build")
    return len(drafts)


def write(connection: psycopg.Connection, drafts: Sequence[Draft], books: Books, policy: PostingPolicy) -> None:
    """Number the journals, choose accounts and posting dates, and store them to be sent, in the caller's
    transaction."""
    store(connection, drafts, [lines_of(draft, books.of(draft.rule_book)) for draft in drafts], books, policy)


def store(
    connection: psycopg.Connection,
    drafts: Sequence[Draft],
    lines: Sequence[list[Line]],
    books: Books,
    policy: PostingPolicy,
) -> None:
    """Store journals with their lines, as ``write`` does."""
    if not drafts:
        return
    _number(connection, drafts)
    dates = _posting_dates(connection, drafts)
    refused = [
        on is None or (on != draft.day.business_date and policy.closed_period == "exception")
        for draft, on in zip(drafts, dates, strict=True)
    ]
    ids = _insert(connection, drafts, lines, dates, refused, books)
    rows = [row for draft, own in zip(drafts, lines, strict=True) for row in copy_rows_of(ids[draft.reference], own)]
    copy_rows(connection, _sql.copy_lines, rows)
    claims = [(ids[draft.reference], *claim) for draft in drafts for claim in draft.claims]
    bodies = [(ids[draft.reference], draft.body.decode()) for draft in drafts if draft.body is not None]
    with connection.cursor() as cursor:
        for statement, content in ((_sql.add_claim, claims), (_sql.add_body, bodies)):
            if content:
                cursor.executemany(statement, content)
    kept_back = [
        _closed(ids[draft.reference], draft, policy)
        for draft, own, refuse in zip(drafts, lines, refused, strict=True)
        if refuse and (draft.body is not None or not nothing_to_send(own))
    ]
    exceptions.raise_journals(connection, kept_back)


def _closed(journal_id: int, draft: Draft, policy: PostingPolicy) -> exceptions.Trouble:
    """The exception of a journal whose period is closed, and that may not or cannot go to a later one."""
    day, erp = draft.day.business_date, policy.erp_of(draft.company)
    words = f"the period of {day} is closed in {draft.company}, and it may go to no later one: open one, then retry"
    return exceptions.Trouble(
        journal_id=journal_id,
        erp=erp,
        code=exceptions.CLOSED,
        message=words,
        cause=exceptions.rejection_cause(exceptions.CLOSED, erp, words, day=day),
        key=draft.reference,
        store=draft.day.store,
        business_date=day,
        amount=draft.amount,
        currency=draft.currency,
    )


def _number(connection: psycopg.Connection, drafts: Sequence[Draft]) -> None:
    places = sorted({(draft.day.store, draft.day.business_date) for draft in drafts})
    parameters = {"stores": [store for store, _ in places], "dates": [day for _, day in places]}
    versions = {(store, day): newest for store, day, newest in connection.execute(_sql.versions, parameters)}
    for draft in drafts:
        place = (draft.day.store, draft.day.business_date)
        draft.version = versions[place] = versions.get(place, 0) + 1


def _posting_dates(connection: psycopg.Connection, drafts: Sequence[Draft]) -> list[date | None]:
    """On which day each counts in the books; none: on no day, as its period and all later ones are closed."""
    known = periods.load(connection, {draft.company for draft in drafts})
    return [known.posting_date(draft.company, draft.day.business_date) for draft in drafts]


def _insert(
    connection: psycopg.Connection,
    drafts: Sequence[Draft],
    lines: Sequence[list[Line]],
    dates: Sequence[date | None],
    refused: Sequence[bool],
    books: Books,
) -> dict[str, int]:
    own = [draft.day.business_date for draft in drafts]
    parameters = {
        "references": [draft.reference for draft in drafts],
        "kinds": [draft.kind for draft in drafts],
        "companies": [draft.company for draft in drafts],
        "stores": [draft.day.store for draft in drafts],
        "dates": own,
        "posting_dates": [None if bad or on == day else on for on, day, bad in zip(dates, own, refused, strict=True)],
        "refused": refused,
        "versions": [draft.version for draft in drafts],
        "currencies": [draft.currency for draft in drafts],
        "partitions": [partition_of(draft.day.store) for draft in drafts],
        "lanes": [lane_of(draft.day.store) for draft in drafts],
        "froms": [draft.from_offset for draft in drafts],
        "tos": [draft.to_offset for draft in drafts],
        "transactions": [draft.transactions for draft in drafts],
        "reverses": [draft.reverses for draft in drafts],
        "books": [books.version(draft.rule_book) for draft in drafts],
        "empty": [draft.body is None and nothing_to_send(found) for draft, found in zip(drafts, lines, strict=True)],
        "amounts": "{" + ",".join(str(draft.amount) for draft in drafts) + "}",
    }
    return dict(connection.execute(_sql.add_journals, parameters).fetchall())
