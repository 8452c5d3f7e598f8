"""Which partition an event belongs to: a store's events share one; master records have two to themselves."""

from __future__ import annotations

import zlib

from tillwire.model.event import CATALOGUE_TYPES, MASTER_TYPES

STORE_PARTITIONS = 16
"""Partitions 1 to 16 hold stores' events. Fixed at the first start: a store must never change its partition."""

MASTER_PARTITION = 0
"""Its offsets order the master records that sales are checked against, so that a cache knows what it has not seen yet.
What was accepted after one of them waits for it."""

CATALOGUE_PARTITION = STORE_PARTITIONS + 1
"""The lane of prices and customers: they come in bulk, sales do not wait for them, and they yield to sales."""

PARTITIONS = range(STORE_PARTITIONS + 2)


def partition_of(store: str | None) -> int:
    """The partition of a store's events, or of the master records sales depend on where ``store`` is none."""
    if store is None:
        return MASTER_PARTITION
    return 1 + zlib.crc32(store.encode()) % STORE_PARTITIONS


def partition_for(event_type: str, store: str | None) -> int:
    """The partition of an event. ``store`` counts for what belongs to a store; master records belong to all."""
    if event_type in CATALOGUE_TYPES:
        return CATALOGUE_PARTITION
    return partition_of(None if event_type in MASTER_TYPES else store)
