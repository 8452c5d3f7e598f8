"""The conformance suite: what every connector that takes data in must hold. The connectors are those of the registry.

Each is tried on the examples of its own folder, whole, cut, doubled and spoilt.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from io import BytesIO
from typing import Any, NamedTuple

import msgspec
import pytest

from tillwire.connectors.inbound import InboundConnector, MalformedError, Record, Source
from tillwire.connectors.registry import examples_folder, registered
from tillwire.connectors.spec import Example, Spec, secrets_of
from tillwire.exceptions.codes import CODES
from tillwire.intake.door import Prepared
from tillwire.intake.recording import prepare
from tillwire.intake.trial import try_source

TODAY = date(2026, 12, 31)
INBOUND = [spec for spec in registered().values() if spec.roles != ("erp",)]


class Case(NamedTuple):
    """One example of one connector."""

    spec: Spec
    example: Example

    def connector(self) -> InboundConnector:
        made: InboundConnector = self.spec.configure(self.example.settings, of=self.spec.name)
        return made

    def body(self) -> bytes:
        return (examples_folder(self.spec) / self.example.file).read_bytes()

    def source(self, body: bytes | None = None) -> Source:
        return Source(BytesIO(self.body() if body is None else body), self.example.file, self.example.topic)

    def records(self, body: bytes | None = None) -> list[Record]:
        return list(self.connector().read(self.source(body)))


CASES = [
    pytest.param(Case(spec, example), id=f"{spec.name}-{example.file}") for spec in INBOUND for example in spec.examples
]


def encoded(records: list[Record]) -> list[list[bytes]]:
    found = []
    for record in records:
        pieces = [prepare("c", event) for event in record.events]
        found.append([piece.raw if isinstance(piece, Prepared) else repr(piece).encode() for piece in pieces])
    return found


@pytest.mark.parametrize("spec", INBOUND, ids=lambda spec: spec.name)
def test_it_has_examples_settings_and_a_contract(spec: Spec) -> None:
    assert spec.examples
    assert spec.contract
    assert spec.about
    config = spec.settings.__struct_config__
    assert config.frozen
    assert config.forbid_unknown_fields
    for name in secrets_of(spec.settings):
        assert not any(example.settings.get(name, "").startswith("sk_live") for example in spec.examples)


@pytest.mark.parametrize("case", CASES)
def test_an_example_is_mapped_or_raises_what_it_says(case: Case) -> None:
    """Totals come to what the payload says of itself, and the rules agree; or the named codes are raised."""
    outcome = try_source(case.connector(), case.source(), today=TODAY)
    raised = {one.code for one in outcome.exceptions}
    assert raised == set(case.example.codes), outcome.exceptions
    assert raised <= CODES.keys() | {"malformed"}
    assert outcome.records
    assert outcome.events or outcome.ignored or raised


@pytest.mark.parametrize("case", CASES)
def test_the_same_bytes_give_the_same_events(case: Case) -> None:
    first, again = encoded(case.records()), encoded(case.records())
    assert first == again
    connector = case.connector()  # one instance, twice: it keeps no state between payloads
    assert encoded(list(connector.read(case.source()))) == encoded(list(connector.read(case.source()))) == first


@pytest.mark.parametrize("case", CASES)
def test_a_record_is_readable_alone_to_the_same_events(case: Case) -> None:
    for record in case.records():
        if record.events:
            again = [piece for pieces in encoded(case.records(record.raw)) for piece in pieces]
            assert again == encoded([record])[0]


@pytest.mark.parametrize("case", CASES)
def test_every_record_says_what_became_of_it(case: Case) -> None:
    for record in case.records():
        assert record.events or record.troubles or record.ignored
        assert record.place
        assert record.raw


@pytest.mark.parametrize("case", CASES)
def test_events_have_ids_of_their_own(case: Case) -> None:
    ids = [(event.type, event.id) for record in case.records() for event in record.events]
    assert len(ids) == len(set(ids))


def floats(node: Any) -> Iterator[float]:
    if isinstance(node, float):
        yield node
    elif isinstance(node, msgspec.Struct):
        for field in node.__struct_fields__:
            yield from floats(getattr(node, field))
    elif isinstance(node, dict):
        for value in node.values():
            yield from floats(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from floats(value)


@pytest.mark.parametrize("case", CASES)
def test_money_is_never_a_float(case: Case) -> None:
    for record in case.records():
        assert not list(floats([event.data for event in record.events]))
        assert not list(floats(list(record.claims)))
        for claim in record.claims:
            assert isinstance(claim.amount, Decimal)


@pytest.mark.parametrize("case", CASES)
def test_a_cut_payload_is_refused_or_its_records_are_whole(case: Case) -> None:
    """Whatever is missing at the end, no record is half what it was: refused with a place, in trouble, or the same."""
    body = case.body()
    whole = {piece for pieces in encoded(case.records()) for piece in pieces}
    for share in (0.1, 0.35, 0.6, 0.9, 0.99):
        cut = body[: int(len(body) * share)]
        try:
            records = case.records(cut)
        except MalformedError as error:
            assert error.place
            assert error.reason
            continue
        clean = [record for record in records if not record.troubles]
        assert {piece for pieces in encoded(clean) for piece in pieces} <= whole


@pytest.mark.parametrize("case", CASES)
def test_spoilt_bytes_never_crash_it(case: Case) -> None:
    chance = random.Random(7)
    body = case.body()
    for _ in range(60):
        spoilt = bytearray(body)
        for _ in range(chance.choice((1, 3, 20))):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        try:
            for record in case.connector().read(case.source(bytes(spoilt))):
                assert record.events or record.troubles or record.ignored
                encoded([record])
        except MalformedError as error:
            assert error.place


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "garbage", [b"", b"\x00" * 5000, b"\xff\xfe\xfd" * 999, b"[" * 5000, b"<a>" * 5000, b"{}", b"null"]
)
def test_garbage_is_refused_ignored_or_in_trouble(case: Case, garbage: bytes) -> None:
    try:
        records = case.records(garbage)
    except MalformedError as error:
        assert error.place
        return
    assert not any(record.events for record in records)
    assert all(record.troubles or record.ignored for record in records)
