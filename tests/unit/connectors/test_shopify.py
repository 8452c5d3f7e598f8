"""What Shopify's payloads mean in canonical events."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from shopify_reading import SETTINGS, connector, example, example_bytes, faults, only, records, summed, transactions

from tillwire.connectors.inbound import MalformedError, body_source
from tillwire.connectors.shopify import SPEC
from tillwire.errors import AuthenticationError
from tillwire.intake.trial import try_source
from tillwire.model.master import ProductRecord
from tillwire.model.stock import Fulfilment, FulfilmentState, StockLevel
from tillwire.model.transaction import Disposition, Kind, LineKind

D = Decimal


@pytest.mark.parametrize("shown", SPEC.examples, ids=lambda one: one.file)
def test_examples_say_what_they_are(shown: Any) -> None:
    made = SPEC.configure(shown.settings, of="test")
    found = list(made.read(body_source(example_bytes(shown.file), shown.topic)))
    assert tuple(t.code for record in found for t in record.troubles) == shown.codes
    for record in found:
        assert record.events or record.troubles or record.ignored
    sold = transactions(found)
    assert [faults(transaction) for transaction in sold] == [[] for _ in sold]
    assert sum(summed(found).values()) == sum(t.total for t in sold)


def test_a_paid_order_keeps_the_sources_own_amounts() -> None:
    sale = only(records(example("order-paid.json")))
    assert (sale.store, sale.register, sale.sequence, sale.kind) == ("web", "web", 5900000000101, Kind.SALE)
    assert sale.business_date == date(2026, 3, 2)  # the shop's evening is the next day in UTC
    assert (sale.total, sale.tax, sale.order, sale.receipt) == (D("68.49"), D("4.89"), "5900000000101", "#101")
    mug, scarf, shipping = sale.lines
    assert (mug.sku, mug.quantity, mug.unit_price, mug.amount) == ("MUG-BLUE", 2, D("12.00"), D("21.60"))
    assert [(d.amount, d.reason, d.promotion) for d in mug.discounts] == [(D("2.40"), "discount_code", "SPRING10")]
    assert [(t.code, t.amount, t.rate) for t in scarf.taxes] == [
        ("NY State Tax", D("1.44"), D("0.04")),
        ("NYC Tax", D("1.62"), D("0.045")),
    ]
    assert (shipping.kind, shipping.sku, shipping.amount) == (LineKind.CHARGE, "shipping", D("6.00"))
    assert [(t.type, t.amount) for t in sale.tenders] == [("shopify_payments", D("68.49"))]


def test_no_personal_data_gets_into_events() -> None:
    order = example("order-paid.json")
    order["email"] = order["contact_email"] = "SECRET@example.com"
    order["customer"] |= {"first_name": "SECRET", "email": "SECRET@example.com", "phone": "SECRET"}
    order["billing_address"] = order["shipping_address"] = {"name": "SECRET", "address1": "SECRET"}
    (record,) = records(order)
    assert "SECRET" not in repr(record.events)
    assert only([record]).customer == "shopify:7012345678901"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("pending", "not paid"),
        ("authorized", "captured"),
        ("partially_paid", "in part"),
        ("voided", "voided"),
        (None, "not told"),
    ],
)
def test_an_order_whose_money_has_not_come_sells_nothing_yet(status: str | None, reason: str) -> None:
    (record,) = records(example("order-paid.json") | {"financial_status": status})
    assert record.events == ()
    assert record.claims == ()
    assert reason in record.ignored


def test_pos_order_belongs_to_its_location_with_its_zone() -> None:
    settings = {"stores": {"61001": "HIGH-ST"}, "time_zones": {"HIGH-ST": "Europe/London"}}
    sale = only(records(example("order-pos.json"), **settings))
    assert (sale.store, sale.register, sale.channel) == ("HIGH-ST", "pos", "pos")
    assert sale.business_date == date(2026, 3, 3)  # 02:15 in London
    assert sale.tax_included
    assert sale.customer is None
    unmapped = example("order-pos.json") | {"location_id": 77}
    assert only(records(unmapped, **settings)).store == "location:77"


def test_gift_cards_tips_custom_and_zero_lines() -> None:
    sale = only(records(example("order-gift-card-and-tip.json")))
    assert [(line.sku, line.kind, line.amount) for line in sale.lines] == [
        ("variant:41", LineKind.GIFT_CARD, D("50.00")),
        ("custom-item", LineKind.ITEM, D("25.00")),
        ("tip", LineKind.TIP, D("6.00")),
        ("SAMPLE", LineKind.ITEM, D(0)),
    ]


def test_a_tip_that_no_line_tells_is_a_line_of_its_own() -> None:
    order = example("order-gift-card-and-tip.json")
    del order["line_items"][2]
    sale = only(records(order))
    assert [(line.kind, line.amount) for line in sale.lines if line.kind is LineKind.TIP] == [(LineKind.TIP, D("6.00"))]
    assert faults(sale) == []


def test_several_gateways_wait_for_the_pull_where_there_is_one() -> None:
    order = example("order-gift-card-and-tip.json")
    assert [t.type for t in only(records(order)).tenders] == ["gift_card+shopify_payments"]
    (record,) = records(order, token="t")
    assert (record.events, "next pull" in record.ignored) == ((), True)


def test_shop_money_is_the_ledgers_and_presentment_the_customers() -> None:
    sale = only(records(example("order-foreign-with-duties.json")))
    assert (sale.currency, sale.total, sale.sequence) == ("USD", D("131.50"), 9007199254740993)
    assert sale.presentment is not None
    assert (sale.presentment.amount, sale.presentment.currency) == (D("120.98"), "EUR")
    assert [(line.sku, line.amount) for line in sale.lines] == [
        ("LAMP", D("100.00")),
        ("shipping", D("15.00")),
        ("duties", D("16.50")),
    ]


def test_shop_money_in_another_currency_than_the_shops_is_raised() -> None:
    order = example("order-foreign-with-duties.json")
    order["line_items"][0]["duties"][0]["shop_money"]["currency_code"] = "CAD"
    (record,) = records(order)
    assert [t.code for t in record.troubles] == ["currency_mismatch"]


def test_a_capture_at_another_rate_is_worth_the_orders_total() -> None:
    order = example("order-foreign-with-duties.json")
    paid = {
        "shop_money": {"amount": "130.97", "currency_code": "USD"},
        "presentment_money": {"amount": "120.98", "currency_code": "EUR"},
    }
    order["transactions"] = [{"id": 1, "kind": "sale", "status": "success", "gateway": "paypal", "amount_set": paid}]
    sale = only(records(order))
    assert [(t.amount, t.foreign and t.foreign.amount) for t in sale.tenders] == [(D("131.50"), D("120.98"))]
    assert faults(sale) == []


def test_cancelled_and_restocked() -> None:
    sale, back = transactions(records(example("order-cancelled-and-restocked.json")))
    assert (sale.total, back.total, back.kind, back.order) == (D("68.49"), D("-68.49"), Kind.RETURN, sale.order)
    assert [(line.sku, line.quantity, line.amount, line.moves_stock) for line in back.lines] == [
        ("MUG-BLUE", -2, D("-21.60"), True),
        ("SCARF", -1, D("-36.00"), True),
        ("shipping", -1, D("-6.00"), True),
    ]
    assert back.lines[0].disposition is Disposition.RESELL
    assert sum(t.amount for line in back.lines for t in line.taxes) == D("-4.89")


def test_what_an_edit_removed_before_payment_is_not_sold() -> None:
    (record,) = records(example("order-edited-before-payment.json"))
    sale = only([record])
    assert [(line.sku, line.amount) for line in sale.lines] == [("HAT", D("21.00"))]
    assert record.claims[0].amount == D("21.00")


def test_what_was_removed_after_payment_without_money_comes_back_for_nothing() -> None:
    order = example("order-edited-before-payment.json") | {"total_outstanding": "-15.00"}
    order["refunds"][0]["refund_line_items"][0]["restock_type"] = "return"
    sale, back = transactions(records(order))
    assert (sale.total, back.total) == (D("36.00"), D(0))
    assert [(line.sku, line.quantity, line.amount, line.moves_stock) for line in back.lines] == [
        ("CAP", -1, D(0), True)
    ]
    assert faults(back) == []


def test_an_exchange_nets_to_nothing_between_sale_and_return() -> None:
    order = example("order-edited-before-payment.json")
    order |= {"current_total_price": "21.00", "total_outstanding": "0.00"}
    refund = order["refunds"][0]
    refund["refund_line_items"][0]["restock_type"] = "return"
    refund["transactions"] = [
        {
            "id": 9,
            "kind": "refund",
            "status": "success",
            "gateway": "shopify_payments",
            "amount": "4.00",
            "currency": "USD",
        }
    ]
    sale, back = transactions(records(order))
    assert {t.type: t.amount for t in sale.tenders} == {"shopify_payments": D("25.00"), "exchange": D("11.00")}
    assert {t.type: t.amount for t in back.tenders} == {"shopify_payments": D("-4.00"), "exchange": D("-11.00")}
    assert faults(sale) == faults(back) == []


def test_partial_refund_of_what_the_customer_keeps() -> None:
    back = only(records(example("refund-partial.json")))
    (line,) = back.lines
    assert (line.quantity, line.amount, line.moves_stock, line.disposition) == (-1, D("-10.80"), False, None)
    assert sorted(t.amount for t in line.taxes) == [D("-0.49"), D("-0.43")]
    assert (back.total, back.order, back.sequence) == (D("-11.72"), "5900000000101", 8900000000202)


def test_a_refund_whose_money_waits_has_no_effect_until_it_moves() -> None:
    refund = example("refund-pending.json")
    (record,) = records(refund)
    assert (record.events, "not moved" in record.ignored) == ((), True)
    refund["transactions"][0]["status"] = "success"
    refund["order_adjustments"] = []
    assert only(records(refund)).total == D("-39.06")


def test_refund_alone_and_within_its_order_are_the_same() -> None:
    order = example("order-cancelled-and-restocked.json")
    alone = records(order["refunds"][0])[0].events[0]
    within = records(order)[0].events[1]
    assert (alone.data, alone.entity, alone.version) == (within.data, within.entity, within.version)


def test_a_refund_that_does_not_add_up_is_raised_by_the_rules() -> None:
    refund = example("refund-partial.json")
    refund["transactions"][0]["amount"] = "9.00"
    back = only(records(refund))
    assert (back.total, faults(back)) == (D("-9.00"), ["total_mismatch"])


def test_refund_with_tax_in_its_amounts_is_told_by_the_money() -> None:
    refund = example("refund-partial.json")
    refund["transactions"][0]["amount"] = "10.80"
    for tax in refund["refund_line_items"][0]["line_item"]["tax_lines"]:
        del tax["rate"]
    back = only(records(refund))
    assert (back.tax_included, faults(back)) == (True, [])


def test_a_refund_belongs_to_the_shop_that_paid_it_back() -> None:
    refund = example("refund-partial.json")
    refund["transactions"][0]["location_id"] = 61001
    settings = {"stores": {"61001": "HIGH-ST"}, "time_zones": {"HIGH-ST": "Asia/Tokyo"}}
    back = only(records(refund, **settings))
    assert (back.store, back.register, back.business_date) == ("HIGH-ST", "pos", date(2026, 3, 5))
    refund["transactions"][0]["location_id"] = 7
    assert only(records(refund, **settings)).store == "location:7"


def test_goodwill_without_lines() -> None:
    refund = example("refund-partial.json") | {"refund_line_items": []}
    back = only(records(refund))
    assert [(line.sku, line.kind, line.amount) for line in back.lines] == [
        ("refund-adjustment", LineKind.CHARGE, D("-11.72"))
    ]
    assert faults(back) == []


def test_old_orders_tell_discount_and_tax_only_by_their_totals() -> None:
    order = example("order-paid.json")
    for item in order["line_items"]:
        item["discount_allocations"] = []
        item["tax_lines"] = []
    order["tax_lines"] = [{"title": "State Tax", "price": "4.89", "rate": 0.085}]
    sale = only(records(order))
    assert faults(sale) == []
    assert sum(d.amount for line in sale.lines for d in line.discounts) == D("6.40")


def test_cash_rounding_is_a_difference_of_the_tender() -> None:
    order = example("order-pos.json")
    order["total_cash_rounding_payment_adjustment_set"] = {"shop_money": {"amount": "0.01", "currency_code": "GBP"}}
    order["transactions"] = [
        {"id": 1, "kind": "sale", "status": "success", "gateway": "cash", "amount": "23.80", "currency": "GBP"}
    ]
    sale = only(records(order))
    assert (sale.total, sale.rounding, sale.tenders[0].amount, faults(sale)) == (D("23.81"), D("0.01"), D("23.81"), [])


def _foreign_refund(paid: str) -> Any:
    refund = example("refund-partial.json")
    line = refund["refund_line_items"][0]
    line["subtotal_set"]["presentment_money"] = {"amount": "9.94", "currency_code": "EUR"}
    line["total_tax_set"]["presentment_money"] = {"amount": "0.85", "currency_code": "EUR"}
    refund["transactions"][0] |= {"amount": paid, "currency": "EUR"}
    return refund


def test_a_refund_in_the_customers_currency_is_worth_what_its_lines_are() -> None:
    back = only(records(_foreign_refund("10.79")))
    assert (back.total, back.currency, faults(back)) == (D("-11.72"), "USD", [])
    assert [(t.amount, t.foreign and t.foreign.amount) for t in back.tenders] == [(D("-11.72"), D("-10.79"))]
    (record,) = records(_foreign_refund("9.00"))
    assert [t.code for t in record.troubles] == ["tender_mismatch"]
    (record,) = records(_foreign_refund("9.00") | {"refund_line_items": [], "total_duties_set": None})
    assert [t.code for t in record.troubles] == ["tender_mismatch"]


def test_test_orders_are_training() -> None:
    (record,) = records(example("order-paid.json") | {"test": True})
    assert (only([record]).kind, record.claims) == (Kind.TRAINING, ())


def test_goods() -> None:
    (record,) = records(example("product.json"))
    blue, red = (one.data for one in record.events)
    assert isinstance(blue, ProductRecord)
    assert (blue.sku, blue.name, blue.product_class, blue.gtins) == (
        "MUG-BLUE",
        "Mug - Blue",
        "Kitchen",
        ("4006381333931",),
    )
    assert (red.sku, red.gtins) == ("variant:45100000000002", ())
    level = records(example("inventory-level.json"))[0].events[0].data
    assert isinstance(level, StockLevel)
    assert (level.sku, level.quantity, level.business_date) == ("inventory_item:47100000000001", -3, date(2026, 3, 2))
    mapped = records(example("inventory-level.json"), inventory_items={"47100000000001": "MUG-BLUE"})
    assert mapped[0].events[0].data.sku == "MUG-BLUE"
    sent = records(example("fulfillment.json"))[0].events[0].data
    assert isinstance(sent, Fulfilment)
    assert (sent.state, sent.order, sent.tracking) == (FulfilmentState.DELIVERED, "5900000000101", "PC123")


def test_lists_are_taken_apart_and_each_part_reads_alone() -> None:
    both = {"orders": [example("order-paid.json"), example("order-without-lines.json")]}
    good, bad = records(both)
    assert (len(good.events), [t.code for t in bad.troubles]) == (1, ["schema_drift"])
    assert records(good.raw)[0].events == good.events
    assert records(bad.raw)[0].troubles == bad.troubles


@pytest.mark.parametrize(
    ("payload", "topic"),
    [
        ({"customer": {"id": 1}}, ""),
        ({"id": "x", "token": "x", "line_items": []}, "carts/create"),
        ({"id": 1}, "products/delete"),
        ({"shop_id": 1}, "shop/redact"),
        ({"data": {"order": None}}, ""),
        ({"errors": [{"message": "Throttled"}]}, ""),
        ({"data": {"refundCreate": {"refund": None, "userErrors": [{"message": "no"}]}}}, ""),
        ([], ""),
    ],
)
def test_what_is_not_taken_in_says_why(payload: Any, topic: str) -> None:
    (record,) = records(payload, topic)
    assert (record.events, record.troubles) == ((), ())
    assert record.ignored


@pytest.mark.parametrize("body", [b"", b"a,b\n1,2\n", b"\xff\xfe", b'{"id": 1', b'{"a": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_malformed_with_its_place(body: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        records(body)
    assert caught.value.place


def test_webhooks_are_proved_with_either_secret() -> None:
    from tillwire.connectors.shopify.simulator import Hook, ShopifySimulator

    body = example_bytes("order-paid.json")
    made = connector(secret="new", previous_secret="old")
    hook = Hook(topic="orders/paid", body=body, event_id="e", webhook_id="w", triggered_at="2026-03-02T00:00:00Z")
    for secret in ("new", "old"):
        headers = {k.lower(): v for k, v in ShopifySimulator(secret=secret).headers_of(hook).items()}
        delivery = made.verify(headers, body)
        assert (delivery.topic, delivery.body) == ("orders/paid", body)
        assert delivery.key.startswith("e:orders/paid:")
        assert "x-shopify-hmac-sha256" not in delivery.headers
        assert made.verify(headers | {"x-shopify-webhook-id": "another subscription"}, body).key == delivery.key
    for wrong in (
        {k.lower(): v for k, v in ShopifySimulator(secret="other").headers_of(hook).items()},
        headers | {"x-shopify-hmac-sha256": ""},
        headers | {"x-shopify-hmac-sha256": "é"},
        headers | {"x-shopify-shop-domain": "someone-else.myshopify.com"},
    ):
        with pytest.raises(AuthenticationError):
            made.verify(wrong, body)
    with pytest.raises(AuthenticationError):
        made.verify(headers, body + b" ")
    with pytest.raises(AuthenticationError):
        SPEC.configure({k: v for k, v in SETTINGS.items() if k != "secret"}, of="test").verify(headers, body)


@pytest.mark.parametrize("status", [{"financial_status": "paid"}, {}])
def test_an_orders_webhook_without_lines_and_total_is_a_drift(status: dict[str, str]) -> None:
    bare = {"id": 77, "currency": "USD", "created_at": "2026-03-02T10:00:00Z"} | status
    (record,) = records(bare, "orders/paid")
    assert [(one.code, one.pointer) for one in record.troubles] == [("schema_drift", "/total_price")]
    (record,) = records({"order": bare})
    assert (record.troubles, record.ignored.startswith("a part of an order only")) == ((), True)


def test_a_fulfilment_of_an_unpaid_order_tells_why_there_is_no_sale() -> None:
    order = example("order-paid.json") | {"financial_status": "pending"}
    items = [{"id": one["id"], "sku": one["sku"], "quantity": 1} for one in order["line_items"][:1]]
    order["fulfillments"] = [
        {"id": 9, "order_id": order["id"], "status": "success", "created_at": order["created_at"], "line_items": items}
    ]
    (record,) = records(order, "orders/updated")
    assert (len(record.events), record.ignored) == (1, "")
    assert record.note.startswith("no sale: not paid yet")
    outcome = try_source(connector(), body_source(json.dumps(order).encode(), "orders/updated"), today=date(2026, 3, 3))
    assert "no sale: not paid yet" in outcome.summary()
