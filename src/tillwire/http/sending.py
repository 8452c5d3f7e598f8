"""What a client may send: each event's source and store must lie within one of its grants.

Sales, stock and whatever else belongs to a store needs ``events:send`` there; a master record needs
``master-data:write`` as it does at ``/v1/masterdata``: in its store, if it counts nowhere else, or everywhere. Who may
send everything pays nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tillwire.governance.access import Grant, Operation, Principal
from tillwire.intake.door import Prepared, Refusal
from tillwire.masterdata.belonging import store_that_may_write
from tillwire.model.event import MESSAGE_DECODER

NOT_GRANTED = "not granted"
"""The title of a refusal for want of a grant."""

MOST_VERDICTS = 10_000
"""Places that are remembered: a client names few, and one that names many gains nothing by it."""


class _Grants:
    """The grants of one operation. ``open``: it is granted from every source to every store."""

    def __init__(self, grants: Sequence[Grant], companies: Mapping[str, str]) -> None:
        self._grants = grants
        self._companies = companies
        self._verdicts: dict[tuple[str, str | None], str] = {}
        self.open = any(grant.everywhere and "*" in grant.sources for grant in grants)

    def __bool__(self) -> bool:
        return bool(self._grants)

    def wrong(self, source: str, store: str | None) -> str:
        """What is outside every grant, as a pointer into an event; empty if one has it all. No store: all of them."""
        if self.open:
            return ""
        found = self._verdicts.get((source, store))
        if found is None:
            if len(self._verdicts) >= MOST_VERDICTS:
                self._verdicts.clear()
            found = self._judge(source, store)
            self._verdicts[(source, store)] = found
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
        return [self._judge(event) if type(event) is Prepared else event for event in events]

    def _judge(self, event: Prepared) -> Prepared | Refusal:
        if event.store is not None:
            if not self._events:
                return _refusal(event, "/type", f"{event.type} needs {Operation.SEND_EVENTS}, which is not granted")
            wrong = self._events.wrong(event.source, event.store)
        else:
            if not self._masters:
                return _refusal(
                    event, "/type", f"{event.type} needs {Operation.WRITE_MASTER_DATA}, which is not granted"
                )
            wrong = self.wrong_record(event.source, event)
        if not wrong:
            return event
        if wrong == "/source":
            return _refusal(event, wrong, f"no grant to send as {event.source}")
        if wrong == "/type":
            return _refusal(event, wrong, f"{event.type} counts in every store: it needs a grant for all of them")
        return _refusal(event, wrong, f"no grant to send as {event.source} for this store")

    def wrong_record(self, source: str, event: Prepared) -> str:
        """What of a master record is outside every grant to write them."""
        if self._masters.open:
            return ""
        store = store_that_may_write(MESSAGE_DECODER.decode(event.raw).data)
        return self._masters.wrong(source, store)

    def wrong(self, source: str, store: str) -> str:
        """What of an event of a store is outside every grant to send: ``/source``, ``/data/store``, or nothing."""
        return self._events.wrong(source, store)


def _refusal(event: Prepared, pointer: str, detail: str) -> Refusal:
    return Refusal(NOT_GRANTED, detail, pointer, event.id)
