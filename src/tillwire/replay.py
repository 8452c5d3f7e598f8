"""Replay: inline projections are rebuilt beside the live ones, compared, and swapped in; async ones start over.

The hub goes on meanwhile: only the last stretch and the swap happen under the locks of all partitions. Nothing outside
is called: projections write tables and nothing else.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import msgspec
import psycopg
from psycopg import sql as compose

from tillwire import bootstrap, clock
from tillwire.collector import quiet_garbage_collector
from tillwire.config import Settings
from tillwire.database.migrate import make_views
from tillwire.errors import TillwireError
from tillwire.events import follow
from tillwire.events.log import lock_partitions, next_offsets, read_chunks
from tillwire.events.partitions import PARTITIONS
from tillwire.events.recorded import Enrichment

SCHEMA = "replay"
_LOCK = 0x7111_0003
"""Key of the advisory lock that a replay holds: two would take each other's tables."""
_MOST_CHUNKS = 50
_WRITE_EVENTS = 10_000
_OPTIONS = "SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE oid = %s::regclass"
_enrichment_decoder = msgspec.msgpack.Decoder(Enrichment)


@dataclass(frozen=True)
class Outcome:
    """What a replay did: each table with its rows and whether it came out identical to the live one."""

    events: int
    seconds: float
    """Rebuilding alone; comparing and swapping come on top."""
    tables: list[tuple[str, int, bool]]

    @property
    def identical(self) -> bool:
        """True if every table came out as it was."""
        return all(same for _, _, same in self.tables)


def inline_tables() -> list[str]:
    """The tables of all inline projections."""
    return [table for projection in bootstrap.inline_projections() for table in projection.tables]


def _connect(database_url: str) -> psycopg.Connection:
    """A connection whose unqualified names mean the tables being rebuilt, where there are such."""
    return psycopg.connect(
        database_url, autocommit=True, prepare_threshold=0, options=f"-c search_path={SCHEMA},public"
    )


def _prepare(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection, connection.transaction():
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE".encode())
        connection.execute(f"CREATE SCHEMA {SCHEMA}".encode())
        for projection in bootstrap.inline_projections():
            for table in projection.tables:
                indexes = "EXCLUDING INDEXES" if table in projection.copied else ""
                like = f"LIKE public.{table} INCLUDING ALL {indexes}"
                connection.execute(f"CREATE TABLE {SCHEMA}.{table} ({like})".encode())
                # Everything but storage parameters.
                row = connection.execute(_OPTIONS, (f"public.{table}",)).fetchone()
                if row and row[0]:
                    connection.execute(f"ALTER TABLE {SCHEMA}.{table} SET ({row[0]})".encode())


def _make_indexes(connection: psycopg.Connection) -> None:
    """The keys of the tables that were only copied into, as the live ones have them."""
    connection.execute("SET maintenance_work_mem = '256MB'")
    for projection in bootstrap.inline_projections():
        for table in projection.copied:
            keys = connection.execute(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'",
                (f"public.{table}",),
            ).fetchall()
            for (key,) in keys:
                connection.execute(f"ALTER TABLE {SCHEMA}.{table} ADD {key}".encode())


def _project(connection: psycopg.Connection, partition: int, start: int, end: int) -> int:
    """Project a partition's events in [start, end) into the tables being rebuilt; returns how many."""
    projections = bootstrap.inline_projections(replay=True, into_empty=start == 0)
    done = 0
    while start < end:
        gathered = 0
        with connection.transaction():
            for stored in read_chunks(connection, partition, start, most_chunks=_MOST_CHUNKS):
                for event in stored:
                    if event.offset >= end:
                        break
                    recorded = event.decoded(_enrichment_decoder)
                    for projection in projections:
                        projection.apply(recorded)
                    gathered += 1
                if gathered >= _WRITE_EVENTS:
                    break
            if not gathered:
                raise TillwireError(f"partition {partition} has no event at offset {start}: the event store is damaged")
            for projection in projections:
                projection.write(connection)
        start += gathered
        done += gathered
    for projection in projections:
        projection.finish(connection)
    return done


def _rebuild_share(database_url: str, share: list[tuple[int, int]]) -> int:
    quiet_garbage_collector()
    with _connect(database_url) as connection:
        return sum(_project(connection, partition, 0, end) for partition, end in share)


def _shares(offsets: dict[int, int], processes: int) -> list[list[tuple[int, int]]]:
    """Partitions dealt out so that every process has about as many events."""
    shares: list[list[tuple[int, int]]] = [[] for _ in range(processes)]
    for partition, end in sorted(offsets.items(), key=lambda item: -item[1]):
        min(shares, key=lambda share: sum(n for _, n in share)).append((partition, end))
    return [share for share in shares if share]


def replay_inline(settings: Settings, *, processes: int = 2) -> Outcome:
    """Rebuild all inline projections, compare them with the live ones, swap them in.

    Raises ``TillwireError`` if the event store has a hole, or another replay runs; the live tables are then untouched.
    """
    with psycopg.connect(settings.database_url, autocommit=True) as alone:
        row = alone.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        if not (row and row[0]):
            raise TillwireError("another replay is running on this database: wait until it is done")
        return _replay(settings.database_url, processes)


def _replay(url: str, processes: int) -> Outcome:
    started = clock.monotonic_s()
    _prepare(url)
    with psycopg.connect(url, autocommit=True) as connection:
        offsets = next_offsets(connection)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        shares = _shares(offsets, processes)
        events = sum(pool.map(_rebuild_share, [url] * len(shares), shares))
    with _connect(url) as connection:
        _make_indexes(connection)
        with connection.transaction():
            tables, caught_up, seconds = _catch_up(connection, offsets, started)
    return Outcome(events + caught_up, seconds, tables)


def _catch_up(
    connection: psycopg.Connection, offsets: dict[int, int], started: float
) -> tuple[list[tuple[str, int, bool]], int, float]:
    """Under the locks of all partitions: the last stretch, the comparison, the swap."""
    locked = lock_partitions(connection, list(PARTITIONS))
    # Whoever builds journals reads several of these tables, and must not stand between two that are swapped.
    connection.execute("LOCK TABLE posting_due IN EXCLUSIVE MODE")
    events = sum(_project(connection, partition, offsets.get(partition, 0), end) for partition, end in locked.items())
    seconds = clock.monotonic_s() - started
    tables = [_compare(connection, table) for table in inline_tables()]
    _swap(connection)
    return tables, events, seconds


def _compare(connection: psycopg.Connection, table: str) -> tuple[str, int, bool]:
    """Rows of a rebuilt table, and whether the live one holds the same rows: counted, and their digests added up."""
    rebuilt = _digest(connection, compose.Identifier(SCHEMA, table))
    live = _digest(connection, compose.Identifier("public", table))
    return table, rebuilt[0], rebuilt == live


def _digest(connection: psycopg.Connection, table: compose.Identifier) -> tuple[int, object]:
    query = compose.SQL("SELECT count(*), sum(hash_record_extended(t, 0)::numeric) FROM {} AS t").format(table)
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0], row[1]


def _swap(connection: psycopg.Connection) -> None:
    for table in inline_tables():
        connection.execute(f"DROP TABLE public.{table} CASCADE".encode())
        connection.execute(f"ALTER TABLE {SCHEMA}.{table} SET SCHEMA public".encode())
    connection.execute(f"DROP SCHEMA {SCHEMA}".encode())
    make_views(connection)


def replay_async(settings: Settings, name: str) -> int:
    """Empty an async projection and bring it up to date again; returns the events applied.

    Raises ``TillwireError`` if there is none of that name.
    """
    projections = {projection.name: projection for projection in bootstrap.async_projections()}
    if name not in projections:
        known = ", ".join(["inline", *projections])
        raise TillwireError(f"there is no projection {name!r}; there are {known}")
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        follow.reset(connection, projections[name])
        applied = 0
        while events := follow.follow_once(connection, projections[name]):
            applied += events
    return applied
