"""``tillwire journals``: journals and documents on their way to the ERPs."""

from __future__ import annotations

import getpass
from typing import Annotated, Literal

import cyclopts
import psycopg
from cyclopts import Parameter
from rich.table import Table

from tillwire.cli.common import DATA, DataFolder, Most, connect, console, print_json, settings_of, styled

State = Literal["built", "sent", "accepted", "posted", "rejected", "unknown"]
OfErp = Annotated[str | None, Parameter(help="Only what was sent to this ERP.")]

app = cyclopts.App(name="journals", help="Journals and documents on their way to the ERPs.")


@app.command(name="list")
def journals_list(
    *,
    data: DataFolder = DATA,
    state: State | None = None,
    erp: OfErp = None,
    most: Most = 50,
) -> None:
    """List journals, of one state (built, sent, accepted, posted, rejected, unknown) or of all."""
    from tillwire.posting.journals import listed

    names = ("reference", "kind", "state", "ERP", "posting date", "transactions", "amount")
    table = Table(*names, "ERP document", "attempts", "last error")
    with connect(data) as connection:
        for row in listed(connection, state=state, erp=erp, most=most):
            amount = f"{row.amount} {row.currency}"
            day = str(row.posting_date or row.business_date)
            words = (row.document_number or "", str(row.attempts), row.last_error or "")
            table.add_row(
                row.reference, row.kind, row.state, row.erp or "", day, f"{row.transactions:,}", amount, *words
            )
    console.print(table)


@app.command(name="backlog")
def journals_backlog(
    *,
    data: DataFolder = DATA,
    json: Annotated[bool, Parameter(help="Print JSON.")] = False,
) -> int:
    """Show what waits for each ERP and why: breaker, pause, budget, counts, amounts, age, stores.

    Exit code 1 if an ERP is left alone, or something was refused.
    """
    from tillwire import bootstrap
    from tillwire.posting.backlog import backlog

    settings = settings_of(data)
    with connect(data) as connection:
        found = backlog(connection, bootstrap.erps(settings))
    if json:
        print_json(found)
        return 0
    table = Table("ERP", "state", "journals", "amount", "oldest", "stores")
    for one in found:
        told = f"breaker {one.breaker}" + (f", paused until {one.paused_until:%H:%M:%S}" if one.paused_until else "")
        if not one.enabled:
            told += ", nothing is sent"
        if one.reason:
            told += f": {one.reason}"
        rest = f" and {one.store_count - len(one.stores)} more" if one.store_count > len(one.stores) else ""
        age = f"{one.oldest_business_date or ''}" + (f", built {one.age_s / 60:.0f} min ago" if one.age_s else "")
        states = one.states.items()
        table.add_row(
            one.erp or "(none)",
            styled((told, "red" if one.breaker == "open" else "green")),
            "\n".join(f"{each.journals:,} {state}" for state, each in states),
            "\n".join(", ".join(f"{amount:,} {money}" for money, amount in each.amounts.items()) for _, each in states),
            age,
            ", ".join(one.stores) + rest,
        )
    console.print(table)
    troubled = any(one.breaker == "open" or "rejected" in one.states for one in found)
    return 1 if troubled else 0


@app.command(name="retry")
def journals_retry(
    reference: str | None = None,
    *,
    data: DataFolder = DATA,
    all_: Annotated[bool, Parameter(name="--all", help="Every rejected journal that was not dismissed.")] = False,
    remap: Annotated[
        bool, Parameter(negative="", help="First choose their accounts anew, by the rule book that the hub runs with.")
    ] = False,
    by: Annotated[str | None, Parameter(help="Who does it; else who is logged in.")] = None,
) -> int:
    """Send rejected journals again, after their cause was mended: in the ERP, or (``--remap``) in the rule book.

    The ERP is asked first whether it has them.
    """
    from tillwire import bootstrap
    from tillwire.exceptions.journals import retry_journals
    from tillwire.governance.audit import note
    from tillwire.posting.journals import rejected
    from tillwire.posting.remapping import remap as map_anew

    if reference is None and not all_:
        console.print("name a journal by its reference, or say --all")
        return 2
    settings, who = settings_of(data), by or getpass.getuser()
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        if remap:
            book, policy = bootstrap.account_book(settings), bootstrap.posting_policy(settings)
            with connection.transaction():
                changed = map_anew(connection, book, policy, reference)
                if changed:
                    note(connection, who, "map journals anew", reference or "", {"journals": len(changed)})
            console.print(f"{len(changed)} have other accounts now")
        ids = rejected(connection, reference)
        with connection.transaction():
            back = retry_journals(connection, ids, by=who, dismissed=reference is not None)
            if back:
                note(connection, who, "retry journals", reference or "", {"journals": back})
    console.print(f"{back} back in the lane" if back else "nothing to retry: no rejected journal of that reference")
    return 0 if back else 1
