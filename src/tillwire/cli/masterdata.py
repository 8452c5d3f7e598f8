"""``tillwire master``: import, list, show, export master records, and pull them from the ERP."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
import msgspec
import psycopg
from cyclopts import Parameter
from rich.table import Table

from tillwire.cli.common import DATA, DataFolder, Most, connect, console, print_json, settings_of, styled
from tillwire.errors import TillwireError
from tillwire.masterdata import listing
from tillwire.masterdata.bulk import SOURCE, Bulk, Outcome
from tillwire.masterdata.lookup import NoSuchRecordError
from tillwire.masterdata.tables import TableError, decoded, write_table
from tillwire.masterdata.taking import take_in, take_pulled
from tillwire.model.event import MESSAGES

app = cyclopts.App(name="master", help="Master data: products, prices, tax codes, mappings and the like.")

Kind = Literal[
    "account",
    "customer",
    "mapping",
    "period",
    "price",
    "product",
    "register",
    "store",
    "tax-code",
    "tax-group",
    "tender",
]
Pulled = Literal["account", "period", "tax-code", "product"]


def _tell(name: str, outcome: Outcome) -> int:
    """Print what became of rows; the exit code."""
    if outcome.errors:
        table = Table("row", "column", "what is wrong", title=f"{name}: rejected or in conflict")
        for error in outcome.errors:
            table.add_row(str(error.row), error.column or "", error.detail)
        console.print(table)
        if outcome.errors_omitted:
            console.print(f"and {outcome.errors_omitted:,} more")
    counts = ", ".join(
        f"{getattr(outcome, status):,} {status}"
        for status in ("accepted", "unchanged", "duplicate", "conflict", "rejected")
        if getattr(outcome, status)
    )
    console.print(f"{name}: {counts or 'nothing'}")
    return 1 if outcome.errors else 0


@app.command(name="import")
def master_import(
    kind: Kind,
    file: Path,
    *,
    data: DataFolder = DATA,
    source: Annotated[str, Parameter(help="The system whose records they are.")] = SOURCE,
    all_or_nothing: Annotated[bool, Parameter(negative="", help="Take nothing if a row is wrong.")] = False,
) -> int:
    """Take in records from a file: CSV, or a JSON array if its name ends in .json. Exit code 1 if a row is wrong.

    A record without a revision is given one; what has not changed makes none. The same file again has no effect.
    """
    url = settings_of(data).database_url
    content = file.read_bytes()

    async def work(bulk: Bulk) -> Outcome:
        if file.suffix.lower() == ".json":
            try:
                items = msgspec.json.decode(content, type=list[msgspec.Raw])
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise TillwireError(f"{file} is no JSON array of records: {error}") from error
            return await bulk.array(kind, items, all_or_nothing=all_or_nothing)
        return await bulk.table(kind, decoded(content), all_or_nothing=all_or_nothing)

    try:
        return _tell(kind, take_in(url, source, work))
    except TableError as error:
        console.print(styled((str(file), "red"), f": {error}"))
        return 1


@app.command(name="list")
def master_list(
    kind: Kind, *, data: DataFolder = DATA, prefix: str = "", text: str = "", after: str = "", most: Most = 50
) -> None:
    """List records: those whose identifier begins with a prefix, those with a text anywhere."""
    with connect(data) as connection:
        page = listing.listed(connection, kind, after=after, prefix=prefix, text=text, most=most)
    print_json(page.records)
    if page.after is not None:
        console.print(f"there are more: --after {page.after!r}", soft_wrap=True)


@app.command(name="show")
def master_show(
    kind: Kind,
    identifier: str,
    *,
    data: DataFolder = DATA,
    versions: Annotated[bool, Parameter(negative="", help="Every revision, the newest first.")] = False,
) -> int:
    """Show one record by its identifier; a product also by any of its GTINs."""
    with connect(data) as connection:
        try:
            if versions:
                print_json(listing.versions(connection, kind, identifier))
            else:
                print_json(listing.one(connection, kind, identifier))
        except NoSuchRecordError as error:
            console.print(str(error))
            return 1
    return 0


@app.command(name="export")
def master_export(kind: Kind, *, data: DataFolder = DATA, prefix: str = "") -> None:
    """Write records as CSV, in the form that ``tillwire master import`` reads."""
    record = MESSAGES[listing.KINDS[kind]]
    decode = msgspec.json.Decoder(record).decode

    def every(connection: psycopg.Connection) -> Iterator[msgspec.Struct]:
        after: str | None = ""
        while after is not None:
            page = listing.listed(connection, kind, after=after, prefix=prefix, most=1000)
            yield from map(decode, page.records)
            after = page.after

    with connect(data) as connection:
        for line in write_table(every(connection), record):
            sys.stdout.write(line)


@app.command(name="pull")
def master_pull(
    *,
    data: DataFolder = DATA,
    erp: Annotated[str | None, Parameter(help="Which ERP, where there are several.")] = None,
    kind: Annotated[
        tuple[Pulled, ...], Parameter(help="Only these kinds; all that the ERP has if none is named.")
    ] = (),
    since: Annotated[datetime | None, Parameter(help="Only what changed in the ERP since then.")] = None,
) -> int:
    """Pull master data from an ERP. Reads only, within its budget of calls; what has not changed makes no event."""
    from tillwire import bootstrap
    from tillwire.posting.gate import Gate

    settings = settings_of(data)
    policy = bootstrap.erp_named(settings, erp)
    moment = since.astimezone() if since is not None else None
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        gate = Gate(connection, policy, wait=time.sleep)
        source = bootstrap.master_source(settings, erp, watch=gate)
        try:
            chosen = kind or source.kinds
            return max(
                [
                    _tell(one, take_pulled(settings.database_url, policy, one, source.pull(one, moment)))
                    for one in chosen
                ],
                default=0,
            )
        finally:
            gate.finished()
            source.close()
