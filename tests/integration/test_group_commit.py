"""Group commit: every key once, whoever sends it, in whatever order, and nothing acknowledged that is not on disk."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
import psycopg
import pytest
from builders import Event, changed, day_open, line, masters, raw, sale, till_close
from driving import accept, exception_codes, prepared, rows, scalar, submit

from tillwire.errors import TransientError
from tillwire.events import frames
from tillwire.intake import group_commit
from tillwire.intake.group_commit import GroupCommit
from tillwire.intake.grouping import ACCEPTED, CONFLICT, DUPLICATE

T = TypeVar("T")

SALES = [sale(number) for number in range(40)]


def other(one: Event) -> Event:
    """The same key with other content."""
    return changed(one, operator="somebody else")


def run(commit: GroupCommit, work: Coroutine[Any, Any, T]) -> T:
    async def whole() -> T:
        await commit.start()
        try:
            return await asyncio.wait_for(work, 60)
        finally:
            await commit.stop()

    return asyncio.run(whole())


def stored_keys(connection: psycopg.Connection) -> list[str]:
    return [key for (key,) in rows(connection, "SELECT key FROM intake ORDER BY key, source")]


def queued_events(connection: psycopg.Connection) -> int:
    return int(scalar(connection, "SELECT coalesce(sum(cardinality(ordinals)), 0) FROM intake_queue"))


def test_an_event_is_accepted_once_and_then_a_duplicate(database_url: str, connection: psycopg.Connection) -> None:
    assert accept(database_url, [sale(1)], [sale(1)], [sale(1), sale(2)]) == [
        [ACCEPTED],
        [DUPLICATE],
        [DUPLICATE, ACCEPTED],
    ]
    assert len(stored_keys(connection)) == 2
    assert queued_events(connection) == 2
    assert scalar(connection, "SELECT count(*) FROM intake_group") == 2, "a group of duplicates is kept a second time"


def test_the_same_key_twice_in_one_group(database_url: str, connection: psycopg.Connection) -> None:
    one = sale(1)
    assert accept(database_url, [one, one, other(one), sale(2), one]) == [
        [ACCEPTED, DUPLICATE, CONFLICT, ACCEPTED, DUPLICATE]
    ]
    assert queued_events(connection) == 2
    assert exception_codes(connection) == ["duplicate_conflict"]


def test_the_first_content_stays_and_a_conflict_keeps_its_raw_bytes(
    database_url: str, connection: psycopg.Connection
) -> None:
    one = sale(1)
    assert accept(database_url, [one], [other(one)], [one]) == [[ACCEPTED], [CONFLICT], [DUPLICATE]]
    assert queued_events(connection) == 1
    ((code, key, amount, currency, owner),) = rows(
        connection, "SELECT code, key, amount, currency, owner FROM exception"
    )
    assert (code, key, str(amount), currency, owner) == (
        "duplicate_conflict",
        "101/1/2026-03-02/1",
        "4.40",
        "USD",
        "integration",
    )


def test_a_conflict_sent_again_raises_one_exception_only(database_url: str, connection: psycopg.Connection) -> None:
    one = sale(1)
    requests = [[one], [other(one)], [other(one), other(one)], [changed(one, operator="a third")], [other(one)]]
    statuses = accept(database_url, *requests)
    assert [set(found) for found in statuses] == [{ACCEPTED}] + [{CONFLICT}] * 4
    assert exception_codes(connection) == ["duplicate_conflict"] * 2


@pytest.mark.parametrize(
    "rewritten",
    [
        msgspec.json.format(raw(sale(1)), indent=4),
        raw(changed(sale(1), total="4.4")),
        raw(changed(sale(1), total=4.40)),
        raw(changed(sale(1), total="4.40000")),
        raw({**sale(1), "id": "another id", "time": "2026-03-02T10:00:00Z"}),
        raw({**sale(1), "extension": "x"}),
        raw(dict(reversed(sale(1).items()))),
        raw(changed(sale(1), rounding="0.00", tax_included=False)),
    ],
)
def test_the_same_in_other_words_is_a_duplicate(
    database_url: str, connection: psycopg.Connection, rewritten: bytes
) -> None:
    assert rewritten != raw(sale(1))
    assert accept(database_url, [sale(1)], [rewritten], [rewritten, sale(1)]) == [
        [ACCEPTED],
        [DUPLICATE],
        [DUPLICATE, DUPLICATE],
    ]
    assert exception_codes(connection) == []


@pytest.mark.parametrize(
    "different",
    [
        changed(sale(1), total="4.41"),
        changed(sale(1), kind="training"),
        changed(sale(1), lines=[line("milk", "2", "2.00", tax=("STD", "0.40"), voided=True)]),
        changed(sale(1), tenders=[]),
    ],
)
def test_any_other_content_is_a_conflict(database_url: str, different: Event) -> None:
    assert accept(database_url, [sale(1)], [different]) == [[ACCEPTED], [CONFLICT]]


def test_sources_have_keys_of_their_own(database_url: str, connection: psycopg.Connection) -> None:
    twice = [sale(1), sale(1, source="urn:oms:test")]
    assert accept(database_url, twice, twice) == [[ACCEPTED] * 2, [DUPLICATE] * 2]
    assert len(stored_keys(connection)) == 2


def test_texts_that_arrays_and_rows_would_trip_over(database_url: str, connection: psycopg.Connection) -> None:
    stores = ["a,b", 'say "x"', "back\\slash", "{}", "NULL", "'quote'", "läden", "名古屋", "a b", "%s", "$1", "\\N"]
    events = [sale(1, store=number, operator="tab\tnewline\n\\N") for number in stores]
    assert accept(database_url, events, events) == [[ACCEPTED] * len(stores), [DUPLICATE] * len(stores)]
    assert stored_keys(connection) == sorted(
        (f"{number}/1/2026-03-02/1" for number in stores), key=lambda key: key.encode()
    )


def test_many_tasks_with_the_same_keys_in_other_orders(database_url: str, connection: psycopg.Connection) -> None:
    commit = GroupCommit(database_url, writers=4, most_events=60)
    chance = random.Random(7)

    async def work() -> list[list[tuple[str, str]]]:
        async def send() -> list[tuple[str, str]]:
            mine = chance.sample(SALES, len(SALES))
            half = len(mine) // 2
            statuses = await submit(commit, mine[:half]) + await submit(commit, mine[half:])
            return [(one["id"], status) for one, status in zip(mine, statuses, strict=True)]

        return await asyncio.gather(*(send() for _ in range(24)))

    answers = Counter(answer for found in run(commit, work()) for answer in found)
    for one in SALES:
        assert answers[(one["id"], ACCEPTED)] == 1
        assert answers[(one["id"], DUPLICATE)] == 23
    assert len(stored_keys(connection)) == len(SALES)
    assert queued_events(connection) == len(SALES)
    assert exception_codes(connection) == []


def test_conflicts_from_many_tasks_in_other_orders(database_url: str, connection: psycopg.Connection) -> None:
    assert set(accept(database_url, SALES)[0]) == {ACCEPTED}
    commit = GroupCommit(database_url, writers=4, most_events=len(SALES))
    conflicts = [other(one) for one in SALES]

    async def work() -> list[list[str]]:
        forward, backward = conflicts, conflicts[::-1]
        return await asyncio.gather(*(submit(commit, forward if n % 2 else backward) for n in range(40)))

    assert {status for found in run(commit, work()) for status in found} == {CONFLICT}
    assert exception_codes(connection) == ["duplicate_conflict"] * len(SALES)
    assert queued_events(connection) == len(SALES)


def test_writers_side_by_side_lose_nothing(database_url: str, connection: psycopg.Connection) -> None:
    commit = GroupCommit(database_url, writers=3, most_events=10)
    events = [sale(number, store=str(store)) for store in range(20) for number in range(10)] + masters()

    async def work() -> list[list[str]]:
        return await asyncio.gather(*(submit(commit, [one]) for one in events))

    assert {status for found in run(commit, work()) for status in found} == {ACCEPTED}
    assert len(stored_keys(connection)) == queued_events(connection) == len(events)
    assert scalar(connection, "SELECT max(c) FROM (SELECT count(*) AS c FROM intake GROUP BY group_id) g") <= 10


def test_a_group_is_bounded_in_bytes(
    database_url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MOST_GROUP_BYTES", 100_000)
    large = [sale(number, *[line(description="x" * 400)] * 100) for number in range(12)]
    assert 40_000 < len(raw(large[0])) < 60_000
    commit = GroupCommit(database_url, writers=1)

    async def work() -> list[list[str]]:
        return await asyncio.gather(*(submit(commit, [one]) for one in large), submit(commit, large * 2))

    answers = run(commit, work())
    assert answers[:-1] == [[ACCEPTED]] * 12
    assert set(answers[-1]) == {DUPLICATE}
    groups = rows(connection, "SELECT body FROM intake_group")
    assert len(groups) >= 6
    assert max(sum(map(len, frames.unpack(bytes(body)))) for (body,) in groups) <= 100_000


def test_duplicates_of_many_groups_are_judged_one_group_at_a_time(
    database_url: str, connection: psycopg.Connection
) -> None:
    originals = [[sale(100 * group + n, *[line(description="y" * 300)] * 20) for n in range(20)] for group in range(60)]
    accept(database_url, *originals)
    again = [prepared(some[7]) for some in originals]
    everything = sum(len(raw(one)) for some in originals for one in some)
    commit = GroupCommit(database_url, writers=1)

    async def work() -> tuple[list[str], int]:
        await commit.submit(again[:1])
        tracemalloc.start()
        statuses = await commit.submit(again)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return statuses, peak

    statuses, peak = run(commit, work())
    assert set(statuses) == {DUPLICATE}
    assert peak < everything / 4, f"{peak:,} bytes in memory at once, of {everything:,} in the groups looked at"


def test_a_large_request_goes_through_alone(database_url: str, connection: psycopg.Connection) -> None:
    commit = GroupCommit(database_url, writers=1, most_events=5)

    async def work() -> list[list[str]]:
        return await asyncio.gather(submit(commit, SALES), submit(commit, [day_open()]), submit(commit, [till_close()]))

    assert [set(found) for found in run(commit, work())] == [{ACCEPTED}] * 3
    assert len(stored_keys(connection)) == len(SALES) + 2


def test_what_comes_while_the_database_is_away_is_told_and_not_stored(
    database_url: str, connection: psycopg.Connection, postgres: Any
) -> None:
    commit = GroupCommit(database_url, writers=2)
    name = scalar(connection, "SELECT current_database()")

    def away(admin: psycopg.Connection, is_away: bool) -> None:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {not is_away}".encode())
        if is_away:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))

    async def work() -> None:
        assert await submit(commit, [sale(1)]) == [ACCEPTED]
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
            away(admin, True)
            for number in (2, 3):
                with pytest.raises(TransientError) as caught:
                    await submit(commit, [sale(number)])
                assert caught.value.retry_after_s
            away(admin, False)
        assert await submit(commit, [sale(1), sale(2)]) == [DUPLICATE, ACCEPTED]

    run(commit, work())
    with psycopg.connect(database_url) as again:
        assert stored_keys(again) == ["101/1/2026-03-02/1", "101/1/2026-03-02/2"]


def test_a_fault_in_one_request_spares_its_neighbours_and_the_writer(
    database_url: str, connection: psycopg.Connection
) -> None:
    commit = GroupCommit(database_url, writers=1)
    torn = prepared(sale(1))
    torn.raw = b"{}"  # as if the door had let something through that cannot be read

    async def work() -> None:
        assert await submit(commit, [sale(1)]) == [ACCEPTED]
        outcomes = await asyncio.gather(
            submit(commit, [sale(2)]), commit.submit([torn]), submit(commit, [sale(3)]), return_exceptions=True
        )
        assert [outcomes[0], outcomes[2]] == [[ACCEPTED], [ACCEPTED]]
        assert isinstance(outcomes[1], TransientError)
        assert await submit(commit, [sale(4)]) == [ACCEPTED]

    run(commit, work())
    assert len(stored_keys(connection)) == 4


def test_what_waits_when_the_hub_stops_is_told(database_url: str, connection: psycopg.Connection) -> None:
    commit = GroupCommit(database_url, writers=1)

    async def work() -> list[Any]:
        await commit.start()
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE intake_group IN ACCESS EXCLUSIVE MODE")
        waiting = [asyncio.create_task(submit(commit, [sale(number)])) for number in (1, 2)]
        for _ in range(1000):
            if scalar_waiting(connection):
                break
            await asyncio.sleep(0.01)
        await commit.stop()
        connection.execute("ROLLBACK")
        return await asyncio.gather(*waiting, return_exceptions=True)

    outcomes = asyncio.run(asyncio.wait_for(work(), 30))
    assert [type(outcome) for outcome in outcomes] == [TransientError] * 2


def scalar_waiting(connection: psycopg.Connection) -> int:
    """How many backends wait for a lock on the intake's table."""
    return int(
        scalar(connection, "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'intake_group'::regclass")
    )
