"""A lane of an ERP: the journals of some stores, sent one batch after the other, in order, by its only owner.

Whoever holds the lane's advisory lock owns it. A journal is marked sent, durably, before the call that sends it; who
finds it so after a crash looks it up by its reference before anything is sent again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import psycopg
import structlog

from tillwire import clock
from tillwire.config import ErpPolicy
from tillwire.connectors.erp import (
    Accepted,
    DuplicatePostingError,
    ErpConnector,
    NotSent,
    Pending,
    Posted,
    PostingOutcome,
    Rejected,
    Unknown,
)
from tillwire.database import sql
from tillwire.errors import (
    AuthenticationError,
    ConfigurationError,
    ContractChangedError,
    OutcomeUnknownError,
    RejectedError,
    TillwireError,
    TransientError,
)
from tillwire.exceptions import journals as exceptions
from tillwire.faultpoints import passing
from tillwire.model.ledger import DocumentKind, ErpDocument
from tillwire.posting import documents
from tillwire.posting.documents import kind_sent
from tillwire.posting.gate import Gate
from tillwire.posting.outcomes import Recorder
from tillwire.posting.read_back import note_twice

_sql = sql.load("tillwire.posting", "lane.sql")
_log = structlog.get_logger(__name__)

NOTHING_HAPPENED = (TransientError, AuthenticationError, ConfigurationError, ContractChangedError)
"""What a connector raises when the ERP has not done anything."""

_CANNOT_SAY = (*NOTHING_HAPPENED, OutcomeUnknownError, RejectedError)
"""What a look-up raises that found nothing out."""

MOST_LANES = 32
"""As many buckets of stores as the index of what waits has: a lane owns some of them whole."""

_OF_ERP = (exceptions.AUTHENTICATION, exceptions.CONTRACT)


def lane_count(policy: ErpPolicy, connector: ErpConnector) -> int:
    """In how many lanes an ERP is posted to: what is configured, or fewer if it would fight over its own locks."""
    return max(1, min(policy.concurrency, connector.most_lanes, MOST_LANES))


def served_by(policies: Sequence[ErpPolicy], company: str) -> ErpPolicy | None:
    """The ERP that a company's journals go to: the first that serves it."""
    return next((one for one in policies if one.serves(company)), None)


def companies_of(connection: psycopg.Connection, policies: Sequence[ErpPolicy], name: str) -> list[str]:
    """The companies with journals that wait for this ERP."""
    waiting = [company for (company,) in connection.execute(_sql.companies)]
    return [one for one in waiting if (policy := served_by(policies, one)) is not None and policy.name == name]


class Lane:
    """One lane over one connector and one database connection (in autocommit, for this lane alone)."""

    def __init__(
        self,
        connection: psycopg.Connection,
        connector: ErpConnector,
        policy: ErpPolicy,
        gate: Gate,
        *,
        number: int = 0,
        policies: Sequence[ErpPolicy] = (),
        closed_period: str = "exception",
    ) -> None:
        """``policies``: all ERPs, in the order in which a company finds its own."""
        self.policy = policy
        self.number = number
        self.lanes = lane_count(policy, connector)
        self._connection = connection
        self._connector = connector
        self._gate = gate
        self._policies = policies or (policy,)
        self._recorder = Recorder(connection, policy, closed_period=closed_period)
        self._never = [kind for kind in (documents.STOCK, documents.INVOICE) if kind not in connector.takes]
        self._owned = False
        self._failures = 0
        self._again_s = 0.0
        self._place = {"erp": policy.name, "lanes": self.lanes, "number": number}

    def own(self) -> bool:
        """Take the lane if it is free. What a dead predecessor left marked sent becomes unknown."""
        if not self._owned and self._lock():
            self._owned = True
            orphans = self._connection.execute(_sql.orphans, self._place).rowcount
            if orphans:
                _log.warning("journals_left_by_a_dead_dispatcher", **self._place, journals=orphans)
        return self._owned

    def _lock(self) -> bool:
        """Lanes of two counts would share journals: the count changes only while nobody owns a lane of this ERP."""
        name = (self.policy.name,)
        if self._value(_sql.count_in_force, name) != self.lanes and self._value(_sql.lock_count, name):
            try:
                self._connection.execute(_sql.set_count, self._place)
            finally:
                self._connection.execute(_sql.unlock_count, name)
        if not self._value(_sql.share_count, name):
            return False  # somebody is changing the count
        if self._value(_sql.count_in_force, name) == self.lanes and self._value(_sql.lock_lane, self._place):
            return True
        self._connection.execute(_sql.unshare_count, name)
        return False

    def _value(self, query: str, parameters: Any) -> Any:
        row = self._connection.execute(query.encode(), parameters).fetchone()
        return row[0] if row else None

    def work(self) -> int:
        """Ask for what is accepted, settle what is unknown, send one batch; returns how many journals got on.

        Errors of the ERP are noted with the journals and tried again later; they do not raise. While its breaker is
        open, or it asked us to wait, nothing is marked sent.
        """
        if not self.own() or clock.monotonic_s() < self._again_s:
            return 0
        try:
            return self._poll() + self._settle() + self._send()
        finally:
            if not self._connection.closed:
                self._gate.finished()

    def idle(self) -> bool:
        """True if nothing that could be sent waits in this lane."""
        return self._owned and not self._waiting(1)

    # ---- sending

    def _waiting(self, most: int) -> list[tuple[int, str]]:
        companies = companies_of(self._connection, self._policies, self.policy.name)
        if not companies:
            return []
        parameters = self._place | {"companies": companies, "never": self._never, "most": most}
        for stock in (False, True):
            rows = self._connection.execute(_sql.to_send, parameters | {"stock": stock}).fetchall()
            if rows:
                return rows
        return []

    def _send(self) -> int:
        rows = self._waiting(self.policy.batch_journals)
        if not rows or not self._gate.admit():
            return 0
        ids = _of_one_kind(rows)[: 1 if self._gate.probing else None]
        loaded = dict(zip(ids, documents.load(self._connection, ids), strict=True))
        marked = self._connection.execute(_sql.mark_sent, {"ids": ids, "erp": self.policy.name}).fetchall()
        taken = {journal_id for (journal_id,) in marked}
        given = [loaded[one] for one in ids if one in taken]
        if not given:
            return 0
        passing("posting.before_send")
        references = [one.reference for one in given]
        try:
            outcomes = self._connector.post(given)
        except NOTHING_HAPPENED as error:
            self._not_reached(error)
            self._unsend(sorted(taken), str(error))
            return 0
        except (OutcomeUnknownError, RejectedError) as error:
            outcomes = [Unknown(reference, str(error)) for reference in references]
        passing("posting.after_send")
        return self._note(_complete(references, outcomes))

    def _unsend(self, ids: list[int], reason: str) -> None:
        with self._connection.transaction():
            exceptions.lock(self._connection, ids)
            self._recorder.unsend(ids, [reason] * len(ids))

    # ---- settling

    def _settle(self) -> int:
        """Look up what is unknown: post drafts, note what is posted, send again what is surely not there."""
        parameters = self._place | {"settle_s": self.policy.settle_s, "most": self.policy.batch_journals * 4}
        rows = self._connection.execute(_sql.to_look_up, parameters).fetchall()
        if not rows or not self._gate.admit():
            return 0
        by_kind: dict[DocumentKind, list[tuple[int, str, bool]]] = defaultdict(list)
        for journal_id, reference, kind, settled in rows:
            by_kind[kind_sent(kind)].append((journal_id, reference, settled))
        return sum(self._settle_kind(kind, some) for kind, some in by_kind.items())

    def _settle_kind(self, kind: DocumentKind, rows: list[tuple[int, str, bool]]) -> int:
        references = [reference for _, reference, _ in rows]
        try:
            found = self._find(references, kind)
            drafts = [document for document in found.values() if not document.posted]
            outcomes = list(self._connector.finish(drafts, kind)) if drafts else []
        except (*_CANNOT_SAY, DuplicatePostingError) as error:
            if isinstance(error, DuplicatePostingError):
                note_twice(self._connection, self.policy.name, error.duplicates)
            self._not_reached(error)
            self._note([Unknown(reference, str(error)) for reference in references])
            return 0
        outcomes += [_posted(document) for document in found.values() if document.posted]
        got_on = self._note(_complete(list(found), outcomes))
        missing = [(one, reference, settled) for one, reference, settled in rows if reference not in found]
        reason = "the ERP does not show it yet; it may still be working on it"
        self._note([Unknown(reference, reason) for _, reference, settled in missing if not settled])
        self._send_again([one for one, _, settled in missing if settled])
        return got_on

    def _send_again(self, ids: list[int]) -> None:
        """Looked up and surely not there, unless the ERP has said otherwise meanwhile."""
        if not ids:
            return
        with self._connection.transaction():
            exceptions.lock(self._connection, ids)
            again = [one for (one,) in self._connection.execute(_sql.still_unknown, (ids,))]
            reason = "looked up: the ERP does not have it"
            self._recorder.unsend(again, [reason] * len(again))
        _log.warning("journals_not_there", erp=self.policy.name, journals=len(again), reaction="sending again")

    def _find(self, references: Sequence[str], kind: DocumentKind) -> dict[str, ErpDocument]:
        """As the connector; journals that are there twice are refused, loudly, and taken out of the lane."""
        try:
            return self._connector.find(references, kind)
        except DuplicatePostingError as error:
            note_twice(self._connection, self.policy.name, error.duplicates)
            _log.critical("journal_posted_twice", references=sorted(error.duplicates), error=str(error))
            self._recorder.record([Rejected(reference, str(error)) for reference in error.duplicates])
            return error.found

    # ---- what is accepted

    def _poll(self) -> int:
        most = self.policy.batch_journals * 4
        rows = self._connection.execute(_sql.to_poll, self._place | {"most": most}).fetchall()
        if not rows or not self._gate.admit():
            return 0
        pending = [Pending(reference, handle or "", kind_sent(kind)) for reference, handle, kind in rows]
        try:
            outcomes = self._connector.poll(pending)
        except _CANNOT_SAY as error:
            self._not_reached(error)
            references = [one.reference for one in pending]
            parameters = {"references": references, "wait_s": max(self.policy.poll_s, self._wait_s())}
            self._connection.execute(_sql.poll_later, parameters)
            return 0
        self._recorder.record(outcomes, wait_s=self._wait_s(), polled=True)
        self._reached()
        return sum(1 for outcome in outcomes if isinstance(outcome, Posted | Rejected))

    # ---- how it goes

    def _note(self, outcomes: Sequence[PostingOutcome]) -> int:
        passing("posting.before_record")
        if not outcomes:
            return 0
        changed = self._recorder.record(outcomes, wait_s=self._wait_s())
        if any(isinstance(one, NotSent) for one in outcomes):  # it became unavailable on the way
            self._again_s = clock.monotonic_s() + self._wait_s()
        if any(isinstance(one, Unknown | NotSent) for one in outcomes):
            self._failures += 1
        else:
            self._failures = 0
        if any(isinstance(one, Posted | Accepted | Rejected) for one in outcomes):
            self._reached()
        return changed

    def _wait_s(self) -> float:
        """Exponential back-off over failures in a row."""
        return min(self.policy.retry_most_s, self.policy.retry_first_s * 2 ** min(self._failures, 16))

    def _reached(self) -> None:
        """The ERP did what it was asked: what was raised about it as a whole is over."""
        exceptions.resolve_erp(self._connection, self.policy.name, _OF_ERP)

    def _not_reached(self, error: TillwireError) -> None:
        """Nothing can be done at present: this lane waits, longer each time; people hear what only they can mend."""
        name = self.policy.name
        wait_s = self._wait_s()
        retry_after_s = getattr(error, "retry_after_s", None)
        if retry_after_s is not None:
            self._gate.pause(retry_after_s)
        self._failures += 1
        self._again_s = clock.monotonic_s() + wait_s
        _log.warning("erp_not_reached", erp=name, lane=self.number, error=str(error), wait_s=wait_s)
        match error:
            case AuthenticationError():
                exceptions.raise_erp(self._connection, name, exceptions.AUTHENTICATION, str(error))
            case ContractChangedError():
                exceptions.raise_erp(self._connection, name, exceptions.CONTRACT, str(error))
            case ConfigurationError():  # of which no call of the connector's tells
                self._gate.failed("configuration", str(error))


def _of_one_kind(rows: Sequence[tuple[int, str]]) -> list[int]:
    """The first of the rows that are one kind of document: a batch is one."""
    first = kind_sent(rows[0][1])
    ids = []
    for journal_id, kind in rows:
        if kind_sent(kind) != first:
            break
        ids.append(journal_id)
    return ids


def _posted(document: ErpDocument) -> Posted:
    return Posted(document.reference, document.document_id, document.number or "")


def _complete(references: Sequence[str], outcomes: Sequence[PostingOutcome]) -> list[PostingOutcome]:
    """An outcome for each: what a connector says nothing of is unknown."""
    told = {outcome.reference for outcome in outcomes}
    return [*outcomes, *(Unknown(one, "the connector told no outcome") for one in references if one not in told)]
