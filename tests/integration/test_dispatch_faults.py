"""A dispatcher's process that dies by SIGKILL, at every point where it may: nothing is posted twice, nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psycopg
import pytest
from driving import rows, scalar, until
from erp_fake import all_are, deal, posted, references, several_days, states, three_journals
from plain_erp import PlainErp

TESTS = Path(__file__).parent.parent

POINTS = {
    "posting.after_reserve": 4,
    "posting.before_send": 2,
    "posting.after_send": 1,
    "posting.before_record": 1,
}
"""Each with the pass at which a process dies: each life gets something done."""


def process(*arguments: str, fault: str = "") -> subprocess.Popen[bytes]:
    """One of ``dispatching``'s processes."""
    environment = {**os.environ, "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{TESTS}"}
    if fault:
        environment["TILLWIRE_FAULT"] = fault
    argv = [sys.executable, str(TESTS / "dispatching.py"), *arguments]
    return subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )


def dies(one: subprocess.Popen[bytes]) -> None:
    """It dies as it is told to."""
    one.wait(60)
    assert one.returncode == -signal.SIGKILL


def run_until_posted(connection: psycopg.Connection, *arguments: str) -> None:
    """A process that is left alone, until everything is posted."""
    one = process("dispatch", *arguments)
    try:
        until(lambda: scalar(connection, "SELECT count(*) = 0 FROM journal WHERE state <> 'posted'"), 60)
    finally:
        assert one.stdin is not None
        one.stdin.close()
        one.wait(30)


def check_books(erp: PlainErp, expected: Sequence[str]) -> None:
    """Every journal once."""
    assert sorted(document.reference for document in erp.books.documents.values()) == sorted(expected)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("point", sorted(POINTS))
def test_dying_at(point: str, asynchronous: bool, database_url: str, connection: psycopg.Connection) -> None:
    several_days(database_url, connection, 4)
    deal(connection)
    with PlainErp(asynchronous=asynchronous) as erp:
        for _ in range(2):
            if scalar(connection, "SELECT count(*) = 0 FROM journal WHERE state NOT IN ('posted', 'accepted')"):
                break
            dies(process("dispatch", database_url, erp.url, fault=f"{point}:{POINTS[point]}"))
        if asynchronous:
            one = process("dispatch", database_url, erp.url)
            until(lambda: scalar(connection, "SELECT count(*) = 12 FROM journal WHERE state = 'accepted'"), 60)
            one.kill()
            one.wait(30)
            erp.finish_work()
        run_until_posted(connection, database_url, erp.url)
        check_books(erp, references(connection))
    assert scalar(connection, "SELECT failures FROM erp_gate") == 0


def test_dying_in_the_middle_of_a_pull(database_url: str, connection: psycopg.Connection) -> None:
    """What was taken in is there; the next dispatcher pulls again, and what has not changed makes no event."""
    accounts = "SELECT count(*) FROM intake WHERE key LIKE 'account:%'"
    with PlainErp() as erp:
        for _ in range(2):
            dies(process("dispatch", database_url, erp.url, fault="posting.after_pull"))
            assert scalar(connection, accounts) == 2
        one = process("dispatch", database_url, erp.url)
        until(lambda: scalar(connection, "SELECT pulled_at IS NOT NULL FROM erp_gate"))
        one.kill()
        one.wait(30)
    assert scalar(connection, accounts) == 2


def test_dying_after_a_callback(database_url: str, connection: psycopg.Connection) -> None:
    """posting.after_callback: it is on disk; the ERP, which had no answer, calls again."""
    built = three_journals(database_url, connection)
    body = msgspec.json.encode([posted(reference) for reference in built]).decode()
    dies(process("call_back", database_url, body, fault="posting.after_callback"))
    assert states(connection) == all_are("posted", built)
    before = rows(connection, "SELECT reference, posted_at FROM journal ORDER BY 1")
    answer, _ = process("call_back", database_url, body).communicate(timeout=60)
    assert msgspec.json.decode(answer) == {"outcomes": 3, "changed": 0}
    assert rows(connection, "SELECT reference, posted_at FROM journal ORDER BY 1") == before
