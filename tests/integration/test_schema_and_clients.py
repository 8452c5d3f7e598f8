"""Migrations run once however many start together; clients come and go; keys are never kept."""

from __future__ import annotations

import hashlib
import threading

import psycopg
import pytest
from driving import rows, scalar

from tillwire.database.migrate import available, migrate
from tillwire.errors import ConfigurationError, TillwireError
from tillwire.governance.clients import KEYS_IN_FORCE, add_client, clients, digest_of, revoke_client


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


def test_a_key_is_shown_once_and_its_digest_kept(connection: psycopg.Connection) -> None:
    key = add_client(connection, "till vendor")
    assert key.startswith("tw_")
    assert len(key) > 40
    assert key != add_client(connection, "another")
    ((digest,),) = rows(connection, "SELECT key_digest FROM api_client WHERE name = 'till vendor'")
    assert bytes(digest) == digest_of(key) == hashlib.sha256(key.encode()).digest()
    assert key.encode() not in b"".join(
        bytes(row[0]) for row in rows(connection, "SELECT api_client::text::bytea FROM api_client")
    )
    assert rows(connection, KEYS_IN_FORCE)[0][1] in ("till vendor", "another")


def test_a_name_is_taken_once(connection: psycopg.Connection) -> None:
    add_client(connection, "till vendor")
    with pytest.raises(TillwireError, match="till vendor"):
        add_client(connection, "till vendor")
    assert len(clients(connection)) == 1


def test_a_revoked_key_is_out_of_force(connection: psycopg.Connection) -> None:
    add_client(connection, "a")
    kept = add_client(connection, "b")
    revoke_client(connection, "a")
    assert [bytes(digest) for digest, _ in rows(connection, KEYS_IN_FORCE)] == [digest_of(kept)]
    assert [(name, revoked is None) for name, _, revoked in clients(connection)] == [("a", False), ("b", True)]
    for gone in ("a", "never there"):
        with pytest.raises(TillwireError, match=gone):
            revoke_client(connection, gone)
