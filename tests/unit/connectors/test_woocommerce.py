"""WooCommerce's own ways, one test each, on orders written here from the public contract."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from knowing import claimed, codes_of, outcome, sold

from tillwire.connectors.inbound import MalformedError, Record, body_source
from tillwire.connectors.registry import examples_folder
from tillwire.connectors.woocommerce import SPEC
from tillwire.connectors.woocommerce.connector import WooCommerceConnector, signature
from tillwire.errors import AuthenticationError, ConfigurationError
from tillwire.model.master import ProductRecord
from tillwire.model.stock import StockLevel
from tillwire.model.transaction import Kind, LineKind, Transaction

ITEM = {"id": 1, "name": "Lamp", "product_id": 30, "variation_id": 0, "quantity": 1, "sku": "LAMP"}


def line(total: str = "10.00", **more: Any) -> dict[str, Any]:
    return {**ITEM, "subtotal": total, "subtotal_tax": "0.00", "total": total, "total_tax": "0.00", "taxes": [], **more}


def order(*lines: dict[str, Any], total: str = "10.00", **more: Any) -> dict[str, Any]:
    made = {
        "id": 5,
        "number": "A5",
        "status": "processing",
        "currency": "EUR",
        "date_created_gmt": "2026-03-02T23:30:00",
        "date_modified_gmt": "2026-03-02T23:31:00",
        "date_paid_gmt": "2026-03-02T23:30:30",
        "total": total,
        "total_tax": "0.00",
        "payment_method": "stripe",
        "line_items": list(lines) or [line()],
    }
    return {**made, **more}


def read(payload: Any, topic: str = "", **settings: Any) -> list[Record]:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return list(SPEC.configure(settings, of="test").read(body_source(body, topic)))


def told(payload: Any, **settings: Any) -> Transaction:
    """The one transaction of a payload; it must pass the rules and come to what the payload claims."""
    found = read(payload, **settings)
    assert [outcome(record) for record in found][:1] == ["mapped"], found[0]
    assert sold(found) == claimed(found)
    message = found[0].events[0].data
    assert isinstance(message, Transaction)
    return message


def test_an_order_is_a_sale_under_its_number_and_its_day_in_the_shops_zone() -> None:
    made = told(order(), store="900", register="1", time_zone="Europe/Amsterdam")
    assert (made.store, made.register, made.sequence, made.kind) == ("900", "1", 5, Kind.SALE)
    assert made.business_date == date(2026, 3, 3)
    assert made.began_at is not None
    assert made.began_at.isoformat() == "2026-03-02T23:30:00+00:00"
    assert (made.receipt, made.order, made.channel) == ("A5", "5", "ecommerce")


def test_the_day_of_payment_may_be_chosen() -> None:
    paid = order(date_paid_gmt="2026-03-09T10:00:00")
    assert told(paid).business_date == date(2026, 3, 2)
    assert told(paid, business_date="paid").business_date == date(2026, 3, 9)


def test_local_times_are_read_in_the_shops_zone_where_gmt_is_missing() -> None:
    local = order(date_created_gmt=None, date_created="2026-03-03T00:30:00", date_paid_gmt=None)
    made = told(local, time_zone="Europe/Amsterdam")
    assert made.began_at is not None
    assert made.began_at.isoformat() == "2026-03-02T23:30:00+00:00"
    assert made.ended_at is None


def test_coupons_are_discounts_between_subtotal_and_total() -> None:
    discounted = line("18.00", quantity=2, subtotal="20.00")
    made = told(order(discounted, total="18.00", discount_total="2.00", coupon_lines=[{"code": "ten"}]))
    assert made.discount == 2
    [one] = made.lines
    assert (one.unit_price, one.amount) == (10, 18)
    assert [(d.amount, d.reason, d.promotion) for d in one.discounts] == [(2, "coupon", "ten")]


def test_a_discount_total_that_the_lines_do_not_have_is_raised() -> None:
    assert outcome(read(order(discount_total="2.00"))[0]) == "raised discount_mismatch"


def test_a_negative_fee_is_a_piece_less_at_a_price_above_zero() -> None:
    made = told(order(total="7.00", fee_lines=[{"id": 2, "name": "Thanks", "total": "-3.00", "total_tax": "0"}]))
    fee = made.lines[1]
    assert (fee.kind, fee.quantity, fee.unit_price, fee.amount) == (LineKind.CHARGE, -1, 3, -3)


def test_a_fee_may_be_a_tip_by_its_name() -> None:
    tipped = order(total="12.00", fee_lines=[{"id": 2, "name": "TIP", "total": "2.00"}])
    assert told(tipped, fee_kinds={"Tip": "tip"}).lines[1].kind is LineKind.TIP


def test_taxes_rounded_at_the_subtotal_are_shared_out_by_largest_remainder() -> None:
    taxes = [{"id": 3, "total": "0.124", "subtotal": "0.124"}]
    lines = [line("1.55", id=i, total_tax="0.12", subtotal_tax="0.12", taxes=taxes) for i in range(4)]
    tax_lines = [{"rate_id": 3, "rate_code": "NL-X-1", "tax_total": "0.50", "shipping_tax_total": "0"}]
    made = told(order(*lines, total="6.70", total_tax="0.50", tax_lines=tax_lines))
    assert [tax.amount for one in made.lines for tax in one.taxes] == [
        Decimal(x) for x in ("0.13", "0.13", "0.12", "0.12")
    ]
    assert {tax.code for one in made.lines for tax in one.taxes} == {"NL-X-1"}


def test_taxes_that_are_more_than_rounding_apart_are_raised_not_mended() -> None:
    taxed = line("10.00", total_tax="1.00", taxes=[{"id": 3, "total": "1.00"}])
    tax_lines = [{"rate_id": 3, "rate_code": "X", "tax_total": "2.00", "shipping_tax_total": "0"}]
    wrong = order(taxed, total="12.00", total_tax="2.00", tax_lines=tax_lines)
    assert codes_of(read(wrong)[0].events) == ["total_mismatch", "tax_mismatch"]


def test_prices_with_tax_come_to_what_the_customer_paid() -> None:
    """Each of 8.26 and 1.73 is rounded; together they are the 9.99 on the price tag, three times over."""
    lines = [
        line("8.26", id=i, subtotal_tax="1.73", total_tax="1.73", taxes=[{"id": 3, "total": "1.733802"}])
        for i in range(3)
    ]
    tax_lines = [{"rate_id": 3, "rate_code": "X", "rate_percent": 21, "tax_total": "5.20", "shipping_tax_total": ""}]
    made = told(order(*lines, total="29.97", total_tax="5.20", tax_lines=tax_lines, prices_include_tax=True))
    assert made.tax_included
    assert {one.amount for one in made.lines} == {Decimal("9.99")}
    assert sum(tax.amount for one in made.lines for tax in one.taxes) == Decimal("5.20")
    assert made.lines[0].taxes[0].rate == Decimal("0.21")


def test_a_price_is_never_a_float() -> None:
    noisy = b'{"id":5,"status":"completed","currency":"USD","date_created_gmt":"2026-03-02T10:00:00","total":32.40,'
    noisy += (
        b'"line_items":[{"id":1,"product_id":7,"quantity":3,"total":"32.40","price":10.799999999999999,"sku":4711}]}'
    )
    made = told(noisy)
    assert (made.total, made.lines[0].unit_price, made.lines[0].sku) == (Decimal("32.40"), Decimal("10.80"), "4711")


def test_quantities_may_be_fractions_and_prices_need_not_come_out_even() -> None:
    made = told(order(line("10.00", quantity="1.5"), total="10.00"))
    assert (made.lines[0].quantity, made.lines[0].unit_price) == (Decimal("1.5"), Decimal("6.666667"))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"sku": "A/B;C|D"}, "A%2FB%3BC%7CD"),
        ({"sku": ""}, "product:30"),
        ({"sku": None, "variation_id": 31}, "variation:31"),
        ({"sku": "x" * 90}, "x" * 55 + "~"),
    ],
)
def test_product_codes(fields: dict[str, Any], code: str) -> None:
    made = told(order(line(**fields))).lines[0].sku
    assert made.startswith(code)
    assert len(made) <= 64


def test_gift_cards_are_tenders_and_their_codes_stay_at_the_shop() -> None:
    cards = [{"id": 1, "code": "ABCD-EFGH-1234", "amount": 6}]
    made = told(order(total="4.00", gift_cards=cards))
    assert made.total == 10
    assert [(t.type, t.amount, t.reference) for t in made.tenders] == [("gift_card", 6, "…1234"), ("stripe", 4, None)]
    assert "ABCD" not in repr(made)


def test_a_gift_card_sold_and_a_deposit_are_no_revenue() -> None:
    card = line(meta_data=[{"key": "wc_gc_giftcard_amount", "value": "10"}])
    part = line(meta_data=[{"key": "_is_deposit", "value": "yes"}])
    made = told(order(card, part, total="20.00"))
    assert [one.kind for one in made.lines] == [LineKind.GIFT_CARD, LineKind.DEPOSIT]


@pytest.mark.parametrize("status", ["pending", "on-hold", "failed", "auto-draft", "checkout-draft", "trash"])
def test_what_is_not_sold_is_ignored_and_says_why(status: str) -> None:
    [record] = read(order(status=status, date_paid_gmt=None))
    assert not record.events
    assert status in record.ignored or "trash" in record.ignored


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_what_was_sold_and_is_cancelled_takes_the_sales_place(status: str) -> None:
    sale, gone = read(order())[0].events[0], read(order(status=status))[0].events[0]
    assert gone.data.kind is Kind.CANCELLED
    assert (gone.entity, gone.data.base_key) == (sale.entity, sale.data.base_key)
    assert gone.version > sale.version, "within one second the way of statuses decides"


def test_a_status_of_a_plugin_is_raised_until_a_setting_names_it() -> None:
    shipped = order(status="shipped")
    trouble = read(shipped)[0].troubles[0]
    assert (trouble.code, trouble.pointer, trouble.amount) == ("schema_drift", "/status", 10)
    assert told(shipped, sale_statuses=["shipped"]).kind is Kind.SALE


def test_a_later_change_has_a_higher_version() -> None:
    older, newer = read(order()), read(order(date_modified_gmt="2026-03-02T23:31:01"))
    assert newer[0].events[0].version > older[0].events[0].version
    assert newer[0].events[0].entity == older[0].events[0].entity == "order:5"


def test_an_order_keeps_its_total_and_names_its_refunds() -> None:
    refunded = order(
        status="refunded", refunds=[{"id": 8, "reason": "", "total": "-10.00"}, {"id": 0, "total": "-0.00"}]
    )
    sale, reference, deleted = read(refunded)
    assert sale.events[0].data.total == 10
    assert "fetched by pull" in reference.ignored
    assert "deleted" in deleted.ignored


def test_a_refund_that_cannot_be_fetched_is_raised() -> None:
    refunded = order(refunds=[{"id": 8, "total": "-4.00"}])
    trouble = read(refunded, webhook_secret="s")[1].troubles[0]
    assert (trouble.amount, trouble.currency) == (-4, "EUR")
    assert "consumer_key" in trouble.message


def refund(**more: Any) -> dict[str, Any]:
    back = line("-10.00", quantity=-1, price=10)
    made = {"id": 8, "date_created_gmt": "2026-03-05T10:00:00", "amount": "10.00", "refunded_payment": True}
    return {**made, "line_items": [back], **more}


def test_a_refund_with_its_order_is_a_return_that_names_its_original() -> None:
    made = told({"order": order(prices_include_tax=True, customer_id=7), "refunds": [refund()]}, register="1")
    assert (made.kind, made.total, made.order, made.customer) == (Kind.RETURN, -10, "5", "customer:7")
    assert made.original is not None
    assert made.original.key == "woocommerce/1/2026-03-02/5"
    assert [(one.quantity, one.unit_price, one.amount) for one in made.lines] == [(-1, 10, -10)]
    assert [(t.type, t.amount) for t in made.tenders] == [("stripe", -10)]


def test_a_refund_alone_knows_its_order_by_parent_or_links_and_needs_a_currency() -> None:
    up = {"_links": {"up": [{"href": "https://shop.example/wp-json/wc/v3/orders/560"}]}}
    assert told(refund(**up), currency="EUR").order == "560"
    assert told(refund(parent_id=5), currency="EUR").order == "5"
    assert read(refund())[0].troubles[0].pointer == "/currency"


def test_a_refund_read_with_its_order_takes_the_place_of_the_same_read_alone() -> None:
    alone = read(refund(), currency="EUR")[0].events[0]
    full = read({"order": order(), "refunds": [refund()]})[0].events[0]
    assert alone.entity == full.entity
    assert alone.version < full.version
    assert alone.data.key == full.data.key


def test_money_back_without_lines_moves_no_stock() -> None:
    made = told(refund(line_items=[], refunded_payment=False), currency="EUR")
    assert [(one.kind, one.amount, one.moves_stock) for one in made.lines] == [(LineKind.CHARGE, -10, False)]
    assert made.tenders[0].type == "manual"


def test_a_refund_of_money_only_has_quantity_zero() -> None:
    made = told(refund(amount="4.00", line_items=[line("-4.00", quantity=0)]), currency="EUR")
    assert made.lines[0].quantity == 0


def test_a_refund_whose_lines_are_another_amount_is_raised() -> None:
    assert outcome(read(refund(amount="12.00"), currency="EUR")[0]) == "raised total_mismatch"


def test_shipping_comes_back_with_its_tax() -> None:
    shipping = [
        {
            "id": 9,
            "method_id": "flat_rate",
            "total": "-7.00",
            "total_tax": "-0.62",
            "taxes": [{"id": 1, "total": "-0.62"}],
        }
    ]
    made = told(refund(amount="17.62", shipping_lines=shipping), currency="EUR")
    assert made.lines[1].taxes[0].amount == Decimal("-0.62")


@pytest.mark.parametrize(("currency", "symbol"), [("AED", "د.إ"), ("JPY", "¥"), ("USD", "&#36;")])
def test_the_currency_is_its_code(currency: str, symbol: str) -> None:
    assert told(order(currency=currency, currency_symbol=symbol)).currency == currency


def test_more_decimals_than_the_currency_has_are_raised() -> None:
    fine = order(line("10.005"), total="10.005")
    assert outcome(read(fine)[0]) == "raised precision_invalid"


def test_no_personal_data_gets_into_events() -> None:
    person = {
        "first_name": "Ada",
        "last_name": "Lovelace",
        "email": "ada@example.org",
        "phone": "555",
        "address_1": "Street 1",
    }
    private = order(
        billing=person, shipping=person, customer_note="ring Ada", customer_ip_address="192.0.2.1", customer_id=3
    )
    event = read(private)[0].events[0]
    for secret in ("Ada", "Lovelace", "ada@", "Street", "192.0.2.1"):
        assert secret not in repr(event)
    assert event.data.customer == "customer:3"


PRODUCT = {
    "id": 30,
    "name": "Lamp",
    "type": "simple",
    "status": "publish",
    "sku": "LAMP",
    "manage_stock": True,
    "stock_quantity": 16.5,
    "categories": [{"id": 1, "name": "Light", "slug": "light"}],
    "date_modified_gmt": "2026-03-02T10:00:00",
    "sale_price": "",
    "on_sale": True,
}


def test_a_product_is_a_record_and_its_stock_a_level() -> None:
    record, level = (event.data for event in read(PRODUCT, "product.updated", stock_store="DC")[0].events)
    assert isinstance(record, ProductRecord)
    assert isinstance(level, StockLevel)
    assert (record.sku, record.product_class, record.revision) == ("LAMP", "light", 1772445600)
    assert (level.store, level.sku, level.quantity) == ("DC", "LAMP", Decimal("16.5"))


def test_a_price_is_what_the_shop_charges_now() -> None:
    priced = {**PRODUCT, "price": "12.50", "regular_price": "15", "date_created_gmt": "2026-01-01T00:30:00"}
    assert len(read(priced)[0].events) == 2, "no currency, no price"
    settings = {"currency": "EUR", "time_zone": "Europe/Amsterdam", "prices_include_tax": True}
    price = read(priced, **settings)[0].events[2].data
    assert (price.sku, price.amount, price.currency, price.store) == ("LAMP", Decimal("12.50"), "EUR", "woocommerce")
    assert (price.effective_from.isoformat(), price.tax_included) == ("2026-01-01T01:30:00", True)
    assert len(read({**priced, "price": ""}, **settings)[0].events) == 2


@pytest.mark.parametrize("manage", [False, "parent", None, ""])
def test_stock_that_is_not_managed_here_is_no_level(manage: Any) -> None:
    assert len(read({**PRODUCT, "manage_stock": manage})[0].events) == 1


def test_a_variation_is_named_with_its_options_and_a_gtin_must_be_one() -> None:
    options = [{"id": 1, "name": "Size", "option": "Large"}]
    variation = {**PRODUCT, "type": "variation", "sku": "", "attributes": options, "global_unique_id": "4006381333931"}
    record = read(variation)[0].events[0].data
    assert (record.sku, record.name, record.gtins) == ("variation:30", "Lamp - Large", ("4006381333931",))
    assert read({**PRODUCT, "global_unique_id": "4006381333932"})[0].events[0].data.gtins == ()


@pytest.mark.parametrize(
    ("payload", "topic", "why"),
    [
        ({"id": 5}, "order.deleted", "deleted"),
        ({"id": 30}, "product.deleted", "deleted"),
        ({"id": 9, "email": "a@b.example"}, "customer.updated", "personal"),
        ({"id": 9, "code": "ten"}, "coupon.created", "coupons"),
        ({"action": "woocommerce_order_refunded", "arg": 5}, "action.woocommerce_order_refunded", "pull"),
        ({"data": []}, "", "empty"),
        ([], "", "empty"),
        ({"order": order(), "refunds": []}, "", "no refunds"),
    ],
)
def test_what_makes_no_event_says_why(payload: Any, topic: str, why: str) -> None:
    [record] = read(payload, topic)
    assert why in record.ignored


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"total": "ten"}, "/total"),
        ({"total": None}, "/total"),
        ({"id": "x"}, "/id"),
        ({"currency": "Euro"}, "/currency"),
        ({"line_items": "none"}, "/line_items"),
        ({"line_items": [{**ITEM, "total": "1.00", "quantity": None}]}, "/line_items/0/quantity"),
        ({"date_created_gmt": "yesterday"}, "/date_created_gmt"),
        ({"date_created_gmt": None, "date_paid_gmt": None}, "/date_created_gmt"),
        ({"total": "1e400"}, "/total"),
        ({"id": 2**70}, "/id"),
    ],
)
def test_a_field_that_is_not_as_the_contract_says_is_named(change: dict[str, Any], pointer: str) -> None:
    [record] = read(order(**change))
    assert [(trouble.code, trouble.pointer) for trouble in record.troubles] == [("schema_drift", pointer)]
    assert not record.events


def test_one_bad_order_of_a_page_holds_back_none_of_the_others() -> None:
    first, bad, last = read([order(), order(id=6, total="x"), order(id=7)])
    assert first.events
    assert bad.troubles
    assert last.events


@pytest.mark.parametrize(
    "body", [b"", b"  ", b"{", b"[{}", b'{"id": NaN}', b"\xff\xfe{}", b"[" * 5000, b"<html>", b'{"a":1} x']
)
def test_what_is_no_json_has_a_place(body: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        read(body)
    assert caught.value.place


def test_lists_within_lists_end() -> None:
    assert outcome(read([[[[[[order()]]]]]])[0]) == "raised schema_drift"


def test_json_lines_are_read_line_by_line() -> None:
    lines = b"\xef\xbb\xbf" + b"\n".join(json.dumps(order(id=number)).encode() for number in (1, 2, 3)) + b"\n\n"
    assert [record.events[0].data.sequence for record in read(lines)] == [1, 2, 3]


def test_every_record_can_be_read_alone() -> None:
    for example in SPEC.examples:
        connector = SPEC.configure(example.settings, of=example.file)
        body = (examples_folder(SPEC) / example.file).read_bytes()
        for record in connector.read(body_source(body, example.topic)):
            again = list(connector.read(body_source(record.raw, example.topic)))
            assert tuple(event for one in again for event in one.events) == record.events
            assert (again[0].ignored, again[0].troubles) == (record.ignored, record.troubles)


@pytest.mark.parametrize("example", SPEC.examples, ids=lambda one: one.file)
def test_examples_come_to_what_they_say(example: Any) -> None:
    body = (examples_folder(SPEC) / example.file).read_bytes()
    found = list(SPEC.configure(example.settings, of="test").read(body_source(body, example.topic)))
    codes = {trouble.code for record in found for trouble in record.troubles}
    codes |= {code for record in found for code in codes_of(record.events)}
    assert codes == set(example.codes)
    assert sold(found) == claimed(found)
    assert all(record.events or record.troubles or record.ignored for record in found)


# ---------------------------------------------------------------- webhooks


def shop(**settings: Any) -> WooCommerceConnector:
    connector = SPEC.configure(settings, of="test")
    assert isinstance(connector, WooCommerceConnector)
    return connector


def test_a_signature_is_over_the_raw_bytes_and_two_secrets_are_good() -> None:
    connector, body = shop(webhook_secret="new", old_webhook_secret="old"), json.dumps(order()).encode()
    for secret in ("new", "old"):
        headers = {
            "x-wc-webhook-signature": signature(body, secret),
            "x-wc-webhook-topic": "order.updated",
            "x-wc-webhook-delivery-id": "d1",
            "x-wc-webhook-source": "https://shop.example/",
        }
        delivery = connector.verify(headers, body)
        assert (delivery.body, delivery.topic, delivery.key) == (body, "order.updated", "d1")
        assert "x-wc-webhook-signature" not in delivery.headers
        with pytest.raises(AuthenticationError):
            connector.verify(headers, body + b" ")


def test_the_signature_is_the_one_of_the_contract() -> None:
    assert signature(b"payload", "key") == "XZi0XJCiB/qZjOY5/qbwLsyMw/Nv74HWlPuFa00KKMo="


@pytest.mark.parametrize("headers", [{}, {"x-wc-webhook-signature": ""}, {"x-wc-webhook-signature": "é"}])
def test_without_its_signature_nothing_is_taken(headers: dict[str, str]) -> None:
    with pytest.raises(AuthenticationError):
        shop(webhook_secret="s").verify(headers, b"{}")


def test_without_a_secret_nothing_is_taken() -> None:
    with pytest.raises(AuthenticationError, match="webhook_secret"):
        shop().verify({"x-wc-webhook-signature": signature(b"{}", "")}, b"{}")


def test_the_unsigned_ping_is_taken_and_is_nothing_else() -> None:
    delivery = shop(webhook_secret="s").verify({}, b"webhook_id=17")
    assert delivery.topic == "ping"
    assert "ping" in read(delivery.body, delivery.topic)[0].ignored
    with pytest.raises(AuthenticationError):
        shop(webhook_secret="s").verify({}, b"webhook_id=17&x=1")


@pytest.mark.parametrize(
    "settings",
    [{"time_zone": "Mars/Olympus"}, {"currency": "euro"}, {"page_size": 1000}, {"shop": "x"}, {"store": ""}],
)
def test_wrong_settings_are_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        shop(**settings)


def test_keys_are_not_sent_in_clear() -> None:
    with pytest.raises(ConfigurationError, match="https"):
        shop(url="http://shop.example", consumer_key="k", consumer_secret="s").pull({}, lambda _, __: None)
