"""Shopify: webhooks, saved payloads and the GraphQL Admin API of one shop."""

from __future__ import annotations

from tillwire.connectors.shopify.connector import ShopifyConnector
from tillwire.connectors.shopify.settings import API_VERSION, ShopifySettings
from tillwire.connectors.spec import Example, Spec

_SHOP = {"shop": "tilly-test.myshopify.com", "currency": "USD", "time_zone": "America/New_York"}
_STORES = {**_SHOP, "stores": {"61001": "HIGH-ST"}, "time_zones": {"HIGH-ST": "Europe/London"}}

SPEC = Spec(
    name="shopify",
    title="Shopify",
    about="Orders, refunds, fulfilments, inventory levels and products of a Shopify shop: by webhook, file and pull.",
    contract=f"Shopify Admin API {API_VERSION}: REST resources as webhooks carry them, and GraphQL",
    roles=("webhook", "message", "file", "pull"),
    settings=ShopifySettings,
    make=ShopifyConnector,
    media_types=("application/json",),
    examples=(
        Example(file="order-paid.json", about="A paid order: discounts, shipping, two taxes", settings=_SHOP, topic="orders/paid"),
    ),
)
