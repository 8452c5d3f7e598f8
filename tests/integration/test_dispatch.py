"""Dispatch: every journal in the ERP exactly once, however its calls end."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest
from builders import DAY
from driving import rows, scalar, until
from erp_fake import (
    FakeErp,
    Hours,
    Killed,
    all_are,
    assert_booked_once,
    make_lane,
    policies,
    states,
    three_journals,
)

from tillwire.errors import AuthenticationError, ContractChangedError, OutcomeUnknownError, TransientError
from tillwire.model.ledger import Journal
from tillwire.posting.lane import Lane
from tillwire.posting.read_back import confirm


@pytest.fixture
def built(database_url: str, connection: psycopg.Connection) -> list[str]:
    """A database with three journals; their references, in the order in which they are sent."""
    return three_journals(database_url, connection)


@pytest.fixture
def erp() -> FakeErp:
    return FakeErp()


@pytest.fixture
def hours(connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Hours:
    return Hours(connection, monkeypatch)


@pytest.fixture
def lane(database_url: str, erp: FakeErp) -> Iterator[Lane]:
    with psycopg.connect(database_url, autocommit=True) as own:
        yield make_lane(own, erp.connector())


def test_journals_are_posted_in_one_call(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane
) -> None:
    assert lane.work() == 3
    assert erp.calls == [("post", built)]
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)
    assert rows(connection, "SELECT DISTINCT document_id = 'id-' || reference, document_number = 'no-' || reference,"
                " posted_at IS NOT NULL, attempts FROM journal") == [(True, True, True, 1)]  # fmt: skip
    (journal,) = erp.posted[built[0]]
    assert isinstance(journal, Journal)
    assert (journal.company, journal.store, journal.business_date, journal.currency) == ("ACME", "101", DAY, "USD")
    assert {(line.account, line.debit, line.credit) for line in journal.lines} == {
        ("1010", Decimal("4.40"), Decimal(0)),
        ("2200", Decimal(0), Decimal("0.40")),
        ("4000", Decimal(0), Decimal("4.00")),
    }
    assert lane.work() == 0
    assert len(erp.calls) == 1


def test_batches_are_no_larger_than_asked_for(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as own:
        small = make_lane(own, erp.connector(), policies(batch_journals=2)[0])
        assert [small.work() for _ in range(3)] == [2, 1, 0]
    assert [references for _, references in erp.calls] == [built[:2], built[2:]]


def test_a_lost_reply_is_looked_up_and_posted_once(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    erp.script.append("loses the reply")
    lane.work()
    assert states(connection) == all_are("unknown", built)
    lane.work()
    assert erp.count("find") == 0, "looked up before the ERP had time"
    hours(60)
    assert lane.work() == 3
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)
    assert erp.count("post") == 1


def test_a_lost_request_is_sent_again_only_after_the_settling_time(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    erp.script.append("loses the request")
    lane.work()
    hours(100)
    for _ in range(3):
        lane.work()
        connection.execute("UPDATE journal SET next_attempt_at = clock_timestamp()")
    assert states(connection) == all_are("unknown", built)
    assert (erp.count("post"), erp.count("find")) == (1, 3)
    hours(30)
    lane.work()
    lane.work()
    assert states(connection) == all_are("posted", built)
    assert erp.count("post") == 2
    assert_booked_once(erp, built)


def test_drafts_that_were_left_are_finished(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    erp.script.append("leaves drafts")
    lane.work()
    hours(60)
    lane.work()
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)
    assert (erp.count("post"), erp.count("finish")) == (1, 1)


def test_one_unknown_of_a_batch_holds_back_no_other(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    erp.script.append("loses the second reply")
    lane.work()
    assert states(connection) == all_are("posted", built) | {built[1]: "unknown"}
    hours(60)
    lane.work()
    assert erp.calls[-1] == ("find", [built[1]])
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)


def test_an_erp_that_is_away_is_tried_again_later_and_later(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    erp.always = TransientError("away")
    for wait_s in (5, 10, 20, 40, 60, 60):
        calls = len(erp.calls)
        lane.work()
        assert len(erp.calls) == calls + 1
        assert rows(connection, "SELECT DISTINCT state, erp, last_error FROM journal") == [("built", None, "away")]
        hours(wait_s - 1)
        lane.work()
        assert len(erp.calls) == calls + 1, "called again before its time"
        hours(2)
    erp.always = None
    lane.work()  # a single probe: the breaker has opened meanwhile
    lane.work()
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)
    assert rows(connection, "SELECT DISTINCT last_error FROM journal") == [(None,)]


def test_a_changed_contract_loses_nothing_and_is_raised_until_it_is_mended(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    query = "SELECT code, state, message, source FROM exception"
    for _ in range(2):
        erp.script.append(ContractChangedError("no field 'id'"))
        lane.work()
        hours(60)
    assert rows(connection, query) == [("schema_drift", "open", "no field 'id'", "urn:erp:erp")]
    lane.work()
    assert_booked_once(erp, built)
    assert rows(connection, query) == [("schema_drift", "resolved", "no field 'id'", "urn:erp:erp")]


def test_an_outcome_that_a_connector_forgets_is_looked_up(
    built: list[str], connection: psycopg.Connection, database_url: str, erp: FakeErp, hours: Hours
) -> None:
    connector = erp.connector()
    post = connector.post
    connector.post = lambda documents: post(documents)[1:]  # type: ignore[method-assign]
    with psycopg.connect(database_url, autocommit=True) as own:
        lane = make_lane(own, connector)
        lane.work()
        assert states(connection) == all_are("posted", built) | {built[0]: "unknown"}
        hours(60)
        lane.work()
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)


def test_wrong_credentials_lose_nothing(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    erp.script.append(AuthenticationError("who are you"))
    lane.work()
    assert rows(connection, "SELECT DISTINCT state, last_error FROM journal") == [("built", "who are you")]
    query = "SELECT code, state, owner, key FROM exception"
    assert rows(connection, query) == [("erp_auth_failed", "open", "integration", "erp")]
    hours(60)
    lane.work()
    assert_booked_once(erp, built)
    assert rows(connection, query) == [("erp_auth_failed", "resolved", "integration", "erp")]


def test_what_the_erp_refuses_stays_refused_and_its_neighbours_are_posted(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    erp.refused[built[1]] = ("no such thing", "other")
    lane.work()
    assert states(connection) == all_are("posted", built) | {built[1]: "rejected"}
    assert scalar(connection, "SELECT last_error FROM journal WHERE state = 'rejected'") == f"{built[1]}: no such thing"
    hours(10_000)
    assert lane.work() == 0
    assert erp.count("post") == 1


def test_a_look_up_that_fails_leaves_everything_unknown(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    erp.script.extend(["loses the reply", TransientError("away"), OutcomeUnknownError("no reply")])
    lane.work()
    for _ in range(2):
        hours(1000)
        lane.work()
        assert states(connection) == all_are("unknown", built)
    hours(1000)
    lane.work()
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)


@pytest.mark.parametrize("step", ["is killed before", "is killed after"])
def test_what_a_dead_dispatcher_had_sent_is_looked_up_first(
    built: list[str], database_url: str, connection: psycopg.Connection, erp: FakeErp, hours: Hours, step: str
) -> None:
    erp.script.append(step)
    with psycopg.connect(database_url, autocommit=True) as own, pytest.raises(Killed):
        make_lane(own, erp.connector()).work()
    assert states(connection) == all_are("sent", built)
    with psycopg.connect(database_url, autocommit=True) as own:
        successor = make_lane(own, erp.connector())
        until(successor.own)
        successor.work()
        assert [name for name, _ in erp.calls] == ["post", "find"]
        hours(1000)
        successor.work()
        successor.work()
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)


def test_a_journal_that_is_twice_in_the_erp_is_told_and_taken_out_of_the_lane(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    erp.script.append("loses the reply")
    lane.work()
    erp.posted[built[0]] *= 2
    hours(1000)
    lane.work()
    assert states(connection) == all_are("posted", built) | {built[0]: "rejected"}
    assert "more than once" in scalar(connection, "SELECT last_error FROM journal WHERE state = 'rejected'")
    hours(1000)
    assert lane.work() == 0


# ---------------------------------------------------------------- reading back


def test_books_that_agree_are_confirmed_once(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane
) -> None:
    assert confirm(connection, erp.connector()) == []
    lane.work()
    assert confirm(connection, erp.connector()) == []
    assert scalar(connection, "SELECT count(*) FROM journal WHERE confirmed_at IS NOT NULL") == 3
    calls = len(erp.calls)
    assert confirm(connection, erp.connector()) == []
    assert len(erp.calls) == calls, "what is confirmed is read again without being asked"
    assert confirm(connection, erp.connector(), again=True) == []
    assert len(erp.calls) == calls + 1


def _gone(erp: FakeErp, reference: str) -> None:
    del erp.posted[reference]


def _draft(erp: FakeErp, reference: str) -> None:
    erp.drafts[reference] = erp.posted.pop(reference)[0]


def _other_amount(erp: FakeErp, reference: str) -> None:
    (journal,) = erp.posted[reference]
    assert isinstance(journal, Journal)
    first, *rest = journal.lines
    changed = msgspec.structs.replace(first, debit=first.debit + 1)
    erp.posted[reference] = [msgspec.structs.replace(journal, lines=(changed, *rest))]


def _other_account(erp: FakeErp, reference: str) -> None:
    (journal,) = erp.posted[reference]
    assert isinstance(journal, Journal)
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
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, meddle: Any, words: str
) -> None:
    lane.work()
    assert confirm(connection, erp.connector()) == []
    meddle(erp, built[1])
    (difference,) = confirm(connection, erp.connector(), again=True)
    assert difference.startswith(built[1] + ": ")
    assert words in difference
    confirmed = rows(connection, "SELECT reference FROM journal WHERE confirmed_at IS NOT NULL ORDER BY 1")
    assert [reference for (reference,) in confirmed] == [built[0], built[2]]
