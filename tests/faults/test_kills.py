"""kill -9 of every process at random moments under load: one kind at a time, all of them, and the supervisor itself."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil
import pytest
from driving import until
from holding import check_everything
from rig import Place, settings_with
from sending import Load
from store_days import Chain

from tillwire.config import Settings
from tillwire.connectors.tryton.faults import FaultPlan, FaultProxy
from tillwire.engines.ports import ReservedPort
from tillwire.engines.process import log_tail
from tillwire.engines.supervisor import read_runtime

if TYPE_CHECKING:
    from erp_ledger import Ledger
    from rig import NewRig, Tell

pytestmark = [pytest.mark.faults, pytest.mark.erp]

KINDS = {
    "api": ["api"],
    "workers": ["worker-1", "worker-2"],
    "relay": ["relay"],
    "dispatch": ["dispatch"],
    "postgres": ["postgres"],
    "nats": ["nats"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_killing(kind: str, new_rig: NewRig, company: str, unlucky_erp: Ledger, tell: Tell) -> None:
    names = KINDS[kind]
    chain = Chain(company, stores=8)
    rig = new_rig(settings_with(unlucky_erp.for_hub()))
    with Load(rig.place.url, chain.masters(), chain.batches, events_per_s=400) as load:
        rig.kill_at_random(names, times=4, chance=random.Random(f"kill/{kind}"))
        load.wait_sent(1_000)
        load.finish()
    rig.place.settle()
    rig.check_deaths(*names)
    events = check_everything(rig.place, load)
    journals = unlucky_erp.check(rig.place, company, load.events())
    tell(events=events, journals=journals, deaths=rig.deaths().total(), unanswered=load.troubles.total())


def test_killing_everything_in_turn_before_an_unreliable_erp(
    new_rig: NewRig, company: str, unlucky_erp: Ledger, tell: Tell
) -> None:
    chance = random.Random("kill/all")
    names = [name for kind in KINDS.values() for name in kind] * 2
    chance.shuffle(names)
    plan = FaultPlan(rates={"unavailable": 0.15, "lose_request": 0.1, "lose_reply": 0.15, "cut_reply": 0.1}, seed=7)
    chain = Chain(company, stores=6)
    with FaultProxy(unlucky_erp.url, plan) as proxy:
        rig = new_rig(settings_with(unlucky_erp.for_hub(proxy.url), batch_journals=4))
        with Load(rig.place.url, chain.masters(), chain.batches, events_per_s=250) as load:
            rig.kill_at_random(names, times=len(names), chance=chance, pause_s=1.5)
            load.wait_sent(1_000)
            load.finish()
        rig.place.settle()
        rig.check_deaths(*names)
        assert rig.deaths() == dict.fromkeys(names, 2)
        events = check_everything(rig.place, load)
        proxy.plan = FaultPlan()
        journals = unlucky_erp.check(rig.place, company, load.events())
    tell(events=events, journals=journals, deaths=rig.deaths().total(), erp_faults=proxy.injected.total())


class _Up:
    """``tillwire up`` as a process of its own, on one folder and port however often it is started."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.log = folder.with_name(f"{folder.name}.log")
        self._port = ReservedPort()
        self._settings = folder.with_name(f"{folder.name}.json")
        self._settings.write_bytes(msgspec.json.encode(settings))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port.number}"

    def start(self) -> None:
        """Start it; it is not ready yet."""
        command = [sys.executable, "-m", "tillwire", "up", "--data", str(self.folder), "--open"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self._port.number)],
                env={**os.environ, "TILLWIRE_SETTINGS": str(self._settings)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, log_tail(self.log)
            return bool((read_runtime(self.folder) or {}).get("ready"))

        until(ready, 90)

    def place(self) -> Place:
        written = (self.folder / "settings.json").read_bytes()
        return Place(msgspec.json.decode(written, type=Settings), self.url)

    def kill(self) -> list[psutil.Process]:
        """Kill the supervisor, and nothing else; returns its children."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children()
        self._process.send_signal(signal.SIGKILL)
        assert self._process.wait(10) == -signal.SIGKILL
        return children

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)
        self._port.release()
        self._settings.unlink()
        self.log.unlink()


@pytest.fixture
def up(hub_folder: Path, unlucky_erp: Ledger) -> Iterator[_Up]:
    hub = _Up(hub_folder, settings_with(unlucky_erp.for_hub()))
    hub.start()
    yield hub
    hub.close()


def test_killing_the_supervisor(up: _Up, company: str, unlucky_erp: Ledger, tell: Tell) -> None:
    chance = random.Random("kill/supervisor")
    chain = Chain(company, stores=8)
    up.wait_ready()
    orphans: list[psutil.Process] = []
    with Load(up.url, chain.masters(), chain.batches, events_per_s=400) as load:
        for _ in range(3):
            time.sleep(chance.uniform(0.3, 1.5))
            orphans += up.kill()
            up.start()
            up.wait_ready()
        load.wait_sent(1_000)
        load.finish()
    place = up.place()
    place.settle()
    events = check_everything(place, load)
    journals = unlucky_erp.check(place, company, load.events())
    assert len(orphans) >= 3 * 7
    assert [process for process in orphans if _lives(process)] == []
    tell(events=events, journals=journals, deaths=3, orphans=0, unanswered=load.troubles.total())


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
