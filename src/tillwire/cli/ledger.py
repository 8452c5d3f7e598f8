"""``tillwire ledger``: what was posted, down to the transactions behind every line, and what lies in suspense."""

from __future__ import annotations

import getpass
from datetime import date
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.table import Column, Table

from tillwire import clock
from tillwire.cli.common import DATA, DataFolder, connect, console, print_json, settings_of, styled

app = cyclopts.App(name="ledger", help="Trial balance, the transactions behind every line, suspense.")

Json = Annotated[bool, Parameter(help="Print JSON.")]


def _money(name: str) -> Column:
    return Column(name, justify="right", no_wrap=True)


@app.command(name="balance")
def ledger_balance(
    *,
    data: DataFolder = DATA,
    company: str | None = None,
    store: str | None = None,
    first: Annotated[date, Parameter(name="--from")] = date.min,
    last: Annotated[date, Parameter(name="--to")] = date.max,
    json: Json = False,
) -> int:
    """The trial balance by company, currency and account: what was built, and what the ERP says is posted."""
    from tillwire.posting.trial_balance import trial_balance

    with connect(data) as connection:
        found = trial_balance(connection, company=company, store=store, first=first, last=last)
    if json:
        print_json(found)
        return 0
    table = Table("company", "currency", "account", _money("built"), _money("posted"), _money("not posted"))
    for one in found:
        open_ = one.built - one.posted
        amounts = (f"{one.built:,}", f"{one.posted:,}", f"{open_:,}" if open_ else "")
        table.add_row(one.company, one.currency, one.account, *amounts)
    console.print(table)
    return 0


@app.command(name="show")
def ledger_show(
    reference: str,
    *,
    data: DataFolder = DATA,
    line: Annotated[int | None, Parameter(help="The transactions behind this line.")] = None,
    json: Json = False,
) -> int:
    """Show a journal by its reference: its lines as the ERP has them, or the transactions behind one of them."""
    from tillwire.posting import drilldown

    with connect(data) as connection:
        head = drilldown.head(connection, reference)
        lines = drilldown.erp_lines(connection, reference)
        parts = [] if line is None else drilldown.parts_of(connection, reference, line)
    if head is None:
        console.print(f"there is no journal {reference!r}; `tillwire journals list` names them")
        return 1
    if json:
        print_json({"journal": head, "lines": lines if line is None else [one for one in lines if one.line == line]}
                   | ({} if line is None else {"parts": parts}))  # fmt: skip
        return 0
    told = f"{head.kind}, {head.state}" + (f" as {head.document_number}" if head.document_number else "")
    posted_on = f", in the books of {head.posting_date}" if head.posting_date else ""
    console.print(f"{head.reference}: {told}, {head.business_date}{posted_on}, {head.transactions} transactions")
    if head.reverses:
        console.print(f"takes back transactions of {head.reverses}")
    if line is None:
        table = Table("line", "account", _money("debit"), _money("credit"), "dimensions", "made of")
        for one in lines:
            debit, credit = (f"{one.amount:,}", "") if one.amount > 0 else ("", f"{-one.amount:,}")
            dimensions = ", ".join(f"{name} {value}" for name, value in one.dimensions.items())
            table.add_row(str(one.line), one.account, debit, credit, dimensions, ", ".join(one.parts))
    else:
        table = Table("what", "kind", "component", "code", _money("amount"), "of")
        for part in parts:
            of = str(part.original_date or "")
            table.add_row(part.key, part.kind, part.component, part.code, f"{part.amount:,}", of)
    console.print(table)
    return 0


@app.command(name="suspense")
def ledger_suspense(*, data: DataFolder = DATA, json: Json = False) -> int:
    """List what lies in suspense, with its age and amount, and why."""
    from tillwire.posting.suspense import listed

    with connect(data) as connection:
        found = listed(connection)
    if json:
        print_json(found)
        return 0
    table = Table("company", "store", "component", "code", "kind", _money("amount"), "since", _money("days"))
    for one in found:
        amount = f"{one.amount:,} {one.currency}"
        table.add_row(
            one.company, one.store, one.component, one.code, one.kind, amount, str(one.first), str(one.age_days())
        )
    console.print(table if found else "nothing is in suspense")
    return 0


@app.command(name="reclassify")
def ledger_reclassify(
    *,
    data: DataFolder = DATA,
    on: Annotated[date | None, Parameter(help="The business date of the journals; today if none is named.")] = None,
    dry_run: Annotated[bool, Parameter(help="Show what would move, and move nothing.")] = False,
) -> int:
    """Take out of suspense what the rule book maps by now: a journal per company, store and currency."""
    from tillwire import bootstrap
    from tillwire.governance.audit import note
    from tillwire.posting.suspense import reclassify

    settings = settings_of(data)
    book, policy = bootstrap.account_book(settings), bootstrap.posting_policy(settings)
    with connect(data) as connection, connection.transaction():
        moved = reclassify(connection, book, policy, on=on or clock.now().date(), dry_run=dry_run)
        if moved and not dry_run:
            stores = sorted({one.what.store for one in moved})
            note(connection, getpass.getuser(), "reclassify suspense", details={"lines": len(moved), "stores": stores})
    table = Table("company", "store", "component", "code", _money("amount"), "from", "to", "rule")
    for one in moved:
        what = one.what
        amount = f"{what.amount:,} {what.currency}"
        table.add_row(what.company, what.store, what.component, what.code, amount, what.account, one.account, one.rule)
    console.print(table if moved else "nothing in suspense is mapped by a rule yet")
    if moved and dry_run:
        console.print(styled(("dry run", "yellow"), ": nothing was moved"))
    return 0
