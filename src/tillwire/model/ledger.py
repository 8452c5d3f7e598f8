"""What posting builds from recorded events and an ERP connector carries to the books: journals and documents.

Double entry: a line has a debit or a credit, never both, never negative; the debits of a journal equal its credits.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

from tillwire.model.money import Money

ZERO = Decimal(0)

DocumentKind = Literal["journal", "stock", "invoice"]
"""What an ERP may hold under one of our references. A credit note is an invoice of the other sign."""


class JournalLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of a journal. Amounts are in the journal's currency, in its minor units at the finest."""

    account: str
    """The account's code in the ERP's chart."""
    debit: Decimal = ZERO
    credit: Decimal = ZERO
    description: str = ""
    dimensions: Mapping[str, str] = {}
    """Accounting dimensions by the names that the rule book gives them, such as ``{"store": "101"}``."""
    foreign: Money | None = None
    """What the line is in another currency (a tender handed over in it): positive with a debit."""


class Journal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A balanced journal for one company, store, business date and currency.

    ``reference`` is the idempotency key: an ERP must never hold two posted journals with the same one.
    """

    reference: str
    company: str
    store: str
    business_date: date
    currency: str
    description: str
    lines: tuple[JournalLine, ...]
    posting_date: date | None = None
    """The day it counts in the books, where that is another than the business date (its period is closed)."""
    reverses: str | None = None
    """The reference of the posted journal whose transactions it takes back."""

    @property
    def books_date(self) -> date:
        """The day it counts in the books: the posting date, else the business date."""
        return self.posting_date or self.business_date

    def debit(self) -> Decimal:
        """The sum of debits, in the journal's currency."""
        return sum((line.debit for line in self.lines), ZERO)

    def credit(self) -> Decimal:
        """The sum of credits, in the journal's currency."""
        return sum((line.credit for line in self.lines), ZERO)

    def balances(self) -> bool:
        """True if debits equal credits exactly."""
        return self.debit() == self.credit()


class StockLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Goods that moved: positive into the store, negative out of it, in the product's stock unit."""

    sku: str
    quantity: Decimal
    unit: str
    reason: str
    """sale, return, receipt, transfer_shipped, transfer_received, shrink, damage, found or count."""
    bucket: str = "on_hand"
    """``on_hand``, or ``unavailable`` (damaged, for the vendor)."""


class StockDocument(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Stock movements of one store and business date: one event's, or a range's added up."""

    reference: str
    company: str
    store: str
    business_date: date
    description: str
    lines: tuple[StockLine, ...]
    posting_date: date | None = None
    reverses: str | None = None

    @property
    def books_date(self) -> date:
        """The day it counts in the books."""
        return self.posting_date or self.business_date


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of an invoice: ``amount`` is net, after discounts and without tax. Negative where goods come back."""

    sku: str
    description: str
    quantity: Decimal
    unit: str
    amount: Decimal
    account: str
    tax_codes: tuple[str, ...] = ()
    dimensions: Mapping[str, str] = {}


class InvoiceTax(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One tax of an invoice, as the source computed it: ``amount`` on the net ``base``."""

    code: str
    base: Decimal
    amount: Decimal
    account: str
    rate: Decimal | None = None
    jurisdiction: str = ""


class Invoice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A sale as an invoice, or as a credit note where ``total`` is negative. Amounts are in ``currency``.

    The lines and taxes add up to ``total``, which the ERP books to ``receivable_account``; the journal of the day's
    payments clears that account.
    """

    reference: str
    company: str
    store: str
    business_date: date
    currency: str
    description: str
    lines: tuple[InvoiceLine, ...]
    taxes: tuple[InvoiceTax, ...]
    total: Decimal
    receivable_account: str
    customer: str = ""
    """A pseudonym; empty: the walk-in customer."""
    posting_date: date | None = None
    reverses: str | None = None

    @property
    def books_date(self) -> date:
        """The day it counts in the books."""
        return self.posting_date or self.business_date


Document = Journal | StockDocument | Invoice


def kind_of(document: Document) -> DocumentKind:
    """What kind of document it is."""
    match document:
        case Journal():
            return "journal"
        case StockDocument():
            return "stock"
        case Invoice():
            return "invoice"


class ErpDocument(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the ERP itself says it holds under one of our references."""

    reference: str
    document_id: str
    """The ERP's internal identifier."""
    number: str | None
    """The ERP's document number; none while it is a draft."""
    posted: bool
    posting_date: date | None = None
    lines: tuple[JournalLine, ...] = ()
    """What stands in the ledger under it. Filled by ``read_back``; left empty by a plain look-up."""
    goods: tuple[StockLine, ...] = ()
    """Of a stock document, what moved. Filled by ``read_back``."""
