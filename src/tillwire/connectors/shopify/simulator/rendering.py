"""A simulated shop's objects in the words of REST, as webhooks carry them, and of GraphQL."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tillwire.connectors.shopify.simulator.shop import Shop

_ZERO = Decimal(0)


def _fixed(amount: Decimal) -> str:
    return f"{amount:.2f}"


def _rest_bag(amount: Decimal) -> dict[str, Any]:
    money = {"amount": _fixed(amount), "currency_code": "USD"}
    return {"shop_money": money, "presentment_money": money}


def _bag(amount: Decimal) -> dict[str, Any]:
    text = format(amount.normalize(), "f")
    money = {"amount": text if "." in text else text + ".0", "currencyCode": "USD"}
    return {"shopMoney": money, "presentmentMoney": money}


def _gid(kind: str, own: int | None) -> dict[str, Any] | None:
    return None if own is None else {"id": f"gid://shopify/{kind}/{own}"}


def _totals(shop: Shop, order: dict[str, Any]) -> dict[str, Decimal]:
    items = order["items"]
    total = shop.total(order)
    refunded = sum((t["amount"] for r in order["refunds"] for t in r["transactions"]), _ZERO)
    paid = sum((t["amount"] for t in order["transactions"]), _ZERO)
    return {
        "total_price": total,
        "subtotal_price": sum((i["price"] * i["quantity"] - i["off"] for i in items), _ZERO),
        "total_tax": sum((i["tax"] for i in items), _ZERO),
        "total_discounts": sum((i["off"] for i in items), _ZERO),
        "current_total_price": total - refunded,
        "total_outstanding": _ZERO if order["cancelled"] else total - paid,
        "total_tip_received": _ZERO,
    }


def order_rest(shop: Shop, order: dict[str, Any]) -> dict[str, Any]:
    """The body of an order's webhook."""
    totals = _totals(shop, order)
    money = {name: _fixed(amount) for name, amount in totals.items()}
    bags = {f"{name}_set": _rest_bag(amount) for name, amount in totals.items() if name != "total_outstanding"}
    return {
        "id": order["id"], "name": order["name"], "test": False, "currency": "USD", "presentment_currency": "USD",
        "created_at": order["created"], "processed_at": order["created"], "updated_at": order["updated"],
        "cancelled_at": order["cancelled"], "financial_status": order["status"], "taxes_included": False,
        "source_name": "pos" if order["pos"] else "web", "location_id": 61001 if order["pos"] else None,
        "customer": {"id": order["customer"], "email": "someone@example.com"} if order["customer"] else None,
        "payment_gateway_names": sorted({t["gateway"] for t in order["transactions"]}), **money, **bags,
        "line_items": [item_rest(item) for item in order["items"]],
        "discount_applications": [{"type": "automatic", "title": "Ten off"}],
        "shipping_lines": [] if order["pos"] else [{"id": 1, "title": "Standard", "price": _fixed(order["shipping"]),
                                                    "discount_allocations": [], "tax_lines": []}],
        "refunds": [refund_rest(order, refund) for refund in order["refunds"]],
        "fulfillments": [fulfilment_rest(order, one) for one in order["fulfillments"]], "tax_lines": [],
    }  # fmt: skip


def item_rest(item: dict[str, Any]) -> dict[str, Any]:
    """A line item."""
    off = [{"amount": _fixed(item["off"]), "amount_set": _rest_bag(item["off"]), "discount_application_index": 0}]
    return {
        "id": item["id"], "sku": item["variant"]["sku"], "title": item["product"]["title"],
        "name": item["product"]["title"], "variant_id": item["variant"]["id"], "product_id": item["product"]["id"],
        "quantity": item["quantity"], "current_quantity": item["current"], "gift_card": False,
        "price": _fixed(item["price"]), "price_set": _rest_bag(item["price"]), "properties": [], "duties": [],
        "discount_allocations": off if item["off"] else [], "total_discount": "0.00",
        "tax_lines": [{"title": "State Tax", "rate": 0.0825, "price": _fixed(item["tax"]),
                       "price_set": _rest_bag(item["tax"])}],
    }  # fmt: skip


def refund_rest(order: dict[str, Any], refund: dict[str, Any]) -> dict[str, Any]:
    """The body of a refund's webhook: amounts of its lines are numbers, as Shopify writes them."""
    lines = [
        {"id": line["id"], "line_item_id": line["item"]["id"], "quantity": line["quantity"], "location_id": None,
         "restock_type": line["restock"], "subtotal": float(line["subtotal"]), "total_tax": float(line["tax"]),
         "subtotal_set": _rest_bag(line["subtotal"]), "total_tax_set": _rest_bag(line["tax"]),
         "line_item": item_rest(line["item"])}
        for line in refund["lines"]
    ]  # fmt: skip
    shipping = [{"id": 1, "subtotal_amount_set": _rest_bag(refund["shipping"]), "tax_amount_set": _rest_bag(_ZERO)}]
    return {
        "id": refund["id"], "order_id": order["id"], "created_at": refund["created"], "order_adjustments": [],
        "refund_line_items": lines, "refund_shipping_lines": shipping if refund["shipping"] else [],
        "transactions": [
            {"id": t["id"], "order_id": order["id"], "kind": t["kind"], "status": t["status"], "test": False,
             "gateway": t["gateway"], "amount": _fixed(t["amount"]), "currency": "USD", "created_at": t["at"],
             "processed_at": t["at"], "location_id": _place(t),
             "source_name": "pos" if _place(t) else "web"}
            for t in refund["transactions"]
        ],
    }  # fmt: skip


def fulfilment_rest(order: dict[str, Any], fulfilment: dict[str, Any]) -> dict[str, Any]:
    """The body of a fulfilment's webhook."""
    return {
        "id": fulfilment["id"], "order_id": order["id"], "status": fulfilment["status"], "location_id": 61001,
        "created_at": fulfilment["created"], "updated_at": fulfilment["updated"], "tracking_company": "Parcel Co",
        "tracking_number": f"PC{fulfilment['id']}", "shipment_status": None,
        "line_items": [item_rest(item) for _, item in fulfilment["lines"]],
    }  # fmt: skip


def order_graphql(shop: Shop, order: dict[str, Any]) -> dict[str, Any]:
    """An order's node; connections are plain lists, which the resolver cuts into pages."""
    totals = _totals(shop, order)
    names = {"total_price": "totalPriceSet", "subtotal_price": "subtotalPriceSet", "total_tax": "totalTaxSet",
             "total_discounts": "totalDiscountsSet", "current_total_price": "currentTotalPriceSet",
             "total_outstanding": "totalOutstandingSet", "total_tip_received": "totalTipReceivedSet"}  # fmt: skip
    return {
        **(_gid("Order", order["id"]) or {}), "name": order["name"], "createdAt": order["created"],
        "processedAt": order["created"], "updatedAt": order["updated"], "cancelledAt": order["cancelled"],
        "test": False, "sourceName": "pos" if order["pos"] else "web", "currencyCode": "USD",
        "presentmentCurrencyCode": "USD", "displayFinancialStatus": order["status"].upper(), "taxesIncluded": False,
        "paymentGatewayNames": sorted({t["gateway"] for t in order["transactions"]}),
        "customer": _gid("Customer", order["customer"]),
        "retailLocation": _gid("Location", 61001 if order["pos"] else None), "taxLines": [],
        **{names[name]: _bag(amount) for name, amount in totals.items()},
        "lineItems": [item_graphql(item) for item in order["items"]],
        "shippingLines": [] if order["pos"] else [
            {**(_gid("ShippingLine", 1) or {}), "title": "Standard", "isRemoved": False, "taxLines": [],
             "originalPriceSet": _bag(order["shipping"]), "discountedPriceSet": _bag(order["shipping"]),
             "discountAllocations": []}],
        "transactions": [_transaction_graphql(t) for t in
                         [*order["transactions"], *(t for r in order["refunds"] for t in r["transactions"])]],
        "refunds": [refund_graphql(refund) for refund in order["refunds"]],
        "fulfillments": [fulfilment_graphql(one) for one in order["fulfillments"]],
    }  # fmt: skip


def _transaction_graphql(t: dict[str, Any]) -> dict[str, Any]:
    return {**(_gid("OrderTransaction", t["id"]) or {}), "kind": t["kind"].upper(), "status": t["status"].upper(),
            "gateway": t["gateway"], "test": False, "processedAt": t["at"], "createdAt": t["at"],
            "location": _gid("Location", _place(t)), "amountSet": _bag(t["amount"])}  # fmt: skip


def _place(t: dict[str, Any]) -> int | None:
    """Cash is taken and given back in a shop only."""
    return 61001 if t["gateway"] == "cash" else None


def item_graphql(item: dict[str, Any]) -> dict[str, Any]:
    """A line item's node."""
    applied = {"__typename": "AutomaticDiscountApplication", "index": 0, "title": "Ten off"}
    off = [{"allocatedAmountSet": _bag(item["off"]), "discountApplication": applied}]
    return {
        **(_gid("LineItem", item["id"]) or {}), "sku": item["variant"]["sku"], "name": item["product"]["title"],
        "title": item["product"]["title"], "quantity": item["quantity"], "currentQuantity": item["current"],
        "isGiftCard": False, "variant": _gid("ProductVariant", item["variant"]["id"]),
        "product": _gid("Product", item["product"]["id"]), "originalUnitPriceSet": _bag(item["price"]),
        "discountAllocations": off if item["off"] else [], "duties": [],
        "taxLines": [{"title": "State Tax", "rate": 0.0825, "priceSet": _bag(item["tax"])}],
    }  # fmt: skip


def refund_graphql(refund: dict[str, Any]) -> dict[str, Any]:
    """A refund's node."""
    line = {"id": "gid://shopify/ShippingLine/1", "title": "Standard", "taxLines": []}
    amounts = {"subtotalAmountSet": _bag(refund["shipping"]), "taxAmountSet": _bag(_ZERO)}
    shipping = {"id": "gid://shopify/RefundShippingLine/1", **amounts, "shippingLine": line}
    return {
        **(_gid("Refund", refund["id"]) or {}), "createdAt": refund["created"], "orderAdjustments": [],
        "refundLineItems": [
            {**(_gid("RefundLineItem", line["id"]) or {}), "quantity": line["quantity"],
             "restockType": line["restock"].upper(), "subtotalSet": _bag(line["subtotal"]),
             "totalTaxSet": _bag(line["tax"]), "lineItem": item_graphql(line["item"])}
            for line in refund["lines"]],
        "refundShippingLines": [shipping] if refund["shipping"] else [],
        "transactions": [_transaction_graphql(t) for t in refund["transactions"]],
    }  # fmt: skip


def fulfilment_graphql(fulfilment: dict[str, Any]) -> dict[str, Any]:
    """A fulfilment's node."""
    return {
        **(_gid("Fulfillment", fulfilment["id"]) or {}), "status": fulfilment["status"].upper(),
        "displayStatus": "FULFILLED", "createdAt": fulfilment["created"], "updatedAt": fulfilment["updated"],
        "location": _gid("Location", 61001),
        "trackingInfo": [{"company": "Parcel Co", "number": f"PC{fulfilment['id']}"}],
        "fulfillmentLineItems": [
            {**(_gid("FulfillmentLineItem", own) or {}), "quantity": item["quantity"], "lineItem": item_graphql(item)}
            for own, item in fulfilment["lines"]],
    }  # fmt: skip


def product_graphql(product: dict[str, Any]) -> dict[str, Any]:
    """A product's node."""
    return {
        **(_gid("Product", product["id"]) or {}), "title": product["title"], "productType": product["product_type"],
        "status": product["status"].upper(), "createdAt": product["created_at"], "updatedAt": product["updated_at"],
        "variants": [{**(_gid("ProductVariant", v["id"]) or {}), "sku": v["sku"], "barcode": v["barcode"],
                      "title": v["title"]} for v in product["variants"]],
    }  # fmt: skip


def items_graphql(shop: Shop) -> list[dict[str, Any]]:
    """The inventory items that have levels, with these."""
    found: dict[int, list[dict[str, Any]]] = {}
    for level in shop.levels.values():
        own = f"gid://shopify/InventoryLevel/{level['location']}?inventory_item_id={level['item']}"
        node = {"id": own, "updatedAt": level["updated"], "location": _gid("Location", level["location"]),
                "item": _gid("InventoryItem", level["item"]),
                "quantities": [{"name": "available", "quantity": level["available"]}]}  # fmt: skip
        found.setdefault(level["item"], []).append(node)
    return [
        {
            **(_gid("InventoryItem", own) or {}),
            "updatedAt": max(n["updatedAt"] for n in levels),
            "inventoryLevels": levels,
        }
        for own, levels in found.items()
    ]


def _item_graphql(own: int, levels: list[dict[str, Any]]) -> dict[str, Any]:
    changed = max(level["updatedAt"] for level in levels)
    return {**(_gid("InventoryItem", own) or {}), "updatedAt": changed, "inventoryLevels": levels}
