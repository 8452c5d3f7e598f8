"""Products, inventory levels and fulfilments."""

from __future__ import annotations

from tillwire.connectors.inbound import Outgoing
from tillwire.connectors.shopify.fields import (
    Drift,
    Node,
    child,
    code_of,
    first_moment,
    identifier,
    identifier_of,
    nodes,
    number,
    plain,
    text,
    version_of,
)
from tillwire.connectors.shopify.lines import product_code, quantity_of
from tillwire.connectors.shopify.places import business_date, store_at
from tillwire.connectors.shopify.settings import ShopifySettings
from tillwire.model import event
from tillwire.model.identifiers import is_gtin
from tillwire.model.master import ProductRecord
from tillwire.model.stock import Fulfilment, FulfilmentState, MovementLine, StockLevel

_STATES = {
    "": FulfilmentState.OPEN,
    "pending": FulfilmentState.OPEN,
    "open": FulfilmentState.OPEN,
    "success": FulfilmentState.SHIPPED,
    "cancelled": FulfilmentState.CANCELLED,
    "error": FulfilmentState.FAILED,
    "failure": FulfilmentState.FAILED,
}


def read_product(product: Node, settings: ShopifySettings, at: str) -> tuple[Outgoing, ...]:
    """A master record per SKU of a product's variants; variants that share one SKU share its record."""
    identifier(product.get("id"), f"{at}/id")
    version = version_of(first_moment(product, ("updated_at", "created_at"), at))
    title = text(product, "title", at)
    product_class = code_of(text(product, "product_type", at)) or settings.product_class
    found: dict[str, ProductRecord] = {}
    for i, variant in enumerate(nodes(product, "variants", at)):
        place = f"{at}/variants/{i}"
        own = identifier(variant.get("id"), f"{place}/id")
        sku = code_of(text(variant, "sku", place)) or f"variant:{own}"
        barcode = text(variant, "barcode", place)
        gtins: tuple[str, ...] = (barcode,) if is_gtin(barcode) else ()
        known = found.get(sku)
        if known is not None:
            gtins = known.gtins + tuple(code for code in gtins if code not in known.gtins)
        option = text(variant, "title", place)
        name = title if option in ("", "Default Title") else f"{title} - {option}"
        found[sku] = ProductRecord(
            sku=sku,
            name=(known.name if known is not None else name or sku)[:500],
            product_class=product_class,
            gtins=gtins[:100],
            revision=version,
        )
    return tuple(
        Outgoing(
            type=event.MASTER_PRODUCT,
            data=record,
            id=f"product:{sku}:{version}",
            entity=f"product:{sku}",
            version=version,
        )
        for sku, record in found.items()
    )


def read_level(level: Node, settings: ShopifySettings, at: str) -> Outgoing | None:
    """What Shopify says is available of an inventory item at a location; none if it does not keep count of it."""
    item = identifier(level.get("inventory_item_id"), f"{at}/inventory_item_id")
    location = identifier(level.get("location_id"), f"{at}/location_id")
    available = level.get("available")
    if "available" not in level:
        counted = [one for one in nodes(level, "quantities", at) if one.get("name") == "available"]
        if not counted:
            raise Drift(f"{at}/available", "the available quantity is missing")
        available = counted[0].get("quantity")
    if available is None:
        return None
    as_of = first_moment(level, ("updated_at",), at)
    store = store_at(location, settings)
    revision = version_of(as_of)
    data = StockLevel(
        store=store,
        business_date=business_date(store, as_of, settings),
        sku=code_of(settings.inventory_items.get(str(item), "")) or f"inventory_item:{item}",
        quantity=plain(number(available, f"{at}/available")),
        at=as_of,
        revision=revision,
    )
    entity = f"level:{item}@{location}"
    return Outgoing(
        type=event.STOCK_LEVEL, data=data, id=f"{entity}:{revision}", time=as_of, entity=entity, version=revision
    )


def read_fulfilment(fulfilment: Node, settings: ShopifySettings, at: str, order_id: int | None = None) -> Outgoing:
    """Goods that leave a location for a customer."""
    own = identifier(fulfilment.get("id"), f"{at}/id")
    order = order_id or identifier_of(fulfilment, "order_id", at)
    if order is None:
        raise Drift(f"{at}/order_id", "the order is missing")
    began = first_moment(fulfilment, ("created_at", "updated_at"), at)
    changed = first_moment(fulfilment, ("updated_at", "created_at"), at)
    store = store_at(identifier_of(fulfilment, "location_id", at), settings)
    lines = []
    for i, line in enumerate(nodes(fulfilment, "line_items", at)):
        place = f"{at}/line_items/{i}"
        item = child(line, "line_item", place) or line
        lines.append(
            MovementLine(sku=product_code(item, settings, place), quantity=quantity_of(line, "quantity", place))
        )
    revision = version_of(changed)
    data = Fulfilment(
        store=store,
        business_date=business_date(store, began, settings),
        document=str(own),
        order=str(order),
        state=_state(fulfilment, at),
        revision=revision,
        lines=tuple(lines),
        carrier=text(fulfilment, "tracking_company", at)[:500] or None,
        tracking=text(fulfilment, "tracking_number", at)[:500] or None,
        at=changed,
    )
    return Outgoing(
        type=event.FULFILMENT,
        data=data,
        id=f"fulfilment:{own}:{revision}",
        time=changed,
        correlation=f"order:{order}",
        entity=f"fulfilment:{own}",
        version=revision,
    )


def _state(fulfilment: Node, at: str) -> FulfilmentState:
    status = text(fulfilment, "status", at).casefold()
    shipment = text(fulfilment, "shipment_status", at) or text(fulfilment, "display_status", at)
    if status == "success" and shipment.casefold() == "delivered":
        return FulfilmentState.DELIVERED
    if status not in _STATES:
        raise Drift(f"{at}/status", f"an unknown status {status[:40]!r}")
    return _STATES[status]
