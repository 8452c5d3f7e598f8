"""What a transaction means in double entry: components with their codes, before any account is chosen.

Debit is positive, credit negative; the entries of one event add up to zero. Change is negative cash, never negative
revenue. Gift cards and deposits sold, tips and donations are liabilities, no revenue.
"""

from __future__ import annotations

from decimal import Decimal

from tillwire.model.money import ZERO
from tillwire.model.till import TillClosed
from tillwire.model.transaction import CASH_MANAGEMENT, SELLING, Kind, LineKind, Transaction

REVENUE = "revenue"
DISCOUNT = "discount"
TAX = "tax"
TENDER = "tender"
LIABILITY = "liability"
CASH_MOVEMENT = "cash_movement"
ROUNDING = "rounding"
OVER_SHORT = "over_short"

COMPONENTS: dict[str, str] = {
    REVENUE: "gross revenue, by product class",
    DISCOUNT: "discounts given, by reason",
    TAX: "tax collected, by tax code",
    TENDER: "tender clearing, by tender type; change is negative",
    LIABILITY: "gift cards and deposits sold, tips, donations, by kind",
    CASH_MOVEMENT: "cash between the till and elsewhere, by kind (pay-in, pay-out, loan, pickup)",
    ROUNDING: "cash rounding, and differences of totals within tolerance",
    OVER_SHORT: "cash counted against calculated at till close, by tender type",
}

Entries = dict[tuple[str, str], Decimal]
"""(component, code) -> amount in the transaction's currency."""

_LAYAWAY = Kind.LAYAWAY
_LIABILITIES = frozenset({LineKind.GIFT_CARD, LineKind.DEPOSIT, LineKind.TIP, LineKind.DONATION})
NO_REASON = "other"


def entries_of(transaction: Transaction, classes: tuple[str, ...]) -> Entries:
    """The entries of a transaction; none for kinds without effect. ``classes`` are its lines' product classes."""
    kind = transaction.kind
    if kind in SELLING:
        entries = _lines(transaction, classes)
    elif kind is _LAYAWAY:
        entries = {(LIABILITY, LineKind.DEPOSIT.value): transaction.rounding - transaction.total}
    elif kind in CASH_MANAGEMENT:
        entries = {(CASH_MOVEMENT, kind.value): -transaction.total}
    else:
        return {}
    if transaction.rounding and kind not in CASH_MANAGEMENT:
        _add(entries, ROUNDING, "cash", -transaction.rounding)
    for tender in transaction.tenders:
        if not tender.voided:
            _add(entries, TENDER, tender.type, tender.amount)
    residue = sum(entries.values(), ZERO)
    if residue:  # a difference that the tolerance of the total let through: bounded by it
        _add(entries, ROUNDING, "tolerance", -residue)
    return {place: amount for place, amount in entries.items() if amount}


def _add(entries: Entries, component: str, code: str, amount: Decimal) -> None:
    place = (component, code)
    known = entries.get(place)
    entries[place] = amount if known is None else known + amount


def _lines(transaction: Transaction, classes: tuple[str, ...]) -> Entries:
    revenue: dict[str, Decimal] = {}
    liabilities: dict[str, Decimal] = {}
    discounts: dict[str, Decimal] = {}
    taxes: dict[str, Decimal] = {}
    included = transaction.tax_included
    for line, product_class in zip(transaction.lines, classes, strict=True):
        if line.voided:
            continue
        debit = -line.amount
        for discount in line.discounts:
            off = discount.amount
            debit -= off
            reason = discount.reason or NO_REASON
            discounts[reason] = discounts[reason] + off if reason in discounts else off
        for tax in line.taxes:
            amount = tax.amount
            if included:
                debit += amount
            code = tax.code
            taxes[code] = taxes[code] - amount if code in taxes else -amount
        # The class of a line that sells no item is its kind.
        credited = liabilities if line.kind in _LIABILITIES else revenue
        credited[product_class] = credited[product_class] + debit if product_class in credited else debit
    entries = {(REVENUE, code): amount for code, amount in revenue.items()}
    for component, amounts in ((DISCOUNT, discounts), (TAX, taxes), (LIABILITY, liabilities)):
        for code, amount in amounts.items():
            entries[(component, code)] = amount
    return entries


def till_entries(till: TillClosed) -> Entries:
    """Over or short per tender: what was counted above (below) the calculated amount is gained (lost)."""
    entries: Entries = {}
    for tender in till.tenders:
        difference = tender.counted - tender.calculated
        if difference:
            _add(entries, TENDER, tender.type, difference)
            _add(entries, OVER_SHORT, tender.type, -difference)
    return entries
