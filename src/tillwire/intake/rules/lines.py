"""Rules of lines: goods, computed amounts, signs, taxes. Of voided lines only the goods are judged."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from tillwire.intake.rules.registry import Finding, Given, Scope, rule, within
from tillwire.model.money import ZERO
from tillwire.model.stock import MovementLine, StockLevel
from tillwire.model.transaction import Line, LineKind, Tax, Transaction

Goods = Line | MovementLine | StockLevel
"""What has a sku and a unit of measure."""

_ONE = Decimal(1)


@rule("unknown_product", Scope.GOODS)
def product_known(goods: Goods, given: Given) -> Iterator[Finding]:
    """The product has an active master record."""
    if goods.sku not in given.master.products:
        yield f"product {goods.sku!r} is not in master data", "/sku"


@rule("unknown_uom", Scope.GOODS)
def unit_known(goods: Goods, given: Given) -> Iterator[Finding]:
    """The unit is the product's stock unit, or its record says how much of that one is."""
    product = given.master.products.get(goods.sku)
    if product is None:
        return
    _, stock_unit, units = product
    if goods.unit != stock_unit and goods.unit not in (units or {}):
        yield f"product {goods.sku!r} is kept in {stock_unit!r} and has no conversion from {goods.unit!r}", "/unit"


@rule("line_extension_mismatch", Scope.LINE)
def extension(line: Line, tx: Transaction, given: Given) -> Iterator[Finding]:
    """quantity x unit price - discounts is the line's amount. A line of quantity zero has the amount it is given."""
    computed = line.quantity * line.unit_price
    for discount in line.discounts:
        computed -= discount.amount
    if line.quantity and not within(computed - line.amount, given.tolerances["line_extension_mismatch"]):
        text = f"{line.quantity} x {line.unit_price} less discounts is {computed}, the line says {line.amount}"
        yield text, "/amount"


@rule("line_discount_mismatch", Scope.LINE)
def discount_parts(line: Line, tx: Transaction, given: Given) -> Iterator[Finding]:
    """The line's own total of discounts is the sum of its parts."""
    if line.discount is None:
        return
    parts = sum((discount.amount for discount in line.discounts), ZERO)
    if not within(parts - line.discount, given.tolerances["line_discount_mismatch"]):
        yield f"discount {line.discount}, but its parts add up to {parts}", "/discount"


@rule("unknown_tax_code", Scope.LINE)
def tax_codes_known(line: Line, tx: Transaction, given: Given) -> Iterator[Finding]:
    """Every tax code has an active master record."""
    for tax in line.taxes:
        if tax.code not in given.master.tax_codes:
            yield f"tax code {tax.code!r} is not in master data", "/taxes"


@rule("line_tax_mismatch", Scope.LINE)
def tax_parts(line: Line, tx: Transaction, given: Given) -> Iterator[Finding]:
    """The line's own total of taxes is the sum of its parts."""
    if line.tax is None:
        return
    parts = sum((tax.amount for tax in line.taxes), ZERO)
    if not within(parts - line.tax, given.tolerances["line_tax_mismatch"]):
        yield f"tax {line.tax}, but its parts add up to {parts}", "/tax"


@rule("line_tax_mismatch", Scope.LINE)
def tax_of_its_base(line: Line, tx: Transaction, given: Given) -> Iterator[Finding]:
    """A tax whose base is given is base x rate; where only the rate is given, the base is the line's amount.

    A price that includes tax holds base x (1 + all rates), so tax x (1 + all rates) is amount x rate. Where such a
    line has a tax without a rate, its base is not known and nothing is judged.
    """
    tolerance = given.tolerances["line_tax_mismatch"]
    included = tx.tax_included if line.tax_included is None else line.tax_included
    rates = _all_rates(line) if included else ZERO
    for tax in line.taxes:
        if tax.rate is None:
            continue
        if tax.taxable is not None:
            computed = tax.taxable * tax.rate
            if not within(computed - tax.amount, tolerance):
                yield f"{tax.taxable} x {tax.rate} is {computed}, the tax line says {tax.amount}", "/taxes"
        elif rates is not None and _ONE + rates > ZERO:
            yield from _tax_of_the_line(line, tax, _ONE + rates, tolerance)


def _tax_of_the_line(line: Line, tax: Tax, share: Decimal, tolerance: Decimal) -> Iterator[Finding]:
    assert tax.rate is not None
    if not within(line.amount * tax.rate - tax.amount * share, tolerance * share):
        how = f"{line.amount} x {tax.rate}" + (f" / {share}" if share != _ONE else "")
        yield f"{how} is not {tax.amount}, as the tax line says", "/taxes"


def _all_rates(line: Line) -> Decimal | None:
    rates = [tax.rate for tax in line.taxes if tax.rate is not None]
    return sum(rates, ZERO) if len(rates) == len(line.taxes) else None


@rule("tax_rate_mismatch", Scope.LINE)
def tax_rate(line: Line, tx: Transaction, given: Given) -> Iterator[Finding]:
    """A tax with a rate has that of its code on the business date. What is returned keeps its original's rate."""
    if line.quantity < ZERO:
        return
    for j, tax in enumerate(line.taxes):
        known = given.master.rate_of(tax.code, tx.business_date)
        if tax.rate is not None and known is not None and tax.rate != known:
            text = f"rate {tax.rate}, but that of {tax.code!r} is {known} on {tx.business_date}"
            yield text, f"/taxes/{j}/rate"


@rule("tax_exempt_mismatch", Scope.LINE)
def exempt_line(line: Line, tx: Transaction, given: Given) -> Iterator[Finding]:
    """A line that is exempt bears no tax."""
    if line.tax_exempt:
        for j, tax in enumerate(line.taxes):
            if tax.amount:
                yield f"the line is exempt from tax and bears {tax.amount} of {tax.code!r}", f"/taxes/{j}/amount"


@rule("tax_included_inconsistent", Scope.LINE)
def tax_included_as_the_header(line: Line, tx: Transaction, given: Given) -> Iterator[Finding]:
    """A line that says whether its price includes tax says what the transaction says."""
    if line.tax_included is not None and line.tax_included is not tx.tax_included:
        words = ("includes tax", "does not include tax")
        said, header = words if line.tax_included else words[::-1]
        yield f"the line's price {said}, the transaction's {header}", "/tax_included"


@rule("tax_group_invalid", Scope.LINE)
def tax_group(line: Line, tx: Transaction, given: Given) -> Iterator[Finding]:
    """A line's tax group is in master data and allows its tax codes, where groups are kept at all."""
    groups = given.master.tax_groups
    if line.tax_group is None or not groups:
        return
    allowed = groups.get(line.tax_group)
    if allowed is None:
        yield f"tax group {line.tax_group!r} is not in master data", "/tax_group"
        return
    for j, tax in enumerate(line.taxes):
        if tax.code not in allowed:
            yield f"tax group {line.tax_group!r} does not allow {tax.code!r}", f"/taxes/{j}/code"


@rule("sign_contradiction", Scope.LINE)
def signs_agree(line: Line, tx: Transaction, given: Given) -> Iterator[Finding]:
    """Quantity and amount have the same sign, unless one of them is zero."""
    if line.quantity and line.amount and line.quantity.is_signed() is not line.amount.is_signed():
        yield f"quantity {line.quantity} and amount {line.amount} have unlike signs", "/amount"


@rule("negative_price", Scope.LINE)
def price_not_negative(line: Line, tx: Transaction, given: Given) -> Iterator[Finding]:
    """The unit price is not below zero."""
    if line.unit_price < ZERO:
        yield f"unit price {line.unit_price} is below zero", "/unit_price"


@rule("serial_missing", Scope.LINE)
def serial_given(line: Line, tx: Transaction, given: Given) -> Iterator[Finding]:
    """An item that is controlled by serial number has one, sold or returned."""
    if line.kind is LineKind.ITEM and line.sku in given.master.serial_controlled and not line.serial:
        yield f"product {line.sku!r} is controlled by serial number, and the line has none", "/serial"


@rule("gift_card_invalid", Scope.LINE)
def gift_card_has_a_number(line: Line, tx: Transaction, given: Given) -> Iterator[Finding]:
    """A gift card that is sold, loaded or taken back has its number (as reference or serial)."""
    if line.kind is LineKind.GIFT_CARD and not (line.reference or line.serial):
        yield "a gift card without its number", "/reference"
