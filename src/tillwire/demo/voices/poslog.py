"""A store that writes ARTS/OMG POSLog: the same day, as two vendors would write it.

One declares the standard's namespace, names stores by ``BusinessUnit`` and hangs change below its tender; the other has
no namespace, names stores by ``RetailStoreID`` and writes change as a negative cash tender.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from tillwire.demo.retailer import CURRENCY
from tillwire.demo.tendering import CARD, CASH, COUPON, GIFT_CARD
from tillwire.model.money import ZERO
from tillwire.model.till import ControlTotals, DayClosed, DayOpened, TillClosed, TillOpened
from tillwire.model.transaction import SELLING, Kind, Line, Original, Tender, Transaction

Vendor = Literal["standard", "plain"]

NAMESPACE = "http://www.nrf-arts.org/IXRetail/namespace/"
_TENDERS = {CASH: "Cash", CARD: "CreditDebit", COUPON: "ManufacturerCoupon", GIFT_CARD: "GiftCard"}
_STATUS = {Kind.CANCELLED: "Canceled", Kind.POST_VOID: "PostVoided"}
_HUNDRED = Decimal(100)
_CONTROLS = 900_000
"""Where the numbers of control transactions begin, which are none of a register's own."""

SETTINGS: dict[str, object] = {"time_zone": "America/New_York", "product_codes": ["ItemID"], "tax_codes": ["TaxRuleID"]}
"""The settings of a connection that reads what is written here."""


def written(messages: Iterable[Any], vendor: Vendor) -> bytes:
    """Canonical messages of one store as a POSLog."""
    root = Element("POSLog", {"MajorVersion": "6", "MinorVersion": "0"})
    if vendor == "standard":
        root.set("xmlns", NAMESPACE)
    controls = _CONTROLS
    for message in messages:
        if isinstance(message, Transaction):
            root.append(_transaction(message, vendor))
        else:
            controls += 1
            root.append(_control(message, controls, vendor))
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root)


def _text(parent: Element, name: str, value: object, **attributes: str) -> Element:
    element = SubElement(parent, name, attributes)
    element.text = f"{value!s}"
    return element


def _head(message: Any, sequence: int, register: str, vendor: Vendor) -> Element:
    element = Element("Transaction")
    _place(element, message.store, register, vendor)
    _text(element, "SequenceNumber", sequence)
    _text(element, "BusinessDayDate", message.business_date)
    _text(element, "CurrencyCode", CURRENCY)
    moment = getattr(message, "ended_at", None) or getattr(message, "at", None)
    if moment is not None:
        _text(element, "EndDateTime", moment.isoformat())
    return element


def _place(element: Element, store: str, register: str, vendor: Vendor) -> None:
    if vendor == "standard":
        _text(SubElement(element, "BusinessUnit"), "UnitID", store)
    else:
        _text(element, "RetailStoreID", store)
    _text(element, "WorkstationID", register)


def _transaction(tx: Transaction, vendor: Vendor) -> Element:
    element = _head(tx, tx.sequence, tx.register, vendor)
    element.set("TrainingModeFlag", "true" if tx.kind is Kind.TRAINING else "false")
    if tx.kind is Kind.NO_SALE:
        SubElement(SubElement(element, "ControlTransaction"), "NoSale")
        return element
    body = SubElement(element, "RetailTransaction", {"TransactionStatus": _STATUS.get(tx.kind, "Finished")})
    if tx.receipt:
        _text(body, "ReceiptNumber", tx.receipt)
    back = tx.kind in (Kind.RETURN, Kind.POST_VOID)
    for line in tx.lines:
        _line(SubElement(body, "LineItem"), line, "Return" if tx.kind is Kind.RETURN else "Sale", back=back)
    for tender in _paid(tx.tenders, vendor):
        SubElement(body, "LineItem").append(tender)
    if tx.kind in SELLING or tx.kind is Kind.TRAINING:
        _text(body, "Total", abs(tx.total), TotalType="TransactionGrandAmount")
        _text(body, "Total", abs(tx.tax or ZERO), TotalType="TransactionTaxAmount")
    if tx.original is not None:
        body.append(_link(tx.original, vendor))
    return element


def _link(original: Original, vendor: Vendor) -> Element:
    link = Element("TransactionLink", {"ReasonCode": "Return"})
    _place(link, original.store, original.register, vendor)
    _text(link, "SequenceNumber", original.sequence)
    _text(link, "BusinessDayDate", original.business_date)
    return link


def _line(item: Element, line: Line, name: str, *, back: bool) -> None:
    """A line; what comes back is written as positive amounts of a Return, or of a voided sale."""
    sign = -1 if back else 1
    element = SubElement(item, name, {"ItemType": "Stock"})
    _text(element, "ItemID", line.sku)
    _text(element, "RegularSalesUnitPrice", line.unit_price)
    _text(element, "ExtendedAmount", sign * line.amount)
    _text(element, "Quantity", sign * line.quantity, UnitOfMeasureCode=line.unit)
    for discount in line.discounts:
        modifier = SubElement(element, "RetailPriceModifier", {"MethodCode": "Promotion"})
        _text(modifier, "Amount", sign * discount.amount, Action="Subtract")
        _text(modifier, "ReasonCode", discount.reason)
    for tax in line.taxes:
        levied = SubElement(element, "Tax", {"TaxType": "Sales"})
        _text(levied, "TaxRuleID", tax.code)
        _text(levied, "Amount", sign * tax.amount)
        if tax.rate is not None:
            _text(levied, "Percent", tax.rate * _HUNDRED)


def _paid(tenders: Iterable[Tender], vendor: Vendor) -> Iterator[Element]:
    """Tenders as elements. The standard's change is a part of the tender before it."""
    last: Element | None = None
    for tender in tenders:
        if tender.change and vendor == "standard" and last is not None:
            _text(SubElement(last, "TenderChange"), "Amount", -tender.amount)
            continue
        element = Element("Tender", {"TenderType": _TENDERS[tender.type]})
        if tender.amount < 0 and not tender.change:
            element.set("TypeCode", "Refund")
            _text(element, "Amount", -tender.amount)
        else:
            _text(element, "Amount", tender.amount)
        if last is not None:
            yield last
        last = element
    if last is not None:
        yield last


def _control(message: Any, sequence: int, vendor: Vendor) -> Element:
    element = _head(message, sequence, getattr(message, "register", "1"), vendor)
    match message:
        case DayOpened():
            SubElement(SubElement(element, "ControlTransaction"), "BusinessSOD")
        case DayClosed():
            _totals(SubElement(SubElement(element, "ControlTransaction"), "BusinessEOD"), message.totals)
        case TillOpened():
            settle = SubElement(SubElement(element, "TenderControlTransaction"), "TillSettle")
            beginning = SubElement(SubElement(settle, "TenderSummary"), "Beginning", {"TenderType": "Cash"})
            _text(beginning, "Amount", message.opening_float)
        case TillClosed():
            settle = SubElement(SubElement(element, "TenderControlTransaction"), "TillSettle")
            _totals(settle, message.totals)
            for count in message.tenders:
                summary = SubElement(settle, "TenderSummary")
                kind = _TENDERS[count.type]
                _text(SubElement(summary, "Ending", {"TenderType": kind}), "Amount", count.counted)
                off = count.counted - count.calculated
                name = "Short" if off < 0 else "Over"
                _text(SubElement(summary, name, {"TenderType": kind}), "Amount", abs(off))
        case _:
            raise TypeError(f"no POSLog for {type(message).__name__}")
    return element


def _totals(parent: Element, totals: ControlTotals) -> None:
    _text(parent, "TransactionCount", totals.transactions)
    _text(parent, "GrossPositiveAmount", max(totals.amount, ZERO))
    _text(parent, "GrossNegativeAmount", max(-totals.amount, ZERO))
