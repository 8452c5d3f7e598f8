"""Every named fault point: the process dies there again and again under load, and everything still holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from driving import until
from holding import check_everything
from rig import Rig, settings_with
from sending import Load
from store_days import Chain

import tillwire
from tillwire.faultpoints import FAULT_POINTS

if TYPE_CHECKING:
    from erp_ledger import Ledger
    from rig import NewRig, Tell

pytestmark = pytest.mark.faults

_DEATHS = 3


class _Case(NamedTuple):
    """``nth``: at which pass a process dies; more than one, so that each life gets something done."""

    children: tuple[str, ...]
    nth: int


_WORKERS = ("worker-1", "worker-2")
WITHOUT_ERP = {
    "intake.before_commit": _Case(("api",), 8),
    "intake.after_commit": _Case(("api",), 8),
    "worker.after_claim": _Case(_WORKERS, 5),
    "worker.between_copies": _Case(_WORKERS, 5),
    "worker.after_raise": _Case(_WORKERS, 5),
    "worker.before_commit": _Case(_WORKERS, 5),
    "worker.after_commit": _Case(_WORKERS, 5),
    "relay.after_publish": _Case(("relay",), 8),
    "relay.after_position": _Case(("relay",), 8),
}
WITH_ERP = {
    "posting.after_build": _Case(("dispatch",), 2),
    "posting.before_send": _Case(("dispatch",), 2),
    "posting.after_send": _Case(("dispatch",), 2),
    # Settling what the last life left passes by twice.
    "posting.before_record": _Case(("dispatch",), 4),
}


ELSEWHERE = {
    "foreign.after_receive": "test_connect_faults.py",
    "pull.after_delivery": "test_connect_faults.py",
    "normalise.before_commit": "test_foreign.py",
    "drop.after_claim": "test_dropfolder.py",
    "drop.after_check": "test_dropfolder.py",
    "drop.before_commit": "test_dropfolder.py",
    "drop.after_batch": "test_dropfolder.py",
    "drop.before_move": "test_dropfolder.py",
    "posting.after_reserve": "test_dispatch_faults.py",
    "posting.after_callback": "test_dispatch_faults.py",
    "posting.after_pull": "test_dispatch_faults.py",
    "alerts.before_send": "test_alert_deliveries.py",
    "alerts.after_send": "test_alert_deliveries.py",
}
"""Points at which a test of its own, below tests/integration, kills a process."""


def test_every_point_is_passed_by_and_tested() -> None:
    sources = Path(tillwire.__file__).parent.rglob("*.py")
    passed = {point for source in sources for point in re.findall(r'passing\("([^"]+)"\)', source.read_text("utf-8"))}
    assert passed == FAULT_POINTS == WITHOUT_ERP.keys() | WITH_ERP.keys() | ELSEWHERE.keys()
    for point, file in ELSEWHERE.items():
        assert point in (Path(__file__).parent.parent / "integration" / file).read_text("utf-8"), point


def _die_under(load: Load, rig: Rig, case: _Case) -> int:
    """Let the children die at the point until that is enough, disarm in the middle of the load, and let it settle."""

    def enough() -> bool:
        return load.goes_on() and sum(rig.deaths().values()) >= _DEATHS

    until(enough, 150)
    rig.disarm()
    load.finish()
    rig.place.settle()
    rig.check_deaths(*case.children)
    return sum(rig.deaths().values())


@pytest.mark.parametrize("point", sorted(WITHOUT_ERP))
def test_dying_at(point: str, new_rig: NewRig, company: str, tell: Tell) -> None:
    case = WITHOUT_ERP[point]
    chain = Chain(company)
    rig = new_rig(settings_with(), fault=f"{point}:{case.nth}")
    with Load(rig.place.url, chain.masters(), chain.batches) as load:
        deaths = _die_under(load, rig, case)
    events = check_everything(rig.place, load)
    _CHECKS.get(point, _nothing_more)(load)
    tell(events=events, deaths=deaths, unanswered=load.troubles.total())


@pytest.mark.erp
@pytest.mark.parametrize("point", sorted(WITH_ERP))
def test_dying_while_posting_at(point: str, new_rig: NewRig, company: str, unlucky_erp: Ledger, tell: Tell) -> None:
    case = WITH_ERP[point]
    chain = Chain(company, stores=6)
    rig = new_rig(settings_with(unlucky_erp.for_hub(), batch_journals=4), fault=f"{point}:{case.nth}")
    with Load(rig.place.url, chain.masters(), chain.batches, events_per_s=300) as load:
        deaths = _die_under(load, rig, case)
    events = check_everything(rig.place, load)
    journals = unlucky_erp.check(rig.place, company, load.events())
    tell(events=events, journals=journals, deaths=deaths)


def _stored_but_not_answered(load: Load) -> None:
    """The API died with events on disk whose senders had no answer: they learn of it as duplicates."""
    assert load.first_answers()["duplicate"]
    assert load.troubles


def _not_answered(load: Load) -> None:
    assert load.troubles


def _nothing_more(_: Load) -> None:
    pass


_CHECKS: dict[str, Callable[[Load], None]] = {
    "intake.before_commit": _not_answered,
    "intake.after_commit": _stored_but_not_answered,
}
