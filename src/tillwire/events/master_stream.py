"""The stream of master data on the backbone: the last value of each record, for who joins late and wants all of it.

Subject: ``master.<type>.<identifier>``; body: the event that set the record's newest revision; headers name revision,
partition and offset. JetStream keeps one message per subject.

A record is published at the offset that set its newest revision and at no other: what came late with an older revision
set nothing, and what has been superseded since is passed over. So an older revision never follows a newer one, and a
bulk that changes a record many times is published once. Publishers take turns by a lock on the position; one that lost
its lock without knowing is refused by the stream, which has moved on from the sequence it expects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection

import psycopg
import structlog
from nats.aio.client import Client
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from tillwire.config import Relay as RelaySettings
from tillwire.events.follow import behind, lock_position, set_position
from tillwire.events.log import Stored, read_chunks
from tillwire.events.partitions import CATALOGUE_PARTITION, MASTER_PARTITION
from tillwire.events.relay import publish_batch, room_for_body, token_of
from tillwire.model.event import MESSAGE_DECODER

_log = structlog.get_logger(__name__)

NAME = "master_stream"
LANES = (MASTER_PARTITION, CATALOGUE_PARTITION)

MOST_BATCH_EVENTS = 500
_MOST_TOKEN = 1_000
"""A subject has its limits; an identifier that is longer as a token is named by its digest."""


SetAt = Callable[[psycopg.Connection, Collection[tuple[str, str]]], dict[tuple[str, str], int]]
"""The offset at which the newest revision of each record was set, by event type and identifier."""


class MasterStream:
    """One publisher of master records. Several may run: they take turns."""

    def __init__(self, connection: psycopg.Connection, client: Client, settings: RelaySettings, set_at: SetAt) -> None:
        self._connection = connection
        self._set_at = set_at
        self._client = client
        self._jetstream: JetStreamContext = client.jetstream()
        self._stream = settings.master_stream
        self._prefix = settings.master_subject_prefix
        self._replicas = settings.replicas

    async def ensure_stream(self) -> None:
        """Make the stream if it is not there, and begin anew then, or take it as it is."""
        try:
            await self._jetstream.stream_info(self._stream)
        except NotFoundError:
            await self._jetstream.add_stream(
                StreamConfig(
                    name=self._stream,
                    subjects=[f"{self._prefix}.>"],
                    storage=StorageType.FILE,
                    retention=RetentionPolicy.LIMITS,
                    max_msgs_per_subject=1,
                    num_replicas=self._replicas,
                    allow_atomic=True,
                    allow_direct=True,
                )
            )
            self._begin_anew()
            _log.info("stream_made", stream=self._stream)

    def _begin_anew(self) -> None:
        with self._connection.transaction():
            for lane in LANES:
                lock_position(self._connection, NAME, lane)
                set_position(self._connection, NAME, lane, 0)

    async def publish_once(self) -> int:
        """Read on in both lanes and publish what is newest; returns how many events were read, 0 if there were none.

        Raises ``TransientError`` or an error of NATS if the backbone does not take a batch: none of it is there then.
        """
        if not set(behind(self._connection, NAME)) & set(LANES):
            return 0
        done = 0
        with self._connection.transaction():
            # Both lanes at once and in one order: the stream's sequence is one for all.
            positions = {lane: lock_position(self._connection, NAME, lane) for lane in LANES}
            state = (await self._jetstream.stream_info(self._stream)).state
            last = state.last_seq
            if not last and any(positions.values()):
                _log.warning("stream_is_empty", stream=self._stream, reaction="publishing from the start")
                positions = dict.fromkeys(LANES, 0)
            for lane, position in positions.items():
                events = self._next(lane, position)
                newest = self._newest(events)
                if newest:
                    last = await self._publish(newest, last)
                set_position(self._connection, NAME, lane, position + len(events))
                done += len(events)
        return done

    def _next(self, lane: int, position: int) -> list[Stored]:
        events: list[Stored] = []
        for stored in read_chunks(self._connection, lane, position, most_chunks=10):
            events += stored
            if len(events) >= MOST_BATCH_EVENTS:
                break
        return events[:MOST_BATCH_EVENTS]

    def _newest(self, events: list[Stored]) -> list[tuple[str, int, Stored]]:
        """Of the events that set what now is the newest revision of a record: subject, revision, event."""
        found: list[tuple[str, str, int, Stored]] = []
        for event in events:
            message = MESSAGE_DECODER.decode(event.raw).data
            found.append((event.type_and_store()[0], message.identifier, message.revision, event))
        set_at = self._set_at(self._connection, [(kind, name) for kind, name, _, _ in found]) if found else {}
        return [
            (self._subject(kind, name), revision, event)
            for kind, name, revision, event in found
            if set_at.get((kind, name)) == event.offset
        ]

    def _subject(self, event_type: str, identifier: str) -> str:
        kind = event_type.removeprefix("tillwire.master.").removesuffix(".v1")
        token = token_of(identifier)
        if len(token) > _MOST_TOKEN:
            token = "%sha256-" + hashlib.sha256(identifier.encode()).hexdigest()
        return f"{self._prefix}.{kind}.{token}"

    async def _publish(self, records: list[tuple[str, int, Stored]], last: int) -> int:
        """Publish records as one atomic batch after the stream's sequence ``last``; returns the new one."""
        room = room_for_body(self._client)
        messages = []
        for subject, revision, event in records:
            headers = {
                "Tillwire-Partition": str(event.partition),
                "Tillwire-Offset": str(event.offset),
                "Tillwire-Revision": str(revision),
                "Content-Type": "application/cloudevents+json",
            }
            body = event.raw
            if len(body) > room:
                headers["Tillwire-Omitted-Bytes"] = str(len(body))
                body = b""
            messages.append((subject, body, headers))
        return await publish_batch(self._client, messages, after=last)

    async def rebuild(self) -> int:
        """Delete the stream and publish the newest revision of every record again; returns the events read."""
        try:
            await self._jetstream.delete_stream(self._stream)
        except NotFoundError:
            _log.info("no_stream_to_delete", stream=self._stream)
        await self.ensure_stream()
        total = 0
        while read := await self.publish_once():
            total += read
        return total
