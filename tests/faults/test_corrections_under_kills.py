"""Corrections of what was sent before, in any order and under kill -9: the last version has its effect, and none else."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from builders import Event, corrected, line
from holding import check_everything
from rig import settings_with
from sending import Load
from store_days import Chain

if TYPE_CHECKING:
    from rig import NewRig, Tell

pytestmark = pytest.mark.faults

_CORRECTED = 0.15
"""Share of sales that are sent again with other lines, some of them twice, a batch later or with the second first."""


class _Corrected:
    """A chain's batches, with corrections among them."""

    def __init__(self, chain: Chain) -> None:
        self.corrections = 0
        self._chain = chain
        self._chance = random.Random("corrections")

    def batches(self, more: Callable[[], bool]) -> Iterator[list[Event]]:
        later: list[Event] = []
        for some in self._chain.batches(more):
            yield some + later
            later = []
            for one in some:
                if "ended_at" in one["data"] and self._chance.random() < _CORRECTED:
                    later += self._versions(one)
            self.corrections += len(later)
        yield later

    def _versions(self, one: Event) -> list[Event]:
        pieces = [str(self._chance.randint(1, 9)) for _ in range(self._chance.randint(1, 2))]
        found = [
            corrected(one, version, line("milk", count, "1.50"), line("bread", "2", "1.00", discount=("0.25", "promo")))
            for version, count in enumerate(pieces, start=2)
        ]
        return self._chance.sample(found, len(found))


def test_correcting_while_everything_is_killed(new_rig: NewRig, company: str, tell: Tell) -> None:
    chance = random.Random("kill/corrections")
    names = ["worker-1", "postgres", "dispatch", "worker-2", "relay", "api", "worker-1", "worker-2"]
    chain = Chain(company, stores=4)
    corrections = _Corrected(chain)
    rig = new_rig(settings_with())
    with Load(rig.place.url, chain.masters(), corrections.batches, events_per_s=300) as load:
        rig.kill_at_random(names, times=len(names), chance=chance, pause_s=1.2)
        load.wait_sent(800)
        load.finish()
    rig.place.settle()
    rig.check_deaths(*names)
    assert corrections.corrections > 50
    events = check_everything(rig.place, load)
    tell(events=events, corrections=corrections.corrections, deaths=rig.deaths().total())
