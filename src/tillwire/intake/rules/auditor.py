"""The sales auditor: what a message must satisfy before it is recorded, and what master data adds to it.

The source's own amounts are recorded; the rules recompute them, within a tolerance, to find contradictions, never to
replace them. Rules are small pure functions (lines.py, headers.py, payments.py, place.py). They are not called for
what is plainly right, which is nearly everything: one walk over a transaction proves that, for every rule at once, by
conditions that are sufficient. Whatever it does not prove is judged by the rules, one by one; so the walk decides what
a sale costs and never what is a fault. A property test holds it to that.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from tillwire.events.recorded import Enrichment
from tillwire.exceptions.codes import OFF, WARNING
from tillwire.intake.rules.headers import item_counts
from tillwire.intake.rules.lines import Goods
from tillwire.intake.rules.payments import GIFT_CARD
from tillwire.intake.rules.place import closed_period, date_is_sound
from tillwire.intake.rules.policy import Policy, Severities
from tillwire.intake.rules.registry import Fault, Given, Judge, Scope, StoreMessage, Sums, given, outside_of
from tillwire.masterdata.snapshot import Snapshot
from tillwire.model.money import ZERO
from tillwire.model.stock import Fulfilment, StockLevel, StockMovement
from tillwire.model.till import DayClosed, DayOpened, TillClosed, TillOpened
from tillwire.model.transaction import CASH_MANAGEMENT, SELLING, Kind, LineKind, Transaction

_ITEM = LineKind.ITEM
_GIFT_CARD_LINE = LineKind.GIFT_CARD
_SALE = Kind.SALE
_PAID = SELLING | {Kind.LAYAWAY}

ZERO_QUANTITY = "zero_quantity"
ZERO_AMOUNT = "zero_amount"
UNIT_CONVERTED = "unit_converted"

NOTES: dict[str, str] = {
    ZERO_QUANTITY: "a line of quantity zero is recorded with the amount the source gives it, and moves no stock",
    ZERO_AMOUNT: "a line of amount zero is recorded and moves its stock without revenue",
    UNIT_CONVERTED: "a line in another unit is converted to the product's stock unit by master data",
}
"""Peculiarities that are let through on purpose, counted and shown."""

Added = tuple[tuple[str, ...], tuple[Decimal | None, ...], dict[str, int]]
"""What master data adds to lines: product classes, factors to the stock unit, and notes."""


class Auditor:
    """Checks messages against master data and policy."""

    def __init__(self, master: Snapshot, policy: Policy) -> None:
        self.master = master
        self.policy = policy
        self._audits: dict[int, _Audit] = {}
        self._general = self._audit(policy.severities_for(""))
        self._by_source = bool(policy.sources)

    def check(self, message: object, today: date, source: str = "") -> tuple[list[Fault], Enrichment]:
        """Every fault of a message that is no master record, and what master data adds to it.

        ``today`` is the hub's date in UTC, ``source`` that of the event, which may have severities of its own. Without
        a blocking fault it may be recorded; warnings are counted in the notes of what is added.
        """
        audit = self._audit(self.policy.severities_for(source)) if self._by_source else self._general
        faults, enrichment = audit.check(message, today)
        if faults:
            for fault in faults:
                if fault.severity == WARNING:
                    notes = enrichment.notes
                    notes[fault.code] = notes.get(fault.code, 0) + 1
        return faults, enrichment

    def _audit(self, severities: Severities) -> _Audit:
        audit = self._audits.get(id(severities))
        if audit is None:
            audit = self._audits[id(severities)] = _Audit(self.master, self.policy, severities)
        return audit


class _Audit:
    """The audit with one set of severities."""

    def __init__(self, master: Snapshot, policy: Policy, severities: Severities) -> None:
        self._severities = severities  # kept alive: audits are known by its identity
        self._master = master
        self._policy = policy
        self._place = Judge(Scope.PLACE, severities)
        self._goods = Judge(Scope.GOODS, severities)
        self._line = Judge(Scope.LINE, severities)
        self._header = Judge(Scope.HEADER, severities)
        self._tender = Judge(Scope.TENDER, severities)
        self._payment = Judge(Scope.PAYMENT, severities)
        self._amounts = Judge(Scope.AMOUNTS, severities)
        self._kind = Judge(Scope.KIND, severities)
        self._till = Judge(Scope.TILL, severities)
        self._judges_rates = severities["tax_rate_mismatch"] != OFF
        self._today = date.min
        self._givens: dict[str, Given] = {}
        self._sound_dates: set[date] = set()

    def check(self, message: object, today: date) -> tuple[list[Fault], Enrichment]:
        """Every fault, and what master data adds."""
        if today != self._today:
            self._today = today
            self._givens = {}
            self._sound_dates = set()
        faults: list[Fault] = []
        if isinstance(message, Transaction):
            by = self._given(message.currency)
            company = self._head(message, message.register, message.currency, by, faults)
            return faults, self._transaction(message, company, by, faults)
        match message:
            case StockMovement() | Fulfilment():
                return faults, self._movement(message, faults)
            case StockLevel():
                company = self._head(message, None, None, self._given(""), faults)
                _, factor = self._product(message, "/data", faults)
                return faults, Enrichment(company=company, factors=() if factor is None else (factor,))
            case TillClosed() | TillOpened():
                by = self._given(message.currency)
                company = self._head(message, message.register, message.currency, by, faults)
                if isinstance(message, TillClosed):
                    for i, tender in enumerate(message.tenders):
                        self._tender(faults, f"/data/tenders/{i}", tender, by)
                    self._till(faults, "/data", message, by)
                return faults, Enrichment(company=company)
            case DayOpened() | DayClosed():
                currency = message.currency if isinstance(message, DayClosed) else None
                company = self._head(message, None, currency, self._given(currency or ""), faults)
                return faults, Enrichment(company=company)
        raise TypeError(f"no rules for {type(message).__name__}")

    def _given(self, currency: str) -> Given:
        by = self._givens.get(currency)
        if by is None:
            by = self._givens[currency] = given(self._master, self._policy, self._today, currency)
        return by

    def _head(
        self, message: StoreMessage, register: str | None, currency: str | None, by: Given, faults: list[Fault]
    ) -> str:
        """What all messages of a store share. Returns the company, empty where the store is not known."""
        master = self._master
        number = message.store
        day = message.business_date
        store = master.stores.get(number)
        if (
            store is not None
            and (currency is None or currency == store.currency)
            and (register is None or register in master.registers[number])
            and (day in self._sound_dates or self._date_is_sound(day))
            and (not master.periods or closed_period(master, store.company, day) is None)
            and (
                not master.customers
                or (customer := getattr(message, "customer", None)) is None
                or customer in master.customers
            )
        ):
            return store.company
        self._place(faults, "/data", message, by)
        return "" if store is None else store.company

    def _date_is_sound(self, day: date) -> bool:
        sound = date_is_sound(day, self._today, self._policy)
        if sound:  # they are few: as many as the policy has days
            self._sound_dates.add(day)
        return sound

    def _movement(self, movement: StockMovement | Fulfilment, faults: list[Fault]) -> Enrichment:
        company = self._head(movement, None, None, self._given(""), faults)
        factors: list[Decimal | None] = []
        notes: dict[str, int] = {}
        products = self._master.products
        for i, line in enumerate(movement.lines):
            product = products.get(line.sku)
            factor = None
            if product is None or product[1] != line.unit:
                _, factor = self._product(line, f"/data/lines/{i}", faults)
            factors.append(factor)
            if factor is not None:
                notes[UNIT_CONVERTED] = notes.get(UNIT_CONVERTED, 0) + 1
        return Enrichment(company=company, factors=tuple(factors) if notes else (), notes=notes)

    def _product(self, goods: Goods, place: str, faults: list[Fault]) -> tuple[str, Decimal | None]:
        """The class of a product, and the factor from a unit to its stock unit (none: they are the same)."""
        product = self._master.products.get(goods.sku)
        if product is not None:
            product_class, stock_unit, units = product
            if goods.unit == stock_unit:
                return product_class, None
            factor = units.get(goods.unit) if units else None
            if factor is not None:
                return product_class, factor
        self._goods(faults, place, goods, self._given(""))
        return "" if product is None else product[0], None

    def _transaction(self, tx: Transaction, company: str, by: Given, faults: list[Fault]) -> Enrichment:
        kind = tx.kind
        classes: tuple[str, ...] = ()
        factors: tuple[Decimal | None, ...] = ()
        notes: dict[str, int] = {}
        if kind in _PAID:
            classes, factors, notes = self._lines(tx, by, faults)
        elif kind in CASH_MANAGEMENT:
            self._tenders(tx, None, by, faults)  # they are few: every amount is looked at
        if kind is not _SALE or tx.total.is_signed():
            self._kind(faults, "/data", tx, by)
        return Enrichment(company=company, classes=classes, factors=factors, notes=notes)

    def _lines(self, tx: Transaction, by: Given, faults: list[Fault]) -> Added:
        """Lines against their parts and the header against its lines, in one walk (this is the hot path)."""
        master = self._master
        products = master.products
        tax_codes = master.tax_codes
        serials = master.serial_controlled
        groups = master.tax_groups
        rate_of = master.rate_of if self._judges_rates else None
        included = tx.tax_included
        most_off = by.tolerances["line_extension_mismatch"]
        most_tax = by.tolerances["line_tax_mismatch"]
        least_tax = -most_tax
        classes: list[str] = []
        factors: list[Decimal | None] | None = None
        notes: dict[str, int] = {}
        net = tax = discounted = ZERO
        in_force = 0
        precise = True
        mixed = False
        for i, line in enumerate(tx.lines):
            kind = line.kind
            plain = True
            if kind is _ITEM:
                product = products.get(line.sku)
                if product is not None and product[1] == line.unit:
                    classes.append(product[0])
                else:
                    product_class, factor = self._product(line, f"/data/lines/{i}", faults)
                    classes.append(product_class)
                    if factor is not None:
                        notes[UNIT_CONVERTED] = notes.get(UNIT_CONVERTED, 0) + 1
                        if factors is None:
                            factors = [None] * len(tx.lines)
                        factors[i] = factor
                if serials and line.sku in serials and not line.serial:
                    plain = False
            else:
                classes.append(kind.value)  # see sales.entries
                if kind is _GIFT_CARD_LINE:
                    plain = False
            if line.voided:
                continue
            in_force += 1
            quantity, amount, price = line.quantity, line.amount, line.unit_price
            extension = quantity * price
            if line.discounts:
                for discount in line.discounts:
                    extension -= discount.amount
                    discounted += discount.amount
            net += amount
            if price.is_signed():
                plain = False
            if quantity:
                if extension != amount and not -most_off <= extension - amount <= most_off:
                    plain = False
                if not amount:
                    notes[ZERO_AMOUNT] = notes.get(ZERO_AMOUNT, 0) + 1
                elif quantity.is_signed() is not amount.is_signed():
                    plain = False
            else:
                notes[ZERO_QUANTITY] = notes.get(ZERO_QUANTITY, 0) + 1
            taxes = line.taxes
            if taxes:
                for one in taxes:
                    part = one.amount
                    tax += part
                    rate = one.rate
                    if one.code not in tax_codes:
                        plain = False
                    elif rate is not None:
                        if rate_of is not None and rate != rate_of(one.code, tx.business_date):
                            plain = False
                        base = one.taxable
                        if base is not None:
                            if not least_tax <= base * rate - part <= most_tax:
                                plain = False
                        elif included:
                            # For one tax the bound is a little wider, for several the rule has to look at all.
                            if (
                                len(taxes) > 1
                                or rate.is_signed()
                                or not (least_tax <= amount * rate - part * (1 + rate) <= most_tax)
                            ):
                                plain = False
                        elif not least_tax <= amount * rate - part <= most_tax:
                            plain = False
                if line.tax_exempt:
                    plain = False
            said = line.tax_included
            if said is not None and said is not included:
                plain = False
                mixed = True
            if groups and line.tax_group is not None:
                plain = False
            if line.discount is not None and line.discount != sum([d.amount for d in line.discounts], ZERO):
                plain = precise = False
            if line.tax is not None and line.tax != sum([one.amount for one in taxes], ZERO):
                plain = precise = False
            if not plain:
                self._line(faults, f"/data/lines/{i}", line, tx, by)
        outside = outside_of(tx) if mixed else ZERO if included else tax
        total = net + outside
        rounding = tx.rounding
        if rounding:
            total += rounding
        if (
            not in_force
            or total != tx.total
            or (tx.tax is not None and tx.tax != tax)
            or (tx.discount is not None and tx.discount != discounted)
            or (tx.net is not None and tx.net != net)
            or tx.tax_exempt is not None
            or (rounding and not -by.cash_unit <= rounding <= by.cash_unit)
            or (tx.item_count is not None and tx.item_count not in item_counts(tx))
        ):
            precise = False
            self._header(faults, "/data", tx, Sums(net, tax, discounted, in_force, outside), by)
        self._tenders(tx, total + tax + discounted if precise else None, by, faults)
        return tuple(classes), () if factors is None else tuple(factors), notes

    def _tenders(self, tx: Transaction, sums: Decimal | None, by: Given, faults: list[Fault]) -> None:
        """Tenders against the total, and every amount's precision. ``sums``: what other amounts add up to; none if
        anything gives reason to look at each of them.
        """
        tendered = ZERO
        known = self._master.tenders
        plain = True
        for tender in tx.tenders:
            kind = tender.type
            if kind not in known or kind == GIFT_CARD:
                plain = False
            if not tender.voided:
                tendered += tender.amount
        total = tx.total
        if sums is None or _too_precise(sums + tendered + total, by):
            self._amounts(faults, "/data", tx, by)
        if not plain:
            for i, tender in enumerate(tx.tenders):
                self._tender(faults, f"/data/tenders/{i}", tender, by)
        if not plain or tendered != total:
            self._payment(faults, "/data", tx, by)


def _too_precise(total: Decimal, by: Given) -> bool:
    """Digits below the minor unit as written. Adding is exact, so a sum has at least those of each part: one look
    instead of many, and a cheap one where the sum is written just as the currency is.
    """
    if total.same_quantum(by.quantum):
        return False
    exponent = total.as_tuple().exponent
    return isinstance(exponent, int) and -exponent > by.decimals
