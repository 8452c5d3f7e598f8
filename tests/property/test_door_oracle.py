"""The door's quick way and the model's own decoder let in exactly the same."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from builders import Event, batch, line, masters, movement, raw, sale, tender, trading_day
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tillwire.intake.depth import depth_exceeds, is_deeper
from tillwire.intake.door import BodyRefused, Prepared, read_batch, read_event
from tillwire.model.event import EVENT_DECODER, business_date_of, key_of, store_of, type_of
from tillwire.model.master import ProductRecord
from tillwire.model.money import is_sound

FULL = sale(
    1,
    line(discount=("0.10", "p"), taxes=[{"code": "STD", "amount": "0.20", "rate": "0.1", "taxable": "2.00"}]),
    tenders=[tender("2.10", foreign={"amount": "2", "currency": "EUR"})],
    total="2.10",
)
EXAMPLES = [FULL, FULL, FULL, movement(), *masters()[:2], *trading_day()[-4:]]

JSON_TOKENS = st.one_of(
    st.sampled_from(
        [
            "null",
            "true",
            "[]",
            "{}",
            '""',
            "0",
            "-0",
            "-",
            "01",
            "1.",
            ".5",
            "1e5",
            "1E-9",
            "NaN",
            "1 2",
            '"1" ',
            "9" * 16,
        ]
        + [
            '"NaN"',
            '"sNaN"',
            '"1e5"',
            '"1e400"',
            '" 1"',
            '"1 "',
            '"1 2"',
            '"0x1"',
            '"1_0"',
            '"+1"',
            '"１"',
            '"\\u0031"',
        ]
        + ['"a/b"', '"a\\n"', '"\\u0000"', '"\\\\u0000"', '"\\ud800"', '"\x7f"', '"2026-13-01"', "9223372036854775807"]
    ),
    st.text(max_size=8).map(lambda text: msgspec.json.encode(text).decode()),
    st.decimals(allow_nan=True, allow_infinity=True).map(lambda number: f'"{number}"'),
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)


def leaves(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(node, dict):
        return [path, *(found for key in node for found in leaves(node[key], (*path, key)))]
    if isinstance(node, list):
        return [path, *(found for i, item in enumerate(node) for found in leaves(item, (*path, i)))]
    return [path]


def with_leaf(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    head, *rest = path
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[head] = with_leaf(node[head], tuple(rest), value)
    return copy


@st.composite
def disturbed(draw: st.DrawFn) -> bytes:
    """A valid event with up to three of its values replaced by any JSON, or by none."""
    one: Event = draw(st.sampled_from(EXAMPLES))
    content = raw(one)
    tokens = []
    for number in range(draw(st.integers(1, 3))):
        places = [path for path in leaves(one) if path]
        one = with_leaf(one, draw(st.sampled_from(places)), f"@{number}@")
        content = raw(one)
        tokens.append((f'"@{number}@"', draw(JSON_TOKENS)))
    for marker, token in tokens:
        content = content.replace(marker.encode(), token.encode("utf-8", "replace"))
    return content


def numbers(node: Any) -> list[Decimal]:
    if isinstance(node, Decimal):
        return [node]
    if isinstance(node, msgspec.Struct):
        return [n for name in node.__struct_fields__ for n in numbers(getattr(node, name))]
    if isinstance(node, dict):
        return [n for value in node.values() for n in numbers(value)]
    return [n for item in node for n in numbers(item)] if isinstance(node, tuple | list) else []


def as_written(message: Any, data: Any) -> list[str]:
    """The texts that stand in the JSON where the model has a number; as they are after unescaping."""
    if isinstance(message, Decimal):
        return [data] if isinstance(data, str) else []
    if isinstance(message, msgspec.Struct):
        fields = [name for name in message.__struct_fields__ if name in data]
        return [text for name in fields for text in as_written(getattr(message, name), data[name])]
    if isinstance(message, dict):
        return [text for key, value in message.items() for text in as_written(value, data[key])]
    pairs = zip(message, data, strict=True) if isinstance(message, tuple | list) else ()
    return [text for part, value in pairs for text in as_written(part, value)]


def is_spelt_plainly(content: bytes, message: Any) -> bool:
    written = as_written(message, msgspec.json.decode(content)["data"])
    return all(set(text) <= set("0123456789+-.eE") for text in written)


def texts(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for key, value in node.items() for text in (key, *texts(value))]
    if isinstance(node, list):
        return [text for item in node for text in texts(item)]
    return [node] if isinstance(node, str) else []


def decoded(content: bytes) -> Any:
    try:
        return EVENT_DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


@settings(max_examples=400, deadline=None)
@given(disturbed())
@example(raw(FULL).replace(b'"total":"2.10"', b'"total":null'))
@example(raw(FULL).replace(b'"total":"2.10"', b'"total":01'))
@example(raw(FULL).replace(b'"total":"2.10"', b'"total":"2.10","total":null'))
@example(raw(FULL).replace(b'"total":"2.10"', b'"total":"1_e+_1"'))
@example(raw(FULL).replace(b'"total":"2.10"', b'"total":"2.1_"'))
@example(raw(FULL).replace(b'"total":"2.10"', b'"total":" 2.10"'))
def test_what_is_let_in_is_what_the_model_reads(content: bytes) -> None:
    read, event = read_event(content), decoded(content)
    if not isinstance(read, Prepared):
        assert read.title
        assert read.detail
        return
    assert event is not None, content
    message = event.data
    assert all(is_sound(number) for number in numbers(message)), content
    assert is_spelt_plainly(content, message), content
    assert (read.id, read.source, read.type) == (event.id, event.source, type_of(event))
    assert (read.key, read.store) == (key_of(message), store_of(message))
    assert read.business_date == business_date_of(message)
    if not isinstance(message, ProductRecord):  # an item may be known by whatever a line may name
        assert read.key.isprintable()
    assert not any("\x00" in text for text in texts(msgspec.json.decode(content)))


@settings(max_examples=200, deadline=None)
@given(disturbed())
def test_what_the_model_reads_soundly_is_let_in(content: bytes) -> None:
    event = decoded(content)
    if event is None or not all(is_sound(number) for number in numbers(event.data)):
        assert not isinstance(read_event(content), Prepared)
        return
    read = read_event(content)
    if isinstance(read, Prepared):
        return
    if "digits" in read.detail:
        assert not is_spelt_plainly(content, event.data) or b"\\" in content
    else:  # the only other reason: characters that a key or a database cannot have
        assert any(word in read.detail for word in ("character", "printable", "capital", " is no ")), read


@settings(max_examples=100, deadline=None)
@given(disturbed())
def test_neighbours_are_unharmed_or_the_body_is_no_json(content: bytes) -> None:
    good, other = raw(sale(1)), raw(sale(2))
    body = batch([good, content, other])
    try:
        first, _, last = read_batch(body, most_events=3)
    except BodyRefused:
        try:
            msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        raise
    assert isinstance(first, Prepared)
    assert isinstance(last, Prepared)
    assert (first.raw, last.raw) == (good, other)


JSON_VALUES = st.recursive(
    st.one_of(st.integers(), st.text(alphabet='[]{}",\\ ab', max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(alphabet='[]{}"\\a', max_size=3), inner, max_size=3)
    ),
    max_leaves=30,
)


def depth_of(node: Any) -> int:
    if isinstance(node, dict):
        return 1 + max(map(depth_of, node.values()), default=0)
    return 1 + max(map(depth_of, node), default=0) if isinstance(node, list) else 0


@settings(max_examples=300, deadline=None)
@given(JSON_VALUES, st.integers(0, 6), st.booleans())
def test_depth_is_that_of_arrays_and_objects_whatever_stands_in_texts(value: Any, wraps: int, indented: bool) -> None:
    for _ in range(wraps):
        value = [value]
    content = msgspec.json.encode(value)
    if indented:
        content = msgspec.json.format(content)
    depth = depth_of(value)
    assert not depth_exceeds(content, depth)
    assert depth == 0 or depth_exceeds(content, depth - 1)


@settings(max_examples=100, deadline=None)
@given(disturbed(), st.integers(16, 40), JSON_VALUES, st.integers(0, 45))
def test_a_shorter_way_to_depth_finds_the_same(content: bytes, most: int, value: Any, wraps: int) -> None:
    if decoded(content) is None:
        return
    for _ in range(wraps):
        value = {"a": value}
    deep = content[:-1] + b',"extension":' + msgspec.json.encode(value) + b"}"
    event = decoded(deep)
    assert is_deeper(deep, event.data, most) == depth_exceeds(deep, most)
