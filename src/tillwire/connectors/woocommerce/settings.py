"""What the WooCommerce connector must be told: which store the shop is, and how to reach it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from tillwire.connectors.spec import Secret, checked_url, time_zone
from tillwire.errors import ConfigurationError
from tillwire.model.fields import Code, Identifier
from tillwire.model.transaction import LineKind


class WooCommerceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One shop. Reading needs none of it but ``store``, ``register`` and ``time_zone``; webhooks need
    ``webhook_secret``; fetching needs ``url``, ``consumer_key`` and ``consumer_secret`` (read, and for the watchdog
    write)."""

    store: Identifier = "woocommerce"
    """The store of the hub's master data that the shop is."""
    register: Identifier = "web"
    """The register its orders are told under; their numbers are WooCommerce's ids, which refunds share."""
    time_zone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    """The shop's zone (IANA): gives business dates, and times that come without their GMT twin."""
    business_date: Literal["created", "paid"] = "created"
    """Which day an order belongs to. ``created`` never changes; ``paid`` does for an order paid on delivery."""
    currency: Annotated[str, Meta(pattern="^([A-Z]{3})?$")] = ""
    """The shop's currency (ISO 4217): of its prices, which are not read without it, and of refunds that are read
    without their order, which is what names it."""
    prices_include_tax: bool = False
    """Of the shop's prices; orders say it themselves."""
    sale_statuses: tuple[str, ...] = ("processing", "completed", "refunded")
    """An order with one of these is sold; plugins add their own, such as shipped."""
    pending_statuses: tuple[str, ...] = ("pending", "on-hold", "failed", "auto-draft", "checkout-draft", "draft", "new")
    """Not sold yet. One with a date of payment that has failed since is cancelled."""
    cancelled_statuses: tuple[str, ...] = ("cancelled",)
    fee_kinds: Mapping[str, LineKind] = {}
    """What a fee of this name is, where it is no charge: ``{"Tip": "tip"}``. Case does not matter."""
    restock: bool = True
    """Whether goods of refunded lines come back into stock; WooCommerce does not tell."""
    unnamed_tender: Code = "other"
    """The tender of orders that name no payment method."""
    manual_refund_tender: Code = "manual"
    """The tender of refunds that were paid by hand and whose order is not known."""
    gift_card_tender: Code = "gift_card"
    product_class: Identifier = "uncategorized"
    """Of products without a category."""
    stock_store: str = ""
    """The location whose stock the shop shows; empty: ``store``."""
    webhook_secret: Secret = ""
    """Signs the webhooks."""
    old_webhook_secret: Secret = ""
    """The one before, for as long as a rotation takes: signatures by it are accepted, too."""
    delivery_url: str = ""
    """Where the shop shall deliver webhooks; empty: its webhooks are left alone."""
    webhook_topics: tuple[str, ...] = (
        "order.created",
        "order.updated",
        "order.deleted",
        "order.restored",
        "product.created",
        "product.updated",
        "product.deleted",
        "product.restored",
    )
    """What the watchdog keeps subscribed at ``delivery_url``."""
    url: str = ""
    """The shop, such as ``https://shop.example.com``; with its path if WordPress has one."""
    consumer_key: Secret = ""
    consumer_secret: Secret = ""
    pull_products: bool = True
    interval_s: Annotated[int, Meta(ge=1)] = 300
    """Between two pulls."""
    overlap_s: Annotated[int, Meta(ge=1)] = 900
    """How far a pull reaches back behind the start of the one before: what was being written then comes late."""
    since: str = ""
    """The first pull begins at this UTC time, such as ``2026-01-01T00:00:00``; empty: at the first order."""
    page_size: Annotated[int, Meta(ge=2, le=100)] = 100
    timeout_s: Annotated[int, Meta(ge=1)] = 60
    attempts: Annotated[int, Meta(ge=1, le=10)] = 3
    """For one request, before the pull is put off; what was fetched until then is kept."""
    patience_s: Annotated[int, Meta(ge=0)] = 20
    """The longest wait within a pull; asked for more, it is put off."""

    def __post_init__(self) -> None:
        time_zone(self.time_zone, "time_zone")
        if self.url:
            checked_url(self.url, "url")
        if self.delivery_url:
            checked_url(self.delivery_url, "delivery_url", secret=False)

    @property
    def zone(self) -> ZoneInfo:
        """The shop's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def fetches(self) -> bool:
        """Whether the shop can be asked."""
        return bool(self.url and self.consumer_key and self.consumer_secret)

    def checked_url(self) -> str:
        """The shop's URL without a slash at its end. Raises ``ConfigurationError`` for one that sends keys in clear."""
        if not self.fetches:
            raise ConfigurationError("url, consumer_key and consumer_secret are needed to fetch from the shop")
        return checked_url(self.url, "url")
