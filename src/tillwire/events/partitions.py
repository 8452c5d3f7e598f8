"""Which partition an event belongs to: a store's events share one, master records have partition 0 to themselves."""

from __future__ import annotations

import zlib

STORE_PARTITIONS = 16
"""Partitions 1 to 16 hold stores' events. Fixed at the first start: a store must never change its partition."""

MASTER_PARTITION = 0
"""Its offsets order all master records, so that a cache knows what it has not seen yet."""

PARTITIONS = range(STORE_PARTITIONS + 1)


def partition_of(store: str | None) -> int:
    """The partition of a store's events, or of master records where ``store`` is none."""
    if store is None:
        return MASTER_PARTITION
    return 1 + zlib.crc32(store.encode()) % STORE_PARTITIONS
