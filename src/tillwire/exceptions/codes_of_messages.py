"""The codes that are judged from a message and master data, before it is recorded, and their like.

Source of the rules: ARTS/OMG POSLog semantics, double-entry bookkeeping and common sales-audit practice.
"""

from __future__ import annotations

from decimal import Decimal

from tillwire.exceptions.code import (
    BY_HISTORY,
    BY_POSTING,
    FINANCE,
    INTEGRATION,
    MERCHANDISING,
    OFF,
    STORE_OPERATIONS,
    WARNING,
    Code,
)

_EXACT = Decimal(0)
_ONE_UNIT = Decimal(1)

_MASTER = (
    Code(
        "unknown_store",
        "the store is not in master data",
        "the store gives company, currency and time zone: without it a sale belongs to no books",
        STORE_OPERATIONS,
        fixed=True,
    ),
    Code(
        "unknown_register",
        "the register is not in the store's master record",
        "completeness is proven per register; a register nobody knows is a till nobody counts",
        STORE_OPERATIONS,
    ),
    Code(
        "unknown_product",
        "a line's product is not in master data",
        "the product's class decides where revenue is posted, its unit how stock moves",
        MERCHANDISING,
    ),
    Code(
        "unknown_uom",
        "a line's unit of measure has no conversion to the product's stock unit",
        "a case that is booked as a piece falsifies stock by its whole content",
        MERCHANDISING,
        fixed=True,
    ),
    Code(
        "unknown_tender",
        "a tender type is not in master data",
        "each tender clears on its own account; an unmapped one can never be matched with a settlement",
        FINANCE,
    ),
    Code(
        "unknown_tax_code",
        "a tax code is not in master data",
        "tax is declared by code, rate and jurisdiction; an unmapped one would be missing in the return",
        FINANCE,
    ),
    Code(
        "unknown_account",
        "no rule maps a component of the subledger to an account",
        "what has no account goes to suspense, where finance has to clear it before the period is closed",
        FINANCE,
        WARNING,
        judged=BY_POSTING,
    ),
    Code(
        "customer_unknown",
        "the customer is not in master data",
        "receivables and loyalty follow the customer; the sale itself stands without it",
        STORE_OPERATIONS,
        WARNING,
    ),
    Code(
        "serial_missing",
        "an item that is controlled by serial number is sold without one",
        "warranty, recall and theft are traced by serial number, and an ERP that controls it refuses the line",
        STORE_OPERATIONS,
    ),
)

_LINES = (
    Code(
        "line_extension_mismatch",
        "quantity x unit price - discounts differs from the line's amount",
        "a line that does not compute was mapped wrongly or altered; its revenue cannot be trusted",
        INTEGRATION,
        tolerance=_ONE_UNIT,
    ),
    Code(
        "line_discount_mismatch",
        "a line's discount differs from the sum of its parts",
        "discounts are posted by reason, part by part: a missing part is revenue in the wrong account",
        INTEGRATION,
        tolerance=_EXACT,
    ),
    Code(
        "line_tax_mismatch",
        "a line's tax differs from its parts, or a tax from its base x rate",
        "the authority computes base x rate: tax collected otherwise is owed or refunded by the retailer",
        INTEGRATION,
        tolerance=_ONE_UNIT,
    ),
    Code(
        "tax_rate_mismatch",
        "a tax's rate is not that of its code on the business date",
        "a till that missed a change of rates collects the wrong tax on every sale until somebody looks",
        FINANCE,
        OFF,
    ),
    Code(
        "sign_contradiction",
        "quantity and amount of a line have unlike signs",
        "goods out against money out: stock and revenue would move in opposite directions",
        INTEGRATION,
    ),
    Code(
        "negative_price",
        "a unit price is below zero",
        "what comes back has a negative quantity; a negative price hides a refund as a sale",
        INTEGRATION,
    ),
    Code(
        "tax_group_invalid",
        "a line's tax group is unknown, or does not allow one of its tax codes",
        "the group of an item says which taxes it can bear; another code is a wrong rate in the making",
        FINANCE,
    ),
    Code(
        "gift_card_invalid",
        "a gift card is sold or redeemed without its number, pays for itself, or is paid out as change",
        "a gift card is a liability that is followed by its number; these are the ways it is lost or laundered",
        FINANCE,
        WARNING,
    ),
)

_HEADER = (
    Code(
        "total_mismatch",
        "the total differs from the sum of its lines, charges, tax and rounding",
        "the total is what control totals and the bank agree with; the lines are what is posted",
        FINANCE,
        tolerance=_EXACT,
    ),
    Code(
        "net_mismatch",
        "the net amount differs from the sum of the lines",
        "a net that does not add up means that lines were lost or added on the way",
        FINANCE,
        tolerance=_EXACT,
    ),
    Code(
        "discount_mismatch",
        "the discount total differs from the lines' discounts",
        "discounts that are given but on no line would be posted as revenue",
        FINANCE,
        tolerance=_EXACT,
    ),
    Code(
        "item_count_mismatch",
        "the count of items differs from the item lines",
        "lines that are dropped in pairs keep the total right; the count of pieces gives them away",
        FINANCE,
        WARNING,
        tolerance=_EXACT,
    ),
    Code(
        "tax_mismatch",
        "the tax total differs from the lines' taxes",
        "tax is posted by line and declared by total: both have to say the same",
        FINANCE,
        tolerance=_EXACT,
    ),
    Code(
        "tax_exempt_mismatch",
        "an exempt customer or line bears tax",
        "tax taken from an exempt sale has to be given back; an exemption that is none has to be paid",
        FINANCE,
    ),
    Code(
        "tax_included_inconsistent",
        "a line says tax is in its price where the transaction says it is not, or the other way round",
        "a till that mixes both on one receipt may be right, and more often mixed them up",
        FINANCE,
        WARNING,
    ),
    Code(
        "rounding_invalid",
        "the cash rounding is larger than the currency's smallest cash unit",
        "rounding for want of small coins never reaches a coin; more is a difference that hides as rounding",
        FINANCE,
        tolerance=_EXACT,
    ),
    Code(
        "precision_invalid",
        "an amount has more decimals than its currency",
        "nobody can pay half a cent; books that keep it never balance with the bank",
        INTEGRATION,
    ),
    Code(
        "currency_mismatch",
        "the currency is not the store's",
        "a store's day is proven and posted in one currency; two are never added",
        INTEGRATION,
        fixed=True,
    ),
    Code(
        "empty_transaction",
        "a transaction that sells has no line in force",
        "what sells nothing was cancelled or lost its lines",
        INTEGRATION,
    ),
    Code(
        "kind_contradiction",
        "the kind of transaction contradicts its lines or the sign of its total",
        "the kind decides the effects: a refund recorded as a sale is counted on the wrong side",
        INTEGRATION,
    ),
    Code(
        "original_missing",
        "a post-void does not name the transaction it voids",
        "a void that names nothing can be used to take money from the till",
        STORE_OPERATIONS,
    ),
    Code(
        "tender_mismatch",
        "tenders less change differ from the total, beyond the limits of over- and underpayment",
        "the drawer and the acquirer are counted against tenders: a gap is cash that nobody looks for",
        FINANCE,
    ),
    Code(
        "over_under_payment",
        "tenders less change differ from the total, within the limits of over- and underpayment",
        "small differences are the till's daily life: recorded to the rounding account, and watched",
        FINANCE,
        WARNING,
    ),
)

_DATES = (
    Code(
        "business_date_invalid",
        "the business date is in the future or too long ago",
        "a register whose clock is wrong books into days that nobody closes",
        FINANCE,
    ),
    Code(
        "period_closed",
        "the business date is in a fiscal period that is closed",
        "a closed period is reported; what comes late belongs into an open one, by decision of finance",
        FINANCE,
    ),
    Code(
        "late_arrival",
        "the event came after its store day was closed, later than the policy for late arrivals lets through",
        "until then the day is reopened or today adjusted, and the proof shows it; beyond, a person decides",
        FINANCE,
        judged=BY_HISTORY,
    ),
)

MESSAGE_CODES = (*_MASTER, *_LINES, *_HEADER, *_DATES)
