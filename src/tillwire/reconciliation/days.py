"""Captured by the source = recorded + in exceptions, recorded = posted = confirmed: per store and business date."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.model.money import ZERO
from tillwire.model.transaction import SELLING

_sql = sql.load("tillwire.reconciliation", "reconciliation.sql")


class Figure(msgspec.Struct, frozen=True):
    """Transactions that sell, and their totals added, in the day's currency."""

    count: int = 0
    amount: Decimal = ZERO

    def __add__(self, other: Figure) -> Figure:
        return Figure(self.count + other.count, self.amount + other.amount)

    def __sub__(self, other: Figure) -> Figure:
        return Figure(self.count - other.count, self.amount - other.amount)


class Difference(msgspec.Struct, frozen=True):
    """One named difference: what differs from what, by how much."""

    code: str
    message: str
    count: int = 0
    amount: Decimal = ZERO


class StoreDay(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of one store's business date. ``captured`` is none until the store has closed the day."""

    store: str
    business_date: date
    currency: str
    captured: Figure | None
    recorded: Figure
    in_exceptions: Figure
    posted: Figure
    acknowledged: Figure
    """Posted, and found the same when the ERP's books were read back."""
    differences: tuple[Difference, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Totals over the days asked for, by currency, and the days themselves."""

    ok: bool
    """True if every day is closed and proven without a difference other than open exceptions."""
    totals: dict[str, dict[str, Figure]]
    days: tuple[StoreDay, ...]


def reconcile(
    connection: psycopg.Connection,
    *,
    store: str | None = None,
    first: date = date.min,
    last: date = date.max,
    erp: bool = True,
) -> Report:
    """Prove the days from ``first`` to ``last``. With ``erp`` off, what is not posted is no difference."""
    parameters: dict[str, object] = {
        "store": store,
        "first": first,
        "last": last,
        "selling": [kind.value for kind in SELLING],
    }
    gaps = _gaps(connection, parameters)
    days = tuple(_day(row, gaps, erp) for row in connection.execute(_sql.days, parameters).fetchall())
    totals: dict[str, dict[str, Figure]] = defaultdict(lambda: defaultdict(Figure))
    for day in days:
        sums = totals[day.currency]
        for name in ("captured", "recorded", "in_exceptions", "posted", "acknowledged"):
            sums[name] += getattr(day, name) or Figure()
    ok = all(day.captured is not None and not _broken(day) for day in days)
    return Report(ok=ok, totals={currency: dict(sums) for currency, sums in totals.items()}, days=days)


def _broken(day: StoreDay) -> bool:
    return any(difference.code != "in_exceptions" for difference in day.differences)


def _gaps(connection: psycopg.Connection, parameters: dict[str, object]) -> dict[tuple[str, date], list[str]]:
    """Sequence gaps per store and day, without the numbers of transactions that are in exceptions."""
    excepted: dict[tuple[str, date, str], set[int]] = defaultdict(set)
    for store, day, register, key in connection.execute(_sql.exception_sequences, parameters):
        number = key.rpartition("/")[2]
        if number.isdigit():
            excepted[(store, day, register)].add(int(number))
    gaps: dict[tuple[str, date], list[str]] = defaultdict(list)
    for store, day, register, first, last in connection.execute(_sql.gaps, parameters):
        known = excepted.get((store, day, register), set())
        if all(number in known for number in range(first, min(last, first + len(known)) + 1)):
            continue
        span = str(first) if first == last else f"{first}-{last}"
        gaps[(store, day)].append(f"register {register}: {span}")
    return gaps


def _day(row: tuple, gaps: dict[tuple[str, date], list[str]], erp: bool) -> StoreDay:
    store, day, currency, closed_n, closed, tills_n, tills, *rest = row
    recorded, excepted, journaled, posted, confirmed = (Figure(*rest[i : i + 2]) for i in range(0, 10, 2))
    unposted = rest[10]
    captured = None if closed_n is None else Figure(closed_n, closed)
    differences: list[Difference] = []
    if captured is None:
        differences.append(Difference("day_open", "the store has not closed the day: nothing to prove against yet"))
    else:
        _compare(
            differences,
            "missing_transactions",
            "the source captured",
            captured,
            recorded + excepted,
            "recorded or in exceptions",
        )
        if tills_n is not None:
            _compare(
                differences,
                "till_day_mismatch",
                "the store's day close says",
                captured,
                Figure(tills_n, tills),
                "in its till closes",
            )
    if excepted.count:
        text = f"{excepted.count} transactions of {excepted.amount} {currency} wait in exceptions"
        differences.append(Difference("in_exceptions", text, excepted.count, excepted.amount))
    if erp and captured is not None:
        _compare(differences, "not_in_journals", "recorded are", recorded, journaled, "in journals")
        states = ", ".join(unposted)
        _compare(differences, "not_posted", "in journals are", journaled, posted, f"posted; others are {states}")
        _compare(differences, "not_confirmed", "posted are", posted, confirmed, "confirmed by reading the ERP back")
    differences += [Difference("sequence_gap", gap) for gap in gaps.get((store, day), ())]
    return StoreDay(
        store=store,
        business_date=day,
        currency=currency,
        captured=captured,
        recorded=recorded,
        in_exceptions=excepted,
        posted=posted,
        acknowledged=confirmed,
        differences=tuple(differences),
    )


def _compare(
    differences: list[Difference], code: str, first_words: str, first: Figure, second: Figure, second_words: str
) -> None:
    if first != second:
        gap = first - second
        text = f"{first_words} {first.count} of {first.amount}, {second.count} of {second.amount} {second_words}"
        differences.append(Difference(code, text, gap.count, gap.amount))
