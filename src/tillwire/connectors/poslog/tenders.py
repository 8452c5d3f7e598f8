"""Means of payment, change and cash rounding, as the source writes them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple
from xml.etree.ElementTree import Element

from tillwire.connectors.poslog.people import Pseudonyms, code, plain
from tillwire.connectors.poslog.settings import TENDERS, PoslogSettings
from tillwire.connectors.poslog.tree import attribute, flag, number, text_at, text_of
from tillwire.model.money import ZERO, Money
from tillwire.model.transaction import Tender

CASH = "Cash"
_OUT = frozenset({"refund", "return", "change", "void", "payout"})
_TYPED = frozenset(
    {"Cash", "CreditDebit", "Check", "Coupon", "Voucher", "TravelersCheck", "GiftCard", "FoodStamps", "PurchaseOrder",
     "StoreAccount", "Mobile", "StoredValueInstrument", "LoyaltyRedemption"}
)  # fmt: skip
"""Children of a Tender that say its type where its attribute does not."""
_TYPE_OF_CHILD = {"StoredValueInstrument": "StoredValue", "LoyaltyRedemption": "Loyalty"}


_INSTRUMENTS = (
    "GiftCard/CardNumber",
    "Voucher/SerialNumber",
    "StoredValueInstrument/SerialNumber",
    "Coupon/PrimaryLabel",
)


class Payments(NamedTuple):
    """What a transaction's tenders come to; signs as far as the source says them."""

    tenders: list[Tender]
    change: list[Tender]
    """Change that stands within or beside the tenders."""
    rounding: list[Decimal]
    """Cash roundings; negative where the source says that it rounds down."""


class TenderReader:
    """Reads tenders under one connection's settings."""

    def __init__(self, settings: PoslogSettings, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._map: Mapping[str, str] = {**TENDERS, **settings.tenders}

    def type_of(self, element: Element) -> str:
        """Our tender type; empty if the source says none."""
        said = attribute(element, "TenderType") or text_of(element.find("TenderType"))
        if not said:
            child = next((child.tag for child in element if child.tag in _TYPED), "")
            said = _TYPE_OF_CHILD.get(child, child)
        sub = attribute(element, "SubTenderType")
        tender_id = text_at(element, "TenderID")
        for key in (f"{said}:{sub}" if sub else "", f"{said}:{tender_id}" if tender_id else "", said):
            if key and key in self._map:
                return code(self._map[key])
        return code(said) or (code(f"tender:{tender_id}") if tender_id else "")

    def read(self, line_item: Element, currency: str, pointer: str, payments: Payments) -> None:
        """Adds a line item's Tender or TenderChange. Raises ``DriftError``."""
        void = flag(line_item, "VoidFlag") or flag(line_item, "CancelFlag")
        for element in line_item:
            if element.tag == "Tender":
                self._tender(element, void or flag(element, "VoidFlag"), currency, pointer, payments)
            elif element.tag == "TenderChange":
                self._change(element, 1, CASH, void, pointer, payments)
            elif element.tag == "Rounding" and not void:
                _round(element, pointer, payments)

    def _tender(self, element: Element, void: bool, currency: str, pointer: str, payments: Payments) -> None:
        kind = self.type_of(element)
        amount = number(element.find("Amount"), f"{pointer}/Tender/Amount")
        sign = -1 if attribute(element, "TypeCode").lower() in _OUT else 1
        for rounding in element.iterfind("Rounding"):
            if not void:
                _round(rounding, f"{pointer}/Tender", payments)
        if amount is not None and amount < 0:
            sign = -1
        for change in element.iterfind("TenderChange"):
            self._change(change, sign, kind or CASH, void, pointer, payments)
        back = number(element.find("Cashback/Amount"), f"{pointer}/Tender/Cashback/Amount")
        if back is None:
            back = number(element.find("Cashback"), f"{pointer}/Tender/Cashback")
        if back:
            payments.change.append(Tender(code(self._map[CASH]), abs(back) * -sign, change=True, voided=void))
        if amount is None:
            return
        amount = abs(amount) if sign > 0 else -abs(amount)
        if not kind:
            if not void:
                payments.rounding.append(amount)
            return
        made = Tender(
            kind,
            amount,
            None,
            self._reference(element),
            self._foreign(element, sign, currency, pointer),
            attribute(element, "TypeCode").lower() == "change",
            void,
        )
        payments.tenders.append(made)

    def _reference(self, element: Element) -> str | None:
        """What the payment can be found by: an authorization, or the number of a gift card or voucher."""
        for path in ("Authorization/AuthorizationCode", "Authorization/ReferenceNumber", "Check/CheckNumber"):
            said = text_at(element, path)
            if said:
                return plain(said)
        said = next((found for path in _INSTRUMENTS if (found := text_at(element, path))), "")
        return self._pseudonyms.instrument(said)

    def _foreign(self, element: Element, sign: int, currency: str, pointer: str) -> Money | None:
        foreign = element.find("ForeignCurrency")
        if foreign is None:
            return None
        said = text_at(foreign, "CurrencyCode") or attribute(foreign, "CurrencyCode")
        place = f"{pointer}/Tender/ForeignCurrency/OriginalFaceAmount"
        face = number(foreign.find("OriginalFaceAmount"), place)
        if face is None or len(said) != 3 or not said.isalpha() or said.upper() == currency:
            return None
        return Money(abs(face) if sign > 0 else -abs(face), said.upper())

    def _change(self, element: Element, sign: int, kind: str, void: bool, pointer: str, payments: Payments) -> None:
        """Change goes against its tender's direction. Some write it as an element within one of the same name."""
        inner = [child for child in element if child.tag == "TenderChange"]
        for rounding in element.iterfind("Rounding"):
            if not void:
                _round(rounding, f"{pointer}/TenderChange", payments)
        for child in inner:
            self._change(child, sign, kind, void or flag(child, "VoidFlag"), pointer, payments)
        amount = number(element.find("Amount"), f"{pointer}/TenderChange/Amount")
        if amount:
            own = self.type_of(element) or code(self._map.get(kind, kind))
            payments.change.append(Tender(own, abs(amount) * -sign, change=True, voided=void))


def _round(element: Element, pointer: str, payments: Payments) -> None:
    amount = number(element, f"{pointer}/Rounding")
    if amount is None:
        amount = number(element.find("Amount"), f"{pointer}/Rounding/Amount")
    if amount:
        down = attribute(element, "RoundingDirection").lower() == "down"
        payments.rounding.append(-abs(amount) if down else amount)


def settled(payments: Payments, total: Decimal) -> list[Tender]:
    """The tenders with the signs, and with or without the change, that come to the total; as written if none do.

    Refunds are written as positive amounts by some, and change may have been taken off its tender already.
    """
    tenders, change = payments.tenders, payments.change
    paid = sum([one.amount for one in tenders if not one.voided], ZERO)
    back = sum([one.amount for one in change if not one.voided], ZERO)
    if paid + back == total:
        found = tenders + change
    elif paid == total and back:
        found = tenders
    elif -paid - back == total:
        found = [_turned(one) for one in tenders + change]
    elif -paid == total:
        found = [_turned(one) for one in tenders]
    elif total < ZERO < paid + back:
        found = [_turned(one) for one in tenders + change]
    else:
        found = tenders + change
    if total < ZERO or len(found) < 2:
        return found
    # Change may also be written as a negative tender of cash beside what was given.
    given = any(one.amount > 0 for one in found)
    return [_as_change(one) if given and one.amount < 0 and one.type == "cash" else one for one in found]


def _turned(tender: Tender) -> Tender:
    foreign = tender.foreign
    return Tender(
        tender.type,
        -tender.amount,
        tender.acquirer,
        tender.reference,
        None if foreign is None else -foreign,
        tender.change,
        tender.voided,
    )


def _as_change(tender: Tender) -> Tender:
    return Tender(tender.type, tender.amount, tender.acquirer, tender.reference, tender.foreign, True, tender.voided)
