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
CHANGE = "change"
SUSPENSE = "suspense"
RECEIVABLE = "receivable"
INTERCOMPANY = "intercompany"

COMPONENTS: dict[str, str] = {
    REVENUE: "gross revenue, by product class",
    DISCOUNT: "discounts given, by reason",
    TAX: "tax collected, by tax code, rate and jurisdiction",
    TENDER: "tender clearing, by tender type, acquirer and the currency it was handed over in",
    CHANGE: "change given, negative, by tender type; posted as tender where no rule says otherwise",
    LIABILITY: "gift cards and deposits sold, tips, donations, by kind",
    CASH_MOVEMENT: "cash between the till and elsewhere, by kind (pay-in, pay-out, loan, pickup)",
    ROUNDING: "cash rounding, and differences of totals within tolerance",
    OVER_SHORT: "cash counted against calculated at till close, by tender type",
    SUSPENSE: "a rounding difference above posting.rounding_most_units (code rounding)",
    RECEIVABLE: "what invoices ask for and payments clear, in mode invoice",
    INTERCOMPANY: "gift cards of another company, by that company",
}

Entries = list[tuple[str, str, Decimal]]
"""(component, code, amount in the transaction's currency), each component and code once, none of them zero."""

_LAYAWAY = Kind.LAYAWAY
_LIABILITIES = frozenset({LineKind.GIFT_CARD, LineKind.DEPOSIT, LineKind.TIP, LineKind.DONATION})
NO_REASON = "other"


def entries_of(transaction: Transaction, classes: tuple[str, ...]) -> Entries:
    """The entries of a transaction; none for kinds without effect. ``classes`` are its lines' product classes."""
    kind = transaction.kind
    if kind in SELLING:
        entries = _lines(transaction, classes)
    elif kind is _LAYAWAY:
        entries = [(LIABILITY, LineKind.DEPOSIT.value, transaction.rounding - transaction.total)]
    elif kind in CASH_MANAGEMENT:
        entries = [(CASH_MOVEMENT, kind.value, -transaction.total)]
    else:
        return []
    if transaction.rounding and kind not in CASH_MANAGEMENT:
        entries.append((ROUNDING, "cash", -transaction.rounding))
    tendered: dict[str, Decimal] = {}
    for tender in transaction.tenders:
        if not tender.voided:
            code = tender.type
            tendered[code] = tendered[code] + tender.amount if code in tendered else tender.amount
    entries += [(TENDER, code, amount) for code, amount in tendered.items()]
    residue = sum([amount for _, _, amount in entries], ZERO)
    if residue:  # a difference that the tolerance of the total let through: bounded by it
        entries.append((ROUNDING, "tolerance", -residue))
    return [entry for entry in entries if entry[2]]


def _lines(transaction: Transaction, classes: tuple[str, ...]) -> Entries:
    revenue: dict[str, Decimal] = {}
    liabilities: dict[str, Decimal] = {}
    discounts: dict[str, Decimal] = {}
    taxes: dict[str, Decimal] = {}
    all_included = transaction.tax_included
    for line, product_class in zip(transaction.lines, classes, strict=True):
        if line.voided:
            continue
        debit = -line.amount
        included = all_included if line.tax_included is None else line.tax_included
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
        credited = revenue if line.kind not in _LIABILITIES else liabilities
        credited[product_class] = credited[product_class] + debit if product_class in credited else debit
    entries = [(REVENUE, code, amount) for code, amount in revenue.items()]
    entries += [(DISCOUNT, code, amount) for code, amount in discounts.items()]
    entries += [(TAX, code, amount) for code, amount in taxes.items()]
    if liabilities:
        entries += [(LIABILITY, code, amount) for code, amount in liabilities.items()]
    return entries


def till_entries(till: TillClosed) -> Entries:
    """Over or short per tender: what was counted above (below) the calculated amount is gained (lost)."""
    differences: dict[str, Decimal] = {}
    for tender in till.tenders:
        differences[tender.type] = differences.get(tender.type, ZERO) + tender.counted - tender.calculated
    entries: Entries = []
    for code, difference in differences.items():
        if difference:
            entries += [(TENDER, code, difference), (OVER_SHORT, code, -difference)]
    return entries
