"""Whole business days of some stores, in batches, for as long as a test wants them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import zip_longest

from builders import Event, day_close, line, masters, sale, store, till_close, trading_day

FIRST_DAY = date(2025, 1, 2)
YEAR = FIRST_DAY.year
_LAST_DAY = date(2025, 12, 31)
_LATE = 0.02
"""Share of sales that come after their day was closed."""


class Chain:
    """A company's stores. The same seed gives the same days."""

    def __init__(self, company: str, *, stores: int = 12, sales: int = 12, whole: bool = True, seed: int = 1) -> None:
        """``sales`` a store and day, beside one transaction of every kind unless ``whole`` is off."""
        self.company = company
        self.stores = [f"{company}-{number}" for number in range(1, stores + 1)]
        self._sales = sales
        self._whole = whole
        self._chance = random.Random(f"chain/{seed}")

    def masters(self) -> list[Event]:
        """Stores, products, tax codes and tenders."""
        return masters(*(store(number, company=self.company) for number in self.stores))

    def batches(self, more: Callable[[], bool], size: int = 20) -> Iterator[list[Event]]:
        """One business date after the other, all stores side by side, until there is to be no ``more``."""
        day = FIRST_DAY
        late: list[Event] = []
        while more():
            assert day <= _LAST_DAY, "a year was not enough"
            columns = [self.day(number, day) for number in self.stores]
            events = [one for row in zip_longest(*columns) for one in row if one is not None]
            held_back = [one for one in events if _may_be_late(one) and self._chance.random() < _LATE]
            events = late + [one for one in events if one not in held_back]
            late = held_back
            yield from (events[i : i + size] for i in range(0, len(events), size))
            day += timedelta(days=1)
        if late:
            yield late

    def day(self, number: str, day: date) -> list[Event]:
        """A store's day, from its opening to the closing that counts all of it."""
        begun = (
            [one for one in trading_day(number, day) if not one["type"].endswith(".closed.v1")] if self._whole else []
        )
        transactions = [one for one in begun if "kind" in one["data"]]
        taken = {"1": 0, "2": 0}
        for one in transactions:
            taken[one["data"]["register"]] += 1
        sales = []
        for _ in range(self._sales):
            register = self._chance.choice(list(taken))
            taken[register] += 1
            sales.append(self._sale(taken[register], number, register, day))
        transactions += sales
        counts = [("cash", "30.00", str(self._chance.choice(("29.50", "30.00", "30.25"))))]
        at = {"store": number, "day": day}
        tills = [till_close(transactions, register, counts=counts, **at) for register in taken]
        return [*begun, *sales, *tills, day_close(transactions, **at)]

    def _sale(self, sequence: int, number: str, register: str, day: date) -> Event:
        chance = self._chance
        pieces = chance.randint(1, 9)
        cents = chance.randint(50, 2000)
        tax = round(pieces * cents / 10)
        lines = [line("milk", str(pieces), _money(cents), tax=("STD", _money(tax)))]
        if chance.random() < 0.4:
            lines.append(line("bread", "3", "1.00", discount=("0.50", "promo")))
        ended_at = f"{day}T{chance.randint(8, 20):02}:{chance.randint(0, 59):02}:00-05:00"
        return sale(sequence, *lines, store=number, register=register, day=day, ended_at=ended_at)


def _may_be_late(one: Event) -> bool:
    return "ended_at" in one["data"]


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
