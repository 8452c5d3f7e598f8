"""What a POSLog connection can be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from tillwire.connectors.spec import Secret

TENDERS: Mapping[str, str] = {
    "Cash": "cash",
    "ForeignCurrency": "cash",
    "CreditDebit": "card",
    "Credit": "card",
    "Debit": "card",
    "CreditCard": "card",
    "DebitCard": "card",
    "InternationalMaestro": "card",
    "UKMaestro": "card",
    "Mobile": "mobile",
    "MobilePayment": "mobile",
    "OnlinePayment": "online",
    "Check": "check",
    "Cheque": "check",
    "CheckCard": "check",
    "TravelersCheck": "check",
    "Coupon": "store_coupon",
    "StoreCoupon": "store_coupon",
    "ManufacturerCoupon": "manufacturer_coupon",
    "GiftCard": "gift_card",
    "GiftCertificate": "gift_card",
    "StoredValue": "gift_card",
    "Voucher": "voucher",
    "StoreCredit": "voucher",
    "AccountsReceivable": "account",
    "CustomerAccount": "account",
    "HouseAccount": "account",
    "StoreAccount": "account",
    "PurchaseOrder": "account",
    "Loyalty": "loyalty",
    "FoodStamps": "food_stamps",
    "EBTFoodstamps": "food_stamps",
    "EBTCash": "ebt_cash",
    "WICCheck": "wic",
    "WICCVV": "wic",
    "WriteOff": "write_off",
}
"""Tender types of the standard (and usual spellings of others) to ours. What is not here is passed as it is."""

UNITS: Mapping[str, str] = {"PCE": "EA", "PCS": "EA", "ST": "EA", "STK": "EA", "C62": "EA", "KG": "KGM", "LB": "LBR"}
"""Units of measure to ours (UN/ECE Recommendation 20, EA for pieces). What is not here is passed as it is."""

PRODUCT_CODES = ("Sku", "SKU", "ItemID", "POSIdentity")
"""Where a line's product code stands, the first that is filled winning."""

TAX_CODES = ("TaxRuleID", "TaxGroupRuleID", "TaxGroupID", "TaxType", "TaxAuthority")
"""What names a tax, the first that is filled winning. ``TaxType`` is followed by its percentage: VAT-8."""

Count = Annotated[int, Meta(ge=1)]


class PoslogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing here must be set for files that say their currency."""

    time_zone: str = ""
    """The IANA zone of times that name none. Empty: such times are not taken as moments, only for their date."""
    currency: Annotated[str, Meta(pattern="^([A-Z]{3})?$")] = ""
    """The ISO 4217 currency of transactions that name none. Empty: those are raised as schema_drift."""
    store: str = ""
    """The store of transactions that name none."""
    register: str = ""
    """The register of transactions that name none."""
    stores: Mapping[str, str] = {}
    """Store ids of the source to ours; others are passed as they are."""
    registers: Mapping[str, str] = {}
    """Register ids of the source to ours, by register or by store/register (the source's store)."""
    tenders: Mapping[str, str] = {}
    """Tender types to ours, before the standard ones: by Type:SubTenderType, Type:TenderID or TenderType."""
    units: Mapping[str, str] = {}
    """Units of measure to ours, before the standard ones."""
    weighed_unit: str = ""
    """The unit of a weighed item (an attribute weightItem) whose quantity names none, such as KGM."""
    product_codes: tuple[str, ...] = PRODUCT_CODES
    """Where a line's product code stands, the first that is filled winning. POSIdentity:RSID means a type of those."""
    tax_codes: tuple[str, ...] = TAX_CODES
    """What names a tax, the first that is filled winning: elements or attributes of Tax."""
    tax_code: str = "unspecified"
    """The code of a tax that nothing names, such as a transaction's TransactionTaxAmount alone."""
    tax_included: Literal["auto", "yes", "no"] = "auto"
    """Whether prices include tax. ``auto``: what taxable amounts and totals say."""
    voids: Literal["auto", "self", "earlier"] = "auto"
    """What a positive line with a VoidFlag is: void itself, or the repetition of an earlier one that it voids.
    ``auto``: what adds up to the transaction's total; itself, where that tells nothing."""
    training: Literal["keep", "ignore"] = "keep"
    """``keep``: training transactions are recorded without effect (they use up numbers). ``ignore``: left out."""
    controls: Literal["ignore", "count"] = "ignore"
    """Sign-ons and other control transactions that have no event: left out, or recorded as no-sales without effect, so
    that a register's sequence has no gaps where they use up numbers."""
    control_amount: Literal["net_and_tax", "gross"] = "net_and_tax"
    """What a till's or day's control total is: TotalNetSalesAmount less TotalNetReturnAmount plus TotalTaxAmount, or
    GrossPositiveAmount less GrossNegativeAmount. Where only one is given, that one."""
    fallback_encodings: tuple[str, ...] = ("cp932", "cp1252")
    """Tried in this order for text that is not in the encoding its file says."""
    pseudonym_key: Secret = ""
    """Keys the hashes that stand for customers. Without it who knows all numbers can find out whose a hash is."""
    most_record_bytes: Count = 16 * 1024 * 1024
    """A single transaction may not be larger."""
    most_elements: Count = 200_000
    """A single transaction may not have more elements."""
