"""Engines for the tests, each started by the first test that asks for it, one set per pytest-xdist worker."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from fixture_types import NewDatabase

from tillwire.database.migrate import migrate
from tillwire.engines.nats import EmbeddedNats
from tillwire.engines.postgres import EmbeddedPostgres
from tillwire.engines.process import Child


@pytest.fixture(scope="session")
def engines_folder() -> Iterator[Path]:
    """A folder with a short path that other system users may pass through, unlike those that pytest makes."""
    folder = Path(tempfile.mkdtemp(prefix="tillwire-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres(engines_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A running PostgreSQL that trades durability for speed; it dies with the test process."""
    server = EmbeddedPostgres(engines_folder / "postgres", durable=False)
    with Child(server.spec()):
        yield server


@pytest.fixture(scope="session")
def nats(engines_folder: Path) -> Iterator[EmbeddedNats]:
    """A running NATS with JetStream that trades durability for speed; it dies with the test process."""
    server = EmbeddedNats(engines_folder / "nats", durable=False)
    with Child(server.spec()):
        yield server


@pytest.fixture
def fresh_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a new and empty database, dropped afterwards even if connections to it are left."""
    name = f"test_{uuid.uuid4().hex}"
    postgres.create_database(name)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def template_database(postgres: EmbeddedPostgres) -> str:
    """The name of a migrated database that nobody is connected to, to be copied."""
    postgres.create_database("template_tillwire")
    migrate(postgres.url("template_tillwire"))
    return "template_tillwire"


@pytest.fixture(scope="session")
def new_database(postgres: EmbeddedPostgres, template_database: str) -> NewDatabase:
    """Makes migrated databases, for tests that need several: ``with new_database() as url``."""

    @contextlib.contextmanager
    def make() -> Iterator[str]:
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database}".encode())
        try:
            yield postgres.url(name)
        finally:
            postgres.drop_database(name)

    return make


@pytest.fixture
def database_url(new_database: NewDatabase) -> Iterator[str]:
    """The URL of a new, migrated and otherwise empty database."""
    with new_database() as url:
        yield url


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection to ``database_url`` in autocommit."""
    with psycopg.connect(database_url, autocommit=True) as connected:
        yield connected
