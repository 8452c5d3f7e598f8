"""Judging what connectors map: master data that knows every code of an event, so that only its figures can be wrong."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tillwire.connectors.inbound import Outgoing, Record
from tillwire.intake.rules import Auditor, Policy
from tillwire.masterdata.snapshot import Snapshot
from tillwire.model.event import MASTER_TYPES
from tillwire.model.master import ProductRecord, StoreRecord, TaxCodeRecord, TenderRecord
from tillwire.model.transaction import SELLING, Transaction


def knowing(message: object) -> Snapshot:
    """A snapshot with the store, register, products, tax codes and tenders that a message names."""
    snapshot = Snapshot()
    store, register = getattr(message, "store", None), getattr(message, "register", None)
    currency = getattr(message, "currency", "USD")
    if store:
        registers = (register,) if register else ()
        snapshot.put(
            StoreRecord(
                store=store,
                name=store,
                company="C",
                currency=currency,
                time_zone="UTC",
                registers=registers,
                revision=1,
            )
        )
    for line in getattr(message, "lines", ()):
        snapshot.put(ProductRecord(sku=line.sku, name="x", product_class="x", unit=line.unit, revision=1))
        for tax in getattr(line, "taxes", ()):
            snapshot.put(TaxCodeRecord(code=tax.code, name="x", rate=tax.rate or Decimal(0), revision=1))
    for tender in getattr(message, "tenders", ()):
        snapshot.put(TenderRecord(type=tender.type, name="x", revision=1))
    if hasattr(message, "sku"):
        snapshot.put(ProductRecord(sku=message.sku, name="x", product_class="x", unit=message.unit, revision=1))
    return snapshot


def codes_of(events: Iterable[Outgoing]) -> list[str]:
    """The codes that the hub's rules raise for events, in order, each once."""
    found: list[str] = []
    for event in events:
        if event.type in MASTER_TYPES:
            continue
        message = event.data
        faults, _ = Auditor(knowing(message), Policy()).check(message, message.business_date + timedelta(days=1))
        found += [fault.code for fault in faults]
    return list(dict.fromkeys(found))


def sold(records: Iterable[Record]) -> dict[str, Decimal]:
    """What the mapped transactions that sell come to, by currency."""
    totals: dict[str, Decimal] = {}
    for record in records:
        for event in record.events:
            if isinstance(event.data, Transaction) and event.data.kind in SELLING:
                totals[event.data.currency] = totals.get(event.data.currency, Decimal(0)) + event.data.total
    return totals


def claimed(records: Iterable[Record]) -> dict[str, Decimal]:
    """What the payload says they come to, by currency."""
    totals: dict[str, Decimal] = {}
    for record in records:
        for claim in record.claims:
            totals[claim.currency] = totals.get(claim.currency, Decimal(0)) + claim.amount
    return totals


def outcome(record: Record) -> str:
    """One word and its reason: mapped, raised CODE, ignored WHY."""
    if record.troubles:
        return "raised " + ", ".join(trouble.code for trouble in record.troubles)
    if record.events:
        codes = codes_of(record.events)
        return "raised " + ", ".join(codes) if codes else "mapped"
    return f"ignored {record.ignored}"


def fixtures(folder: str) -> Path:
    """The folder of real payloads beside the checkout (or TILLWIRE_FIXTURES); skips where there is none."""
    roots = [Path(os.environ["TILLWIRE_FIXTURES"])] if "TILLWIRE_FIXTURES" in os.environ else []
    roots += [parent / "shared" / "fixtures" for parent in Path(__file__).resolve().parents]
    for root in roots:
        if (root / folder).is_dir():
            return root / folder
    pytest.skip(f"the real payloads are not here (shared/fixtures/{folder}, or TILLWIRE_FIXTURES)")
