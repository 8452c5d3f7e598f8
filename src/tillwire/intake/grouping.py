"""What one transaction of intake writes, whoever opened it: each key once; what came twice told from what conflicts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from tillwire.database.arrays import number_array, text_array
from tillwire.events import frames
from tillwire.intake.door import Prepared
from tillwire.intake.faulty import exception_row
from tillwire.intake.rules import Fault
from tillwire.model.event import EVENT_DECODER, type_of

ACCEPTED = "accepted"
DUPLICATE = "duplicate"
CONFLICT = "conflict"


@dataclass(slots=True)
class Group:
    """Events that share a transaction: each key once, later occurrences beside it."""

    events: list[Prepared] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    first: dict[tuple[str, str], int] = field(default_factory=dict)
    repeats: list[int] = field(default_factory=list)

    def add(self, event: Prepared) -> None:
        """Add one event; accepted until shown otherwise."""
        ordinal = len(self.events)
        self.events.append(event)
        self.statuses.append(ACCEPTED)
        if self.first.setdefault((event.key, event.source), ordinal) != ordinal:
            self.repeats.append(ordinal)

    def parameters(self) -> dict[str, object]:
        """The parameters of the statement that accepts the group."""
        events = self.events
        ordinals = list(self.first.values())
        return {
            "body": frames.pack([event.raw for event in events]),
            "keys": text_array([events[i].key for i in ordinals]),
            "sources": text_array([events[i].source for i in ordinals]),
            "ordinals": number_array(ordinals),
            "partitions": number_array([events[i].partition for i in ordinals]),
        }

    def doubtful(self, fresh: Iterable[int]) -> list[int]:
        """The events whose key was there already, once the statement has said which are ``fresh``."""
        new = set(fresh)
        return [i for i in self.first.values() if i not in new] + self.repeats

    def keys_of(self, doubtful: list[int]) -> dict[str, object]:
        """The parameters of the query for what is stored under the keys of doubtful events."""
        keys = list({(self.events[i].key, self.events[i].source) for i in doubtful})
        return {"keys": text_array([key for key, _ in keys]), "sources": text_array([source for _, source in keys])}

    def by_stored_group(
        self, doubtful: list[int], known: Iterable[tuple[str, str, int, int]]
    ) -> dict[int, list[tuple[int, int]]]:
        """Which stored groups hold what doubtful events must be compared with: event and stored ordinal, by group."""
        places = {(key, source): (stored_in, ordinal) for key, source, stored_in, ordinal in known}
        found: dict[int, list[tuple[int, int]]] = {}
        for i in doubtful:
            stored_in, ordinal = places[(self.events[i].key, self.events[i].source)]
            found.setdefault(stored_in, []).append((i, ordinal))
        return found

    def judge(self, body: bytes, pairs: list[tuple[int, int]]) -> None:
        """Tell duplicates from conflicts, by what a stored group holds under their keys."""
        pieces = frames.unpack(body)
        for i, ordinal in pairs:
            self.statuses[i] = DUPLICATE if same(self.events[i].raw, pieces[ordinal]) else CONFLICT

    def conflicts(self, doubtful: list[int]) -> list[Prepared]:
        """Events in conflict, in one order for all groups: two that raise the same conflicts then wait for each other
        and never deadlock.
        """
        events = [self.events[i] for i in doubtful if self.statuses[i] == CONFLICT]
        return sorted(events, key=lambda event: (event.key, event.source, event.raw))


def same(raw: bytes, stored: bytes) -> bool:
    """True if two events say the same, if need be in other words (spaces, order of fields, "1.0" for "1.00")."""
    if raw == stored:
        return True
    one, other = EVENT_DECODER.decode(raw), EVENT_DECODER.decode(stored)
    return type_of(one) == type_of(other) and bool(one.data == other.data)


def conflict_row(event: Prepared, group_id: int, ordinal: int) -> dict[str, object]:
    """The parameters of the exception of an event in conflict, whose raw bytes lie in a group of their own."""
    message = "the same key came again with other content; the first stays recorded, this one has no effect"
    fault = Fault("duplicate_conflict", message, "")
    row = exception_row(event.raw, group_id, ordinal, event.partition, [fault])
    return {**row, "faults": msgspec.json.encode([fault]).decode(), "digest": hashlib.sha256(event.raw).digest()}
