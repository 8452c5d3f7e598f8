"""Alerts: what is found, when it fires and is over, what is silenced, who sees and who is told what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from builders import changed, day_close, masters, sale, store
from driving import accept, load, record, rows, scalar, settings_for
from posting_kit import build

from tillwire import bootstrap
from tillwire.config import AlertRoute, Alerts, Erp, Objective, Settings
from tillwire.governance.access import ALL, Reach
from tillwire.observability import history, states
from tillwire.observability.alerts import AlertView, SilenceRefused, alerts, silence, silences, unsilence
from tillwire.observability.conditions import Alert, Finding
from tillwire.observability.definitions import ALERTS
from tillwire.observability.figures import OBJECTIVE
from tillwire.observability.history import MINUTE
from tillwire.observability.observer import Observer
from tillwire.observability.sampler import SETTLED
from tillwire.observability.telling import tell

NOW = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
"""Seven in the morning in New York, an hour before the deadline of the builders' business date."""


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def settings_of(url: str = "", *routes: AlertRoute, **more: Any) -> Settings:
    return settings_for(url, erp=Erp(kind="fake"), alert_routes=routes, **more)


def observer_of(connection: psycopg.Connection, settings: Settings) -> Observer:
    return Observer(connection, settings, bootstrap.erps(settings), hub="http://hub")


def firing(connection: psycopg.Connection, now: datetime, reach: Reach = ALL) -> dict[str, AlertView]:
    return {f"{one.name} {one.key}": one for one in alerts(connection, reach, now=now)}


# ---------------------------------------------------------------- what is found


def test_an_erp_that_is_down_names_stores_money_and_deadline(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(store("101"), store("102")))
    load(
        database_url,
        *[one for n in ("101", "102") for one in (sale(1, store=n), day_close([sale(1, store=n)], store=n))],
    )
    assert build(connection) == 2
    connection.execute("UPDATE journal SET built_at = %s", (NOW - minutes(90),))
    connection.execute(
        "INSERT INTO erp_gate (erp, opened_at, reason) VALUES ('erp', %s, 'unavailable: 503')", (NOW - minutes(45),)
    )
    observer = observer_of(connection, settings_of())
    observer.judge(NOW)
    found = firing(connection, NOW)
    assert set(found) == {"erp_down erp", "completeness_near completeness ACME"}
    down = found["erp_down erp"]
    assert (down.severity, down.owner, down.state, down.group) == ("critical", "integration", "firing", "erp erp")
    assert (down.began_at, down.fired_at) == (NOW - minutes(45), NOW)
    assert (down.stores, down.store_count, down.money) == (["101", "102"], 2, {"USD": Decimal("8.80")})
    assert down.deadline == datetime(2026, 3, 3, 13, 0, tzinfo=UTC), "eight on the stores' clocks"
    assert "503" in down.detail
    assert down.runbook == "docs/runbooks/alerts.md#erp-down"
    near = found["completeness_near completeness ACME"]
    assert (near.group, near.deadline, near.money) == (down.group, down.deadline, down.money), (
        "one cause, told together"
    )
    mine = firing(connection, NOW, Reach(frozenset({"102"})))["erp_down erp"]
    assert (mine.stores, mine.store_count, mine.money, mine.detail) == (["102"], 1, {"USD": Decimal("4.40")}, "")
    assert firing(connection, NOW, Reach(frozenset({"103"}))) == {}
    # The breaker closes, the journals still wait: another alert, of the same group.
    connection.execute("UPDATE erp_gate SET opened_at = NULL")
    observer.judge(NOW + minutes(1))
    observer.judge(NOW + minutes(3))
    found = firing(connection, NOW + minutes(3))
    assert set(found) == {"erp_backlog erp", "completeness_near completeness ACME"}
    assert found["erp_backlog erp"].began_at == NOW - minutes(90)


def test_a_deadline_is_near_then_missed_then_made_good(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(store("101"), store("102")), sale(1, store="101"), sale(1, store="102"))
    load(database_url, day_close([sale(1, store="101")], store="101"))
    build(connection)
    connection.execute("UPDATE journal SET state = 'posted', document_id = 'x', built_at = %s", (NOW,))
    settings = settings_of(alerts=Alerts(settle_s=0))
    observer = observer_of(connection, settings)
    observer.sampler.sample(NOW)

    def judged(at: datetime) -> dict[str, AlertView]:
        observer.sampler.sample(at)
        observer.judge(at)
        return {name: one for name, one in firing(connection, at).items() if one.name.startswith("completeness")}

    assert judged(NOW - minutes(1)) == {}, "an hour ahead, and not before"
    (near,) = judged(NOW + minutes(10)).values()
    assert (near.name, near.stores, near.severity) == ("completeness_near", ["102"], "warning")
    assert near.money == {"USD": Decimal("4.40")}
    assert "not closed" in near.detail
    (missed,) = judged(NOW + minutes(61)).values()
    assert (missed.name, missed.severity, missed.owner) == ("completeness_missed", "critical", "finance")
    assert (missed.began_at, missed.stores) == (NOW + minutes(60), ["102"])
    load(database_url, day_close([sale(1, store="102")], store="102"))
    build(connection)
    connection.execute("UPDATE journal SET state = 'posted', document_id = 'x'")
    assert judged(NOW + minutes(90)) == {}
    (over,) = alerts(connection, states=["resolved"], now=NOW + minutes(90), most=1)
    assert (over.name, over.resolved_at) == ("completeness_missed", NOW + minutes(90))
    # From the deadline to being told, and from there to being complete.
    samples = {
        (one.figure, one.part): one.total
        for one in observer.sampler.sample(NOW + minutes(95))
        if one.figure in ("time_to_detect", "time_to_resolve")
    }
    assert samples[("time_to_resolve", "completeness_missed")] == 29 * 60
    detected = history.history(
        connection, "time_to_detect", since=NOW, until=NOW + minutes(100), grain="minute", part="completeness_missed"
    )
    assert [point.value for point in detected] == [60]


def test_exceptions_overdue_and_money_at_risk(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(store("101"), store("102")))
    for n, number in ((1, "101"), (2, "101"), (3, "102")):
        accept(database_url, [changed(sale(n, store=number), total=f"{n}000.00")])
    record(database_url)
    for n in (1, 2, 3):
        connection.execute(
            "UPDATE exception SET raised_at = %s WHERE key LIKE %s", (NOW - timedelta(hours=30 - n), f"%/{n}")
        )
    observer = observer_of(connection, settings_of(alerts=Alerts(money_at_risk=Decimal(2500))))
    observer.judge(NOW)
    found = firing(connection, NOW)
    owner = scalar(connection, "SELECT DISTINCT owner FROM exception")
    overdue = found[f"exceptions_overdue {owner}"]
    assert (overdue.owner, overdue.began_at) == (owner, NOW - timedelta(hours=5)), "24 hours after the first"
    assert overdue.money == {"USD": Decimal(6000)}
    assert overdue.stores == ["102", "101"] or overdue.stores == ["101", "102"]
    assert overdue.detail.startswith("3 exceptions")
    risk = found["money_at_risk USD"]
    assert (risk.severity, risk.money) == ("critical", {"USD": Decimal(6000)})
    assert risk.began_at == NOW - timedelta(hours=28), "since the second of them came"
    mine = firing(connection, NOW, Reach(frozenset({"102"})))["money_at_risk USD"]
    assert (mine.money, mine.stores) == ({"USD": Decimal(3000)}, ["102"])


def test_what_waits_to_be_recorded_names_its_stores(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(store("101"), store("102")))
    accept(database_url, [sale(1, store="101")], [sale(1, store="102")])
    received = scalar(connection, "SELECT min(received_at) FROM intake_group g JOIN intake_queue USING (group_id)")
    observer = observer_of(connection, settings_of())
    observer.judge(received + timedelta(seconds=59))
    assert firing(connection, received) == {}
    observer.judge(received + timedelta(seconds=90))
    behind = firing(connection, received)["stock_behind recording"]
    assert (behind.began_at, behind.stores, behind.severity) == (received, ["101", "102"], "critical")
    assert "2 accepted events" in behind.detail


def test_projections_must_be_behind_for_a_while(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1))
    connection.execute("INSERT INTO projection_position (projection, partition) VALUES ('relay', 0)")
    observer = observer_of(connection, settings_of(alerts=Alerts(projection_lag_events=5)))
    states_seen = []
    for at in (0, 4, 5):
        observer.judge(NOW + minutes(at))
        (one,) = [found for found in firing(connection, NOW).values() if found.name == "projection_lag"]
        states_seen.append((one.state, one.began_at, one.fired_at))
    assert states_seen == [
        ("pending", NOW, None),
        ("pending", NOW, None),
        ("firing", NOW, NOW + minutes(5)),
    ]
    connection.execute("DELETE FROM projection_position")
    observer.judge(NOW + minutes(6))
    connection.execute("INSERT INTO projection_position (projection, partition) VALUES ('relay', 0)")
    observer.judge(NOW + minutes(6.5))
    (again,) = [found for found in firing(connection, NOW).values() if found.name == "projection_lag"]
    assert (again.alert_id, again.state) == (one.alert_id, "firing"), "gone for a moment"


def test_a_pending_alert_that_is_gone_was_never_one(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1))
    connection.execute("INSERT INTO projection_position (projection, partition) VALUES ('relay', 0)")
    observer = observer_of(connection, settings_of(alerts=Alerts(projection_lag_events=5)))
    observer.judge(NOW)
    connection.execute("DELETE FROM projection_position")
    observer.judge(NOW + minutes(1))
    assert rows(connection, "SELECT * FROM alert WHERE name = 'projection_lag'") == []


def test_budgets_burn_at_two_paces(connection: psycopg.Connection) -> None:
    objective = Objective(name="stock", figure="stock_lag", target=0.99, threshold_s=5)
    observer = observer_of(connection, settings_of(objectives=(objective,)))
    observer.sampler.sample(NOW - timedelta(hours=2))

    def counted(at: datetime, good: int, total: int, store: str = "") -> None:
        history.add(connection, [history.ratio(OBJECTIVE, good, total, part="stock", store=store)], at)

    for ago in range(60, 5, -1):
        counted(NOW - minutes(ago), 100, 100)
    observer.judge(NOW)
    assert firing(connection, NOW) == {}
    for ago in range(4, 0, -1):  # 400 bad of 5,900 in an hour: 6.8 times the pace; all of five minutes
        counted(NOW - minutes(ago), 0, 100)
    counted(NOW - minutes(1), 0, 7, store="101")
    observer.judge(NOW)
    (one,) = firing(connection, NOW).values()
    assert (one.name, one.key, one.severity) == ("budget_burns", "stock", "critical"), "six hours at six times"
    assert one.stores == ["101"]
    assert one.began_at == NOW - minutes(4)
    assert "6.8 times" in one.detail
    later = NOW + minutes(31)  # nothing bad in the short window any more
    counted(later, 100, 100)
    observer.judge(later)
    observer.judge(later + minutes(2))
    assert [one for one in firing(connection, later).values() if one.severity == "critical"] == []


def test_journals_in_the_books_twice(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), sale(1), day_close([sale(1)]))
    build(connection)
    reference = scalar(connection, "SELECT reference FROM journal")
    connection.execute("UPDATE journal SET state = 'posted', document_id = 'x', confirmed_at = %s", (NOW - minutes(9),))
    connection.execute(
        "INSERT INTO erp_incident (erp, kind, detail, at) VALUES ('erp', 'posted_twice', %s, %s)",
        (reference, NOW - minutes(5)),
    )
    observer = observer_of(connection, settings_of(alerts=Alerts(settle_s=0)))
    observer.judge(NOW)
    twice = firing(connection, NOW)["posted_twice erp"]
    assert (twice.severity, twice.money, twice.began_at) == ("critical", {"USD": Decimal("4.40")}, NOW - minutes(5))
    assert reference in twice.detail
    connection.execute("UPDATE journal SET confirmed_at = %s", (NOW,))
    observer.judge(NOW + minutes(1))
    assert firing(connection, NOW) == {}


def test_a_condition_that_breaks_down_silences_no_other(connection: psycopg.Connection) -> None:
    def broken(_: Any) -> list[Finding]:
        connection.execute("SELECT 1 / 0")
        return []

    kept = {
        "fine": made_up("fine", lambda: [about("fine", "a")]),
        "broken": made_up("broken", lambda: [about("broken", "b")]),
    }
    judge(connection, kept, NOW)
    assert set(firing(connection, NOW)) == {"fine a", "broken b"}
    kept["broken"] = Alert(
        name="broken", title="Broken", meaning="", severity="warning", owner="integration", find=broken
    )
    kept["fine"] = made_up("fine", lambda: [about("fine", "c")])
    judge(connection, kept, NOW + minutes(2))
    judge(connection, kept, NOW + minutes(4))
    assert set(firing(connection, NOW)) == {"fine c", "broken b"}, "what could not be judged stays as it was"


# ---------------------------------------------------------------- made-up alerts


def made_up(name: str, find: Callable[[], list[Finding]], **more: Any) -> Alert:
    given = {"severity": "warning", "owner": "integration", **more}
    return Alert(name=name, title=name.title(), meaning="", find=lambda _: find(), **given)


def about(alert: str, key: str, *stores: str, group: str = "g", **more: Any) -> Finding:
    impact = {(one, "USD"): Decimal(10) for one in stores}
    return Finding(alert=alert, key=key, group=group, began_at=NOW - minutes(5), impact=impact, detail=key, **more)


def judge(
    connection: psycopg.Connection, kept: dict[str, Alert], now: datetime, settings: Settings | None = None
) -> int:
    """One look at made-up alerts; how many messages it made."""
    chosen = settings or settings_of()
    scene = type("Scene", (), {"connection": connection})()
    with connection.transaction():
        found, judged = states.find_all(scene, kept)
        states.judge(connection, found, judged, chosen, now, kept)
        return tell(connection, chosen, "http://hub", now)


HOOK = AlertRoute(name="hook", kind="webhook", url="http://hook.example")
FINANCE = AlertRoute(name="finance", kind="email", to=("a@example.com", "b@example.com"), owners=("finance",))


def messages(connection: psycopg.Connection) -> list[tuple[str, str, str, list[str], list[str]]]:
    """Route, recipient, status, keys that fire, keys that are over; in order, and forgotten."""
    found = rows(connection, "DELETE FROM alert_delivery RETURNING delivery_id, route, recipient, message")
    return [
        (route, to, one["status"], [a["key"] for a in one["firing"]], [a["key"] for a in one["resolved"]])
        for _, route, to, one in sorted(found)
    ]


def test_groups_are_told_together_again_and_when_over(connection: psycopg.Connection) -> None:
    settings = settings_of("", HOOK)
    wrong = [about("one", "a")]
    kept = {"one": made_up("one", lambda: wrong)}
    assert judge(connection, kept, NOW, settings) == 0, "others may join"
    wrong.append(about("one", "b"))
    judge(connection, kept, NOW + timedelta(seconds=20), settings)
    judge(connection, kept, NOW + timedelta(seconds=30), settings)
    assert messages(connection) == [("hook", "", "firing", ["a", "b"], [])]
    assert judge(connection, kept, NOW + minutes(2), settings) == 0, "nothing new"
    wrong.append(about("one", "c"))
    assert judge(connection, kept, NOW + minutes(3), settings) == 0, "not so often"
    judge(connection, kept, NOW + minutes(6), settings)
    assert messages(connection) == [("hook", "", "changed", ["c", "a", "b"], [])], "the new one first"
    wrong.append(about("one", "d", severity="critical"))
    judge(connection, kept, NOW + minutes(7), settings)
    judge(connection, kept, NOW + minutes(7.5), settings)
    assert [one[2:4] for one in messages(connection)] == [("changed", ["d", "a", "b", "c"])], "grave ones do not wait"
    judge(connection, kept, NOW + minutes(8 + 4 * 60), settings)
    assert [one[2] for one in messages(connection)] == ["still firing"]
    del wrong[1:]
    end = NOW + minutes(9 + 4 * 60)
    judge(connection, kept, end, settings)
    judge(connection, kept, end + minutes(1), settings)
    assert judge(connection, kept, end + minutes(5), settings) == 1
    assert messages(connection) == [("hook", "", "changed", ["a"], ["b", "c", "d"])]
    wrong.clear()
    judge(connection, kept, end + minutes(10), settings)
    judge(connection, kept, end + minutes(12), settings)
    assert messages(connection) == [("hook", "", "resolved", [], ["a"])]
    assert rows(connection, "SELECT * FROM alert_told") == []
    wrong.append(about("one", "a"))
    judge(connection, kept, end + minutes(13), settings)
    judge(connection, kept, end + minutes(14), settings)
    assert messages(connection) == [("hook", "", "firing", ["a"], [])], "it is told anew"


def test_routes_take_what_is_theirs(connection: psycopg.Connection) -> None:
    critical = AlertRoute(
        name="pager", kind="webhook", url="http://pager.example", severities=("critical",), alerts=("t*",)
    )
    settings = settings_of("", HOOK, FINANCE, critical)
    kept = {
        "one": made_up("one", lambda: [about("one", "a", group="x")], owner="finance"),
        "two": made_up("two", lambda: [about("two", "b", group="y")], severity="critical"),
        "three": made_up("three", lambda: [about("three", "c", group="z")], severity="info"),
        "four": made_up("four", lambda: [about("four", "d", group="z")], severity="critical"),
    }
    judge(connection, kept, NOW, settings)
    judge(connection, kept, NOW + minutes(1), settings)
    told = sorted((route, to, *keys) for route, to, _, keys, _ in messages(connection))
    assert told == [
        ("finance", "a@example.com", "a"),
        ("finance", "b@example.com", "a"),
        ("hook", "", "a"),
        ("hook", "", "b"),
        ("hook", "", "d"),
        ("pager", "", "b"),
    ]


def test_what_is_silenced_goes_on_untold(connection: psycopg.Connection) -> None:
    settings = settings_of("", HOOK)
    wrong = [
        about("one", "101", "101"),
        about("one", "102", "102"),
        about("one", "both", "101", "102"),
        about("one", "hub"),
    ]
    kept = {"one": made_up("one", lambda: wrong)}
    definitions = dict(ALERTS)
    try:
        ALERTS["one"] = kept["one"]  # silences are checked against what there is
        first = silence(connection, until=NOW + minutes(60), reason="works", by="me", now=NOW, stores=["101"])
        silence(connection, until=NOW + minutes(60), reason="known", by="me", now=NOW, alerts="o?e", keys="h*")
    finally:
        ALERTS.clear()
        ALERTS.update(definitions)
    judge(connection, kept, NOW, settings)
    judge(connection, kept, NOW + minutes(1), settings)
    assert messages(connection) == [("hook", "", "firing", ["102", "both"], [])], "each store must be silenced"
    shown = firing(connection, NOW + minutes(1))
    assert [shown[f"one {key}"].silenced_by for key in ("101", "102", "both", "hub")] == [1, None, None, 2]
    assert scalar(connection, "SELECT count(*) FROM alert WHERE silenced") == 2
    unsilence(connection, first.silence_id, by="you", now=NOW + minutes(2))
    judge(connection, kept, NOW + minutes(7), settings)
    assert messages(connection) == [("hook", "", "changed", ["101", "102", "both"], [])]
    judge(connection, kept, NOW + minutes(61), settings)
    assert [one[3] for one in messages(connection)] == [["hub", "101", "102", "both"]], "a silence ends by itself"
    silence(connection, until=NOW + minutes(90), reason="all", by="me", now=NOW + minutes(62))
    assert judge(connection, kept, NOW + minutes(70), settings) == 0
    assert rows(connection, "SELECT * FROM alert_told") == [], "what is silenced is not told to be over"


def test_silences_within_reach(connection: psycopg.Connection) -> None:
    mine = Reach(frozenset({"101"}))
    given: dict[str, Any] = {"until": NOW + minutes(60), "reason": "r", "by": "me", "now": NOW}
    for stores in (["*"], ["102"], ["10*"], ["101", "102"], []):
        with pytest.raises(SilenceRefused, match="stores"):
            silence(connection, **given, stores=stores, reach=mine)
    everything = silence(connection, **given)
    own = silence(connection, **given, stores=["101"], reach=mine)
    assert [one.silence_id for one in silences(connection, NOW, mine)] == [own.silence_id]
    assert len(silences(connection, NOW)) == 2
    with pytest.raises(SilenceRefused):
        unsilence(connection, everything.silence_id, by="me", now=NOW, reach=mine)
    unsilence(connection, own.silence_id, by="me", now=NOW, reach=mine)
    assert silences(connection, NOW, mine) == []
    for wrong, field in (({"until": NOW}, "until"), ({"reason": " "}, "reason"), ({"alerts": "nothing"}, "alerts")):
        with pytest.raises(SilenceRefused, match=field):
            silence(connection, **{**given, **wrong})


def test_one_of_several_observes(database_url: str, connection: psycopg.Connection) -> None:
    settings = settings_of(database_url)
    with psycopg.connect(database_url, autocommit=True) as own:
        first, second = observer_of(connection, settings), observer_of(own, settings)
        assert first.step(NOW)
        assert second.step(NOW) == 0
        assert first.step(NOW + timedelta(seconds=1)) == 0, "not yet"
        assert first.step(NOW + MINUTE + SETTLED) == 2
        connection.close()
        assert second.step(NOW + 2 * (MINUTE + SETTLED)) == 2
        assert scalar(own, "SELECT sampled_at FROM observer") == NOW + 2 * (MINUTE + SETTLED) - SETTLED


def test_every_definition_has_its_runbook() -> None:
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "runbooks" / "alerts.md").read_text("utf-8")
    for one in ALERTS.values():
        assert f'<a id="{one.runbook.partition("#")[2]}"></a>' in text, one.name
