"""One line item that sells or takes back, as the source writes it, with the readings that it allows."""

from __future__ import annotations

from decimal import Decimal
from xml.etree.ElementTree import Element

from tillwire.connectors.poslog.drafts import ONE, Draft
from tillwire.connectors.poslog.people import Pseudonyms, code, plain
from tillwire.connectors.poslog.settings import UNITS, PoslogSettings
from tillwire.connectors.poslog.taxes import read_taxes
from tillwire.connectors.poslog.tree import DriftError, attribute, flag, kids, number, text_at, text_of, times
from tillwire.model.identifiers import is_gtin
from tillwire.model.money import ZERO
from tillwire.model.transaction import Discount, Disposition, LineKind

SALES = frozenset(
    {
        "Sale",
        "SaleForDelivery",
        "SaleForPickup",
        "FuelSale",
        "CustomerOrderForDelivery",
        "CustomerOrderForPickup",
        "PreviousCustomerOrder",
        "Layaway",
        "PreviousLayaway",
        "GiftCertificate",
        "GiftCard",
        "PaymentOnAccount",
        "Deposit",
        "Donation",
        "Tip",
        "Gratuity",
        "Fee",
        "MiscellaneousFee",
        "Charge",
        "Rebate",
    }
)
RETURNS = frozenset({"Return", "ReturnForDelivery", "ReturnForPickup", "DepositRefund", "FeeRefund"})

_KIND_OF_ELEMENT = {
    "GiftCertificate": LineKind.GIFT_CARD,
    "GiftCard": LineKind.GIFT_CARD,
    "PaymentOnAccount": LineKind.DEPOSIT,
    "Deposit": LineKind.DEPOSIT,
    "DepositRefund": LineKind.DEPOSIT,
    "Layaway": LineKind.DEPOSIT,
    "Donation": LineKind.DONATION,
    "Tip": LineKind.TIP,
    "Gratuity": LineKind.TIP,
    "Fee": LineKind.CHARGE,
    "FeeRefund": LineKind.CHARGE,
    "MiscellaneousFee": LineKind.CHARGE,
    "Charge": LineKind.CHARGE,
}
_KIND_OF_TYPE = {
    "service": LineKind.SERVICE,
    "alteration": LineKind.SERVICE,
    "warranty": LineKind.SERVICE,
    "giftcard": LineKind.GIFT_CARD,
    "giftcertificate": LineKind.GIFT_CARD,
    "storedvalue": LineKind.GIFT_CARD,
    "deposit": LineKind.DEPOSIT,
    "depositrefund": LineKind.DEPOSIT,
    "layaway": LineKind.DEPOSIT,
    "fee": LineKind.CHARGE,
    "feerefund": LineKind.CHARGE,
    "charge": LineKind.CHARGE,
    "shipping": LineKind.CHARGE,
    "tip": LineKind.TIP,
    "gratuity": LineKind.TIP,
    "donation": LineKind.DONATION,
    "charity": LineKind.DONATION,
}
_GTIN_TYPES = ("GTIN", "EAN", "UPC", "JAN")
_DISPOSITIONS = {
    "returntostock": Disposition.RESELL,
    "returntoinventory": Disposition.RESELL,
    "resell": Disposition.RESELL,
    "restock": Disposition.RESELL,
    "damaged": Disposition.DAMAGED,
    "destroyed": Disposition.DAMAGED,
    "destroy": Disposition.DAMAGED,
    "scrap": Disposition.DAMAGED,
    "dispose": Disposition.DAMAGED,
    "defective": Disposition.DAMAGED,
    "returntovendor": Disposition.VENDOR,
    "returntomanufacturer": Disposition.VENDOR,
    "vendor": Disposition.VENDOR,
}


_INSTRUMENTS = (
    "GiftCard/CardNumber",
    "GiftCard/PrimaryAccountNumber",
    "GiftCertificate/SerialNumber",
    "StoredValueInstrument/SerialNumber",
    "GiftCardID",
    "SerialNumber",
    "CardNumber",
    "AccountNumber",
)
"""Where the number of what a line sells may stand."""


class LineReader:
    """Reads lines under one connection's settings."""

    def __init__(self, settings: PoslogSettings, pseudonyms: Pseudonyms) -> None:
        self._settings = settings
        self._pseudonyms = pseudonyms
        self._units = {**UNITS, **settings.units}

    def read(self, item: Element, line_item: Element, pointer: str) -> Draft:
        """The draft of a Sale, Return or like element. Raises ``DriftError``."""
        own = kids(item)
        draft = Draft()
        draft.item, draft.link = item, own.get("TransactionLink")
        draft.is_return = item.tag in RETURNS
        draft.flagged = _is_void(line_item, item)
        draft.kind = self._kind(item, own)
        draft.tags = (text_of(own.get("OperatorSequence")), text_of(line_item.find("SequenceNumber")))
        draft.sku, draft.gtin = self._product(item, own, draft.kind, pointer)
        draft.description = plain(text_of(own.get("Description")) or attribute(own.get("ItemID"), "Name"))
        draft.serial = plain(text_of(own.get("SerialNumber")), mask=False)  # a telephone's looks like a card's
        draft.reference = self._reference(item, own, draft.kind)
        draft.disposition = _disposition(own)
        draft.untaxed = attribute(item, "TaxableFlag").lower() in ("false", "0")
        self._measure(draft, own, pointer)
        self._discounts(draft, item, own, pointer)
        draft.taxes = read_taxes(item, self._settings, pointer)
        self._orient(draft)
        return draft

    def _kind(self, item: Element, own: dict[str, Element]) -> LineKind:
        by_element = _KIND_OF_ELEMENT.get(item.tag)
        if by_element is not None:
            return by_element
        said = (attribute(item, "ItemType") or attribute(item, "ItemSubType")).rpartition(":")[2].lower()
        if said in _KIND_OF_TYPE:
            return _KIND_OF_TYPE[said]
        if "GiftCertificate" in own or "GiftCard" in own or "StoredValueInstrument" in own:
            return LineKind.GIFT_CARD
        return LineKind.ITEM

    def _product(self, item: Element, own: dict[str, Element], kind: LineKind, pointer: str) -> tuple[str, str | None]:
        codes: dict[str, str] = {}
        gtin = None
        for identity in item.iterfind("POSIdentity"):
            said = text_at(identity, "POSItemID")
            id_type = attribute(identity, "POSIDType")
            if said:
                codes.setdefault(f"POSIdentity:{id_type}", said)
                if id_type.upper().startswith(_GTIN_TYPES):
                    gtin = gtin or (said if is_gtin(said) else None)
                else:
                    codes["POSIdentity"] = codes.get("POSIdentity", said)
        if "POSIdentity" not in codes and codes:
            codes["POSIdentity"] = next(iter(codes.values()))
        item_id = own.get("ItemID")
        if gtin is None and attribute(item_id, "Type").upper().startswith(_GTIN_TYPES):
            gtin = text_of(item_id) if is_gtin(text_of(item_id)) else None
        for name in self._settings.product_codes:
            sku = code(codes.get(name) or text_of(own.get(name)))
            if sku:
                return sku, gtin
        department = text_of(own.get("MerchandiseHierarchy")) or attribute(item, "Department")
        if department:
            return code(f"department:{department}"), gtin
        if kind is not LineKind.ITEM:
            return kind.value, gtin
        raise DriftError("a line without a product (ItemID, POSIdentity, MerchandiseHierarchy)", f"{pointer}/ItemID")

    def _reference(self, item: Element, own: dict[str, Element], kind: LineKind) -> str | None:
        """The number of a gift card and the like."""
        if kind is LineKind.ITEM:
            return None
        said = next((found for path in _INSTRUMENTS if (found := text_at(item, path))), "")
        return self._pseudonyms.instrument(said or text_of(own.get("SpecialOrderNumber")))

    def _measure(self, draft: Draft, own: dict[str, Element], pointer: str) -> None:
        """Quantity, unit, prices and the extended amount as written."""
        draft.regular = number(own.get("RegularSalesUnitPrice"), f"{pointer}/RegularSalesUnitPrice")
        draft.price = number(own.get("ActualSalesUnitPrice"), f"{pointer}/ActualSalesUnitPrice")
        element = own.get("Quantity")
        quantity = number(element, f"{pointer}/Quantity")
        extended = number(own.get("ExtendedAmount"), f"{pointer}/ExtendedAmount")
        if extended is None and draft.item.tag not in ("Sale", "Return"):
            extended = number(own.get("Amount"), f"{pointer}/Amount")
        price = draft.regular if draft.regular is not None else draft.price
        if extended is None:
            if price is None:
                raise DriftError("a line without an amount (ExtendedAmount)", f"{pointer}/ExtendedAmount")
            each = price if draft.price is None else draft.price
            extended = times(ONE if quantity is None else quantity, each, f"{pointer}/ExtendedAmount")
        quantity = ONE if quantity is None else quantity
        weight = attribute(element, "Units")
        unit = attribute(element, "UnitOfMeasureCode")
        if weight and price is not None:
            units = number(_Text(weight), f"{pointer}/Quantity/@Units")
            if units and abs(abs(units * price) - abs(extended)) < abs(abs(quantity * price) - abs(extended)):
                # The text counts pieces, the attribute weighs them: the price is per unit of weight.
                quantity = units.copy_sign(quantity)
        if not unit and _weighed(draft, own):
            unit = self._settings.weighed_unit
        draft.unit = code(self._units.get(unit, unit)) or "EA"
        draft.quantity, draft.extended = quantity, extended

    def _discounts(self, draft: Draft, item: Element, own: dict[str, Element], pointer: str) -> None:
        found: list[Discount] = []
        for modifier in item.iterfind("RetailPriceModifier"):
            amount = _modified(modifier, draft, pointer)
            if amount:
                rule = modifier.find("PriceDerivationRule")
                reason = text_at(modifier, "ReasonCode") or text_at(rule, "ReasonCode")
                promotion = text_at(modifier, "PromotionID") or text_at(rule, "PriceDerivationRuleID")
                reason = plain(reason or attribute(modifier, "MethodCode")) or ""
                found.append(Discount(amount, reason, plain(promotion)))
        total = number(own.get("ExtendedDiscountAmount"), f"{pointer}/ExtendedDiscountAmount")
        if total is None:
            each = number(own.get("DiscountAmount"), f"{pointer}/DiscountAmount")
            if each is not None:
                total = times(each, abs(draft.quantity), f"{pointer}/DiscountAmount")
        total = abs(total) if total else None
        if total and not found:
            found.append(Discount(total, "", None))
        draft.discounts, draft.discount = found, total
        draft.off = sum([one.amount for one in found], ZERO)

    def _orient(self, draft: Draft) -> None:
        """Signs: a Return is negative however it is written, a sale as its quantity or its amount says."""
        quantity, extended = draft.quantity, draft.extended
        draft.written = -1 if quantity < 0 or extended < 0 else 1
        down = draft.is_return or draft.written < 0
        if quantity > 0 and extended < 0 and not draft.is_return and _price_is_negative(draft):
            return  # as the source says: the rules judge a price below zero
        draft.quantity, draft.extended = abs(quantity), abs(extended)
        if draft.off < 0 and all(one.amount < 0 for one in draft.discounts) and draft.written < 0:
            draft.discounts = [Discount(-one.amount, one.reason, one.promotion) for one in draft.discounts]
            draft.off = -draft.off
        draft.regular = None if draft.regular is None else abs(draft.regular)
        draft.price = None if draft.price is None else abs(draft.price)
        taxed = sum([tax.amount for tax in draft.taxes], ZERO)
        for tax in draft.taxes:
            tax.amount = -tax.amount if taxed < 0 else tax.amount
            tax.taxable = None if tax.taxable is None else abs(tax.taxable)
        if down:
            draft.turn()


def _weighed(draft: Draft, own: dict[str, Element]) -> bool:
    names = ("weightItem", "WeightedFlag", "WeighedFlag")
    return "Weight" in own or any(flag(draft.item, name) for name in names)


class _Text(Element):
    """An attribute's value where a number is read from an element."""

    def __init__(self, text: str) -> None:
        super().__init__("Text")
        self.text = text


def _price_is_negative(draft: Draft) -> bool:
    return any(price is not None and price < 0 for price in (draft.regular, draft.price))


def _is_void(line_item: Element, item: Element) -> bool:
    return (
        flag(line_item, "VoidFlag")
        or flag(line_item, "CancelFlag")
        or flag(line_item, "DeleteFlag")
        or flag(item, "VoidFlag")
        or flag(item, "CancelFlag")
    )


def _modified(modifier: Element, draft: Draft, pointer: str) -> Decimal:
    """What one price modifier takes off the line; negative if it raises the price."""
    if flag(modifier, "VoidFlag") or flag(modifier, "CancelFlag"):
        return ZERO
    element = modifier.find("Amount")
    amount = number(element, f"{pointer}/RetailPriceModifier/Amount")
    before = number(modifier.find("PreviousPrice"), f"{pointer}/RetailPriceModifier/PreviousPrice")
    after = number(modifier.find("NewPrice"), f"{pointer}/RetailPriceModifier/NewPrice")
    action = attribute(element, "Action").lower()
    if action == "replace":
        if after is None:
            after = amount
        amount = None
    if amount is None:
        if before is None or after is None:
            return ZERO
        return times(before - after, abs(draft.quantity), f"{pointer}/RetailPriceModifier/NewPrice")
    if action == "subtract":
        return abs(amount)
    return -abs(amount) if action == "add" else amount


def _disposition(own: dict[str, Element]) -> Disposition | None:
    element = own.get("Disposal")
    if element is None:
        return None
    said = attribute(element, "Method") or text_at(element, "Method") or text_of(element)
    return _DISPOSITIONS.get(said.replace(" ", "").lower())
