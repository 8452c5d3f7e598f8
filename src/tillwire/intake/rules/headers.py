"""Rules of the header: what it says against what its lines add up to, and the kind of transaction."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from tillwire.intake.rules.registry import Finding, Given, Scope, Sums, rule, within
from tillwire.model.money import ZERO
from tillwire.model.till import TillClosed
from tillwire.model.transaction import CASH_MANAGEMENT, Kind, Line, LineKind, Transaction

_AS_TILLS_WRITE = "KG G MG LB OZ L ML CL GAL PT QT FL_OZ M CM MM FT YD M2 M3"
_RECOMMENDATION_20 = "KGM GRM LBR ONZ LTR MLT GLL MTR CMT MTK MTQ FOT YRD"
MEASURES = frozenset((_AS_TILLS_WRITE + " " + _RECOMMENDATION_20).split())
"""Units that are weighed or measured, not counted: as tills write them, and as UN/ECE Recommendation 20 does."""


def pieces(line: Line) -> Decimal:
    """The pieces of a line: its quantity; 1 (or -1) where that is weighed, measured or otherwise no whole number."""
    quantity = line.quantity
    if quantity and (line.unit in MEASURES or quantity != quantity.to_integral_value()):
        return Decimal(-1 if quantity < ZERO else 1)
    return quantity


def item_counts(tx: Transaction) -> tuple[Decimal, Decimal]:
    """The pieces of the item lines in force: those sold less those returned, and all that passed the till."""
    counted = [pieces(line) for line in tx.lines if line.kind is LineKind.ITEM and not line.voided]
    return sum(counted, ZERO), sum((abs(one) for one in counted), ZERO)


@rule("empty_transaction", Scope.HEADER)
def not_empty(tx: Transaction, sums: Sums, given: Given) -> Iterator[Finding]:
    """A transaction that sells has a line in force."""
    if not sums.lines:
        yield "no line is in force", "/lines"


@rule("total_mismatch", Scope.HEADER)
def total(tx: Transaction, sums: Sums, given: Given) -> Iterator[Finding]:
    """Lines (charges are lines), tax that is not in the prices, and rounding add up to the total."""
    computed = sums.net + tx.rounding + sums.outside
    if not within(computed - tx.total, given.tolerances["total_mismatch"]):
        yield f"total {tx.total}, but lines, tax and rounding add up to {computed} {tx.currency}", "/total"


@rule("net_mismatch", Scope.HEADER)
def net(tx: Transaction, sums: Sums, given: Given) -> Iterator[Finding]:
    """The header's net amount, where it has one, is the sum of the lines' amounts."""
    if tx.net is not None and not within(sums.net - tx.net, given.tolerances["net_mismatch"]):
        yield f"net {tx.net}, but the lines add up to {sums.net} {tx.currency}", "/net"


@rule("tax_mismatch", Scope.HEADER)
def tax(tx: Transaction, sums: Sums, given: Given) -> Iterator[Finding]:
    """The header's tax, where it has one, is the sum of the lines' taxes."""
    if tx.tax is not None and not within(sums.tax - tx.tax, given.tolerances["tax_mismatch"]):
        yield f"tax {tx.tax}, but the lines' taxes add up to {sums.tax} {tx.currency}", "/tax"


@rule("discount_mismatch", Scope.HEADER)
def discount(tx: Transaction, sums: Sums, given: Given) -> Iterator[Finding]:
    """The header's discount, where it has one, is the sum of the lines' discounts."""
    if tx.discount is not None and not within(sums.discount - tx.discount, given.tolerances["discount_mismatch"]):
        text = f"discount {tx.discount}, but the lines' discounts add up to {sums.discount} {tx.currency}"
        yield text, "/discount"


@rule("item_count_mismatch", Scope.HEADER)
def item_count(tx: Transaction, sums: Sums, given: Given) -> Iterator[Finding]:
    """The header's count of items is that of its item lines, returned ones subtracted or counted like sold ones."""
    if tx.item_count is None:
        return
    tolerance = given.tolerances["item_count_mismatch"]
    sold, handled = item_counts(tx)
    if not within(sold - tx.item_count, tolerance) and not within(handled - tx.item_count, tolerance):
        yield f"{tx.item_count} items, but the item lines have {sold}", "/item_count"


@rule("tax_exempt_mismatch", Scope.HEADER)
def exempt_transaction(tx: Transaction, sums: Sums, given: Given) -> Iterator[Finding]:
    """A transaction that is exempt from tax has a certificate or reason, and no line that bears tax."""
    if tx.tax_exempt is None:
        return
    taxed = [i for i, line in enumerate(tx.lines) if not line.voided and any(tax.amount for tax in line.taxes)]
    if taxed:
        yield f"the transaction is exempt from tax ({tx.tax_exempt}), its line {taxed[0]} bears tax", "/tax_exempt"


@rule("rounding_invalid", Scope.HEADER)
def cash_rounding(tx: Transaction, sums: Sums, given: Given) -> Iterator[Finding]:
    """Rounding is at most the currency's smallest cash unit, whichever way it is rounded."""
    if tx.rounding and not within(tx.rounding, given.cash_unit + given.tolerances["rounding_invalid"]):
        text = f"rounding of {tx.rounding} {tx.currency}, the smallest cash unit is {given.cash_unit}"
        yield text, "/rounding"


def decimals_of(number: Decimal) -> int:
    """Digits after the decimal point that matter: 1.430 has two."""
    exponent = number.normalize().as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def _amounts(tx: Transaction) -> Iterator[tuple[str, Decimal | None]]:
    for name in ("total", "rounding", "net", "tax", "discount"):
        yield f"/{name}", getattr(tx, name)
    for i, line in enumerate(tx.lines):
        if line.voided:
            continue
        yield f"/lines/{i}/amount", line.amount
        yield f"/lines/{i}/discount", line.discount
        yield f"/lines/{i}/tax", line.tax
        for j, tax in enumerate(line.taxes):
            yield f"/lines/{i}/taxes/{j}/amount", tax.amount
        for j, discount in enumerate(line.discounts):
            yield f"/lines/{i}/discounts/{j}/amount", discount.amount
    for i, tender in enumerate(tx.tenders):
        if not tender.voided:
            yield f"/tenders/{i}/amount", tender.amount


@rule("precision_invalid", Scope.AMOUNTS)
def precision(tx: Transaction, given: Given) -> Iterator[Finding]:
    """No amount in force has more decimals than the currency. Trailing zeros do no harm: 1.430 USD is 1.43 USD."""
    for pointer, amount in _amounts(tx):
        if amount is not None and decimals_of(amount) > given.decimals:
            yield f"{amount} has more than {given.decimals} decimals ({tx.currency})", pointer


@rule("precision_invalid", Scope.TILL)
def precision_of_a_till(till: TillClosed, given: Given) -> Iterator[Finding]:
    """Over and short are booked per tender, in whole minor units."""
    for i, tender in enumerate(till.tenders):
        for name in ("calculated", "counted"):
            amount = getattr(tender, name)
            if decimals_of(amount) > given.decimals:
                yield f"{amount} has more than {given.decimals} decimals ({till.currency})", f"/tenders/{i}/{name}"


@rule("kind_contradiction", Scope.KIND)
def sign_of_its_kind(tx: Transaction, given: Given) -> Iterator[Finding]:
    """A sale is not below zero, a return not above; a movement of cash has no lines."""
    if tx.kind is Kind.SALE and tx.total < ZERO:
        yield f"a sale of {tx.total}: goods that come back are a return", "/kind"
    elif tx.kind is Kind.RETURN and tx.total > ZERO:
        yield f"a return of {tx.total}: its total is not above zero", "/total"
    elif tx.kind in CASH_MANAGEMENT and tx.lines:
        yield f"a {tx.kind} moves cash and has no lines", "/lines"


@rule("original_missing", Scope.KIND)
def original_named(tx: Transaction, given: Given) -> Iterator[Finding]:
    """A post-void names the transaction it voids."""
    if tx.kind is Kind.POST_VOID and tx.original is None:
        yield "a post-void names the transaction it voids", "/original"


@rule("kind_contradiction", Scope.KIND)
def original_is_another(tx: Transaction, given: Given) -> Iterator[Finding]:
    """A post-void voids another transaction than itself."""
    if tx.kind is Kind.POST_VOID and tx.original is not None and tx.original.key == tx.base_key:
        yield "a post-void cannot void itself", "/original"
