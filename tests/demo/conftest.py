"""The retailer's data, read once for all tests of the demo."""

from __future__ import annotations

import pytest

from tillwire.demo.retailer import Retailer
from tillwire.intake.rules import Auditor, Policy
from tillwire.masterdata.snapshot import Snapshot


@pytest.fixture(scope="session")
def retailer() -> Retailer:
    """The whole year."""
    return Retailer(seed=1)


@pytest.fixture(scope="session")
def auditor(retailer: Retailer) -> Auditor:
    """The hub's rules with the retailer's master data."""
    snapshot = Snapshot()
    for record in retailer.master_records():
        snapshot.put(record)
    return Auditor(snapshot, Policy(past_days=36_500))
