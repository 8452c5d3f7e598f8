"""Taxes on lines and on whole transactions, as the source computed them."""

from __future__ import annotations

from decimal import Decimal
from xml.etree.ElementTree import Element

from tillwire.connectors.poslog.people import code, plain
from tillwire.connectors.poslog.settings import PoslogSettings
from tillwire.connectors.poslog.tree import attribute, flag, number, text_at, text_of, times
from tillwire.model.money import ZERO
from tillwire.model.transaction import Tax

_PER_CENT = Decimal("0.01")


class TaxPart:
    """One tax, mutable until its line's sign is known."""

    __slots__ = ("amount", "code", "jurisdiction", "rate", "taxable", "within")

    def __init__(
        self,
        name: str,
        amount: Decimal,
        rate: Decimal | None = None,
        taxable: Decimal | None = None,
        jurisdiction: str | None = None,
        *,
        within: bool | None = None,
    ) -> None:
        self.code = name
        self.amount = amount
        self.rate = rate
        self.taxable = taxable
        """Without the tax."""
        self.jurisdiction = jurisdiction
        self.within = within
        """Whether the source says that the price includes it."""

    def turn(self) -> None:
        """The same tax with the other sign."""
        self.amount = -self.amount
        self.taxable = None if self.taxable is None else -self.taxable

    def made(self, amount: Decimal | None = None) -> Tax:
        """The canonical tax, or a share of it."""
        if amount is None:
            return Tax(self.code, self.amount, self.rate, self.taxable, self.jurisdiction)
        return Tax(self.code, amount, self.rate, None, self.jurisdiction)


def read_taxes(parent: Element, settings: PoslogSettings, pointer: str) -> list[TaxPart]:
    """The Tax children of a line or transaction. Raises ``DriftError``."""
    return [part for tax in parent.iterfind("Tax") if (part := read_tax(tax, settings, pointer)) is not None]


def read_tax(tax: Element, settings: PoslogSettings, pointer: str) -> TaxPart | None:
    """One Tax element; none if it is void or has no amount. Raises ``DriftError``."""
    if flag(tax, "VoidFlag") or flag(tax, "CancelFlag"):
        return None
    amount = number(tax.find("Amount"), f"{pointer}/Tax/Amount")
    if amount is None:
        return None
    percent = number(tax.find("Percent"), f"{pointer}/Tax/Percent")
    base = tax.find("TaxableAmount")
    taxable = number(base, f"{pointer}/Tax/TaxableAmount")
    if taxable is not None and flag(base, "TaxIncludedInTaxableAmountFlag"):
        taxable -= amount
    within = None
    for name in ("TaxIncludedInPriceFlag", "IncludedInPriceFlag", "TaxIncludedFlag", "InclusiveFlag"):
        said = attribute(tax, name).lower()
        if said:
            within = said in ("true", "1", "yes", "y")
    return TaxPart(
        _name(tax, percent, settings),
        amount,
        None if percent is None else times(percent, _PER_CENT, f"{pointer}/Tax/Percent"),
        taxable,
        plain(text_at(tax, "TaxJurisdictionID") or text_at(tax, "TaxAuthority")),
        within=within,
    )


def _name(tax: Element, percent: Decimal | None, settings: PoslogSettings) -> str:
    for name in settings.tax_codes:
        said = text_of(tax.find(name)) or attribute(tax, name)
        if said:
            if name == "TaxType" and percent is not None:
                said = f"{said}-{percent.normalize():f}"
            short = code(said)
            if short:
                return short
    return settings.tax_code if percent is None else f"{settings.tax_code}-{percent.normalize():f}"


def included(taxes: list[TaxPart], amount: Decimal) -> bool | None:
    """Whether a line's amount includes its taxes, as their taxable amounts say; none if they do not say it.

    The taxable amount stands beside the amount where tax comes on top, and is smaller by the tax where it is within.
    Vendors round each of them, so the nearer one counts.
    """
    total = sum([tax.amount for tax in taxes], ZERO)
    if not total:
        return None
    said = next((tax.within for tax in taxes if tax.within is not None), None)
    base = next((tax.taxable for tax in taxes if tax.taxable is not None), None)
    if said is not None or base is None:
        return said
    first = next(tax.amount for tax in taxes if tax.taxable is not None)
    outside = abs(amount - base)
    within = min(abs(amount - base - total), abs(amount - base - first))
    if outside == within:
        return None
    return within < outside
