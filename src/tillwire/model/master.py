"""Master records: states, not facts. A later revision of a record supersedes an earlier one; earlier ones are kept.

``identifier`` is what a record is known by whatever its revision; where it has several parts they are joined by ``/``.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from tillwire.model.fields import Amount, Code, Currency, Identifier, Quantity, Sequence, Text

LocalTime = Annotated[datetime, Meta(tz=False, description="the store's own clock, without an offset")]
"""A moment by the clock on a store's wall: the same text is another instant in each time zone."""
OptionalIdentifier = Annotated[str, Meta(max_length=64, extra_json_schema={"pattern": r"^[^\x00-\x1f\x7f/;|]*$"})]

_ESCAPES = str.maketrans({"%": "%25", "/": "%2F"})


def joined(*parts: str) -> str:
    """Parts of an identifier as one text, from which they can be told apart again whatever is in them."""
    return "/".join([part.translate(_ESCAPES) for part in parts])


class _Revised(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    revision: Sequence
    """Rises with each change of the record at its source; an older one never overwrites a newer one."""
    active: bool = True


class StoreRecord(_Revised, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A selling or stock-keeping location."""

    store: Identifier
    name: Text
    company: Identifier
    currency: Currency
    time_zone: Annotated[str, Meta(min_length=1, max_length=64)]
    """An IANA name, such as America/New_York."""
    region: Text = ""
    registers: Annotated[tuple[Identifier, ...], Meta(max_length=1_000)] = ()
    gln: Code | None = None
    price_list: OptionalIdentifier = ""
    """The list whose prices count here, where the store has none of its own for a product."""

    @property
    def identifier(self) -> str:
        """The store's number."""
        return self.store

    @property
    def key(self) -> str:
        """store:number@revision."""
        return f"store:{self.store}@{self.revision}"


class RegisterRecord(_Revised, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A register of a store, beside those that the store's own record names."""

    store: Identifier
    register: Identifier
    name: Text = ""

    @property
    def identifier(self) -> str:
        """Store and register."""
        return joined(self.store, self.register)

    @property
    def key(self) -> str:
        """register:store/register@revision."""
        return f"register:{self.identifier}@{self.revision}"


class Component(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A part of a kit or bundle: so much of ``sku`` is in one of the whole."""

    sku: Identifier
    quantity: Quantity
    unit: Code = "EA"


class ProductRecord(_Revised, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """An item that is sold. Stock is kept in ``unit``; ``units`` says how much of it one of another unit is."""

    sku: Identifier
    name: Text
    product_class: Identifier
    unit: Code = "EA"
    units: dict[Code, Decimal] = {}
    """Other units and packs: ``{"CS": "24"}`` says that a case is 24 of the stock unit."""
    gtins: Annotated[tuple[Code, ...], Meta(max_length=100)] = ()
    """GTIN-8 to -14 with a right check digit. A GTIN belongs to one active product."""
    serial_controlled: bool = False
    """Each piece has a number of its own, which a sale must name."""
    tax_group: OptionalIdentifier = ""
    components: Annotated[tuple[Component, ...], Meta(max_length=200)] = ()
    """What a kit or bundle is made of."""

    @property
    def identifier(self) -> str:
        """The SKU."""
        return self.sku

    @property
    def key(self) -> str:
        """product:sku@revision."""
        return f"product:{self.sku}@{self.revision}"


class PriceRecord(_Revised, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What one unit of a product costs: in one store, in the stores of a price list, or (neither named) everywhere.

    One without an end holds until the next begins; one with an end goes before one without for as long as it lasts.
    """

    sku: Identifier
    currency: Currency
    amount: Amount
    """For one ``unit``, in ``currency``; may be finer than its minor unit (fuel)."""
    effective_from: LocalTime
    """The first moment it counts. A time that occurs twice (clocks set back) means the first; one that never occurs
    (clocks set forward) means the moment the clock passes it."""
    effective_to: LocalTime | None = None
    """The first moment it counts no more."""
    store: OptionalIdentifier = ""
    price_list: OptionalIdentifier = ""
    unit: Code = "EA"
    tax_included: bool = False

    @property
    def slot(self) -> str:
        """What the price is for, whenever it counts: scope, product, unit and currency."""
        scope = f"store:{self.store}" if self.store else f"list:{self.price_list}" if self.price_list else "*"
        return joined(scope, self.sku, self.unit, self.currency)

    @property
    def identifier(self) -> str:
        """The slot and the moment from which it counts."""
        return f"{self.slot}/{self.effective_from.isoformat()}"

    @property
    def key(self) -> str:
        """price:scope/sku/unit/currency/from@revision."""
        return f"price:{self.identifier}@{self.revision}"


class DatedRate(Struct, frozen=True, kw_only=True, gc=False):
    """A rate from a business date on, until the next one begins."""

    effective_from: date
    rate: Decimal


class TaxCodeRecord(_Revised, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A tax code that lines may name. ``rate`` is a fraction (0.06 for 6 %); it holds until the first of ``rates``."""

    code: Identifier
    name: Text
    rate: Decimal
    jurisdiction: Text = ""
    rates: Annotated[tuple[DatedRate, ...], Meta(max_length=200)] = ()

    def rate_on(self, day: date) -> Decimal:
        """The rate on a business date of a store."""
        return max(
            (dated for dated in self.rates if dated.effective_from <= day),
            key=lambda dated: dated.effective_from,
            default=self,
        ).rate

    @property
    def identifier(self) -> str:
        """The code."""
        return self.code

    @property
    def key(self) -> str:
        """tax:code@revision."""
        return f"tax:{self.code}@{self.revision}"


class TaxGroupRecord(_Revised, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The tax codes that a line of this group may carry."""

    group: Identifier
    name: Text
    codes: Annotated[tuple[Identifier, ...], Meta(max_length=100)] = ()

    @property
    def identifier(self) -> str:
        """The group."""
        return self.group

    @property
    def key(self) -> str:
        """tax-group:group@revision."""
        return f"tax-group:{self.group}@{self.revision}"


class TenderRecord(_Revised, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A tender type that transactions may name."""

    type: Identifier
    name: Text
    change_allowed: bool = True
    """Change may be given from it."""
    over_tender_allowed: bool = True
    """More than the total may be handed over."""
    over_tender_most: Amount | None = None
    """By how much at most, in the store's currency; none: without a limit."""

    @property
    def identifier(self) -> str:
        """The type."""
        return self.type

    @property
    def key(self) -> str:
        """tender:type@revision."""
        return f"tender:{self.type}@{self.revision}"


class CustomerRecord(_Revised, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A customer by a pseudonym: never a name, an address or a card number."""

    customer: Annotated[str, Meta(min_length=1, max_length=128)]
    segment: Text = ""
    tax_exempt: Text = ""
    """The certificate's reference, where the customer owes no tax."""

    @property
    def identifier(self) -> str:
        """The pseudonym."""
        return self.customer

    @property
    def key(self) -> str:
        """customer:pseudonym@revision."""
        return f"customer:{self.customer}@{self.revision}"


class AccountRecord(_Revised, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """An account of a company's chart."""

    company: Identifier
    account: Identifier
    name: Text
    kind: Literal["asset", "liability", "equity", "revenue", "expense", "other"] = "other"

    @property
    def identifier(self) -> str:
        """Company and account."""
        return joined(self.company, self.account)

    @property
    def key(self) -> str:
        """account:company/account@revision."""
        return f"account:{self.identifier}@{self.revision}"


class PeriodRecord(_Revised, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A fiscal period of a company: its first and last day, both included, and whether it may be posted to."""

    company: Identifier
    period: Identifier
    first: date
    last: date
    open: bool = True

    @property
    def identifier(self) -> str:
        """Company and period."""
        return joined(self.company, self.period)

    @property
    def key(self) -> str:
        """period:company/period@revision."""
        return f"period:{self.identifier}@{self.revision}"


class MappingRecord(_Revised, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What another system calls ``external`` is ``ours`` here. Applied to messages of that source before the rules."""

    system: Annotated[str, Meta(min_length=1, max_length=256)]
    """The source (or connection) whose words they are, as its events' ``source`` says."""
    kind: Literal["product", "tender", "tax_code", "store", "register", "unit", "customer"]
    external: Annotated[str, Meta(min_length=1, max_length=256)]
    ours: Annotated[str, Meta(min_length=1, max_length=128)]

    @property
    def identifier(self) -> str:
        """System, kind and the external identifier."""
        return joined(self.system, self.kind, self.external)

    @property
    def key(self) -> str:
        """mapping:system/kind/external@revision."""
        return f"mapping:{self.identifier}@{self.revision}"


MasterRecord = (
    StoreRecord
    | RegisterRecord
    | ProductRecord
    | PriceRecord
    | TaxCodeRecord
    | TaxGroupRecord
    | TenderRecord
    | CustomerRecord
    | AccountRecord
    | PeriodRecord
    | MappingRecord
)
