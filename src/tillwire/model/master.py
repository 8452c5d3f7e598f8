"""Master records: states, not facts. A later revision of a record supersedes an earlier one."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from tillwire.model.fields import Code, Currency, Identifier, Sequence, Text


class _Revised(Struct, frozen=True, kw_only=True, gc=False):
    revision: Sequence
    """Rises with each change of the record at its source; an older one never overwrites a newer one."""
    active: bool = True


class StoreRecord(_Revised, frozen=True, kw_only=True, gc=False):
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

    @property
    def key(self) -> str:
        """store:number@revision."""
        return f"store:{self.store}@{self.revision}"


class ProductRecord(_Revised, frozen=True, kw_only=True, gc=False):
    """An item that is sold. Stock is kept in ``unit``; ``units`` says how much of it one of another unit is."""

    sku: Identifier
    name: Text
    product_class: Identifier
    unit: Code = "EA"
    units: dict[Code, Decimal] = {}
    gtins: Annotated[tuple[Code, ...], Meta(max_length=100)] = ()

    @property
    def key(self) -> str:
        """product:sku@revision."""
        return f"product:{self.sku}@{self.revision}"


class TaxCodeRecord(_Revised, frozen=True, kw_only=True, gc=False):
    """A tax code that lines may name. ``rate`` is a fraction (0.06 for 6 %)."""

    code: Identifier
    name: Text
    rate: Decimal
    jurisdiction: Text = ""

    @property
    def key(self) -> str:
        """tax:code@revision."""
        return f"tax:{self.code}@{self.revision}"


class TenderRecord(_Revised, frozen=True, kw_only=True, gc=False):
    """A tender type that transactions may name."""

    type: Identifier
    name: Text

    @property
    def key(self) -> str:
        """tender:type@revision."""
        return f"tender:{self.type}@{self.revision}"


MasterRecord = StoreRecord | ProductRecord | TaxCodeRecord | TenderRecord
