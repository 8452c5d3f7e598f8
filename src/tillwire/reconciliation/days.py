"""Captured by the source = recorded + in exceptions, recorded = posted = confirmed: per store and business date."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.governance.access import ALL, Reach
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
    adjusted: Figure = Figure()
    """What late arrivals of other days brought into this day's journals, less what its own took to later ones."""


class LateArrivals(msgspec.Struct, frozen=True, kw_only=True):
    """What came after its store's day was closed, and where it is posted. Reversals of corrections count negative."""

    store: str
    business_date: date
    posted_date: date
    """The day itself if it was reopened; else the one on which it was adjusted."""
    currency: str
    events: int
    figure: Figure


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Totals over the days asked for, by currency, and the days themselves."""

    ok: bool
    """True if every day is closed and proven without a difference other than open exceptions."""
    totals: dict[str, dict[str, Figure]]
    days: tuple[StoreDay, ...]
    late: tuple[LateArrivals, ...] = ()


def reconcile(
    connection: psycopg.Connection,
    *,
    store: str | None = None,
    first: date = date.min,
    last: date = date.max,
    erp: bool = True,
    reach: Reach = ALL,
) -> Report:
    """Prove the days from ``first`` to ``last`` of the stores within reach. With ``erp`` off, what is not posted is no
    difference.
    """
    parameters: dict[str, object] = {
        "store": store,
        "first": first,
        "last": last,
        "reach": reach.parameter,
    }
    named = _named(connection, parameters)
    waiting = _waiting(connection, parameters)
    rows: dict[tuple[str, date], list[tuple]] = defaultdict(list)
    for row in connection.execute(_sql.days, parameters).fetchall():
        rows[(row[0], row[1])].append(row)
    for place in waiting.keys() - rows.keys():  # nothing but exceptions is known of that day
        rows[place].append((*place, None, *_NOTHING))
    places = sorted(rows, key=lambda place: (place[1], place[0]))
    days = tuple(
        day for place in places for day in _days(rows[place], waiting.get(place, []), named.get(place, []), erp=erp)
    )
    totals: dict[str, dict[str, Figure]] = defaultdict(lambda: defaultdict(Figure))
    for day in days:
        sums = totals[day.currency]
        for name in ("captured", "recorded", "in_exceptions", "posted", "acknowledged"):
            sums[name] += getattr(day, name) or Figure()
    ok = all(day.captured is not None and not _broken(day) for day in days)
    late = tuple(
        LateArrivals(
            store=store_, business_date=day_, posted_date=posted, currency=currency, events=n, figure=Figure(*figure)
        )
        for store_, day_, posted, currency, n, *figure in connection.execute(_sql.late, parameters)
    )
    return Report(ok=ok, totals={currency: dict(sums) for currency, sums in totals.items()}, days=days, late=late)


_NOTHING = (None, None, None, None, 0, ZERO, 0, ZERO, 0, ZERO, 0, ZERO, 0, ZERO, (), 0)
"""The figures of a day of which nothing was recorded."""


def _named(connection: psycopg.Connection, parameters: dict[str, object]) -> dict[tuple[str, date], list[Difference]]:
    """Differences that are found one by one: holes in sequences, orders that two systems have sold."""
    found: dict[tuple[str, date], list[Difference]] = defaultdict(list)
    for place, gaps in _gaps(connection, parameters).items():
        found[place] += [Difference("sequence_gap", gap) for gap in gaps]
    for store, day, order, key, other, source in connection.execute(_sql.orders_twice, parameters):
        again = "once more in another store" if other is None else f"by {source}, as {other}"
        text = f"order {order} is recorded as {key} and, {again}"
        found[(store, day)].append(Difference("duplicate_channel", text))
    return found


def _days(rows: list[tuple], waiting: list[_Waiting], named: list[Difference], *, erp: bool) -> list[StoreDay]:
    """A store's day in each of its currencies: the one it closed in first, which also has what fits none."""
    rows = sorted(rows, key=lambda row: row[3] is None)
    currencies = [row[2] for row in rows]
    closed_in = rows[0][2] if rows[0][3] is not None else None
    days = []
    for row in rows:
        primary = row is rows[0]
        own = [w for w in waiting if w.currency == row[2] or (primary and w.currency not in currencies)]
        days.append(_day(row, own, named if primary else [], erp=erp, closed_in=closed_in))
    return days


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


def _day(row: tuple, waiting: list[_Waiting], named: list[Difference], *, erp: bool, closed_in: str | None) -> StoreDay:
    store, day, currency, closed_n, closed, tills_n, tills, *rest = row
    recorded, journaled, posted, confirmed, adjusted = (Figure(*rest[i : i + 2]) for i in range(0, 10, 2))
    unposted, unconfirmed = rest[10:12]
    sales = [one for one in waiting if one.kind in _SELLING and currency in (None, one.currency)]
    others = [one for one in waiting if one not in sales]
    if currency is None and sales:
        currency = sales[0].currency
        others += [one for one in sales if one.currency != currency]
        sales = [one for one in sales if one.currency == currency]
    excepted = sum((one.figure for one in sales), Figure())
    captured = None if closed_n is None else Figure(closed_n, closed)
    differences: list[Difference] = []
    if captured is None and closed_in is not None:
        text = f"the store has closed the day in {closed_in}: nothing to prove {currency} against"
        differences.append(Difference("currency_changed", text, recorded.count, recorded.amount))
    elif captured is None:
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
        told = "recorded are" if adjusted == Figure() else "recorded, with late arrivals posted to other days, are"
        _compare(differences, "not_in_journals", told, recorded + adjusted, journaled, "in journals")
        states = ", ".join(unposted)
        _compare(differences, "not_posted", "in journals are", journaled, posted, f"posted; others are {states}")
        if unposted and journaled == posted:  # payments, another company's share, what came to nothing on balance
            differences.append(Difference("not_posted", f"journals that count no transactions are {states}"))
        _compare(differences, "not_confirmed", "posted are", posted, confirmed, "confirmed by reading the ERP back")
        if unconfirmed and posted == confirmed:
            text = f"{unconfirmed} posted journals that count no transactions are not read back"
            differences.append(Difference("not_confirmed", text, unconfirmed))
    differences += named
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
        adjusted=adjusted,
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


PASSING = frozenset({"not_in_journals", "not_posted", "not_confirmed"})
"""Differences that pass by themselves."""

HELD = frozenset({"in_exceptions", "others_in_exceptions", "close_in_exceptions"})
"""Differences that end when somebody has worked the exception queue."""


def breaks(connection: psycopg.Connection, *, first: date, reach: Reach = ALL) -> list[str]:
    """The stores of closed days from ``first`` on whose proof is broken: once for each such day."""
    days = reconcile(connection, first=first, reach=reach).days
    return [
        day.store
        for day in days
        if day.captured is not None and any(one.code not in PASSING | HELD for one in day.differences)
    ]
