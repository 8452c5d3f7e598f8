"""An ERP in memory whose next calls do what a test says, and the lanes that post to it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from builders import DAY, Event, day_close, masters, sale, store
from driving import load, rows, scalar
from posting_kit import BOOK, policy_of

from tillwire.config import Erp, ErpInstance, ErpPolicy, erp_policies
from tillwire.config import Posting as PostingSettings
from tillwire.connectors.erp import (
    Accepted,
    CallWatch,
    DuplicatePostingError,
    Pending,
    Posted,
    PostingOutcome,
    Rejected,
    RejectionKind,
    Unknown,
    Unwatched,
    tell_failure,
)
from tillwire.errors import OutcomeUnknownError, TillwireError
from tillwire.model.ledger import Document, DocumentKind, ErpDocument, Journal, StockDocument
from tillwire.posting.build import build_journals
from tillwire.posting.gate import Budget, Gate
from tillwire.posting.lane import Lane

STORES = ("101", "102", "103")


class Killed(BaseException):
    """The process is gone."""


class FakeErp:
    """Books in memory, shared by any number of ``FakeConnector``. Without a script calls go well."""

    def __init__(self) -> None:
        self.posted: dict[str, list[Document]] = {}
        self.drafts: dict[str, Document] = {}
        self.in_work: dict[str, Document] = {}
        self.script: deque[str | BaseException] = deque()
        self.always: BaseException | None = None
        self.refused: dict[str, tuple[str, RejectionKind]] = {}
        self.closed_until: Any = None
        self.asynchronous = False
        self.calls: list[tuple[str, list[str]]] = []
        self.at_once = 0
        self.peak_at_once = 0
        self.lock = threading.Lock()

    def connector(self, **more: Any) -> FakeConnector:
        """A connector to it."""
        return FakeConnector(self, **more)

    def count(self, name: str) -> int:
        """How often a method was called."""
        return sum(1 for called, _ in self.calls if called == name)

    def finish_work(self) -> None:
        """Post everything that it had accepted."""
        for reference, document in self.in_work.items():
            if reference not in self.refused:
                self.book(document)
        self.in_work = {reference: one for reference, one in self.in_work.items() if reference in self.refused}

    def book(self, document: Document) -> None:
        """Post one document."""
        if isinstance(document, Journal):
            assert document.balances()
        self.posted.setdefault(document.reference, []).append(document)

    def refusal(self, document: Document) -> tuple[str, RejectionKind] | None:
        """Why it does not take a document."""
        if self.closed_until is not None and document.books_date <= self.closed_until:
            return f"the period of {document.books_date} is closed", "closed_period"
        return self.refused.get(document.reference)


class FakeConnector:
    """Speaks to a ``FakeErp`` as the kit asks."""

    name = "fake"

    def __init__(
        self,
        erp: FakeErp,
        *,
        takes: frozenset[DocumentKind] = frozenset(("journal", "stock", "invoice")),
        most_lanes: int = 8,
    ) -> None:
        self.erp = erp
        self.takes = takes
        self.most_lanes = most_lanes
        self.watch: CallWatch = Unwatched()

    def watched_by(self, watch: CallWatch) -> None:
        """Tell of every call."""
        self.watch = watch

    def _called(self, name: str, references: Sequence[str]) -> str:
        self.watch.before_call()
        with self.erp.lock:
            self.erp.calls.append((name, list(references)))
            step = self.erp.script.popleft() if self.erp.script else self.erp.always or "goes well"
        if isinstance(step, BaseException):
            if isinstance(step, TillwireError):
                tell_failure(self.watch, step)
            raise step
        return step

    def _lost(self) -> OutcomeUnknownError:
        error = OutcomeUnknownError("no reply")
        tell_failure(self.watch, error)
        return error

    def post(self, documents: Sequence[Document]) -> list[PostingOutcome]:
        """Post, or do what the script says."""
        step = self._called("post", [one.reference for one in documents])
        for one in documents:
            if step == "leaves drafts":
                self.erp.drafts[one.reference] = one
            elif step not in ("loses the request", "is killed before") and self.erp.refusal(one) is None:
                if self.erp.asynchronous:
                    self.erp.in_work[one.reference] = one
                else:
                    self.erp.book(one)
        if step in ("loses the reply", "loses the request", "leaves drafts"):
            raise self._lost()
        if step.startswith("is killed"):
            raise Killed
        return [self._outcome(one, step) for one in documents]

    def _outcome(self, document: Document, step: str) -> PostingOutcome:
        reference = document.reference
        refusal = self.erp.refusal(document)
        if refusal is not None:
            return Rejected(reference, f"{reference}: {refusal[0]}", refusal[1])
        if step == "loses the second reply" and document.store == STORES[1]:
            return Unknown(reference, "no reply")
        if self.erp.asynchronous:
            return Accepted(reference, f"job-{reference}")
        return posted(reference)

    def _document(self, reference: str) -> ErpDocument | None:
        if reference in self.erp.posted:
            one = self.erp.posted[reference][0]
            return ErpDocument(
                reference=reference,
                document_id=f"id-{reference}",
                number=f"no-{reference}",
                posted=True,
                lines=one.lines if isinstance(one, Journal) else (),
                goods=one.lines if isinstance(one, StockDocument) else (),
            )
        if reference in self.erp.drafts or reference in self.erp.in_work:
            return ErpDocument(reference=reference, document_id=f"draft-{reference}", number=None, posted=False)
        return None

    def find(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """What there is."""
        self._called("find", references)
        found = {reference: self._document(reference) for reference in references}
        twice = {reference for reference in references if len(self.erp.posted.get(reference, ())) > 1}
        there = {reference: one for reference, one in found.items() if one and reference not in twice}
        if twice:
            raise DuplicatePostingError({reference: (found[reference],) * 2 for reference in twice}, there)  # type: ignore[misc]
        return there

    def finish(self, documents: Sequence[ErpDocument], kind: DocumentKind = "journal") -> list[PostingOutcome]:
        """Post drafts; what is in work stays accepted."""
        self._called("finish", [document.reference for document in documents])
        outcomes: list[PostingOutcome] = []
        for document in documents:
            if document.reference in self.erp.in_work:
                outcomes.append(Accepted(document.reference, f"job-{document.reference}"))
            else:
                self.erp.book(self.erp.drafts.pop(document.reference))
                outcomes.append(posted(document.reference))
        return outcomes

    def poll(self, pending: Sequence[Pending]) -> list[PostingOutcome]:
        """What became of it."""
        self._called("poll", [one.reference for one in pending])
        assert all(one.handle == f"job-{one.reference}" for one in pending)
        outcomes: list[PostingOutcome] = []
        for one in pending:
            if one.reference in self.erp.posted:
                outcomes.append(posted(one.reference))
            elif one.reference in self.erp.refused:
                words, kind = self.erp.refused[one.reference]
                self.erp.in_work.pop(one.reference, None)
                outcomes.append(Rejected(one.reference, words, kind))
            else:
                outcomes.append(Accepted(one.reference, one.handle))
        return outcomes

    def read_back(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """As ``find``."""
        return self.find(references, kind)

    def close(self) -> None:
        """Nothing to let go of."""


def posted(reference: str) -> Posted:
    """As the fake says it."""
    return Posted(reference, f"id-{reference}", f"no-{reference}")


# ---------------------------------------------------------------- settings and lanes


def policies(*instances: ErpInstance, **posting: Any) -> tuple[ErpPolicy, ...]:
    """ERPs as they are configured; without any, the one named ``erp``."""
    given = {"settle_s": 120.0, "retry_first_s": 5.0, "retry_most_s": 60.0, "limit_per_min": 100_000, **posting}
    erp = Erp() if instances else Erp(kind="fake")
    return erp_policies(PostingSettings(**given), erp, instances)


def no_wait(seconds: float) -> None:
    """The budget is no matter of these tests."""


def make_lane(
    connection: psycopg.Connection, connector: FakeConnector, policy: ErpPolicy | None = None, **more: Any
) -> Lane:
    """A lane on a connection of its own."""
    chosen = policy or policies()[0]
    gate = Gate(connection, chosen, wait=no_wait, budget=Budget(0.0, 0.0))
    connector.watched_by(gate)
    return Lane(connection, connector, chosen, gate, **more)


# ---------------------------------------------------------------- journals


def build(database_url: str, connection: psycopg.Connection, *sales: Event) -> int:
    """Record sales, close their days, build their journals; how many."""
    stores = sorted({one["data"]["store"] for one in sales})
    days: dict[tuple[str, str], list[Event]] = {}
    for one in sales:
        days.setdefault((one["data"]["store"], one["data"]["business_date"]), []).append(one)
    known = {number for (number,) in rows(connection, "SELECT id FROM master_record WHERE type LIKE '%store%'")}
    new = masters(*(store(number) for number in stores)) if not known else []
    closes = [day_close(some, store=number, business_date=day) for (number, day), some in days.items()]
    load(database_url, *new, *sales, *closes)
    return build_journals(connection, BOOK, policy_of())


def three_journals(database_url: str, connection: psycopg.Connection) -> list[str]:
    """One sale in each store; the journals' references, in the order in which they are sent."""
    assert build(database_url, connection, *(sale(1, store=number) for number in STORES)) == 3
    return references(connection)


def several_days(database_url: str, connection: psycopg.Connection, days: int, stores: Sequence[str] = STORES) -> None:
    """A sale in each store on each of so many days, the newest day built first."""
    for n in reversed(range(days)):
        day = str(DAY + timedelta(days=n))
        assert build(database_url, connection, *(sale(n + 1, store=number, business_date=day) for number in stores))


def references(connection: psycopg.Connection) -> list[str]:
    """All journals, by business date and store."""
    query = "SELECT reference FROM journal ORDER BY business_date, store, journal_id"
    return [reference for (reference,) in rows(connection, query)]


def deal(connection: psycopg.Connection) -> None:
    """Put every store into a lane of its own."""
    connection.execute(
        "UPDATE journal SET lane = n FROM (SELECT store, dense_rank() OVER (ORDER BY store)::int - 1 AS n"
        " FROM journal GROUP BY store) AS s WHERE s.store = journal.store"
    )


def states(connection: psycopg.Connection) -> dict[str, str]:
    """The states of journals by reference."""
    return dict(rows(connection, "SELECT reference, state FROM journal"))


def all_are(state: str, built: Sequence[str]) -> dict[str, str]:
    """As ``states``, all alike."""
    return dict.fromkeys(built, state)


class Hours:
    """Makes time pass: for the clock of this process, for journals, and for the gates."""

    def __init__(self, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
        self._connection = connection
        self._ahead_s = 0.0
        monkeypatch.setattr("tillwire.clock.monotonic_s", lambda: time.monotonic() + self._ahead_s)

    def __call__(self, seconds: float) -> None:
        """As if all that happened had happened so much earlier."""
        self._ahead_s += seconds
        self._connection.execute(
            "UPDATE journal SET next_attempt_at = next_attempt_at - make_interval(secs => %(s)s),"
            " sent_at = sent_at - make_interval(secs => %(s)s), built_at = built_at - make_interval(secs => %(s)s),"
            " unknown_at = unknown_at - make_interval(secs => %(s)s),"
            " accepted_at = accepted_at - make_interval(secs => %(s)s)",
            {"s": seconds},
        )
        self._connection.execute(
            "UPDATE erp_gate SET arrival = arrival - make_interval(secs => %(s)s),"
            " paused_until = paused_until - make_interval(secs => %(s)s),"
            " opened_at = opened_at - make_interval(secs => %(s)s),"
            " alerted_at = alerted_at - make_interval(secs => %(s)s),"
            " probe_at = probe_at - make_interval(secs => %(s)s)",
            {"s": seconds},
        )


def waits_s(connection: psycopg.Connection) -> float:
    """How long until a journal is tried again."""
    query = "SELECT max(extract(epoch FROM next_attempt_at - clock_timestamp()))::float8 FROM journal"
    return float(scalar(connection, query))


def assert_booked_once(erp: FakeErp, built: Sequence[str]) -> None:
    """Every journal is posted once, and nothing else."""
    assert sorted(erp.posted) == sorted(built)
    assert {len(found) for found in erp.posted.values()} == {1}
    assert erp.drafts == {}
    assert erp.in_work == {}
