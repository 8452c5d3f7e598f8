"""Gift cards by number: what counts as sold and as paid with, and what does not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
from builders import changed, day_close, line, masters, returned, sale, store, tender, transaction
from driving import load, rows, settings_for

from tillwire.replay import replay_inline


def cards(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Number, company, sold and redeemed, added up by card."""
    query = "SELECT number, company, sum(sold), sum(redeemed) FROM gift_card GROUP BY 1, 2 ORDER BY 1, 2"
    return rows(connection, query)


def gift_card(number: str, price: str = "50.00", quantity: str = "1", **more: Any) -> dict[str, Any]:
    return line("gc", quantity, price, kind="gift_card", reference=number, **more)


def paid(amount: str, number: str, **more: Any) -> dict[str, Any]:
    return tender(amount, "gift_card", reference=number, **more)


def test_cards_are_sold_topped_up_used_and_taken_back(database_url: str, connection: psycopg.Connection) -> None:
    twice = sale(1, gift_card("A"), gift_card("A", "20.00"), gift_card("V", voided=True))
    used = sale(2, line("milk"), tenders=[paid("2.00", "A"), paid("9.00", "V", voided=True)])
    refunded = returned(3, line("milk", "-1", "2.00"), tenders=[paid("-2.00", "A")])
    top_up = sale(4, gift_card("B", "10.00"), tenders=[paid("10.00", "A")])
    back = returned(5, gift_card("B", "10.00", "-1"))
    load(database_url, *masters(), twice, used, refunded, top_up, back)
    assert cards(connection) == [("A", "ACME", Decimal("70.00"), Decimal("10.00")), ("B", "ACME", 0, 0)]


def test_what_is_owed_is_what_the_ledger_says(database_url: str, connection: psycopg.Connection) -> None:
    cheap = sale(1, gift_card("A", discount=("5.00", "promo")))
    taxed = sale(2, gift_card("B", "11.00", tax=("STD", "1.00")), tax_included=True)
    load(database_url, *masters(), cheap, taxed)
    assert cards(connection) == [("A", "ACME", Decimal("50.00"), 0), ("B", "ACME", Decimal("10.00"), 0)]
    liability = "SELECT -sum(amount) FROM ledger_entry WHERE component = 'liability' AND code = 'gift_card'"
    assert rows(connection, liability) == [(Decimal("60.00"),)]


def test_what_has_no_effect_moves_no_card(database_url: str, connection: psycopg.Connection) -> None:
    """Training and suspended sales are no money: no card is sold, and no company owes another for one."""
    card = gift_card("A", "5.00")
    held = [
        transaction(n, kind, [card], tenders=[paid("5.00", "B")]) for n, kind in ((1, "training"), (2, "suspended"))
    ]
    kept = transaction(3, "layaway", [line("milk", "5", "2.00")], tenders=[paid("10.00", "C")])
    load(database_url, *masters(), *held, kept, day_close([]))
    assert cards(connection) == [("C", "ACME", 0, Decimal("10.00"))]


def test_a_correction_takes_back_and_a_replay_says_the_same(database_url: str, connection: psycopg.Connection) -> None:
    first = sale(1, gift_card("A"), tenders=[paid("50.00", "OLD")])
    load(database_url, *masters(store("101"), store("102", company="OTHER")), first)
    load(database_url, changed(sale(1, gift_card("A", "30.00"), tenders=[tender("30.00")]), version=2))
    load(database_url, sale(1, line("milk"), store="102", tenders=[paid("2.00", "A")]))
    found = [
        ("A", "ACME", Decimal("30.00"), 0),
        ("A", "OTHER", 0, Decimal("2.00")),
        ("OLD", "ACME", 0, 0),
    ]
    assert cards(connection) == found
    assert replay_inline(settings_for(database_url), processes=1).identical
    assert cards(connection) == found
