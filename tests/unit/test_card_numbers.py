"""Numbers of payment cards are refused at the door, wherever they stand and however they are written; others are not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from builders import customer, line, raw, sale, tender
from hypothesis import given
from hypothesis import strategies as st

from tillwire.intake.card_numbers import DETAIL, body_holds_card_number, is_card_number
from tillwire.intake.door import Prepared, Refusal, read_event

CARDS = {
    "visa": "4111111111111111",
    "visa of 19": "4000000000000000006",
    "mastercard": "5555555555554444",
    "mastercard, new range": "2223003122003222",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "diners": "38520000023237",
    "jcb": "3566002020360505",
    "unionpay": "6200000000000005",
    "maestro": "6759649826438453",
}
"""Numbers that the schemes publish for tests."""


def with_luhn(digits: str) -> str:
    return next(digits + str(last) for last in range(10) if luhn(digits + str(last)))


def luhn(digits: str) -> bool:
    """As the standard words it: every second digit from the right doubled, the digits of the products added."""
    doubled = [int(d) if i % 2 == 0 else sum(map(int, str(2 * int(d)))) for i, d in enumerate(digits[::-1])]
    return sum(doubled) % 10 == 0


def refused(event: dict[str, Any] | bytes) -> str | None:
    read = read_event(event if isinstance(event, bytes) else raw(event))
    if isinstance(read, Prepared):
        return None
    assert isinstance(read, Refusal)
    assert (read.title, read.detail) == ("card number", DETAIL), read
    return read.pointer


def sale_with(**fields: Any) -> dict[str, Any]:
    one = sale(1)
    one["data"].update(fields)
    return one


@pytest.mark.parametrize("number", CARDS.values(), ids=CARDS)
def test_every_scheme_is_known(number: str) -> None:
    assert luhn(number)
    assert is_card_number(number)
    assert refused(sale_with(receipt=number)) == "/data/receipt"
    other = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not is_card_number(other)
    assert refused(sale_with(receipt=other)) is None


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"customer": CARDS["visa"]}, "/data/customer"),
        ({"operator": "4111 1111 1111 1111"}, "/data/operator"),
        ({"receipt": "paid with 4111-1111-1111-1111, thanks"}, "/data/receipt"),
        ({"receipt": "3782 822463 10005"}, "/data/receipt"),
        ({"x-terminal": {"trace": [1, {"pan": int(CARDS["visa"])}]}}, "/data/x-terminal/trace/1/pan"),
        ({"x-terminal": {CARDS["visa"]: 1}}, "/data/x-terminal"),
        ({"loyalty": [{"account": CARDS["jcb"]}]}, "/data/loyalty/0/account"),
        ({"tenders": [tender("4.40", "card", reference=CARDS["amex"])]}, "/data/tenders/0/reference"),
        ({"tenders": [tender("4.40", "card", acquirer=CARDS["amex"])]}, "/data/tenders/0/acquirer"),
    ],
)
def test_the_field_is_named(fields: dict[str, Any], pointer: str) -> None:
    assert refused(sale_with(**fields)) == pointer


def test_a_description_is_looked_at() -> None:
    one = sale(1)
    one["data"]["lines"] = [line("milk", "2", "2.20", description=f"refund to {CARDS['visa']}")]
    assert refused(one) == "/data/lines/0/description"


def test_digits_written_as_escapes_do_not_slip_through() -> None:
    written = raw(sale_with(receipt=CARDS["visa"])).replace(b'"4111', b'"\\u0034111')
    assert refused(written) == "/data/receipt"


@pytest.mark.parametrize(
    "fields",
    [
        {"receipt": "4111111111111112"},
        {"receipt": "123456789012345678901"},
        {"receipt": "94111111111111111"},
        {"receipt": "41111111111111110000"},
        {"receipt": "************1111"},
        {"receipt": "9999999999999999"},
        {"receipt": "4111 11111111 1111"},
        {"tenders": [tender("4.40", "gift_card", reference=CARDS["visa"])]},
        {"ended_at": "2026-03-02T10:11:12.131415Z"},
    ],
)
def test_what_is_no_card_enters(fields: dict[str, Any]) -> None:
    assert refused(sale_with(**fields)) is None


def test_products_may_have_any_number_and_gift_cards_theirs() -> None:
    one = sale(1)
    one["id"] = CARDS["visa"]
    one["data"]["lines"] = [
        line(CARDS["visa"], "1", "2.20", gtin=CARDS["diners"]),
        line("gift", "1", "2.20", kind="gift_card", reference=CARDS["mastercard"]),
    ]
    assert refused(one) is None


def test_a_customer_may_not_be_a_card() -> None:
    assert refused(customer(CARDS["visa"])) is not None


@given(
    st.text("0123456789", min_size=10, max_size=22), st.sampled_from(["4", "51", "2221", "37", "6011", "36", "3528"])
)
def test_the_check_digit_is_computed_as_the_standard_has_it(digits: str, prefix: str) -> None:
    number = with_luhn((prefix + digits)[:15])
    lengths = {"37": (15,), "36": (14, 16)}
    assert is_card_number(number) == (len(number) in lengths.get(prefix, (16,))), number


@given(st.text(alphabet='abc 0123456789-"{}:,', max_size=80))
def test_any_text_is_judged_without_a_fault(text: str) -> None:
    body_holds_card_number(text.encode())
    read = read_event(msgspec.json.encode(sale_with(receipt=f"r{text}")))
    assert isinstance(read, (Prepared, Refusal))


def test_bodies_of_other_systems() -> None:
    assert body_holds_card_number(b"<pan>4111 1111 1111 1111</pan>")
    assert body_holds_card_number(b"card=378282246310005&x=1")
    assert not body_holds_card_number(b'{"id": 38520000023237}')
    assert not body_holds_card_number(b'{"id": 4111111111111112, "at": "2026-03-02-10-11-12-13"}')
