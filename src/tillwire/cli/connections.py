"""``tillwire connections`` and ``tillwire try``: the systems that data comes from, and what their payloads become."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter
from rich.table import Column, Table

from tillwire import clock, config
from tillwire.cli.common import DATA, DataFolder, connect, console, print_json, print_json_line, settings_of
from tillwire.connectors.registry import registered, spec_of
from tillwire.errors import ConfigurationError

app = cyclopts.App(name="connections", help="The systems that data comes from in their own words.")


@app.command(name="list")
def connections_list(*, data: DataFolder = DATA) -> None:
    """List the configured connections: messages received, waiting, failed, and the last error of fetching."""
    from tillwire.intake import foreign

    settings = settings_of(data)
    with connect(data) as connection:
        figures = {row[0]: row[1:] for row in foreign.figures(connection)}
    table = Table("name", "connector", "messages", "waiting", "failed", "last received", "last error")
    for one in settings.connections:
        messages, waiting, failed, last, error = figures.get(one.name, (0, 0, 0, None, ""))
        table.add_row(
            one.name, one.connector, str(messages), str(waiting), str(failed), f"{last:%F %T %Z}" if last else "", error
        )
    console.print(table)


@app.command(name="kinds")
def connections_kinds() -> None:
    """List the connectors there are. Their settings are in docs/reference/connectors.md."""
    table = Table("connector", "what it is", "roles", "written from")
    for spec in registered().values():
        table.add_row(spec.name, spec.title, ", ".join(spec.roles), spec.contract)
    console.print(table)


def try_(
    connector: str,
    *files: Annotated[Path, Parameter(json_list=False)],
    settings: Annotated[Path | None, Parameter(help="A TOML file with the connector's settings.")] = None,
    connection: Annotated[str | None, Parameter(help="Take the settings of this configured connection.")] = None,
    topic: Annotated[str, Parameter(help="What the sender would say it is, such as orders/create.")] = "",
    as_of: Annotated[date | None, Parameter(help="Judge business dates as of this day; else of today.")] = None,
    json: Annotated[bool, Parameter(help="Print one JSON object per file, each on one line.")] = False,
    events: Annotated[bool, Parameter(help="Print the canonical events, too.")] = False,
) -> int:
    """Show what a connector makes of files: canonical events, or the exceptions they would raise. Stores nothing.

    A file that cannot be read is told in its row.
    Amounts are judged by the rules as if master data knew every code; exit code 1 if anything but a warning is raised.
    """
    from tillwire.intake.trial import Outcome, Raised, try_file

    if not files:
        raise ConfigurationError("name at least one file to try")
    made = spec_of(connector).configure(_settings(connector, settings, connection), of=connector)
    if not hasattr(made, "read"):
        raise ConfigurationError(f"{connector} reads no files")
    table = Table(
        Column("file", overflow="fold"), "outcome", "records", "events", "total", Column("what", overflow="fold")
    )
    clean = True
    for file in files:
        try:
            outcome = try_file(made, file, topic=topic, today=as_of or clock.now().date())
        except OSError as error:  # away, a folder, not ours to read: the other files are tried all the same
            reason = error.strerror or str(error)
            outcome = Outcome(file=file.name, exceptions=[Raised("", "malformed", f"it cannot be read: {reason}")])
        clean = clean and outcome.verdict in ("mapped", "ignored")
        if json:
            print_json_line(outcome)
            continue
        totals = ", ".join(f"{amount} {currency}" for currency, amount in sorted(outcome.totals.items()))
        table.add_row(
            file.name, outcome.verdict, str(outcome.records), str(len(outcome.events)), totals, outcome.summary()
        )
        if events:
            for event in outcome.events:
                print_json(event)
    if not json:
        console.print(table)
    return 0 if clean else 1


def _settings(connector: str, file: Path | None, connection: str | None) -> dict[str, Any]:
    if connection is not None:
        for one in config.load().connections:
            if one.name == connection and one.connector == connector:
                return dict(one.settings)
        raise ConfigurationError(f"there is no connection {connection!r} of connector {connector!r}")
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{file}: {error}") from error
