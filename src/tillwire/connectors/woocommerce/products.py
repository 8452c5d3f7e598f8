"""WooCommerce products and variations as product records, stock levels and prices (REST API wc/v3, "products")."""

from __future__ import annotations

from datetime import datetime

from tillwire.connectors.inbound import Outgoing
from tillwire.connectors.payload import Node, key_part, seconds_of, sound, trading_day
from tillwire.connectors.woocommerce.lines import product_code
from tillwire.connectors.woocommerce.orders import Told
from tillwire.connectors.woocommerce.settings import WooCommerceSettings
from tillwire.model.event import MASTER_PRICE, MASTER_PRODUCT, STOCK_LEVEL
from tillwire.model.identifiers import is_gtin
from tillwire.model.master import PriceRecord, ProductRecord
from tillwire.model.stock import StockLevel


def product_told(product: Node, settings: WooCommerceSettings) -> Told:
    """The master record of a product, and its stock where the shop keeps it. Raises ``DriftError``.

    A record stays active whatever the product's status: what is not shown any more may still be on its way in orders.
    """
    number = product.identity()
    modified = product.moment("date_modified_gmt") or product.moment("date_modified", settings.zone)
    if modified is None:
        return Told(ignored="a product without a time of change cannot be told from an older one")
    kind = product.text("type")
    is_variation = kind == "variation" or (not kind and "parent_id" in product.data) or _is_variation_link(product)
    sku = product_code(product.text("sku"), number, number if is_variation else 0)
    version = seconds_of(modified)
    record = ProductRecord(
        sku=sku,
        name=_name(product, sku),
        product_class=_class_of(product, settings),
        gtins=_gtins(product),
        revision=version,
        active=product.text("status") != "trash",
    )
    found: list[tuple[str, str, ProductRecord | StockLevel | PriceRecord]] = []
    found.append((f"product:{number}", MASTER_PRODUCT, record))
    level = _level(product, sku, modified, settings)
    if level is not None:
        found.append((f"stock:{number}", STOCK_LEVEL, level))
    price = _price(product, sku, version, settings)
    if price is not None:
        found.append((f"price:{number}", MASTER_PRICE, price))
    events = [
        Outgoing(type=name, data=sound(data), id=f"{entity}@{version}", time=modified, entity=entity, version=version)
        for entity, name, data in found
    ]
    return Told(tuple(events))


def _is_variation_link(product: Node) -> bool:
    """Variations say ``type`` since WooCommerce 8; before, their links name the parent."""
    links = product.data.get("_links")
    return "type" not in product.data and isinstance(links, dict) and "up" in links


def _name(product: Node, sku: str) -> str:
    name = product.text("name", 400)
    options = [option for item in product.items("attributes") if (option := item.text("option", 100))]
    chosen = ", ".join(options)
    if not chosen or chosen in name:
        return name or sku
    return f"{name} - {chosen}"[:500] if name else chosen[:500]


def _class_of(product: Node, settings: WooCommerceSettings) -> str:
    for category in product.items("categories"):
        made = key_part(category.text("slug") or category.text("name"))
        if made:
            return made
    return settings.product_class


def _gtins(product: Node) -> tuple[str, ...]:
    """WooCommerce's "GTIN, UPC, EAN or ISBN" is free text: only what has a right check digit is one."""
    code = product.text("global_unique_id").replace("-", "").replace(" ", "")
    return (code,) if is_gtin(code) else ()


def _level(product: Node, sku: str, at: datetime, settings: WooCommerceSettings) -> StockLevel | None:
    """The stock, where it is managed on this product itself (a variation may leave it to its ``parent``)."""
    if product.data.get("manage_stock") == "parent" or product.flag("manage_stock") is not True:
        return None
    quantity = product.number("stock_quantity")
    if quantity is None:
        return None
    return StockLevel(
        store=settings.stock_store or settings.store,
        business_date=trading_day(at, settings.zone),
        sku=sku,
        quantity=quantity,
        at=at,
        revision=seconds_of(at),
    )


def _price(product: Node, sku: str, version: int, settings: WooCommerceSettings) -> PriceRecord | None:
    """What the shop charges now: ``price``, for ``sale_price`` may be empty in a sale, and a sale's dates can change
    unseen. It counts from the product's beginning on, so that each change takes the place of the one before.
    """
    amount = product.number("price")
    created = product.moment("date_created_gmt") or product.moment("date_created", settings.zone)
    if amount is None or created is None or not settings.currency:
        return None
    return PriceRecord(
        sku=sku,
        currency=settings.currency,
        amount=amount,
        effective_from=created.astimezone(settings.zone).replace(tzinfo=None),
        store=settings.store,
        tax_included=settings.prices_include_tax,
        revision=version,
    )
