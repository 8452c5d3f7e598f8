"""Square: orders, payments and refunds of a seller, by webhook, by API and by file."""

from __future__ import annotations

from tillwire.connectors.spec import Example, Spec
from tillwire.connectors.square.connector import SquareConnector
from tillwire.connectors.square.settings import SquareSettings

SPEC = Spec(
    name="square",
    title="Square",
    about="Orders, payments and refunds of a Square seller: webhook events with their signature, backfill over the "
    "API, recorded answers as files.",
    contract="Square API 2025-01-23: Orders, Payments, Refunds, webhooks",
    roles=("webhook", "message", "file", "pull"),
    settings=SquareSettings,
    make=SquareConnector,
    media_types=("application/json", "application/x-ndjson"),
    examples=(
        Example(
            file="order-completed.json",
            about="A sale: tax, discount, service charge, tip, cash with change",
            settings={"locations": {"LEXAMPLE1": "12"}, "skus": {"CATVAR1": "ESPRESSO-D"}},
        ),
        Example(file="order-inclusive-tax-jpy.json", about="Tax in the prices, a currency without minor units"),
        Example(file="order-return.json", about="Goods that come back, and the refund that pays for them"),
        Example(file="order-open.json", about="Not sold yet"),
        Example(file="event-order-updated.json", about="A webhook that only names its order", topic="order.updated"),
        Example(file="event-refund-completed.json", about="A webhook with a refund", topic="refund.updated"),
        Example(
            file="payments.json", about="A payment without an order, with a tip, and one that is an order's tender"
        ),
        Example(
            file="order-total-wrong.json",
            about="A total that its lines do not come to",
            codes=("total_mismatch",),
        ),
        Example(file="order-currencies-mixed.json", about="Two currencies in one order", codes=("schema_drift",)),
    ),
)

__all__ = ["SPEC", "SquareConnector", "SquareSettings"]
