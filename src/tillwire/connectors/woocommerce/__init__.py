"""WooCommerce: orders, refunds and products of a shop, by webhook, by REST and by file. ``simulator`` stands in for a
shop in tests and demos."""

from __future__ import annotations

from tillwire.connectors.spec import Example, Spec
from tillwire.connectors.woocommerce.connector import WooCommerceConnector
from tillwire.connectors.woocommerce.settings import WooCommerceSettings

SPEC = Spec(
    name="woocommerce",
    title="WooCommerce",
    about="Orders, refunds, products and stock of a WooCommerce shop: webhooks with their signature, backfill over the "
    "REST API, recorded answers as files.",
    contract="WooCommerce REST API wc/v3 and webhooks, as of WooCommerce 9 (older ones back to 3.5 are read, too)",
    roles=("webhook", "message", "file", "pull"),
    settings=WooCommerceSettings,
    make=WooCommerceConnector,
    media_types=("application/json", "application/x-ndjson", "application/x-www-form-urlencoded"),
    examples=(
        Example(
            file="order-coupon-shipping-fee.json",
            about="A coupon, shipping, a fee that lowers the total, taxes rounded at the subtotal, a numeric SKU",
            topic="order.created",
        ),
        Example(file="order-prices-include-tax.json", about="Prices that include tax", topic="order.updated"),
        Example(file="order-gift-cards.json", about="Paid in part with gift cards", topic="order.created"),
        Example(file="order-pending.json", about="Not paid yet, and so no sale yet", topic="order.created"),
        Example(file="order-cancelled.json", about="A cancelled order: what was sold is undone", topic="order.updated"),
        Example(
            file="order-total-wrong.json",
            about="A total that its lines do not come to",
            topic="order.updated",
            codes=("total_mismatch",),
        ),
        Example(
            file="order-status-unknown.json",
            about="A plugin's status that no setting names",
            topic="order.updated",
            codes=("schema_drift",),
        ),
        Example(
            file="order-partly-refunded.json",
            about="An order names its refund only, wrapped in data; its total stays what it was",
        ),
        Example(file="refund-with-its-order.json", about="A refund as pull puts it beside its order"),
        Example(
            file="refunds-alone.json",
            about="The answer of orders/ID/refunds: lines, and money back without any",
            settings={"currency": "EUR"},
        ),
        Example(file="products.json", about="Products, a variation, a composite; stock where it is kept"),
        Example(file="ping.txt", about="What a new webhook posts first"),
    ),
)

__all__ = ["SPEC", "WooCommerceConnector", "WooCommerceSettings"]
