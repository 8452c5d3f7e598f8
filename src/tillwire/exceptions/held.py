"""An exception that somebody is about to fix: its row, locked, and why a fix of it is refused."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.errors import TillwireError
from tillwire.exceptions.code import OUTCOME_UNKNOWN
from tillwire.governance.access import ALL, Reach

_sql = sql.load("tillwire.exceptions", "fixes.sql")


class FixRefused(TillwireError):
    """A fix that cannot be: the exception is not in a state for it, or the person may not. Nothing has happened."""


class PayloadRefused(FixRefused):
    """An edited payload that is wrong in itself; ``pointer`` is a JSON pointer into it."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


class NoSuchException(TillwireError):
    """There is no exception of that id."""


class Held(msgspec.Struct):
    """An exception whose row this transaction has locked."""

    state: str
    severity: str
    code: str
    entity: str
    amount: Decimal | None
    currency: str | None
    store: str | None
    event_type: str
    group_id: int | None
    """None of either for what is about a journal or an ERP."""
    ordinal: int | None
    foreign_id: int | None
    source: str
    key: str
    assigned: str | None
    partition: int | None


def lock(connection: psycopg.Connection, exception_id: int, reach: Reach = ALL) -> Held:
    """The exception, locked until the transaction ends. Raises ``NoSuchException`` if there is none within reach."""
    row = connection.execute(_sql.lock_one, {"exception_id": exception_id, "reach": reach.parameter}).fetchone()
    if row is None:
        raise NoSuchException(f"there is no exception {exception_id}")
    return Held(*row)


def accepted_at(held: Held, exception_id: int) -> tuple[int, int]:
    """Where what was accepted lies. Raises ``FixRefused`` where nothing was: of a journal, of an ERP as a whole."""
    if held.group_id is None or held.ordinal is None:
        raise FixRefused(
            f"exception {exception_id} is about {held.event_type} {held.key}, which has no payload to edit: mend the"
            " cause in the ERP or in master data, then retry it"
        )
    return held.group_id, held.ordinal


def refuse_unknown(held: Held, exception_id: int) -> None:
    """Raises ``FixRefused`` for a journal that its ERP may hold: nobody can decide that it is unposted."""
    if held.code == OUTCOME_UNKNOWN:
        raise FixRefused(
            f"exception {exception_id}: the ERP may hold {held.key} already, so that it cannot be left unposted. It is"
            " looked up until the ERP answers; retry looks at once"
        )


def refuse_foreign_words(held: Held, exception_id: int, reach: Reach) -> None:
    """Raises ``FixRefused`` for a message in its source's own words, of whose stores nobody can be sure, unless whoever
    edits it reaches all of them.
    """
    if held.foreign_id is not None and reach.stores is not None:
        raise FixRefused(
            f"exception {exception_id} is a message in its source's own words, which may be of any store: who may edit"
            " for some stores only leaves it to somebody else"
        )


def refuse_other_store(store: str | None, reach: Reach) -> None:
    """Raises ``PayloadRefused`` for a payload that would move an event to a store out of reach."""
    if not reach.covers(store):
        raise PayloadRefused(f"store {store!r} is not one of those that you may change", "/data/store")
