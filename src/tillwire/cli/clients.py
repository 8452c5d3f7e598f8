"""``tillwire client``: API clients and their keys."""

from __future__ import annotations

import cyclopts
from rich.table import Table

from tillwire.cli.common import DATA, DataFolder, connect, console

app = cyclopts.App(name="client", help="API clients and their keys.")


@app.command(name="add")
def client_add(name: str, *, data: DataFolder = DATA) -> None:
    """Make an API client; its key is shown once."""
    from tillwire.governance.clients import add_client

    with connect(data) as connection:
        print(add_client(connection, name))


@app.command(name="revoke")
def client_revoke(name: str, *, data: DataFolder = DATA) -> None:
    """Take a client's key out of force."""
    from tillwire.governance.clients import revoke_client

    with connect(data) as connection:
        revoke_client(connection, name)


@app.command(name="list")
def client_list(*, data: DataFolder = DATA) -> None:
    """List API clients."""
    from tillwire.governance.clients import clients

    table = Table("name", "made", "revoked")
    with connect(data) as connection:
        for name, made, revoked in clients(connection):
            table.add_row(name, f"{made:%Y-%m-%d %H:%M}", f"{revoked:%Y-%m-%d %H:%M}" if revoked else "")
    console.print(table)
