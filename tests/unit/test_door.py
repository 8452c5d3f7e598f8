"""The door: what is let in, what is refused, and where a refusal points."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from builders import (
    Event,
    batch,
    changed,
    day_open,
    event,
    line,
    masters,
    movement,
    product,
    raw,
    sale,
    store,
    tender,
    till_close,
    trading_day,
)

from tillwire.events.partitions import CATALOGUE_PARTITION, MASTER_PARTITION, PARTITIONS, partition_of
from tillwire.intake.door import BodyRefused, Prepared, Refusal, read_batch, read_event, read_one

GOOD = raw(sale(1))

# Numbers as they stand in JSON, none of which may enter.
HOSTILE_NUMBERS = [
    '"NaN"',
    '"sNaN"',
    '"-Infinity"',
    "1e400",
    '"1e400"',
    "1" + "0" * 400,
    "1e15",
    "0.000000001",
    "null",
    "true",
    '""',
    '"abc"',
    '"0x10"',
    '"1,5"',
    "[]",
    "{}",
]


def put(one: Event, pointer: str, value: str) -> bytes:
    """The event as JSON, with ``value`` (JSON) at a place of its data."""
    one = copy.deepcopy(one)
    *path, last = pointer.split("/")[1:]
    node: Any = one
    for step in path:
        node = node[int(step) if isinstance(node, list) else step]
    node[int(last) if isinstance(node, list) else last] = "@here@"
    return raw(one).replace(b'"@here@"', value.encode("utf-8", "surrogatepass"))


def basket() -> Event:
    """A sale with a number at every place where one can be."""
    tax = {"code": "STD", "amount": "0.20", "rate": "0.1", "taxable": "2.00"}
    full = line("milk", discount=("0.10", "promo"), taxes=[tax])
    paid = tender("2.10", foreign={"amount": "2", "currency": "EUR"})
    return sale(1, full, tenders=[paid], tax="0.20", discount="0.10", rounding="0.00", total="2.10")


def refused(content: bytes) -> Refusal:
    read = read_one(content)
    assert isinstance(read, Refusal), read
    return read


@pytest.mark.parametrize("one", [*masters(), *trading_day(), movement(), basket()], ids=lambda one: one["type"])
def test_every_type_of_event_is_let_in(one: Event) -> None:
    read = read_one(raw(one))
    assert isinstance(read, Prepared), read
    assert (read.id, read.source, read.type, read.raw) == (one["id"], one["source"], one["type"], raw(one))
    assert read.partition in PARTITIONS
    assert (read.partition == 0) == one["type"].startswith("tillwire.master.")


@pytest.mark.parametrize(
    ("one", "key"),
    [
        (sale(7), "101/1/2026-03-02/7"),
        (day_open(), "101/2026-03-02/day-open"),
        (movement("D-9"), "101/movement/D-9"),
        (masters()[0], "store:101@1"),
    ],
)
def test_the_business_key_is_the_trades_own(one: Event, key: str) -> None:
    read = read_one(raw(one))
    assert isinstance(read, Prepared)
    assert read.key == key


def test_all_events_of_a_store_share_a_partition() -> None:
    stores = [str(number) for number in range(1, 300)]
    for number in stores[:20]:
        found = {read_event(raw(one)).partition for one in (sale(1, store=number), day_open(store=number))}  # type: ignore[union-attr]
        assert found == {partition_of(number)}
    assert {partition_of(number) for number in stores} == set(PARTITIONS) - {MASTER_PARTITION, CATALOGUE_PARTITION}


@pytest.mark.parametrize("value", HOSTILE_NUMBERS)
@pytest.mark.parametrize(
    "pointer",
    ["/data/total", "/data/lines/0/quantity", "/data/lines/0/taxes/0/amount", "/data/tenders/0/foreign/amount"],
)
def test_a_number_that_is_none_is_refused_where_it_stands(pointer: str, value: str) -> None:
    refusal = refused(put(basket(), pointer, value))
    assert refusal.pointer == pointer
    assert refusal.title in ("invalid event", "invalid event data")
    assert refusal.detail


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-NaN", "+1", "01", "1.", ".5", "0x1F", "1_000", "'1'"])
@pytest.mark.parametrize("pointer", ["/data/total", "/data/lines/0/unit_price"])
def test_a_number_that_json_does_not_have_is_malformed(pointer: str, value: str) -> None:
    assert refused(put(basket(), pointer, value)).title in ("malformed JSON", "invalid event")


@pytest.mark.parametrize(
    "value",
    [
        '"1_000"',
        '"_1"',
        '"1_"',
        '"1_e2"',
        '"1e_2"',
        '"1_e+_2"',
        '"._5"',
        '" 1"',
        '"1 "',
        '" 1 "',
        '"１"',
        '"\\u0031"',
        '"1\\t"',
    ],
)
@pytest.mark.parametrize(
    ("one", "pointer"),
    [
        (basket(), "/data/total"),
        (basket(), "/data/lines/0/taxes/0/rate"),
        (movement(), "/data/lines/0/quantity"),
        (product(units={"CS": "24"}), "/data/units/CS"),
        (till_close(counts=[("cash", "1.00", "1.00")]), "/data/tenders/0/counted"),
    ],
)
def test_a_number_that_only_a_program_reads_is_refused_where_it_stands(one: Event, pointer: str, value: str) -> None:
    assert isinstance(read_one(raw(one)), Prepared)
    refusal = refused(put(one, pointer, value))
    assert refusal.pointer == pointer
    assert "digits" in refusal.detail


@pytest.mark.parametrize("value", ['"+1"', '".5"', '"1."', '"01"', '"1e2"', '"-1.5E+2"'])
def test_a_number_that_can_be_meant_only_one_way_is_let_in(value: str) -> None:
    for pointer, one in (("/data/total", basket()), ("/data/lines/0/quantity", movement())):
        assert isinstance(read_one(put(one, pointer, value)), Prepared)


def test_odd_texts_beside_numbers_are_nobodys_harm() -> None:
    for text in ("1_000", " 1 ", "１", "_", 'a "1 " b', "a\\b"):
        for one in (movement(note=text), sale(1, operator=text, total="+4.40")):
            spaced = msgspec.json.format(raw(one))
            assert isinstance(read_one(raw(one)), Prepared)
            assert isinstance(read_one(spaced.replace(b'": ', b'" : ')), Prepared)


@pytest.mark.parametrize("value", ['"2.00"', "2.0", "2", '"2.00000000"', '"-0"', "0", '"999999999999999"'])
def test_a_plain_number_is_let_in_as_text_or_as_number(value: str) -> None:
    assert isinstance(read_one(put(basket(), "/data/total", value)), Prepared)


@pytest.mark.parametrize("name", ["tax", "discount"])
def test_an_optional_number_may_be_null(name: str) -> None:
    assert isinstance(read_one(put(basket(), f"/data/{name}", "null")), Prepared)


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/type", '"tillwire.unheard.of.v9"'),
        ("/type", "1"),
        ("/specversion", '"0.3"'),
        ("/id", '""'),
        ("/id", '"a\\nb"'),
        ("/id", '"a\\n"'),
        ("/source", '"\\u007f"'),
        ("/source", '"' + "x" * 257 + '"'),
        ("/time", '"2026-03-02T10:00:00"'),
        ("/time", '"yesterday"'),
        ("/data", "[]"),
        ("/data/store", '"a/b"'),
        ("/data/store", '"a\\tb"'),
        ("/data/store", '"101\\n"'),
        ("/data/store", '""'),
        ("/data/register", '"1|2"'),
        ("/data/register", '"' + "9" * 65 + '"'),
        ("/data/business_date", '"2026-02-30"'),
        ("/data/business_date", '"02.03.2026"'),
        ("/data/sequence", "-1"),
        ("/data/sequence", "1.5"),
        ("/data/sequence", "1" + "0" * 30),
        ("/data/sequence", '"7"'),
        ("/data/kind", '"gift"'),
        ("/data/currency", '"usd"'),
        ("/data/currency", '"USD\\n"'),
        ("/data/currency", '"EURO"'),
        ("/data/lines", "{}"),
        ("/data/lines/0/kind", '"thing"'),
        ("/data/lines/0/voided", "1"),
        ("/data/ended_at", '"2026-03-02T25:00:00Z"'),
    ],
)
def test_what_breaks_the_schema_is_refused_where_it_stands(pointer: str, value: str) -> None:
    one = basket() | {"time": "2026-03-02T10:00:00Z"}
    one["data"]["ended_at"] = "2026-03-02T10:00:00Z"
    assert isinstance(read_one(raw(one)), Prepared)
    assert refused(put(one, pointer, value)).pointer == pointer


@pytest.mark.parametrize("name", ["product_class"])
@pytest.mark.parametrize("value", ['"a\\tb"', '"a/b"', '"a|b"', '"a;b"', '""'])
def test_parts_of_keys_of_master_records_are_as_strict(name: str, value: str) -> None:
    assert refused(put(product(), f"/data/{name}", value)).pointer == f"/data/{name}"
    assert refused(put(store(), "/data/company", value)).pointer == "/data/company"


def test_identifiers_that_carry_their_own_proof_are_checked() -> None:
    good = product(gtins=["4006381333931", "96385074"])
    assert isinstance(read_one(raw(good)), Prepared)
    assert refused(put(good, "/data/gtins/1", '"96385075"')).pointer == "/data/gtins/1"
    located = store(gln="4012345000009")
    assert isinstance(read_one(raw(located)), Prepared)
    assert refused(put(located, "/data/gln", '"4012345000008"')).pointer == "/data/gln"
    assert refused(put(store(), "/data/time_zone", '"Mars/Olympus"')).pointer == "/data/time_zone"


@pytest.mark.parametrize("value", ['"a/b"', '"a|b"', '"a\\tb"'])
def test_a_product_may_have_any_sku_that_a_line_may_have(value: str) -> None:
    assert isinstance(read_event(put(product(), "/data/sku", value)), Prepared)


@pytest.mark.parametrize("value", ['" "', '" 1"', '"1 "'])
def test_a_store_has_no_blanks_around_it(value: str) -> None:
    assert refused(put(sale(1), "/data/store", value)).pointer == "/data/store"


@pytest.mark.parametrize(("name", "pointer"), [("store", "/data"), ("total", "/data"), ("sequence", "/data")])
def test_a_field_that_is_missing_is_named(name: str, pointer: str) -> None:
    one = basket()
    del one["data"][name]
    refusal = refused(raw(one))
    assert refusal.pointer == pointer
    assert name in refusal.detail


def test_an_event_has_a_bounded_number_of_lines() -> None:
    too_many = changed(sale(1), lines=[line()] * 20_001)
    assert refused(raw(too_many)).pointer == "/data/lines"
    assert isinstance(read_one(raw(changed(sale(1), lines=[line()] * 20_000))), Prepared)


def test_extensions_are_let_in_and_stay_in_the_raw_bytes() -> None:
    one = sale(1) | {"traceparent": "00-1-2-03", "anything": {"deep": [1, 2, 3]}}
    read = read_one(raw(one))
    assert isinstance(read, Prepared)
    assert read.raw == raw(one)


@pytest.mark.parametrize("depth", [2_000, 200_000])
@pytest.mark.parametrize("place", ["beside", "within"])
def test_deep_nesting_is_refused(depth: int, place: str) -> None:
    deep = "[" * depth + "]" * depth
    one = sale(1) | {"x": 0}
    content = put(one, "/x", deep) if place == "beside" else put(one, "/data/lines", deep)
    assert refused(content).title in ("nested too deep", "invalid event")
    with pytest.raises(BodyRefused, match="deep"):
        read_batch(batch([content]), most_events=10)


def nested(depth: int, text: str = "") -> bytes:
    """A sale with an extension that makes it so deep."""
    inner = msgspec.json.encode(text).decode()
    return put(sale(1) | {"x": 0}, "/x", '{"a":[' * ((depth - 1) // 2) + inner + "]}" * ((depth - 1) // 2))


@pytest.mark.parametrize("text", ["", "]}" * 40, '"]}"' * 40, '\\"]}' * 40, "{" * 500, "\\" * 7 + "[{"])
def test_an_event_may_be_nested_as_deep_as_the_limit(text: str) -> None:
    assert isinstance(read_event(nested(63, text), 63), Prepared)
    refusal = read_event(nested(65, text), 63)
    assert isinstance(refusal, Refusal)
    assert (refusal.title, "63" in refusal.detail) == ("nested too deep", True)


def test_a_long_basket_is_not_deep() -> None:
    many = sale(1, *[line(discount=("0.10", "{[" * 9), tax=("STD", "0.20")) for _ in range(300)])
    assert isinstance(read_event(raw(many), 16), Prepared)


@pytest.mark.parametrize("kept", [0, 1, 20, len(GOOD) // 2, len(GOOD) - 1])
def test_a_truncated_event_is_malformed(kept: int) -> None:
    assert refused(GOOD[:kept]).title == "malformed JSON"
    with pytest.raises(BodyRefused) as caught:
        read_batch(batch([GOOD, GOOD])[: len(GOOD) + kept], most_events=10)
    assert caught.value.refusal.title == "malformed batch"


@pytest.mark.parametrize(
    "content",
    [
        raw(sale(1, operator="Zoë")).decode().encode("latin-1"),
        raw(sale(1, operator="Zoë")).decode().encode("utf-16"),
        raw(sale(1, operator="レジ")).decode().encode("shift-jis"),
        GOOD.replace(b"101", b"\xed\xa0\x80"),
        GOOD.replace(b"101", b"\xff\xfe"),
        GOOD + b"\xc3",
    ],
)
def test_bytes_that_are_not_utf8_refuse_the_whole_body(content: bytes) -> None:
    for read in (lambda: read_one(content), lambda: read_batch(b"[" + content + b"]", most_events=10)):
        with pytest.raises(BodyRefused) as caught:
            read()
        assert caught.value.refusal.title == "wrong encoding"


def test_a_byte_order_mark_is_malformed() -> None:
    assert refused(b"\xef\xbb\xbf" + GOOD).title == "malformed JSON"


@pytest.mark.parametrize("escape", [r"\u0000", r"\ud800", r"\udc00\ud800"])
def test_text_that_no_database_holds_is_refused(escape: str) -> None:
    assert refused(put(basket() | {"subject": "x"}, "/subject", f'"{escape}"')).detail
    one = basket()
    one["data"]["operator"] = "x"
    assert refused(put(one, "/data/operator", f'"a{escape}"')).detail


def test_a_backslash_before_u0000_is_harmless_text() -> None:
    one = sale(1, operator=r"C:\u0000")
    assert rb"C:\\u0000" in raw(one)
    assert isinstance(read_one(raw(one)), Prepared)


BAD_NEIGHBOURS = [
    b"1",
    b"null",
    b"[]",
    b"{}",
    b'"text"',
    put(basket(), "/data/total", '"NaN"'),
    put(basket(), "/data/total", "1e400"),
    put(basket(), "/data/lines/0/amount", "null"),
    put(basket(), "/data/operator", '"\\u0000"'),
    put(basket(), "/type", '"tillwire.unheard.of.v9"'),
    raw(event("transaction", {})),
]


@pytest.mark.parametrize("bad", BAD_NEIGHBOURS)
def test_a_bad_event_harms_no_neighbour(bad: bytes) -> None:
    read = read_batch(batch([sale(1), bad, sale(2)]), most_events=3)
    assert [type(one) for one in read] == [Prepared, Refusal, Prepared]
    assert [one.key for one in read if isinstance(one, Prepared)] == ["101/1/2026-03-02/1", "101/1/2026-03-02/2"]


def test_a_batch_keeps_the_bytes_of_each_event() -> None:
    spaced = b" [ \n %s , %s\t] " % (GOOD.replace(b",", b" ,\n "), raw(day_open()))
    first, second = read_batch(spaced, most_events=2)
    assert isinstance(first, Prepared)
    assert isinstance(second, Prepared)
    assert (first.raw, second.raw) == (GOOD.replace(b",", b" ,\n "), raw(day_open()))


def test_a_batch_over_the_limit_is_refused_as_a_whole() -> None:
    assert len(read_batch(batch([GOOD] * 3), most_events=3)) == 3
    with pytest.raises(BodyRefused, match="limit is 3") as caught:
        read_batch(batch([GOOD] * 4), most_events=3)
    assert caught.value.refusal.title == "batch too large"


@pytest.mark.parametrize("body", [b"", b"{}", b"1", b'"a"', b"null", GOOD, b"[1,]", b"[" + GOOD + b"]x"])
def test_a_batch_is_an_array(body: bytes) -> None:
    with pytest.raises(BodyRefused) as caught:
        read_batch(body, most_events=10)
    assert caught.value.refusal.title == "malformed batch"


def test_an_empty_batch_is_a_batch() -> None:
    assert read_batch(b"[]", most_events=10) == []
