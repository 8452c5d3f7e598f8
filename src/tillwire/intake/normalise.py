"""The normaliser: reads waiting messages of other systems with their connection's connector, and records what they say.

Messages of one connection are read in the order they came, by one process at a time. What cannot be read becomes an
exception with its raw bytes; a message whose recording fails for good is found by bisection and raised alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import psycopg
import structlog

from tillwire.connectors.inbound import InboundConnector, MalformedError, Record, Trouble, body_source
from tillwire.database import sql
from tillwire.exceptions import moves
from tillwire.faultpoints import passing
from tillwire.intake.foreign import unpacked
from tillwire.intake.recording import Entry, record_entries

_sql = sql.load("tillwire.intake", "foreign.sql")
_log = structlog.get_logger(__name__)

_MOST_MESSAGES = 200


class Message(msgspec.Struct, frozen=True):
    """A stored message that waits."""

    message_id: int
    topic: str
    headers: dict[str, str]
    body: bytes


def read_message(connector: InboundConnector, message: Message) -> list[Entry]:
    """The records of a message. One that cannot be read is one record in trouble: whatever a connector does with what
    was sent, nothing is lost and nothing stands in the way of what came later.
    """
    try:
        records = list(connector.read(body_source(message.body, message.topic, message.headers)))
    except MalformedError as error:
        records = [_unread(message, "schema_drift", error.reason, error.place)]
    except Exception as error:  # noqa: BLE001 - a connector's defect must not stop its neighbours; it is told whole
        _log.error("connector_failed", message_id=message.message_id, exc_info=error)
        records = [_unread(message, "processing_failed", f"the connector failed: {type(error).__name__}: {error}", "")]
    if not records:
        records = [_unread(message, "schema_drift", "nothing in it was understood", "")]
    single = len(records) == 1
    return [
        Entry(
            record=record,
            topic=message.topic,
            headers=message.headers,
            message_id=message.message_id if single or not record.troubles else None,
            part_of="" if single else f"message {message.message_id}",
        )
        for record in records
    ]


def _unread(message: Message, code: str, reason: str, place: str) -> Record:
    trouble = Trouble(code=code, message=reason, pointer=place)
    return Record(place=place, raw=message.body, troubles=(trouble,))


class Normaliser:
    """Works the messages of ``connectors`` (by connection name) on one database connection in autocommit."""

    def __init__(self, connection: psycopg.Connection, connectors: Mapping[str, InboundConnector]) -> None:
        self._connection = connection
        self._connectors = connectors

    def normalise_once(self) -> int:
        """One transaction for each connection that has messages waiting; returns how many were read."""
        return sum(self._work(name, connector) for name, connector in self._connectors.items())

    def _work(self, name: str, connector: InboundConnector) -> int:
        connection = self._connection
        with connection.transaction():
            row = connection.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", (_LANES, name)).fetchone()
            if row is None or not row[0]:
                return 0
            parameters = {"connection": name, "most": _MOST_MESSAGES}
            rows = connection.execute(_sql.waiting, parameters).fetchall()
            messages = [Message(number, topic, headers, unpacked(body)) for number, topic, headers, body, _ in rows]
            if messages:
                read = {message.message_id: read_message(connector, message) for message in messages}
                self._record_bisecting(name, messages, read)
                passing("normalise.before_commit")
        return len(messages)

    def _record_bisecting(self, name: str, messages: Sequence[Message], read: dict[int, list[Entry]]) -> None:
        try:
            with self._connection.transaction():
                self._record(name, messages, read)
        except psycopg.OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is one message's fault: the others go on
            if len(messages) == 1:
                _log.error("message_failed", connection=name, message_id=messages[0].message_id, exc_info=error)
                text = f"it could not be recorded: {type(error).__name__}: {str(error).strip()}"
                record = _unread(messages[0], "processing_failed", text, "")
                self._record(name, messages, {messages[0].message_id: [_alone(messages[0], record)]})
                return
            half = len(messages) // 2
            self._record_bisecting(name, messages[:half], read)
            self._record_bisecting(name, messages[half:], read)

    def _record(self, name: str, messages: Sequence[Message], read: dict[int, list[Entry]]) -> None:
        entries = [entry for message in messages for entry in read[message.message_id]]
        counts = record_entries(self._connection, name, entries)
        done = [message.message_id for message in messages if message.message_id not in counts.failed_messages]
        if done:
            parameters: dict[str, Any] = {"ids": done, "outcomes": [_outcome(read[number]) for number in done]}
            self._connection.execute(_sql.mapped, parameters)
            moves.resolve_foreign(self._connection, done)
        if counts.failed_messages:
            self._connection.execute(_sql.failed, (sorted(counts.failed_messages),))


_LANES = 0x7111_0003
"""Key space of the advisory locks under which connections are worked."""


def _alone(message: Message, record: Record) -> Entry:
    return Entry(record=record, topic=message.topic, headers=message.headers, message_id=message.message_id)


def _outcome(entries: Sequence[Entry]) -> str:
    events = sum(len(entry.record.events) for entry in entries)
    reasons = sorted({entry.record.ignored for entry in entries if entry.record.ignored})
    return "; ".join([f"{events} events" if events != 1 else "1 event", *reasons])
