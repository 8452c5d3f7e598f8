"""Many at once: workers, retries, fixes and master data in each other's way, and workers that die in between."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from builders import line, masters, movement, product, raw, returned, sale, store
from driving import accept, check_event_store, check_projections, load, make_worker, record, rows, scalar, until

from tillwire.exceptions import fixes, queue

STORES = ("101", "102", "103", "104")
FRUITS = ("pear", "plum", "fig")


def trade(chance: random.Random) -> list[Any]:
    """Sales of fruits and their returns, in stores of several partitions."""
    events = []
    for number in STORES:
        for sequence in range(1, 31, 2):
            sku = chance.choice((*FRUITS, "milk"))
            sold = sale(sequence, line(sku), store=number)
            names = ("store", "register", "business_date", "sequence")
            original = {name: sold["data"][name] for name in names}
            back = returned(sequence + 1, line(sku, "-1"), store=chance.choice(STORES), register="2", original=original)
            back["data"]["sequence"] = 1000 + 100 * int(number) + sequence
            events += [sold, back, movement(f"D-{sequence}", ((chance.choice(FRUITS), "1"),), store=number)]
    return events


def test_workers_retries_and_master_data_all_at_once(database_url: str, connection: psycopg.Connection) -> None:
    chance = random.Random(7)
    base = masters(*(store(number) for number in STORES))
    load(database_url, *base)
    events = trade(chance)
    stop = threading.Event()
    failures: list[BaseException] = []

    def guarded(work: Any) -> threading.Thread:
        def run() -> None:
            with psycopg.connect(database_url, autocommit=True) as own:
                step = work(own)
                while not stop.is_set():
                    try:
                        step()
                    except psycopg.errors.DeadlockDetected:  # ended by the database: does its work again
                        pass
                    except BaseException as error:  # noqa: BLE001 - told by the test
                        failures.append(error)
                        return

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def worker(own: psycopg.Connection) -> Any:
        return make_worker(own, most_events=7, most_partitions=2).work_once

    def retry(own: psycopg.Connection) -> Any:
        own_chance = random.Random(id(own))
        return lambda: queue.retry(own, cause=f"unknown_product:{own_chance.choice(FRUITS)}")

    threads = [guarded(work) for work in (worker, worker, worker, retry, retry)]
    for start in range(0, len(events), 10):
        accept(database_url, events[start : start + 10])
    for fruit in FRUITS:
        accept(database_url, [product(fruit, "fruit")])

    def nothing_left() -> bool:
        waiting = scalar(connection, "SELECT count(*) FROM intake_queue")
        held = "SELECT count(*) FROM exception WHERE state IN ('open', 'waiting', 'retrying') AND severity = 'blocking'"
        return bool(failures) or waiting + scalar(connection, held) == 0

    try:
        until(nothing_left, 60)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert failures == []
    fruits = [product(fruit, "fruit") for fruit in FRUITS]
    check_event_store(connection, len(base) + len(fruits) + len(events))
    check_projections(connection, [*base, *fruits, *events])


def test_two_who_edit_at_once(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1, line("pear")))
    (row,) = queue.listed(connection)
    outcomes: list[str] = []

    def edit(price: str) -> None:
        with psycopg.connect(database_url, autocommit=True) as own:
            payload = raw(sale(1, line("milk", "1", price)))
            how: dict[str, Any] = {"by": "anna", "reason": "because", "limit": Decimal(1000)}
            try:
                outcomes.append(fixes.edit(own, row.exception_id, payload, **how).state)
            except fixes.FixRefused:
                outcomes.append("refused")

    threads = [threading.Thread(target=edit, args=(price,)) for price in ("3.00", "4.00", "5.00")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["refused", "refused", "retrying"]
    assert record(database_url) == 1
    assert scalar(connection, "SELECT count(*) FROM sale") == 1


_DYING = """
import sys
import psycopg
sys.path[:0] = sys.argv[2:]
from driving import make_worker
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    worker = make_worker(connection)
    while worker.work_once():
        pass
"""


@pytest.mark.parametrize(
    "point", ["worker.after_claim", "worker.after_raise", "worker.before_commit", "worker.after_commit"]
)
def test_a_worker_that_dies_leaves_the_queue_whole(
    database_url: str, connection: psycopg.Connection, point: str
) -> None:
    """It dies while raising and holding, while clearing, and while what was held is released."""
    broken = sale(1, line("pear"), line("milk", "9", "2.00"))
    names = ("store", "register", "business_date", "sequence")
    back = returned(2, original={name: broken["data"][name] for name in names})
    load(database_url, *masters())
    path = [str(Path(__file__).parents[1])]

    def die() -> None:
        environment = {**os.environ, "TILLWIRE_FAULT": f"{point}:1"}
        ended = subprocess.run(
            [sys.executable, "-c", _DYING, database_url, *path], env=environment, capture_output=True, check=False
        )
        assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()

    accept(database_url, [broken, back, sale(3)])
    die()
    record(database_url)
    found = "SELECT state FROM exception WHERE severity = 'blocking' ORDER BY key"
    assert rows(connection, found) == [("open",), ("waiting",)]
    accept(database_url, [product("pear", "fruit")])
    for _ in range(3):  # recording the product and clearing; the sale and what waits behind it; the return
        if scalar(connection, "SELECT count(*) FROM intake_queue"):
            die()
    record(database_url)
    assert rows(connection, found) == [("resolved",), ("resolved",)]
    check_projections(connection, [*masters(), product("pear", "fruit"), broken, back, sale(3)])
    check_event_store(connection, len(masters()) + 4)
