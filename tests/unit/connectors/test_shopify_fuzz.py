"""Broken payloads are raised, never a crash, never silence, never a float."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from shopify_reading import connector, example

from tillwire.connectors.inbound import MalformedError, Record, body_source
from tillwire.connectors.shopify import SPEC
from tillwire.connectors.shopify.settings import TOPICS
from tillwire.exceptions.codes import CODES
from tillwire.model.event import MESSAGES

DOCUMENTS = [(one.topic, example(one.file)) for one in SPEC.examples]
JUNK = st.sampled_from(
    [None, "", "x", "12.5.6", "NaN", -1, 0, 1.5, 1e300, 10**25, True, [], {}, [None], [{}], {"a": 1}, "\ud800", "gid://shopify/Order/1",
     "2026-13-45", "2026-03-02T10:00:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "a/b;c|d\n", "x" * 2000, {"nodes": [None]}]
)  # fmt: skip


def spots(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    found = [path] if path else []
    if isinstance(node, dict):
        for name, inner in node.items():
            found += spots(inner, (*path, name))
    elif isinstance(node, list):
        for i, inner in enumerate(node):
            found += spots(inner, (*path, i))
    return found


def change(document: Any, path: tuple[Any, ...], how: str, junk: Any) -> None:
    """Drop, rename, retype or double what lies at a place, if it is still there."""
    for step in path[:-1]:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return
    if not isinstance(document, dict | list):
        return
    try:
        if how == "drop":
            del document[path[-1]]
        elif how == "rename" and isinstance(document, dict):
            document[f"{path[-1]}_x"] = document.pop(path[-1])
        elif how == "double" and isinstance(document, list):
            document.append(copy.deepcopy(document[path[-1]]))
        else:
            document[path[-1]] = copy.deepcopy(junk)
    except (KeyError, IndexError, TypeError):
        return


def no_floats(node: Any) -> None:
    assert not isinstance(node, float)
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ():
        no_floats(inner)


def sound(records: list[Record]) -> None:
    for record in records:
        assert record.events or record.troubles or record.ignored
        for trouble in record.troubles:
            assert trouble.message
            assert trouble.code in CODES or trouble.code == "schema_drift"
        for one in record.events:
            no_floats(msgspec.to_builtins(one.data, builtin_types=(Decimal,)))
            body = msgspec.json.encode(one.data)
            assert msgspec.json.decode(body, type=MESSAGES[one.type]) == one.data
            assert 0 <= one.version < 2**63 - 1


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_changed_fields(data: st.DataObject) -> None:
    topic, original = data.draw(st.sampled_from(DOCUMENTS))
    document = copy.deepcopy(original)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(spots(original)))
        change(
            document, path, data.draw(st.sampled_from(["drop", "rename", "junk", "junk", "double"])), data.draw(JUNK)
        )
    body = json.dumps(document).encode()
    topic = data.draw(st.sampled_from([topic, "", *TOPICS]))
    try:
        found = list(connector().read(body_source(body, topic)))
    except MalformedError:
        return
    sound(found)
    for record in found:
        again = list(connector().read(body_source(record.raw, topic)))
        assert [(r.events, len(r.troubles), bool(r.ignored)) for r in again] == [
            (record.events, len(record.troubles), bool(record.ignored))
        ]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_cut_and_random_bytes(data: st.DataObject) -> None:
    _, original = data.draw(st.sampled_from(DOCUMENTS))
    body = bytearray(json.dumps(original).encode())
    if data.draw(st.booleans()):
        body = body[: data.draw(st.integers(0, len(body)))]
    for _ in range(data.draw(st.integers(0, 4))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        sound(list(connector().read(body_source(bytes(body)))))
    except MalformedError:
        return


@settings(max_examples=100, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["data", "order", "orders", "edges", "nodes", "node", "refund", "line_items", "id", "errors"]), inner)))  # fmt: skip
def test_any_json(document: Any) -> None:
    sound(list(connector().read(body_source(json.dumps(document).encode()))))
