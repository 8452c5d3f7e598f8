"""Real payloads of WooCommerce and Square, where they are: each mapped to its own totals, raised, or ignored with a
reason. The table that failing shows is the one to look at."""

from __future__ import annotations

from typing import Any

import pytest
from knowing import claimed, fixtures, outcome, sold

from tillwire.connectors.inbound import MalformedError, Record, body_source
from tillwire.connectors.registry import spec_of

SOURCES: list[tuple[str, str, dict[str, Any]]] = [
    ("woocommerce", "woocommerce", {"currency": "USD"}),
    ("square", "pos_api", {}),
]
MALFORMED = {"wc_ios__order-with-deleted-refunds.json"}
"""Not JSON: a comma before a closing brace."""
RAISED = {
    "wc_android__order_items.json": {"schema_drift"},
    "wc_android__orders_any_detailed.json": {"schema_drift"},
    "wc_ios__order-with-special-character-currency.json": {"total_mismatch", "tax_mismatch"},
    "wc_ios__order-without-data.json": {"discount_mismatch"},
    "wc_ios__orders-load-all.json": {"total_mismatch", "tax_mismatch"},
    "wc_ios__refund-single.json": {"total_mismatch"},
    "wc_ios__refund-single-without-data.json": {"total_mismatch"},
}
"""Items without an order, a template that was never filled in, orders and refunds whose parts were edited by hand."""
MAPPED = {
    "wc_ios__order-details-partially-refunded.json": "304.45 USD",
    "wc_ios__order-fully-refunded.json": "223.71 USD",
    "wc_ios__order-with-all-addon-types.json": "44.54 USD",
    "wc_ios__order-with-attribution-info.json": "28.00 USD",
    "wc_ios__order-with-gift-cards.json": "28.00 USD",
    "wc_ios__order-with-charge.json": "33.30 USD",
    "wc_ios__order-with-line-item-attributes-before-API-support.json": "90.00 GBP",
    "wc_ios__refunds-all.json": "-45.00 USD",
    "square__PayOrderResponse.json": "20.00 USD",
    "square__ListPaymentRefundsResponse.json": "-5.55 USD",
}
"""What those come to by hand."""


@pytest.mark.parametrize(("name", "folder", "settings"), SOURCES, ids=[name for name, _, _ in SOURCES])
def test_every_file_has_an_outcome(name: str, folder: str, settings: dict[str, Any]) -> None:
    connector = spec_of(name).configure(settings, of="test")
    files = sorted(fixtures(folder).glob("*.json" if name == "woocommerce" else "square__*.json"))
    assert files
    for file in files:
        body = file.read_bytes()
        if file.name in MALFORMED:
            with pytest.raises(MalformedError):
                list(connector.read(body_source(body)))
            continue
        found: list[Record] = list(connector.read(body_source(body)))
        said = [outcome(record) for record in found]
        assert said, f"{file.name} is silently empty"
        assert sold(found) == claimed(found), file.name
        codes = {code for one in said if one.startswith("raised ") for code in one.removeprefix("raised ").split(", ")}
        assert codes == RAISED.get(file.name, set()), f"{file.name}: {said}"
        if file.name in MAPPED:
            assert [f"{amount} {currency}" for currency, amount in sold(found).items()] == [MAPPED[file.name]]
        for record in found:
            again = list(connector.read(body_source(record.raw)))
            assert tuple(event for one in again for event in one.events) == record.events
