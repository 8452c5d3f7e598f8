"""The command line."""

from __future__ import annotations

import getpass
import os
import sys
import time
from datetime import date
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec
import psycopg
from cyclopts import Parameter, validators
from rich.console import Console
from rich.table import Table

import tillwire
from tillwire import config, logs
from tillwire.cli import (
    alerts,
    audit,
    clients,
    connections,
    exceptions,
    inbox,
    journals,
    ledger,
    levels,
    masterdata,
    rule_commands,
    simulate,
    users,
)
from tillwire.cli.common import DATA, DataFolder, connect, console, print_error, print_json, settings_of, styled
from tillwire.errors import ConfigurationError, TillwireError

app = cyclopts.App(
    name="tillwire",
    version=tillwire.__version__,
    help="A self-hosted retail integration hub: every sale accepted durably, recorded once, posted once, and proven.",
)
app.command(alerts.app)
app.command(audit.app)
app.command(clients.app)
app.command(connections.app)
app.command(inbox.app)
app.command(connections.try_, name="try")
app.command(simulate.simulate)
app.command(exceptions.app)
app.command(journals.app)
app.command(ledger.app)
app.command(levels.app)
app.command(masterdata.app)
app.command(rule_commands.app)
app.command(users.app)


@app.command
def up(
    *,
    data: DataFolder = DATA,
    port: Annotated[
        int | None,
        Parameter(help="Port of the API; 0 takes a free one.", validator=validators.Number(gte=0, lte=65535)),
    ] = None,
    open_: Annotated[bool, Parameter(name="--open", help="Ask for no API key (loopback only).")] = False,
) -> int:
    """Run a whole hub: PostgreSQL and NATS (unless yours are configured), API, workers, relay, dispatcher."""
    from tillwire import bootstrap
    from tillwire.engines.supervisor import ChildEvent
    from tillwire.hub import Hub

    settings = config.load()
    http = settings.http
    if port is not None:
        http = msgspec.structs.replace(http, port=port)
    if open_:
        http = msgspec.structs.replace(http, api_keys="off")
    settings = msgspec.structs.replace(settings, http=http)
    config.check(settings)
    bootstrap.policy(settings.rules)
    bootstrap.inbound_connectors(settings)
    told = False
    (data / "logs").mkdir(parents=True, exist_ok=True)
    logs.configure("supervisor", (data / "logs" / "supervisor.log").open("a"))

    def tell(event: ChildEvent) -> None:
        nonlocal told
        if event.kind == "died":
            console.print(styled(("died", "yellow"), f" {event.name} ", (event.detail, "dim")))
        if event.kind == "ready":
            console.print(styled(("ready", "green"), f" {event.name} ", (f"{event.elapsed_s:.1f} s", "dim")))
            if event.name == "dispatch" and not told:
                told = True
                keys = "no key needed" if settings.http.api_keys == "off" else "make a key: tillwire client add NAME"
                console.print(f"Tillwire answers on {hub.url} ({keys}); documentation: {hub.url}/docs", soft_wrap=True)

    hub = Hub(data, settings, listener=tell)
    return hub.run()


@app.command
def serve() -> None:
    """Run the API alone, on database_url."""
    from tillwire import runners

    logs.configure("api")
    runners.serve(_configured())


@app.command
def work() -> None:
    """Run one worker alone: it records what was accepted. Start as many as you like."""
    from tillwire import runners

    logs.configure("worker")
    runners.work(_configured(), runners.Stop().listen())


@app.command(name="connect")
def connect_systems() -> None:
    """Run what speaks to other systems alone: it reads what they sent, and fetches from those that are asked."""
    from tillwire import runners

    logs.configure("connect")
    runners.connect_systems(_configured(), runners.Stop().listen())


@app.command
def relay(
    *,
    rebuild: Annotated[bool, Parameter(help="Delete the stream, publish everything again, and end.")] = False,
    data: DataFolder = DATA,
) -> None:
    """Publish recorded events on the backbone, and run the async projections."""
    import asyncio

    from tillwire import runners

    logs.configure("relay")
    if not rebuild:
        runners.spread(_configured(), runners.Stop().listen())
        return
    settings = settings_of(data)
    published = asyncio.run(runners.rebuild_stream(settings))
    console.print(f"published {published:,} events on stream {settings.relay.stream}, from offset 0 of every partition")
    console.print(f"published the last value of every master record on stream {settings.relay.master_stream}")


@app.command
def dispatch() -> None:
    """Build journals of closed store days and send them to the ERP."""
    from tillwire import runners

    logs.configure("dispatch")
    runners.dispatch(_configured(), runners.Stop().listen())


@app.command
def observe() -> None:
    """Measure service levels, judge alerts and tell people. Of several, one does; the others stand by."""
    from tillwire import runners

    logs.configure("observe")
    runners.observe(_configured(), runners.Stop().listen())


def _configured() -> config.Settings:
    settings = config.load()
    if not settings.database_url:
        raise ConfigurationError("database_url is not set: give one, or use `tillwire up`, which starts a server")
    return settings


@app.command
def migrate(*, data: DataFolder = DATA) -> None:
    """Bring the database to this release's schema."""
    from tillwire.database.migrate import migrate as run

    ran = run(settings_of(data).database_url)
    console.print("\n".join(f"ran {name}" for name in ran) or "nothing to do")


@app.command
def check(*, data: DataFolder = DATA) -> int:
    """Lint the configuration; where a hub runs, prove that all its master data and sales have an account.

    Exit code 1 if something would go to suspense, or to an account that its company does not have.
    """
    from tillwire import bootstrap
    from tillwire.cli import checking

    settings = config.load()
    config.check(settings)
    bootstrap.policy(settings.rules)
    for policy in bootstrap.erps(settings):
        bootstrap.erp_connector(settings, policy).close()  # its settings are the connector's own to judge
    bootstrap.inbound_connectors(settings)
    bootstrap.tokens(settings)
    bootstrap.check_access(settings.access)
    bootstrap.check_inboxes(settings)
    path, content = config.written(None, os.environ)
    for place in bootstrap.secrets_written(content, settings):
        checking.warn(f"{path}: {place} is a secret: it belongs into the environment")
    for contradiction in bootstrap.contradictions(settings):
        checking.warn(contradiction)
    book = bootstrap.account_book(settings)
    checking.warn_of_rules(book)
    return checking.prove(book, settings, data)


@app.command
def replay(
    projection: Annotated[str, Parameter(help="inline, or the name of an async projection")] = "inline",
    *,
    data: DataFolder = DATA,
    processes: Annotated[
        int, Parameter(help="Processes that rebuild side by side.", validator=validators.Number(gte=1, lte=64))
    ] = 2,
) -> int:
    """Rebuild projections from the event store. Calls nothing outside, posts nothing."""
    from tillwire.governance.audit import note
    from tillwire.replay import replay_async, replay_inline

    settings = settings_of(data)
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        note(connection, getpass.getuser(), "replay", f"projection {projection}")
    if projection != "inline":
        events = replay_async(settings, projection)
        console.print(f"replayed {events:,} events into {projection}")
        return 0
    outcome = replay_inline(settings, processes=processes)
    table = Table("table", "rows", "identical", title=f"{outcome.events:,} events in {outcome.seconds:.1f} s")
    for name, rows, same in outcome.tables:
        table.add_row(name, f"{rows:,}", "yes" if same else styled(("no: replaced", "yellow")))
    console.print(table)
    return 0 if outcome.identical else 3


@app.command
def reconcile(
    *,
    data: DataFolder = DATA,
    store: str | None = None,
    first: Annotated[date, Parameter(name="--from")] = date.min,
    last: Annotated[date, Parameter(name="--to")] = date.max,
    read_back: Annotated[bool, Parameter(help="First read posted journals back from the ERP and compare.")] = False,
    json: Annotated[bool, Parameter(help="Print JSON.")] = False,
) -> int:
    """Prove that captured = recorded + in exceptions, recorded = posted = acknowledged; name every difference.

    Exit code 1 if a day is not proven.
    """
    from tillwire import bootstrap
    from tillwire.posting.gate import Gate
    from tillwire.posting.read_back import confirm
    from tillwire.reconciliation import show
    from tillwire.reconciliation.days import reconcile as run

    settings = settings_of(data)
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        for policy in bootstrap.erps(settings) if read_back else ():
            gate = Gate(connection, policy, wait=time.sleep)  # these calls are within its budget, too
            connector = bootstrap.erp_connector(settings, policy, watch=gate)
            try:
                for difference in confirm(connection, connector, policy.name, again=True):
                    console.print(styled((policy.name, "red"), f" {difference}"))
            finally:
                gate.finished()
                connector.close()
        report = run(connection, store=store, first=first, last=last, erp=bool(bootstrap.erps(settings)))
    if json:
        print_json(report)
    else:
        show.print_report(console, report)
    return 0 if report.ok else 1


@app.command
def trace(key: str, *, data: DataFolder = DATA) -> int:
    """Show one event from raw bytes to ERP document, by its key (store/register/business date/sequence)."""
    from tillwire.reconciliation.trace import trace as run

    with connect(data) as connection:
        found = run(connection, key)
    if not found:
        console.print(f"nothing was accepted under the key {key!r}")
        return 1
    print_json(found)
    return 0


@app.command
def demo(
    *,
    weeks: Annotated[
        int, Parameter(help="Weeks of baskets, from the data's week 2 on: its week 1 is a single day.")
    ] = 1,
    all_: Annotated[
        bool, Parameter(name="--all", negative="", help="The whole year: 38,000 journals, most of an hour.")
    ] = False,
    seed: Annotated[int, Parameter(help="Chooses faults, returns and tenders; the same seed, the same demo.")] = 1,
    report: Annotated[Path | None, Parameter(help="Write the proof to this file, as JSON.")] = None,
    stay: Annotated[bool, Parameter(negative="", help="Leave everything up to look around, until Ctrl-C.")] = False,
    data: Annotated[Path | None, Parameter(help="A new folder to keep the data in; else a temporary one.")] = None,
    stores: Annotated[int | None, Parameter(help="Only so many of the busiest stores.")] = None,
    days: Annotated[int | None, Parameter(help="Only so many of the first days.")] = None,
) -> int:
    """Carry a real retailer's week to a real ERP, with the faults that occur, and prove where every sale is.

    Exit code 1 if anything does not hold.
    """
    try:
        from tillwire.demo.run import Options, run
    except ModuleNotFoundError as missing:
        raise ConfigurationError(f"the demo needs {missing.name}: install tillwire[demo,embedded]") from missing
    options = Options(
        weeks=weeks, whole_year=all_, seed=seed, report=report, stay=stay, data=data, stores=stores, days=days
    )
    return run(options, Console())  # whose words are its own


@app.command
def docs(*, check: Annotated[bool, Parameter(help="Write nothing; fail if something is out of date.")] = False) -> int:
    """Write the generated reference pages below docs/reference."""
    from tillwire import reference

    if check:
        old = reference.stale(Path())
        for name in old:
            console.print(f"out of date: docs/reference/{name}; run `make docs`")
        return 1 if old else 0
    for name in reference.write(Path()):
        console.print(f"wrote docs/reference/{name}")
    return 0


def main() -> None:
    """The command ``tillwire``. Errors of ours are told in one line, with exit code 2."""
    try:
        code = app(sys.argv[1:])
    except TillwireError as error:
        print_error(str(error))
        code = 2
    except psycopg.OperationalError as error:
        print_error(f"the database is away: {error}")
        code = 2
    except (psycopg.Error, OSError) as error:
        print_error(f"{type(error).__name__}: {error}")
        code = 2
    sys.exit(code if isinstance(code, int) else 0)
