"""Journals that an ERP refused, with their accounts chosen anew: for causes that lie in the rule book, not in the ERP.

Only what is refused is touched: nothing of it is in any books. Its range, its reference and its amounts stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

import psycopg

from tillwire.database import sql
from tillwire.database.copying import copy_rows
from tillwire.model.money import ZERO
from tillwire.posting import invoices
from tillwire.posting.accounts import AccountBook
from tillwire.posting.drafts import INVOICE, Draft, EntryKey
from tillwire.posting.due import Day
from tillwire.posting.lines import Books, copy_rows_of, lines_of
from tillwire.posting.policy import PostingPolicy

_sql = sql.load("tillwire.posting", "remapping.sql")


class _Refused(NamedTuple):
    journal_id: int
    kind: str
    company: str
    store: str
    region: str
    business_date: date
    currency: str
    from_offset: int
    to_offset: int


def remap(
    connection: psycopg.Connection, book: AccountBook, policy: PostingPolicy, reference: str | None = None
) -> list[str]:
    """Choose accounts and dimensions of refused journals anew, by ``book``: of one, or of all; the references of those
    that changed. Reversals are left alone: they go where what they take back went. Retry them afterwards.
    """
    changed: list[str] = []
    with connection.transaction():
        books = Books(connection, book)
        for told, *place in connection.execute(_sql.refused, {"reference": reference}).fetchall():
            if _remapped(connection, _Refused(*place), books, policy):
                changed.append(told)
    return changed


def _remapped(connection: psycopg.Connection, refused: _Refused, books: Books, policy: PostingPolicy) -> bool:
    rows = connection.execute(_sql.lines, (refused.journal_id,)).fetchall()
    draft = _draft(refused, rows, policy)
    lines = lines_of(draft, books.of(None))
    if {(EntryKey(*row[:5]), row[5]) for row in rows} == {(line.key, line.account) for line in lines}:
        return False
    if refused.kind == INVOICE:
        invoices.fill(connection, [draft], books)
        connection.execute(_sql.set_body, (None if draft.body is None else draft.body.decode(), refused.journal_id))
    connection.execute(_sql.forget_lines, (refused.journal_id,))
    copy_rows(connection, _sql.copy_lines, list(copy_rows_of(refused.journal_id, lines)))
    connection.execute(_sql.set_book, (books.version(None), refused.journal_id))
    return True


def _draft(refused: _Refused, rows: Sequence[tuple[object, ...]], policy: PostingPolicy) -> Draft:
    day = Day(
        store=refused.store,
        business_date=refused.business_date,
        from_offset=refused.from_offset,
        to_offset=refused.to_offset,
        events=0,
        company=refused.company,
        region=refused.region,
        policy=policy.of(refused.store, refused.company),
    )
    draft = Draft(
        day=day,
        from_offset=refused.from_offset,
        to_offset=refused.to_offset,
        currency=refused.currency,
        kind=refused.kind,
        company=refused.company,
    )
    for *key, _, amount, foreign in rows:
        assert isinstance(amount, Decimal)
        draft.add(EntryKey(*key), amount, foreign if isinstance(foreign, Decimal) else ZERO)  # type: ignore[arg-type]
    return draft
