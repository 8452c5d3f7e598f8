"""Real files of several vendors, and the examples: mapped with totals equal to their own, or raised with a code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from unit.connectors.poslog_parts import faults, figures

from tillwire.connectors.inbound import Record, body_source
from tillwire.connectors.poslog import SPEC, PoslogConnector, PoslogSettings
from tillwire.connectors.registry import examples_folder
from tillwire.model.transaction import SELLING, Transaction


def _fixtures() -> Path | None:
    given = os.environ.get("TILLWIRE_FIXTURES")
    places = [Path(given)] if given else [up / "shared" / "fixtures" for up in Path(__file__).resolve().parents]
    return next((place / "poslog" for place in places if (place / "poslog").is_dir()), None)


FIXTURES = _fixtures()
FILES = sorted(FIXTURES.glob("*.xml")) if FIXTURES else []
RAISED = {
    "ncr_res_jp__14_PayIn.xml": {"kind_contradiction"},
    "ncr_res_jp__26_Sales.xml": {"tender_mismatch", "tax_included_inconsistent"},
}
"""A pay-in that holds a pay-out; a sale that nobody paid, with tax on top of one line and within the price of another."""


def outcome(one: Record) -> str:
    """What became of a record, in a line."""
    if one.ignored:
        return f"ignored: {one.ignored}"
    if one.troubles:
        return "raised: " + ", ".join(f"{trouble.code} ({trouble.message})" for trouble in one.troubles)
    data = one.events[0].data
    if not isinstance(data, Transaction):
        return type(data).__name__
    codes = faults(data)
    return f"{data.kind} {data.total:f} {data.currency}" + (f", raised: {', '.join(sorted(codes))}" if codes else "")


def check(one: Record) -> set[str]:
    """The codes that a record raises. What it does not raise has to add up."""
    assert one.events or one.troubles or one.ignored
    codes = {trouble.code for trouble in one.troubles}
    for event in one.events:
        data = event.data
        if isinstance(data, Transaction):
            found = faults(data)
            codes |= found
            if data.kind in SELLING and "total_mismatch" not in found:
                assert figures(data) == data.total
            assert sum(claim.amount for claim in one.claims) == (data.total if one.claims else 0)
            assert bool(one.claims) is (data.kind in SELLING)
    return codes


@pytest.mark.skipif(not FILES, reason="the folder shared/fixtures/poslog is not here (TILLWIRE_FIXTURES names it)")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_real_files(file: Path) -> None:
    settings = PoslogSettings(currency="JPY" if "res_jp" in file.name else "", time_zone="UTC")
    found = list(PoslogConnector(settings).read(body_source(file.read_bytes())))
    assert found
    codes: set[str] = set()
    for one in found:
        print(f"{file.name} | {one.place} | {outcome(one)}")  # noqa: T201 (the table of files and outcomes)
        codes |= check(one)
    assert codes == RAISED.get(file.name, set())


@pytest.mark.skipif(not FILES, reason="the folder shared/fixtures/poslog is not here (TILLWIRE_FIXTURES names it)")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_real_files_without_any_setting(file: Path) -> None:
    """What lacks a setting is raised and says which."""
    for one in PoslogConnector(PoslogSettings()).read(body_source(file.read_bytes())):
        for trouble in one.troubles:
            assert trouble.code == "kind_contradiction" or "the setting currency" in trouble.message


@pytest.mark.parametrize("example", SPEC.examples, ids=lambda example: example.file)
def test_examples(example: object) -> None:
    connector = SPEC.configure(example.settings, of="test")  # type: ignore[attr-defined]
    body = (examples_folder(SPEC) / example.file).read_bytes()  # type: ignore[attr-defined]
    found = list(connector.read(body_source(body)))
    assert found
    codes: set[str] = set()
    for one in found:
        print(f"{one.place} | {outcome(one)}")  # noqa: T201 (the table of files and outcomes)
        codes |= check(one)
    assert codes == set(example.codes)  # type: ignore[attr-defined]
