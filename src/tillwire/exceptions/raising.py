"""Raising: faults become rows of the queue, all of a batch in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.exceptions.causes import foreign_cause
from tillwire.exceptions.codes import owner_of

_sql = sql.load("tillwire.exceptions", "raising.sql")

Row = dict[str, object]


def raise_all(connection: psycopg.Connection, rows: Sequence[Row]) -> dict[tuple[int, int], int]:
    """Raise exceptions, inside the caller's transaction; their ids by group and ordinal.

    A state of which a newer revision is recorded already is raised as superseded: it is shown and has no work in it.
    """
    if not rows:
        return {}
    states = [row for row in rows if row["revision"] is not None and row["severity"] == "blocking"]
    if states:
        _supersede_stale(connection, states)
    content = msgspec.json.encode(rows).decode()
    raised = connection.execute(_sql.raise_all, {"rows": content}).fetchall()
    return {(group_id, ordinal): exception_id for exception_id, group_id, ordinal in raised}


def _supersede_stale(connection: psycopg.Connection, states: Sequence[Row]) -> None:
    parameters = {"entities": [row["entity"] for row in states], "revisions": [row["revision"] for row in states]}
    stale = set(connection.execute(_sql.newer_recorded, parameters).fetchall())
    for row in states:
        if (row["entity"], row["revision"]) in stale:
            row["state"] = "superseded"


def raise_foreign(
    connection: psycopg.Connection,
    *,
    foreign_id: int,
    source: str,
    key: str,
    faults: Sequence[tuple[str, str, str]],
    place: str = "",
    store: str | None,
    business_date: date | None,
    amount: Decimal | None,
    currency: str | None,
    group_id: int,
    ordinal: int,
) -> int:
    """Raise a message that its connection could not map, inside the caller's transaction; the exception's id.

    ``faults`` are (code, message, pointer), the first of which gives the code; ``place`` is where in a file it is.
    ``amount`` is the money at risk in ``currency``. One message is one exception: raised again, it is open again.
    """
    told = [{"code": code, "message": _clean(words), "pointer": pointer} for code, words, pointer in faults]
    code, message, pointer = told[0].values()
    parameters = {
        "code": code,
        "owner": owner_of(code),
        "message": f"{place}: {message}" if place else message,
        "pointer": pointer,
        "faults": msgspec.json.encode(told).decode(),
        "cause": foreign_cause(code, pointer, source),
        "entity": f"foreign:{foreign_id}",
        "source": source,
        "key": key,
        "store": store,
        "business_date": business_date,
        "amount": amount,
        "currency": currency,
        "group_id": group_id,
        "ordinal": ordinal,
        "foreign_id": foreign_id,
    }
    row = connection.execute(_sql.raise_foreign, parameters).fetchone()
    assert row is not None
    return int(row[0])


def _clean(text: str) -> str:
    return text.replace("\x00", "\ufffd")
