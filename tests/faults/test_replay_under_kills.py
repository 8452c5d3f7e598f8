"""A full replay while workers record and are being killed: identical, and nothing outside hears of it."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from builders import Event, cash_movement
from driving import rows, scalar, until
from holding import check_everything
from rig import Place, Rig, settings_with
from sending import Load
from store_days import FIRST_DAY, Chain

from tillwire.connectors.tryton.faults import FaultProxy
from tillwire.replay import Outcome, replay_inline

if TYPE_CHECKING:
    from erp_ledger import Ledger
    from rig import NewRig, Tell

pytestmark = [pytest.mark.faults, pytest.mark.erp]

_REPLAYS = 3
_DEATHS = 2
"""So many replays at least, and so many deaths of workers while one of them ran."""
_POSTING = (
    "SELECT * FROM journal ORDER BY journal_id",
    "SELECT * FROM journal_line ORDER BY journal_id, line",
    "SELECT * FROM posting_cursor ORDER BY 1, 2",
    "SELECT * FROM posting_due ORDER BY 1, 2",
)


def _posting(place: Place) -> list[list[tuple[Any, ...]]]:
    with place.connect() as connection:
        return [rows(connection, query) for query in _POSTING]


def _recorded(place: Place) -> int:
    with place.connect() as connection:
        return int(scalar(connection, "SELECT sum(next_offset) FROM event_partition"))


def _replay_until_enough_died(rig: Rig, load: Load) -> list[Outcome]:
    """Replay again and again, each time with more events."""
    outcomes: list[Outcome] = []
    meanwhile = 0
    while len(outcomes) < _REPLAYS or meanwhile < _DEATHS:
        wanted = 300 * (len(outcomes) + 1)
        until(lambda wanted=wanted: load.goes_on() and _recorded(rig.place) > wanted, 90)
        before = rig.deaths().total()
        outcomes.append(replay_inline(rig.place.settings, processes=1))
        meanwhile += rig.deaths().total() - before
        assert len(outcomes) < 20, "workers hardly ever died during a replay"
    return outcomes


def test_replaying_while_workers_are_killed(new_rig: NewRig, company: str, unlucky_erp: Ledger, tell: Tell) -> None:
    chain = Chain(company, stores=8)
    with FaultProxy(unlucky_erp.url) as proxy:
        rig = new_rig(settings_with(unlucky_erp.for_hub(proxy.url)))
        place = rig.place
        replayed = threading.Event()

        def kill_workers() -> None:
            chance = random.Random("kill/replay")
            while not replayed.is_set():
                rig.kill_at_random(["worker-1", "worker-2"], times=2, chance=chance, pause_s=1.5)

        with ThreadPoolExecutor(1) as pool, Load(place.url, chain.masters(), chain.batches, events_per_s=300) as load:
            killing = pool.submit(kill_workers)
            try:
                outcomes = _replay_until_enough_died(rig, load)
            finally:
                replayed.set()
            killing.result()
            load.finish()
        assert [outcome.tables for outcome in outcomes if not outcome.identical] == []
        assert all(outcome.events for outcome in outcomes)
        place.settle()
        rig.check_deaths("worker-1", "worker-2")
        events = check_everything(place, load)

        before, calls = _posting(place), proxy.calls.copy()
        last = replay_inline(place.settings)
        assert (last.identical, last.events) == (True, events)
        assert _posting(place) == before
        # What comes now makes one journal and the calls of one journal: the replay has given the dispatcher no other.
        load.deliver([_late_pay_in(chain, load)])
        place.settle()
        assert _posting(place)[0][:-1] == before[0]
        made = proxy.calls - calls
        assert (made["model.account.move.create"], made["model.account.move.post"]) == (1, 1), made
        check_everything(place, load)
        journals = unlucky_erp.check(place, company, load.events())
    tell(events=events, journals=journals, deaths=rig.deaths().total(), replays=len(outcomes) + 1)


def _late_pay_in(chain: Chain, load: Load) -> Event:
    """Cash that comes into the till of a store and day that were closed, under the register's next number."""
    at = {"store": chain.stores[0], "register": "1", "business_date": str(FIRST_DAY)}
    taken = [
        one["data"]["sequence"] for one in load.events() if at.items() <= one["data"].items() and "kind" in one["data"]
    ]
    return cash_movement(max(taken) + 1, "pay_in", "5.00", store=at["store"], register="1", day=FIRST_DAY)
