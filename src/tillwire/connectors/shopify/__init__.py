"""Shopify: webhooks, saved payloads and the GraphQL Admin API of one shop."""

from __future__ import annotations

from tillwire.connectors.shopify.connector import ShopifyConnector
from tillwire.connectors.shopify.settings import API_VERSION, ShopifySettings
from tillwire.connectors.spec import Example, Spec

_SHOP = {"shop": "tilly-test.myshopify.com", "currency": "USD", "time_zone": "America/New_York"}
_STORES = {**_SHOP, "stores": {"61001": "HIGH-ST"}, "time_zones": {"HIGH-ST": "Europe/London"}}


def _paid(file: str, about: str, codes: tuple[str, ...] = ()) -> Example:
    return Example(file=file, about=about, settings=_SHOP, topic="orders/paid", codes=codes)


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
        _paid("order-paid.json", "A paid order: a discount by code, shipping, two taxes"),
        _paid("order-gift-card-and-tip.json", "A gift card sold, a custom item, a tip, a line of zero; two gateways"),
        _paid(
            "order-foreign-with-duties.json", "A customer's currency other than the shop's, duties, an id beyond 2^53"
        ),
        _paid("order-cancelled-and-restocked.json", "Cancelled after payment: refunded with shipping, and restocked"),
        _paid("order-edited-before-payment.json", "An item was removed before the customer paid"),
        _paid("order-pending.json", "Not paid yet: nothing is recorded"),
        _paid("order-without-lines.json", "A paid order without its lines", codes=("schema_drift",)),
        Example(
            file="order-pos.json",
            about="Shopify POS: cash, tax in the price, no customer",
            settings=_STORES,
            topic="orders/create",
        ),
        Example(file="orders-graphql.json", about="A page of orders by GraphQL, with their payments", settings=_SHOP),
        Example(
            file="refund-partial.json",
            about="One of two pieces, which the customer keeps",
            settings=_SHOP,
            topic="refunds/create",
        ),
        Example(
            file="refund-pending.json",
            about="Its money has not moved, and an adjustment offsets its lines",
            settings=_SHOP,
            topic="refunds/create",
        ),
        Example(file="product.json", about="Two variants, one without SKU", settings=_SHOP, topic="products/update"),
        Example(
            file="inventory-level.json",
            about="Sold before it was received: below zero",
            settings=_STORES,
            topic="inventory_levels/update",
        ),
        Example(file="fulfillment.json", about="A delivered parcel", settings=_SHOP, topic="fulfillments/update"),
        Example(
            file="app-uninstalled.json",
            about="The connection is lost",
            settings=_SHOP,
            topic="app/uninstalled",
            codes=("connection_lost",),
        ),
    ),
)
