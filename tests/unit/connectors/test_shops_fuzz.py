"""WooCommerce and Square payloads with anything wrong in them: told, raised or refused, and never a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from knowing import claimed, codes_of, sold

from tillwire.connectors.inbound import MalformedError, Record, body_source
from tillwire.connectors.registry import examples_folder, spec_of
from tillwire.connectors.spec import Example, Spec

CASES = [(spec_of(name), example) for name in ("woocommerce", "square") for example in spec_of(name).examples]
JSON_CASES = [(spec, example) for spec, example in CASES if example.file.endswith(".json")]
GENTLE = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            "0",
            "-0.00",
            "1e9999",
            "NaN",
            "1,5",
            "2026-02-30T00:00:00",
            "0000-00-00T00:00:00",
            "\ud800",
            "\x00",
            "{{x}}",
        ]
    ),
    st.just([]),
    st.just({}),
    st.just([{}]),
    st.just({"amount": 1}),
    st.lists(st.integers(0, 3), max_size=3),
)


def steps(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value of a document."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in inner:
        yield (*path, name)
        yield from steps(value, (*path, name))


def changed(document: Any, path: tuple[Any, ...], how: str, value: Any) -> Any:
    """The document with the value at ``path`` dropped, renamed or replaced."""
    made = json.loads(json.dumps(document))
    at = made
    for step in path[:-1]:
        at = at[step]
    if how == "replace":
        at[path[-1]] = value
    else:
        taken = at.pop(path[-1])
        if how == "rename" and isinstance(at, dict):
            at[f"{path[-1]}_x"] = taken
    return made


def judged(spec: Spec, example: Example, body: bytes) -> list[Record]:
    """Read, held against what every record must be, and against the rules."""
    connector = spec.configure(example.settings, of="fuzz")
    try:
        found = list(connector.read(body_source(body, example.topic)))
    except MalformedError:
        return []
    for record in found:
        assert record.events or record.troubles or record.ignored
        assert not (record.troubles and record.events)
        for event in record.events:
            decoded = msgspec.json.decode(msgspec.json.encode(event.data), type=type(event.data))
            assert decoded == event.data
            assert event.id
            assert len(event.id) <= 256
        codes_of(record.events)
    assert sold(found) == claimed(found), "totals are the payload's own, whatever its lines say"
    return found


@GENTLE
@given(st.data())
def test_fields_dropped_renamed_and_retyped(data: st.DataObject) -> None:
    spec, example = data.draw(st.sampled_from(JSON_CASES))
    document = json.loads((examples_folder(spec) / example.file).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        paths = list(steps(document))
        if not paths:
            break
        how = data.draw(st.sampled_from(["drop", "rename", "replace"]))
        document = changed(document, data.draw(st.sampled_from(paths)), how, data.draw(ODD))
    judged(spec, example, json.dumps(document).encode())


@GENTLE
@given(st.data())
def test_bytes_cut_and_overwritten(data: st.DataObject) -> None:
    spec, example = data.draw(st.sampled_from(CASES))
    body = bytearray((examples_folder(spec) / example.file).read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    judged(spec, example, bytes(body[: data.draw(st.integers(0, len(body)))]))


@pytest.mark.parametrize("name", ["woocommerce", "square"])
@GENTLE
@given(
    body=st.one_of(
        st.binary(max_size=200),
        st.recursive(ODD, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)).map(
            lambda node: json.dumps(node).encode()
        ),
    )
)
def test_anything_at_all(name: str, body: bytes) -> None:
    judged(spec_of(name), Example(file="", about="", topic="order.updated"), body)
