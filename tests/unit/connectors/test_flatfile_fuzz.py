"""Flat files, spoilt at random: nothing but MalformedError comes out, and every record says what became of it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tillwire.connectors.flatfile import SPEC
from tillwire.connectors.inbound import MalformedError, Record, body_source
from tillwire.connectors.registry import examples_folder
from tillwire.connectors.spec import Example
from tillwire.errors import ConfigurationError

EXAMPLES = {example.file: example for example in SPEC.examples}
CONNECTORS = {name: SPEC.configure(example.settings, of=name) for name, example in EXAMPLES.items()}
BODIES = {name: (examples_folder(SPEC) / name).read_bytes() for name in EXAMPLES}
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check_place(refused: MalformedError) -> None:
    """A refusal says where and why."""
    assert refused.place
    assert refused.reason


def look(name: str, body: bytes) -> list[Record]:
    """The records, each of which has one of the three outcomes; none if the whole is refused with a place."""
    try:
        records: list[Record] = list(CONNECTORS[name].read(body_source(body)))
    except MalformedError as refused:
        check_place(refused)
        return []
    assert records
    for record in records:
        assert bool(record.events) + bool(record.troubles) + bool(record.ignored) == 1
        for trouble in record.troubles:
            assert trouble.code == "schema_drift"
            assert trouble.pointer
        if record.events:
            again = list(CONNECTORS[name].read(body_source(record.raw)))
            assert [event for one in again for event in one.events] == list(record.events)
    return records


names = st.sampled_from(sorted(EXAMPLES))


@QUICK
@given(names, st.data())
def test_bytes_changed_dropped_and_added(name: str, data: st.DataObject) -> None:
    body = bytearray(BODIES[name])
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(body)))
        length = data.draw(st.integers(0, 12))
        body[place : place + length] = data.draw(st.binary(max_size=12))
    look(name, bytes(body))


@QUICK
@given(names, st.data())
def test_lines_dropped_doubled_and_moved(name: str, data: st.DataObject) -> None:
    lines = BODIES[name].splitlines(keepends=True)
    chosen = data.draw(st.lists(st.integers(0, len(lines) - 1), max_size=len(lines) + 3))
    look(name, b"".join(lines[number] for number in chosen))


@QUICK
@given(names, st.binary(max_size=4000))
def test_random_bytes(name: str, body: bytes) -> None:
    assert not any(record.events for record in look(name, body))


@QUICK
@given(st.data())
def test_cells_of_any_text(data: st.DataObject) -> None:
    """A good file with one cell replaced: what comes is its old self, another sound value, or a trouble of that row."""
    lines = BODIES["artikel.csv"].decode("cp1252").split("\r\n")
    row = data.draw(st.integers(1, 2))
    cells = lines[row].split(";")
    text = data.draw(st.text(st.characters(codec="cp1252", exclude_characters='\r\n;"'), max_size=90))
    cells[data.draw(st.integers(0, len(cells) - 1))] = text
    lines[row] = ";".join(cells)
    records = look("artikel.csv", "\r\n".join(lines).encode("cp1252"))
    assert len(records) == 2
    assert records[2 - row].events


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats() | st.just(2**70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@QUICK
@given(st.data())
def test_json_fields_dropped_renamed_and_retyped(data: st.DataObject) -> None:
    good, *_ = (json.loads(line) for line in BODIES["orders.jsonl"].splitlines())

    def spoil(node: Any) -> None:
        key = data.draw(st.sampled_from(sorted(node)))
        child = node[key]
        if isinstance(child, list) and child and isinstance(child[0], dict) and data.draw(st.booleans()):
            spoil(child[0])
            return
        match data.draw(st.sampled_from(["drop", "rename", "retype"])):
            case "drop":
                del node[key]
            case "rename":
                node[key + "_x"] = node.pop(key)
            case _:
                node[key] = data.draw(values)

    spoil(good)
    body = (json.dumps(good) + "\n").encode() + BODIES["orders.jsonl"].splitlines(keepends=True)[1]
    records = look("orders.jsonl", body)
    assert len(records) == 2
    assert records[1].events


@QUICK
@given(st.decimals(min_value=-(10**9), max_value=10**9, places=2), st.sampled_from([",", "."]), st.booleans())
def test_numbers_come_back_as_they_went(amount: Decimal, point: str, grouped: bool) -> None:
    thousands = "." if point == "," else ","
    text = f"{amount:,.2f}" if grouped else f"{amount:.2f}"
    text = text.translate(str.maketrans({",": thousands, ".": point}))
    mapping = {
        "delimiter": ";",
        "decimal_separator": point,
        "thousands_separator": thousands,
        "events": [
            {
                "type": "till.opened",
                "fields": {
                    "store": {"constant": "1"},
                    "register": {"constant": "1"},
                    "business_date": {"constant": "2026-03-02"},
                    "currency": {"constant": "EUR"},
                    "opening_float": {"column": "a"},
                },
            }
        ],
    }
    (record,) = SPEC.configure(mapping, of="test").read(body_source(f"a;b\n{text};\n".encode()))
    assert record.events[0].data.opening_float == amount


@pytest.mark.parametrize("example", SPEC.examples, ids=lambda example: example.file)
@QUICK
@given(data=st.data())
def test_a_spoilt_mapping_is_refused_or_works(example: Example, data: st.DataObject) -> None:
    """Whatever is changed in a mapping: a ConfigurationError, or a connector that reads without crashing."""
    mapping = json.loads(json.dumps(example.settings))

    def spoil(node: Any) -> None:
        steps = sorted(node) if isinstance(node, dict) else range(len(node))
        if not steps:
            return
        key = data.draw(st.sampled_from(list(steps)))
        if isinstance(node[key], dict | list) and data.draw(st.integers(0, 4)):
            spoil(node[key])
        elif isinstance(node, dict) and data.draw(st.booleans()):
            del node[key]
        else:
            node[key] = data.draw(values)

    spoil(mapping)
    try:
        connector = SPEC.configure(mapping, of="test")
    except ConfigurationError:
        return
    try:
        for record in connector.read(body_source(BODIES[example.file])):
            assert record.events or record.troubles or record.ignored
    except MalformedError as refused:
        check_place(refused)
