"""The published JSON Schema of every event type."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from builders import (
    Event,
    changed,
    fulfilment,
    level,
    line,
    masters,
    movement,
    other_masters,
    raw,
    sale,
    tender,
    trading_day,
)

from tillwire.http.documentation import FIRST_SALE, event_components
from tillwire.intake.door import Prepared, read_event
from tillwire.model.event import HUB_MADE, MESSAGES
from tillwire.model.schema import envelope_schema, message_schema

EXAMPLES: dict[str, list[Event]] = {name: [] for name in MESSAGES}
for _example in [*masters(), *other_masters(), *trading_day(), movement(), movement(note="x"), level(), fulfilment()]:
    EXAMPLES[_example["type"]].append(_example)


def whole(event_type: str) -> Any:
    schema = message_schema(event_type)
    data = {"$ref": schema["$ref"]}
    return jsonschema_rs.validator_for(envelope_schema(event_type, data) | {"$defs": schema["$defs"]})


@pytest.mark.parametrize("event_type", MESSAGES)
def test_examples_of_every_type_are_valid_by_their_schema(event_type: str) -> None:
    assert EXAMPLES[event_type]
    validator = whole(event_type)
    for example in EXAMPLES[event_type]:
        assert [error.message for error in validator.iter_errors(example)] == []


@pytest.mark.parametrize("event_type", [*MESSAGES, *HUB_MADE])
def test_a_schema_says_what_it_is_and_what_it_needs(event_type: str) -> None:
    schema = message_schema(event_type)
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["$id"] == f"/v1/schemas/{event_type}"
    validator = jsonschema_rs.validator_for(schema)
    assert not validator.is_valid({})
    assert not validator.is_valid([])


WRONG = [
    changed(sale(), store="a/b"),
    changed(sale(), store=""),
    changed(sale(), currency="usd"),
    changed(sale(), sequence=-1),
    changed(sale(), kind="gift"),
    changed(sale(), total="NaN"),
    changed(sale(), total="1e400"),
    changed(sale(), total=True),
    changed(sale(), total=None),
    changed(sale(), business_date=20260302),
    changed(sale(), lines=[{**line(), "quantity": "0.000000001"}]),
    changed(sale(), tenders=[tender("1.00"), {"type": "cash"}]),
    {**sale(), "id": ""},
    {**sale(), "specversion": "0.3"},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_the_schema_refuses_the_door_refuses_too(wrong: Event) -> None:
    assert not whole("tillwire.transaction.v1").is_valid(wrong)
    assert not isinstance(read_event(raw(wrong)), Prepared)


@pytest.mark.parametrize("amount", ["12.50", "-0.00000001", "999999999999999", 12.5, 7, -3, 0.1])
def test_amounts_are_decimals_as_text_or_numbers(amount: Any) -> None:
    one = changed(sale(), total=amount)
    assert whole("tillwire.transaction.v1").is_valid(one)
    assert isinstance(read_event(raw(one)), Prepared)


def test_the_first_sale_of_the_documentation_is_valid() -> None:
    assert whole("tillwire.transaction.v1").is_valid(FIRST_SALE)
    assert isinstance(read_event(raw(FIRST_SALE)), Prepared)


def test_one_event_is_exactly_one_of_the_published_types() -> None:
    components = {"components": {"schemas": event_components()}}
    validator = jsonschema_rs.validator_for({"$ref": "#/components/schemas/Event", **components})
    for examples in EXAMPLES.values():
        for example in examples:
            assert validator.is_valid(example)
    assert not validator.is_valid({**sale(), "type": "tillwire.unheard.of.v9"})
