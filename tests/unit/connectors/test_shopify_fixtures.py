"""Real payloads of Shopify, where they lie beside the project: each is mapped with its own totals, raised, or ignored."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest
from shopify_reading import faults, summed, transactions

from tillwire.connectors.inbound import MalformedError, body_source
from tillwire.connectors.shopify import SPEC


def _folder() -> Path | None:
    named = os.environ.get("TILLWIRE_FIXTURES")
    if named:
        return Path(named) / "shopify"
    for parent in Path(__file__).resolve().parents:
        found = parent / "shared" / "fixtures" / "shopify"
        if found.is_dir():
            return found
    return None


FOLDER = _folder()
FILES = sorted(FOLDER.iterdir()) if FOLDER is not None and FOLDER.is_dir() else []

pytestmark = pytest.mark.skipif(not FILES, reason="shared/fixtures/shopify is not here: set TILLWIRE_FIXTURES")

TOTALS = {
    "cargoconnector__more_than_one_koli_dace45d.json": {"NOK": Decimal("598.00")},
    "erpnext_fork__refund_pos_1.json": {"CAD": Decimal("-161.25")},
    "jude__gql_shopify_order.json": {"EGP": Decimal("8620.00")},
}
"""What whole payloads come to by their own totals; the Egyptian order by its payments, since an item was removed."""


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_each_file_has_an_outcome(file: Path) -> None:
    made = SPEC.configure({}, of="test")
    if file.suffix == ".csv" or "id_invalid" in file.name:
        with pytest.raises(MalformedError, match=r"line \d+, column \d+: not JSON"):
            list(made.read(body_source(file.read_bytes(), name=file.name)))
        return
    found = list(made.read(body_source(file.read_bytes(), name=file.name)))
    assert file.suffix == ".json"
    assert found
    for record in found:
        assert record.events or record.troubles or record.ignored
        for trouble in record.troubles:
            assert trouble.pointer or "no kind of payload" in trouble.message
    sold = transactions(found)
    assert sum(summed(found).values()) == sum(t.total for t in sold)
    if file.name in TOTALS:
        assert summed(found) == TOTALS[file.name]
        assert all(set(faults(t)) <= {"business_date_invalid"} for t in sold)


def test_a_payload_whose_lines_are_not_its_money_is_raised() -> None:
    assert FOLDER is not None
    file = FOLDER / "shopify_py__refund.json"
    if not file.is_file():
        pytest.skip("the refund is not among the fixtures")
    (back,) = transactions(list(SPEC.configure({}, of="test").read(body_source(file.read_bytes()))))
    assert "total_mismatch" in faults(back)
