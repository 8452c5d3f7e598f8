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
    "REST API, exported pages as files.",
    contract="WooCommerce REST API wc/v3 and webhooks, as of WooCommerce 9 (older ones back to 3.5 are read, too)",
    roles=("webhook", "message", "file", "pull"),
    settings=WooCommerceSettings,
    make=WooCommerceConnector,
    media_types=("application/json", "application/x-ndjson", "application/x-www-form-urlencoded"),
    examples=(),
)

__all__ = ["SPEC", "WooCommerceConnector", "WooCommerceSettings"]
