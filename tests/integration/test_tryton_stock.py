"""Stock documents in a real Tryton with the server-side module: what moved, once, between the right locations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tryton_journals import kinds, reasons, sales

from tillwire.connectors.erp import Posted, Rejected, Unknown
from tillwire.connectors.tryton import TrytonConnector
from tillwire.model.ledger import StockDocument, StockLine

if TYPE_CHECKING:
    from tryton_fixtures import Books

pytest_plugins = ("tryton_fixtures", "tryton_others")
pytestmark = pytest.mark.erp

Connect = Callable[..., TrytonConnector]
CREATE, DO = "model.stock.move.create", "model.stock.move.hub_do"
_numbers = count(1)


def line(sku: str, quantity: str, reason: str = "sale", *, unit: str = "EA", bucket: str = "on_hand") -> StockLine:
    return StockLine(sku=sku, quantity=Decimal(quantity), unit=unit, reason=reason, bucket=bucket)


def moved(*lines: StockLine, store: str = "S001", day: date = date(2017, 3, 1), **changes: Any) -> StockDocument:
    """A stock document with a reference of its own."""
    told: dict[str, Any] = {
        "reference": f"STOCK-{day}-{next(_numbers)}",
        "company": "TW",
        "store": store,
        "business_date": day,
        "description": f"Store {store}",
        "lines": lines or (line("MILK", "-2"), line("CHEESE", "-0.345", unit="kg")),
    }
    return StockDocument(**told | changes)


@pytest.fixture(scope="module")
def goods(group_books: Books) -> dict[str, int]:
    """Products, a store with its locations; the numbers of the locations by what they are."""
    call = group_books.call
    groups = [call("model.ir.model.data.get_id", *name) for name in (("product", "group_product_admin"), ("stock", "group_stock_admin"), ("stock", "group_stock_cancellation"))]  # fmt: skip
    call("model.res.user.write", [group_books.client.user_id], {"groups": [["add", groups]]})
    for code, unit in (("MILK", "u"), ("CHEESE", "kg")):
        (uom,) = call("model.product.uom.search", [["symbol", "=", unit]], 0, 1, None)
        if unit == "kg":
            call("model.product.uom.write", [uom], {"digits": 3, "rounding": Decimal("0.001")})
        template = {"name": code.title(), "default_uom": uom, "type": "goods"}
        call("model.product.template.create", [template | {"products": [["create", [{"suffix_code": code, "cost_price": Decimal("1.25")}]]]}])  # fmt: skip
    (warehouse,) = call("model.stock.location.search", [["type", "=", "warehouse"]], 0, 1, None)
    (row,) = call("model.stock.location.read", [warehouse], ["storage_location"])
    call("model.stock.location.write", [warehouse], {"code": "S001"})
    (broken, other) = call(
        "model.stock.location.create",
        [
            {"name": "Damaged", "code": "S001/unavailable", "type": "storage", "parent": row["storage_location"]},
            {"name": "Store 2", "code": "Z-2", "type": "storage"},
        ],
    )
    tops = call("model.stock.location.search_read", [["parent", "=", None]], 0, None, None, ["type"])
    found = {top["type"]: top["id"] for top in tops if top["type"] in ("customer", "supplier", "lost_found")}
    transit = call("model.ir.model.data.get_id", "stock", "location_transit")
    return found | {"store": row["storage_location"], "unavailable": broken, "other": other, "transit": transit}


def moves(books: Books, document: StockDocument) -> list[dict[str, Any]]:
    """The document's moves as Tryton has them."""
    fields = ["state", "from_location", "to_location", "quantity", "effective_date", "unit_price", "hub_reason"]
    domain = [["hub_reference", "=", document.reference]]
    rows: list[dict[str, Any]] = books.call("model.stock.move.search_read", domain, 0, None, [["id", "ASC"]], fields)
    return rows


def states(books: Books, document: StockDocument) -> list[str]:
    """The states of the document's moves."""
    return [move["state"] for move in moves(books, document)]


def test_every_reason_moves_goods_between_the_right_locations(
    of_group: Connect, group_books: Books, goods: dict[str, int]
) -> None:
    expected = [
        (line("MILK", "-2", "sale"), "store", "customer"),
        (line("MILK", "1", "return"), "customer", "store"),
        (line("MILK", "24", "receipt"), "supplier", "store"),
        (line("MILK", "-6", "transfer_shipped"), "store", "transit"),
        (line("MILK", "3", "transfer_received"), "transit", "store"),
        (line("MILK", "-1", "shrink"), "store", "lost_found"),
        (line("MILK", "-1", "damage"), "store", "lost_found"),
        (line("MILK", "1", "damage", bucket="unavailable"), "lost_found", "unavailable"),
        (line("MILK", "2", "found"), "lost_found", "store"),
        (line("CHEESE", "-0.125", "count", unit="kg"), "store", "lost_found"),
    ]
    document = moved(*(told for told, _, _ in expected), day=date(2017, 2, 3), posting_date=date(2017, 3, 2))
    connector = of_group()
    (outcome,) = connector.post([document])
    assert isinstance(outcome, Posted)
    rows = moves(group_books, document)
    assert [(row["from_location"], row["to_location"]) for row in rows] == [
        (goods[source], goods[target]) for _, source, target in expected
    ]
    assert {row["effective_date"] for row in rows} == {date(2017, 3, 2)}
    assert states(group_books, document) == ["done"] * 10
    assert {row["unit_price"] for row in rows[:3]} == {Decimal("1.25")}
    found = connector.read_back([document.reference, "nothing"], "stock")
    assert found[document.reference].goods == document.lines
    assert (found[document.reference].document_id, found[document.reference].number) == (
        outcome.document_id,
        outcome.number,
    )
    assert found.keys() == {document.reference}


def test_stock_and_journals_go_in_one_call_of_the_connector(of_group: Connect, group_books: Books, goods: Any) -> None:
    documents = [moved(), sales(), moved(line("NOTHING", "1")), sales(account="9999"), moved()]
    outcomes = of_group().post(documents)
    assert kinds(outcomes) == [Posted, Posted, Rejected, Rejected, Posted]
    assert [outcome.reference for outcome in outcomes] == [document.reference for document in documents]


@pytest.mark.parametrize("method", [CREATE, DO])
def test_a_lost_reply_is_found_and_finished(
    of_group: Connect, group_proxy: Any, group_books: Books, goods: Any, method: str
) -> None:
    documents = [moved(), moved()]
    connector = of_group()
    group_proxy.inject_next("lose_reply", method)
    assert kinds(connector.post(documents)) == [Unknown] * 2
    found = connector.find([document.reference for document in documents], "stock")
    assert {document.posted for document in found.values()} == {method == DO}
    assert kinds(connector.finish(list(found.values()), "stock")) == [Posted] * 2
    assert kinds(connector.post(documents)) == [Posted] * 2
    assert [states(group_books, document) for document in documents] == [["done"] * 2] * 2


def test_what_the_look_up_missed_the_erp_refuses_to_take_twice(
    of_group: Connect, group_books: Books, goods: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [moved(), moved(), moved()]
    (before,) = of_group().post(documents[1:2])
    connector = of_group()
    whole = connector.client.call
    looked: list[str] = []

    def blind(method: str, *parameters: Any) -> Any:
        if method == "model.stock.move.search_read" and not looked:
            looked.append(method)
            return []
        return whole(method, *parameters)

    monkeypatch.setattr(connector.client, "call", blind)
    outcomes = connector.post(documents)
    assert kinds(outcomes) == [Posted] * 3
    assert outcomes[1] == before
    assert [states(group_books, document) for document in documents] == [["done"] * 2] * 3


def test_settings_say_where_and_what(of_group: Connect, group_books: Books, goods: dict[str, int]) -> None:
    document = moved(line("MILK", "-3", unit="STK"), line("MILK", "5", "receipt", unit="STK"), store="2")
    settings = {"stock_locations": {"2": "Z-2"}, "counter_locations": {"receipt": "S001"}, "units": {"STK": "u"}}
    connector = of_group(**settings)
    assert kinds(connector.post([document])) == [Posted]
    rows = moves(group_books, document)
    assert [(row["from_location"], row["to_location"]) for row in rows] == [
        (goods["other"], goods["customer"]),
        (goods["store"], goods["other"]),
    ]
    assert connector.read_back([document.reference], "stock")[document.reference].goods == document.lines


BAD = {
    "product": (moved(line("GHOST", "1")), "the ERP has 0 products of code GHOST"),
    "unit": (moved(line("MILK", "1", unit="kg")), "product MILK is counted in u in the ERP, in kg here"),
    "store": (moved(store="S404"), "0 stock locations of code S404"),
    "bucket": (moved(line("MILK", "1", bucket="quarantine")), "0 stock locations of code S001/quarantine"),
    "empty": (moved(lines=()), "no lines"),
    "digits": (moved(line("MILK", "-0.5")), "digits"),
    "blank": (moved(reference=" x "), "blanks"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_moved_is_rejected_in_words(
    of_group: Connect, group_books: Books, goods: Any, name: str
) -> None:
    bad, words = BAD[name]
    good = moved()
    outcomes = of_group().post([bad, good])
    assert kinds(outcomes) == [Rejected, Posted]
    assert words in reasons(outcomes)[0]
    assert states(group_books, bad) == []


def test_a_closed_stock_period_is_said(of_group: Connect, group_books: Books, goods: Any) -> None:
    (period,) = group_books.call("model.stock.period.create", [{"date": date(2017, 1, 31), "company": 1}])
    group_books.call("model.stock.period.close", [period])
    closed, open_ = moved(day=date(2017, 1, 15)), moved(day=date(2017, 2, 1))
    outcomes = of_group().post([closed, open_])
    assert kinds(outcomes) == [Rejected, Posted]
    assert [outcome.kind for outcome in outcomes if isinstance(outcome, Rejected)] == ["closed_period"]
    assert states(group_books, closed) == []
    group_books.call("model.stock.period.draft", [period])
    assert kinds(of_group().post([closed])) == [Posted]


def test_without_the_module_it_says_what_is_missing(connector: TrytonConnector) -> None:
    document = moved()
    outcomes = connector.post([document, sales()])
    assert kinds(outcomes) == [Rejected, Posted]
    assert "module hub_reference" in reasons(outcomes)[0]
    assert connector.find([document.reference], "stock") == {}
