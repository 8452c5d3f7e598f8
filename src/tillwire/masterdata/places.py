"""Where stores are, in memory: who may see a store is said by its company, when its day ends by its zone."""

from __future__ import annotations

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.events.log import OFFSETS, next_offsets
from tillwire.events.partitions import MASTER_PARTITION, partition_of
from tillwire.governance.access import Reach

_sql = sql.load("tillwire.masterdata", "masterdata.sql")


class Place(msgspec.Struct, frozen=True):
    """A store as those who look after it know it."""

    store: str
    company: str
    region: str
    zone: str
    partition: int
    """Of its events."""


class Places:
    """Where the active stores are; read again only when a master record was recorded."""

    def __init__(self) -> None:
        self.of: dict[str, Place] = {}
        """By store."""
        self._loaded_to = -1

    def refresh(self, connection: psycopg.Connection) -> None:
        """Take in what has changed."""
        newest = next_offsets(connection)[MASTER_PARTITION]
        if newest != self._loaded_to:
            rows = connection.execute(_sql.store_places).fetchall()
            self.of = {
                store: Place(store, company, region, zone, partition_of(store)) for store, company, region, zone in rows
            }
            self._loaded_to = newest


class Stores:
    """Every store that master data knows, active or not: what a closed store has done stays its company's."""

    def __init__(self) -> None:
        self.companies: dict[str, str] = {}
        """By store. Another object whenever a store has changed."""
        self._loaded_to = 0

    async def refresh(self, connection: psycopg.AsyncConnection) -> bool:
        """Take in the stores that changed since the last time; whether there were any. Reads nothing but the offset of
        the master records while no record comes.
        """
        offsets: dict[int, int] = dict(await (await connection.execute(OFFSETS)).fetchall())
        newest = offsets[MASTER_PARTITION]
        if newest == self._loaded_to:
            return False
        cursor = await connection.execute(_sql.stores_since, (self._loaded_to,))
        changed: dict[str, str] = dict(await cursor.fetchall())
        self._loaded_to = newest
        if changed.items() <= self.companies.items():
            return False
        self.companies = self.companies | changed
        return True

    def companies_of(self, reach: Reach) -> frozenset[str]:
        """The companies that have a store within reach; none where all are: nobody looks then."""
        return frozenset(self.companies[store] for store in reach.stores or () if store in self.companies)
