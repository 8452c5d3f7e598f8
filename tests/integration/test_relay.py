"""The relay on a real NATS: what is recorded is on the stream, in order, each event once, and can be rebuilt."""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
import pytest
from builders import Event, line, masters, product, raw, sale, store, trading_day
from driving import accept, load, record, rows, scalar, settings_for
from nats.aio.client import Client
from nats.js.api import StreamConfig

from tillwire.config import Relay as RelaySettings
from tillwire.engines.nats import EmbeddedNats
from tillwire.events import relay as relay_module
from tillwire.events.partitions import partition_of
from tillwire.events.relay import Relay, connect
from tillwire.runners import rebuild_stream

T = TypeVar("T")
Message = tuple[str, int, int, bytes]
"""Subject, partition, offset, body."""

EVENTS: list[Event] = [
    *masters(store("101"), store("102")),
    *trading_day("101"),
    *trading_day("102"),
    *(sale(number, store="102") for number in range(100, 130)),
]


@pytest.fixture
def backbone() -> RelaySettings:
    """A stream of this test's own."""
    name = uuid.uuid4().hex[:12]
    return RelaySettings(
        stream=f"RETAIL_{name}",
        subject_prefix=f"retail_{name}",
        master_stream=f"MASTER_{name}",
        master_subject_prefix=f"master_{name}",
    )


@pytest.fixture
def on_nats(
    database_url: str, nats: EmbeddedNats, backbone: RelaySettings
) -> Callable[[Callable[[Relay, Client, psycopg.Connection], Awaitable[T]]], T]:
    """Runs an asynchronous piece of a test with a relay."""

    def run(work: Callable[[Relay, Client, psycopg.Connection], Awaitable[T]]) -> T:
        async def whole() -> T:
            with psycopg.connect(database_url, autocommit=True) as own:
                client = await connect(nats.url)
                try:
                    relay = Relay(own, client, backbone)
                    await relay.ensure_stream()
                    return await asyncio.wait_for(work(relay, client, own), 60)
                finally:
                    await client.close()

        return asyncio.run(whole())

    return run


async def publish_all(relay: Relay) -> int:
    total = 0
    while published := await relay.publish_once():
        total += published
    return total


async def on_stream(client: Client, settings: RelaySettings) -> list[Message]:
    """Every message of the stream, in its order."""
    jetstream = client.jetstream()
    state = (await jetstream.stream_info(settings.stream)).state
    found: list[Message] = []
    if state.messages:
        for sequence in range(state.first_seq, state.last_seq + 1):
            message = await jetstream.get_msg(settings.stream, sequence)
            headers = message.headers or {}
            place = int(headers["Tillwire-Partition"]), int(headers["Tillwire-Offset"])
            found.append((message.subject or "", *place, message.data or b""))
    return found


def recorded(connection: psycopg.Connection) -> dict[int, list[bytes]]:
    """The raw events of every partition, in the order of their offsets, straight from the intake."""
    from tillwire.events.frames import unpack

    found: dict[int, list[bytes]] = defaultdict(list)
    query = (
        "SELECT partition, body, ordinal FROM event JOIN intake_group USING (group_id) ORDER BY partition, event_offset"
    )
    for partition, body, ordinal in rows(connection, query):
        found[partition].append(unpack(bytes(body))[ordinal])
    return found


def assert_same(messages: list[Message], connection: psycopg.Connection) -> None:
    by_partition: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for _, partition, offset, body in messages:
        by_partition[partition].append((offset, body))
    assert {partition: list(enumerate(bodies)) for partition, bodies in recorded(connection).items()} == by_partition


def test_the_stream_has_what_is_recorded_in_order(
    database_url: str, connection: psycopg.Connection, on_nats: Any, backbone: RelaySettings
) -> None:
    load(database_url, *EVENTS, sale(99, line("pear")))

    async def work(relay: Relay, client: Client, _: psycopg.Connection) -> list[Message]:
        assert await publish_all(relay) == len(EVENTS)
        assert await publish_all(relay) == 0
        return await on_stream(client, backbone)

    messages = on_nats(work)
    assert_same(messages, connection)
    assert {raw(one) for one in EVENTS} == {body for _, _, _, body in messages}
    partition = partition_of("101")
    subjects = {subject for subject, *_ in messages}
    assert f"{backbone.subject_prefix}.{partition}.101.transaction.v1" in subjects
    assert f"{backbone.subject_prefix}.0.-.master.store.v1" in subjects


def test_a_store_whose_number_is_no_subject(
    database_url: str, connection: psycopg.Connection, on_nats: Any, backbone: RelaySettings
) -> None:
    numbers = ["a.b", "x*", ">", "a b", "名", "%41", "A", "a 34", "a\u2034"]
    load(database_url, *masters(*(store(number) for number in numbers)))
    load(database_url, *(sale(1, store=number) for number in numbers))

    async def work(relay: Relay, client: Client, _: psycopg.Connection) -> list[Message]:
        await publish_all(relay)
        return await on_stream(client, backbone)

    messages = on_nats(work)
    assert_same(messages, connection)
    tokens = [subject.split(".") for subject, *_ in messages if subject.endswith(".transaction.v1")]
    assert {len(token) for token in tokens} == {5}
    assert len({token[2] for token in tokens}) == len(numbers)


def test_what_was_published_before_its_position_was_noted_is_not_published_again(
    database_url: str, connection: psycopg.Connection, on_nats: Any, backbone: RelaySettings
) -> None:
    load(database_url, *EVENTS)

    async def work(relay: Relay, client: Client, own: psycopg.Connection) -> list[Message]:
        await publish_all(relay)
        own.execute("UPDATE projection_position SET next_offset = next_offset / 2")
        own.execute("DELETE FROM projection_position WHERE partition = 0")
        await asyncio.to_thread(load, database_url, sale(500))
        assert await publish_all(relay) == 1
        return await on_stream(client, backbone)

    assert_same(on_nats(work), connection)
    assert scalar(connection, "SELECT count(*) FROM projection_position p JOIN event_partition e USING (partition)"
                  " WHERE p.next_offset <> e.next_offset") == 0  # fmt: skip


def test_small_steps_publish_the_same(
    database_url: str,
    connection: psycopg.Connection,
    on_nats: Any,
    backbone: RelaySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "MOST_BATCH_EVENTS", 3)
    load(database_url, *EVENTS)

    async def work(relay: Relay, client: Client, _: psycopg.Connection) -> list[Message]:
        assert await publish_all(relay) == len(EVENTS)
        return await on_stream(client, backbone)

    assert_same(on_nats(work), connection)


def test_relays_side_by_side_publish_each_event_once(
    database_url: str, connection: psycopg.Connection, on_nats: Any, backbone: RelaySettings, nats: EmbeddedNats
) -> None:
    load(database_url, *EVENTS)

    def another() -> None:
        async def run() -> None:
            with psycopg.connect(database_url, autocommit=True) as own:
                client = await connect(nats.url)
                await publish_all(Relay(own, client, backbone))
                await client.close()

        asyncio.run(run())

    async def work(relay: Relay, client: Client, _: psycopg.Connection) -> list[Message]:
        others = [asyncio.create_task(asyncio.to_thread(another)) for _ in range(2)]
        await asyncio.gather(*others, publish_all(relay))
        return await on_stream(client, backbone)

    assert_same(on_nats(work), connection)


def test_a_lost_stream_is_filled_again_by_itself(
    database_url: str, connection: psycopg.Connection, on_nats: Any, backbone: RelaySettings
) -> None:
    load(database_url, *EVENTS)

    async def work(relay: Relay, client: Client, own: psycopg.Connection) -> tuple[list[Message], list[Message]]:
        await publish_all(relay)
        before = await on_stream(client, backbone)
        await client.jetstream().delete_stream(backbone.stream)
        await relay.ensure_stream()
        extra = [sale(500), sale(500, store="102"), product("pear", "fruit")]
        await asyncio.to_thread(load, database_url, *extra)
        await publish_all(relay)
        return before, await on_stream(client, backbone)

    before, after = on_nats(work)
    assert_same(after, connection)
    assert set(before) <= set(after)


def test_a_rebuilt_stream_is_identical_however_often(
    database_url: str, connection: psycopg.Connection, nats: EmbeddedNats, on_nats: Any, backbone: RelaySettings
) -> None:
    load(database_url, *EVENTS)
    for one in (sale(300), sale(301, store="102"), product("pear", "fruit")):
        load(database_url, one)
    settings = settings_for(database_url, nats_url=nats.url, relay=backbone)

    async def published(relay: Relay, client: Client, _: psycopg.Connection) -> list[Message]:
        await publish_all(relay)
        return await on_stream(client, backbone)

    first = on_nats(published)
    assert asyncio.run(rebuild_stream(settings)) == len(EVENTS) + 3
    assert sorted(on_nats(published)) == sorted(first)
    rebuilt = on_nats(published)
    assert asyncio.run(rebuild_stream(settings)) == len(EVENTS) + 3
    assert on_nats(published) == rebuilt
    assert_same(rebuilt, connection)
    load(database_url, sale(302))
    assert_same(on_nats(published), connection)


def test_a_stream_whose_limits_let_old_messages_go_is_not_filled_again(
    database_url: str, connection: psycopg.Connection, on_nats: Any, backbone: RelaySettings
) -> None:
    load(database_url, *EVENTS)

    async def work(relay: Relay, client: Client, _: psycopg.Connection) -> list[Message]:
        await publish_all(relay)
        await client.jetstream().purge_stream(backbone.stream)
        await asyncio.to_thread(load, database_url, sale(500))
        assert await publish_all(relay) == 1
        return await on_stream(client, backbone)

    ((_, partition, offset, body),) = on_nats(work)
    assert partition == partition_of("101")
    assert body == raw(sale(500))
    assert offset == scalar(connection, "SELECT next_offset - 1 FROM event_partition WHERE partition = %s", partition)


def test_a_stream_that_refuses_takes_nothing_and_later_everything(
    database_url: str, connection: psycopg.Connection, on_nats: Any, backbone: RelaySettings
) -> None:
    load(database_url, *EVENTS)
    full = StreamConfig(
        name=backbone.stream, subjects=[f"{backbone.subject_prefix}.>"], allow_atomic=True, max_msgs=3, discard="new"
    )

    async def work(relay: Relay, client: Client, own: psycopg.Connection) -> list[Message]:
        jetstream = client.jetstream()
        await jetstream.delete_stream(backbone.stream)
        await jetstream.add_stream(full)
        with pytest.raises((relay_module.TransientError, *relay_module.BACKBONE_ERRORS)):
            await publish_all(relay)
        noted = "SELECT coalesce(sum(next_offset), 0) FROM projection_position"
        assert scalar(own, noted) == len(await on_stream(client, backbone))
        await jetstream.delete_stream(backbone.stream)
        await relay.ensure_stream()
        await publish_all(relay)
        return await on_stream(client, backbone)

    assert_same(on_nats(work), connection)


def test_an_event_larger_than_the_backbone_takes_holds_up_nobody(
    database_url: str, connection: psycopg.Connection, on_nats: Any, backbone: RelaySettings
) -> None:
    lines = [line("milk", "1", "1.00", description=f"{number:05}" + "x" * 480) for number in range(17_000)]
    large = sale(1, *lines)
    assert len(raw(large)) > 8 * 1024 * 1024
    load(database_url, *masters())
    accept(database_url, [large])
    accept(database_url, [sale(2)])
    record(database_url)

    async def work(relay: Relay, client: Client, _: psycopg.Connection) -> list[Message]:
        await publish_all(relay)
        return await on_stream(client, backbone)

    of_store = [(offset, body) for _, partition, offset, body in on_nats(work) if partition]
    assert of_store == [(0, b""), (1, raw(sale(2)))]
