"""Async projections: they follow the event store at their own offset and can be stopped, reset and replayed alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.events.log import next_offsets, read_chunks
from tillwire.events.recorded import Enrichment, Recorded

_sql = sql.load("tillwire.events", "events.sql")
_enrichment_decoder = msgspec.msgpack.Decoder(Enrichment)


class AsyncProjection(Protocol):
    """Tables that are brought up to date after the fact, in a transaction with the projection's own position."""

    name: str
    tables: Sequence[str]

    def project(self, connection: psycopg.Connection, events: Sequence[Recorded]) -> None:
        """Apply events, in order within their partition, inside the caller's transaction."""
        ...


def lock_position(connection: psycopg.Connection, projection: str, partition: int) -> int:
    """The next offset a projection wants of a partition, locked until the transaction ends."""
    row = connection.execute(_sql.lock_position, {"projection": projection, "partition": partition}).fetchone()
    assert row is not None
    return int(row[0])


def set_position(connection: psycopg.Connection, projection: str, partition: int, next_offset: int) -> None:
    """Note how far a projection has come."""
    parameters = {"projection": projection, "partition": partition, "next_offset": next_offset}
    connection.execute(_sql.set_position, parameters)


def behind(connection: psycopg.Connection, projection: str) -> list[int]:
    """The partitions in which a projection has not seen everything."""
    positions: dict[int, int] = dict(connection.execute(_sql.positions, (projection,)).fetchall())
    return [p for p, next_offset in next_offsets(connection).items() if positions.get(p, 0) < next_offset]


def follow_once(connection: psycopg.Connection, projection: AsyncProjection, *, most_chunks: int = 20) -> int:
    """Bring a projection forward by up to ``most_chunks`` chunks per partition; returns the events applied."""
    applied = 0
    for partition in behind(connection, projection.name):
        with connection.transaction():
            position = lock_position(connection, projection.name, partition)
            for stored in read_chunks(connection, partition, position, most_chunks=most_chunks):
                projection.project(connection, [event.decoded(_enrichment_decoder) for event in stored])
                position = stored[-1].offset + 1
                applied += len(stored)
            set_position(connection, projection.name, partition, position)
    return applied


def reset(connection: psycopg.Connection, projection: AsyncProjection) -> None:
    """Empty a projection; it starts over from offset 0. Runners wait meanwhile, and go on with what is then there."""
    with connection.transaction():
        for partition in next_offsets(connection):
            lock_position(connection, projection.name, partition)
        tables = ", ".join(projection.tables)
        connection.execute(f"TRUNCATE {tables}".encode())
        connection.execute(_sql.reset_positions, (projection.name,))
