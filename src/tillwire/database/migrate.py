"""Numbered SQL migrations, run once each, safely when several processes start together."""

from __future__ import annotations

from importlib.resources import files

import psycopg

from tillwire.errors import ConfigurationError

_LOCK = 0x7111_0001
"""Key of the advisory lock under which migrations run: whoever comes second waits and finds nothing to do."""


def available() -> list[tuple[int, str, str]]:
    """Every migration that ships: number, file name, SQL; in order."""
    folder = files("tillwire.database").joinpath("migrations")
    found = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.split("_", 1)[0]), name, folder.joinpath(name).read_text("utf-8")) for name in found]


def migrate(database_url: str) -> list[str]:
    """Bring the database to this release's schema; returns the names of the migrations that ran.

    Each runs in a transaction of its own. Raises ``ConfigurationError`` if the database is of a newer release.
    """
    ran: list[str] = []
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration"
            " (number integer PRIMARY KEY, name text NOT NULL, ran_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        done = {number for (number,) in connection.execute("SELECT number FROM schema_migration")}
        known = available()
        newest = max(number for number, _, _ in known)
        if done and max(done) > newest:
            raise ConfigurationError(
                f"the database has migration {max(done)}, this release knows {newest}: run a newer release on it"
            )
        for number, name, sql in known:
            if number in done:
                continue
            with connection.transaction():
                connection.execute(sql.encode())
                connection.execute("INSERT INTO schema_migration (number, name) VALUES (%s, %s)", (number, name))
            ran.append(name)
        if ran:
            make_views(connection)
    return ran


def make_views(connection: psycopg.Connection) -> None:
    """Make the views over projections, which a migration or a replay may have taken away."""
    connection.execute(files("tillwire.database").joinpath("views.sql").read_bytes(), prepare=False)
