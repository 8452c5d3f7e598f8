"""What a transaction means in double entry: components with their codes, before any account is chosen.

Debit is positive, credit negative; the entries of one event add up to zero. Change is negative cash, never negative
revenue. Gift cards and deposits sold, tips and donations are liabilities, no revenue.

The code of a tax or a tender carries what accounting rules also look at, behind semicolons, where there is any:
``STD;0.0825;NY`` (code, rate, jurisdiction), ``cash;EUR;adyen`` (type, the currency it was handed over in, acquirer).
"""

from __future__ import annotations

from decimal import Decimal

from tillwire.model.money import ZERO
from tillwire.model.till import TillClosed
from tillwire.model.transaction import CASH_MANAGEMENT, SELLING, Kind, LineKind, Tax, Tender, Transaction

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
LIABILITY_KINDS = frozenset({LineKind.GIFT_CARD, LineKind.DEPOSIT, LineKind.TIP, LineKind.DONATION})
"""Lines that sell no goods: what they bring in is owed to somebody."""
QUALIFIED = frozenset({TAX, TENDER, CHANGE})
"""The components whose codes carry more than themselves."""
NO_REASON = "other"


_TaxSeen = tuple[Decimal | None, str | None, str]
_taxes_seen: dict[str, _TaxSeen] = {}
"""Of each tax code the rate and jurisdiction it came with last, and its qualified code: a code rarely comes with
another, and comparing two decimals takes a fifth of the time that hashing one does."""
_MOST_SEEN = 4096


def tax_code(tax: Tax) -> str:
    """A tax's code as its entry has it: with rate and jurisdiction, where they are given."""
    seen = _taxes_seen.get(tax.code)
    if seen is None or seen[0] != tax.rate or seen[1] != tax.jurisdiction:
        seen = _see(tax)
    return seen[2]


def _see(tax: Tax) -> _TaxSeen:
    if len(_taxes_seen) >= _MOST_SEEN:
        _taxes_seen.clear()
    told = "" if tax.rate is None else f"{tax.rate.normalize():f}"  # 0.06 and 0.060 are one
    seen = _taxes_seen[tax.code] = (tax.rate, tax.jurisdiction, _joined(tax.code, told, tax.jurisdiction))
    return seen


def tender_code(tender: Tender) -> str:
    """A tender's code as its entry has it: with the currency it was handed over in and its acquirer, where given."""
    if tender.acquirer is None and tender.foreign is None and ";" not in tender.type:
        return tender.type
    return _joined(tender.type, tender.foreign.currency if tender.foreign else "", tender.acquirer)


def _joined(code: str, second: str, third: str | None) -> str:
    return f"{code.replace(';', ',')};{second};{third or ''}".rstrip(";")


def parts_of(code: str) -> tuple[str, str, str]:
    """The parts of a qualified code; empty where there is none."""
    first, _, rest = code.partition(";")
    second, _, third = rest.partition(";")
    return first, second, third


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
    changed: dict[str, Decimal] = {}
    for tender in transaction.tenders:
        if not tender.voided:
            code = tender.type
            if tender.acquirer is not None or tender.foreign is not None or ";" in code:
                code = tender_code(tender)
            given = changed if tender.change else tendered
            given[code] = given[code] + tender.amount if code in given else tender.amount
    entries += [(TENDER, code, amount) for code, amount in tendered.items()]
    if changed:
        entries += [(CHANGE, code, amount) for code, amount in changed.items()]
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
            seen = _taxes_seen.get(tax.code)  # as tax_code: a call of it would cost as much as all of this
            if seen is None or seen[0] != tax.rate or seen[1] != tax.jurisdiction:
                seen = _see(tax)
            code = seen[2]
            taxes[code] = taxes[code] - amount if code in taxes else -amount
        # The class of a line that sells no item is its kind.
        credited = revenue if line.kind not in LIABILITY_KINDS else liabilities
        credited[product_class] = credited[product_class] + debit if product_class in credited else debit
    entries = [(REVENUE, code, amount) for code, amount in revenue.items()]
    entries += [(DISCOUNT, code, amount) for code, amount in discounts.items()]
    entries += [(TAX, code, amount) for code, amount in taxes.items()]
    if liabilities:
        entries += [(LIABILITY, code, amount) for code, amount in liabilities.items()]
    return entries


def has_foreign(transaction: Transaction) -> bool:
    """True if something was handed over in another currency."""
    return any([tender.foreign is not None for tender in transaction.tenders])  # noqa: C419 - twice as fast


def foreign_amounts(transaction: Transaction, entries: Entries) -> list[Decimal]:
    """What each of the entries is in the currency that its tenders were handed over in; zero for all others."""
    found: dict[tuple[str, str], Decimal] = {}
    for tender in transaction.tenders:
        if tender.foreign is not None and not tender.voided:
            place = (CHANGE if tender.change else TENDER, tender_code(tender))
            amount = abs(tender.foreign.amount)
            found[place] = found.get(place, ZERO) + (amount if tender.amount >= 0 else -amount)
    return [found.get((component, code), ZERO) for component, code, _ in entries]


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
