"""The point-of-sale transaction (ARTS/OMG POSLog in spirit): header, lines of both signs, tenders, taxes.

Amounts are in the transaction's ``currency``. What leaves the shop is positive (a sale line has a positive quantity and
amount), what comes back negative. Tenders are what the customer gave: positive, change and refunds negative.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from tillwire.model.fields import Amount, Code, Currency, Identifier, Quantity, Sequence, Text, Timestamp, iso_text
from tillwire.model.money import ZERO, Money


class Kind(StrEnum):
    """What a transaction is. Its effects follow from this."""

    SALE = "sale"
    RETURN = "return"
    EXCHANGE = "exchange"
    POST_VOID = "post_void"
    CANCELLED = "cancelled"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    TRAINING = "training"
    NO_SALE = "no_sale"
    PAY_IN = "pay_in"
    PAY_OUT = "pay_out"
    LOAN = "loan"
    PICKUP = "pickup"
    LAYAWAY = "layaway"


SELLING = frozenset({Kind.SALE, Kind.RETURN, Kind.EXCHANGE, Kind.POST_VOID})
"""Kinds that move goods, revenue and tax."""

CASH_MANAGEMENT = frozenset({Kind.PAY_IN, Kind.PAY_OUT, Kind.LOAN, Kind.PICKUP})
"""Kinds that move cash between the till and elsewhere; they have tenders and no lines."""

WITHOUT_EFFECT = frozenset({Kind.CANCELLED, Kind.SUSPENDED, Kind.RESUMED, Kind.TRAINING, Kind.NO_SALE})
"""Kinds that count for completeness and touch neither stock nor ledger."""


class LineKind(StrEnum):
    """What a line sells. Only ``item`` moves stock and is revenue."""

    ITEM = "item"
    SERVICE = "service"
    GIFT_CARD = "gift_card"
    DEPOSIT = "deposit"
    TIP = "tip"
    DONATION = "donation"
    CHARGE = "charge"


class Disposition(StrEnum):
    """What becomes of goods that came back."""

    RESELL = "resell"
    DAMAGED = "damaged"
    VENDOR = "vendor"


class Original(Struct, frozen=True, gc=False, omit_defaults=True):
    """The business key of the transaction that is returned, exchanged or voided."""

    store: Identifier
    register: Identifier
    business_date: date
    sequence: Sequence

    @property
    def key(self) -> str:
        """The business key as text: store/register/business date/sequence."""
        return f"{self.store}/{self.register}/{iso_text(self.business_date)}/{self.sequence}"


class Discount(Struct, frozen=True, gc=False, omit_defaults=True):
    """Money taken off a line: positive lowers the amount of a sale line, negative that of a returned one."""

    amount: Amount
    reason: Text = ""
    promotion: Text | None = None


class Tax(Struct, frozen=True, gc=False, omit_defaults=True):
    """One tax on a line, as the source computed it."""

    code: Code
    amount: Amount
    rate: Amount | None = None
    """As a fraction: 0.0825 for 8.25 %."""
    taxable: Amount | None = None
    jurisdiction: Text | None = None


class Line(Struct, frozen=True, gc=False, omit_defaults=True):
    """One line. ``amount`` is quantity x unit_price - discounts as the source computed it, in minor units."""

    sku: Code
    quantity: Quantity
    unit_price: Amount
    amount: Amount
    unit: Code = "EA"
    kind: LineKind = LineKind.ITEM
    discounts: Annotated[tuple[Discount, ...], Meta(max_length=100)] = ()
    taxes: Annotated[tuple[Tax, ...], Meta(max_length=20)] = ()
    gtin: Code | None = None
    description: Text | None = None
    serial: Text | None = None
    reference: Text | None = None
    """The number of the gift card sold, of the deposit, and the like."""
    voided: bool = False
    """Voided before the transaction ended: shown, without any effect."""
    discount: Amount | None = None
    """The line's own total of its discounts, where the source gives one beside its parts."""
    tax: Amount | None = None
    """The line's own total of its taxes, where the source gives one beside its parts."""
    tax_included: bool | None = None
    """Where the source says it per line; none: as the transaction."""
    tax_exempt: bool = False
    tax_group: Code | None = None
    original: Original | None = None
    """The transaction that sold what this line takes back, where lines of one transaction have several."""
    disposition: Disposition | None = None
    moves_stock: bool = True
    """False where the goods stay where they are: a refund of what the customer keeps, or of what was never shipped."""


class Tender(Struct, frozen=True, gc=False, omit_defaults=True):
    """A means of payment. Positive from the customer; change and refunds negative. Change is negative cash."""

    type: Code
    amount: Amount
    acquirer: Code | None = None
    reference: Text | None = None
    foreign: Money | None = None
    """What was handed over, where that was another currency; ``amount`` is its value in the transaction's."""
    change: bool = False
    voided: bool = False


class Loyalty(Struct, frozen=True, gc=False, omit_defaults=True):
    """Points of one loyalty account. ``account`` is a pseudonym."""

    account: Text
    program: Text = ""
    earned: Quantity = ZERO
    redeemed: Quantity = ZERO


class Transaction(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One transaction of a register. Business key: store, register, business date and sequence (ARTS)."""

    store: Identifier
    register: Identifier
    business_date: date
    """The trading day of the store, which may pass midnight; neither the event time nor the time received."""
    sequence: Sequence
    kind: Kind
    currency: Currency
    total: Amount
    """What the customer owes in the end: lines plus tax (unless it is in the prices) plus rounding."""
    tax: Amount | None = None
    discount: Amount | None = None
    rounding: Amount = ZERO
    """Cash rounding, part of ``total``: a tender difference, never a tax difference."""
    tax_included: bool = False
    lines: Annotated[tuple[Line, ...], Meta(max_length=20_000)] = ()
    tenders: Annotated[tuple[Tender, ...], Meta(max_length=1_000)] = ()
    began_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    operator: Text | None = None
    customer: Text | None = None
    """A pseudonym, never a name or a card number."""
    receipt: Text | None = None
    original: Original | None = None
    version: Annotated[int, Meta(ge=1, le=10**9)] = 1
    """Above one: a correction, which takes the place of every earlier version."""
    net: Amount | None = None
    """The header's own sum of its lines, before taxes that are not in the prices."""
    item_count: Quantity | None = None
    """The header's own count of items: the sum of the quantities of its item lines in force. A line whose quantity is
    no whole number, or whose unit is weighed or measured (KG, LB, L, M, ...), counts as one. Returned lines count
    negative, or as positive as sold ones: sources do both. Voided lines and lines of other kinds do not count."""
    tax_exempt: Text | None = None
    """The certificate or reason, where the customer owes no tax."""
    channel: Code | None = None
    """Where it was sold: pos, ecommerce, marketplace and so on."""
    order: Text | None = None
    """The order it fulfils or is, by which two systems that report one sale are found out."""
    presentment: Money | None = None
    """The total as the customer saw it, where that was in another currency than the ledger's."""
    loyalty: Annotated[tuple[Loyalty, ...], Meta(max_length=100)] = ()

    @property
    def base_key(self) -> str:
        """The business key that all versions share, as text: store/register/business date/sequence."""
        return f"{self.store}/{self.register}/{iso_text(self.business_date)}/{self.sequence}"

    @property
    def key(self) -> str:
        """The business key as text: store/register/business date/sequence, from version 2 on with @version."""
        key = f"{self.store}/{self.register}/{iso_text(self.business_date)}/{self.sequence}"
        return key if self.version == 1 else f"{key}@{self.version}"
