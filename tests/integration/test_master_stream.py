"""The stream of master data on a real NATS: the last value of each record, whatever breaks off, and made anew at will."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
import pytest
from builders import changed, customer, event, masters, price, product, raw, sale, store
from driving import load, settings_for
from nats.aio.client import Client

from tillwire.config import Relay as RelaySettings
from tillwire.engines.nats import EmbeddedNats
from tillwire.errors import TransientError
from tillwire.events import master_stream
from tillwire.events.master_stream import MasterStream
from tillwire.events.relay import connect
from tillwire.masterdata.listing import set_at
from tillwire.runners import rebuild_stream

T = TypeVar("T")
Work = Callable[[MasterStream, Client, psycopg.Connection], Awaitable[T]]


@pytest.fixture
def backbone() -> RelaySettings:
    """Streams of this test's own."""
    name = uuid.uuid4().hex[:12]
    return RelaySettings(
        stream=f"RETAIL_{name}",
        subject_prefix=f"retail_{name}",
        master_stream=f"MASTER_{name}",
        master_subject_prefix=f"master_{name}",
    )


@pytest.fixture
def on_nats(database_url: str, nats: EmbeddedNats, backbone: RelaySettings) -> Callable[[Work[T]], T]:
    """Runs an asynchronous piece of a test with a publisher."""

    def run(work: Work[T]) -> T:
        async def whole() -> T:
            with psycopg.connect(database_url, autocommit=True) as own:
                client = await connect(nats.url)
                try:
                    stream = MasterStream(own, client, backbone, set_at)
                    await stream.ensure_stream()
                    return await asyncio.wait_for(work(stream, client, own), 60)
                finally:
                    await client.close()

        return asyncio.run(whole())

    return run


async def publish_all(stream: MasterStream) -> int:
    total = 0
    while read := await stream.publish_once():
        total += read
    return total


async def values(client: Client, settings: RelaySettings) -> dict[str, tuple[int, bytes]]:
    """Revision and body by subject, without the prefix; each subject must be there once."""
    jetstream = client.jetstream()
    state = (await jetstream.stream_info(settings.master_stream)).state
    found: dict[str, tuple[int, bytes]] = {}
    sequences = range(state.first_seq, state.last_seq + 1) if state.messages else ()
    for sequence in sequences:
        try:
            message = await jetstream.get_msg(settings.master_stream, sequence)
        except master_stream.NotFoundError:
            continue  # superseded
        subject = (message.subject or "").removeprefix(settings.master_subject_prefix + ".")
        assert subject not in found
        found[subject] = (int((message.headers or {})["Tillwire-Revision"]), message.data or b"")
    assert len(found) == state.messages
    return found


def test_the_stream_has_the_last_value_of_each_record(
    database_url: str, on_nats: Callable[[Work[Any]], Any], backbone: RelaySettings
) -> None:
    newest = [store(), product("milk", revision=3), price(amount="2.20", revision=2), customer("a b")]
    load(database_url, product("milk"), price(), *newest, sale(1))
    load(database_url, product("milk", revision=2))  # late: an older revision

    async def work(stream: MasterStream, client: Client, _: psycopg.Connection) -> Any:
        await publish_all(stream)
        assert await publish_all(stream) == 0
        return await values(client, backbone)

    assert on_nats(work) == {
        "store.101": (1, raw(newest[0])),
        "product.milk": (3, raw(newest[1])),
        "price.%2A%2Fmilk%2FEA%2FUSD%2F2026-01-01T00%3A00%3A00": (2, raw(newest[2])),
        "customer.a%20b": (1, raw(newest[3])),
    }


def test_a_later_value_takes_the_place_of_the_one_before(
    database_url: str, on_nats: Callable[[Work[Any]], Any], backbone: RelaySettings
) -> None:
    async def work(stream: MasterStream, client: Client, _: psycopg.Connection) -> Any:
        for revision in (1, 3, 2, 4):
            one = product("milk", revision=revision, active=revision < 4)
            await asyncio.to_thread(load, database_url, one)
            await publish_all(stream)
            (found,) = (await values(client, backbone)).values()
            assert found[0] == max(revision, 3) if revision != 1 else 1
        return found

    assert on_nats(work) == (4, raw(product("milk", revision=4, active=False)))


def test_an_identifier_that_is_too_long_for_a_subject_has_a_digest(
    database_url: str, on_nats: Callable[[Work[Any]], Any], backbone: RelaySettings
) -> None:
    names = ["名" * 250, "名" * 249 + "x"]
    load(database_url, *(event("master.mapping", {"system": "s", "kind": "product", "external": name, "ours": "milk",
                                                  "revision": 1}) for name in names))  # fmt: skip

    async def work(stream: MasterStream, client: Client, _: psycopg.Connection) -> Any:
        await publish_all(stream)
        return await values(client, backbone)

    assert sorted(len(subject) for subject in on_nats(work)) == [len("mapping.%sha256-") + 64] * 2


def test_what_broke_off_after_publishing_is_published_again_with_the_same_value(
    database_url: str,
    on_nats: Callable[[Work[Any]], Any],
    backbone: RelaySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(master_stream, "MOST_BATCH_EVENTS", 4)
    load(database_url, *masters(), *(price(amount=f"{n}.00", revision=n) for n in range(1, 9)), customer())

    async def work(stream: MasterStream, client: Client, own: psycopg.Connection) -> Any:
        real = master_stream.set_position

        def killed(*_: Any) -> None:
            raise InterruptedError

        for _ in range(3):
            monkeypatch.setattr(master_stream, "set_position", killed)
            with pytest.raises(InterruptedError):
                await stream.publish_once()
            monkeypatch.setattr(master_stream, "set_position", real)
            assert await stream.publish_once()
        await publish_all(stream)
        return await values(client, backbone)

    found = on_nats(work)
    assert len(found) == len(masters()) + 2
    assert [one for subject, one in found.items() if subject.startswith("price.")] == [
        (8, raw(price(amount="8.00", revision=8)))
    ]


def test_a_publisher_that_lost_its_turn_without_knowing_is_refused(
    database_url: str, on_nats: Callable[[Work[Any]], Any], backbone: RelaySettings
) -> None:
    load(database_url, product("milk"))

    async def work(stream: MasterStream, client: Client, own: psycopg.Connection) -> Any:
        await publish_all(stream)
        late = stream._newest(stream._next(0, 0))  # what a publisher held that was then stopped for a while
        await asyncio.to_thread(load, database_url, product("milk", revision=2))
        await publish_all(stream)
        with pytest.raises(TransientError, match="did not take"):
            await stream._publish(late, 0)
        return await values(client, backbone)

    assert on_nats(work) == {"product.milk": (2, raw(product("milk", revision=2)))}


def test_publishers_side_by_side(
    database_url: str, on_nats: Callable[[Work[Any]], Any], backbone: RelaySettings, nats: EmbeddedNats
) -> None:
    load(database_url, *masters(), *(customer(f"C{n}") for n in range(700)))

    def another() -> None:
        async def run() -> None:
            with psycopg.connect(database_url, autocommit=True) as own:
                client = await connect(nats.url)
                await publish_all(MasterStream(own, client, backbone, set_at))
                await client.close()

        asyncio.run(run())

    async def work(stream: MasterStream, client: Client, _: psycopg.Connection) -> Any:
        others = [asyncio.create_task(asyncio.to_thread(another)) for _ in range(2)]
        await asyncio.gather(*others)
        await publish_all(stream)
        return await values(client, backbone)

    assert len(on_nats(work)) == len(masters()) + 700


def test_a_lost_stream_is_filled_again_and_a_rebuilt_one_is_the_same(
    database_url: str, on_nats: Callable[[Work[Any]], Any], backbone: RelaySettings, nats: EmbeddedNats
) -> None:
    load(database_url, *masters(), price(), price(amount="3.00", revision=2), customer())

    async def lose(stream: MasterStream, client: Client, _: psycopg.Connection) -> Any:
        await publish_all(stream)
        before = await values(client, backbone)
        await client.jetstream().delete_stream(backbone.master_stream)
        await stream.ensure_stream()
        await asyncio.to_thread(load, database_url, changed(product("pear"), name="Pear"))
        await publish_all(stream)
        return before, await values(client, backbone)

    before, after = on_nats(lose)
    assert after == {**before, "product.pear": (1, raw(changed(product("pear"), name="Pear")))}
    asyncio.run(rebuild_stream(settings_for(database_url, nats_url=nats.url, relay=backbone)))

    async def look(stream: MasterStream, client: Client, _: psycopg.Connection) -> Any:
        assert await publish_all(stream) == 0
        return await values(client, backbone)

    assert on_nats(look) == after
