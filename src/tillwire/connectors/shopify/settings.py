"""Settings of a connection to one Shopify shop."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct

from tillwire.connectors.spec import Secret, checked_url, time_zone
from tillwire.errors import ConfigurationError

API_VERSION = "2026-07"
"""The version of the Admin API that the connector's queries are written for."""

TOPICS = (
    "orders/create",
    "orders/updated",
    "orders/paid",
    "orders/cancelled",
    "orders/edited",
    "orders/fulfilled",
    "refunds/create",
    "fulfillments/create",
    "fulfillments/update",
    "inventory_levels/update",
    "products/create",
    "products/update",
    "products/delete",
    "app/uninstalled",
)
"""The topics the connector reads, and that the watchdog keeps subscribed."""


_DOMAIN = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?")


class ShopifySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One shop. Reading saved payloads needs none of these; webhooks need ``shop`` and ``secret``, pulls ``token``."""

    shop: str = ""
    """The shop's own domain, such as my-shop.myshopify.com; webhooks of another shop are refused."""
    secret: Secret = ""
    """The app's client secret, which signs webhooks."""
    previous_secret: Secret = ""
    """The secret before the last rotation, valid beside ``secret`` until this is emptied."""
    token: Secret = ""
    """The Admin API access token (read_orders, read_products, read_inventory); empty: nothing is fetched."""
    store: str = "web"
    """The store that online orders, and locations without a store of their own, belong to."""
    stores: dict[str, str] = {}
    """Stores by Shopify's location id. Once there is one, a location without is ``location:ID``: an unknown store."""
    register: str = "web"
    """The register of online orders."""
    pos_register: str = "pos"
    """The register of Shopify POS orders."""
    time_zone: str = "UTC"
    """The IANA zone whose calendar gives the business date."""
    time_zones: dict[str, str] = {}
    """Zones by store, where they differ from ``time_zone``."""
    currency: str = ""
    """The shop's currency, for payloads that do not name it."""
    custom_item: str = "custom-item"
    """The product code of custom items, which have neither SKU nor variant."""
    product_class: str = "unclassified"
    """The class of products without a product type."""
    inventory_items: dict[str, str] = {}
    """SKUs by Shopify's inventory item id, for inventory levels, whose webhooks name no SKU."""
    url: str = ""
    """Where the Admin API is; empty: https:// and ``shop``."""
    api_version: str = API_VERSION
    callback_url: str = ""
    """Where Shopify is to send webhooks; empty: the watchdog leaves subscriptions alone."""
    topics: tuple[str, ...] = TOPICS
    """Topics that the watchdog keeps subscribed."""
    interval_s: Annotated[float, Meta(gt=0)] = 300.0
    """Seconds between pulls."""
    watch_interval_s: Annotated[float, Meta(ge=0)] = 900.0
    """Seconds between looks at the subscriptions."""
    overlap_s: Annotated[float, Meta(ge=0)] = 600.0
    """How far before the newest change seen the next pull begins, for changes that Shopify shows late."""
    backfill_days: Annotated[int, Meta(ge=0)] = 60
    """How far back the first pull begins; Shopify shows older orders only with read_all_orders."""
    page_size: Annotated[int, Meta(ge=1, le=250)] = 10
    """Objects per page; halved by itself where Shopify says that a query costs too much."""
    reserve: Annotated[float, Meta(ge=0, lt=1)] = 0.2
    """The share of the cost bucket that is left to the shop's other apps."""
    timeout_s: Annotated[float, Meta(gt=0)] = 30.0
    """Seconds until a request is given up."""

    def __post_init__(self) -> None:
        time_zone(self.time_zone, "time_zone")
        for store, name in self.time_zones.items():
            time_zone(name, f"time_zones.{store}")
        if self.url:
            checked_url(self.url, "url")
            if not self.token:
                raise ConfigurationError("token: it is needed to fetch from url")
        if self.callback_url:
            checked_url(self.callback_url, "callback_url", secret=False)
            if not self.token or not self.secret:
                raise ConfigurationError("token and secret are needed for webhooks to callback_url")
        if self.shop and not _DOMAIN.fullmatch(self.shop):
            raise ConfigurationError(f"shop: {self.shop!r} is no domain, such as my-shop.myshopify.com")
        if self.secret and not self.shop:
            raise ConfigurationError("shop: it is needed with secret, for webhooks of another shop are refused")
        if self.token and not (self.shop or self.url):
            raise ConfigurationError("shop: it is needed with token, to know where to fetch")
