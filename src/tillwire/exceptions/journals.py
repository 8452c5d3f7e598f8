"""Exceptions about what goes to an ERP: a journal that it refused or lost, or the ERP itself.

They stand in the same queue as those of messages. What has no raw bytes has nothing to edit: it is sent again, or left.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import date
from decimal import Decimal

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.exceptions import moves
from tillwire.exceptions.code import OUTCOME_UNKNOWN
from tillwire.exceptions.codes import owner_of

_sql = sql.load("tillwire.exceptions", "journals.sql")

REJECTED, CLOSED, ACCOUNT = "erp_rejected", "period_closed", "unknown_account"
UNKNOWN = OUTCOME_UNKNOWN
OPEN = "open"
AUTHENTICATION, CONTRACT = "erp_auth_failed", "schema_drift"

_MOST_CAUSE = 500
_MOST_WORDS = 4_000
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DIGIT = re.compile(r"\d")
"""In words: numbers, dates, references, identifiers. They differ where the cause is one."""


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a journal. ``amount`` is the money at risk, in ``currency``; ``message`` the ERP's words."""

    journal_id: int
    erp: str
    code: str
    message: str
    cause: str
    key: str
    """The journal's reference."""
    store: str
    business_date: date
    amount: Decimal
    currency: str


def rejection_cause(code: str, erp: str, words: str, *, accounts: Collection[str] = (), day: date | None = None) -> str:
    """What one fix mends: the period of ``day``, the account that the words name, or all that the ERP says the same of.

    The first two are as master data clears them: a period that is opened, an account that is made.
    """
    if code == CLOSED and day is not None:
        return f"{code}:{day}"
    if code == ACCOUNT:
        named = sorted(set(_TOKEN.findall(words)) & set(accounts), key=lambda one: (-len(one), one))
        if named:
            return f"{code}:{named[0]}"[:_MOST_CAUSE]
    alike = " ".join(["*" if _DIGIT.search(word) else word for word in words[:_MOST_WORDS].split()])
    return f"{code}:{erp}:{alike}"[:_MOST_CAUSE]


def raise_journals(connection: psycopg.Connection, troubles: Sequence[Trouble]) -> None:
    """Raise them, inside the caller's transaction: one exception a journal, open again if it was there."""
    if troubles:
        rows = [
            {
                **msgspec.to_builtins(one),
                "message": _clean(one.message),
                "cause": _clean(one.cause),
                "owner": owner_of(one.code),
                "faults": [{"code": one.code, "message": _clean(one.message), "pointer": ""}],
            }
            for one in troubles
        ]
        connection.execute(_sql.raise_journals, {"rows": msgspec.json.encode(rows).decode()})


def lock(connection: psycopg.Connection, journal_ids: Sequence[int]) -> None:
    """Lock the exceptions of journals, before the journals themselves are."""
    connection.execute(_sql.lock_of_journals, (list(journal_ids),))


def in_queue(connection: psycopg.Connection, journal_ids: Sequence[int]) -> dict[int, str]:
    """Which of these journals have an exception that is open, or retrying, with that state."""
    return dict(connection.execute(_sql.journals_in_queue, (list(journal_ids),)).fetchall())


def resolve_journals(connection: psycopg.Connection, journal_ids: Sequence[int], code: str | None = None) -> None:
    """What was wrong with these journals is over, by whatever way; with ``code`` only that."""
    if journal_ids:
        chosen = {"journals": list(journal_ids), "code": code}
        ids = [one for (one,) in connection.execute(_sql.in_queue_of_journals, chosen)]
        moves.close(connection, ids, "resolved", "resolve", moves.HUB)


def retry_journals(connection: psycopg.Connection, journal_ids: Sequence[int], *, by: str, dismissed: bool) -> int:
    """Send journals again whose exceptions are open, or (with ``dismissed``) were dismissed; returns how many."""
    states = [OPEN, "dismissed"] if dismissed else [OPEN]
    with connection.transaction():
        chosen = {"journals": list(journal_ids), "states": states}
        ids = [one for (one,) in connection.execute(_sql.to_retry_of_journal, chosen)]
        moves.requeue(connection, ids, "retry", by)
    return len(ids)


def raise_erp(connection: psycopg.Connection, erp: str, code: str, words: str) -> None:
    """Raise what is wrong with an ERP as a whole, once until it is over."""
    parameters = {
        "erp": erp,
        "code": code,
        "owner": owner_of(code),
        "message": _clean(words),
        "faults": msgspec.json.encode([{"code": code, "message": _clean(words), "pointer": ""}]).decode(),
        "cause": f"{code}:erp:{erp}",
    }
    connection.execute(_sql.raise_erp, parameters)


def resolve_erp(connection: psycopg.Connection, erp: str, codes: Sequence[str]) -> None:
    """It is over."""
    with connection.transaction():
        chosen = {"erp": erp, "codes": list(codes)}
        ids = [one for (one,) in connection.execute(_sql.in_queue_of_erp, chosen)]
        moves.close(connection, ids, "resolved", "resolve", moves.HUB)


def _clean(text: str) -> str:
    return text.replace("\x00", "\ufffd")[:_MOST_WORDS]
