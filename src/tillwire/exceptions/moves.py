"""How exceptions move: back to the workers, out of the queue, and what waited behind them after that.

All of it happens inside the caller's transaction. Rows are locked in the order of their ids, so that two movers wait
for each other; where they cross all the same, PostgreSQL ends one of them, which then does its work again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import psycopg

from tillwire.database import sql
from tillwire.intake import foreign
from tillwire.posting import gate, journals

_sql = sql.load("tillwire.exceptions", "moves.sql")

HUB = "hub"
"""The actor of what the hub does by itself."""

_CLEARING_LOCK = 0x7111_0004
_MOVING_LOCK = 0x7111_0005


def lock_against_clearing(connection: psycopg.Connection) -> None:
    """Before raising for want of master data, until the commit: no master record is recorded unseen meanwhile."""
    connection.execute(_sql.lock_shared, (_CLEARING_LOCK,))


def lock_against_raising(connection: psycopg.Connection) -> None:
    """Before clearing what a master record mends, until the commit: nothing is raised unseen for want of it."""
    connection.execute(_sql.lock_alone, (_CLEARING_LOCK,))


def lock_against_moving(connection: psycopg.Connection) -> None:
    """Until the transaction ends, nobody else puts exceptions back into the workers' queue."""
    connection.execute(_sql.lock_alone, (_MOVING_LOCK,))


def blockers(connection: psycopg.Connection, wanted: Sequence[tuple[str, int, int]]) -> list[tuple[int, str, int, int]]:
    """Which of the wanted (entity, group, ordinal of who would wait) are in the queue: the place in ``wanted``, the
    entity, and the event that blocks it. What was accepted later blocks nothing.
    """
    parameters = {
        "ns": list(range(len(wanted))),
        "entities": [entity for entity, _, _ in wanted],
        "groups": [group_id for _, group_id, _ in wanted],
        "ordinals": [ordinal for _, _, ordinal in wanted],
    }
    return connection.execute(_sql.blockers, parameters).fetchall()


def edits(connection: psycopg.Connection, events: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """The edited payloads of events (group, ordinal) that are processed again, where there are any."""
    rows = connection.execute(_sql.edits, _places(events)).fetchall()
    return {(group_id, ordinal): bytes(body) for group_id, ordinal, body in rows}


def resolve(connection: psycopg.Connection, events: Sequence[tuple[int, int]]) -> None:
    """The retried events (group, ordinal) are recorded: what waited behind them goes on."""
    _resolve(connection, connection.execute(_sql.retried, _places(events)).fetchall())


def resolve_foreign(connection: psycopg.Connection, foreign_ids: Sequence[int]) -> None:
    """These messages, in their sources' own words, were mapped: their exceptions are resolved."""
    _resolve(connection, connection.execute(_sql.retried_foreign, (list(foreign_ids),)).fetchall())


def _resolve(connection: psycopg.Connection, found: list[tuple[Any, ...]]) -> None:
    entities = close(connection, [one for (one,) in found], "resolved", "resolve", HUB)
    if entities:
        clear(connection, [f"original_unknown:{entity}" for entity in entities])


def supersede(connection: psycopg.Connection, recorded: Sequence[tuple[str, int]]) -> int:
    """States (entity, revision) were recorded: what failed with an older revision has nothing to say any more."""
    parameters = {"entities": [entity for entity, _ in recorded], "revisions": [revision for _, revision in recorded]}
    ids = [one for (one,) in connection.execute(_sql.older_states, parameters)]
    close(connection, ids, "superseded", "supersede", HUB, "a newer revision is recorded")
    return len(ids)


def clear(connection: psycopg.Connection, causes: Collection[str], endings: Collection[tuple[str, str]] = ()) -> int:
    """Put open exceptions of these causes back to the workers: what they lacked has come. Returns how many.

    ``endings`` are codes with what their causes end with.
    """
    found: set[int] = set()
    if causes:
        found.update(one for (one,) in connection.execute(_sql.of_causes, {"causes": list(causes)}))
    if endings:
        parameters = {"codes": [code for code, _ in endings], "endings": [ending for _, ending in endings]}
        found.update(one for (one,) in connection.execute(_sql.of_endings, parameters))
    requeue(connection, sorted(found), "clear", HUB, note="what was missing is recorded")
    return len(found)


def requeue(connection: psycopg.Connection, ids: Sequence[int], action: str, actor: str, *, note: str = "") -> None:
    """Put exceptions whose rows the caller has locked back to the workers; a message in its source's own words back
    to its connection; a journal back to dispatch. An ERP that is left alone is tried at once.
    """
    if not ids:
        return
    connection.execute(_sql.lock_shared, (_MOVING_LOCK,))
    parameters = {"ids": list(ids), "action": action, "actor": actor, "note": note}
    again = connection.execute(_sql.requeue, parameters).fetchall()
    messages = [foreign_id for foreign_id, _, _ in again if foreign_id is not None]
    if messages:
        foreign.requeue(connection, messages)
    sent = [journal_id for _, journal_id, _ in again if journal_id is not None]
    if sent:
        journals.send_again(connection, sent)
    for erp in {erp for _, journal_id, erp in again if erp is not None and journal_id is None}:
        gate.probe_now(connection, erp)


def close(
    connection: psycopg.Connection, ids: Sequence[int], state: str, action: str, actor: str, note: str | None = None
) -> list[str]:
    """Take exceptions whose rows the caller has locked out of the queue; what waited behind them goes on, in order.

    Returns their entities.
    """
    if not ids:
        return []
    parameters = {"ids": list(ids), "state": state, "action": action, "actor": actor, "note": note}
    entities = [entity for (entity,) in connection.execute(_sql.close, parameters)]
    release(connection, entities)
    return entities


def release(connection: psycopg.Connection, entities: Sequence[str]) -> None:
    """Let go on what waits behind entities that have left the queue; if something else holds it, it waits again."""
    if entities:
        held = [one for (one,) in connection.execute(_sql.held_behind, {"entities": list(entities)})]
        requeue(connection, held, "release", HUB, note="what it waited for has left the queue")


def _places(events: Sequence[tuple[int, int]]) -> dict[str, object]:
    return {"groups": [group_id for group_id, _ in events], "ordinals": [ordinal for _, ordinal in events]}
