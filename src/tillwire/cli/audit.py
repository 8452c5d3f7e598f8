"""``tillwire audit``: who did what, and the proof that nobody changed it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.table import Table

from tillwire.cli.common import DATA, DataFolder, Most, connect, console, print_json

app = cyclopts.App(name="audit", help="The audit log: who did what.")

Json = Annotated[bool, Parameter(negative="", help="As JSON.")]


@app.command(name="list")
def audit_list(
    *,
    who: Annotated[str | None, Parameter(help="Only of this person or client.")] = None,
    action: Annotated[str | None, Parameter(help="Only actions that begin so.")] = None,
    subject: Annotated[str | None, Parameter(help="Only what was done to this.")] = None,
    since: Annotated[datetime | None, Parameter(help="From this moment on; UTC if it names no zone.")] = None,
    most: Most = 50,
    data: DataFolder = DATA,
    json: Json = False,
) -> None:
    """List what was done, the newest first."""
    from datetime import UTC

    from tillwire.governance import audit

    from_ = since if since is None or since.tzinfo is not None else since.replace(tzinfo=UTC)
    with connect(data) as connection:
        found = audit.listed(connection, who=who, action=action, subject=subject, since=from_, most=most)
    if json:
        print_json(found)
        return
    table = Table("entry", "at", "who", "action", "subject", "details")
    for one in found:
        details = ", ".join(f"{name} {value}" for name, value in one.details.items())
        table.add_row(
            str(one.entry_id),
            f"{one.at:%Y-%m-%d %H:%M:%S %Z}",
            f"{one.who} ({one.kind})",
            one.action,
            one.subject,
            details,
        )
    console.print(table if found else "nothing was done yet")


@app.command(name="verify")
def audit_verify(
    *,
    expect: Annotated[
        str | None, Parameter(help="An end that was told before, ENTRIES:DIGEST: it must still be in the chain.")
    ] = None,
    data: DataFolder = DATA,
) -> None:
    """Compute the chain of digests anew, and tell its end: keep that where nobody of this machine can change it."""
    from tillwire.errors import TillwireError
    from tillwire.governance import audit

    head = None
    if expect is not None:
        entries, _, digest = expect.partition(":")
        if not entries.isdigit() or len(digest) != 64:
            raise TillwireError(f"--expect {expect}: it is ENTRIES:DIGEST, as an earlier `tillwire audit verify` told")
        head = audit.Head(entries=int(entries), digest=digest.lower())
    with connect(data) as connection:
        found = audit.verify(connection, head)
    console.print(
        f"{found.entries:,} entries, each as it was written; the end is {found.entries}:{found.digest}", soft_wrap=True
    )
