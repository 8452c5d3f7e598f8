"""Captured by the source = recorded + in exceptions, recorded = posted = confirmed: per store and business date."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.model.event import DAY_CLOSED
from tillwire.model.money import ZERO
from tillwire.model.transaction import SELLING

_sql = sql.load("tillwire.reconciliation", "reconciliation.sql")
_SELLING = frozenset(kind.value for kind in SELLING)


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
    }
    gaps = _gaps(connection, parameters)
    waiting = _waiting(connection, parameters)
    rows = {(row[0], row[1]): row for row in connection.execute(_sql.days, parameters).fetchall()}
    for place in waiting.keys() - rows.keys():  # nothing but exceptions is known of that day
        rows[place] = (*place, None, *_NOTHING)
    places = sorted(rows, key=lambda place: (place[1], place[0]))
    days = tuple(_day(rows[place], waiting.get(place, []), gaps.get(place, []), erp) for place in places)
    totals: dict[str, dict[str, Figure]] = defaultdict(lambda: defaultdict(Figure))
    for day in days:
        sums = totals[day.currency]
        for name in ("captured", "recorded", "in_exceptions", "posted", "acknowledged"):
            sums[name] += getattr(day, name) or Figure()
    ok = all(day.captured is not None and not _broken(day) for day in days)
    return Report(ok=ok, totals={currency: dict(sums) for currency, sums in totals.items()}, days=days)


_NOTHING = (None, None, None, None, 0, ZERO, 0, ZERO, 0, ZERO, 0, ZERO, ())
"""The figures of a day of which nothing was recorded."""


def _broken(day: StoreDay) -> bool:
    return any(difference.code != "in_exceptions" for difference in day.differences)


class _Waiting(msgspec.Struct, frozen=True):
    """Exceptions of one store's day that are of one type, kind and currency."""

    event_type: str
    kind: str | None
    currency: str | None
    figure: Figure

    def words(self) -> str:
        money = f" of {self.figure.amount} {self.currency}" if self.currency else ""
        return f"{self.figure.count} {self.kind or self.event_type.removeprefix('tillwire.')}{money}"


def _waiting(connection: psycopg.Connection, parameters: dict[str, object]) -> dict[tuple[str, date], list[_Waiting]]:
    found: dict[tuple[str, date], list[_Waiting]] = defaultdict(list)
    for store, day, event_type, kind, currency, count, amount in connection.execute(_sql.excepted, parameters):
        found[(store, day)].append(_Waiting(event_type, kind, currency, Figure(count, amount)))
    return found


def _gaps(connection: psycopg.Connection, parameters: dict[str, object]) -> dict[tuple[str, date], list[str]]:
    """Sequence gaps per store and day, without the numbers of transactions that are in exceptions."""
    excepted: dict[tuple[str, date, str], set[int]] = defaultdict(set)
    for store, day, register, key in connection.execute(_sql.exception_sequences, parameters):
        number = key.rpartition("/")[2]
        if number.isdigit():
            excepted[(store, day, register)].add(int(number))
    gaps: dict[tuple[str, date], list[str]] = defaultdict(list)
    for store, day, register, first, last in connection.execute(_sql.gaps, parameters):
        for span in _without(first, last, excepted.get((store, day, register), set())):
            gaps[(store, day)].append(f"register {register}: {span}")
    return gaps


def _without(first: int, last: int, known: set[int]) -> list[str]:
    """The numbers from ``first`` to ``last`` that are not known, as spans in words."""
    spans: list[str] = []
    start = first
    for number in [*sorted(n for n in known if first <= n <= last), last + 1]:
        if start < number:
            spans.append(str(start) if start == number - 1 else f"{start}-{number - 1}")
        start = number + 1
    return spans


def _day(row: tuple, waiting: list[_Waiting], gaps: list[str], erp: bool) -> StoreDay:
    store, day, currency, closed_n, closed, tills_n, tills, *rest = row
    recorded, journaled, posted, confirmed = (Figure(*rest[i : i + 2]) for i in range(0, 8, 2))
    unposted = rest[8]
    sales = [one for one in waiting if one.kind in _SELLING and currency in (None, one.currency)]
    others = [one for one in waiting if one not in sales]
    if currency is None and sales:
        currency = sales[0].currency
        others += [one for one in sales if one.currency != currency]
        sales = [one for one in sales if one.currency == currency]
    excepted = sum((one.figure for one in sales), Figure())
    captured = None if closed_n is None else Figure(closed_n, closed)
    differences: list[Difference] = []
    if captured is None:
        differences.append(_open(others))
    else:
        _compare_captured(differences, captured, recorded + excepted)
        if tills_n is not None:
            words = ("the store's day close says", "in its till closes")
            _compare(differences, "till_day_mismatch", words[0], captured, Figure(tills_n, tills), words[1])
    if excepted.count:
        text = f"{excepted.count} transactions of {excepted.amount} {currency} wait in exceptions"
        differences.append(Difference("in_exceptions", text, excepted.count, excepted.amount))
    if others:
        text = ", ".join(one.words() for one in others) + " in exceptions"
        differences.append(Difference("others_in_exceptions", text, sum(one.figure.count for one in others)))
    if erp and captured is not None:
        _compare(differences, "not_in_journals", "recorded are", recorded, journaled, "in journals")
        states = ", ".join(unposted)
        _compare(differences, "not_posted", "in journals are", journaled, posted, f"posted; others are {states}")
        _compare(differences, "not_confirmed", "posted are", posted, confirmed, "confirmed by reading the ERP back")
    differences += [Difference("sequence_gap", gap) for gap in gaps]
    return StoreDay(
        store=store,
        business_date=day,
        currency=currency or "",
        captured=captured,
        recorded=recorded,
        in_exceptions=excepted,
        posted=posted,
        acknowledged=confirmed,
        differences=tuple(differences),
    )


def _open(others: list[_Waiting]) -> Difference:
    """Why there are no control totals to prove against."""
    if any(one.event_type == DAY_CLOSED for one in others):
        return Difference("close_in_exceptions", "the store has closed the day; its day close waits in exceptions")
    return Difference("day_open", "the store has not closed the day: nothing to prove against yet")


def _compare_captured(differences: list[Difference], captured: Figure, here: Figure) -> None:
    """More here than the source says is another difference than less."""
    code = "surplus_transactions" if here.count > captured.count else "missing_transactions"
    _compare(differences, code, "the source captured", captured, here, "recorded or in exceptions")


def _compare(
    differences: list[Difference], code: str, first_words: str, first: Figure, second: Figure, second_words: str
) -> None:
    if first != second:
        gap = first - second
        text = f"{first_words} {first.count} of {first.amount}, {second.count} of {second.amount} {second_words}"
        differences.append(Difference(code, text, gap.count, gap.amount))
