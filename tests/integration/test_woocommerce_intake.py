"""WooCommerce through the whole of intake: deliveries on disk, versions resolved, one effect each."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from driving import rows

from tillwire.connectors.inbound import Delivery
from tillwire.connectors.woocommerce import SPEC
from tillwire.intake import foreign
from tillwire.intake.normalise import Normaliser

SHOP = "shop"
KEY = "900/web/2026-03-02/"


def order(modified: str, status: str = "processing", total: str = "10.00") -> dict[str, Any]:
    line = {"id": 1, "name": "Lamp", "product_id": 30, "sku": "LAMP", "quantity": 1, "total": total}
    dates = {"date_created_gmt": "2026-03-02T10:00:00", "date_modified_gmt": f"2026-03-02T{modified}"}
    paid = {"date_paid_gmt": "2026-03-02T10:00:05", "payment_method": "stripe"}
    return {"id": 5, "status": status, "currency": "EUR", "total": total, "line_items": [line], **dates, **paid}


def refund() -> dict[str, Any]:
    line = {"id": 2, "product_id": 30, "sku": "LAMP", "quantity": -1, "total": "-10.00"}
    made = {"id": 8, "parent_id": 5, "date_created_gmt": "2026-03-02T12:00:00", "amount": "10.00"}
    return {**made, "refunded_payment": True, "line_items": [line]}


def taken(connection: psycopg.Connection, *bodies: Any) -> list[str]:
    """Deliver, one at a time; the keys of what was taken in, in order."""
    connector = SPEC.configure({"store": "900", "currency": "EUR"}, of=SHOP)
    for number, body in enumerate(bodies):
        raw = json.dumps(body).encode()
        delivery = Delivery(body=raw, topic="order.updated", key=f"delivery-{number}")
        assert foreign.receive(connection, SHOP, [delivery]) == 1
        assert foreign.receive(connection, SHOP, [delivery]) == 0, "the delivery id came before"
        Normaliser(connection, {SHOP: connector}).normalise_once()
    return [key for (key,) in rows(connection, "SELECT key FROM intake ORDER BY group_id, ordinal")]


def test_an_order_is_recorded_once_however_often_it_changes_without_effect(connection: psycopg.Connection) -> None:
    first, completed = order("10:00:05"), order("11:00:00", "completed")
    assert taken(connection, order("10:00:01", "pending"), first, completed, first) == [KEY + "5"]


def test_a_cancelled_order_corrects_its_sale_and_a_late_update_changes_nothing(connection: psycopg.Connection) -> None:
    cancelled = order("11:00:00", "cancelled")
    told = taken(connection, order("10:00:05"), cancelled, order("10:30:00", "completed"))
    assert told == [KEY + "5", KEY + "5@2"]


def test_processing_and_cancelled_within_one_second_end_cancelled_in_any_order(connection: psycopg.Connection) -> None:
    told = taken(connection, order("10:00:05", "cancelled"), order("10:00:05"))
    assert told == [KEY + "5"]


def test_a_refund_read_alone_and_then_with_its_order_is_one_return(connection: psycopg.Connection) -> None:
    both = {"order": order("12:00:00", "refunded"), "refunds": [refund()]}
    assert taken(connection, refund(), both, refund()) == [KEY + "8", KEY + "8@2"]
    assert rows(connection, "SELECT code FROM exception") == []
