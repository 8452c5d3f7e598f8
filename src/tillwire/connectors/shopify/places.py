"""Where and when something of a shop happened: store, register, business date."""

from __future__ import annotations

from datetime import date, datetime

from tillwire.connectors.shopify.fields import Node, code_of, day_in, identifier_of, text
from tillwire.connectors.shopify.settings import ShopifySettings


def store_at(location: int | None, settings: ShopifySettings) -> str:
    """The store of a location; ``location:ID``, an unknown store, where others are mapped and this one is not."""
    if location is None:
        return settings.store
    mapped = settings.stores.get(str(location))
    if mapped is not None:
        return mapped
    return f"location:{location}" if settings.stores else settings.store


def is_pos(node: Node, at: str) -> bool:
    """True for what Shopify POS sold or refunded."""
    return text(node, "source_name", at).casefold() == "pos"


def store_and_register(order: Node, settings: ShopifySettings, at: str) -> tuple[str, str]:
    """A POS order belongs to its location; an online order to the shop's store, wherever it is packed."""
    location = identifier_of(order, "location_id", at)
    if is_pos(order, at):
        return store_at(location, settings), settings.pos_register
    mapped = settings.stores.get(str(location)) if location is not None else None
    return mapped or settings.store, settings.register


def business_date(store: str, moment: datetime, settings: ShopifySettings) -> date:
    """The calendar day of the store's zone."""
    return day_in(moment, settings.time_zones.get(store, settings.time_zone))


def pseudonym(order: Node, at: str) -> str | None:
    """The customer by Shopify's number, which only Shopify can resolve and forgets on request; no name, no address."""
    customer = order.get("customer")
    found = identifier_of(customer, "id", f"{at}/customer") if isinstance(customer, dict) else None
    return None if found is None else f"shopify:{found}"


def order_text(order: Node, at: str) -> str | None:
    """The order's name for people, such as #1001."""
    return code_of(text(order, "name", at)) or None
