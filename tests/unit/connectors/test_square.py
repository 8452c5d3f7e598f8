"""Square's own ways, one test each, on orders written here from the public contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import httpx2
import pytest
import stamina
from knowing import claimed, codes_of, outcome, sold

from tillwire.connectors.inbound import Delivery, MalformedError, Record, body_source
from tillwire.connectors.registry import examples_folder
from tillwire.connectors.square import SPEC, SquareSettings
from tillwire.connectors.square.connector import SquareConnector, signature
from tillwire.errors import AuthenticationError, ConfigurationError, RateLimitedError, TransientError
from tillwire.model.transaction import Kind, LineKind, Transaction


@pytest.fixture(autouse=True)
def _no_waiting() -> Any:
    stamina.set_testing(True, attempts=2)
    yield
    stamina.set_testing(False)


def usd(units: int, currency: str = "USD") -> dict[str, Any]:
    return {"amount": units, "currency": currency}


def item(total: int = 500, quantity: str = "1", **more: Any) -> dict[str, Any]:
    return {"uid": "a", "name": "Tea", "quantity": quantity, "total_money": usd(total), **more}


def order(*items: dict[str, Any], total: int = 500, **more: Any) -> dict[str, Any]:
    made = {
        "id": "O1",
        "location_id": "L1",
        "state": "COMPLETED",
        "version": 3,
        "created_at": "2026-03-03T03:00:00Z",
        "closed_at": "2026-03-03T03:01:00.123Z",
        "line_items": list(items) or [item()],
        "total_money": usd(total),
        "tenders": [{"id": "T1", "type": "CARD", "amount_money": usd(total)}] if total > 0 else [],
    }
    return {**made, **more}


def read(payload: Any, topic: str = "", **settings: Any) -> list[Record]:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return list(SPEC.configure(settings, of="test").read(body_source(body, topic)))


def told(payload: Any, **settings: Any) -> Transaction:
    found = read(payload, **settings)
    assert [outcome(record) for record in found] == ["mapped"]
    assert sold(found) == claimed(found)
    message = found[0].events[0].data
    assert isinstance(message, Transaction)
    return message


def test_a_location_is_a_store_with_its_zone() -> None:
    made = told({"order": order()}, locations={"L1": "12"}, time_zones={"12": "America/New_York"})
    assert (made.store, made.register, made.business_date) == ("12", "square", date(2026, 3, 2))
    assert told({"order": order()}).store == "L1"


def test_an_order_has_one_number_for_ever_and_its_own_version() -> None:
    first, later = read({"order": order()})[0].events[0], read({"order": order(version=4)})[0].events[0]
    assert first.data.sequence == later.data.sequence
    assert (first.entity, first.version, later.version) == ("order:O1", 3, 4)
    assert read({"order": order(id="O2")})[0].events[0].data.sequence != first.data.sequence


@pytest.mark.parametrize(("currency", "total"), [("USD", "5.00"), ("JPY", "500"), ("KWD", "0.500")])
def test_minor_units_are_the_currencys(currency: str, total: str) -> None:
    in_it = order(item(total_money=usd(500, currency)), total_money=usd(500, currency), tenders=[])
    assert read({"order": in_it})[0].events[0].data.total == Decimal(total)


@pytest.mark.parametrize("units", [5.5, "five", 10**16, None, True])
def test_money_that_is_no_whole_number_of_units_is_named(units: Any) -> None:
    [record] = read({"order": order(total_money={"amount": units, "currency": "USD"})})
    if units is None:
        assert outcome(record).startswith("raised total_mismatch")
    else:
        assert record.troubles[0].pointer == "/order/total_money/amount"


def test_two_currencies_in_one_order_are_raised() -> None:
    trouble = read({"order": order(item(total_money=usd(500, "CAD")))})[0].troubles[0]
    assert trouble.pointer == "/order/line_items/0/total_money/currency"


def test_taxes_and_discounts_are_those_applied_to_the_line() -> None:
    made = told(
        {
            "order": order(
                item(
                    979,
                    "2",
                    total_tax_money=usd(79),
                    total_discount_money=usd(100),
                    applied_taxes=[{"tax_uid": "t", "applied_money": usd(79)}],
                    applied_discounts=[{"discount_uid": "d", "applied_money": usd(100)}],
                ),
                total=979,
                total_tax_money=usd(79),
                total_discount_money=usd(100),
                taxes=[{"uid": "t", "name": "City", "type": "ADDITIVE", "percentage": "8.75"}],
                discounts=[{"uid": "d", "name": "Friends"}],
            )
        }
    )
    [line] = made.lines
    assert (line.quantity, line.unit_price, line.amount) == (2, 5, 9)
    assert [(t.code, t.amount, t.rate) for t in line.taxes] == [("City", Decimal("0.79"), Decimal("0.0875"))]
    assert [(d.amount, d.promotion) for d in line.discounts] == [(1, "Friends")]


@pytest.mark.parametrize("gross", [500, 455])
def test_inclusive_taxes_are_in_the_price_whatever_gross_says(gross: int) -> None:
    """In some countries gross_sales_money leaves the tax out, in others not."""
    inclusive = order(
        item(
            gross_sales_money=usd(gross),
            total_tax_money=usd(45),
            applied_taxes=[{"tax_uid": "t", "applied_money": usd(45)}],
        ),
        total_tax_money=usd(45),
        taxes=[{"uid": "t", "name": "VAT", "type": "INCLUSIVE", "percentage": "10"}],
    )
    made = told({"order": inclusive})
    assert made.tax_included
    assert (made.lines[0].unit_price, made.lines[0].amount) == (5, 5)


def test_mixed_taxes_are_told_without_tax() -> None:
    taxes = [{"uid": "i", "name": "VAT", "type": "INCLUSIVE"}, {"uid": "a", "name": "City", "type": "ADDITIVE"}]
    first = item(500, total_tax_money=usd(45), applied_taxes=[{"tax_uid": "i", "applied_money": usd(45)}])
    other = item(550, total_tax_money=usd(50), applied_taxes=[{"tax_uid": "a", "applied_money": usd(50)}])
    made = told({"order": order(first, other, total=1050, total_tax_money=usd(95), taxes=taxes)})
    assert not made.tax_included
    assert [line.amount for line in made.lines] == [Decimal("4.55"), 5]


def test_tips_service_charges_and_roundings() -> None:
    made = told(
        {
            "order": order(
                total=822,
                total_tip_money=usd(100),
                service_charges=[
                    {
                        "uid": "s",
                        "name": "Delivery",
                        "applied_money": usd(200),
                        "total_money": usd(220),
                        "total_tax_money": usd(20),
                        "applied_taxes": [{"tax_uid": "t", "applied_money": usd(20)}],
                    }
                ],
                taxes=[{"uid": "t", "name": "City", "type": "ADDITIVE"}],
                total_tax_money=usd(20),
                rounding_adjustment={"amount_money": usd(2)},
            )
        }
    )
    assert [(line.kind, line.amount) for line in made.lines] == [
        (LineKind.ITEM, 5),
        (LineKind.CHARGE, 2),
        (LineKind.TIP, 1),
    ]
    assert made.rounding == Decimal("0.02")


def test_an_apportioned_service_charge_counts_once() -> None:
    charge = {"uid": "s", "applied_money": usd(50), "treatment_type": "APPORTIONED_TREATMENT", "type": "AUTO_GRATUITY"}
    made = told({"order": order(item(550, total_service_charge_money=usd(50)), total=550, service_charges=[charge])})
    assert [(line.kind, line.amount) for line in made.lines] == [(LineKind.ITEM, 5), (LineKind.TIP, Decimal("0.5"))]


def test_change_is_negative_cash() -> None:
    cash = {"buyer_tendered_money": usd(1000), "change_back_money": usd(500)}
    paid = order(tenders=[{"id": "T", "type": "CASH", "amount_money": usd(500), "cash_details": cash}])
    assert [(t.type, t.amount, t.change) for t in told({"order": paid}).tenders] == [
        ("cash", 10, False),
        ("cash", -5, True),
    ]


def test_products_by_sku_catalog_or_name() -> None:
    lines = order(item(), item(catalog_object_id="C1"), item(catalog_object_id="C2"), total=1500)
    assert [line.sku for line in told({"order": lines}, skus={"C2": "TEA-2"}).lines] == [
        "item:Tea",
        "catalog:C1",
        "TEA-2",
    ]


def test_a_gift_card_is_no_revenue_and_a_weighed_item_has_its_unit() -> None:
    unit = {"measurement_unit": {"weight_unit": "IMPERIAL_POUND"}, "precision": 3}
    made = told({"order": order(item(item_type="GIFT_CARD"), item(quantity="1.250", quantity_unit=unit), total=1000)})
    assert [(line.kind, line.unit) for line in made.lines] == [(LineKind.GIFT_CARD, "EA"), (LineKind.ITEM, "POUND")]


BACK = {"source_order_id": "O1", "return_line_items": [item(500)]}


def returning(*refunds: dict[str, Any], items: Any = (), net: int = -500) -> dict[str, Any]:
    given = {"id": "R1", "amount_money": usd(500), "status": "APPROVED", "created_at": "2026-03-04T10:00:00Z"}
    made = order(total=0, id="O9", returns=[BACK], refunds=list(refunds) or [given])
    return {**made, "line_items": list(items), "net_amounts": {"total_money": usd(net)}, "tenders": []}


def test_a_return_names_the_order_it_takes_back() -> None:
    made = told({"order": returning()})
    assert (made.kind, made.total, made.order, made.business_date) == (Kind.RETURN, -5, "O1", date(2026, 3, 4))
    assert (made.lines[0].quantity, made.lines[0].unit_price, made.lines[0].amount) == (-1, 5, -5)


def test_a_refund_and_the_order_that_details_it_are_one_return() -> None:
    refund = {"id": "R1", "status": "COMPLETED", "amount_money": usd(500), "payment_id": "P1", "order_id": "O9"}
    alone = read({"refund": {**refund, "location_id": "L1", "created_at": "2026-03-04T10:00:00Z"}})[0].events[0]
    full = read({"order": returning()})[0].events[0]
    assert alone.entity == full.entity == "refund:R1"
    assert alone.data.base_key == full.data.base_key
    assert alone.version < full.version


def test_further_refunds_of_a_return_do_not_count_again() -> None:
    two = [
        {"id": f"R{i}", "amount_money": usd(250), "status": "APPROVED", "created_at": "2026-03-04T10:00:00Z"}
        for i in (1, 2)
    ]
    [record] = read({"order": returning(*two)})
    first, second = record.events
    assert (first.data.total, second.data.kind, second.data.total) == (-5, Kind.CANCELLED, 0)
    assert second.entity == "refund:R2"
    assert sold([record]) == claimed([record])


def test_an_exchange_is_one_transaction() -> None:
    made = read({"order": {**returning(items=[item(500)], net=0), "refunds": []}})
    assert [outcome(record) for record in made] == ["mapped"]
    assert made[0].events[0].data.kind is Kind.EXCHANGE
    assert sold(made) == claimed(made) == {"USD": 0}


def test_a_cancelled_order_takes_the_sales_place_and_an_open_one_is_ignored() -> None:
    gone = read({"order": order(state="CANCELED", version=5)})[0].events[0]
    assert (gone.data.kind, gone.entity) == (Kind.CANCELLED, "order:O1")
    assert "not a sale yet" in read({"order": order(state="OPEN")})[0].ignored
    assert read({"order": order(state="LOST")})[0].troubles[0].pointer == "/order/state"


PAYMENT = {
    "id": "P1",
    "status": "COMPLETED",
    "source_type": "CARD",
    "location_id": "L1",
    "created_at": "2026-03-03T03:00:00Z",
    "amount_money": usd(1000),
    "tip_money": usd(150),
    "total_money": usd(1150),
    "card_details": {"card": {"last_4": "1111", "cardholder_name": "ADA LOVELACE"}},
    "buyer_email_address": "ada@example.org",
}


def test_a_payment_without_an_order_is_a_sale() -> None:
    made = told({"payment": PAYMENT})
    assert (made.total, [line.sku for line in made.lines]) == (Decimal("11.50"), ["custom-amount", "tip"])
    assert "ADA" not in repr(made)
    assert "1111" not in repr(made)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ({"payment": {**PAYMENT, "order_id": "O1"}}, "whose tender it is"),
        ({"payment": {**PAYMENT, "status": "APPROVED"}}, "no money has moved"),
        ({"payout": {"id": "po"}}, "settlement"),
        ({"disputes": [{"id": "d"}]}, "settlement"),
        ({"gift_card_activities": [{"id": "g"}]}, "orders"),
        ({"orders": []}, "nothing has happened"),
        ({"cursor": "x"}, "nothing has happened"),
        ({"order_entries": [{"order_id": "O1"}]}, "fetched by pull"),
        (
            {"type": "order.created", "event_id": "e", "data": {"object": {"order_created": {"order_id": "O"}}}},
            "by pull",
        ),
        ({"type": "catalog.version.updated", "event_id": "e", "data": {"object": {"catalog_version": {}}}}, "not read"),
        ({"type": "payment.deleted", "event_id": "e", "data": {"id": "x", "deleted": True}}, "stays"),
    ],
)
def test_what_makes_no_event_says_why(payload: Any, why: str) -> None:
    [record] = read(payload)
    assert why in record.ignored


@pytest.mark.parametrize("payload", [{"errors": [{"code": "NOT_FOUND"}]}, {"x": 1}, 5, {"event_id": "e", "data": {}}])
def test_what_is_not_known_is_raised(payload: Any) -> None:
    assert [trouble.code for record in read(payload) for trouble in record.troubles] == ["schema_drift"]


@pytest.mark.parametrize("body", [b"", b"{", b'{"order":', b'{"amount": Infinity}', b"\xff{}"])
def test_what_is_no_json_has_a_place(body: bytes) -> None:
    with pytest.raises(MalformedError):
        read(body)


@pytest.mark.parametrize("example", SPEC.examples, ids=lambda one: one.file)
def test_examples_come_to_what_they_say_and_records_can_be_read_alone(example: Any) -> None:
    body = (examples_folder(SPEC) / example.file).read_bytes()
    connector = SPEC.configure(example.settings, of="test")
    found = list(connector.read(body_source(body, example.topic)))
    codes = {trouble.code for record in found for trouble in record.troubles}
    codes |= {code for record in found for code in codes_of(record.events)}
    assert codes == set(example.codes)
    assert sold(found) == claimed(found)
    for record in found:
        [again] = connector.read(body_source(record.raw, example.topic))
        assert (again.events, again.ignored, again.troubles) == (record.events, record.ignored, record.troubles)


# ---------------------------------------------------------------- webhooks and pull

URL = "https://hub.example/v1/connections/square"


def test_a_signature_is_over_url_and_bytes_and_two_keys_are_good() -> None:
    settings = {"signature_key": "new", "old_signature_key": "old", "notification_url": URL}
    connector = SPEC.configure(settings, of="test")
    body = json.dumps({"event_id": "e1", "type": "order.updated", "data": {}}).encode()
    for key in ("new", "old"):
        headers = {"x-square-hmacsha256-signature": signature(URL, body, key)}
        delivery = connector.verify(headers, body)
        assert (delivery.key, delivery.topic) == ("e1", "order.updated")
        with pytest.raises(AuthenticationError):
            connector.verify(headers, body + b"\n")
    for other in ({}, {"x-square-hmacsha256-signature": signature(URL + "/", body, "new")}):
        with pytest.raises(AuthenticationError):
            connector.verify(other, body)


def test_a_signed_body_that_is_no_json_is_stored_to_be_judged() -> None:
    connector = SPEC.configure({"signature_key": "k", "notification_url": URL}, of="test")
    headers = {"x-square-hmacsha256-signature": signature(URL, b"{", "k")}
    assert connector.verify(headers, b"{").key == ""


class Far:
    """Square, as far as pull needs it: two pages of orders, answers prepared one by one."""

    def __init__(self, *troubles: httpx2.Response | Exception) -> None:
        self.troubles = list(troubles)
        self.asked: list[tuple[str, Any]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        sent = json.loads(request.content) if request.content else dict(request.url.params)
        self.asked.append((request.url.path, sent))
        assert request.headers["authorization"] == "Bearer token"
        if self.troubles:
            trouble = self.troubles.pop(0)
            if isinstance(trouble, Exception):
                raise trouble
            return trouble
        headers = {"date": "Tue, 03 Mar 2026 12:00:00 GMT"}
        if request.url.path.endswith("/orders/search"):
            if sent.get("cursor") == "next":
                return httpx2.Response(200, json={"orders": [order(id="O2")]}, headers=headers)
            return httpx2.Response(200, json={"orders": [order()], "cursor": "next"}, headers=headers)
        kind = request.url.path.rpartition("/")[2]
        return httpx2.Response(200, json={kind: [PAYMENT] if kind == "payments" else []}, headers=headers)


class Kept:
    """What pull delivered, and the state that came with it."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.state: Mapping[str, Any] = {}

    def __call__(self, deliveries: Any, state: Mapping[str, Any]) -> None:
        self.deliveries += deliveries
        self.state = json.loads(json.dumps(state))


def pulling(far: Far, **more: Any) -> SquareConnector:
    settings = {"access_token": "token", "locations": {"L1": "12"}, "overlap_s": 60, **more}
    settings = SPEC.configure(settings, of="test").settings
    assert isinstance(settings, SquareSettings)
    return SquareConnector(settings, transport=httpx2.MockTransport(far))


def test_pull_goes_through_pages_and_the_next_one_overlaps() -> None:
    far, kept = Far(), Kept()
    connector = pulling(far)
    assert connector.pull({}, kept) == 300
    assert [json.loads(d.body).popitem()[1]["id"] for d in kept.deliveries] == ["O1", "O2", "P1"]
    assert kept.state["orders:L1"] == {"after": "2026-03-03T11:59:00Z"}
    connector.pull(kept.state, kept)
    window = far.asked[4][1]["query"]["filter"]["date_time_filter"]["updated_at"]
    assert window == {"start_at": "2026-03-03T11:59:00Z"}


def test_pull_that_dies_goes_on_at_its_cursor() -> None:
    far, kept = Far(), Kept()
    pages = 0

    def dying(deliveries: Any, state: Mapping[str, Any]) -> None:
        nonlocal pages
        pages += 1
        if pages == 2:
            raise RuntimeError("killed")
        kept(deliveries, state)

    connector = pulling(far)
    with pytest.raises(RuntimeError):
        connector.pull({}, dying)
    connector.pull(kept.state, kept)
    assert far.asked[2][1]["cursor"] == "next"
    assert [json.loads(d.body).popitem()[1]["id"] for d in kept.deliveries] == ["O1", "O2", "P1"]


def test_a_cursor_that_has_expired_begins_anew() -> None:
    far, kept = Far(httpx2.Response(400, json={"errors": [{"code": "INVALID_CURSOR"}]})), Kept()
    pulling(far).pull({"orders:L1": {"after": "2026-03-01T00:00:00Z", "cursor": "old"}}, kept)
    assert len(kept.deliveries) == 3


@pytest.mark.parametrize(
    ("answer", "error", "wait_s"),
    [
        (httpx2.Response(429, headers={"retry-after": "77"}), RateLimitedError, 77),
        (httpx2.Response(429), RateLimitedError, 30),
        (httpx2.Response(401), AuthenticationError, None),
        (httpx2.Response(302, headers={"location": "https://x.example"}), ConfigurationError, None),
    ],
)
def test_refusals_are_sorted(answer: httpx2.Response, error: type[Exception], wait_s: float | None) -> None:
    with pytest.raises(error) as caught:
        pulling(Far(answer)).pull({}, Kept())
    if isinstance(caught.value, TransientError):
        assert caught.value.retry_after_s == wait_s


@pytest.mark.parametrize(
    "trouble",
    [
        httpx2.Response(503),
        httpx2.ConnectError("gone"),
        httpx2.Response(200, text="<html>"),
        httpx2.Response(200, text='{"orders": ['),
    ],
)
def test_what_may_pass_is_tried_again(trouble: Any) -> None:
    kept = Kept()
    pulling(Far(trouble)).pull({}, kept)
    assert len(kept.deliveries) == 3
