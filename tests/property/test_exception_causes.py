"""Faults, fixes, holds and arrivals in any order end in the state of a run where no fault ever was."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import psycopg
from builders import (
    Event,
    changed,
    day_close,
    fulfilment,
    level,
    line,
    masters,
    movement,
    post_void,
    product,
    raw,
    returned,
    sale,
    store,
)
from driving import accept, check_event_store, make_worker, record, state
from fixture_types import NewDatabase
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tillwire.exceptions import fixes, queue
from tillwire.reconciliation.days import reconcile

FRUITS = ("pear", "plum", "fig")
STORES = ("101", "102")
LATE: list[Event] = [*(product(fruit, "fruit") for fruit in FRUITS), store("102")]
"""Master records that come at any time; what lacks them clears itself."""

FEW = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)


def original(one: Event) -> dict[str, Any]:
    return {name: one["data"][name] for name in ("store", "register", "business_date", "sequence")}


def retailer(chance: random.Random) -> tuple[list[Event], dict[str, Event]]:
    """What stores send, in their order, and the payloads that mend what is wrong in some of it, by key."""
    events: list[Event] = []
    remedies: dict[str, Event] = {}
    for number in STORES:
        sold: list[Event] = []
        for sequence in range(1, chance.randrange(4, 12)):
            sku = chance.choice((*FRUITS, "milk", "milk"))
            kind = chance.choice(("sale", "sale", "sale", "return", "void"))
            if kind == "sale" or not sold:
                one = sale(sequence, line(sku, str(chance.randrange(1, 4)), "2.00"), store=number)
            elif kind == "return":
                before = chance.choice(sold)
                one = returned(sequence, line(sku, "-1", "2.00"), store=number, original=original(before))
            else:
                before = chance.choice(sold)
                sold.remove(before)
                one = post_void(sequence, before)
            sold += [one] if kind == "sale" else []
            if chance.random() < 0.2 and one["data"]["kind"] == "sale":
                data = one["data"]
                remedies["/".join(str(data[name]) for name in ("store", "register", "business_date", "sequence"))] = one
                one = changed(one, total=str(Decimal(data["total"]) + 1))
            events.append(one)
        events += [movement(f"D-{number}", ((chance.choice(FRUITS), "10"),), store=number)]
        events += [level(chance.choice(FRUITS), store=number), fulfilment(f"F-{number}", store=number)]
    return events, remedies


@FEW
@given(seed=st.integers(0, 2**32))
def test_any_interleaving_ends_as_if_no_fault_had_been(new_database: NewDatabase, seed: int) -> None:
    chance = random.Random(seed)
    events, remedies = retailer(chance)
    key = lambda one: "/".join(  # noqa: E731
        str(one["data"].get(name)) for name in ("store", "register", "business_date", "sequence")
    )
    right = [remedies.get(key(one), one) for one in events]
    closes = [day_close([one for one in right if one["data"]["store"] == number], store=number) for number in STORES]
    with new_database() as straight, new_database() as troubled:
        accept(straight, masters(), LATE, right, closes)
        record(straight)
        accept(troubled, masters())
        with psycopg.connect(troubled, autocommit=True) as connection:
            waiting = [*(("event", one) for one in [*events, *closes]), *(("late", one) for one in LATE)]
            late = chance.sample(range(len(waiting)), len(LATE))
            lates = iter(chance.sample(LATE, len(LATE)))
            sent = iter([*events, *closes])
            for place in range(len(waiting)):
                accept(troubled, [next(lates) if place in late else next(sent)])
                if chance.random() < 0.5:
                    make_worker(connection, most_events=chance.choice((1, 3, 1000))).work_once()
                if chance.random() < 0.4:
                    mend(connection, remedies, chance)
            for _ in range(50):
                if not record(troubled) and not mend(connection, remedies, random.Random(0), all_of_it=True):
                    break
            assert queue.found(connection, queue.Filter(states=queue.IN_QUEUE, severity="blocking")) == []
            check_event_store(connection, len(masters()) + len(LATE) + len(events) + len(closes))
            with psycopg.connect(straight, autocommit=True) as one:
                assert business(state(one)) == business(state(connection))
                assert figures(one) == figures(connection)


def business(known: dict[str, Any]) -> dict[str, Any]:
    """The state without what was only passing through the queue."""
    return {name: value for name, value in known.items() if name != "exception"}


def figures(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """What reconciliation proves of each day."""
    report = reconcile(connection)
    return [(day.store, day.captured, day.recorded, day.in_exceptions, day.differences) for day in report.days]


def mend(
    connection: psycopg.Connection, remedies: dict[str, Event], chance: random.Random, *, all_of_it: bool = False
) -> int:
    """Work the queue a little, as people would: retry something, edit what can be edited; returns what was done."""
    done = 0
    for row in queue.found(connection, queue.Filter(severity="blocking")):
        if not all_of_it and chance.random() < 0.5:
            continue
        if row.key in remedies and row.code in ("total_mismatch", "tender_mismatch"):
            limit = Decimal(0) if chance.random() < 0.5 else Decimal(1000)
            how: dict[str, Any] = {"by": "anna", "reason": "the total was wrong", "limit": limit}
            if fixes.edit(connection, row.exception_id, raw(remedies[row.key]), **how).state == "approval":
                fixes.approve(connection, row.exception_id, by="berta")
            done += 1
        elif not all_of_it:
            done += queue.retry(connection, cause=row.cause, by="anna")
    return done
