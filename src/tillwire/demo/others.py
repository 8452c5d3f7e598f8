"""Everybody in the demo who does not speak the hub's own language, and the hub's connections with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Self

from tillwire.config import Connection
from tillwire.demo.voices.shops import Shops
from tillwire.demo.voices.speaking import Posted, Voice, voices_of


class Others:
    """Stores with POSLog and CSV, and online shops. A context manager: the shops are servers."""

    def __init__(self, folder: Path, stores: Sequence[str], days: Sequence[date], *, seed: int) -> None:
        self.voices: dict[str, Voice] = voices_of(stores, folder)
        self.shops = Shops(seed=seed, days=days)

    def __enter__(self) -> Self:
        self.shops.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shops.__exit__(kind, error, trace)

    def connections(self, hub_url: str) -> tuple[Connection, ...]:
        """The connections that the hub at this address has with them."""
        for voice in self.voices.values():
            if isinstance(voice, Posted):
                voice.url = hub_url
        stores = [voice.connection for voice in self.voices.values()]
        return (*stores, *(shop.connection(hub_url) for shop in self.shops.all))

    def words(self) -> str:
        """Who they are, in a few words."""
        names = sorted(voice.connection.connector for voice in self.voices.values())
        return f"among them {len(names)} stores by {' and '.join(sorted(set(names)))}" if names else "no other stores"

    def sent_twice(self) -> tuple[int, int]:
        """Days that were posted twice, and those answered as duplicates; of files the hub's own books tell."""
        posted = [voice for voice in self.voices.values() if isinstance(voice, Posted)]
        return sum(voice.twice for voice in posted), sum(voice.harmless for voice in posted)

    def dropped_twice(self) -> int:
        """Files that were dropped twice."""
        return sum(voice.twice for voice in self.voices.values() if not isinstance(voice, Posted))
