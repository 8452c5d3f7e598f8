"""The connector's example payloads: written from the standard, in the styles of several vendors."""

from __future__ import annotations

from tillwire.connectors.spec import Example

EXAMPLES = (
    Example(
        file="day_without_namespace.xml",
        about="Till opened, sign-on, a sale with a discount and change, post-void, loan, pickup; names no currency",
        settings={"currency": "JPY", "time_zone": "Asia/Tokyo"},
    ),
    Example(
        file="old_namespace_specialty.xml",
        about="A line void, post-void with negative lines, suspended and resumed, a discount, change as cash",
        settings={"time_zone": "America/New_York"},
    ),
    Example(
        file="nordic_v6.xml",
        about="Prices with tax, cash rounding, five decimals, long sequence numbers, training, cancelled",
        settings={"time_zone": "Europe/Stockholm"},
    ),
    Example(
        file="fashion_returns.xml",
        about="Returns and exchanges as sales of minus one, tax per transaction, a sale that ends after midnight",
    ),
    Example(
        file="batch_new_namespace.xml",
        about="Two logs in one batch: exchange, gift card, donation, foreign cash, tip, layaway",
    ),
    Example(
        file="line_voids_sjis.xml",
        about="The three ways of voiding a line, in Shift-JIS that says it is UTF-8",
    ),
    Example(file="tills_and_days.xml", about="Day and till opened and closed, with control totals; paid in, paid out"),
    Example(
        file="grocery_loyalty.xml",
        about="Weighed goods, points, a loyalty reward in detail and in summary",
        settings={"time_zone": "America/Chicago", "weighed_unit": "LBR"},
    ),
    Example(
        file="mixed_tax.xml",
        about="Tax on top of one line and within the price of another: recorded line by line, with a warning",
        settings={"currency": "JPY"},
        codes=("tax_included_inconsistent",),
    ),
    Example(file="total_off.xml", about="A total that nothing explains", codes=("total_mismatch",)),
    Example(file="drifted.xml", about="An amount that is no number", codes=("schema_drift",)),
)
