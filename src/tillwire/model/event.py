"""The event: a CloudEvents 1.0 envelope around one typed message of the canonical model.

An event type carries its version; a new version is a new type, and old ones stay readable for ever.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, Union

import msgspec
from msgspec import Meta, Struct

from tillwire.model import master, reversal, stock, till, transaction

Message = (
    transaction.Transaction
    | till.TillOpened
    | till.TillClosed
    | till.DayOpened
    | till.DayClosed
    | stock.StockMovement
    | stock.StockLevel
    | stock.Fulfilment
    | master.MasterRecord
)

TRANSACTION = "tillwire.transaction.v1"
TILL_OPENED = "tillwire.till.opened.v1"
TILL_CLOSED = "tillwire.till.closed.v1"
DAY_OPENED = "tillwire.day.opened.v1"
DAY_CLOSED = "tillwire.day.closed.v1"
STOCK_MOVEMENT = "tillwire.stock.movement.v1"
STOCK_LEVEL = "tillwire.stock.level.v1"
FULFILMENT = "tillwire.fulfilment.v1"
TRANSACTION_REVERSED = "tillwire.transaction.reversed.v1"
MASTER_STORE = "tillwire.master.store.v1"
MASTER_PRODUCT = "tillwire.master.product.v1"
MASTER_TAX_CODE = "tillwire.master.tax-code.v1"
MASTER_TENDER = "tillwire.master.tender.v1"
MASTER_REGISTER = "tillwire.master.register.v1"
MASTER_PRICE = "tillwire.master.price.v1"
MASTER_TAX_GROUP = "tillwire.master.tax-group.v1"
MASTER_CUSTOMER = "tillwire.master.customer.v1"
MASTER_ACCOUNT = "tillwire.master.account.v1"
MASTER_PERIOD = "tillwire.master.period.v1"
MASTER_MAPPING = "tillwire.master.mapping.v1"

MESSAGES: dict[str, type[Any]] = {
    TRANSACTION: transaction.Transaction,
    TILL_OPENED: till.TillOpened,
    TILL_CLOSED: till.TillClosed,
    DAY_OPENED: till.DayOpened,
    DAY_CLOSED: till.DayClosed,
    STOCK_MOVEMENT: stock.StockMovement,
    STOCK_LEVEL: stock.StockLevel,
    FULFILMENT: stock.Fulfilment,
    MASTER_STORE: master.StoreRecord,
    MASTER_PRODUCT: master.ProductRecord,
    MASTER_TAX_CODE: master.TaxCodeRecord,
    MASTER_TENDER: master.TenderRecord,
    MASTER_REGISTER: master.RegisterRecord,
    MASTER_PRICE: master.PriceRecord,
    MASTER_TAX_GROUP: master.TaxGroupRecord,
    MASTER_CUSTOMER: master.CustomerRecord,
    MASTER_ACCOUNT: master.AccountRecord,
    MASTER_PERIOD: master.PeriodRecord,
    MASTER_MAPPING: master.MappingRecord,
}
"""Every event type that is taken, and the struct of its data."""

HUB_MADE: dict[str, type[Any]] = {TRANSACTION_REVERSED: reversal.TransactionReversed}
"""Event types that only the hub itself makes: recorded and published like the others, refused at the door."""

MASTER_TYPES = frozenset(name for name in MESSAGES if name.startswith("tillwire.master."))

CATALOGUE_TYPES = frozenset({MASTER_PRICE, MASTER_CUSTOMER})
"""Master records that come in bulk and that no sale waits for: they have a lane of their own."""

AttributeText = Annotated[str, Meta(min_length=1, max_length=256)]
"""Printable; checked at the door."""


class Envelope(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The context attributes of CloudEvents 1.0. Extension attributes that are not named here stay in the raw bytes."""

    specversion: Literal["1.0"]
    id: AttributeText
    source: AttributeText
    """A URI reference of the system that says it, such as urn:pos:store-330."""
    time: Annotated[datetime, Meta(tz=True)] | None = None
    subject: AttributeText | None = None
    datacontenttype: AttributeText | None = None
    dataschema: AttributeText | None = None
    correlationid: AttributeText | None = None


def _event_struct(event_type: str, message: type[Any], envelope: type = Envelope) -> type[Any]:
    """The envelope around one type of message; ``type`` is its tag, so that one pass decodes and validates both."""
    return msgspec.defstruct(
        message.__name__ + "Event",
        [("data", message)],
        bases=(envelope,),
        namespace={"__doc__": message.__doc__},
        frozen=True,
        kw_only=True,
        gc=False,
        omit_defaults=True,
        tag_field="type",
        tag=event_type,
    )


EVENTS: dict[str, type[Any]] = {name: _event_struct(name, message) for name, message in MESSAGES.items()}
"""Every event type that is taken, and the struct of the whole event."""

ReversedEvent = _event_struct(TRANSACTION_REVERSED, reversal.TransactionReversed)
"""The whole event of a reversal."""

EVENT_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Union[tuple(EVENTS.values())])  # noqa: UP007


class _Bare(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """No context attributes but the source: for who needs the message only."""

    source: str = ""


_STORED = MESSAGES | HUB_MADE

MESSAGE_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    Union[tuple(_event_struct(name, message, _Bare) for name, message in _STORED.items())]  # noqa: UP007
)
"""Reads ``type``, ``source`` and ``data`` of an event that was validated, or made by the hub, before."""


def type_of(event: Any) -> str:
    """The event type of a decoded event."""
    tag: str = event.__struct_config__.tag
    return tag


def key_of(message: Any) -> str:
    """The business key by which a message is known, whatever id its envelope carries."""
    key: str = message.key
    return key


def store_of(message: Any) -> str | None:
    """The store a message belongs to; none for master records, which belong to all."""
    return None if isinstance(message, master.MasterRecord) else message.store


def business_date_of(message: Any) -> date | None:
    """The trading day a message belongs to; none for master records."""
    return getattr(message, "business_date", None)
