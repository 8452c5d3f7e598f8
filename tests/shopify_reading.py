"""Reading payloads with the Shopify connector, and judging what comes out with the sales auditor's rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from tillwire.connectors.inbound import Record, body_source
from tillwire.connectors.registry import examples_folder
from tillwire.connectors.shopify import SPEC
from tillwire.connectors.shopify.connector import ShopifyConnector
from tillwire.intake.rules import Auditor, Policy
from tillwire.masterdata.snapshot import Snapshot
from tillwire.model.master import ProductRecord, StoreRecord, TaxCodeRecord, TenderRecord
from tillwire.model.transaction import LineKind, Transaction

SETTINGS: dict[str, Any] = {"shop": "tilly-test.myshopify.com", "currency": "USD", "time_zone": "America/New_York"}


def connector(**more: Any) -> ShopifyConnector:
    """A connector of the test shop."""
    made: ShopifyConnector = SPEC.configure({**SETTINGS, **more}, of="test")
    return made


def records(payload: Any, topic: str = "", **settings: Any) -> list[Record]:
    """What is read of a payload: bytes as they are, anything else as JSON."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return list(connector(**settings).read(body_source(body, topic)))


def example(name: str) -> Any:
    """One of the connector's examples, decoded; to be changed at will."""
    return json.loads((examples_folder(SPEC) / name).read_bytes())


def example_bytes(name: str) -> bytes:
    """One of the connector's examples as it lies there."""
    return (Path(examples_folder(SPEC)) / name).read_bytes()


def transactions(found: list[Record]) -> list[Transaction]:
    """The transactions among the events."""
    return [one.data for record in found for one in record.events if isinstance(one.data, Transaction)]


def only(found: list[Record]) -> Transaction:
    """The one transaction of records without troubles."""
    assert [trouble for record in found for trouble in record.troubles] == []
    (transaction,) = transactions(found)
    return transaction


def faults(transaction: Transaction) -> list[str]:
    """The codes of the rules that a transaction breaks, where all of its codes are known to master data."""
    master = Snapshot()
    store = transaction.store
    master.put(
        StoreRecord(
            store=store,
            name="A",
            company="C",
            currency=transaction.currency,
            time_zone="UTC",
            registers=(transaction.register,),
            revision=1,
        )
    )
    for line in transaction.lines:
        if line.kind is LineKind.ITEM:
            master.put(ProductRecord(sku=line.sku, name="P", product_class="X", revision=1))
        for tax in line.taxes:
            master.put(TaxCodeRecord(code=tax.code, name="T", rate=Decimal(0), revision=1))
    for tender in transaction.tenders:
        master.put(TenderRecord(type=tender.type, name="T", revision=1))
    found, _ = Auditor(master, Policy()).check(transaction, date(2026, 11, 21))
    return [fault.code for fault in found]


def summed(found: list[Record]) -> Mapping[str, Decimal]:
    """The claims by currency."""
    total: dict[str, Decimal] = {}
    for record in found:
        for claim in record.claims:
            total[claim.currency] = total.get(claim.currency, Decimal(0)) + claim.amount
    return total
