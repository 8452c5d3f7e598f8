"""What other systems send in their own words, as it came: deliveries, durable before their senders are answered."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg
import zstandard

from tillwire.connectors.inbound import Delivery
from tillwire.database import sql
from tillwire.events import frames
from tillwire.faultpoints import passing

_sql = sql.load("tillwire.intake", "foreign.sql")

MOST_BODY_BYTES = 256 * 1024 * 1024
_encode = msgspec.json.Encoder().encode


def packed(body: bytes) -> bytes:
    """A raw body as it is stored."""
    return zstandard.ZstdCompressor(level=3).compress(body)


def unpacked(body: bytes) -> bytes:
    """A raw body as it came."""
    return zstandard.ZstdDecompressor().decompress(body, max_output_size=MOST_BODY_BYTES)


def receive(connection: psycopg.Connection, connection_name: str, deliveries: Sequence[Delivery]) -> int:
    """Store deliveries; returns how many were new. On disk once the caller's transaction (or this call) commits."""
    parameters = receive_parameters(connection_name, deliveries)
    return len(connection.execute(_sql.receive, parameters).fetchall())


RECEIVE = _sql.receive
"""The statement of ``receive``, for who writes it asynchronously with ``receive_parameters``."""


def receive_parameters(connection_name: str, deliveries: Sequence[Delivery]) -> dict[str, Any]:
    """The parameters of ``RECEIVE``."""
    return {
        "connection": connection_name,
        "keys": [delivery.key or digest_key(delivery.body, delivery.topic) for delivery in deliveries],
        "topics": [delivery.topic for delivery in deliveries],
        "headers": [_encode(delivery.headers).decode() for delivery in deliveries],
        "bodies": [packed(delivery.body) for delivery in deliveries],
    }


def digest_key(body: bytes, topic: str) -> str:
    """By what a body is known whose sender gives it no identifier."""
    return "sha256:" + hashlib.sha256(topic.encode() + b"\n" + body).hexdigest()


def requeue(connection: psycopg.Connection, message_ids: Sequence[int]) -> int:
    """Messages that failed are read again; returns how many."""
    return connection.execute(_sql.requeue, (list(message_ids),)).rowcount


def replace_body(connection: psycopg.Connection, message_id: int, body: bytes) -> bool:
    """Put an edited body in the place of a failed message's; the raw bytes stay in its exception's group."""
    return connection.execute(_sql.replace_body, {"message_id": message_id, "body": packed(body)}).rowcount == 1


def figures(connection: psycopg.Connection) -> list[tuple[str, int, int, int, datetime | None, str]]:
    """Per connection: messages received, waiting, failed; when the last came; the last error of fetching."""
    return connection.execute(_sql.listed).fetchall()


def state_of(connection: psycopg.Connection, connection_name: str) -> dict[str, Any]:
    """How far a connection has come with fetching; empty at first."""
    row = connection.execute(_sql.state_of, (connection_name,)).fetchone()
    return row[0] if row else {}


def deliver(
    connection: psycopg.Connection, connection_name: str, deliveries: Sequence[Delivery], state: Mapping[str, Any]
) -> None:
    """Store what was fetched together with the state after it: a fetch that dies goes on where it was."""
    with connection.transaction():
        if deliveries:
            receive(connection, connection_name, deliveries)
        connection.execute(_sql.set_state, {"connection": connection_name, "state": _encode(dict(state)).decode()})
    passing("pull.after_delivery")


def note_error(connection: psycopg.Connection, connection_name: str, error: str) -> None:
    """Note why the last fetch failed; the next that works clears it."""
    connection.execute(_sql.note_error, {"connection": connection_name, "error": error})


def origin_of(
    connection: psycopg.Connection, group_id: int, ordinal: int, *, whole: bool = True
) -> dict[str, Any] | None:
    """What an event was made from: connection, file or message, and the raw bytes; none if it came as it is. Unless
    ``whole``, the connection only: other stores' events may stand beside it.
    """
    row = connection.execute(_sql.origin_of, {"group_id": group_id, "ordinal": ordinal}).fetchone()
    if row is None:
        return None
    name, part_of, record, message_id, body = row
    origin: dict[str, Any] = {"connection": name, "part_of": part_of}
    if not whole:
        return {"connection": name}
    if message_id is not None:
        stored, topic, message_part = connection.execute(_sql.body_of, (message_id,)).fetchone() or (b"", "", "")
        origin |= {"message_id": message_id, "topic": topic, "part_of": message_part}
        raw = unpacked(stored)
    else:
        raw = frames.unpack(body)[record - 1]
    return origin | {"raw": raw.decode("utf-8", "backslashreplace")}
