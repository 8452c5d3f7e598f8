"""How long those wait who fail, by the hub's clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from driving import rows

from tillwire import clock
from tillwire.config import Access
from tillwire.governance import lockout
from tillwire.governance.lockout import LockedOut, subjects_of

SETTINGS = Access(free_failures=3, free_failures_of_address=6, most_wait_minutes=1)
Wait = Callable[[float], None]


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Wait:
    """Time goes on only by this."""
    now = [datetime(2026, 3, 2, 12, 0, tzinfo=UTC)]
    monkeypatch.setattr(clock, "now", lambda: now[0])

    def on(seconds: float) -> None:
        now[0] += timedelta(seconds=seconds)

    return on


def tries(connection: psycopg.Connection, name: str, address: str = "203.0.113.7") -> int:
    """The seconds that whoever fails once more has to wait; 0 if they were looked at."""
    try:
        lockout.attempt(connection, SETTINGS, subjects_of(name, address))
    except LockedOut as told:
        return told.wait_s
    return 0


def test_the_wait_doubles_up_to_the_longest(connection: psycopg.Connection, wait: Wait) -> None:
    assert [tries(connection, "anna") for _ in range(3)] == [0, 0, 0]
    waits = []
    for _ in range(9):
        left = tries(connection, "anna", f"198.51.100.{len(waits)}")
        waits.append(left)
        assert tries(connection, "anna", "192.0.2.1") == left, "an attempt that is not looked at counts for nothing"
        wait(left)
        assert tries(connection, "anna", f"198.51.100.{len(waits)}") == 0
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_person_is_forgiven_after_a_day_without_a_failure(connection: psycopg.Connection, wait: Wait) -> None:
    for _ in range(3):
        tries(connection, "anna")
    assert tries(connection, "anna") == 1
    wait(86_400)
    assert [tries(connection, "anna") for _ in range(3)] == [0, 0, 0]
    assert tries(connection, "anna") == 1


def test_an_address_is_forgiven_one_a_minute(connection: psycopg.Connection, wait: Wait) -> None:
    assert [tries(connection, f"name-{number}") for number in range(6)] == [0] * 6
    assert tries(connection, "another") == 1
    wait(60)
    assert tries(connection, "another") == 0
    assert tries(connection, "and another") == 1
    wait(6 * 60)
    assert [tries(connection, f"more-{number}") for number in range(6)] == [0] * 6


def test_who_signs_in_is_forgiven_and_takes_nothing_from_their_neighbours(
    connection: psycopg.Connection, wait: Wait
) -> None:
    for number in range(4):
        tries(connection, f"neighbour-{number}")
    tries(connection, "anna")
    lockout.succeeded(connection, subjects_of("anna", "203.0.113.7"))
    counted = dict(rows(connection, "SELECT subject, failures FROM sign_in_failure WHERE failures > 0"))
    assert counted.pop("address 203.0.113.7") == 4
    assert sorted(counted.values()) == [1, 1, 1, 1]


def test_who_guesses_goes_on_waiting_though_they_sign_in_as_themselves_between(
    connection: psycopg.Connection, wait: Wait
) -> None:
    looked_at = 0
    for number in range(60):
        looked_at += tries(connection, f"victim-{number}") == 0
        if tries(connection, "mallory") == 0:
            lockout.succeeded(connection, subjects_of("mallory", "203.0.113.7"))
    assert looked_at <= 6


def test_a_password_alone_forgives_no_codes_that_were_guessed(connection: psycopg.Connection, wait: Wait) -> None:
    for _ in range(2):
        assert tries(connection, "anna") == 0  # the password
        lockout.succeeded(connection, subjects_of("anna", "203.0.113.7"), wholly=False)
        assert tries(connection, "anna") == 0  # a code
    assert tries(connection, "anna") == 0
    assert tries(connection, "anna") == 1


def test_what_is_counted_names_nobody() -> None:
    name, address = subjects_of("anna", "2001:db8:1:2:3:4:5:6")
    assert "anna" not in name
    assert subjects_of("ANNA", "2001:db8:1:2::1") == (name, address), "of IPv6, the network that somebody has"
    assert address == "address 2001:db8:1:2::/64"
    assert subjects_of("anna", "unknown")[1] == "address unknown"


def test_what_is_forgotten_is_taken_away(connection: psycopg.Connection, wait: Wait) -> None:
    tries(connection, "anna")
    wait(86_300)
    tries(connection, "berta", "192.0.2.9")
    wait(200)
    lockout.sweep(connection)
    assert len(rows(connection, "SELECT * FROM sign_in_failure")) == 2
