"""``tillwire exceptions``: the queue of what could not be processed."""

from __future__ import annotations

import cyclopts
from rich.table import Column, Table

from tillwire.cli.common import DATA, DataFolder, Most, connect, console, print_json

app = cyclopts.App(name="exceptions", help="The queue of what could not be processed.")


@app.command(name="list")
def exceptions_list(*, data: DataFolder = DATA, code: str | None = None, most: Most = 50) -> None:
    """List open exceptions."""
    from tillwire.exceptions.queue import listed

    table = Table(
        Column("id", no_wrap=True),
        Column("code", overflow="fold"),
        "owner",
        Column("key", overflow="fold"),
        "money at risk",
        "what is wrong",
    )
    with connect(data) as connection:
        for row in listed(connection, code=code, most=most):
            money = f"{row.amount} {row.currency}" if row.amount is not None else ""
            table.add_row(str(row.exception_id), row.code, row.owner, row.key, money, row.message)
    console.print(table)


@app.command(name="show")
def exceptions_show(exception_id: int, *, data: DataFolder = DATA) -> int:
    """Show one exception with every fault and its raw bytes."""
    from tillwire.exceptions.queue import detail

    with connect(data) as connection:
        found = detail(connection, exception_id)
    if found is None:
        console.print(f"there is no exception {exception_id}")
        return 1
    print_json(found)
    return 0


@app.command(name="retry")
def exceptions_retry(exception_id: int | None = None, *, data: DataFolder = DATA, code: str | None = None) -> int:
    """Process exceptions again, one by id or all of a code, after their cause was mended."""
    from tillwire.exceptions.queue import retry

    if exception_id is None and code is None:
        console.print("name an exception by its id, or a --code")
        return 2
    with connect(data) as connection:
        back = retry(connection, exception_id=exception_id, code=code)
    if not back:
        console.print("nothing to retry: no open exception of that id or code (a conflict cannot be: its key is taken)")
        return 1
    console.print(f"{back} back in the queue")
    return 0


@app.command(name="dismiss")
def exceptions_dismiss(exception_id: int, *, reason: str, data: DataFolder = DATA) -> int:
    """Close one exception without any effect, such as a conflict that was a mistake of the source. Its bytes stay."""
    from tillwire.exceptions.queue import dismiss

    with connect(data) as connection:
        done = dismiss(connection, exception_id, reason)
    console.print("dismissed" if done else f"there is no open exception {exception_id}")
    return 0 if done else 1
