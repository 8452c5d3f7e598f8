"""kill -9 of whatever takes part while other systems post messages and drop files: each sale once, each file put away."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from builders import store
from driving import rows, until
from holding import check_everything
from rig import settings_with
from sending import Load
from shop_systems import POSTED, ShopSystems, connections, flat
from store_days import Chain

if TYPE_CHECKING:
    from rig import NewRig, Rig, Tell

pytestmark = pytest.mark.faults

_KILLED = ["connect", "worker-1", "worker-2", "api", "postgres", "connect"] * 2


def test_killing_while_systems_post_and_drop(new_rig: NewRig, hub_folder: Path, company: str, tell: Tell) -> None:
    chance = random.Random("kill/connections")
    names = chance.sample(_KILLED, len(_KILLED))
    chain = Chain(company, stores=2)
    posting, dropping = f"{company}-p", f"{company}-d"
    first = [*chain.masters(), *(store(number, company=company) for number in (posting, dropping))]
    inbox = hub_folder / "inbox"
    inbox.mkdir()
    rig = new_rig(msgspec.structs.replace(settings_with(), connections=connections(inbox)))
    with Load(rig.place.url, first, chain.batches, clients=2, events_per_s=100) as load:
        with ShopSystems(rig.place.url, inbox, posting=posting, dropping=dropping) as systems:
            rig.kill_at_random(names, times=len(names), chance=chance, pause_s=1.2)
        sold = systems.sales(dropping, 1_500)
        systems.events += sold
        odd = {"twice.csv", "spoilt.csv", "empty.csv"}
        systems.wait_put_away({"0001.csv"})
        systems.drop("twice.csv", (inbox / "done" / "0001.csv").read_bytes())
        systems.drop("empty.csv", b"")
        systems.wait_put_away({"twice.csv", "empty.csv"})
        systems.drop("spoilt.csv", flat(sold) + f"{dropping},99999,milk,1,1.00,1.00,0.10,none\n".encode())
        _kill_within_file(rig, "spoilt.csv", "connect", "postgres")
        load.finish()
        systems.wait_put_away(systems.files.keys() | odd)
        rig.place.settle()
        load.deliver(systems.closings())
    rig.place.settle()
    rig.check_deaths(*names)
    assert rig.deaths() == Counter([*names, "connect", "postgres"])
    events = check_everything(rig.place, load, systems.events, raised=["schema_drift"])
    _check_reports(systems, odd, in_spoilt=len(sold))
    with rig.place.connect() as connection:
        found = rows(connection, "SELECT state, count(*) FROM foreign_message WHERE connection = %s GROUP BY 1", POSTED)
    assert found == [("mapped", len(systems.answers))]
    for told in systems.answers.values():
        assert set(told) <= {"accepted", "duplicate"}
        assert "accepted" not in told[1:]
    figures = {"files": len(systems.files) + len(odd), "messages": len(systems.answers)}
    tell(events=events, **figures, deaths=rig.deaths().total(), unanswered=systems.troubles.total())


def _kill_within_file(rig: Rig, name: str, *children: str) -> None:
    """Kill each of these once some more of a file is recorded, but not all of it."""
    reached = 0
    for child in children:
        until(lambda: (_progress(rig, name) or ("", 0))[1] > reached, 60)  # noqa: B023 - called before it changes
        rig.kill(child)
        if child != "postgres":  # which answers nobody just now
            state, reached = _progress(rig, name) or ("", 0)
            assert state == "recording", (state, reached)


def _progress(rig: Rig, name: str) -> tuple[str, int] | None:
    """A file's state, and how many of its records are recorded; none while it is not known."""
    with rig.place.connect() as connection:
        found = rows(connection, "SELECT state, next_record FROM foreign_file WHERE name = %s", name)
    return (found[0][0], found[0][1]) if found else None


def _check_reports(systems: ShopSystems, odd: set[str], *, in_spoilt: int) -> None:
    """Assert that every file was put away where it belongs, with a report that tells what it held."""
    found: dict[str, dict[str, Any]] = {}
    for path in systems.reports():
        told = msgspec.json.decode(path.with_name(f"{path.name}.report.json").read_bytes())
        assert path.exists(), path
        assert path.parent.name == ("failed" if told["state"] == "failed" else "done")
        found[path.name] = told
    assert found.keys() == systems.files.keys() | odd
    for name, receipts in systems.files.items():
        told = found[name]
        assert told["state"] == "done", told
        assert [told[what] for what in _COUNTS] == [receipts, receipts, receipts, 0, 0, 0], told
        assert told["claimed"] == told["mapped"], told
    spoilt = found["spoilt.csv"]
    assert [spoilt[what] for what in _COUNTS] == [in_spoilt + 1, in_spoilt, in_spoilt, 0, 0, 1], spoilt
    assert [one["code"] for one in spoilt["troubles"]] == ["schema_drift"]
    assert found["twice.csv"]["state"] == "duplicate"
    assert found["twice.csv"]["duplicate_of"]["name"] == "0001.csv"
    assert found["empty.csv"]["state"] == "failed"
    assert found["empty.csv"]["reason"]


_COUNTS = ("records", "events", "accepted", "duplicate", "conflict", "failed")
