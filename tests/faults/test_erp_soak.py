"""Hundreds of journals to a real ERP behind a very bad line: each is posted once, and the trial balances agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from driving import rows, scalar
from holding import check_everything
from rig import settings_with
from sending import Load
from store_days import Chain

from tillwire.connectors.tryton.faults import FaultPlan, FaultProxy

if TYPE_CHECKING:
    from erp_ledger import Ledger
    from rig import NewRig, Tell

pytestmark = [pytest.mark.faults, pytest.mark.erp]

_JOURNALS = 300
_RATES = {
    "unavailable": 0.10,
    "unavailable_retry_after": 0.03,
    "rate_limited": 0.03,
    "lose_request": 0.10,
    "lose_reply": 0.15,
    "cut_reply": 0.10,
    "delay": 0.09,
}
"""Three calls of five that create or post are troubled."""


def test_soaking_the_erp_in_faults(new_rig: NewRig, company: str, unlucky_erp: Ledger, tell: Tell) -> None:
    chain = Chain(company, stores=30, sales=3, whole=False)
    days = iter(range(_JOURNALS // len(chain.stores)))
    # A delayed request reaches the ERP after its sender has gone, but well before it would be sent again.
    plan = FaultPlan(rates=_RATES, delay_s=2.0, retry_after_s=1, seed=11)
    with FaultProxy(unlucky_erp.url, plan) as proxy:
        erp = unlucky_erp.for_hub(proxy.url, timeout_s=1.5)
        rig = new_rig(settings_with(erp, settle_s=4.5, batch_journals=6))
        with Load(
            rig.place.url, chain.masters(), lambda _: chain.batches(lambda: next(days, None) is not None)
        ) as load:
            load.finish()
        rig.place.settle()
        assert not rig.deaths()
        events = check_everything(rig.place, load)
        faults, calls = proxy.injected.copy(), proxy.calls.total()
        proxy.plan = FaultPlan()
        journals = unlucky_erp.check(rig.place, company, load.events())
    assert journals >= _JOURNALS
    assert faults.keys() == _RATES.keys(), faults
    with rig.place.connect() as connection:
        incidents = dict(rows(connection, "SELECT kind, count(*) FROM erp_incident GROUP BY 1"))
        attempts = scalar(connection, "SELECT max(attempts) FROM journal")
    assert incidents.keys() >= {"unavailable", "rate_limited", "outcome_unknown"}, incidents
    tell(events=events, journals=journals, calls=calls, faults=faults.total(), most_attempts=attempts)
