"""Holds: later messages of a failed entity wait behind it, and what refers to it does; everything else flows.

A plain sale refers to nothing and costs a look at its bytes. For those that do refer, one query a batch asks what is in
the exception queue; what fails within the batch is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg

from tillwire.exceptions import moves
from tillwire.exceptions.causes import entity_of, may_refer, refers_to

Place = tuple[int, int]


class Holds:
    """What holds the events of one batch. ``look_up`` first; then ask and tell in the order of the batch."""

    def __init__(self) -> None:
        self.wanted: dict[Place, list[str]] = {}
        """What each event that refers to anything refers to."""
        self._blocked: dict[tuple[Place, str], list[Place]] = {}
        self._failed: set[str] = set()
        self._done: set[Place] = set()

    def begin(self) -> None:
        """Start over in the batch; what the queue said stays."""
        self._failed.clear()
        self._done.clear()

    def look_up(self, connection: psycopg.Connection, events: Iterable[tuple[int, int, bytes, Any]]) -> None:
        """Ask the queue for everything that the events (group, ordinal, raw, message) refer to, if any does."""
        wanted: list[tuple[str, int, int]] = []
        for group_id, ordinal, raw, message in events:
            if may_refer(raw):
                entities = refers_to(message)
                if entities:
                    self.wanted[(group_id, ordinal)] = entities
                    wanted += [(entity, group_id, ordinal) for entity in entities]
        if wanted:
            for n, entity, *event in moves.blockers(connection, wanted):
                self._blocked.setdefault((wanted[n][1:], entity), []).append((event[0], event[1]))

    def behind(self, group_id: int, ordinal: int) -> str | None:
        """The entity that an event waits behind, or none. What was retried in this batch blocks only if it failed."""
        place = (group_id, ordinal)
        for entity in self.wanted.get(place, ()):
            if entity in self._failed:
                return entity
            if any(blocker not in self._done for blocker in self._blocked.get((place, entity), ())):
                return entity
        return None

    def failed(self, event: Any) -> None:
        """An event of the batch is not recorded (none: it cannot be read): what refers to it in the batch waits."""
        if event is not None:
            self._failed.add(entity_of(event.data))

    def recorded_again(self, group_id: int, ordinal: int) -> None:
        """An event that was in the queue is recorded: it holds nothing any more."""
        self._done.add((group_id, ordinal))
