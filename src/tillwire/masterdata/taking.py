"""Taking master records in from a command or a thread: a bulk with a group commit of its own, from begin to end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

import psycopg

from tillwire.config import ONLY, ErpPolicy
from tillwire.intake.group_commit import GroupCommit
from tillwire.masterdata.bulk import Bulk, Outcome
from tillwire.model.master import MasterRecord


def take_in(url: str, source: str, work: Callable[[Bulk], Awaitable[Outcome]]) -> Outcome:
    """Do ``work`` with a bulk on the database at ``url``, as records of ``source``."""

    @contextmanager
    def lend() -> Iterator[psycopg.Connection]:
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection

    async def whole() -> Outcome:
        commit = GroupCommit(url, writers=1)
        await commit.start()
        try:
            return await work(Bulk(commit.submit, lend, source=source))
        finally:
            await commit.stop()

    return asyncio.run(whole())


def take_pulled(url: str, policy: ErpPolicy, kind: str, records: Iterable[MasterRecord]) -> Outcome:
    """Take in what was pulled from an ERP."""
    return take_in(url, source_of(policy), lambda bulk: bulk.records(kind, records))


def source_of(policy: ErpPolicy) -> str:
    """The source of an ERP's master records. That of the one ERP of ``[erp]`` is named after its kind."""
    return f"urn:erp:{policy.kind if policy.name == ONLY else policy.name}"
