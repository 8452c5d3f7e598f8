"""The exception queue as people see it: list, group by root cause, show with raw bytes and audit trail, retry."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import psycopg

from tillwire.config import ServiceLevel
from tillwire.database import sql
from tillwire.events import frames
from tillwire.exceptions import moves
from tillwire.governance.access import ALL, Reach
from tillwire.posting import documents

_sql = sql.load("tillwire.exceptions", "exceptions.sql")

OPEN = "open"
WAITING = "waiting"
RETRYING = "retrying"
APPROVAL = "approval"
IN_QUEUE = (OPEN, WAITING, RETRYING, APPROVAL)
STATES = {
    OPEN: "somebody has to mend it",
    WAITING: "held behind an earlier message, or the transaction it refers to",
    RETRYING: "on its way through the workers again",
    APPROVAL: "a fix waits for a second person",
    "resolved": "recorded, with the effect it would have had in its place",
    "dismissed": "closed without an effect, or a warning that was seen",
    "superseded": "a state whose newer revision is recorded",
}


class ExceptionRow(msgspec.Struct, frozen=True):
    """One exception. ``amount`` is the money at risk, in ``currency``."""

    exception_id: int
    code: str
    owner: str
    state: str
    severity: str
    message: str
    pointer: str
    cause: str
    entity: str
    waits_for: str | None
    event_type: str
    source: str
    key: str
    store: str | None
    business_date: date | None
    amount: Decimal | None
    currency: str | None
    attempts: int
    raised_at: datetime
    due_at: datetime | None
    """When the service level of its code and owner wants it mended; none: there is none."""
    assigned: str | None


class Action(msgspec.Struct, frozen=True):
    """One entry of the audit trail."""

    at: datetime
    action: str
    actor: str
    before: dict[str, Any]
    after: dict[str, Any]
    note: str


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """An edit or a dismissal: who wants it and why, the money it moves in ``currency``, and what became of it."""

    proposal_id: int
    kind: str
    state: str
    diff: list[dict[str, Any]]
    moved: Decimal | None
    currency: str | None
    author: str
    reason: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    decision: str | None
    payload: msgspec.Raw | str | None
    """The edited payload: as JSON where it is, else as text."""


class ExceptionDetail(msgspec.Struct, frozen=True):
    """An exception with every fault found, the payload as it was accepted, its fixes and its audit trail.

    Of a journal that an ERP refused, ``raw`` is the journal as it was sent.
    """

    exception: ExceptionRow
    faults: list[dict[str, Any]]
    raw: msgspec.Raw | str
    note: str | None
    proposals: list[Proposal]
    actions: list[Action]


class Money(msgspec.Struct, frozen=True):
    """An amount in a currency."""

    amount: Decimal
    currency: str


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """What one fix would mend: how many exceptions in which state, and the money at risk per currency."""

    cause: str
    name: str
    """Short, and fit for an address."""
    code: str
    owner: str
    exceptions: int
    states: dict[str, int]
    money: list[Money]
    oldest: datetime


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which exceptions; none: whatever. ``least`` is in each exception's own currency."""

    states: Sequence[str] | None = (OPEN,)
    code: str | None = None
    cause: str | None = None
    owner: str | None = None
    store: str | None = None
    assigned: str | None = None
    severity: str | None = None
    least: Decimal | None = None
    before: datetime | None = None
    """Raised before this moment."""
    overdue_at: datetime | None = None
    """Due before this moment."""
    reach: Reach = ALL
    """Of these stores; a store that is asked for widens it by nothing."""
    after: int = 0
    most: int = 100


def name_of(cause: str) -> str:
    """The short name of a cause, fit for an address."""
    return hashlib.md5(cause.encode(), usedforsecurity=False).hexdigest()


def _levels(levels: Sequence[ServiceLevel]) -> dict[str, object]:
    return {
        "codes": [level.code for level in levels],
        "owners": [level.owner for level in levels],
        "hours": [level.hours for level in levels],
    }


def listed(
    connection: psycopg.Connection,
    *,
    state: str | None = OPEN,
    code: str | None = None,
    after: int = 0,
    most: int = 100,
    levels: Sequence[ServiceLevel] = (),
) -> list[ExceptionRow]:
    """Exceptions of a state in the order they were raised, from after an id on."""
    states = None if state is None else (state,)
    return found(connection, Filter(states=states, code=code, after=after, most=most), levels)


def found(connection: psycopg.Connection, wanted: Filter, levels: Sequence[ServiceLevel] = ()) -> list[ExceptionRow]:
    """The exceptions that a filter wants, in the order they were raised."""
    parameters = msgspec.structs.asdict(wanted) | _levels(levels)
    parameters["states"] = None if wanted.states is None else list(wanted.states)
    parameters["reach"] = wanted.reach.parameter
    return [ExceptionRow(*row) for row in connection.execute(_sql.listed, parameters)]


def causes(
    connection: psycopg.Connection, *, owner: str | None = None, store: str | None = None, reach: Reach = ALL
) -> list[Cause]:
    """What is in the queue by root cause, most money at risk first: counts and amounts of stores within reach.

    Currencies cannot be added, so a cause ranks by its largest amount, in whichever currency that is.
    """
    groups: dict[str, Cause] = {}
    for cause, currency, code, who, count, amount, oldest, *states in connection.execute(
        _sql.causes, {"owner": owner, "store": store, "reach": reach.parameter}
    ):
        known = groups.get(cause)
        counts = dict(zip(IN_QUEUE, states, strict=True))
        money = [Money(amount, currency)] if amount is not None and currency is not None else []
        if known is not None:
            counts = {state: number + known.states[state] for state, number in counts.items()}
            money = sorted([*known.money, *money], key=lambda one: (-one.amount, one.currency))
            count, oldest = count + known.exceptions, min(oldest, known.oldest)
        groups[cause] = Cause(
            cause=cause,
            name=name_of(cause),
            code=code,
            owner=who,
            exceptions=count,
            states=counts,
            money=money,
            oldest=oldest,
        )
    ranked = sorted(groups.values(), key=lambda one: one.cause)
    return sorted(ranked, key=lambda one: one.money[0].amount if one.money else Decimal(-1), reverse=True)


def detail(
    connection: psycopg.Connection,
    exception_id: int,
    *,
    levels: Sequence[ServiceLevel] = (),
    reach: Reach = ALL,
) -> ExceptionDetail | None:
    """One exception with everything that is known of it, or none if there is none within reach."""
    parameters = {"exception_id": exception_id, "reach": reach.parameter} | _levels(levels)
    row = connection.execute(_sql.one, parameters).fetchone()
    if row is None:
        return None
    *fields, faults, ordinal, body, journal_id, note = row
    if body is not None:
        raw = _shown(frames.unpack(bytes(body))[ordinal])
    else:
        raw = _document(connection, journal_id)
    return ExceptionDetail(
        ExceptionRow(*fields),
        faults,
        raw,
        note,
        [_proposal(one) for one in connection.execute(_sql.proposals, (exception_id,))],
        [Action(*one) for one in connection.execute(_sql.actions, (exception_id,))],
    )


def _document(connection: psycopg.Connection, journal_id: int | None) -> msgspec.Raw:
    """What an exception about a journal is about: the journal as it is sent. About an ERP as a whole: nothing."""
    if journal_id is None:
        return msgspec.Raw(b"null")
    (document,) = documents.load(connection, [journal_id])
    return msgspec.Raw(msgspec.json.encode(document))


def _proposal(row: tuple[Any, ...]) -> Proposal:
    *fields, body = row
    names = Proposal.__struct_fields__
    return Proposal(**dict(zip(names, [*fields, None if body is None else _shown(bytes(body))], strict=True)))


def _shown(raw: bytes) -> msgspec.Raw | str:
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw.decode("utf-8", "replace")
    return msgspec.Raw(raw)


def cause_named(connection: psycopg.Connection, name: str, *, reach: Reach = ALL) -> str | None:
    """The cause that is in the queue, within reach, by itself or by its short name, or none."""
    row = connection.execute(_sql.cause_named, {"name": name, "reach": reach.parameter}).fetchone()
    return None if row is None else str(row[0])


def retry(
    connection: psycopg.Connection,
    *,
    exception_id: int | None = None,
    code: str | None = None,
    cause: str | None = None,
    by: str = "operator",
    reach: Reach = ALL,
) -> int:
    """Put open exceptions of stores within reach back into the workers' queue: one, all of a code, or all of a root
    cause; how many.

    What fails again is open again; what passes now is recorded with exactly the effect it would have had, and resolved.
    Conflicts are not retried (their key is taken), nor warnings (their events are recorded).
    """
    with connection.transaction():
        chosen = {"exception_id": exception_id, "code": code, "cause": cause, "reach": reach.parameter}
        ids = [one for (one,) in connection.execute(_sql.retriable, chosen)]
        if ids:
            moves.requeue(connection, ids, "retry", by)
    return len(ids)
