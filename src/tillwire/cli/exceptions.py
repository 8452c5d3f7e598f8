"""``tillwire exceptions``: the queue of what could not be processed, and its fixes."""

from __future__ import annotations

import getpass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec
from cyclopts import Parameter
from rich.table import Column, Table

from tillwire import clock
from tillwire.cli.common import DATA, DataFolder, Most, connect, console, print_json, settings_of

app = cyclopts.App(name="exceptions", help="The queue of what could not be processed.")

By = Annotated[str | None, Parameter(help="Who does it; by default the system's user.")]
Reason = Annotated[str, Parameter(help="Why; kept in the audit trail.")]


def _by(name: str | None) -> str:
    return getpass.getuser() if name is None else name


def _age(age: timedelta) -> str:
    hours = int(age.total_seconds()) // 3600
    return f"{hours // 24} d {hours % 24} h" if hours >= 24 else f"{hours} h"


@app.command(name="list")
def exceptions_list(
    *,
    data: DataFolder = DATA,
    state: str = "open",
    code: str | None = None,
    cause: str | None = None,
    owner: str | None = None,
    store: str | None = None,
    assigned: str | None = None,
    least: Decimal | None = None,
    older_than_hours: int | None = None,
    overdue: bool = False,
    most: Most = 50,
) -> None:
    """List exceptions, open ones if nothing else is asked for (`--state all` for every state)."""
    from tillwire.exceptions.queue import Filter, found

    now = clock.now()
    wanted = Filter(
        states=None if state == "all" else (state,),
        code=code,
        cause=cause,
        owner=owner,
        store=store,
        assigned=assigned,
        least=least,
        before=None if older_than_hours is None else now - timedelta(hours=older_than_hours),
        overdue_at=now if overdue else None,
        most=most,
    )
    table = Table(
        Column("id", no_wrap=True),
        Column("code", overflow="fold"),
        "owner",
        Column("key", overflow="fold"),
        "money at risk",
        "age",
        "state",
        "what is wrong",
    )
    levels = settings_of(data).exceptions.service_levels
    with connect(data) as connection:
        for row in found(connection, wanted, levels):
            money = f"{row.amount} {row.currency}" if row.amount is not None else ""
            late = " (overdue)" if row.due_at is not None and row.due_at < now else ""
            state_shown = row.state if row.severity == "blocking" else f"{row.state} ({row.severity})"
            age = _age(now - row.raised_at) + late
            table.add_row(str(row.exception_id), row.code, row.owner, row.key, money, age, state_shown, row.message)
    console.print(table)


@app.command(name="causes")
def exceptions_causes(*, data: DataFolder = DATA, owner: str | None = None, store: str | None = None) -> None:
    """List root causes, most money at risk first: what one fix each would mend."""
    from tillwire.exceptions.queue import causes

    table = Table(Column("cause", overflow="fold"), "owner", "exceptions", "money at risk", "oldest", "states")
    now = clock.now()
    with connect(data) as connection:
        for one in causes(connection, owner=owner, store=store):
            money = ", ".join(f"{each.amount} {each.currency}" for each in one.money)
            states = ", ".join(f"{number} {state}" for state, number in one.states.items() if number)
            table.add_row(one.cause, one.owner, str(one.exceptions), money, _age(now - one.oldest), states)
    console.print(table)


@app.command(name="show")
def exceptions_show(exception_id: int, *, data: DataFolder = DATA) -> int:
    """Show one exception with every fault, its raw bytes, its fixes and its audit trail."""
    from tillwire.exceptions.queue import detail

    levels = settings_of(data).exceptions.service_levels
    with connect(data) as connection:
        found = detail(connection, exception_id, levels=levels)
    if found is None:
        console.print(f"there is no exception {exception_id}")
        return 1
    print_json(found)
    return 0


@app.command(name="edit")
def exceptions_edit(
    exception_id: int,
    file: Path,
    *,
    reason: Reason,
    by: By = None,
    dry_run: bool = False,
    data: DataFolder = DATA,
) -> int:
    """Process FILE (the whole event, as JSON) in the place of what was accepted, which is kept beside it."""
    from tillwire.exceptions.fixes import edit

    settings = settings_of(data)
    limit = settings.exceptions.second_person_above
    payload = file.read_bytes()
    with connect(data) as connection:
        if dry_run:
            print_json(_rehearsal(connection, settings).of_edit(exception_id, payload, limit=limit))
            return 0
        print_json(edit(connection, exception_id, payload, by=_by(by), reason=reason, limit=limit))
    return 0


@app.command(name="dry-run")
def exceptions_dry_run(
    exception_id: int | None = None,
    *,
    cause: str | None = None,
    records: Annotated[Path | None, Parameter(help="Proposed master records: a JSON array of events.")] = None,
    data: DataFolder = DATA,
) -> int:
    """Show what a retry of one exception or of a cause would record, or what proposed master records would clear."""
    settings = settings_of(data)
    if sum(one is not None for one in (exception_id, cause, records)) != 1:
        console.print("name an exception by its id, a --cause, or --records")
        return 2
    with connect(data) as connection:
        rehearsal = _rehearsal(connection, settings)
        if records is not None:
            events = msgspec.json.decode(records.read_bytes(), type=list[msgspec.Raw])
            print_json(rehearsal.of_master_data([bytes(event) for event in events]))
        else:
            print_json(rehearsal.of_retry(exception_id=exception_id, cause=cause))
    return 0


def _rehearsal(connection: Any, settings: Any) -> Any:
    from tillwire import bootstrap

    return bootstrap.rehearsal(connection, settings)


@app.command(name="approve")
def exceptions_approve(exception_id: int, *, by: By = None, note: str = "", data: DataFolder = DATA) -> int:
    """Let an edit or a dismissal take effect that somebody else has proposed."""
    from tillwire.exceptions.fixes import approve

    with connect(data) as connection:
        print_json(approve(connection, exception_id, by=_by(by), note=note))
    return 0


@app.command(name="refuse")
def exceptions_refuse(exception_id: int, *, reason: Reason, by: By = None, data: DataFolder = DATA) -> int:
    """Turn down an edit or a dismissal that waits for approval."""
    from tillwire.exceptions.fixes import refuse

    with connect(data) as connection:
        print_json(refuse(connection, exception_id, by=_by(by), reason=reason))
    return 0


@app.command(name="assign")
def exceptions_assign(exception_id: int, *, to: str | None = None, by: By = None, data: DataFolder = DATA) -> int:
    """Say who works an exception; without --to nobody does any more."""
    from tillwire.exceptions.fixes import assign

    with connect(data) as connection:
        assign(connection, exception_id, to, by=_by(by))
    console.print("assigned" if to else "assigned to nobody")
    return 0


@app.command(name="retry")
def exceptions_retry(
    exception_id: int | None = None,
    *,
    code: str | None = None,
    cause: str | None = None,
    by: By = None,
    data: DataFolder = DATA,
) -> int:
    """Process exceptions again, one by id, all of a code or all of a root cause, after their cause was mended."""
    from tillwire.exceptions.queue import retry

    if exception_id is None and code is None and cause is None:
        console.print("name an exception by its id, a --code, or a --cause")
        return 2
    with connect(data) as connection:
        back = retry(connection, exception_id=exception_id, code=code, cause=cause, by=_by(by))
    if not back:
        console.print("nothing to retry: no open exception of that name (a conflict cannot be: its key is taken)")
        return 1
    console.print(f"{back} back in the queue")
    return 0


@app.command(name="dismiss")
def exceptions_dismiss(
    exception_id: int | None = None,
    *,
    reason: Reason,
    cause: str | None = None,
    by: By = None,
    data: DataFolder = DATA,
) -> int:
    """Close one exception, or all of a root cause, without any effect. The bytes stay; a warning is acknowledged."""
    from tillwire.exceptions.fixes import dismiss, dismiss_cause

    limit = settings_of(data).exceptions.second_person_above
    if (exception_id is None) == (cause is None):
        console.print("name an exception by its id, or a --cause")
        return 2
    with connect(data) as connection:
        if exception_id is not None:
            fixed = dismiss(connection, exception_id, by=_by(by), reason=reason, limit=limit)
            told = f"waits until a second person approves: tillwire exceptions approve {exception_id}"
            console.print("dismissed" if fixed.state == "dismissed" else told)
        else:
            assert cause is not None
            counts = dismiss_cause(connection, cause, by=_by(by), reason=reason, limit=limit)
            console.print(f"{counts['dismissed']} dismissed, {counts['approval']} wait until a second person approves")
            return 0 if any(counts.values()) else 1
    return 0
