"""Records of other systems become canonical events: stored through intake's own statement, each record whole.

The events, the raw record each was made from, and exceptions for what could not be mapped are written in one
transaction with the state of the message or file: nothing is half done, nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import psycopg

from tillwire.connectors.inbound import Outgoing, Record, Trouble
from tillwire.database import sql
from tillwire.events import frames
from tillwire.exceptions.raising import raise_foreign
from tillwire.intake.door import Prepared, Refusal, read_event
from tillwire.intake.foreign import digest_key, packed
from tillwire.intake.grouping import ACCEPTED, CONFLICT, DUPLICATE, Group, conflict_row
from tillwire.model.event import EVENTS
from tillwire.model.money import ZERO
from tillwire.model.transaction import SELLING, Transaction

_sql = sql.load("tillwire.intake", "foreign.sql")
_intake_sql = sql.load("tillwire.intake", "intake.sql")
_encode = msgspec.json.Encoder().encode


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A record on its way, and where it comes from: a stored message, or a place in a file."""

    record: Record
    topic: str = ""
    headers: Mapping[str, str] = {}
    message_id: int | None = None
    """None: a record of ``part_of``, which keeps its raw bytes."""
    part_of: str = ""
    """The file, or the message of several records, that it is a part of."""


class Counts(msgspec.Struct, kw_only=True):
    """What became of records and of their events."""

    records: int = 0
    events: int = 0
    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    superseded: int = 0
    unchanged: int = 0
    ignored: int = 0
    failed: int = 0
    """Records that could not be mapped, each of which is an exception."""
    exceptions: list[int] = []
    failed_messages: set[int] = set()
    """Stored messages that failed themselves, and not only a record of theirs."""

    def add(self, other: Counts) -> None:
        """Add what became of further records."""
        for name in self.__struct_fields__:
            mine, more = getattr(self, name), getattr(other, name)
            setattr(self, name, mine | more if isinstance(mine, set) else mine + more)


class _Known(msgspec.Struct):
    """What is known of an entity."""

    version: int
    digest: bytes
    key: str
    hub_version: int


class _Emitted(msgspec.Struct):
    """A canonical event that is to be stored, and the record that it is of."""

    prepared: Prepared
    entry: int


def source_of(connection_name: str) -> str:
    """The CloudEvents source of events that come by a connection."""
    return f"urn:connection:{connection_name}"


def prepare(connection_name: str, outgoing: Outgoing) -> Prepared | Refusal:
    """A connector's event as intake stores it, judged by the same door as everybody's."""
    struct = EVENTS.get(outgoing.type)
    if struct is None:
        return Refusal("unknown event type", f"{outgoing.type!r} is no event type", "/type")
    try:
        event = struct(
            specversion="1.0",
            id=outgoing.id,
            source=source_of(connection_name),
            time=outgoing.time,
            correlationid=outgoing.correlation,
            data=outgoing.data,
        )
        return read_event(_encode(event))
    except (TypeError, ValueError) as error:  # a connector's defect: a struct made of the wrong things
        return Refusal("invalid event", str(error))


def record_batch(
    connection: psycopg.Connection, connection_name: str, records: Sequence[Record], *, part_of: str
) -> Counts:
    """Store the events of a file's records, inside the caller's transaction. ``part_of`` names the file."""
    return record_entries(connection, connection_name, [Entry(record=record, part_of=part_of) for record in records])


def record_entries(connection: psycopg.Connection, connection_name: str, entries: Sequence[Entry]) -> Counts:
    """Store the events of records, inside the caller's transaction: each record whole, or raised whole.

    What an entity's older version says is superseded, what a newer one repeats is unchanged; a newer transaction that
    says something else becomes a correction, with the hub's next version of it.
    """
    counts = Counts(records=len(entries))
    known = _known(connection, connection_name, entries)
    changed: dict[str, _Known] = {}
    emitted: list[_Emitted] = []
    failed: list[tuple[Entry, tuple[Trouble, ...]]] = []
    for number, entry in enumerate(entries):
        record = entry.record
        troubles = record.troubles or claims_troubles(record)
        if not troubles:
            events, troubles, noted = _resolve(connection_name, record, known, counts)
        if troubles:
            failed.append((entry, troubles))
            continue
        if record.ignored and not record.events:
            counts.ignored += 1
        known |= noted
        changed |= noted
        emitted += [_Emitted(event, number) for event in events]
    counts.events = len(emitted)
    counts.failed = len(failed)
    if emitted:
        _store(connection, connection_name, entries, emitted, counts)
    if changed:
        _note(connection, connection_name, changed)
    if failed:
        counts.exceptions = _raise(connection, connection_name, failed)
        counts.failed_messages = {entry.message_id for entry, _ in failed if entry.message_id is not None}
    return counts


def _known(connection: psycopg.Connection, connection_name: str, entries: Sequence[Entry]) -> dict[str, _Known]:
    entities = sorted({event.entity for entry in entries for event in entry.record.events if event.entity})
    if not entities:
        return {}
    parameters = {"connection": connection_name, "entities": entities}
    rows = connection.execute(_sql.entities, parameters).fetchall()
    return {entity: _Known(version, bytes(digest), key, hub) for entity, version, digest, key, hub in rows}


def _resolve(
    connection_name: str, record: Record, known: Mapping[str, _Known], counts: Counts
) -> tuple[list[Prepared], tuple[Trouble, ...], dict[str, _Known]]:
    """The events of a record that say something new, or why it cannot be recorded."""
    events: list[Prepared] = []
    noted: dict[str, _Known] = {}
    superseded = unchanged = 0
    for outgoing in record.events:
        if outgoing.entity:
            before = noted.get(outgoing.entity) or known.get(outgoing.entity)
            digest = hashlib.sha256(_encode(outgoing.data)).digest()
            if before is not None and outgoing.version < before.version:
                superseded += 1
                continue
            after = _Known(outgoing.version, digest, _base_key(outgoing.data), 1)
            if before is not None:
                after.hub_version = before.hub_version
                if before.digest == digest:
                    noted[outgoing.entity] = after
                    unchanged += 1
                    continue
                if before.key != after.key:
                    text = (
                        f"{outgoing.entity} was {before.key!r} and is now {after.key!r}: void one and record the other"
                    )
                    return [], (_trouble_of(outgoing.data, "duplicate_conflict", text),), {}
                if isinstance(outgoing.data, Transaction):
                    after.hub_version += 1
                    outgoing = _corrected(outgoing, after.hub_version)
            noted[outgoing.entity] = after
        prepared = prepare(connection_name, outgoing)
        if isinstance(prepared, Refusal):
            trouble = _trouble_of(outgoing.data, "schema_drift", f"{prepared.title}: {prepared.detail}")
            return [], (msgspec.structs.replace(trouble, pointer=prepared.pointer),), {}
        events.append(prepared)
    counts.superseded += superseded
    counts.unchanged += unchanged
    return events, (), noted


def _corrected(outgoing: Outgoing, version: int) -> Outgoing:
    data = msgspec.structs.replace(outgoing.data, version=version)
    return msgspec.structs.replace(outgoing, data=data, id=f"{outgoing.id}@{version}"[-256:])


def _base_key(data: Any) -> str:
    return data.base_key if isinstance(data, Transaction) else ""


def _trouble_of(data: Any, code: str, message: str) -> Trouble:
    tx = data if isinstance(data, Transaction) else None
    return Trouble(
        code=code,
        message=message,
        store=getattr(data, "store", None),
        business_date=getattr(data, "business_date", None),
        amount=tx.total if tx else None,
        currency=tx.currency if tx else None,
    )


def claims_troubles(record: Record) -> tuple[Trouble, ...]:
    """What a record was mapped to, against what it says of itself, per currency; none if they are the same."""
    if not record.claims:
        return ()
    sums: dict[str, list[Any]] = {}
    sold = [event.data for event in record.events if isinstance(event.data, Transaction) and event.data.kind in SELLING]
    for tx in sold:
        pair = sums.setdefault(tx.currency, [ZERO, 0, ZERO, 0])
        pair[0] += tx.total
        pair[1] += 1
    for claim in record.claims:
        pair = sums.setdefault(claim.currency, [ZERO, 0, ZERO, 0])
        pair[2] += claim.amount
        pair[3] += claim.transactions
    first = sold[0] if sold else None
    return tuple(
        Trouble(
            code="total_mismatch",
            message=f"the payload says {said} for {claimed} {currency}, mapping comes to {made} for {mapped}",
            store=first.store if first else None,
            business_date=first.business_date if first else None,
            amount=claimed,
            currency=currency,
        )
        for currency, (mapped, made, claimed, said) in sorted(sums.items())
        if (mapped, made) != (claimed, said)
    )


def _store(
    connection: psycopg.Connection,
    connection_name: str,
    entries: Sequence[Entry],
    emitted: list[_Emitted],
    counts: Counts,
) -> None:
    """Canonical events through intake's own statement, and beside them the records they were made from."""
    group = Group()
    for event in emitted:
        group.add(event.prepared)
    row = connection.execute(_intake_sql.accept, group.parameters()).fetchone()
    assert row is not None
    fresh, group_id = row
    doubtful = group.doubtful(fresh)
    if doubtful:
        _judge(connection, group, doubtful)
    for status in group.statuses:
        counts.accepted += status == ACCEPTED
        counts.duplicate += status == DUPLICATE
        counts.conflict += status == CONFLICT
    if fresh:
        kept: dict[int, int] = {}
        for event in emitted:
            if entries[event.entry].message_id is None:
                kept.setdefault(event.entry, len(kept) + 1)
        parameters = {
            "group_id": group_id,
            "connection": connection_name,
            "part_of": next((entry.part_of for entry in entries if entry.part_of), ""),
            "records": [kept.get(event.entry) for event in emitted],
            "message_ids": [entries[event.entry].message_id for event in emitted],
            "body": frames.pack([entries[number].record.raw for number in kept]) if kept else None,
        }
        connection.execute(_sql.note_batch, parameters)


def _judge(connection: psycopg.Connection, group: Group, doubtful: list[int]) -> None:
    by_group = group.by_stored_group(doubtful, connection.execute(_intake_sql.known, group.keys_of(doubtful)))
    for stored_in, body in connection.execute(_intake_sql.group_bodies, (list(by_group),), binary=True):
        group.judge(body, by_group[stored_in])
    events = group.conflicts(doubtful)
    if events:
        row = connection.execute(
            _intake_sql.store_group, {"body": frames.pack([event.raw for event in events])}
        ).fetchone()
        assert row is not None
        with connection.cursor() as cursor:
            rows = [conflict_row(event, row[0], ordinal) for ordinal, event in enumerate(events)]
            cursor.executemany(_intake_sql.raise_conflict, rows)


def _note(connection: psycopg.Connection, connection_name: str, changed: dict[str, _Known]) -> None:
    entities = sorted(changed)
    parameters = {
        "connection": connection_name,
        "entities": entities,
        "versions": [changed[entity].version for entity in entities],
        "digests": [changed[entity].digest for entity in entities],
        "keys": [changed[entity].key for entity in entities],
        "hub_versions": [changed[entity].hub_version for entity in entities],
    }
    connection.execute(_sql.note_entities, parameters)


def _raise(
    connection: psycopg.Connection, connection_name: str, failed: list[tuple[Entry, tuple[Trouble, ...]]]
) -> list[int]:
    """An exception for each record that could not be mapped, with its raw bytes; returns the exceptions' ids."""
    row = connection.execute(
        _intake_sql.store_group, {"body": frames.pack([entry.record.raw for entry, _ in failed])}
    ).fetchone()
    assert row is not None
    raised = []
    for ordinal, (entry, troubles) in enumerate(failed):
        first = troubles[0]
        foreign_id = entry.message_id
        if foreign_id is None:
            foreign_id = _own_message(connection, connection_name, entry, first)
        raised.append(
            raise_foreign(
                connection,
                foreign_id=foreign_id,
                source=source_of(connection_name),
                key=f"{connection_name}: {entry.part_of or entry.topic or 'message'} {entry.record.place}".strip(),
                faults=[(one.code, one.message, one.pointer) for one in troubles],
                place=entry.record.place,
                store=first.store,
                business_date=first.business_date,
                amount=first.amount,
                currency=first.currency,
                group_id=row[0],
                ordinal=ordinal,
            )
        )
    return raised


def _own_message(connection: psycopg.Connection, connection_name: str, entry: Entry, trouble: Trouble) -> int:
    """A record of a file or of a larger message, as a message of its own that can be read again."""
    row = connection.execute(
        _sql.failed_record,
        {
            "connection": connection_name,
            "delivery_key": digest_key(entry.record.raw, f"{entry.part_of} {entry.record.place}"),
            "topic": entry.topic,
            "headers": _encode(dict(entry.headers)).decode(),
            "body": packed(entry.record.raw),
            "outcome": f"{trouble.code}: {trouble.message}",
            "part_of": f"{entry.part_of} {entry.record.place}".strip(),
        },
    ).fetchone()
    assert row is not None
    return int(row[0])
