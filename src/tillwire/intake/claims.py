"""What a worker takes from the queue for one transaction: partitions nobody else works on, and what waits there."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from tillwire.database import sql
from tillwire.events import frames
from tillwire.events.partitions import CATALOGUE_PARTITION
from tillwire.faultpoints import passing
from tillwire.intake.item import Claim, Item

_sql = sql.load("tillwire.intake", "worker.sql")

MOST_BATCH_BYTES = 32 * 1024 * 1024
"""A batch takes no further group once it has so many bytes of raw events: decoded, they are some ten times larger."""

CATALOGUE_EVENTS = 100
"""Prices and customers in one transaction: a sale that comes meanwhile waits some milliseconds for a worker."""

CATALOGUE_TURN = 20
"""Sales go first; but every so many batches the catalogue has its turn even if sales never cease."""


class Claims:
    """Takes from the queue on a worker's connection, up to so many events of so many partitions at a time."""

    def __init__(self, connection: psycopg.Connection, *, most_events: int, most_partitions: int) -> None:
        self._connection = connection
        self._most_events = most_events
        self._most_partitions = most_partitions
        self._batches = 0

    def take(self) -> Claim | None:
        """What the next transaction works on, inside the caller's; none if nothing waits."""
        connection = self._connection
        self._batches += 1
        claimed, most = self._partitions()
        if not claimed:
            return None
        offsets: dict[int, int] = dict(claimed)
        parameters = {"partitions": list(offsets), "most": most}
        rows = connection.execute(_sql.take, parameters, binary=True).fetchall()
        passing("worker.after_claim")
        bodies: dict[int, list[bytes]] = {}
        items: list[Item] = []
        taken: list[tuple[int, int, int]] = []
        left: list[tuple[int, int, int, list[int]]] = []
        accepted: dict[int, datetime] = {}
        size = 0
        for partition, group_id, ordinals, retry, body, received_at in rows:
            if size > MOST_BATCH_BYTES:  # the rest stays in the queue
                break
            if group_id not in bodies:
                pieces = bodies[group_id] = frames.unpack(body)
                size += sum(map(len, pieces))
            pieces = bodies[group_id]
            if partition == CATALOGUE_PARTITION and len(items) + len(ordinals) > most:
                left.append((partition, group_id, retry, ordinals[most - len(items) :]))
                ordinals = ordinals[: most - len(items)]
            else:
                taken.append((partition, group_id, retry))
            items += [Item(partition, group_id, ordinal, pieces[ordinal], retry) for ordinal in ordinals]
            if not retry:  # what comes out of the exception queue says nothing of how long recording takes
                accepted.setdefault(partition, received_at)  # rows come in the order of their groups
        return Claim(offsets, taken, items, left, accepted)

    def _partitions(self) -> tuple[list[Any], int]:
        """Partitions and their next offsets, and how many events to take: stores first, then the catalogue."""
        connection = self._connection
        catalogue_first = self._batches % CATALOGUE_TURN == 0
        for catalogue in (True, False) if catalogue_first else (False, True):
            if catalogue:
                claimed = connection.execute(_sql.claim_catalogue).fetchall()
            else:
                claimed = connection.execute(_sql.claim, {"most": self._most_partitions}).fetchall()
            if claimed:
                return claimed, min(CATALOGUE_EVENTS, self._most_events) if catalogue else self._most_events
        return [], 0
