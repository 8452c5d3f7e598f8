"""Fixes by people: an edited payload, a dismissal, an assignment; a second person where much money is moved.

The bytes that were accepted stay as they are: an edit lies beside them, with who, why and what it changes, and is what
workers process from then on. Every function is one transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.exceptions import moves, payloads
from tillwire.exceptions.changes import diff, money_at_risk, money_moved
from tillwire.exceptions.held import (
    FixRefused,
    Held,
    NoSuchException,
    PayloadRefused,
    accepted_at,
    lock,
    refuse_foreign_words,
    refuse_other_store,
    refuse_unknown,
)
from tillwire.exceptions.queue import APPROVAL, OPEN, RETRYING, WAITING
from tillwire.governance.access import ALL, Reach
from tillwire.intake import foreign
from tillwire.intake.door import Refusal, read_event
from tillwire.intake.faulty import identity_of
from tillwire.model.event import EVENT_DECODER
from tillwire.model.money import ZERO

__all__ = [
    "FixRefused",
    "Fixed",
    "NoSuchException",
    "PayloadRefused",
    "approve",
    "assign",
    "dismiss",
    "dismiss_cause",
    "edit",
    "refuse",
    "same_person",
]

_sql = sql.load("tillwire.exceptions", "fixes.sql")

_MOST_WORDS = 2_000


class Fixed(msgspec.Struct, frozen=True, kw_only=True):
    """What a fix came to. In state ``approval`` it waits for a second person."""

    exception_id: int
    state: str
    proposal_id: int | None = None
    moved: Decimal | None = None
    """The money that an edit moves, in ``currency``."""
    currency: str | None = None
    diff: list[dict[str, Any]] = []


def _words(what: str, text: str) -> str:
    cleaned = text.strip()
    if not cleaned or len(cleaned) > _MOST_WORDS or "\x00" in cleaned:
        raise FixRefused(f"{what} is missing, longer than {_MOST_WORDS} characters, or has a character U+0000")
    return cleaned


def same_person(one: str, other: str) -> bool:
    """True if two names are one person's, however they are written."""
    return one.strip().casefold() == other.strip().casefold()


def edit(
    connection: psycopg.Connection,
    exception_id: int,
    payload: bytes,
    *,
    by: str,
    reason: str,
    limit: Decimal,
    reach: Reach = ALL,
) -> Fixed:
    """Put an edited payload in the place of what was accepted, and process it; above ``limit`` it waits for approval.

    ``limit`` is in major units of the event's currency; before and after, the event is of a store within reach. Raises
    ``PayloadRefused``, ``FixRefused`` or ``NoSuchException``; nothing has happened then.
    """
    by, reason = _words("who does it", by), _words("the reason", reason)
    with connection.transaction():
        held = lock(connection, exception_id, reach)
        refuse_foreign_words(held, exception_id, reach)
        if held.severity != "blocking" or held.state not in (OPEN, WAITING):
            raise FixRefused(f"exception {exception_id} is {held.state}, a {held.severity} one: it cannot be edited")
        group_id, ordinal = accepted_at(held, exception_id)
        before = payloads.current(connection, exception_id, group_id, ordinal)
        if held.foreign_id is None:
            _check_payload(held, payload, reach)
        changes = diff(before, payload)
        if not changes and before == payload:
            raise PayloadRefused("the payload is the same as before")
        if held.foreign_id is None:
            moved, currency = money_moved(payloads.vouched(connection, exception_id, group_id, ordinal), payload)
        else:  # its words are the source's: whatever is at risk may move
            moved, currency = held.amount, held.currency
        waits = moved is not None and abs(moved) > limit
        proposal = _propose(
            connection, exception_id, held, "edit", waits, by, reason, payload=payload, changes=changes, moved=moved,
            currency=currency,
        )  # fmt: skip
        if waits:
            _note(connection, exception_id, "propose", by, held.state, APPROVAL, reason, proposal_id=proposal)
            state = APPROVAL
        else:
            _note(connection, exception_id, "edit", by, held.state, held.state, reason, proposal_id=proposal)
            state = _apply_edit(connection, exception_id, held, payload, by, reach)
    return Fixed(
        exception_id=exception_id, state=state, proposal_id=proposal, moved=moved, currency=currency, diff=changes
    )


def _check_payload(held: Held, payload: bytes, reach: Reach) -> None:
    read = read_event(payload)
    if isinstance(read, Refusal):
        raise PayloadRefused(f"{read.title}: {read.detail}", read.pointer)
    if held.event_type != "unreadable" and read.type != held.event_type:
        raise PayloadRefused(f"the event is a {held.event_type} and stays one", "/type")
    if held.source and read.source != held.source:
        raise PayloadRefused(f"the event came from {held.source} and stays its", "/source")
    refuse_other_store(read.store, reach)


def _apply_edit(
    connection: psycopg.Connection,
    exception_id: int,
    held: Held,
    payload: bytes,
    by: str,
    reach: Reach,
) -> str:
    """From now on the edited payload is what is processed; returns the new state. Whether it still waits is judged
    by the workers.
    """
    if held.foreign_id is None:
        read = read_event(payload)
        assert not isinstance(read, Refusal)
        refuse_other_store(read.store, reach)
        place = {"key": read.key, "source": read.source, "group_id": held.group_id, "ordinal": held.ordinal}
        if connection.execute(_sql.take_key, place).fetchone() is None:
            raise PayloadRefused(f"the key {read.key} is another event's of {read.source}", "/data")
        identity = identity_of(EVENT_DECODER.decode(payload))
        parameters = identity | {"exception_id": exception_id, "partition": read.partition}
        connection.execute(_sql.identify, parameters)
        if identity["entity"] != held.entity:
            moves.release(connection, [held.entity])
    else:
        foreign.replace_body(connection, held.foreign_id, payload)
    moves.requeue(connection, [exception_id], "retry", by)
    return RETRYING


def dismiss(
    connection: psycopg.Connection, exception_id: int, *, by: str, reason: str, limit: Decimal, reach: Reach = ALL
) -> Fixed:
    """Close an exception without any effect; what it is about above ``limit`` waits for approval. Its bytes stay.

    A warning is acknowledged: its event is recorded. Raises ``FixRefused`` or ``NoSuchException``.
    """
    by, reason = _words("who does it", by), _words("the reason", reason)
    with connection.transaction():
        held = lock(connection, exception_id, reach)
        if held.state not in (OPEN, WAITING):
            raise FixRefused(f"exception {exception_id} is {held.state}: it cannot be dismissed")
        refuse_unknown(held, exception_id)
        at_risk = abs(held.amount or ZERO)
        if held.foreign_id is None and held.group_id is not None and held.ordinal is not None:
            at_risk = max(
                at_risk, money_at_risk(payloads.current(connection, exception_id, held.group_id, held.ordinal)) or ZERO
            )
        waits = held.severity == "blocking" and at_risk > limit
        return _dismiss(connection, exception_id, held, waits, by, reason)


def _dismiss(connection: psycopg.Connection, exception_id: int, held: Held, waits: bool, by: str, reason: str) -> Fixed:
    if waits:
        left = "never recorded" if held.group_id is not None else "never posted"
        changes = [{"pointer": "", "note": f"dismissed: {left}"}]
        proposal = _propose(
            connection, exception_id, held, "dismissal", True, by, reason, changes=changes, moved=held.amount,
            currency=held.currency,
        )  # fmt: skip
        _note(connection, exception_id, "propose", by, held.state, APPROVAL, reason, proposal_id=proposal)
        return Fixed(
            exception_id=exception_id, state=APPROVAL, proposal_id=proposal, moved=held.amount, currency=held.currency
        )
    action = "dismiss" if held.severity == "blocking" else "acknowledge"
    moves.close(connection, [exception_id], "dismissed", action, by, reason)
    return Fixed(exception_id=exception_id, state="dismissed")


def dismiss_cause(
    connection: psycopg.Connection, cause: str, *, by: str, reason: str, limit: Decimal, reach: Reach = ALL
) -> dict[str, int]:
    """Dismiss everything of a root cause that is within reach; how many came into which state.

    The limit holds for the sum in each currency: many small ones are as much money as a large one.
    """
    by, reason = _words("who does it", by), _words("the reason", reason)
    counts: dict[str, int] = {"dismissed": 0, APPROVAL: 0}
    with connection.transaction():
        rows = connection.execute(_sql.dismissible, {"cause": cause, "reach": reach.parameter}).fetchall()
        sums: dict[str | None, Decimal] = defaultdict(lambda: ZERO)
        for _, amount, currency, severity, _ in rows:
            if severity == "blocking":
                sums[currency] += abs(amount or ZERO)
        for exception_id, _, currency, severity, _ in rows:
            held = lock(connection, exception_id)
            if held.state not in (OPEN, WAITING):  # released behind one that was just dismissed
                continue
            refuse_unknown(held, exception_id)
            waits = severity == "blocking" and held.amount is not None and sums[currency] > limit
            counts[_dismiss(connection, exception_id, held, waits, by, reason).state] += 1
    return counts


def approve(
    connection: psycopg.Connection,
    exception_id: int,
    *,
    by: str,
    note: str = "",
    reach: Reach = ALL,
) -> Fixed:
    """Let a fix that waits take effect, whose event is of a store within reach before and after.

    Raises ``FixRefused`` if none waits, or if ``by`` is who proposed it.
    """
    by = _words("who does it", by)

    def take_effect(held: Held, kind: str, payload: bytes | None, author: str, reason: str, before: str) -> str:
        connection.execute(_sql.set_state, {"state": before, "exception_id": exception_id})
        _note(connection, exception_id, "approve", by, APPROVAL, before, note)
        if kind == "dismissal":
            moves.close(connection, [exception_id], "dismissed", "dismiss", author, reason)
            return "dismissed"
        assert payload is not None
        refuse_foreign_words(held, exception_id, reach)
        return _apply_edit(connection, exception_id, held, payload, author, reach)

    return _decide(connection, exception_id, "applied", by, note, take_effect, reach)


def refuse(connection: psycopg.Connection, exception_id: int, *, by: str, reason: str, reach: Reach = ALL) -> Fixed:
    """Turn down a fix that waits; its own author withdraws it. Raises ``FixRefused`` if none waits."""
    by, reason = _words("who does it", by), _words("the reason", reason)

    def turn_down(held: Held, kind: str, payload: bytes | None, author: str, why: str, before: str) -> str:
        connection.execute(_sql.set_state, {"state": before, "exception_id": exception_id})
        action = "withdraw" if same_person(author, by) else "refuse"
        _note(connection, exception_id, action, by, APPROVAL, before, reason)
        if held.foreign_id is not None or held.group_id is None or held.code == "duplicate_conflict":
            return before
        # What it lacked or waited for may have come meanwhile.
        moves.requeue(connection, [exception_id], "retry", moves.HUB)
        return RETRYING

    return _decide(connection, exception_id, "refused", by, reason, turn_down, reach)


def _decide(
    connection: psycopg.Connection,
    exception_id: int,
    state: str,
    by: str,
    decision: str,
    effect: Callable[[Held, str, bytes | None, str, str, str], str],
    reach: Reach,
) -> Fixed:
    with connection.transaction():
        held = lock(connection, exception_id, reach)
        row = connection.execute(_sql.waiting_proposal, (exception_id,)).fetchone()
        if held.state != APPROVAL or row is None:
            raise FixRefused(f"exception {exception_id} is {held.state}: no fix of it waits for approval")
        proposal_id, kind, body, author, reason, before = row
        own = same_person(author, by)
        if own and state == "applied":
            raise FixRefused(f"{author} proposed it: somebody else has to approve")
        parameters = {
            "proposal_id": proposal_id,
            "state": "withdrawn" if own else state,
            "by": None if own else by,
            "decision": decision.strip() or None,
        }
        connection.execute(_sql.decide, parameters)
        new = effect(held, kind, None if body is None else bytes(body), author, reason, before)
    return Fixed(exception_id=exception_id, state=new, proposal_id=proposal_id)


def assign(connection: psycopg.Connection, exception_id: int, to: str | None, *, by: str, reach: Reach = ALL) -> Fixed:
    """Say who works an exception, or that nobody does any more. Raises ``NoSuchException`` or ``FixRefused``."""
    by = _words("who does it", by)
    to = None if to is None else _words("who it is for", to)
    with connection.transaction():
        held = lock(connection, exception_id, reach)
        connection.execute(_sql.assign, {"to": to, "exception_id": exception_id})
        _add_action(connection, exception_id, "assign", by, {"assigned": held.assigned}, {"assigned": to}, "")
    return Fixed(exception_id=exception_id, state=held.state)


def _propose(
    connection: psycopg.Connection,
    exception_id: int,
    held: Held,
    kind: str,
    waits: bool,
    author: str,
    reason: str,
    *,
    changes: list[dict[str, Any]],
    payload: bytes | None = None,
    moved: Decimal | None = None,
    currency: str | None = None,
) -> int:
    parameters = {
        "exception_id": exception_id,
        "kind": kind,
        "state": "waits" if waits else "applied",
        "body": payload,
        "diff": msgspec.json.encode(changes).decode(),
        "moved": moved,
        "currency": currency,
        "author": author,
        "reason": reason,
        "state_before": held.state,
    }
    row = connection.execute(_sql.propose, parameters).fetchone()
    assert row is not None
    if waits:
        connection.execute(_sql.set_state, {"state": APPROVAL, "exception_id": exception_id})
    return int(row[0])


def _note(
    connection: psycopg.Connection,
    exception_id: int,
    action: str,
    actor: str,
    before: str,
    after: str,
    note: str,
    **more: object,
) -> None:
    _add_action(connection, exception_id, action, actor, {"state": before}, {"state": after, **more}, note)


def _add_action(
    connection: psycopg.Connection,
    exception_id: int,
    action: str,
    actor: str,
    before: dict[str, object],
    after: dict[str, object],
    note: str,
) -> None:
    parameters = {
        "exception_id": exception_id,
        "action": action,
        "actor": actor,
        "before": msgspec.json.encode(before).decode(),
        "after": msgspec.json.encode(after).decode(),
        "note": note,
    }
    connection.execute(_sql.note_action, parameters)
