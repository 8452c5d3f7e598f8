"""How stores that speak other languages send: POSLog by HTTP, POSLog and CSV into watched folders, each day a file.

Every other day is sent twice: the repetition must have no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx2

from tillwire.config import Connection, Drop
from tillwire.demo.stores import StoreDay
from tillwire.demo.voices import franchise, poslog
from tillwire.errors import TillwireError
from tillwire.model.event import EVENT_DECODER

_DUPLICATE, _ACCEPTED = 200, 202


class Voice(Protocol):
    """How one store says its days."""

    connection: Connection
    twice: int
    """Days that were sent twice."""
    harmless: int
    """Those among them that were answered as duplicates; for files the hub's own books say it."""

    async def deliver(self, day: StoreDay) -> None:
        """Send one day."""
        ...


def _messages(day: StoreDay) -> list[Any]:
    return [EVENT_DECODER.decode(event).data for event in day.events]


class Posted:
    """A store that posts its POSLog to the hub."""

    def __init__(self, store: str) -> None:
        self.connection = Connection(name=f"poslog-{store}", connector="poslog", settings=poslog.SETTINGS)
        self.url = ""
        self.twice = self.harmless = self._days = 0

    async def deliver(self, day: StoreDay) -> None:
        """Send one day. Raises ``TillwireError`` if the hub does not take it."""
        body = poslog.written(_messages(day), "standard")
        self._days += 1
        async with httpx2.AsyncClient(base_url=self.url, timeout=60, trust_env=False) as client:
            status = await self._post(client, body)
            if status != _ACCEPTED:
                raise TillwireError(f"the hub answered {status} to the POSLog of store {day.store}")
            if self._days % 2:
                self.twice += 1
                self.harmless += await self._post(client, body) == _DUPLICATE

    async def _post(self, client: httpx2.AsyncClient, body: bytes) -> int:
        path = f"/v1/connections/{self.connection.name}"
        reply = await client.post(path, content=body, headers={"Content-Type": "application/xml"})
        return reply.status_code


class Dropped:
    """A store that drops a file a day into its inbox: written beside it, then renamed into place."""

    def __init__(
        self, folder: Path, name: str, connector: str, settings: dict[str, object], write: Callable[[list[Any]], bytes]
    ) -> None:
        self._inbox = folder / "inboxes" / name
        self._inbox.mkdir(parents=True)
        self._write = write
        self.connection = Connection(
            name=name, connector=connector, settings=settings, inbox=str(self._inbox), drop=Drop(quiet_s=0)
        )
        self.twice = self.harmless = self._days = 0

    async def deliver(self, day: StoreDay) -> None:
        """Drop one day."""
        content = self._write(_messages(day))
        self._days += 1
        names = [f"{day.business_date}"]
        if self._days % 2:
            self.twice += 1
            names.append(f"{day.business_date} again")
        for name in names:
            unfinished = self._inbox / f"{name}.tmp"
            unfinished.write_bytes(content)
            unfinished.rename(self._inbox / f"{name}.txt")


def voices_of(stores: Sequence[str], folder: Path) -> dict[str, Voice]:
    """Which of these stores speak another language: two POSLog, one CSV, the others the hub's own."""
    if len(stores) < 5:
        return {}
    posting, dropping, franchised = stores[len(stores) // 4], stores[len(stores) // 2], stores[-len(stores) // 4]
    return {
        posting: Posted(posting),
        dropping: Dropped(
            folder, f"poslog-{dropping}", "poslog", poslog.SETTINGS, lambda said: poslog.written(said, "plain")
        ),
        franchised: Dropped(
            folder,
            f"franchise-{franchised}",
            "flatfile",
            franchise.settings(),
            lambda said: franchise.written(said, franchised),
        ),
    }
