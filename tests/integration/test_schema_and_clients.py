"""Migrations run once however many start together, and say what becomes of what was there before."""

from __future__ import annotations

import hashlib
import threading

import psycopg
import pytest
from driving import rows, scalar

from tillwire.database.migrate import available, migrate
from tillwire.errors import ConfigurationError
from tillwire.governance.access import Operation
from tillwire.governance.clients import KEYS_IN_FORCE, clients
from tillwire.governance.keys import KeyRing


def test_migrations_of_several_starts_run_once(fresh_database: str) -> None:
    barrier = threading.Barrier(4)
    ran: list[list[str]] = []
    failures: list[BaseException] = []

    def run() -> None:
        barrier.wait(30)
        try:
            ran.append(migrate(fresh_database))
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    everything = [name for _, name, _ in available()]
    assert sorted(ran, key=len) == [[], [], [], everything]
    assert migrate(fresh_database) == []
    with psycopg.connect(fresh_database) as connection:
        noted = rows(connection, "SELECT number, name FROM schema_migration ORDER BY number")
        assert noted == [(number, name) for number, name, _ in available()]


def test_migrations_are_numbered_without_a_hole() -> None:
    assert [number for number, _, _ in available()] == list(range(1, len(available()) + 1))


def test_a_database_of_a_newer_release_is_refused_untouched(database_url: str, connection: psycopg.Connection) -> None:
    newest = max(number for number, _, _ in available())
    connection.execute("INSERT INTO schema_migration (number, name) VALUES (%s, 'from the future')", (newest + 1,))
    with pytest.raises(ConfigurationError, match="newer release"):
        migrate(database_url)
    assert scalar(connection, "SELECT count(*) FROM schema_migration") == newest + 1


def test_a_migration_that_fails_leaves_nothing(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = available()
    broken = (len(first) + 1, "9999_broken.sql", "CREATE TABLE half_done (); SELECT 1/0")
    monkeypatch.setattr("tillwire.database.migrate.available", lambda: [*first, broken])
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(fresh_database)
    with psycopg.connect(fresh_database) as connection:
        assert scalar(connection, "SELECT to_regclass('half_done')") is None
        assert scalar(connection, "SELECT count(*) FROM schema_migration") == len(first)
    monkeypatch.undo()
    assert migrate(fresh_database) == []


def test_clients_of_the_release_before_keep_what_they_could_do(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tillwire.database.migrate.make_views", lambda _: None)
    everything = available()
    monkeypatch.setattr("tillwire.database.migrate.available", lambda: everything[:8])
    migrate(fresh_database)
    with psycopg.connect(fresh_database, autocommit=True) as connection:
        for name, revoked in (("till vendor", None), ("gone", "2026-01-01")):
            digest = hashlib.sha256(name.encode()).digest()
            connection.execute(
                "INSERT INTO api_client (name, key_digest, revoked_at) VALUES (%s, %s, %s)", (name, digest, revoked)
            )
        monkeypatch.setattr("tillwire.database.migrate.available", lambda: everything[:9])
        assert migrate(fresh_database) == ["0009_access.sql"]
        ring = KeyRing()
        ring.refresh(rows(connection, KEYS_IN_FORCE))
        known = ring.of_key("till vendor")
        assert known is not None
        assert not known.expired
        may = {operation for operation in Operation if known.principal.may(operation)}
        assert {Operation.SEND_EVENTS, Operation.APPROVE_FIXES, Operation.WORK_LEDGER} <= may
        assert Operation.ADMINISTER_ACCESS not in may
        assert known.principal.reach(Operation.SEND_EVENTS, {}).stores is None
        assert ring.of_key("gone") is None
        assert [(one.name, one.revoked_at is None) for one in clients(connection)] == [
            ("gone", False),
            ("till vendor", True),
        ]
