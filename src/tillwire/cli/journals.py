"""``tillwire journals``: journals on their way to the ERP."""

from __future__ import annotations

from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter
from rich.table import Table

from tillwire.cli.common import DATA, DataFolder, Most, connect, console

State = Literal["built", "sent", "posted", "rejected", "unknown"]

app = cyclopts.App(name="journals", help="Journals on their way to the ERP.")


@app.command(name="list")
def journals_list(
    *,
    data: DataFolder = DATA,
    state: State | None = None,
    most: Most = 50,
) -> None:
    """List journals, of one state (built, sent, posted, rejected, unknown) or of all."""
    from tillwire.posting.journals import listed

    table = Table("reference", "state", "transactions", "amount", "ERP document", "attempts", "last error")
    with connect(data) as connection:
        for row in listed(connection, state=state, most=most):
            amount = f"{row.amount} {row.currency}"
            words = (row.document_number or "", str(row.attempts), row.last_error or "")
            table.add_row(row.reference, row.state, f"{row.transactions:,}", amount, *words)
    console.print(table)


@app.command(name="retry")
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
    with connect(data) as connection:
        back = retry_rejected(connection, reference)
    console.print(f"{back} back in the lane" if back else "nothing to retry: no rejected journal of that reference")
    return 0 if back else 1
