"""ERPs that accept now and post later; outcomes in any order, from whoever hears them; callbacks over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import httpx2
import msgspec
import psycopg
import pytest
from driving import rows, settings_for
from erp_fake import (
    FakeErp,
    Hours,
    Killed,
    all_are,
    assert_booked_once,
    make_lane,
    policies,
    posted,
    states,
    three_journals,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_erp import PlainConnector, signature

from tillwire.config import Erp
from tillwire.connectors.erp import Accepted, NotSent, Posted, PostingOutcome, Rejected, Unknown
from tillwire.errors import OutcomeUnknownError, TransientError
from tillwire.http import app as http_app
from tillwire.posting.lane import Lane
from tillwire.posting.outcomes import Recorder, State, state_after

POLICY = policies(poll_s=5.0)[0]


@pytest.fixture
def erp() -> FakeErp:
    one = FakeErp()
    one.asynchronous = True
    return one


@pytest.fixture
def built(database_url: str, connection: psycopg.Connection) -> list[str]:
    return three_journals(database_url, connection)


@pytest.fixture
def hours(connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Hours:
    return Hours(connection, monkeypatch)


@pytest.fixture
def lane(database_url: str, erp: FakeErp) -> Iterator[Lane]:
    with psycopg.connect(database_url, autocommit=True) as own:
        yield make_lane(own, erp.connector(), POLICY)


@pytest.fixture
def recorder(connection: psycopg.Connection) -> Recorder:
    return Recorder(connection, POLICY, closed_period="exception")


# ---------------------------------------------------------------- accepted is not posted


def test_what_is_accepted_is_asked_for_until_it_is_posted(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    lane.work()
    assert rows(connection, "SELECT DISTINCT state, handle = 'job-' || reference, erp FROM journal") == [
        ("accepted", True, "erp")
    ]
    lane.work()
    assert erp.count("poll") == 0, "asked before its time"
    hours(6)
    assert lane.work() == 0
    assert states(connection) == all_are("accepted", built)
    erp.finish_work()
    hours(6)
    assert lane.work() == 3
    assert states(connection) == all_are("posted", built)
    assert [name for name, _ in erp.calls] == ["post", "poll", "poll"]
    assert_booked_once(erp, built)


def test_what_is_refused_after_it_was_accepted_is_an_exception(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours
) -> None:
    lane.work()
    erp.refused[built[1]] = ("rejected by the import job", "other")
    erp.finish_work()
    hours(6)
    lane.work()
    assert states(connection) == all_are("posted", built) | {built[1]: "rejected"}
    assert rows(connection, "SELECT key, message FROM exception") == [(built[1], "rejected by the import job")]


@pytest.mark.parametrize("step", ["loses the reply", "is killed after"])
def test_what_is_in_work_after_a_lost_reply_is_accepted_and_not_sent_again(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, database_url: str, step: str, hours: Hours
) -> None:
    erp.script.append(step)
    with psycopg.connect(database_url, autocommit=True) as own, contextlib.suppress(Killed):
        make_lane(own, erp.connector(), POLICY).work()
    with psycopg.connect(database_url, autocommit=True) as own:
        lane = make_lane(own, erp.connector(), POLICY)
        hours(1000)
        lane.work()
        assert states(connection) == all_are("accepted", built)
        erp.finish_work()
        hours(6)
        lane.work()
    assert erp.count("post") == 1
    assert_booked_once(erp, built)


@pytest.mark.parametrize("error", [TransientError("away"), OutcomeUnknownError("cut")])
def test_a_poll_that_fails_leaves_everything_accepted(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, hours: Hours, error: Exception
) -> None:
    lane.work()
    erp.script.append(error)
    hours(6)
    lane.work()
    assert states(connection) == all_are("accepted", built)
    erp.finish_work()
    hours(60)
    lane.work()
    assert_booked_once(erp, built)


def test_a_job_that_the_erp_does_not_know_any_more_is_looked_up(
    built: list[str], connection: psycopg.Connection, erp: FakeErp, lane: Lane, recorder: Recorder, hours: Hours
) -> None:
    lane.work()
    assert recorder.record([Unknown(built[0], "no such job")]) == 0, "our own lost reply says nothing about it"
    assert recorder.record([Unknown(built[0], "no such job")], polled=True) == 1
    erp.in_work.pop(built[0])
    hours(1000)
    lane.work()
    erp.finish_work()
    hours(6)
    lane.work()
    assert states(connection) == all_are("posted", built)
    assert_booked_once(erp, built)


# ---------------------------------------------------------------- in any order


def test_what_the_books_hold_always_counts(
    built: list[str], connection: psycopg.Connection, recorder: Recorder
) -> None:
    """Heard before our own reply was: posted, then accepted, then that it is in work."""
    recorder.record([posted(built[0])])
    recorder.record([Accepted(built[0], "late"), Unknown(built[0], "late"), Rejected(built[0], "late")])
    recorder.record([posted(built[0]), posted(built[0])])
    assert states(connection)[built[0]] == "posted"


def test_outcomes_of_strangers_are_passed_over(
    built: list[str], connection: psycopg.Connection, recorder: Recorder
) -> None:
    connection.execute("UPDATE journal SET state = 'sent', erp = 'another' WHERE reference = %s", (built[1],))
    assert recorder.record([posted("nobody's"), posted(built[1]), posted(built[0])]) == 1
    assert states(connection) == all_are("built", built) | {built[0]: "posted", built[1]: "sent"}


OUTCOMES = st.sampled_from(
    [Posted("r", "1", "1"), Accepted("r", "h"), Rejected("r", "no"), Unknown("r", "?"), NotSent("r", "later")]
)
STATES: st.SearchStrategy[State] = st.sampled_from(["built", "sent", "accepted", "posted", "rejected", "unknown"])


@given(state=STATES, outcomes=st.lists(st.tuples(OUTCOMES, st.booleans()), max_size=12))
def test_once_posted_always_posted(state: State, outcomes: list[tuple[PostingOutcome, bool]]) -> None:
    """And only the books' own word makes it so; what is told twice changes nothing the second time."""
    for outcome, polled in outcomes:
        after = state_after(state, outcome, polled=polled)
        if isinstance(outcome, Posted):
            assert after == (None if state == "posted" else "posted")
        else:
            assert after != "posted"
            assert state != "posted" or after is None
        if after is not None:
            again = state_after(after, outcome, polled=polled)
            assert again in (None, after)
        state = after or state


# ---------------------------------------------------------------- never twice, none missing


class _Line:
    """What the line to the ERP does to the next calls."""

    STEPS = (
        "goes well",
        "loses the reply",
        "loses the request",
        "leaves drafts",
        "is killed before",
        "is killed after",
        TransientError("503"),
        OutcomeUnknownError("cut"),
    )


TURNS = st.lists(
    st.one_of(
        st.tuples(st.just("work"), st.integers(0, 2), st.integers(0, len(_Line.STEPS) - 1)),
        st.tuples(st.just("hours"), st.sampled_from([1, 30, 200]), st.just(0)),
        st.tuples(st.just("finish"), st.just(0), st.just(0)),
        st.tuples(st.just("callback"), st.integers(0, 2), st.integers(0, 2)),
        st.tuples(st.just("retry"), st.integers(0, 2), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(asynchronous=st.booleans(), refusing=st.booleans(), turns=TURNS)
def test_replies_lost_and_doubled_in_any_order_post_each_once(
    new_database: Any, asynchronous: bool, refusing: bool, turns: list[tuple[str, int, int]]
) -> None:
    """Lanes die and start anew, replies are lost, callbacks come early, late and twice, people retry."""
    erp = FakeErp()
    erp.asynchronous = asynchronous
    with (
        new_database() as url,
        psycopg.connect(url, autocommit=True) as connection,
        pytest.MonkeyPatch.context() as patch,
    ):
        built = three_journals(url, connection)
        hours = Hours(connection, patch)
        recorder = Recorder(connection, POLICY, closed_period="exception")
        if refusing:
            erp.refused[built[0]] = ("no", "other")
        world = _World(url, erp, recorder, built, hours)
        for turn in turns:
            world.turn(*turn)
            assert all(len(found) == 1 for found in erp.posted.values()), "posted twice"
        erp.refused.clear()
        erp.script.clear()
        for _ in range(30):
            world.retry(built)
            world.work()
            erp.finish_work()
            hours(200)
            if set(states(connection).values()) == {"posted"}:
                break
        assert states(connection) == all_are("posted", built)
        assert_booked_once(erp, built)
        assert rows(connection, "SELECT count(*) FROM exception WHERE state NOT IN ('resolved', 'dismissed')") == [(0,)]
        world.close()


class _World:
    """One lane after the other on one ERP, and everybody who knows of outcomes."""

    def __init__(self, url: str, erp: FakeErp, recorder: Recorder, built: list[str], hours: Hours) -> None:
        self._url, self._erp, self._recorder, self._built, self._hours = url, erp, recorder, built, hours
        self._connection: psycopg.Connection | None = None
        self._lane: Lane | None = None

    def turn(self, what: str, first: int, second: int) -> None:
        """One thing that happens."""
        if what == "work":
            self._erp.script.append(_Line.STEPS[second])
            self.work()
        elif what == "hours":
            self._hours(first)
        elif what == "finish":
            self._erp.finish_work()
        elif what == "callback":
            self.call_back(self._built[first], second)
        else:
            self.retry([self._built[first]])

    def work(self) -> None:
        """A turn of the lane; who was killed is followed by another."""
        if self._connection is None:
            self._connection = psycopg.connect(self._url, autocommit=True)
            self._lane = make_lane(self._connection, self._erp.connector(), POLICY)
        assert self._lane is not None
        try:
            self._lane.work()
        except Killed:
            self.close()

    def close(self) -> None:
        """The lane's process is gone."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._lane = None

    def call_back(self, reference: str, times: int) -> None:
        """The ERP says of a journal what is so, some times."""
        outcome: PostingOutcome | None = None
        if reference in self._erp.posted:
            outcome = posted(reference)
        elif reference in self._erp.in_work:
            outcome = Accepted(reference, f"job-{reference}")
        if outcome is not None:
            for _ in range(times + 1):
                self._recorder.record([outcome])

    def retry(self, some: list[str]) -> None:
        """A person sends what was refused again."""
        from tillwire.exceptions.journals import retry_journals

        with psycopg.connect(self._url, autocommit=True) as own:
            chosen = rows(own, "SELECT journal_id FROM journal WHERE state = 'rejected' AND reference = ANY(%s)", some)
            retry_journals(own, [one for (one,) in chosen], by="anna", dismissed=True)


# ---------------------------------------------------------------- callbacks over HTTP


@contextlib.contextmanager
def api(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """POST to an API with one ERP that calls back."""
    monkeypatch.setattr("tillwire.bootstrap.erp_connector", lambda *_, **__: PlainConnector("http://127.0.0.1:9"))
    chosen = settings_for(url, erp=Erp(kind="plain"))

    async def ask(path: str, body: bytes, headers: dict[str, str]) -> httpx2.Response:
        application = http_app.create_app(chosen)
        node = application._node  # type: ignore[attr-defined]
        await node.start()
        try:
            transport = httpx2.ASGITransport(app=application)  # type: ignore[arg-type]
            async with httpx2.AsyncClient(transport=transport, base_url="http://hub") as client:
                return await client.post(path, content=body, headers=headers)
        finally:
            await node.stop()

    def call(path: str, body: bytes, **headers: str) -> httpx2.Response:
        return asyncio.run(ask(path, body, {name.replace("_", "-"): value for name, value in headers.items()}))

    yield call


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_callback_needs_no_key_but_a_proof(
    built: list[str], database_url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = msgspec.json.encode([posted(built[0]), Accepted(built[1], "h"), posted("nobody's")])
    with api(database_url, monkeypatch) as call:
        path = "/v1/erps/erp/callback"
        assert call(path, body).status_code == 401
        assert call(path, body, x_signature=signature(b"other")).status_code == 401
        refused = call(path, b"{", x_signature=signature(b"{"))
        assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")
        assert call("/v1/erps/other/callback", body).status_code == 404
        assert states(connection) == all_are("built", built)
        for changed in (2, 1):  # told again, what is accepted is accepted again
            answer = call(path, body, x_signature=signature(body))
            assert answer.status_code == 200, answer.text
            assert answer.json() == {"outcomes": 3, "changed": changed}
    assert states(connection) == all_are("built", built) | {built[0]: "posted", built[1]: "accepted"}
