"""The event store: partitions with dense offsets; payloads in compressed chunks, one small row per event beside them.

Offsets are given out under a row lock on the partition that is held to the commit: they have no gap, and a reader that
sees an offset has every smaller one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.database.copying import copy_rows
from tillwire.events import frames
from tillwire.events.recorded import Recorded
from tillwire.model.event import MASTER_TYPES, MESSAGE_DECODER, type_of
from tillwire.model.fields import iso_text

_sql = sql.load("tillwire.events", "events.sql")
_encode = msgspec.msgpack.Encoder().encode

OFFSETS = _sql.offsets
"""The next offset of every partition, for who asks asynchronously."""


_PIECES = 3
"""Frames per event in a chunk: raw JSON, enrichment, label."""


class Append:
    """Gathers events in order, gives each the next offset of its partition, and writes them in bulk.

    ``offsets`` are the next offsets of partitions whose rows the caller's transaction has locked.
    """

    def __init__(self, offsets: dict[int, int]) -> None:
        self.offsets = offsets
        self._starts = dict(offsets)
        self._rows: list[str] = []
        self._bodies: dict[int, list[bytes]] = {partition: [] for partition in offsets}

    def add(self, event: Any, raw: bytes, enrichment: Any, *, partition: int, group_id: int, ordinal: int) -> Recorded:
        """Give one event its offset; returns it as recorded."""
        offset = self.offsets[partition]
        self.offsets[partition] = offset + 1
        recorded = _recorded(event, raw, enrichment, partition, offset)
        self._rows.append(f"{group_id}\t{ordinal}\t{partition}\t{offset}\n")
        self._bodies[partition] += (raw, _encode(enrichment), f"{recorded.type}\n{recorded.store}".encode())
        return recorded

    def write(self, connection: psycopg.Connection, accepted: Mapping[int, datetime]) -> int:
        """Write what was added, inside the caller's transaction; returns the number of events.

        ``accepted``: when the first of a partition's events was accepted; left out where none is to count for how long
        recording takes (all of them were in the exception queue).
        """
        copy_rows(connection, _sql.copy_events, self._rows)
        moved = [partition for partition, bodies in self._bodies.items() if bodies]
        if moved:
            with connection.cursor() as cursor:
                cursor.executemany(
                    _sql.add_chunk,
                    [
                        (
                            p,
                            self._starts[p],
                            len(self._bodies[p]) // _PIECES,
                            frames.pack(self._bodies[p]),
                            accepted.get(p),
                        )
                        for p in moved
                    ],
                )
                parameters = {"partitions": moved, "offsets": [self.offsets[p] for p in moved]}
                cursor.execute(_sql.advance, parameters)
        return len(self._rows)


def _recorded(event: Any, raw: bytes, enrichment: Any, partition: int, offset: int) -> Recorded:
    message = event.data
    event_type = type_of(event)
    plain = b"\\" not in raw
    if event_type in MASTER_TYPES:
        return Recorded(partition, offset, event_type, "", "", message, enrichment, plain)
    return Recorded(
        partition, offset, event_type, message.store, iso_text(message.business_date), message, enrichment, plain
    )


class Stored(msgspec.Struct, gc=False):
    """An event as it lies in a chunk: raw JSON and enrichment, not decoded yet."""

    partition: int
    offset: int
    raw: bytes
    enrichment: bytes
    label: bytes
    """Type and store, so that who only forwards an event need not read it."""

    def type_and_store(self) -> tuple[str, str]:
        """The event's type, and its store (empty for master records)."""
        event_type, _, store = self.label.decode().partition("\n")
        return event_type, store

    def decoded(self, enrichment_decoder: msgspec.msgpack.Decoder[Any]) -> Recorded:
        """The event, ready to be projected. Events are read with today's structs: old types stay readable for ever."""
        event = MESSAGE_DECODER.decode(self.raw)
        return _recorded(event, self.raw, enrichment_decoder.decode(self.enrichment), self.partition, self.offset)


def read_chunks(
    connection: psycopg.Connection, partition: int, first_offset: int, *, most_chunks: int
) -> Iterator[list[Stored]]:
    """The chunks of a partition from ``first_offset`` on, each as a list of events; at most ``most_chunks``."""
    start = connection.execute(_sql.chunk_start, (partition, first_offset)).fetchone()
    parameters = {"partition": partition, "first_offset": start[0] if start else first_offset, "most": most_chunks}
    for first, count, body in connection.execute(_sql.chunks, parameters, binary=True).fetchall():
        pieces = frames.unpack(body)
        events = [Stored(partition, first + i, *pieces[_PIECES * i : _PIECES * (i + 1)]) for i in range(count)]
        if first < first_offset:
            events = events[first_offset - first :]
        if events:
            yield events


def read_events(connection: psycopg.Connection, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], Stored]:
    """The events at some places (partition, offset), which must be there."""
    wanted: dict[int, list[int]] = {}
    for partition, offset in places:
        wanted.setdefault(partition, []).append(offset)
    parameters = {"partitions": [place[0] for place in places], "offsets": [place[1] for place in places]}
    found: dict[tuple[int, int], Stored] = {}
    for partition, first, body in connection.execute(_sql.chunks_of, parameters, binary=True).fetchall():
        pieces = frames.unpack(body)
        for offset in wanted[partition]:
            i = _PIECES * (offset - first)
            if 0 <= i < len(pieces):
                found[(partition, offset)] = Stored(partition, offset, *pieces[i : i + _PIECES])
    return found


def next_offsets(connection: psycopg.Connection) -> dict[int, int]:
    """The next offset of every partition: how many events each holds."""
    return dict(connection.execute(_sql.offsets).fetchall())


def lock_partitions(connection: psycopg.Connection, partitions: list[int]) -> dict[int, int]:
    """Lock partitions against recording until the transaction ends; returns their next offsets."""
    return dict(connection.execute(_sql.lock_partitions, (partitions,)).fetchall())
