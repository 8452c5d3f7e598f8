"""What must hold of any retailer's days, recorded by the real worker."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import psycopg
from builders import SELLING, Event
from driving import (
    accept,
    check_event_store,
    check_projections,
    exception_codes,
    record,
    rows,
    scalar,
    state,
    submit,
)
from fixture_types import NewDatabase
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from posting_kit import BOOK, policy_of
from trade import retailers

from tillwire.intake.group_commit import GroupCommit
from tillwire.posting.build import build_journals

FEW = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)


def batches(events: list[Event], chance: random.Random) -> list[list[Event]]:
    """The events in some order, cut into requests somewhere."""
    shuffled = chance.sample(events, len(events))
    cuts = sorted(chance.sample(range(len(events) + 1), min(len(events), chance.randrange(6))))
    return [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True) if a < b]


def check_books(connection: psycopg.Connection, mode: str) -> None:
    """Journals of closed days balance, and hold what the subledger holds."""
    build_journals(connection, BOOK, policy_of(mode))
    unbalanced = "SELECT journal_id FROM journal_line GROUP BY 1 HAVING sum(debit) <> sum(credit)"
    assert rows(connection, unbalanced) == []
    closed = "SELECT store, business_date FROM store_day WHERE closed_offset IS NOT NULL"
    posted = (
        "SELECT store, business_date, component, l.code, sum(debit - credit) FROM journal_line l JOIN journal j"
        " USING (journal_id) GROUP BY 1, 2, 3, 4 HAVING sum(debit - credit) <> 0 ORDER BY 1, 2, 3, 4"
    )
    ledger = (
        "SELECT store, business_date, component, qualified, sum(amount) FROM ledger_entry WHERE (store, business_date) IN"
        f" ({closed}) GROUP BY 1, 2, 3, 4 HAVING sum(amount) <> 0 ORDER BY 1, 2, 3, 4"
    )
    assert rows(connection, posted) == rows(connection, ledger)
    counted = "SELECT coalesce(sum(transactions), 0)::int, coalesce(sum(amount), 0) FROM journal"
    sold = (
        f"SELECT count(*)::int, coalesce(sum(total), 0) FROM sale WHERE (store, business_date) IN ({closed})"
        " AND kind = ANY(%s)"
    )
    assert rows(connection, counted) == rows(connection, sold, list(SELLING))


def check_sums(connection: psycopg.Connection) -> None:
    """Entries of every event add up to zero; tenders to totals; movements to balances."""
    entries = "SELECT store, business_date, event_offset FROM ledger_entry GROUP BY 1, 2, 3 HAVING sum(amount) <> 0"
    assert rows(connection, entries) == []
    tendered = (
        "SELECT coalesce(sum(e.amount), 0) FROM ledger_entry e JOIN sale s USING (store, business_date, event_offset)"
        " WHERE e.component IN ('tender', 'change') AND s.kind IS NOT NULL"
    )
    totals = "SELECT coalesce(sum(total), 0) FROM sale WHERE kind <> ALL(%s)"
    without = ["training", "cancelled", "suspended", "resumed", "no_sale"]
    assert scalar(connection, tendered) == scalar(connection, totals, without)
    stock = (
        "SELECT store, sku FROM stock_balance b FULL JOIN (SELECT store, sku, sum(quantity) AS moved FROM stock_movement"
        " GROUP BY 1, 2) m USING (store, sku) WHERE coalesce(on_hand, 0) <> coalesce(moved, 0)"
    )
    assert rows(connection, stock) == []
    taxes = (
        "SELECT store FROM sale s WHERE kind IS NOT NULL AND tax <> (SELECT coalesce(-sum(amount), 0) FROM ledger_entry e"
        " WHERE component = 'tax' AND e.store = s.store AND e.business_date = s.business_date"
        " AND e.event_offset = s.event_offset)"
    )
    assert rows(connection, taxes) == []


@FEW
@given(retailer=retailers(), seed=st.integers(0, 2**32), mode=st.sampled_from(("summary", "transaction")))
def test_any_split_and_order_gives_the_same_state(
    new_database: NewDatabase, retailer: tuple[list[Event], list[Event]], seed: int, mode: str
) -> None:
    records, events = retailer
    chance = random.Random(seed)
    with new_database() as straight, new_database() as shuffled:
        assert {status for found in accept(straight, records, events) for status in found} <= {"accepted"}
        record(straight)
        accept(shuffled, *batches(records, chance))
        for some in batches(events, chance):
            accept(shuffled, some)
            if chance.random() < 0.5:
                record(shuffled, most_events=chance.choice((1, 3, 1000)), most_partitions=chance.choice((1, 8)))
        record(shuffled)
        with psycopg.connect(straight, autocommit=True) as one, psycopg.connect(shuffled, autocommit=True) as other:
            assert exception_codes(one) == []
            check_event_store(one, len(records) + len(events))
            check_event_store(other, len(records) + len(events))
            check_projections(one, [*records, *events])
            check_sums(one)
            assert state(one) == state(other)
            check_books(one, mode)
            check_books(other, mode)
            if mode == "summary":
                assert balance(one) == balance(other)


def balance(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    query = (
        "SELECT store, business_date, account, sum(debit - credit) FROM journal_line JOIN journal USING (journal_id)"
        " GROUP BY 1, 2, 3 HAVING sum(debit - credit) <> 0 ORDER BY 1, 2, 3"
    )
    return rows(connection, query)


@FEW
@given(retailer=retailers(), seed=st.integers(0, 2**32))
def test_sending_everything_again_changes_nothing(
    new_database: NewDatabase, retailer: tuple[list[Event], list[Event]], seed: int
) -> None:
    records, events = retailer
    chance = random.Random(seed)
    with new_database() as url:
        accept(url, records, events)
        record(url)
        with psycopg.connect(url, autocommit=True) as connection:
            build_journals(connection, BOOK, policy_of())
            before = state(connection)
            journals = rows(connection, "SELECT reference, amount FROM journal ORDER BY 1")
            bytes_kept = scalar(connection, "SELECT count(*) FROM intake_group")
            assert send_again(url, [*records, *events], chance) <= {"duplicate"}
            assert record(url) == 0
            assert build_journals(connection, BOOK, policy_of()) == 0
            assert state(connection) == before
            assert rows(connection, "SELECT reference, amount FROM journal ORDER BY 1") == journals
            assert scalar(connection, "SELECT count(*) FROM intake_group") == bytes_kept
            check_event_store(connection, len(records) + len(events))


def send_again(url: str, events: list[Event], chance: random.Random) -> set[str]:
    """Everything several times over, concurrently, in other orders and requests; the statuses seen."""

    async def run() -> set[str]:
        commit = GroupCommit(url, writers=3, most_events=20)
        await commit.start()
        try:
            requests = [some for _ in range(3) for some in batches(events, chance)]
            answers = await asyncio.gather(*(submit(commit, some) for some in requests))
        finally:
            await commit.stop()
        return {status for found in answers for status in found}

    return asyncio.run(run())
