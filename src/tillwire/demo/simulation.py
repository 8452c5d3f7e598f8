"""The simulated retailer at work: stores send their days concurrently, in the order of business dates, with faults.

A day goes like this: the stores that are online send it, all at once; what is due to be sent again is sent again; then
the stores that have come back from a silence catch up, long after the others have closed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from typing import TypeVar

from tillwire.demo.books import Books
from tillwire.demo.faults import Resend, Troubles, resend_of
from tillwire.demo.sender import Sender, SendingError
from tillwire.demo.stores import Store, StoreDay
from tillwire.demo.voices.speaking import Voice
from tillwire.model.transaction import Transaction

_Item = TypeVar("_Item")

_MOST_IN_BATCH = 100
_CONCURRENT_STORES = 24
_MASTER_BATCH = 500
_CONCURRENT_MASTER_BATCHES = 4


@dataclass
class Traffic:
    """What went over the line, and how it was answered."""

    events: int = 0
    """Events sent, each counted once however often it went."""
    sent_again: int = 0
    """Events sent although they had been accepted, or were on their way."""
    effects: int = 0
    """Those among them that were not answered as duplicates."""
    resends: Counter[Resend] = field(default_factory=Counter)
    """Batches sent again, by the way it was done."""
    harmless_resends: Counter[Resend] = field(default_factory=Counter)
    """Those whose events were each accepted once, and duplicates otherwise."""
    conflicts: dict[str, int] = field(default_factory=dict)
    """Key of an event that was sent again with other content -> HTTP status of the answer."""
    late: list[tuple[str, date]] = field(default_factory=list)
    """Store days sent after the other stores had closed theirs."""


@dataclass
class _Batch:
    events: list[bytes]
    resend: Resend | None


@dataclass
class _Task:
    """What one store sends in one go: a day, or all the days of its silence."""

    days: list[tuple[StoreDay, list[_Batch]]]


class Simulation:
    """Sends the business of a retailer over ``sender``. ``check`` is called often, and raises to stop everything."""

    def __init__(
        self,
        sender: Sender,
        troubles: Troubles,
        *,
        seed: int,
        check: Callable[[], None],
        voices: Mapping[str, Voice] | None = None,
    ) -> None:
        """``voices``: how those stores speak that do not speak the hub's own language."""
        self.books = Books()
        self.example = ""
        """The key of an ordinary sale."""
        self.traffic = Traffic()
        self._sender = sender
        self._voices = voices or {}
        self.troubles = troubles
        self._seed = seed
        self._check = check
        self._stores: dict[str, Store] = {}
        self._batches = 0
        self._tomorrow: list[_Batch] = []
        self._silent: dict[str, _Task] = {}

    async def send_master_data(self, events: list[bytes]) -> None:
        """Send master data, in no particular order. Raises ``SendingError`` if any of it is refused."""

        async def send(some: list[bytes]) -> None:
            self._check()
            answer = await self._sender.batch(some)
            if answer.accepted + answer.duplicate != len(some):
                raise SendingError(f"the hub refused master data: {answer}")

        pieces = [events[at : at + _MASTER_BATCH] for at in range(0, len(events), _MASTER_BATCH)]
        await self._side_by_side(send, pieces, _CONCURRENT_MASTER_BATCHES)

    async def trade(self, sales: Iterable[Transaction], told: Callable[[int], None]) -> None:
        """Send the days of ``sales`` (in the order of time); ``told`` hears, day by day, how many sales are done."""
        for day, of_day in groupby(sales, key=lambda sale: sale.business_date):
            by_store: dict[str, list[Transaction]] = {}
            for sale in of_day:
                by_store.setdefault(sale.store, []).append(sale)
            again, self._tomorrow = self._tomorrow, []
            now, later = self._sorted(day, by_store)
            await self._side_by_side(self._send_task, now)
            await self._side_by_side(self._send_again, again)
            await self._side_by_side(self._send_task, later)
            told(sum(map(len, by_store.values())))
        again, self._tomorrow = self._tomorrow, []
        await self._side_by_side(self._send_again, again)
        await self._side_by_side(self._send_task, [self._caught_up(store) for store in list(self._silent)])

    def _sorted(self, day: date, by_store: dict[str, list[Transaction]]) -> tuple[list[_Task], list[_Task]]:
        """The day's tasks: those of stores that are online, and those of stores that have to catch up."""
        now: list[_Task] = []
        later: list[_Task] = []
        for number, sales in by_store.items():
            if sales[0].receipt not in self.troubles.at_register:
                self.example = self.example or sales[0].key
            store = self._stores.get(number)
            if store is None:
                store = self._stores[number] = Store(number, self.books, self.troubles, seed=self._seed)
            traded = store.trade(day, sales)
            one = (traded, self._cut(traded))
            if self.troubles.is_offline(number, day):
                self._silent.setdefault(number, _Task([])).days.append(one)
            elif number in self._silent:
                task = self._caught_up(number)
                task.days.append(one)
                later.append(task)
            else:
                now.append(_Task([one]))
        return now, later

    def _caught_up(self, store: str) -> _Task:
        task = self._silent.pop(store)
        self.traffic.late += [(day.store, day.business_date) for day, _ in task.days]
        return task

    def _cut(self, day: StoreDay) -> list[_Batch]:
        batches: list[_Batch] = []
        if day.store in self._voices:
            self.traffic.events += len(day.events)
            return batches
        for at in range(0, len(day.events), _MOST_IN_BATCH):
            batches.append(_Batch(day.events[at : at + _MOST_IN_BATCH], resend_of(self._batches)))
            self._batches += 1
        self.traffic.events += len(day.events)
        return batches

    async def _side_by_side(
        self, send: Callable[[_Item], Awaitable[None]], items: Iterable[_Item], most: int = _CONCURRENT_STORES
    ) -> None:
        free = asyncio.Semaphore(most)

        async def one(item: _Item) -> None:
            async with free:
                await send(item)

        try:
            async with asyncio.TaskGroup() as tasks:
                for item in items:
                    tasks.create_task(one(item))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from several

    async def _send_task(self, task: _Task) -> None:
        for day, batches in task.days:
            voice = self._voices.get(day.store)
            if voice is not None:
                self._check()
                await voice.deliver(day)
                continue
            for batch in batches:
                self._check()
                await self._send(batch)
            for key, event in day.conflicting:
                self.traffic.conflicts[key] = await self._sender.one(event)

    async def _send(self, batch: _Batch) -> None:
        """The first time a batch is sent: in order within a store, as the next one waits for the answer."""
        size = len(batch.events)
        if batch.resend is Resend.TOGETHER:
            answers = await asyncio.gather(self._sender.batch(batch.events), self._sender.batch(batch.events))
            accepted = sum(answer.accepted for answer in answers)
            known = sum(answer.duplicate for answer in answers)
            # A reply that was lost, and with it the word "accepted", makes fewer, never more.
            self._note(batch, times=1, effects=2 * size - known - min(accepted, size))
            return
        answer = await self._sender.batch(batch.events)
        if answer.accepted != size and not (answer.attempts > 1 and answer.accepted + answer.duplicate == size):
            raise SendingError(f"a batch of {size} new events was answered {answer}")
        if batch.resend is Resend.AFTERWARDS:
            answers = await asyncio.gather(self._sender.batch(batch.events), self._sender.batch(batch.events))
            self._note(batch, times=2, effects=2 * size - sum(answer.duplicate for answer in answers))
        elif batch.resend is Resend.NEXT_DAY:
            self._tomorrow.append(batch)

    async def _send_again(self, batch: _Batch) -> None:
        self._check()
        answer = await self._sender.batch(batch.events)
        self._note(batch, times=1, effects=len(batch.events) - answer.duplicate)

    def _note(self, batch: _Batch, *, times: int, effects: int) -> None:
        assert batch.resend is not None
        self.traffic.sent_again += times * len(batch.events)
        self.traffic.effects += effects
        self.traffic.resends[batch.resend] += times
        self.traffic.harmless_resends[batch.resend] += 0 if effects else times
