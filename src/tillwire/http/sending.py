"""What a client may send: each event's source and store must lie within one of its grants.

Sales, stock and whatever else belongs to a store needs ``events:send`` there; a master record needs
``master-data:write`` as it does at ``/v1/masterdata``: in its store, if it counts nowhere else, or everywhere. Who may
send everything pays nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tillwire.governance.access import Grant, Operation, Principal
from tillwire.intake.door import Prepared, Refusal
from tillwire.masterdata.belonging import store_that_may_write
from tillwire.model.event import MESSAGE_DECODER, store_of
from tillwire.model.master import MasterRecord

NOT_GRANTED = "not granted"
"""The title of a refusal for want of a grant."""

MOST_VERDICTS = 10_000
"""Places that are remembered: a client names few, and one that names many gains nothing by it."""


class Wrong(NamedTuple):
    """What is outside every grant: where in the event, and in words."""

    pointer: str
    detail: str


class _Grants:
    """The grants of one operation. ``open``: it is granted from every source to every store."""

    def __init__(self, grants: Sequence[Grant], companies: Mapping[str, str]) -> None:
        self._grants = grants
        self._companies = companies
        self.verdicts: dict[tuple[str, str | None], str] = {}
        """What was found wrong with a source and a store; empty: nothing."""
        self.open = any(grant.everywhere and "*" in grant.sources for grant in grants)

    def __bool__(self) -> bool:
        return bool(self._grants)

    def take(self, source: str) -> bool:
        """Whether there is one for a source at all."""
        return any(grant.takes_source(source) for grant in self._grants)

    def wrong(self, source: str, store: str | None) -> str:
        """What is outside every grant, as a pointer into an event; empty if one has it all. No store: all of them."""
        if self.open:
            return ""
        found = self.verdicts.get((source, store))
        if found is None:
            if len(self.verdicts) >= MOST_VERDICTS:
                self.verdicts.clear()
            found = self._judge(source, store)
            self.verdicts[(source, store)] = found
        return found

    def _judge(self, source: str, store: str | None) -> str:
        fitting = [grant for grant in self._grants if grant.takes_source(source)]
        if not fitting:
            return "/source"
        if store is None:
            return "" if any(grant.everywhere for grant in fitting) else "/type"
        company = self._companies.get(store, "")
        return "" if any(grant.takes(store, company) for grant in fitting) else "/data/store"


class Sending:
    """What one principal may send, as long as neither its grants nor the stores' companies change."""

    def __init__(self, principal: Principal, companies: Mapping[str, str]) -> None:
        self._events = self._of(Operation.SEND_EVENTS, principal, companies)
        self._masters = self._of(Operation.WRITE_MASTER_DATA, principal, companies)
        self.anything = bool(self._events or self._masters)
        """Whether it may send any event at all."""
        self.every_record = self._masters.open
        """Whether it may write every master record as any source."""
        self._all = self._events.open and self._masters.open

    @staticmethod
    def _of(operation: Operation, principal: Principal, companies: Mapping[str, str]) -> _Grants:
        return _Grants([grant for grant in principal.grants if operation in grant.operations], companies)

    def judged(self, events: list[Prepared | Refusal]) -> list[Prepared | Refusal]:
        """The events, those outside every grant as refusals."""
        if self._all:
            return events
        if self._events.open:  # most clients: only what belongs to no store is looked at
            return [
                event if type(event) is not Prepared or event.store is not None else self._judge(event)
                for event in events
            ]
        known = self._events.verdicts
        return [
            event if type(event) is not Prepared or known.get((event.source, event.store)) == "" else self._judge(event)
            for event in events
        ]

    def _judge(self, event: Prepared) -> Prepared | Refusal:
        if event.store is not None:
            wrong = self._wrong_event(event.source, event.type, event.store)
        elif self._masters.open:
            return event
        else:
            wrong = self._wrong_record(event.source, event.type, MESSAGE_DECODER.decode(event.raw).data)
        return event if wrong is None else Refusal(NOT_GRANTED, wrong.detail, wrong.pointer, event.id)

    def wrong_message(self, source: str, event_type: str, message: Any) -> Wrong | None:
        """What of a message, of any type, is outside every grant."""
        store = store_of(message)
        if store is None:
            return self._wrong_record(source, event_type, message)
        return self._wrong_event(source, event_type, store)

    def wrong_source(self, operation: Operation, source: str) -> Wrong | None:
        """Whether nothing at all may be sent as this source."""
        grants = self._events if operation is Operation.SEND_EVENTS else self._masters
        return None if grants.take(source) else Wrong("/source", f"no grant to send as {source}")

    def wrong_place(self, operation: Operation, source: str, store: str) -> Wrong | None:
        """Whether what is of a store may not be sent as this source."""
        grants = self._events if operation is Operation.SEND_EVENTS else self._masters
        return _told(grants.wrong(source, store), source, "it")

    def _wrong_event(self, source: str, event_type: str, store: str) -> Wrong | None:
        if not self._events:
            return Wrong("/type", f"{event_type} needs {Operation.SEND_EVENTS}, which is not granted")
        return _told(self._events.wrong(source, store), source, event_type)

    def _wrong_record(self, source: str, event_type: str, record: MasterRecord) -> Wrong | None:
        if not self._masters:
            return Wrong("/type", f"{event_type} needs {Operation.WRITE_MASTER_DATA}, which is not granted")
        return _told(self._masters.wrong(source, store_that_may_write(record)), source, event_type)


def _told(pointer: str, source: str, what: str) -> Wrong | None:
    if not pointer:
        return None
    if pointer == "/source":
        return Wrong(pointer, f"no grant to send as {source}")
    if pointer == "/type":
        return Wrong(pointer, f"{what} counts in every store: it needs a grant for all of them")
    return Wrong(pointer, f"no grant to send as {source} for this store")
