"""A line as far as it can be read alone, with the readings that it allows."""

from __future__ import annotations

from decimal import Decimal
from xml.etree.ElementTree import Element

from tillwire.connectors.poslog.taxes import TaxPart
from tillwire.model.money import AMOUNT_LIMIT, ZERO, quantum
from tillwire.model.transaction import Discount, Disposition, LineKind

ONE = Decimal(1)
_PRICE_STEP = Decimal("0.00000001")


class Draft:
    """A line as far as it can be read alone. Amounts are signed: what leaves the shop is positive."""

    __slots__ = (
        "description",
        "discount",
        "discounts",
        "disposition",
        "extended",
        "flagged",
        "gtin",
        "is_return",
        "item",
        "kind",
        "link",
        "off",
        "price",
        "quantity",
        "reference",
        "regular",
        "serial",
        "sku",
        "tags",
        "taxes",
        "unit",
        "untaxed",
        "written",
    )

    item: Element
    link: Element | None
    """The transaction that sold what comes back."""
    is_return: bool
    """By its element, not by its sign."""
    flagged: bool
    """By a VoidFlag or the like."""
    tags: tuple[str, str]
    """What other line items may call it."""
    gtin: str | None
    description: str | None
    serial: str | None
    reference: str | None
    disposition: Disposition | None
    untaxed: bool
    sku: str
    quantity: Decimal
    unit: str
    kind: LineKind
    extended: Decimal
    """What the source writes as the line's amount, before or after its discounts."""
    regular: Decimal | None
    price: Decimal | None
    discounts: list[Discount]
    off: Decimal
    """The sum of the discounts."""
    discount: Decimal | None
    """The source's own total of them."""
    taxes: list[TaxPart]
    written: int
    """The sign that the source writes its amount with."""

    def amounts(self) -> tuple[Decimal, ...]:
        """What the line may come to, the likelier first: its extended amount may be before or after discounts."""
        if not self.off:
            return (self.extended,)
        before, after = self.extended - self.off, self.extended
        step = abs(self.quantity) * _PRICE_STEP + Decimal("0.01")
        for price in (self.regular, self.price):
            if price is None:
                continue
            list_amount = self.quantity * price
            if abs(list_amount - self.extended) <= step:
                # The price times the quantity is the extended amount: discounts are not in it, unless the price is
                # one that they have lowered already.
                lowered = self.regular is not None and self.price is not None and self.regular != self.price
                if price is self.regular or not lowered:
                    return (before, after)
                return (after, before)
            if abs(list_amount - self.off - self.extended) <= step:
                return (after, before)
        return (after, before)

    def unit_price(self, amount: Decimal, currency: str) -> Decimal:
        """The price that gives the amount with the discounts, of those that the source names; else the quotient."""
        wanted = amount + self.off
        tolerance = quantum(currency)
        named = [price for price in (self.regular, self.price) if price is not None]
        for price in named:
            if abs(self.quantity * price - wanted) <= tolerance:
                return price
        if named and self.quantity:
            return named[-1]  # the rules will say that it does not fit
        if not self.quantity:
            return named[0] if named else abs(wanted)
        quotient = wanted / self.quantity
        if not -AMOUNT_LIMIT < quotient < AMOUNT_LIMIT:
            return abs(wanted)
        return Decimal(f"{quotient.quantize(_PRICE_STEP).normalize():f}")

    def turn(self) -> None:
        """The same line with the other sign."""
        self.quantity, self.extended, self.off = -self.quantity, -self.extended, -self.off
        self.discounts = [Discount(-one.amount, one.reason, one.promotion) for one in self.discounts]
        self.discount = None if self.discount is None else -self.discount
        for tax in self.taxes:
            tax.turn()


def tip_draft(amount: Decimal) -> Draft:
    """A tip that stands within a tender."""
    draft = Draft()
    draft.item, draft.link = Element("Tip"), None
    draft.is_return = draft.flagged = False
    draft.kind, draft.sku, draft.unit = LineKind.TIP, LineKind.TIP.value, "EA"
    draft.tags = ("", "")
    draft.gtin = draft.description = draft.serial = draft.reference = draft.disposition = None
    draft.untaxed, draft.written = True, 1
    draft.quantity, draft.extended, draft.off = ONE, amount, ZERO
    draft.regular, draft.price, draft.discount = amount, None, None
    draft.discounts, draft.taxes = [], []
    return draft
