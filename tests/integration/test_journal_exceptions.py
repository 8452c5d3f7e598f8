"""What an ERP refuses or loses, in the exception queue: raised in its own words, mended, sent again, or left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from builders import DAY, Event, event
from driving import load, rows, scalar
from erp_fake import (
    STORES,
    FakeErp,
    Hours,
    all_are,
    assert_booked_once,
    make_lane,
    policies,
    posted,
    states,
    three_journals,
)

from tillwire import bootstrap
from tillwire.config import Settings
from tillwire.connectors.erp import Rejected
from tillwire.errors import AuthenticationError, TransientError
from tillwire.exceptions import fixes, journals, queue
from tillwire.exceptions.fixes import FixRefused
from tillwire.exceptions.journals import rejection_cause
from tillwire.posting.lane import Lane
from tillwire.posting.outcomes import Recorder, raise_unknown
from tillwire.posting.periods import next_open, posting_date
from tillwire.reconciliation.days import reconcile

ANY = Decimal(10**9)


@pytest.fixture
def erp() -> FakeErp:
    return FakeErp()


@pytest.fixture
def built(database_url: str, connection: psycopg.Connection) -> list[str]:
    return three_journals(database_url, connection)


@pytest.fixture
def hours(connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Hours:
    return Hours(connection, monkeypatch)


@contextlib.contextmanager
def lane_of(url: str, erp: FakeErp, **more: Any) -> Iterator[Lane]:
    with psycopg.connect(url, autocommit=True) as own:
        yield make_lane(own, erp.connector(), **more)


@pytest.fixture
def lane(database_url: str, erp: FakeErp) -> Iterator[Lane]:
    with lane_of(database_url, erp, closed_period="next_open") as one:
        yield one


def only(connection: psycopg.Connection, state: str | None = "open") -> queue.ExceptionRow:
    (row,) = queue.listed(connection, state=state)
    return row


def period(number: str, first: date, last: date, *, is_open: bool = True, revision: int = 1) -> Event:
    data = {
        "company": "ACME",
        "period": number,
        "first": str(first),
        "last": str(last),
        "open": is_open,
        "revision": revision,
    }
    return event("master.period", data)


# ---------------------------------------------------------------- refused


def test_a_refused_journal_is_an_exception_in_the_erps_words(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane
) -> None:
    erp.refused[built[1]] = ("Journal 4711 lacks an approver", "other")
    lane.work()
    row = only(connection)
    assert (row.code, row.owner, row.severity, row.message) == (
        "erp_rejected",
        "finance",
        "blocking",
        "Journal 4711 lacks an approver",
    )
    assert (row.key, row.store, row.business_date) == (built[1], STORES[1], DAY)
    assert (row.amount, row.currency, row.source) == (Decimal("4.40"), "USD", "urn:erp:erp")
    shown = queue.detail(connection, row.exception_id)
    assert shown is not None
    assert b'"reference":"' + built[1].encode() in bytes(shown.raw)  # type: ignore[arg-type]
    assert [one.action for one in shown.actions] == ["raise"]


def test_mended_and_retried_it_is_posted_and_resolved(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    erp.refused[built[1]] = ("no approver", "other")
    lane.work()
    row = only(connection)
    assert queue.retry(connection, exception_id=row.exception_id, by="anna") == 1
    lane.work()
    assert only(connection).attempts == 2, "it was not mended: open again"
    erp.refused.clear()
    assert queue.retry(connection, cause=row.cause, by="anna") == 1
    assert only(connection, "retrying").exception_id == row.exception_id
    lane.work()
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)
    assert only(connection, "resolved").exception_id == row.exception_id
    shown = queue.detail(connection, row.exception_id)
    assert shown is not None
    assert [one.action for one in shown.actions] == ["raise", "retry", "raise", "retry", "resolve"]
    assert shown.actions[1].actor == "anna"


def test_a_retry_asks_first_whether_the_erp_has_it(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane
) -> None:
    """A duplicate that an accountant has cancelled; a refusal of something that is there all the same."""
    erp.script.append("loses the reply")
    lane.work()
    erp.posted[built[0]] *= 2
    connection.execute("UPDATE journal SET next_attempt_at = clock_timestamp()")
    lane.work()
    row = only(connection)
    assert row.key == built[0]
    assert "more than once" in row.message
    erp.posted[built[0]].pop()
    queue.retry(connection, exception_id=row.exception_id)
    lane.work()
    assert erp.count("post") == 1
    assert only(connection, "resolved").key == built[0]
    assert_booked_once(erp, built)


@pytest.mark.parametrize(
    ("words", "kind", "code", "cause"),
    [
        ("the period is closed", "closed_period", "period_closed", f"period_closed:{DAY}"),
        ("Account 4000 does not exist (id 12)", "unknown_account", "unknown_account", "unknown_account:4000"),
        ("no such account", "unknown_account", "unknown_account", "unknown_account:erp:no such account"),
        ("Move 17 of 2026-03-02 refused", "other", "erp_rejected", "erp_rejected:erp:Move * of * refused"),
    ],
)
def test_causes_are_what_one_fix_mends(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, words: str, kind: Any, code: str,
    cause: str,
) -> None:  # fmt: skip
    erp.refused = dict.fromkeys(built, (words, kind))
    lane.work()
    (group,) = queue.causes(connection)
    assert (group.code, group.cause, group.exceptions) == (code, cause, 3)
    assert [(one.amount, one.currency) for one in group.money] == [(Decimal("13.20"), "USD")]


def test_words_of_any_length_and_kind_are_kept(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane
) -> None:
    erp.refused[built[0]] = ("\x00" + "x" * 100_000, "other")
    lane.work()
    assert only(connection).message.startswith("\ufffdxxx")


def test_the_cause_of_an_account_is_the_longest_that_the_words_name() -> None:
    words = "account 4000-10 is not known"
    assert rejection_cause("unknown_account", "e", words, accounts=["4000", "4000-10"]) == "unknown_account:4000-10"


def test_a_master_record_that_comes_sends_what_it_mends(
    built: list[str], database_url: str, connection: psycopg.Connection, erp: FakeErp, lane: Lane
) -> None:
    erp.refused[built[2]] = ("Account 4000 does not exist", "unknown_account")
    lane.work()
    assert only(connection).cause == "unknown_account:4000"
    erp.refused.clear()
    data = {"company": "ACME", "account": "4000", "name": "Sales", "kind": "revenue", "revision": 1}
    load(database_url, event("master.account", data))
    lane.work()
    assert states(connection) == all_are("posted", built)
    assert only(connection, "resolved").key == built[2]


def test_dismissed_it_stays_unposted_and_the_proof_names_it(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    erp.refused[built[1]] = ("no", "other")
    lane.work()
    row = only(connection)
    fixed = fixes.dismiss(connection, row.exception_id, by="anna", reason="booked by hand", limit=ANY)
    assert fixed.state == "dismissed"
    erp.refused.clear()
    hours(100_000)
    lane.work()
    assert states(connection)[built[1]] == "rejected"
    report = reconcile(connection, store=STORES[1])
    assert [one.code for one in report.days[0].differences] == ["not_posted"]
    assert "rejected" in report.days[0].differences[0].message
    assert journals.retry_journals(connection, ids(connection, built[1]), by="bob", dismissed=False) == 0
    assert journals.retry_journals(connection, ids(connection, built[1]), by="bob", dismissed=True) == 1
    lane.work()
    assert_booked_once(erp, built)
    assert only(connection, "resolved").key == built[1]


def ids(connection: psycopg.Connection, reference: str) -> list[int]:
    return [scalar(connection, "SELECT journal_id FROM journal WHERE reference = %s", reference)]


def test_much_money_is_dismissed_by_two(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane
) -> None:
    erp.refused[built[1]] = ("no", "other")
    lane.work()
    row = only(connection)
    how: dict[str, Any] = {"by": "anna", "reason": "booked by hand"}
    assert fixes.dismiss(connection, row.exception_id, limit=Decimal(4), **how).state == "approval"
    assert fixes.refuse(connection, row.exception_id, by="bob", reason="no").state == "open"
    fixes.dismiss(connection, row.exception_id, limit=Decimal(4), **how)
    assert fixes.approve(connection, row.exception_id, by="bob").state == "dismissed"


def test_there_is_nothing_to_edit_and_only_the_erp_can_say_what_a_retry_does(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane
) -> None:
    erp.refused[built[1]] = ("no", "other")
    lane.work()
    row = only(connection)
    with pytest.raises(FixRefused, match="has no payload to edit: mend the cause"):
        fixes.edit(connection, row.exception_id, b"{}", by="anna", reason="x", limit=ANY)
    rehearsal = bootstrap.rehearsal(connection, Settings())
    with pytest.raises(FixRefused, match="only its ERP can say"):
        rehearsal.of_retry(exception_id=row.exception_id)
    with pytest.raises(FixRefused, match="only its ERP can say"):
        rehearsal.of_retry(cause=row.cause)


def test_exceptions_of_journals_are_no_sales_that_wait(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane
) -> None:
    """What is recorded is recorded: the day is closed and proven up to there."""
    erp.refused = dict.fromkeys(built, ("no", "other"))
    lane.work()
    report = reconcile(connection)
    assert all(day.in_exceptions.count == 0 for day in report.days)
    assert {one.code for day in report.days for one in day.differences} == {"not_posted"}


# ---------------------------------------------------------------- closed periods

MARCH = (date(2026, 3, 1), date(2026, 3, 31))
APRIL = (date(2026, 4, 1), date(2026, 4, 30))
MAY = (date(2026, 5, 1), date(2026, 5, 31))


def test_a_closed_period_is_followed_by_the_next_open_one(
    built: list[str], database_url: str, connection: psycopg.Connection, erp: FakeErp, lane: Lane
) -> None:
    """Whatever master data still says of the first: the ERP has closed it."""
    load(database_url, period("3", *MARCH), period("4", *APRIL, is_open=False), period("5", *MAY))
    erp.closed_until = MARCH[1]
    lane.work()
    assert rows(connection, "SELECT DISTINCT state, posting_date, erp FROM journal") == [("built", MAY[0], None)]
    lane.work()
    assert states(connection) == all_are("posted", built)
    (journal,) = erp.posted[built[0]]
    assert (journal.business_date, journal.books_date) == (DAY, MAY[0])
    assert queue.listed(connection, state=None) == []


def test_with_no_open_period_left_it_is_an_exception_until_one_is_opened(
    built: list[str], database_url: str, connection: psycopg.Connection, erp: FakeErp, lane: Lane
) -> None:
    load(database_url, period("3", *MARCH, is_open=False))
    erp.closed_until = MARCH[1]
    lane.work()
    assert {row.code for row in queue.listed(connection)} == {"period_closed"}
    assert len(queue.listed(connection)) == 3
    erp.closed_until = None
    load(database_url, period("3", *MARCH, revision=2))
    lane.work()
    assert states(connection) == all_are("posted", built)
    assert queue.listed(connection) == []


def test_a_policy_may_leave_closed_periods_to_people(
    built: list[str], database_url: str, connection: psycopg.Connection, erp: FakeErp
) -> None:
    load(database_url, period("3", *MARCH), period("4", *APRIL))
    erp.closed_until = MARCH[1]
    with lane_of(database_url, erp, closed_period="exception") as lane:
        lane.work()
    assert {row.cause for row in queue.listed(connection)} == {f"period_closed:{DAY}"}


def test_posting_dates(database_url: str, connection: psycopg.Connection) -> None:
    assert posting_date(connection, "ACME", DAY) == DAY
    assert next_open(connection, "ACME", DAY) is None
    load(database_url, period("3", *MARCH, is_open=False), period("4", *APRIL))
    assert posting_date(connection, "ACME", DAY) == APRIL[0]
    assert posting_date(connection, "ACME", APRIL[0] + timedelta(days=3)) == APRIL[0] + timedelta(days=3)
    assert posting_date(connection, "ACME", MAY[0]) is None
    assert posting_date(connection, "OTHER", DAY) == DAY
    assert next_open(connection, "ACME", APRIL[0]) is None


# ---------------------------------------------------------------- unknown, and the ERP itself


def test_what_stays_unknown_is_raised_and_cleared_when_it_is_settled(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    erp.script.append("loses the reply")
    lane.work()
    assert raise_unknown(connection, "erp", 30) == 0
    hours(31 * 60)
    erp.script.append(TransientError("away"))
    lane.work()
    assert raise_unknown(connection, "erp", 30) == 3
    assert raise_unknown(connection, "erp", 30) == 3
    found = queue.listed(connection)
    assert {(row.code, row.owner, row.cause, row.attempts) for row in found} == {
        ("erp_outcome_unknown", "integration", "erp_outcome_unknown:erp", 1)
    }
    with pytest.raises(FixRefused, match="may hold"):
        fixes.dismiss(connection, found[0].exception_id, by="anna", reason="x", limit=ANY)
    hours(120)
    assert queue.retry(connection, cause=found[0].cause) == 3
    lane.work()
    assert {row.state for row in queue.listed(connection, state=None)} == {"resolved"}
    assert_booked_once(erp, built)


def test_retried_and_still_unknown_it_is_open_again(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    erp.script.append("loses the request")
    lane.work()
    hours(31 * 60)
    raise_unknown(connection, "erp", 30)
    queue.retry(connection, code="erp_outcome_unknown")
    raise_unknown(connection, "erp", 30)
    assert queue.listed(connection) == [], "nobody has looked yet"
    erp.script.append(TransientError("away"))
    lane.work()
    raise_unknown(connection, "erp", 30)
    assert len(queue.listed(connection)) == 3


def test_what_is_surely_not_there_is_unknown_no_more(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    erp.script.append("loses the request")
    lane.work()
    hours(31 * 60)
    raise_unknown(connection, "erp", 30)
    erp.refused = dict.fromkeys(built, ("no", "other"))
    lane.work()
    assert {row.code for row in queue.listed(connection)} == {"erp_rejected"}
    assert len(queue.listed(connection, state=None)) == 3, "one exception a journal, whatever is wrong with it"


def test_a_retry_of_wrong_credentials_probes_at_once(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, database_url: str, hours: Hours
) -> None:
    erp.always = AuthenticationError("who are you")
    with lane_of(database_url, erp, policy=policies(breaker_failures=1)[0]) as lane:
        lane.work()
        hours(4)
        row = only(connection)
        assert (row.code, row.key, row.cause) == ("erp_auth_failed", "erp", "erp_auth_failed:erp:erp")
        shown = queue.detail(connection, row.exception_id)
        assert shown is not None
        assert bytes(shown.raw) == b"null"  # type: ignore[arg-type]
        erp.always = None
        hours(2)
        queue.retry(connection, exception_id=row.exception_id)
        lane.work()
    assert only(connection, "resolved").code == "erp_auth_failed"


def test_an_outcome_from_elsewhere_resolves_it_too(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane
) -> None:
    erp.refused[built[0]] = ("no", "other")
    lane.work()
    recorder = Recorder(connection, policies()[0], closed_period="exception")
    assert recorder.record([Rejected(built[0], "no"), posted(built[0])]) == 1
    assert only(connection, "resolved").key == built[0]
