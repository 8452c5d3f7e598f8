"""A trial: what a connector makes of a payload, and what the rules say to it, without storing anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from tillwire.connectors.inbound import InboundConnector, MalformedError, Outgoing, Record, Source
from tillwire.exceptions.codes import BLOCKING
from tillwire.intake.door import Refusal
from tillwire.intake.recording import claims_troubles, prepare
from tillwire.intake.rules import Auditor, Policy
from tillwire.masterdata.snapshot import Snapshot
from tillwire.model import master
from tillwire.model.event import EVENT_DECODER
from tillwire.model.money import ZERO
from tillwire.model.stock import Fulfilment, StockLevel, StockMovement
from tillwire.model.till import TillClosed
from tillwire.model.transaction import SELLING, Transaction


class Raised(msgspec.Struct, frozen=True):
    """An exception that a payload would raise; a warning is shown and keeps nothing from being recorded."""

    place: str
    code: str
    message: str
    pointer: str = ""
    severity: str = BLOCKING


class Outcome(msgspec.Struct, kw_only=True):
    """What became of one payload."""

    file: str
    records: int = 0
    events: list[msgspec.Raw] = []
    """As they would be stored."""
    exceptions: list[Raised] = []
    ignored: dict[str, int] = {}
    """Records that make no event on purpose, by reason."""
    notes: dict[str, int] = {}
    """Why records make less than may be expected beside their events."""
    totals: dict[str, Decimal] = {}
    """The totals of transactions that sell, by currency."""

    @property
    def verdict(self) -> str:
        """mapped, raised, ignored, or malformed: the whole of it in a word."""
        if any(one.code == "malformed" for one in self.exceptions):
            return "malformed"
        if any(one.severity == BLOCKING for one in self.exceptions):
            return "raised"
        return "mapped" if self.events else "ignored"

    def summary(self) -> str:
        """Exceptions by code, and what was ignored, in one line."""
        codes = Counter(one.code for one in self.exceptions)
        parts = [f"{code} x{count}" if count > 1 else code for code, count in sorted(codes.items())]
        told = sorted(self.ignored.items()) + sorted(self.notes.items())
        parts += [f"{reason} x{count}" if count > 1 else reason for reason, count in told]
        if len(self.exceptions) == 1:
            one = self.exceptions[0]
            parts[0] += f": {one.place}: {one.message}" if one.place else f": {one.message}"
        return "; ".join(parts)


def try_file(connector: InboundConnector, path: Path, *, topic: str, today: date) -> Outcome:
    """What ``connector`` makes of a file. ``today`` is the day that business dates are judged by."""
    with path.open("rb") as stream:
        return try_source(connector, Source(stream, path.name, topic), today=today)


def try_source(connector: InboundConnector, source: Source, *, today: date) -> Outcome:
    """What ``connector`` makes of a payload."""
    outcome = Outcome(file=source.name, events=[], exceptions=[], ignored={}, notes={}, totals={})
    try:
        for record in connector.read(source):
            _take(outcome, record, today)
    except MalformedError as error:
        outcome.exceptions = [Raised(error.place, "malformed", error.reason)]
        outcome.events = []
    if not outcome.records and not outcome.exceptions:
        outcome.exceptions = [Raised("", "schema_drift", "nothing in it was understood")]
    return outcome


def _take(outcome: Outcome, record: Record, today: date) -> None:
    outcome.records += 1
    if record.ignored and not record.events:
        outcome.ignored[record.ignored] = outcome.ignored.get(record.ignored, 0) + 1
    if record.note:
        outcome.notes[record.note] = outcome.notes.get(record.note, 0) + 1
    for trouble in record.troubles or claims_troubles(record):
        outcome.exceptions.append(Raised(record.place, trouble.code, trouble.message, trouble.pointer))
    if record.troubles:
        return
    for outgoing in record.events:
        prepared = prepare("trial", outgoing)
        if isinstance(prepared, Refusal):
            outcome.exceptions.append(Raised(record.place, "schema_drift", prepared.detail, prepared.pointer))
            continue
        outcome.events.append(msgspec.Raw(prepared.raw))
        message = EVENT_DECODER.decode(prepared.raw).data
        if isinstance(message, master.MasterRecord):
            continue
        faults, _ = Auditor(assuming([outgoing]), Policy(past_days=100_000)).check(message, today)
        outcome.exceptions += [Raised(record.place, one.code, one.message, one.pointer, one.severity) for one in faults]
        if isinstance(message, Transaction) and message.kind in SELLING:
            outcome.totals[message.currency] = outcome.totals.get(message.currency, ZERO) + message.total


def assuming(events: Iterable[Outgoing]) -> Snapshot:
    """Master data that knows every store, product, unit, tax code and tender that the events name."""
    snapshot = Snapshot()
    for event in events:
        for record in _assumed(event.data):
            snapshot.put(record)
    return snapshot


def _assumed(message: Any) -> Iterator[Any]:
    store = getattr(message, "store", None)
    if store is not None:
        register = getattr(message, "register", None)
        yield master.StoreRecord(
            revision=1,
            store=store,
            name=store,
            company="trial",
            currency=getattr(message, "currency", None) or "XXX",
            time_zone="UTC",
            registers=(register,) if register else (),
        )
    if isinstance(message, StockLevel):
        yield from _products([(message.sku, message.unit)])
    elif isinstance(message, Transaction | StockMovement | Fulfilment):
        yield from _products([(line.sku, line.unit) for line in message.lines])
    if isinstance(message, Transaction):
        taxes = {tax.code: tax.rate or ZERO for line in message.lines for tax in line.taxes}
        for code, rate in taxes.items():
            yield master.TaxCodeRecord(revision=1, code=code, name="", rate=rate)
    if isinstance(message, Transaction | TillClosed):
        for kind in {tender.type for tender in message.tenders}:
            yield master.TenderRecord(revision=1, type=kind, name="")


def _products(named: Iterable[tuple[str, str]]) -> Iterator[master.ProductRecord]:
    units: dict[str, list[str]] = {}
    for sku, unit in named:
        units.setdefault(sku, []).append(unit)
    for sku, (first, *others) in units.items():
        further = {unit: Decimal(1) for unit in others if unit != first}
        yield master.ProductRecord(revision=1, sku=sku, name="", product_class="trial", unit=first, units=further)
