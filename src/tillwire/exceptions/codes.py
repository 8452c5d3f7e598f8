"""The codes of business exceptions: what each means and who owns it by default."""

from __future__ import annotations

import msgspec

STORE_OPERATIONS = "store operations"
MERCHANDISING = "merchandising"
FINANCE = "finance"
INTEGRATION = "integration"


class Code(msgspec.Struct, frozen=True):
    """One code: its meaning in a sentence, and its default owner."""

    code: str
    meaning: str
    owner: str


CODES: dict[str, Code] = {
    code: Code(code, meaning, owner)
    for code, meaning, owner in (
        ("unknown_store", "the store is not in master data", STORE_OPERATIONS),
        ("unknown_register", "the register is not in the store's master record", STORE_OPERATIONS),
        ("unknown_product", "a line's product is not in master data", MERCHANDISING),
        ("unknown_uom", "a line's unit of measure has no conversion to the product's stock unit", MERCHANDISING),
        ("unknown_tender", "a tender type is not in master data", FINANCE),
        ("unknown_tax_code", "a tax code is not in master data", FINANCE),
        ("line_extension_mismatch", "quantity x unit price - discounts differs from the line's amount", INTEGRATION),
        ("line_tax_mismatch", "taxable x rate differs from the line's tax amount", INTEGRATION),
        ("total_mismatch", "the total differs from the sum of its lines, tax and rounding", FINANCE),
        ("discount_mismatch", "the discount total differs from the lines' discounts", FINANCE),
        ("tax_mismatch", "the tax total differs from the lines' taxes", FINANCE),
        ("tender_mismatch", "tenders less change differ from the total", FINANCE),
        ("currency_mismatch", "the currency is not the store's", INTEGRATION),
        ("precision_invalid", "an amount has more decimals than its currency", INTEGRATION),
        ("sign_contradiction", "quantity and amount of a line have unlike signs", INTEGRATION),
        ("negative_price", "a unit price is below zero", INTEGRATION),
        ("empty_transaction", "a transaction that sells has no line in force", INTEGRATION),
        ("business_date_invalid", "the business date is in the future or too long ago", FINANCE),
        ("duplicate_conflict", "the same key came again with other content", INTEGRATION),
        ("kind_contradiction", "the kind of transaction contradicts its lines or the sign of its total", INTEGRATION),
        ("original_missing", "a post-void does not name the transaction it voids", STORE_OPERATIONS),
        ("schema_drift", "the source changed its format: what came cannot be read as its contract says", INTEGRATION),
        ("price_overlap", "two prices with an end, for the same, share some of their time", MERCHANDISING),
        ("gtin_taken", "a GTIN of the product is another active product's", MERCHANDISING),
        ("processing_failed", "the event could not be processed, alone, by the hub's own fault", INTEGRATION),
    )
}


def owner_of(code: str) -> str:
    """Who works exceptions of this code by default."""
    return CODES[code].owner
