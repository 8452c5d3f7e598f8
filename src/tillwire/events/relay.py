"""The relay: publishes recorded events on the backbone (NATS JetStream), in order within their partition, each once.

A range of offsets is published as one atomic batch: the stream has all of it or nothing, so its last message says how
far it has come. PostgreSQL is the truth; a stream that is lost is rebuilt from it.

Subject: ``retail.<partition>.<store>.<event type less its prefix>``; body: the event as it was accepted; headers name
partition and offset. An event that is larger than the server takes comes without a body, and ``Tillwire-Omitted-Bytes``
says so: it must not hold up those behind it, and PostgreSQL has it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import uuid4

import msgspec
import nats
import nats.errors
import psycopg
import structlog
from nats.aio.client import Client
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from tillwire.config import Relay as RelaySettings
from tillwire.errors import TransientError
from tillwire.events.follow import behind, lock_position, set_position
from tillwire.events.log import Stored, next_offsets, read_chunks
from tillwire.faultpoints import passing

_log = structlog.get_logger(__name__)

BACKBONE_ERRORS = (nats.errors.Error,)
"""What the client raises when the backbone is away; its JetStream errors are among them."""

NAME = "relay"
MOST_BATCH_EVENTS = 500
"""JetStream takes up to 1,000 messages in an atomic batch."""

_HEADERS_BYTES = 4096
"""Room for the headers of a message, which count for the server's limit."""

_TOKEN = re.compile(r"[^A-Za-z0-9_-]")


class _Acknowledgement(msgspec.Struct):
    stream: str = ""
    seq: int = 0
    count: int = 0
    error: dict | None = None


def token_of(text: str) -> str:
    """A text as one token of a subject: what a token cannot have becomes its code (``%2E``), nothing becomes ``-``."""
    return _TOKEN.sub(lambda found: "".join(f"%{byte:02X}" for byte in found.group().encode()), text) or "-"


def room_for_body(client: Client) -> int:
    """Bytes of a message's body that the server takes beside its headers."""
    return int(client.max_payload) - _HEADERS_BYTES


async def publish_batch(
    client: Client, messages: Sequence[tuple[str, bytes, dict[str, str]]], *, after: int | None = None
) -> int:
    """Publish subjects, bodies and headers as one atomic batch; returns the stream's sequence of its last message.

    With ``after`` the stream takes it only if that is its last sequence. Raises ``TransientError`` if it does not take
    it: none of it is there then.
    """
    batch_id = uuid4().hex
    reply = None
    for number, (subject, body, own) in enumerate(messages, 1):
        headers = {"Nats-Batch-Id": batch_id, "Nats-Batch-Sequence": str(number), **own}
        if number == 1 and after is not None:
            headers["Nats-Expected-Last-Sequence"] = str(after)
        if number < len(messages):
            await client.publish(subject, body, headers=headers)
        else:
            headers["Nats-Batch-Commit"] = "1"
            reply = await client.request(subject, body, timeout=30, headers=headers)
    assert reply is not None, "an empty batch"
    answer = msgspec.json.decode(reply.data, type=_Acknowledgement)
    if answer.error is not None or answer.count != len(messages):
        raise TransientError(f"the stream did not take a batch of {len(messages)} events: {reply.data[:300]!r}")
    return answer.seq


def subject_of(prefix: str, event: Stored) -> str:
    """The subject of an event. Characters of a store number that a subject cannot have become their code (``%2E``)."""
    event_type, store = event.type_and_store()
    return f"{prefix}.{event.partition}.{token_of(store)}.{event_type.removeprefix('tillwire.')}"


class Relay:
    """One publisher. Several may run: a lock on the position makes them take turns per partition."""

    def __init__(self, connection: psycopg.Connection, client: Client, settings: RelaySettings) -> None:
        self._connection = connection
        self._client = client
        self._jetstream: JetStreamContext = client.jetstream()
        self._settings = settings

    async def ensure_stream(self) -> None:
        """Make the stream if it is not there, or take it as it is."""
        settings = self._settings
        config = StreamConfig(
            name=settings.stream,
            subjects=[f"{settings.subject_prefix}.>"],
            storage=StorageType.FILE,
            retention=RetentionPolicy.LIMITS,
            num_replicas=settings.replicas,
            allow_atomic=True,
            allow_direct=True,
        )
        try:
            await self._jetstream.stream_info(settings.stream)
        except NotFoundError:
            await self._jetstream.add_stream(config)
            _log.info("stream_made", stream=settings.stream)

    async def publish_once(self) -> int:
        """Publish what is recorded and not on the stream yet, some of each partition; returns the number of events.

        Raises ``TransientError`` or an error of NATS if the backbone does not take a batch: none of it is there then.
        """
        published = 0
        for partition in behind(self._connection, NAME):
            published += await self._publish_partition(partition)
        return published

    async def _publish_partition(self, partition: int) -> int:
        with self._connection.transaction():
            position = await self._start(partition, lock_position(self._connection, NAME, partition))
            batch: list[Stored] = []
            for stored in read_chunks(self._connection, partition, position, most_chunks=10):
                batch += stored
                if len(batch) >= MOST_BATCH_EVENTS:
                    break
            del batch[MOST_BATCH_EVENTS:]
            if batch:
                await self._publish(batch)
                position = batch[-1].offset + 1
            passing("relay.after_publish")
            set_position(self._connection, NAME, partition, position)
        passing("relay.after_position")
        return len(batch)

    async def _start(self, partition: int, position: int) -> int:
        """Where to go on: after what the stream really has, whatever our note says."""
        settings = self._settings
        try:
            last = await self._jetstream.get_last_msg(
                settings.stream, f"{settings.subject_prefix}.{partition}.>", direct=True
            )
        except NotFoundError:
            if position == 0:
                return 0
            info = await self._jetstream.stream_info(settings.stream)
            if info.state.first_seq > 1:  # its limits have let the messages go; they were there
                return position
            _log.warning("stream_is_empty", partition=partition, noted=position, reaction="publishing from the start")
            return 0
        there = int((last.headers or {})["Tillwire-Offset"]) + 1
        if there != position:
            _log.warning("stream_position_differs", partition=partition, noted=position, there=there)
        return there

    async def _publish(self, events: list[Stored]) -> None:
        room = room_for_body(self._client)
        messages = []
        for event in events:
            body = event.raw
            headers = {
                "Tillwire-Partition": str(event.partition),
                "Tillwire-Offset": str(event.offset),
                "Content-Type": "application/cloudevents+json",
            }
            if len(body) > room:
                headers["Tillwire-Omitted-Bytes"] = str(len(body))
                body = b""
            messages.append((subject_of(self._settings.subject_prefix, event), body, headers))
        await publish_batch(self._client, messages)

    async def rebuild(self) -> int:
        """Delete the stream and publish every event again from PostgreSQL; returns how many."""
        try:
            await self._jetstream.delete_stream(self._settings.stream)
        except NotFoundError:
            _log.info("no_stream_to_delete", stream=self._settings.stream)
        with self._connection.transaction():
            for partition in next_offsets(self._connection):
                lock_position(self._connection, NAME, partition)
                set_position(self._connection, NAME, partition, 0)
        await self.ensure_stream()
        total = 0
        while published := await self.publish_once():
            total += published
        return total


async def connect(url: str) -> Client:
    """A connection to the backbone that gives up after a while, so that its owner can start over."""
    return await nats.connect(
        url, name="tillwire-relay", max_reconnect_attempts=5, reconnect_time_wait=0.2, connect_timeout=5
    )
