"""POSLog texts for tests, and what the connector makes of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tillwire.connectors.inbound import Record, body_source
from tillwire.connectors.poslog import PoslogConnector, PoslogSettings
from tillwire.intake.rules import Auditor, Policy
from tillwire.masterdata.snapshot import Snapshot
from tillwire.model.master import StoreRecord
from tillwire.model.transaction import Transaction

HEAD = (
    "<RetailStoreID>7</RetailStoreID><WorkstationID>2</WorkstationID><SequenceNumber>{sequence}</SequenceNumber>"
    "<BusinessDayDate>2025-05-05</BusinessDayDate><CurrencyCode>{currency}</CurrencyCode>"
)


def transaction(body: str, *, sequence: int | str = 1, currency: str = "USD", attributes: str = "") -> str:
    """A Transaction element around a body."""
    return f"<Transaction{attributes}>{HEAD.format(sequence=sequence, currency=currency)}{body}</Transaction>"


def retail(*items: str, total: str = "", status: str = "", more: str = "", **totals: str) -> str:
    """A RetailTransaction of line items with its totals."""
    written = f'<Total TotalType="TransactionGrandAmount">{total}</Total>' if total else ""
    written += "".join(f'<Total TotalType="{name}">{amount}</Total>' for name, amount in totals.items())
    state = f' TransactionStatus="{status}"' if status else ""
    lines = "".join(one if one.startswith("<LineItem") else f"<LineItem>{one}</LineItem>" for one in items)
    return f"<RetailTransaction{state}>{lines}{written}{more}</RetailTransaction>"


def sale(
    sku: str = "A", amount: str = "10.00", quantity: str = "1", more: str = "", tag: str = "Sale", price: str = ""
) -> str:
    """A line's Sale, Return and the like."""
    priced = f"<RegularSalesUnitPrice>{price}</RegularSalesUnitPrice>" if price else ""
    return (
        f"<{tag}><ItemID>{sku}</ItemID>{priced}<ExtendedAmount>{amount}</ExtendedAmount>"
        f"<Quantity>{quantity}</Quantity>{more}</{tag}>"
    )


def cash(amount: str, more: str = "", code: str = "") -> str:
    """A tender of cash."""
    return f'<Tender TenderType="Cash"{code}><Amount>{amount}</Amount>{more}</Tender>'


def records(text: str | bytes, **settings: Any) -> list[Record]:
    """What the connector makes of a document."""
    body = text if isinstance(text, bytes) else text.encode()
    return list(PoslogConnector(PoslogSettings(**settings)).read(body_source(body)))


def record(body: str, **settings: Any) -> Record:
    """The one record of a document with one transaction."""
    (only,) = records(f"<POSLog>{body}</POSLog>", **settings)
    return only


def read(body: str, **settings: Any) -> Transaction:
    """The one transaction of a document."""
    made = record(body, **settings)
    assert made.troubles == (), made
    (event,) = made.events
    assert isinstance(event.data, Transaction)
    return event.data


def figures(tx: Transaction) -> Decimal:
    """Lines, tax that is not in them, and rounding."""
    total = tx.rounding
    for line in tx.lines:
        if not line.voided:
            total += line.amount
            within = tx.tax_included if line.tax_included is None else line.tax_included
            total += Decimal(0) if within else sum((tax.amount for tax in line.taxes), Decimal(0))
    return total


def faults(tx: Transaction) -> set[str]:
    """The codes of the rules that a transaction breaks, but for those of master data."""
    master = Snapshot()
    master.put(
        StoreRecord(
            revision=1,
            store=tx.store,
            name="",
            company="c",
            currency=tx.currency,
            time_zone="UTC",
            registers=(tx.register,),
        )
    )
    found, _ = Auditor(master, Policy()).check(tx, tx.business_date)
    return {fault.code for fault in found if not fault.code.startswith("unknown_")}
