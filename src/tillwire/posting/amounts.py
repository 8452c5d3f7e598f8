"""What the subledger holds for the days that are posted: entries, transactions counted, reversals, gift cards."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import psycopg

from tillwire.database import sql
from tillwire.model.money import rounded_together, special_currencies
from tillwire.model.transaction import SELLING
from tillwire.posting.drafts import INTERCOMPANY, Claim, Draft, DraftKey, EntryKey, draft_of
from tillwire.posting.due import Day
from tillwire.posting.policy import PostingPolicy
from tillwire.sales import entries as components

_sql = sql.load("tillwire.posting", "amounts.sql")
_CURRENCIES = special_currencies()

Drafts = dict[DraftKey, Draft]


def gather(connection: psycopg.Connection, days: Sequence[Day], policy: PostingPolicy) -> list[Draft]:
    """Journals of these days' ranges with their entries, in the order of days. Reversals of what is in a journal
    already are in journals of their own, one for each journal that they take something back of."""
    parameters = _parameters(days, policy)
    reversals = connection.execute(_sql.reversals, parameters).fetchall()
    parameters |= {
        "reversal_days": [row[0] for row in reversals],
        "reversal_offsets": [row[1] for row in reversals],
        "reversal_journals": [row[2] for row in reversals],
    }
    books = {row[2]: row[3] for row in reversals}
    drafts: Drafts = {}

    def of(day: int, item: int | None, reverses: int | None, currency: str) -> Draft:
        key = DraftKey(day, item, reverses, currency)
        draft = drafts.get(key)
        if draft is None:
            draft = drafts[key] = draft_of(days[day], key)
            draft.rule_book = books.get(reverses)
        return draft

    ragged = False
    for day, item, reverses, currency, *entry, amount, foreign, fine in connection.execute(_sql.entries, parameters):
        of(day, item, reverses, currency).add(EntryKey(*entry), amount, foreign)
        ragged = ragged or fine
    if ragged:
        _round(connection, parameters, of)
    for day, item, reverses, currency, count, amount in connection.execute(_sql.totals, parameters):
        draft = of(day, item, reverses, currency)  # transactions whose amounts are all zero: counted, nothing to post
        draft.transactions, draft.amount = count, amount
    return [*drafts.values(), *_between_companies(connection, parameters, of, policy)]


def _parameters(days: Sequence[Day], policy: PostingPolicy) -> dict[str, Any]:
    return {
        "days": list(range(len(days))),
        "stores": [day.store for day in days],
        "dates": [day.business_date for day in days],
        "froms": [day.from_offset for day in days],
        "tos": [day.to_offset for day in days],
        "by_item": [day.policy.mode != "summary" for day in days],
        "selling": [kind.value for kind in SELLING],
        "currencies": list(_CURRENCIES),
        "digits": list(_CURRENCIES.values()),
        "most_units": policy.rounding_most_units,
    }


def _round(connection: psycopg.Connection, parameters: dict[str, Any], of: Any) -> None:
    """Amounts below the minor unit, which a lenient configuration let in: each transaction's entries are rounded
    together, by largest remainder, so that every mode posts the same."""
    transactions: dict[tuple[Any, ...], list[tuple[EntryKey, Decimal]]] = {}
    for day, item, reverses, currency, offset, *entry, amount in connection.execute(_sql.ragged, parameters):
        transactions.setdefault((day, item, reverses, currency, offset), []).append((EntryKey(*entry), amount))
    for (day, item, reverses, currency, _), entries in transactions.items():
        draft = of(day, item, reverses, currency)
        rounded = rounded_together([amount for _, amount in entries], currency)
        for (key, amount), whole in zip(entries, rounded, strict=True):
            draft.add(key, whole - amount)


def _between_companies(
    connection: psycopg.Connection, parameters: dict[str, Any], of: Any, policy: PostingPolicy
) -> list[Draft]:
    """Gift cards redeemed in another company than the one that owes on them: there the store's company has a claim, and
    the other company's books, in a journal of their own, owe it instead of the customer."""
    mirrors: dict[tuple[Any, ...], Draft] = {}
    for row in connection.execute(_sql.redemptions, parameters):
        day, item, reverses, currency, offset, kind, original_date, number, redeemed, sold_by, code = row
        draft: Draft = of(day, item, reverses, currency)
        issuer = policy.issuer(number, sold_by)
        if issuer is None or issuer == draft.company:
            continue
        draft.add(EntryKey(kind, components.TENDER, code, original_date), -redeemed)
        draft.add(EntryKey(kind, components.INTERCOMPANY, issuer, original_date), redeemed)
        place = (day, item, reverses, currency, issuer)
        mirror = mirrors.get(place)
        if mirror is None:
            mirror = mirrors[place] = Draft(
                day=draft.day,
                from_offset=draft.from_offset,
                to_offset=draft.to_offset,
                currency=currency,
                kind=INTERCOMPANY,
                company=issuer,
                suffix=f"/intercompany-{draft.company}" + (f"-reversal-{reverses}" if reverses else ""),
                rule_book=draft.rule_book,
            )
        claim = Claim(offset, number, issuer, kind, code, original_date, redeemed)
        draft.claims.append(claim)
        mirror.claims.append(claim)
        mirror.add(EntryKey(kind, components.LIABILITY, "gift_card", original_date), redeemed)
        mirror.add(EntryKey(kind, components.INTERCOMPANY, draft.company, original_date), -redeemed)
    return list(mirrors.values())
