"""Dispatch: every journal in the ERP exactly once, however its calls end."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest
from builders import DAY, day_close, masters, sale, store
from driving import load, rows, scalar, until
from posting_kit import BOOK, policy_of

from tillwire.config import Posting as PostingSettings
from tillwire.connectors.erp import DuplicatePostingError, Posted, PostingOutcome, Rejected, Unknown
from tillwire.errors import AuthenticationError, OutcomeUnknownError, RateLimitedError, TransientError
from tillwire.model.ledger import ErpDocument, Journal
from tillwire.posting.build import build_journals
from tillwire.posting.dispatch import Dispatcher, confirm
from tillwire.posting.watch import ErpWatch

STORES = ("101", "102", "103")
SETTINGS = PostingSettings(settle_s=120.0, retry_first_s=5.0, retry_most_s=60.0)


class Killed(BaseException):
    """The process is gone."""


class FakeErp:
    """Books in memory. What its next calls do is scripted; without a script they go well."""

    name = "fake"

    def __init__(self) -> None:
        self.posted: dict[str, list[Journal]] = {}
        self.drafts: dict[str, Journal] = {}
        self.script: deque[str | BaseException] = deque()
        self.refused: set[str] = set()
        self.calls: list[tuple[str, list[str]]] = []

    def _called(self, name: str, references: Sequence[str]) -> str:
        self.calls.append((name, list(references)))
        step = self.script.popleft() if self.script else "goes well"
        if isinstance(step, BaseException):
            raise step
        return step

    def _book(self, journal: Journal) -> None:
        assert journal.balances()
        self.posted.setdefault(journal.reference, []).append(journal)

    def post(self, journals: Sequence[Journal]) -> list[PostingOutcome]:
        """Post, or do what the script says."""
        step = self._called("post", [journal.reference for journal in journals])
        for journal in journals:
            if step == "leaves drafts":
                self.drafts[journal.reference] = journal
            elif step not in ("loses the request", "is killed before") and journal.reference not in self.refused:
                self._book(journal)
        if step in ("loses the reply", "loses the request", "leaves drafts"):
            raise OutcomeUnknownError("no reply")
        if step.startswith("is killed"):
            raise Killed
        return [self._outcome(journal.reference, step) for journal in journals]

    def _outcome(self, reference: str, step: str) -> PostingOutcome:
        if reference in self.refused:
            return Rejected(reference, "closed period")
        if step == "loses the second reply" and reference.split("/")[1] == STORES[1]:
            return Unknown(reference, "no reply")
        return Posted(reference, f"id-{reference}", f"no-{reference}")

    def _document(self, reference: str) -> ErpDocument | None:
        if reference in self.posted:
            lines = self.posted[reference][0].lines
            number = f"no-{reference}"
            return ErpDocument(
                reference=reference, document_id=f"id-{reference}", number=number, posted=True, lines=lines
            )
        if reference in self.drafts:
            return ErpDocument(reference=reference, document_id=f"draft-{reference}", number=None, posted=False)
        return None

    def find(self, references: Sequence[str]) -> dict[str, ErpDocument]:
        """What there is."""
        self._called("find", references)
        found = {reference: self._document(reference) for reference in references}
        twice = {reference for reference in references if len(self.posted.get(reference, ())) > 1}
        there = {reference: document for reference, document in found.items() if document and reference not in twice}
        if twice:
            raise DuplicatePostingError({reference: (found[reference],) * 2 for reference in twice}, there)  # type: ignore[misc]
        return there

    def finish(self, documents: Sequence[ErpDocument]) -> list[PostingOutcome]:
        """Post drafts."""
        self._called("finish", [document.reference for document in documents])
        for document in documents:
            self._book(self.drafts.pop(document.reference))
        return [self._outcome(document.reference, "") for document in documents]

    def read_back(self, references: Sequence[str]) -> dict[str, ErpDocument]:
        """As ``find``."""
        return self.find(references)

    def close(self) -> None:
        """Nothing to let go of."""

    def count(self, name: str) -> int:
        """How often a method was called."""
        return sum(1 for called, _ in self.calls if called == name)


@pytest.fixture
def built(database_url: str, connection: psycopg.Connection) -> list[str]:
    """A database with three journals; their references, in the order in which they are sent."""
    sales = [sale(1, store=number) for number in STORES]
    closes = [day_close([one], store=one["data"]["store"]) for one in sales]
    load(database_url, *masters(*(store(number) for number in STORES)), *sales, *closes)
    assert build_journals(connection, BOOK, policy_of()) == 3
    return [f"ACME/{number}/{DAY}/{first}/USD" for number, first in rows(
        connection, "SELECT store, from_offset FROM journal ORDER BY store"
    )]  # fmt: skip


@pytest.fixture
def erp() -> FakeErp:
    return FakeErp()


@pytest.fixture
def dispatcher(database_url: str, erp: FakeErp) -> Iterator[Dispatcher]:
    with psycopg.connect(database_url, autocommit=True) as own:
        yield Dispatcher(own, erp, SETTINGS)


def states(connection: psycopg.Connection) -> dict[str, str]:
    return dict(rows(connection, "SELECT reference, state FROM journal"))


def all_are(state: str, built: list[str]) -> dict[str, str]:
    return dict.fromkeys(built, state)


def pass_time(connection: psycopg.Connection, seconds: float) -> None:
    """As if all that happened to journals had happened so much earlier."""
    connection.execute(
        "UPDATE journal SET next_attempt_at = next_attempt_at - make_interval(secs => %s),"
        " sent_at = sent_at - make_interval(secs => %s)",
        (seconds, seconds),
    )


def waits_s(connection: psycopg.Connection) -> float:
    """How long until a journal is tried again."""
    query = "SELECT max(extract(epoch FROM next_attempt_at - clock_timestamp()))::float8 FROM journal"
    return float(scalar(connection, query))


def assert_booked_once(erp: FakeErp, built: list[str]) -> None:
    assert sorted(erp.posted) == sorted(built)
    assert {len(found) for found in erp.posted.values()} == {1}
    assert erp.drafts == {}


def test_journals_are_posted_in_one_call(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, dispatcher: Dispatcher
) -> None:
    assert dispatcher.dispatch_once() == 3
    assert erp.calls == [("post", built)]
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)
    assert rows(connection, "SELECT DISTINCT document_id = 'id-' || reference, document_number = 'no-' || reference,"
                " posted_at IS NOT NULL, attempts FROM journal") == [(True, True, True, 1)]  # fmt: skip
    (journal,) = erp.posted[built[0]]
    assert (journal.company, journal.store, journal.business_date, journal.currency) == ("ACME", "101", DAY, "USD")
    assert {(line.account, line.debit, line.credit) for line in journal.lines} == {
        ("1010", Decimal("4.40"), Decimal(0)),
        ("2200", Decimal(0), Decimal("0.40")),
        ("4000", Decimal(0), Decimal("4.00")),
    }
    assert dispatcher.dispatch_once() == 0
    assert len(erp.calls) == 1


def test_batches_are_no_larger_than_asked_for(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as own:
        small = Dispatcher(own, erp, msgspec.structs.replace(SETTINGS, batch_journals=2))
        assert [small.dispatch_once() for _ in range(3)] == [2, 1, 0]
    assert [references for _, references in erp.calls] == [built[:2], built[2:]]


def test_a_lost_reply_is_looked_up_and_posted_once(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, dispatcher: Dispatcher
) -> None:
    erp.script.append("loses the reply")
    dispatcher.dispatch_once()
    assert states(connection) == all_are("unknown", built)
    dispatcher.dispatch_once()
    assert erp.count("find") == 0, "looked up before the ERP had time"
    pass_time(connection, 60)
    assert dispatcher.dispatch_once() == 3
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)
    assert erp.count("post") == 1


def test_a_lost_request_is_sent_again_only_after_the_settling_time(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, dispatcher: Dispatcher
) -> None:
    erp.script.append("loses the request")
    dispatcher.dispatch_once()
    pass_time(connection, 100)
    for _ in range(3):
        dispatcher.dispatch_once()
        connection.execute("UPDATE journal SET next_attempt_at = clock_timestamp()")
    assert states(connection) == all_are("unknown", built)
    assert (erp.count("post"), erp.count("find")) == (1, 3)
    pass_time(connection, 30)
    dispatcher.dispatch_once()
    dispatcher.dispatch_once()
    assert states(connection) == all_are("posted", built)
    assert erp.count("post") == 2
    assert_booked_once(erp, built)


def test_drafts_that_were_left_are_finished(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, dispatcher: Dispatcher
) -> None:
    erp.script.append("leaves drafts")
    dispatcher.dispatch_once()
    pass_time(connection, 60)
    dispatcher.dispatch_once()
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)
    assert (erp.count("post"), erp.count("finish")) == (1, 1)


def test_one_unknown_of_a_batch_holds_back_no_other(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, dispatcher: Dispatcher
) -> None:
    erp.script.append("loses the second reply")
    dispatcher.dispatch_once()
    assert states(connection) == all_are("posted", built) | {built[1]: "unknown"}
    pass_time(connection, 60)
    dispatcher.dispatch_once()
    assert erp.calls[-1] == ("find", [built[1]])
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)


def test_an_erp_that_is_away_is_tried_again_later_and_later(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, dispatcher: Dispatcher
) -> None:
    waited = []
    for _ in range(6):
        erp.script.append(TransientError("away"))
        dispatcher.dispatch_once()
        assert states(connection) == all_are("built", built)
        waited.append(round(waits_s(connection)))
        calls = len(erp.calls)
        dispatcher.dispatch_once()
        assert len(erp.calls) == calls, "called again before its time"
        pass_time(connection, 61)
    assert waited == [5, 10, 20, 40, 60, 60]
    dispatcher.dispatch_once()
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)
    assert rows(connection, "SELECT DISTINCT attempts, last_error FROM journal") == [(7, None)]


def test_the_erp_says_when_to_come_back(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, dispatcher: Dispatcher
) -> None:
    erp.script.append(RateLimitedError("slow down", retry_after_s=33))
    dispatcher.dispatch_once()
    assert round(waits_s(connection)) == 33


def test_wrong_credentials_lose_nothing(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, dispatcher: Dispatcher
) -> None:
    erp.script.append(AuthenticationError("who are you"))
    dispatcher.dispatch_once()
    assert rows(connection, "SELECT DISTINCT state, last_error FROM journal") == [("built", "who are you")]
    pass_time(connection, 60)
    dispatcher.dispatch_once()
    assert_booked_once(erp, built)


def test_what_the_erp_refuses_stays_refused_and_its_neighbours_are_posted(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, dispatcher: Dispatcher
) -> None:
    erp.refused.add(built[1])
    dispatcher.dispatch_once()
    assert states(connection) == all_are("posted", built) | {built[1]: "rejected"}
    assert scalar(connection, "SELECT last_error FROM journal WHERE state = 'rejected'") == "closed period"
    pass_time(connection, 10_000)
    assert dispatcher.dispatch_once() == 0
    assert erp.count("post") == 1


def test_a_look_up_that_fails_leaves_everything_unknown(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, dispatcher: Dispatcher
) -> None:
    erp.script.extend(["loses the reply", TransientError("away"), OutcomeUnknownError("no reply")])
    dispatcher.dispatch_once()
    for _ in range(2):
        pass_time(connection, 1000)
        dispatcher.dispatch_once()
        assert states(connection) == all_are("unknown", built)
    pass_time(connection, 1000)
    dispatcher.dispatch_once()
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)


@pytest.mark.parametrize("step", ["is killed before", "is killed after"])
def test_what_a_dead_dispatcher_had_sent_is_looked_up_first(
    built: list[str], database_url: str, connection: psycopg.Connection, erp: FakeErp, step: str
) -> None:
    erp.script.append(step)
    with psycopg.connect(database_url, autocommit=True) as own, pytest.raises(Killed):
        Dispatcher(own, erp, SETTINGS).dispatch_once()
    assert states(connection) == all_are("sent", built)
    with psycopg.connect(database_url, autocommit=True) as own:
        successor = Dispatcher(own, erp, SETTINGS)
        until(successor.own_lane)
        successor.dispatch_once()
        assert [name for name, _ in erp.calls] == ["post", "find"]
        pass_time(connection, 1000)
        successor.dispatch_once()
        successor.dispatch_once()
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)


def test_two_dispatchers_have_one_lane(
    built: list[str], database_url: str, connection: psycopg.Connection, erp: FakeErp
) -> None:
    other_erp = FakeErp()
    with psycopg.connect(database_url, autocommit=True) as second_connection:
        second = Dispatcher(second_connection, other_erp, SETTINGS)
        with psycopg.connect(database_url, autocommit=True) as first_connection:
            first = Dispatcher(first_connection, erp, SETTINGS)
            assert first.own_lane()
            assert not second.own_lane()
            assert second.dispatch_once() == 0
            assert first.dispatch_once() == 3
            assert first.own_lane()
        assert other_erp.calls == []
        assert until(second.own_lane)
        assert second.dispatch_once() == 0
    assert_booked_once(erp, built)


def test_a_journal_that_is_twice_in_the_erp_is_told_and_taken_out_of_the_lane(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, dispatcher: Dispatcher
) -> None:
    erp.script.append("loses the reply")
    dispatcher.dispatch_once()
    erp.posted[built[0]] *= 2
    pass_time(connection, 1000)
    dispatcher.dispatch_once()
    assert states(connection) == all_are("posted", built) | {built[0]: "rejected"}
    assert "more than once" in scalar(connection, "SELECT last_error FROM journal WHERE state = 'rejected'")
    pass_time(connection, 1000)
    assert dispatcher.dispatch_once() == 0


# ---------------------------------------------------------------- reading back


def test_books_that_agree_are_confirmed_once(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, dispatcher: Dispatcher
) -> None:
    assert confirm(connection, erp) == []
    dispatcher.dispatch_once()
    assert confirm(connection, erp) == []
    assert scalar(connection, "SELECT count(*) FROM journal WHERE confirmed_at IS NOT NULL") == 3
    calls = len(erp.calls)
    assert confirm(connection, erp) == []
    assert len(erp.calls) == calls, "what is confirmed is read again without being asked"
    assert confirm(connection, erp, again=True) == []
    assert len(erp.calls) == calls + 1


def _gone(erp: FakeErp, reference: str) -> None:
    del erp.posted[reference]


def _draft(erp: FakeErp, reference: str) -> None:
    erp.drafts[reference] = erp.posted.pop(reference)[0]


def _other_amount(erp: FakeErp, reference: str) -> None:
    (journal,) = erp.posted[reference]
    first, *rest = journal.lines
    changed = msgspec.structs.replace(first, debit=first.debit + 1)
    erp.posted[reference] = [msgspec.structs.replace(journal, lines=(changed, *rest))]


def _other_account(erp: FakeErp, reference: str) -> None:
    (journal,) = erp.posted[reference]
    first, *rest = journal.lines
    erp.posted[reference] = [
        msgspec.structs.replace(journal, lines=(msgspec.structs.replace(first, account="9"), *rest))
    ]


def _twice(erp: FakeErp, reference: str) -> None:
    erp.posted[reference] *= 2


@pytest.mark.parametrize(
    ("meddle", "words"),
    [
        (_gone, "does not have it"),
        (_draft, "draft only"),
        (_other_amount, "account"),
        (_other_account, "account"),
        (_twice, "more than once"),
    ],
)
def test_books_that_differ_are_named_and_not_confirmed(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, dispatcher: Dispatcher, meddle: Any, words: str
) -> None:
    dispatcher.dispatch_once()
    assert confirm(connection, erp) == []
    meddle(erp, built[1])
    (difference,) = confirm(connection, erp, again=True)
    assert difference.startswith(built[1] + ": ")
    assert words in difference
    confirmed = rows(connection, "SELECT reference FROM journal WHERE confirmed_at IS NOT NULL ORDER BY 1")
    assert [reference for (reference,) in confirmed] == [built[0], built[2]]


# ---------------------------------------------------------------- the watch on calls


def test_calls_are_spaced_to_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("tillwire.clock.monotonic_s", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    watch = ErpWatch(60, wait=wait)
    moments = []
    for _ in range(200):
        watch.before_call()
        moments.append(now[0])
    for start in range(0, 200, 20):
        within = [moment for moment in moments if moments[start] <= moment < moments[start] + 60]
        assert len(within) <= 60 + 10
    assert 180 <= moments[-1] - moments[0] <= 200


def test_failed_calls_are_noted(database_url: str, connection: psycopg.Connection) -> None:
    watch = ErpWatch(60)
    watch.failed("unavailable", "before any connection")
    watch.connection = connection
    watch.failed("rate_limited", "429")
    assert rows(connection, "SELECT kind, detail FROM erp_incident") == [("rate_limited", "429")]
