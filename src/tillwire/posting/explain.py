"""Why an entry is on an account: for one recorded event, the rule of the book in force for each of its entries, and the
rule, account and version of the book that it was journaled by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import NamedTuple

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.errors import TillwireError
from tillwire.model.money import quantum
from tillwire.posting.accounts import AccountBook, Place
from tillwire.posting.policy import PostingPolicy
from tillwire.sales import entries as components

_sql = sql.load("tillwire.posting", "explain.sql")


class Journaled(msgspec.Struct, frozen=True):
    """Where an entry is journaled already. A summary's line holds it with others of its kind."""

    reference: str
    state: str
    rule_book: int | None
    """The version of the book that it was built by; none: it was built before books had versions."""
    account: str
    rule: str
    dimensions: Mapping[str, str]


class ExplainedEntry(msgspec.Struct, frozen=True):
    """One entry of the ledger, with what the rule book in force says of it."""

    component: str
    code: str
    """With what rules also look at, behind semicolons."""
    amount: Decimal
    """Debit positive."""
    rule: str
    account: str
    dimensions: Mapping[str, str]
    journaled: list[Journaled]


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """What one recorded event has in the ledger. Amounts are in ``currency``."""

    store: str
    business_date: date
    """That it is posted to."""
    original_date: date | None
    """Its own, where that is another."""
    kind: str
    reversal: bool
    """True if it takes back a version that was corrected."""
    company: str
    currency: str
    entries: list[ExplainedEntry]


class _Row(NamedTuple):
    store: str
    business_date: date
    offset: int
    effect: int
    original_date: date | None
    kind: str
    currency: str
    company: str
    region: str

    @property
    def place(self) -> tuple[str, date, int]:
        return self.store, self.business_date, self.offset


def explain(connection: psycopg.Connection, key: str, book: AccountBook, policy: PostingPolicy) -> list[Explained]:
    """Every version of the transaction of a key (store/register/business date/sequence), and what took one back; or, of
    store/register/business date/till-close, the register's over and short. Empty if nothing of it is recorded.

    Raises ``TillwireError`` for what is no such key.
    """
    rows = connection.execute(_sql.rows_of, _parameters(key)).fetchall()
    return [_explained(connection, _Row(*row), book, policy) for row in rows]


def _parameters(key: str) -> dict[str, object]:
    parts = key.partition("@")[0].split("/")
    try:
        store, register, day, what = parts[:4]
        till = what == "till-close"
        if len(parts) > 5 or (len(parts) == 5 and not till):
            raise ValueError
        sequence = None if till else int(what)
        return {"store": store, "register": register, "day": date.fromisoformat(day), "sequence": sequence}
    except ValueError as error:
        raise TillwireError(
            f"{key!r} is no key of a transaction: give store/register/business date/sequence, "
            "such as 101/2/2026-03-02/17, or store/register/business date/till-close"
        ) from error


def _explained(connection: psycopg.Connection, row: _Row, book: AccountBook, policy: PostingPolicy) -> Explained:
    place = Place(row.company, row.store, row.region, row.currency)
    day = row.original_date or row.business_date
    journaled: dict[tuple[str, str], list[Journaled]] = {}
    for component, code, reference, state, version, account, rule, dimensions in connection.execute(
        _sql.journaled, row.place
    ):
        line = Journaled(reference, state, version, account, rule, dimensions or {})
        journaled.setdefault((component, code), []).append(line)
    found = []
    for component, code, amount in _entries(connection, row, policy):
        mapped = book.resolve(place, day, row.kind, component, code)
        there = journaled.get((component, code), [])
        found.append(ExplainedEntry(component, code, amount, mapped.rule, mapped.account, mapped.dimensions, there))
    return Explained(
        store=row.store,
        business_date=row.business_date,
        original_date=row.original_date,
        kind=row.kind,
        reversal=row.effect < 0,
        company=row.company,
        currency=row.currency,
        entries=found,
    )


def _entries(connection: psycopg.Connection, row: _Row, policy: PostingPolicy) -> list[tuple[str, str, Decimal]]:
    """The entries as journals have them: a rounding difference above the bound is in suspense, and a gift card of
    another company is a claim on that instead of a tender."""
    found = []
    for component, code, amount in connection.execute(_sql.entries_of, row.place):
        tolerance = component == components.ROUNDING and code == "tolerance"
        if tolerance and abs(amount) > policy.rounding_most_units * quantum(row.currency):
            found.append((components.SUSPENSE, "rounding", amount))
        else:
            found.append((component, code, amount))
    for number, redeemed, sold_by, code in connection.execute(_sql.cards_of, row.place):
        issuer = policy.issuer(number, sold_by)
        if issuer is not None and issuer != row.company:
            found += [(components.TENDER, code, -redeemed), (components.INTERCOMPANY, issuer, redeemed)]
    return found
