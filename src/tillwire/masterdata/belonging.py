"""Which store a master record belongs to, for who may not see or write those of all."""

from __future__ import annotations

from tillwire.model.master import MasterRecord, PriceRecord, RegisterRecord, StoreRecord


def store_of(record: MasterRecord) -> str | None:
    """The store that a record is about; none for what counts in all of them."""
    if isinstance(record, StoreRecord | RegisterRecord | PriceRecord):
        return record.store or None
    return None


def store_that_may_write(record: MasterRecord) -> str | None:
    """The store in which a record has its whole effect: who may write there, may write it. None where that is all.

    A store's own record is none of these: it names the company, and with it who reaches the store.
    """
    return None if isinstance(record, StoreRecord) else store_of(record)
