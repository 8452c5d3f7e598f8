"""``tillwire inbox``: files that were dropped, by state, with their reports."""

from __future__ import annotations

from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter
from rich.table import Column, Table

from tillwire.cli.common import DATA, DataFolder, Most, connect, console, print_json

app = cyclopts.App(name="inbox", help="Files that were dropped into the connections' inboxes.")


@app.command(name="list")
def inbox_list(
    *,
    data: DataFolder = DATA,
    connection: Annotated[str | None, Parameter(help="Only of this connection.")] = None,
    state: Literal["checking", "recording", "done", "failed", "duplicate"] | None = None,
    most: Most = 50,
) -> None:
    """List files by state, the latest first: how far each has come, and what became of it."""
    from tillwire.intake.dropped import listed

    table = Table(
        "id", "connection", Column("file", overflow="fold"), "state", "records", "events", "failed",
        Column("what", overflow="fold"),
    )  # fmt: skip
    with connect(data) as connected:
        for row in listed(connected, name=connection, state=state, most=most):
            report = row.report or {}
            place, reason = report.get("place") or "", report.get("reason") or ""
            table.add_row(
                str(row.file_id),
                row.connection,
                row.name,
                row.state,
                str(row.next_record),
                str(row.counts.get("events", 0)),
                str(row.counts.get("failed", 0)),
                ": ".join(part for part in (place, reason) if part),
            )
    console.print(table)


@app.command(name="show")
def inbox_show(file_id: int, *, data: DataFolder = DATA) -> int:
    """Show the report of one file: counts, troubles with places and exception ids, claims against what was mapped."""
    from tillwire.intake.dropped import report_of

    with connect(data) as connected:
        report = report_of(connected, file_id)
    if report is None:
        console.print(f"there is no file {file_id} that has come to its end")
        return 1
    print_json(report)
    return 0
