"""What an ERP said of journals, made into their states: in any order, any number of times, from whoever heard it.

built: nobody has sent it, or it is surely not there. sent: on its way. accepted: the ERP has taken it in and will say
what became of it. posted: in its books. rejected: refused, in its words. unknown: no reply came; it is looked up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import msgspec
import psycopg
import structlog

from tillwire.config import ErpPolicy
from tillwire.connectors.erp import Accepted, NotSent, Posted, PostingOutcome, Rejected, Unknown
from tillwire.database import sql
from tillwire.exceptions import journals as exceptions
from tillwire.exceptions.journals import Trouble
from tillwire.posting import periods

_sql = sql.load("tillwire.posting", "outcomes.sql")
_log = structlog.get_logger(__name__)

State = Literal["built", "sent", "accepted", "posted", "rejected", "unknown"]


def state_after(state: State, outcome: PostingOutcome, *, polled: bool = False) -> State | None:
    """The state that follows, or none if the outcome changes nothing.

    What the ERP's books hold always counts. The rest counts only where it can be about the last sending: a refusal
    that comes late, or twice, does not stop a journal that waits to be sent again. ``polled``: the ERP was asked about
    what it had accepted.
    """
    match outcome:
        case Posted():
            return None if state == "posted" else "posted"
        case Rejected():
            return "rejected" if state in ("sent", "accepted", "unknown") else None
        case Accepted():
            return "accepted" if state in ("built", "sent", "accepted", "unknown") else None
        case Unknown():
            return "unknown" if state in ("sent", "unknown") or (polled and state == "accepted") else None
        case NotSent():
            return {"sent": "built", "unknown": "unknown"}.get(state)  # type: ignore[return-value]


class _Held(msgspec.Struct, array_like=True):
    """A journal whose row this transaction has locked."""

    journal_id: int
    reference: str
    state: State
    company: str
    store: str
    business_date: date
    books_date: date
    amount: Decimal
    currency: str


class Recorder:
    """Records outcomes of one ERP on one connection."""

    def __init__(self, connection: psycopg.Connection, policy: ErpPolicy, *, closed_period: str) -> None:
        """``closed_period``: what becomes of a journal whose period is closed, ``next_open`` or ``exception``."""
        self._connection = connection
        self._policy = policy
        self._closed_period = closed_period

    def record(self, outcomes: Sequence[PostingOutcome], *, wait_s: float = 0.0, polled: bool = False) -> int:
        """Record them in one transaction; returns how many journals changed their state.

        ``wait_s``: how long until what is unknown is looked up. References that are no journal's of this ERP are
        passed over, with a warning.
        """
        if not outcomes:
            return 0
        told: dict[str, list[PostingOutcome]] = defaultdict(list)
        for outcome in outcomes:
            told[outcome.reference].append(outcome)
        with self._connection.transaction():
            held = self._lock(list(told))
            changes: dict[State, list[tuple[_Held, PostingOutcome]]] = defaultdict(list)
            for one in held:
                state: State | None = None
                last: PostingOutcome | None = None
                for outcome in told[one.reference]:
                    after = state_after(state or one.state, outcome, polled=polled)
                    if after is not None:
                        state, last = after, outcome
                if state is not None and last is not None:
                    changes[state].append((one, last))
            for state, several in changes.items():
                self._apply(state, several, wait_s)
        return sum(1 for several in changes.values() for one, _ in several)

    def _lock(self, references: list[str]) -> list[_Held]:
        chosen = {"references": references, "erp": self._policy.name}
        ids = [one for (one,) in self._connection.execute(_sql.ids_of, chosen)]
        exceptions.lock(self._connection, ids)
        held = [_Held(*row) for row in self._connection.execute(_sql.lock, (ids,))]
        strangers = set(references) - {one.reference for one in held}
        if strangers:
            _log.warning("outcomes_of_no_journal", erp=self._policy.name, references=sorted(strangers)[:20])
        return held

    def _apply(self, state: State, changes: list[tuple[_Held, Any]], wait_s: float) -> None:
        ids = [one.journal_id for one, _ in changes]
        common: dict[str, object] = {"ids": ids, "erp": self._policy.name}
        outcomes = [outcome for _, outcome in changes]
        match state:
            case "posted":
                documents = [one.document_id for one in outcomes]
                numbers = [one.number for one in outcomes]
                self._connection.execute(_sql.posted, common | {"documents": documents, "numbers": numbers})
                exceptions.resolve_journals(self._connection, ids)
            case "accepted":
                more = {"handles": [one.handle for one in outcomes], "poll_s": self._policy.poll_s}
                self._connection.execute(_sql.accepted, common | more)
                exceptions.resolve_journals(self._connection, ids, exceptions.UNKNOWN)
            case "rejected":
                self._reject(changes)
            case "unknown":
                more = {"reasons": [_clean(one.reason) for one in outcomes], "wait_s": wait_s}
                self._connection.execute(_sql.unknown, common | more)
            case _:
                self.unsend(ids, [_clean(one.reason) for one in outcomes])

    def unsend(self, ids: Sequence[int], reasons: Sequence[str]) -> None:
        """These are surely not in the ERP: they may go anywhere again. Inside the caller's transaction."""
        self._connection.execute(_sql.unsent, {"ids": list(ids), "reasons": list(reasons)})
        exceptions.resolve_journals(self._connection, ids, exceptions.UNKNOWN)

    def _reject(self, changes: list[tuple[_Held, Any]]) -> None:
        left = []
        dated: list[tuple[_Held, date, str]] = []
        for one, outcome in changes:
            day = self._next_day(one, outcome)
            if day is None:
                left.append((one, outcome))
            else:
                dated.append((one, day, _clean(outcome.reason)))
                _log.warning("journal_dated_later", reference=one.reference, day=str(day), reason=outcome.reason)
        if dated:
            parameters = {
                "ids": [one.journal_id for one, _, _ in dated],
                "days": [day for _, day, _ in dated],
                "reasons": [reason for _, _, reason in dated],
            }
            self._connection.execute(_sql.dated, parameters)
        if left:
            parameters = {
                "ids": [one.journal_id for one, _ in left],
                "erp": self._policy.name,
                "reasons": [_clean(outcome.reason) for _, outcome in left],
                "kinds": [outcome.kind for _, outcome in left],
            }
            self._connection.execute(_sql.rejected, parameters)
            exceptions.raise_journals(self._connection, list(self._troubles(left)))

    def _next_day(self, one: _Held, outcome: Rejected) -> date | None:
        if outcome.kind != "closed_period" or self._closed_period != "next_open":
            return None
        return periods.next_open(self._connection, one.company, one.books_date)

    def _troubles(self, rejected: list[tuple[_Held, Rejected]]) -> Iterable[Trouble]:
        named = [one.journal_id for one, outcome in rejected if outcome.kind == "unknown_account"]
        accounts: dict[int, list[str]] = {}
        if named:
            accounts = dict(self._connection.execute(_sql.accounts_of, (named,)).fetchall())
        codes = {"closed_period": exceptions.CLOSED, "unknown_account": exceptions.ACCOUNT}
        for one, outcome in rejected:
            code = codes.get(outcome.kind, exceptions.REJECTED)
            words = outcome.reason.removeprefix(f"{one.reference}: ")
            _log.error("journal_rejected", erp=self._policy.name, reference=one.reference, reason=outcome.reason)
            cause = exceptions.rejection_cause(
                code, self._policy.name, words, accounts=accounts.get(one.journal_id, ()), day=one.books_date
            )
            yield Trouble(
                journal_id=one.journal_id,
                erp=self._policy.name,
                code=code,
                message=words,
                cause=cause,
                key=one.reference,
                store=one.store,
                business_date=one.business_date,
                amount=one.amount,
                currency=one.currency,
            )


def raise_unknown(connection: psycopg.Connection, erp: str, minutes: int) -> int:
    """Raise journals that are unknown for longer than so many minutes; returns how many there are."""
    with connection.transaction():
        rows = connection.execute(_sql.unknown_for_long, {"erp": erp, "minutes": minutes}).fetchall()
        there = exceptions.in_queue(connection, [row[0] for row in rows])
        troubles = [
            Trouble(
                journal_id=journal_id,
                erp=name,
                code=exceptions.UNKNOWN,
                message=f"no outcome since {since:%Y-%m-%d %H:%M} UTC: {words}",
                cause=f"{exceptions.UNKNOWN}:{name}",
                key=reference,
                store=store,
                business_date=day,
                amount=amount,
                currency=currency,
            )
            for journal_id, name, reference, store, day, amount, currency, words, since, looked_up in rows
            if there.get(journal_id) != "open" and (looked_up or journal_id not in there)
        ]
        exceptions.raise_journals(connection, troubles)
    return len(rows)


def _clean(text: str) -> str:
    return text.replace("\x00", "\ufffd")
