"""The sales auditor's rules: what a transaction must satisfy before it is recorded.

The source's own amounts are recorded; the rules recompute them, within a tolerance, to find contradictions, never to
replace them. Source of the rules: ARTS/OMG POSLog semantics and common retail sales-audit practice.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

from tillwire.events.recorded import Enrichment
from tillwire.masterdata.snapshot import Snapshot
from tillwire.model.money import ZERO, minor_units, quantum
from tillwire.model.stock import Fulfilment, StockLevel, StockMovement
from tillwire.model.till import DayClosed, DayOpened, TillClosed, TillOpened
from tillwire.model.transaction import CASH_MANAGEMENT, SELLING, Kind, Line, LineKind, Tax, Transaction

_ITEM = LineKind.ITEM
_LAYAWAY = Kind.LAYAWAY
_POST_VOID = Kind.POST_VOID
_SALE = Kind.SALE
_RETURN = Kind.RETURN

ZERO_QUANTITY = "zero_quantity"
ZERO_AMOUNT = "zero_amount"
UNIT_CONVERTED = "unit_converted"

NOTES: dict[str, str] = {
    ZERO_QUANTITY: "a line of quantity zero is recorded with the amount the source gives it, and moves no stock",
    ZERO_AMOUNT: "a line of amount zero is recorded and moves its stock without revenue",
    UNIT_CONVERTED: "a line in another unit is converted to the product's stock unit by master data",
}
"""Peculiarities that are let through on purpose, counted and shown."""


StoreMessage = Transaction | StockMovement | StockLevel | Fulfilment | TillOpened | TillClosed | DayOpened | DayClosed
"""Every message that belongs to a store."""


class Fault(msgspec.Struct, frozen=True):
    """A broken rule: its code, what is wrong in figures, and where."""

    code: str
    message: str
    pointer: str


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Tolerances of the rules. ``*_units`` are in minor units of the transaction's currency."""

    extension_tolerance_units: Decimal = Decimal(1)
    total_tolerance_units: Decimal = Decimal(0)
    future_days: int = 1
    """How far ahead of the hub's date a business date may be (time zones, clocks that are fast)."""
    past_days: int = 3660
    """How old a business date may be before it is taken for a mistake."""


class Auditor:
    """Checks messages against master data and policy."""

    def __init__(self, master: Snapshot, policy: Policy) -> None:
        self.master = master
        self.policy = policy

    def check(self, message: object, today: date) -> tuple[list[Fault], Enrichment]:
        """Every fault of a message that is no master record, and what master data adds to it.

        ``today`` is the hub's date in UTC. No fault means it may be recorded.
        """
        match message:
            case Transaction():
                return self._transaction(message, today)
            case StockMovement() | Fulfilment():
                return self._movement(message, today)
            case StockLevel():
                return self._level(message, today)
            case TillOpened() | TillClosed() | DayOpened() | DayClosed():
                faults: list[Fault] = []
                company = self._head(message, today, faults)
                if isinstance(message, TillClosed):
                    self._till(message, faults)
                return faults, Enrichment(company=company)
        raise TypeError(f"no rules for {type(message).__name__}")

    def _till(self, till: TillClosed, faults: list[Fault]) -> None:
        """Over and short are booked per tender: the tender must be known, the difference whole minor units."""
        most = minor_units(till.currency)
        for i, tender in enumerate(till.tenders):
            if tender.type not in self.master.tenders:
                text = f"tender {tender.type!r} is not in master data"
                faults.append(Fault("unknown_tender", text, f"/data/tenders/{i}/type"))
            for name, amount in (("calculated", tender.calculated), ("counted", tender.counted)):
                if _decimals(amount) > most:
                    text = f"{amount} has more than {most} decimals ({till.currency})"
                    faults.append(Fault("precision_invalid", text, f"/data/tenders/{i}/{name}"))

    def _head(
        self,
        message: StoreMessage,
        today: date,
        faults: list[Fault],
    ) -> str:
        """Store, register, currency, business date: what all messages of a store share. Returns the company."""
        store = self.master.stores.get(message.store)
        days = (message.business_date - today).days
        if not -self.policy.past_days <= days <= self.policy.future_days:
            text = f"business date {message.business_date} is out of range at {today}"
            faults.append(Fault("business_date_invalid", text, "/data/business_date"))
        if store is None:
            faults.append(Fault("unknown_store", f"store {message.store!r} is not in master data", "/data/store"))
            return ""
        register = getattr(message, "register", None)
        if register is not None and register not in self.master.registers[message.store]:
            text = f"register {register!r} is not in the record of store {message.store!r}"
            faults.append(Fault("unknown_register", text, "/data/register"))
        currency = getattr(message, "currency", None)
        if currency is not None and currency != store.currency:
            text = f"currency {currency}, but store {message.store!r} trades in {store.currency}"
            faults.append(Fault("currency_mismatch", text, "/data/currency"))
        return store.company

    def _movement(self, movement: StockMovement | Fulfilment, today: date) -> tuple[list[Fault], Enrichment]:
        faults: list[Fault] = []
        company = self._head(movement, today, faults)
        factors: list[Decimal | None] = []
        notes: dict[str, int] = {}
        for i, line in enumerate(movement.lines):
            _, factor = self._product(line.sku, line.unit, i, faults)
            factors.append(factor)
            if factor is not None:
                notes[UNIT_CONVERTED] = notes.get(UNIT_CONVERTED, 0) + 1
        return faults, Enrichment(company=company, factors=tuple(factors) if notes else (), notes=notes)

    def _level(self, level: StockLevel, today: date) -> tuple[list[Fault], Enrichment]:
        faults: list[Fault] = []
        company = self._head(level, today, faults)
        _, factor = self._product(level.sku, level.unit, None, faults)
        factors = () if factor is None else (factor,)
        return faults, Enrichment(company=company, factors=factors)

    def _product(self, sku: str, unit: str, i: int | None, faults: list[Fault]) -> tuple[str, Decimal | None]:
        """The class of a product, and the factor from ``unit`` to its stock unit (none: they are the same)."""
        product = self.master.products.get(sku)
        place = "/data" if i is None else f"/data/lines/{i}"
        if product is None:
            faults.append(Fault("unknown_product", f"product {sku!r} is not in master data", f"{place}/sku"))
            return "", None
        product_class, stock_unit, units = product
        if unit == stock_unit:
            return product_class, None
        factor = units.get(unit) if units else None
        if factor is None:
            text = f"product {sku!r} is kept in {stock_unit!r} and has no conversion from {unit!r}"
            faults.append(Fault("unknown_uom", text, f"{place}/unit"))
        return product_class, factor

    def _transaction(self, tx: Transaction, today: date) -> tuple[list[Fault], Enrichment]:
        faults: list[Fault] = []
        company = self._head(tx, today, faults)
        kind = tx.kind
        if kind in SELLING or kind is _LAYAWAY:
            classes, factors, notes = self._lines(tx, faults)
            self._tenders(tx, faults)
        else:
            classes, factors, notes = (), (), {}
            if kind in CASH_MANAGEMENT:
                self._tenders(tx, faults)
        contradiction = _contradiction(tx)
        if contradiction is not None:
            faults.append(contradiction)
        return faults, Enrichment(company=company, classes=classes, factors=factors, notes=notes)

    def _lines(
        self, tx: Transaction, faults: list[Fault]
    ) -> tuple[tuple[str, ...], tuple[Decimal | None, ...], dict[str, int]]:
        """Lines against their parts and the header against its lines, in one walk (this is the hot path)."""
        products = self.master.products
        tax_codes = self.master.tax_codes
        unit_of_money = quantum(tx.currency)
        tolerance = self.policy.extension_tolerance_units * unit_of_money
        classes: list[str] = []
        factors: list[Decimal | None] = []
        notes: dict[str, int] = {}
        net = tax = discounted = ZERO
        in_force = 0
        for i, line in enumerate(tx.lines):
            factor: Decimal | None = None
            if line.kind is _ITEM:
                product = products.get(line.sku)
                if product is not None and product[1] == line.unit:
                    product_class = product[0]
                else:
                    product_class, factor = self._product(line.sku, line.unit, i, faults)
                    if factor is not None:
                        notes[UNIT_CONVERTED] = notes.get(UNIT_CONVERTED, 0) + 1
            else:
                product_class = line.kind.value  # see sales.entries
            classes.append(product_class)
            factors.append(factor)
            if line.voided:
                continue
            in_force += 1
            quantity, amount, price = line.quantity, line.amount, line.unit_price
            extension = quantity * price
            for discount in line.discounts:
                extension -= discount.amount
                discounted += discount.amount
            if quantity and extension != amount and not -tolerance <= extension - amount <= tolerance:
                faults.append(_extension_fault(line, extension, i))
            for one in line.taxes:
                tax += one.amount
                if one.code not in tax_codes:
                    faults.append(_tax_code_fault(one.code, i))
                if one.taxable is not None and one.rate is not None:
                    _check_tax(one, tolerance, i, faults)
            net += amount
            if not quantity:
                notes[ZERO_QUANTITY] = notes.get(ZERO_QUANTITY, 0) + 1
            elif not amount:
                notes[ZERO_AMOUNT] = notes.get(ZERO_AMOUNT, 0) + 1
            elif quantity.is_signed() is not amount.is_signed():
                text = f"quantity {quantity} and amount {amount} have unlike signs"
                faults.append(Fault("sign_contradiction", text, f"/data/lines/{i}/amount"))
            if price.is_signed() and price:
                text = f"unit price {line.unit_price} is below zero"
                faults.append(Fault("negative_price", text, f"/data/lines/{i}/unit_price"))
        if not in_force:
            faults.append(Fault("empty_transaction", "no line is in force", "/data/lines"))
        self._header(tx, net, tax, discounted, faults)
        sums = net + tax + discounted
        if _too_precise(sums, tx.currency):
            faults.extend(_precision_faults(tx))
        return tuple(classes), tuple(factors) if UNIT_CONVERTED in notes else (), notes

    def _header(self, tx: Transaction, net: Decimal, tax: Decimal, discounted: Decimal, faults: list[Fault]) -> None:
        tolerance = self.policy.total_tolerance_units * quantum(tx.currency)
        total = net + tx.rounding
        if not tx.tax_included:
            total += tax
        if total != tx.total and abs(total - tx.total) > tolerance:
            text = f"total {tx.total}, but lines, tax and rounding add up to {total} {tx.currency}"
            faults.append(Fault("total_mismatch", text, "/data/total"))
        if tx.tax is not None and tx.tax != tax and abs(tax - tx.tax) > tolerance:
            text = f"tax {tx.tax}, but the lines' taxes add up to {tax} {tx.currency}"
            faults.append(Fault("tax_mismatch", text, "/data/tax"))
        if tx.discount is not None and tx.discount != discounted and abs(discounted - tx.discount) > tolerance:
            text = f"discount {tx.discount}, but the lines' discounts add up to {discounted} {tx.currency}"
            faults.append(Fault("discount_mismatch", text, "/data/discount"))

    def _tenders(self, tx: Transaction, faults: list[Fault]) -> None:
        tendered = ZERO
        known = self.master.tenders
        for i, tender in enumerate(tx.tenders):
            if tender.type not in known:
                text = f"tender {tender.type!r} is not in master data"
                faults.append(Fault("unknown_tender", text, f"/data/tenders/{i}/type"))
            if not tender.voided:
                tendered += tender.amount
        sums = tendered + tx.total
        if _too_precise(sums, tx.currency):
            faults.extend(fault for fault in _precision_faults(tx) if fault not in faults)
        if tendered != tx.total:
            text = f"tenders less change are {tendered}, the total is {tx.total} {tx.currency}"
            faults.append(Fault("tender_mismatch", text, "/data/tenders"))


def _contradiction(tx: Transaction) -> Fault | None:
    """Kind against content: what a sale, a return, a post-void and a movement of cash cannot be."""
    if tx.kind is _SALE:
        if tx.total.is_signed() and tx.total:
            return Fault("kind_contradiction", f"a sale of {tx.total}: goods that come back are a return", "/data/kind")
    elif tx.kind is _RETURN:
        if tx.total > ZERO:
            return Fault("kind_contradiction", f"a return of {tx.total}: its total is not above zero", "/data/total")
    elif tx.kind is _POST_VOID:
        return _void_contradiction(tx)
    elif tx.kind in CASH_MANAGEMENT and tx.lines:
        return Fault("kind_contradiction", f"a {tx.kind} moves cash and has no lines", "/data/lines")
    return None


def _void_contradiction(tx: Transaction) -> Fault | None:
    original = tx.original
    if original is None:
        return Fault("original_missing", "a post-void names the transaction it voids", "/data/original")
    if (original.store, original.register, original.business_date, original.sequence) == (
        tx.store,
        tx.register,
        tx.business_date,
        tx.sequence,
    ):
        return Fault("kind_contradiction", "a post-void cannot void itself", "/data/original")
    return None


def _extension_fault(line: Line, extension: Decimal, i: int) -> Fault:
    text = f"{line.quantity} x {line.unit_price} less discounts is {extension}, the line says {line.amount}"
    return Fault("line_extension_mismatch", text, f"/data/lines/{i}/amount")


def _check_tax(tax: Tax, tolerance: Decimal, i: int, faults: list[Fault]) -> None:
    assert tax.taxable is not None
    assert tax.rate is not None
    computed = tax.taxable * tax.rate
    if not -tolerance <= computed - tax.amount <= tolerance:
        text = f"{tax.taxable} x {tax.rate} is {computed}, the tax line says {tax.amount}"
        faults.append(Fault("line_tax_mismatch", text, f"/data/lines/{i}/taxes"))


def _tax_code_fault(code: str, i: int) -> Fault:
    return Fault("unknown_tax_code", f"tax code {code!r} is not in master data", f"/data/lines/{i}/taxes")


def _decimals(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def _too_precise(total: Decimal, currency: str) -> bool:
    """Digits below the minor unit as written. Adding is exact, so a sum has at least those of each part: one look
    instead of many, and a cheap one where the sum is written just as the currency is.
    """
    if total.same_quantum(quantum(currency)):
        return False
    exponent = total.as_tuple().exponent
    return isinstance(exponent, int) and -exponent > minor_units(currency)


def _precision_faults(tx: Transaction) -> list[Fault]:
    """The amounts that have more decimals than the currency. Trailing zeros do no harm: 1.430 USD is 1.43 USD."""
    most = minor_units(tx.currency)
    amounts = [("/data/total", tx.total), ("/data/rounding", tx.rounding)]
    for i, line in enumerate(tx.lines):
        amounts.append((f"/data/lines/{i}/amount", line.amount))
        amounts.extend((f"/data/lines/{i}/taxes/{j}/amount", tax.amount) for j, tax in enumerate(line.taxes))
        amounts.extend((f"/data/lines/{i}/discounts/{j}/amount", d.amount) for j, d in enumerate(line.discounts))
    amounts.extend((f"/data/tenders/{i}/amount", tender.amount) for i, tender in enumerate(tx.tenders))
    return [
        Fault("precision_invalid", f"{amount} has more than {most} decimals ({tx.currency})", pointer)
        for pointer, amount in amounts
        if _decimals(amount) > most
    ]
