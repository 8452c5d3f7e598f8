"""``tillwire alerts``: what people are told of, silences, and what became of messages."""

from __future__ import annotations

import getpass
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.table import Table

from tillwire import clock
from tillwire.cli.clients import duration
from tillwire.cli.common import DATA, DataFolder, Most, connect, console, print_json, settings_of, styled

app = cyclopts.App(name="alerts", help="Alerts: what is wrong, how grave, until when, and who is told.")

Json = Annotated[bool, Parameter(negative="", help="As JSON.")]
By = Annotated[str | None, Parameter(help="Who does it; else who is logged in.")]
_STYLES = {"critical": "red", "warning": "yellow", "info": "blue"}


@app.command(name="list")
def alerts_list(
    *,
    all_: Annotated[bool, Parameter(name="--all", negative="", help="Those that are over, too.")] = False,
    store: Annotated[str | None, Parameter(help="Only what concerns this store.")] = None,
    most: Most = 50,
    data: DataFolder = DATA,
    json: Json = False,
) -> int:
    """List alerts, the gravest first. Exit code 1 if one fires that is not silenced."""
    from tillwire.observability.alerts import OPEN, alerts

    states = (*OPEN, "resolved") if all_ else OPEN
    with connect(data) as connection:
        found = alerts(connection, states=states, now=clock.now(), store=store, most=most)
    if json:
        print_json(found)
    else:
        table = Table("alert", "state", "since", "deadline", "stores", "at stake", "detail")
        for one in found:
            rest = one.store_count - len(one.stores)
            silenced = f", silenced ({one.silenced_by})" if one.silenced_by else ""
            table.add_row(
                styled((one.title, _STYLES[one.severity]), f"\n{one.name} {one.key}"),
                one.state + silenced,
                f"{one.began_at:%m-%d %H:%M}",
                f"{one.deadline:%m-%d %H:%M}" if one.deadline else "",
                ", ".join(one.stores[:5]) + (f" and {rest + len(one.stores[5:])} more" if one.store_count > 5 else ""),
                ", ".join(f"{amount:,} {currency}" for currency, amount in sorted(one.money.items())),
                one.detail,
            )
        console.print(table if found else "nothing is wrong that anybody would be told of")
    return 1 if any(one.state == "firing" and one.silenced_by is None for one in found) else 0


@app.command(name="silence")
def alerts_silence(
    alerts: Annotated[str, Parameter(help="Names of alerts, with * and ?.")] = "*",
    *,
    last: Annotated[str, Parameter(name="--for", help="For so long: 30m, 8h, 2d.")],
    reason: Annotated[str, Parameter(help="Why, for who asks later.")],
    key: Annotated[str, Parameter(help="What they are about: an ERP, an owner, a store; with * and ?.")] = "*",
    store: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, negative="", help="Of these stores only, with * and ?.")
    ] = (),
    by: By = None,
    data: DataFolder = DATA,
) -> None:
    """Keep alerts from being told for a time. They go on, are shown, and count in every figure."""
    from tillwire.governance.audit import note
    from tillwire.observability.alerts import silence

    who, now = by or getpass.getuser(), clock.now()
    with connect(data) as connection, connection.transaction():
        made = silence(
            connection,
            until=now + duration(last),
            reason=reason,
            by=who,
            now=now,
            alerts=alerts,
            keys=key,
            stores=store or ("*",),
        )
        told = {"alerts": made.alerts, "keys": made.keys, "stores": made.stores, "until": made.until.isoformat()}
        note(connection, who, "silence alerts", f"silence {made.silence_id}", told)
    console.print(f"silence {made.silence_id}, until {made.until:%Y-%m-%d %H:%M} UTC")


@app.command(name="unsilence")
def alerts_unsilence(silence_id: int, *, by: By = None, data: DataFolder = DATA) -> None:
    """End a silence."""
    from tillwire.governance.audit import note
    from tillwire.observability.alerts import unsilence

    who = by or getpass.getuser()
    with connect(data) as connection, connection.transaction():
        unsilence(connection, silence_id, by=who, now=clock.now())
        note(connection, who, "end silence", f"silence {silence_id}")
    console.print(f"silence {silence_id} is over")


@app.command(name="silences")
def alerts_silences(*, data: DataFolder = DATA, json: Json = False) -> None:
    """List the silences in force."""
    from tillwire.observability.alerts import silences

    with connect(data) as connection:
        found = silences(connection, clock.now())
    if json:
        print_json(found)
        return
    table = Table("silence", "alerts", "about", "stores", "until", "by", "reason")
    for one in found:
        until = f"{one.until:%Y-%m-%d %H:%M}"
        table.add_row(str(one.silence_id), one.alerts, one.keys, ", ".join(one.stores), until, one.made_by, one.reason)
    console.print(table if found else "nothing is silenced")


@app.command(name="deliveries")
def alerts_deliveries(*, most: Most = 50, data: DataFolder = DATA, json: Json = False) -> int:
    """List what was sent and what waits, the newest first. Exit code 1 if something was given up."""
    from tillwire.observability.delivering import deliveries

    with connect(data) as connection:
        found = deliveries(connection, most=most)
    if json:
        print_json(found)
    else:
        table = Table("made", "route", "to", "group", "state", "attempts", "last error")
        for one in found:
            words = (str(one.attempts), one.last_error or "")
            table.add_row(f"{one.made_at:%m-%d %H:%M:%S}", one.route, one.recipient, one.group, one.state, *words)
        console.print(table if found else "nothing was to be sent yet")
    return 1 if any(one.state == "failed" for one in found) else 0


@app.command(name="test")
def alerts_test(route: str, *, data: DataFolder = DATA) -> int:
    """Send a message to a route at once, to see whether it arrives. Exit code 1 if it was not taken."""
    from tillwire import bootstrap
    from tillwire.errors import TillwireError
    from tillwire.observability.delivering import send_test

    settings = settings_of(data)
    try:
        send_test(settings, route, bootstrap.public_url(settings), clock.now())
    except TillwireError as error:
        console.print(styled(("not taken", "red"), f": {error}"))
        return 1
    console.print(f"{route} took it")
    return 0
