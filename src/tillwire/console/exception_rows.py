"""What pages about exceptions share: the columns of a list, and words of what is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from litestar.params import Parameter

from tillwire.console.tables import Column
from tillwire.exceptions.dry_run import DryRun
from tillwire.exceptions.held import FixRefused

Name = Annotated[str, Parameter(max_length=500, pattern=r"^[^\x00]*$")]
MOST = 5_000
AGAIN = "It goes through the same checks as at first: what passes is recorded once, with the effect it would have had."
CLOSED = "It is closed without any effect: nothing of it will be in stock, in the ledger or in the ERP."
WAITS = "It waits for a second person"

ROWS = (
    Column("id", "No.", lambda one: one.exception_id, numeric=True),
    Column("code", "Code", lambda one: one.code),
    Column("store", "Store", lambda one: one.store),
    Column("key", "About", lambda one: one.key),
    Column("amount", "Money at risk", lambda one: one.amount, numeric=True),
    Column("owner", "Owner", lambda one: one.owner),
    Column("state", "State", lambda one: one.state),
    Column("due", "Due", lambda one: one.due_at),
    Column("raised", "Raised", lambda one: one.raised_at),
)


def rehearsed(run: Callable[[], DryRun]) -> DryRun | str:
    """A dry run, or why there is none."""
    try:
        return run()
    except FixRefused as error:
        return str(error)
