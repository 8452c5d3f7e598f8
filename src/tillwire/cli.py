"""The command line."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec
import psycopg
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

import tillwire
from tillwire import config, logs
from tillwire.errors import ConfigurationError, TillwireError

app = cyclopts.App(
    name="tillwire",
    version=tillwire.__version__,
    help="A self-hosted retail integration hub: every sale accepted durably, recorded once, posted once, and proven.",
)
client = cyclopts.App(name="client", help="API clients and their keys.")
exceptions = cyclopts.App(name="exceptions", help="The queue of what could not be processed.")
journals = cyclopts.App(name="journals", help="Journals on their way to the ERP.")
app.command(client)
app.command(journals)
app.command(exceptions)

console = Console()
DATA = Path("data")

DataFolder = Annotated[Path, Parameter(help="Where a hub started by `tillwire up` keeps its data.")]


def _settings(data: Path | None = None) -> config.Settings:
    """Settings for a command that speaks to a running hub: its own, if it was started on ``data``."""
    settings = config.load()
    if settings.database_url:
        return settings
    from tillwire.engines.supervisor import read_runtime

    runtime = read_runtime(data or DATA)
    if runtime is None:
        raise ConfigurationError(
            f"no hub runs on {data or DATA}: start one with `tillwire up --data {data or DATA}`, or set database_url"
        )
    written = (data or DATA) / "settings.json"
    return msgspec.json.decode(written.read_bytes(), type=config.Settings)


def _connect(data: Path | None = None) -> psycopg.Connection:
    return psycopg.connect(_settings(data).database_url, autocommit=True)


def _print_json(content: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


@app.command
def up(
    *,
    data: DataFolder = DATA,
    port: Annotated[int | None, Parameter(help="Port of the API; 0 takes a free one.")] = None,
    open_: Annotated[bool, Parameter(name="--open", help="Ask for no API key (loopback only).")] = False,
) -> int:
    """Run a whole hub: PostgreSQL and NATS (unless yours are configured), API, workers, relay, dispatcher."""
    from tillwire.engines.supervisor import ChildEvent
    from tillwire.hub import Hub

    logs.configure("supervisor")
    settings = config.load()
    http = settings.http
    if port is not None:
        http = msgspec.structs.replace(http, port=port)
    if open_:
        http = msgspec.structs.replace(http, api_keys="off")
    settings = msgspec.structs.replace(settings, http=http)
    config.check(settings)

    def tell(event: ChildEvent) -> None:
        if event.kind == "ready":
            console.print(f"[green]ready[/] {event.name} [dim]{event.elapsed_s:.1f} s[/]")
            if event.name == "dispatch":
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
    settings = _settings(data)
    published = asyncio.run(runners.rebuild_stream(settings))
    console.print(f"published {published:,} events on stream {settings.relay.stream}, from offset 0 of every partition")


@app.command
def dispatch() -> None:
    """Build journals of closed store days and send them to the ERP."""
    from tillwire import runners

    logs.configure("dispatch")
    runners.dispatch(_configured(), runners.Stop().listen())


def _configured() -> config.Settings:
    settings = config.load()
    if not settings.database_url:
        raise ConfigurationError("database_url is not set: give one, or use `tillwire up`, which starts a server")
    return settings


@app.command
def migrate(*, data: DataFolder = DATA) -> None:
    """Bring the database to this release's schema."""
    from tillwire.database.migrate import migrate as run

    ran = run(_settings(data).database_url)
    console.print("\n".join(f"ran {name}" for name in ran) or "nothing to do")


@app.command
def check() -> None:
    """Lint the configuration: file, environment, mapping of accounts."""
    from tillwire.posting.accounts import unmapped

    settings = config.load()
    config.check(settings)
    open_components = unmapped(settings.posting.accounts)
    for component in open_components:
        console.print(f"[yellow]warning[/] posting.accounts: component {component!r} has no rule for every code")
    console.print("configuration is sound" if not open_components else "what has no rule goes to suspense")


@app.command
def replay(
    projection: Annotated[str, Parameter(help="inline, or the name of an async projection")] = "inline",
    *,
    data: DataFolder = DATA,
    processes: Annotated[int, Parameter(help="Processes that rebuild side by side.")] = 2,
) -> int:
    """Rebuild projections from the event store. Calls nothing outside, posts nothing."""
    from tillwire.replay import replay_async, replay_inline

    settings = _settings(data)
    if projection != "inline":
        events = replay_async(settings, projection)
        console.print(f"replayed {events:,} events into {projection}")
        return 0
    outcome = replay_inline(settings, processes=processes)
    table = Table("table", "rows", "identical", title=f"{outcome.events:,} events in {outcome.seconds:.1f} s")
    for name, rows, same in outcome.tables:
        table.add_row(name, f"{rows:,}", "yes" if same else "[yellow]no: replaced[/]")
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
    from tillwire.posting.dispatch import confirm
    from tillwire.reconciliation import show
    from tillwire.reconciliation.days import reconcile as run

    settings = _settings(data)
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        if read_back:
            connector = bootstrap.erp_connector(settings)
            try:
                for difference in confirm(connection, connector, again=True):
                    console.print(f"[red]ERP[/] {difference}")
            finally:
                connector.close()
        report = run(connection, store=store, first=first, last=last, erp=settings.erp.kind != "none")
    if json:
        _print_json(report)
    else:
        show.print_report(console, report)
    return 0 if report.ok else 1


@app.command
def trace(key: str, *, data: DataFolder = DATA) -> int:
    """Show one event from raw bytes to ERP document, by its key (store/register/business date/sequence)."""
    from tillwire.reconciliation.trace import trace as run

    with _connect(data) as connection:
        found = run(connection, key)
    if not found:
        console.print(f"nothing was accepted under the key {key!r}")
        return 1
    _print_json(found)
    return 0


@app.command
def rules() -> None:
    """List the validation rules with their reasons and owners."""
    from tillwire.exceptions.codes import CODES
    from tillwire.intake.rules import NOTES

    table = Table("code", "meaning", "owner")
    for code in CODES.values():
        table.add_row(code.code, code.meaning, code.owner)
    for code_name, meaning in NOTES.items():
        table.add_row(code_name, meaning, "[dim]let through, counted[/]")
    console.print(table)


@app.command
def demo(
    *,
    weeks: Annotated[
        int, Parameter(help="How many weeks of baskets, from the first full one (the data's week 2).")
    ] = 1,
    all_: Annotated[bool, Parameter(name="--all", negative="", help="The whole year: most of an hour.")] = False,
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
    return run(options, console)


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


@client.command(name="add")
def client_add(name: str, *, data: DataFolder = DATA) -> None:
    """Make an API client; its key is shown once."""
    from tillwire.governance.clients import add_client

    with _connect(data) as connection:
        print(add_client(connection, name))


@client.command(name="revoke")
def client_revoke(name: str, *, data: DataFolder = DATA) -> None:
    """Take a client's key out of force."""
    from tillwire.governance.clients import revoke_client

    with _connect(data) as connection:
        revoke_client(connection, name)


@client.command(name="list")
def client_list(*, data: DataFolder = DATA) -> None:
    """List API clients."""
    from tillwire.governance.clients import clients

    table = Table("name", "made", "revoked")
    with _connect(data) as connection:
        for name, made, revoked in clients(connection):
            table.add_row(name, f"{made:%Y-%m-%d %H:%M}", f"{revoked:%Y-%m-%d %H:%M}" if revoked else "")
    console.print(table)


@exceptions.command(name="list")
def exceptions_list(*, data: DataFolder = DATA, code: str | None = None, most: int = 50) -> None:
    """List open exceptions."""
    from tillwire.exceptions.queue import listed

    table = Table("id", "code", "owner", "key", "money at risk", "what is wrong")
    with _connect(data) as connection:
        for row in listed(connection, code=code, most=most):
            money = f"{row.amount} {row.currency}" if row.amount is not None else ""
            table.add_row(str(row.exception_id), row.code, row.owner, row.key, money, row.message)
    console.print(table)


@exceptions.command(name="show")
def exceptions_show(exception_id: int, *, data: DataFolder = DATA) -> int:
    """Show one exception with every fault and its raw bytes."""
    from tillwire.exceptions.queue import detail

    with _connect(data) as connection:
        found = detail(connection, exception_id)
    if found is None:
        console.print(f"there is no exception {exception_id}")
        return 1
    _print_json(found)
    return 0


@exceptions.command(name="retry")
def exceptions_retry(exception_id: int | None = None, *, data: DataFolder = DATA, code: str | None = None) -> int:
    """Process exceptions again, one by id or all of a code, after their cause was mended."""
    from tillwire.exceptions.queue import retry

    if exception_id is None and code is None:
        console.print("name an exception by its id, or a --code")
        return 2
    with _connect(data) as connection:
        console.print(f"{retry(connection, exception_id=exception_id, code=code)} back in the queue")
    return 0


@journals.command(name="list")
def journals_list(*, data: DataFolder = DATA, state: str | None = None, most: int = 50) -> None:
    """List journals, of one state (built, sent, posted, rejected, unknown) or of all."""
    from tillwire.posting.journals import listed

    table = Table("reference", "state", "transactions", "amount", "ERP document", "attempts", "last error")
    with _connect(data) as connection:
        for row in listed(connection, state=state, most=most):
            amount = f"{row.amount} {row.currency}"
            words = (row.document_number or "", str(row.attempts), row.last_error or "")
            table.add_row(row.reference, row.state, f"{row.transactions:,}", amount, *words)
    console.print(table)


@journals.command(name="retry")
def journals_retry(
    reference: str | None = None,
    *,
    data: DataFolder = DATA,
    all_: Annotated[bool, Parameter(name="--all", help="Every rejected journal.")] = False,
) -> int:
    """Send rejected journals again, after their cause was mended in the ERP or in the mapping's accounts there."""
    from tillwire.posting.journals import retry_rejected

    if reference is None and not all_:
        console.print("name a journal by its reference, or say --all")
        return 2
    with _connect(data) as connection:
        console.print(f"{retry_rejected(connection, reference)} back in the lane")
    return 0


def main() -> None:
    """The command ``tillwire``. Errors of ours are told in one line, with exit code 2."""
    try:
        code = app()
    except TillwireError as error:
        Console(stderr=True).print(f"[red]error:[/] {error}", highlight=False)
        code = 2
    except psycopg.OperationalError as error:
        Console(stderr=True).print(f"[red]error:[/] the database is away: {error}", highlight=False)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)
