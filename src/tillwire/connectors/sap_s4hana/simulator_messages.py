"""The schema of ``JournalEntryBulkCreateRequest`` as far as G/L items go: what a message must look like to be taken in.

Elements in the order of the schema, required ones, lengths, codes, dates and amounts; anything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from tillwire.connectors.sap_s4hana.client import ACTIONS
from tillwire.connectors.sap_s4hana.soap import SFIN, NotReadableError, child, children, message_of, parse, text_of
from tillwire.connectors.simulation import Request


class WrongMessageError(ValueError):
    """The message does not keep to the contract; becomes a SOAP fault."""


class Field(NamedTuple):
    """One element without children."""

    check: Callable[[str], bool]
    required: bool = False
    attributes: tuple[str, ...] = ()


def _of(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda told: compiled.fullmatch(told) is not None


def _at_most(length: int) -> Callable[[str], bool]:
    return lambda told: 0 < len(told) <= length


def _is_date(told: str) -> bool:
    try:
        return date.fromisoformat(told).isoformat() == told
    except ValueError:
        return False


def _is_amount(told: str) -> bool:
    return re.fullmatch(r"-?\d{1,22}(\.\d{1,6})?", told) is not None


_MOMENT = _of(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z")
Shape = Mapping[str, Any]
"""By element: a ``Field``, or the shape of what is in it; a list of a shape may come again."""

_HEADER: Shape = {
    "ID": Field(_at_most(35), required=True),
    "UUID": Field(_of(r"[0-9A-Fa-f-]{36}")),
    "ReferenceID": Field(_at_most(35)),
    "CreationDateTime": Field(_MOMENT, required=True),
    "TestDataIndicator": Field(_of("true|false")),
    "SenderBusinessSystemID": Field(_at_most(60)),
}
_ASSIGNMENT: Shape = {
    "ProfitCenter": Field(_at_most(10)),
    "Segment": Field(_at_most(10)),
    "CostCenter": Field(_at_most(10)),
    "FunctionalArea": Field(_at_most(16)),
    "OrderID": Field(_at_most(12)),
}
_ITEM: Shape = {
    "ReferenceDocumentItem": Field(_of(r"[1-9]\d{0,9}")),
    "GLAccount": Field(_at_most(10), required=True),
    "AmountInTransactionCurrency": Field(_is_amount, required=True, attributes=("currencyCode",)),
    "DebitCreditCode": Field(_of("[SH]"), required=True),
    "DocumentItemText": Field(_at_most(50)),
    "AssignmentReference": Field(_at_most(18)),
    "AccountAssignment": _ASSIGNMENT,
}
_ENTRY: Shape = {
    "OriginalReferenceDocumentType": Field(_of("BKPFF"), required=True),
    "BusinessTransactionType": Field(_of("RFBU"), required=True),
    "AccountingDocumentType": Field(_of("[A-Z0-9]{1,2}"), required=True),
    "DocumentReferenceID": Field(_at_most(16)),
    "DocumentHeaderText": Field(_at_most(25)),
    "CreatedByUser": Field(_at_most(12), required=True),
    "CompanyCode": Field(_of("[A-Z0-9]{1,4}"), required=True),
    "DocumentDate": Field(_is_date, required=True),
    "PostingDate": Field(_is_date, required=True),
    "Reference1InDocumentHeader": Field(_at_most(20)),
    "Reference2InDocumentHeader": Field(_at_most(20)),
    "Item": [_ITEM],
}
_REQUEST: Shape = {"MessageHeader": _HEADER, "JournalEntry": _ENTRY}
_BULK: Shape = {"MessageHeader": _HEADER, "JournalEntryCreateRequest": [_REQUEST]}


class ItemRequest(NamedTuple):
    """One item; ``amount`` is signed."""

    account: str
    amount: Decimal
    text: str
    assignment: Mapping[str, str]


class EntryRequest(NamedTuple):
    """One journal entry to be posted."""

    bulk_id: str
    message_id: str
    fields: Mapping[str, str]
    currency: str
    items: tuple[ItemRequest, ...]


def check_call(request: Request, *, asynchronous: bool) -> None:
    """The call around the message. Raises ``WrongMessageError``."""
    media = request.headers.get("content-type", "").split(";")[0].strip()
    if request.method != "POST" or media != "text/xml":
        raise WrongMessageError("a SOAP 1.1 message is a POST of text/xml")
    if request.headers.get("soapaction", "").strip('"') != ACTIONS[request.path]:
        raise WrongMessageError(f"SOAPAction is {request.headers.get('soapaction')}, not {ACTIONS[request.path]}")
    told = request.query.get("MessageId", "")
    if asynchronous and not re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", told):
        raise WrongMessageError("an asynchronous message needs a UUID as MessageId in its URL")
    unknown = set(request.query) - {"MessageId", "sap-client"}
    if unknown:
        raise WrongMessageError(f"the URL has unknown parameters {sorted(unknown)}")


def bulk_of(body: bytes, *, most: int | None) -> list[EntryRequest]:
    """The entries of a message. Raises ``WrongMessageError``."""
    try:
        message = message_of(parse(body))
    except NotReadableError as error:
        raise WrongMessageError(str(error)) from error
    if message.tag != f"{{{SFIN}}}JournalEntryBulkCreateRequest":
        raise WrongMessageError(f"operation {message.tag} is not known")
    _check(message, _BULK, "JournalEntryBulkCreateRequest")
    bulk_id = text_of(message, "MessageHeader", "ID")
    entries = [_entry(bulk_id, element) for element in children(message, "JournalEntryCreateRequest")]
    if most is not None and len(entries) > most:
        raise WrongMessageError(f"{len(entries)} journal entries in one call, {most} are taken at most")
    return entries


def _check(element: Element, shape: Shape, path: str) -> None:
    names = list(shape)
    place = 0
    seen: list[str] = []
    for part in element:
        if part.tag not in shape:
            raise WrongMessageError(f"{path}: element {part.tag} is not expected")
        found = names.index(part.tag)
        again = part.tag in seen
        if found < place or (again and not isinstance(shape[part.tag], list)):
            raise WrongMessageError(f"{path}: element {part.tag} stands in the wrong place")
        place = found
        seen.append(part.tag)
        _check_part(part, shape[part.tag], f"{path}/{part.tag}")
    for name, wanted in shape.items():
        required = wanted.required if isinstance(wanted, Field) else name != "AccountAssignment"
        if required and name not in seen:
            raise WrongMessageError(f"{path}: element {name} is missing")


def _check_part(part: Element, wanted: Any, path: str) -> None:
    if not isinstance(wanted, Field):
        _check(part, wanted[0] if isinstance(wanted, list) else wanted, path)
        return
    if len(part) or set(part.attrib) != set(wanted.attributes) or not wanted.check(part.text or ""):
        raise WrongMessageError(f"{path}: {part.text!r} with {dict(part.attrib)} is not a valid value")


def _entry(bulk_id: str, element: Element) -> EntryRequest:
    entry = child(element, "JournalEntry")
    assert entry is not None  # it was checked
    items = [_item(item) for item in children(entry, "Item")]
    currencies = {amount.get("currencyCode") for amount in entry.iter("AmountInTransactionCurrency")}
    if len(currencies) != 1 or not re.fullmatch("[A-Z]{3}", str(next(iter(currencies)))):
        raise WrongMessageError(f"currencyCode: one ISO code for all items is expected, {currencies} are told")
    return EntryRequest(
        bulk_id,
        text_of(element, "MessageHeader", "ID"),
        {part.tag: (part.text or "") for part in entry if not len(part)},
        str(next(iter(currencies))),
        tuple(items),
    )


def _item(item: Element) -> ItemRequest:
    try:
        amount = Decimal(text_of(item, "AmountInTransactionCurrency"))
    except InvalidOperation as error:
        raise WrongMessageError("AmountInTransactionCurrency is no number") from error
    code = text_of(item, "DebitCreditCode")
    if (amount < 0) != (code == "H"):
        raise WrongMessageError(f"AmountInTransactionCurrency {amount} does not go with DebitCreditCode {code}")
    assignment = child(item, "AccountAssignment")
    fields = {part.tag: part.text or "" for part in assignment} if assignment is not None else {}
    return ItemRequest(text_of(item, "GLAccount"), amount, text_of(item, "DocumentItemText"), fields)
