"""What waits for the ERPs, for people: figures on request, alerts once, pulls of master data when nothing waits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from builders import DAY
from driving import rows, scalar
from erp_fake import STORES, FakeConnector, FakeErp, Hours, make_lane, policies, three_journals
from structlog.testing import capture_logs

from tillwire import bootstrap
from tillwire.config import Erp, ErpInstance, Settings
from tillwire.config import Posting as PostingSettings
from tillwire.errors import TransientError
from tillwire.masterdata.taking import take_pulled
from tillwire.model.master import AccountRecord
from tillwire.posting.backlog import Upkeep, backlog
from tillwire.posting.gate import Budget, Gate
from tillwire.posting.pulls import Pulls

WEST = ErpInstance(name="west", kind="fake", companies=("WEST*",))
ACME = ErpInstance(name="acme", kind="fake", companies=("ACME",))
POSTING = PostingSettings(alert_minutes=30)


@pytest.fixture
def hours(connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Hours:
    return Hours(connection, monkeypatch)


@pytest.fixture
def built(database_url: str, connection: psycopg.Connection) -> list[str]:
    return three_journals(database_url, connection)


@contextlib.contextmanager
def a_gate(url: str) -> Iterator[tuple[psycopg.Connection, Gate]]:
    with psycopg.connect(url, autocommit=True) as own:
        yield own, Gate(own, policies()[0], wait=lambda _: None, budget=Budget(0.0, 0.0))


def test_figures_of_each_erp(built: list[str], database_url: str, connection: psycopg.Connection, hours: Hours) -> None:
    connection.execute("UPDATE journal SET company = 'WEST-1' WHERE store = '102'")
    connection.execute("UPDATE journal SET company = 'NOBODY' WHERE store = '103'")
    erp = FakeErp()
    erp.always = TransientError("503")
    all_ = policies(ACME, WEST, breaker_failures=2, limit_per_min=600)
    with psycopg.connect(database_url, autocommit=True) as own:
        lane = make_lane(own, erp.connector(), all_[0], policies=all_)
        for _ in range(2):
            lane.work()
            hours(60)
    connection.execute("UPDATE journal SET state = 'rejected', erp = 'west' WHERE store = '102'")
    connection.execute("UPDATE erp_gate SET paused_until = clock_timestamp() + interval '1 hour' WHERE erp = 'acme'")
    acme, west, nobody = backlog(connection, all_)
    assert (acme.erp, acme.breaker, acme.enabled) == ("acme", "open", True)
    assert "503" in acme.reason
    assert acme.paused_until is not None
    assert {state: (one.journals, one.amounts) for state, one in acme.states.items()} == {
        "waiting": (1, {"USD": Decimal("4.40")})
    }
    assert (acme.oldest_business_date, acme.stores, acme.store_count) == (DAY, [STORES[0]], 1)
    assert 120 <= acme.age_s < 300
    assert acme.calls_left == 30
    assert (west.breaker, west.states["rejected"].journals, west.stores, west.age_s) == ("closed", 1, [], 0.0)
    assert (nobody.erp, nobody.reason, nobody.stores) == ("", "no configured ERP serves these companies", [STORES[2]])


def test_what_an_erp_that_is_no_longer_configured_may_hold_is_shown(
    built: list[str], connection: psycopg.Connection
) -> None:
    connection.execute("UPDATE journal SET state = 'unknown', erp = 'old' WHERE store = '101'")
    old = backlog(connection, policies())[-1]
    assert (old.erp, old.enabled, old.reason) == ("old", False, "no ERP old is configured any more")
    assert old.stores == ["101"]


def alerts(captured: Any) -> list[Any]:
    return [one for one in captured if one["event"].startswith("erp_backlog")]


def test_people_are_told_once_and_again_and_when_it_is_over(
    built: list[str], database_url: str, connection: psycopg.Connection, hours: Hours
) -> None:
    everyone = [Upkeep(connection, policies(), POSTING, every_s=0.0) for _ in range(2)]
    with psycopg.connect(database_url, autocommit=True) as own, capture_logs() as captured:
        lane = make_lane(own, FakeErp().connector())
        lane.own()

        def look() -> list[Any]:
            captured.clear()
            for one in everyone:
                one.look()
            return alerts(captured)

        assert look() == []
        hours(31 * 60)
        (told,) = look()
        assert (told["log_level"], told["erp"], told["alert"]) == ("error", "erp", "journals wait")
        assert (told["stores"], told["store_count"]) == (list(STORES), 3)
        assert told["amounts"] == {"waiting": {"USD": "13.20"}}
        assert told["age_minutes"] == 31
        assert told["oldest_business_date"] == str(DAY)
        hours(29 * 60)
        assert look() == [], "told a moment ago"
        hours(2 * 60)
        assert len(look()) == 1
        lane.work()
        assert [one["event"] for one in look()] == ["erp_backlog_over"]
        assert look() == []


def test_a_breaker_that_stays_open_is_told(
    built: list[str], database_url: str, connection: psycopg.Connection, hours: Hours
) -> None:
    connection.execute("UPDATE journal SET state = 'accepted', erp = 'erp'")
    upkeep = Upkeep(connection, policies(), POSTING, every_s=0.0)
    with a_gate(database_url) as (_, gate), capture_logs() as captured:
        for _ in range(5):
            gate.before_call()
            gate.failed("unavailable", "503")
        upkeep.look()
        assert alerts(captured) == []
        hours(31 * 60)
        upkeep.look()
    (told,) = alerts(captured)
    assert (told["alert"], told["reason"]) == ("its breaker is open", "unavailable: 503")
    assert told["journals"] == {"accepted": 3}


def test_what_an_erp_accepted_and_never_posts_is_told(
    built: list[str], connection: psycopg.Connection, hours: Hours
) -> None:
    connection.execute("UPDATE journal SET state = 'accepted', erp = 'erp', accepted_at = clock_timestamp()")
    connection.execute("INSERT INTO erp_gate (erp) VALUES ('erp')")
    upkeep = Upkeep(connection, policies(), POSTING, every_s=0.0)
    with capture_logs() as captured:
        hours(239 * 60)
        upkeep.look()
        assert alerts(captured) == []
        hours(2 * 60)
        upkeep.look()
        (told,) = alerts(captured)
        connection.execute("UPDATE journal SET state = 'posted', posted_at = clock_timestamp()")
        upkeep.look()
    assert (told["alert"], told["age_minutes"]) == ("it accepted journals and has not posted them", 241)
    assert captured[-1]["event"] == "erp_backlog_over"


def test_journals_that_no_erp_serves_are_told(built: list[str], connection: psycopg.Connection, hours: Hours) -> None:
    connection.execute("UPDATE journal SET company = 'NOBODY' WHERE store = '103'")
    upkeep = Upkeep(connection, policies(ACME), POSTING, every_s=0.0)
    with capture_logs() as captured:
        upkeep.look()
        assert alerts(captured) == []
        hours(31 * 60)
        upkeep.look()
        (told,) = [one for one in alerts(captured) if one["erp"] == ""]
        connection.execute("UPDATE journal SET company = 'ACME' WHERE store = '103'")
        upkeep.look()
    assert (told["alert"], told["stores"]) == ("no ERP serves their companies", [STORES[2]])
    assert (captured[-1]["event"], captured[-1]["erp"]) == ("erp_backlog_over", "")


def test_upkeep_raises_what_stays_unknown(built: list[str], connection: psycopg.Connection, hours: Hours) -> None:
    connection.execute("UPDATE journal SET state = 'unknown', erp = 'erp', unknown_at = clock_timestamp()")
    upkeep = Upkeep(connection, policies(), POSTING)
    upkeep.look()
    hours(31 * 60)
    upkeep.look()
    assert scalar(connection, "SELECT count(*) FROM exception WHERE code = 'erp_outcome_unknown'") == 3


# ---------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("posting", "words"),
    [
        (PostingSettings(), []),
        (PostingSettings(mode="invoice"), ["takes no invoices"]),
        (PostingSettings(stock="each"), ["takes no stock movements"]),
        (PostingSettings(mode="invoice", stock="summary"), ["takes no invoices", "takes no stock movements"]),
    ],
)
def test_what_an_erp_does_not_take_is_told_before_it_is_built(
    monkeypatch: pytest.MonkeyPatch, posting: PostingSettings, words: list[str]
) -> None:
    connector = FakeErp().connector(takes=frozenset(("journal",)))
    monkeypatch.setattr(bootstrap, "erp_connector", lambda *_, **__: connector)
    told = bootstrap.contradictions(Settings(posting=posting, erp=Erp(kind="fake")))
    assert len(told) == len(words)
    assert all(word in one for word, one in zip(words, told, strict=True))


# ---------------------------------------------------------------- pulls


class Source(FakeConnector):
    """An ERP that has accounts."""

    kinds = ("account",)

    def pull(self, kind: str, since: object = None) -> Iterator[AccountRecord]:
        """Two accounts, one call each."""
        for number in ("4000", "1010"):
            self._called("pull", [number])
            yield AccountRecord(company="ACME", account=number, name=number, revision=0)


def test_master_data_is_pulled_when_it_is_time(database_url: str, connection: psycopg.Connection, hours: Hours) -> None:
    erp = FakeErp()
    pulls = Pulls(60, lambda _: Source(erp), lambda *given: take_pulled(database_url, *given))
    with a_gate(database_url) as (own, gate):
        lane = make_lane(own, erp.connector())
        assert lane.own()
        assert pulls(lane, own, gate)
        assert not pulls(lane, own, gate)
        connection.execute("UPDATE erp_gate SET pulled_at = pulled_at - interval '61 min'")
        assert pulls(lane, own, gate)
        assert not Pulls(0, lambda _: Source(erp), lambda *_: None)(lane, own, gate)
    assert erp.count("pull") == 4
    assert rows(connection, "SELECT count(*), min(source) FROM intake WHERE key LIKE 'account:%%'") == [
        (2, "urn:erp:fake")
    ]


def test_a_pull_that_fails_is_tried_again_soon_and_stops_nothing(
    database_url: str, connection: psycopg.Connection
) -> None:
    erp = FakeErp()
    erp.script.append(TransientError("away"))
    pulls = Pulls(60, lambda _: Source(erp), lambda *given: take_pulled(database_url, *given))
    with a_gate(database_url) as (own, gate):
        lane = make_lane(own, erp.connector())
        assert pulls(lane, own, gate)
        assert not pulls(lane, own, gate)
        connection.execute("UPDATE erp_gate SET pulled_at = pulled_at - interval '61 s'")
        assert pulls(lane, own, gate)
    assert scalar(connection, "SELECT count(*) FROM intake WHERE key LIKE 'account:%%'") == 2


def test_journals_go_between_the_records_of_a_pull(
    built: list[str], database_url: str, connection: psycopg.Connection, hours: Hours
) -> None:
    erp = FakeErp()

    class Slow(Source):
        def pull(self, kind: str, since: object = None) -> Iterator[AccountRecord]:
            for record in super().pull(kind, since):
                hours(2)
                yield record

    pulls = Pulls(
        60, lambda _: Slow(erp), lambda policy, kind, records: take_pulled(database_url, policy, kind, records)
    )
    with a_gate(database_url) as (own, gate):
        assert pulls(make_lane(own, erp.connector()), own, gate)
    assert [name for name, _ in erp.calls] == ["pull", "post", "pull"]
