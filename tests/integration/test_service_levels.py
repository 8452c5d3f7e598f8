"""Figures against a straight computation on seeded events; history, objectives, who sees what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from builders import DAY, changed, day_close, masters, product, sale, store
from driving import accept, load, record, rows, scalar, settings_for
from posting_kit import build

from tillwire import bootstrap
from tillwire.config import Erp, Objective, ServiceLevel, Settings
from tillwire.config import Exceptions as ExceptionSettings
from tillwire.events.partitions import partition_of
from tillwire.exceptions import queue
from tillwire.governance.access import Reach
from tillwire.observability import history
from tillwire.observability.figures import FIGURES
from tillwire.observability.history import Sample
from tillwire.observability.levels import levels, of_stores
from tillwire.observability.now import kept
from tillwire.observability.sampler import SETTLED, Sampler

STORES = ("101", "102", "103")
START = datetime(2026, 3, 3, 11, 0, 30, tzinfo=UTC)
"""Six in the morning in New York, of the day after the builders' business date."""


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


@pytest.fixture
def settings(database_url: str) -> Settings:
    return settings_for(database_url, erp=Erp(kind="fake"))


@pytest.fixture
def sampler(connection: psycopg.Connection, settings: Settings) -> Sampler:
    """A sampler that has begun just before ``START``."""
    made = Sampler(connection, settings, bootstrap.erps(settings))
    assert made.sample(START - minutes(1)) == []
    return made


def found(samples: Sequence[Sample], figure: str, *, store: str = "", part: str = "") -> Sample:
    """The one sample of a figure."""
    (one,) = [s for s in samples if (s.figure, s.store, s.part) == (figure, store, part)]
    return one


def moved(connection: psycopg.Connection, table: str, **columns: datetime) -> None:
    """Set the times of a table's rows."""
    for column, at in columns.items():
        connection.execute(f"UPDATE {table} SET {column} = %s".encode(), (at,))


def nearest(values: Sequence[float], share: float) -> float:
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


def test_lags_and_latencies_are_those_of_the_events(
    database_url: str, connection: psycopg.Connection, sampler: Sampler
) -> None:
    load(database_url, *masters(*[store(one) for one in STORES]))
    sales = {one: [sale(n, store=one) for n in range(1, 1 + size)] for one, size in zip(STORES, (1, 3, 6), strict=True)}
    lags = dict(zip(STORES, (0.5, 2.0, 30.0), strict=True))
    for number in STORES:  # each store's sales are a chunk of their own
        load(database_url, *sales[number], day_close(sales[number], store=number))
        (place,) = rows(
            connection,
            "SELECT partition, max(first_offset) FROM event_chunk WHERE partition = %s GROUP BY 1",
            partition_of(number),
        )
        connection.execute(
            "UPDATE event_chunk SET recorded_at = %s, accepted_at = %s WHERE partition = %s AND first_offset = %s",
            (START, START - timedelta(seconds=lags[number]), *place),
        )
    assert build(connection) == len(STORES)
    took = dict(zip(STORES, (60.0, 600.0, 1200.0), strict=True))
    for number, seconds in took.items():
        connection.execute(
            "UPDATE journal SET state = 'posted', document_id = 'x', posted_at = %s WHERE store = %s",
            (START, number),
        )
        connection.execute(
            "UPDATE event_chunk SET accepted_at = %s WHERE partition = %s AND accepted_at IS NOT NULL"
            " AND recorded_at = %s",
            (START - timedelta(seconds=lags[number]), partition_of(number), START),
        )
        assert seconds > lags[number]
    samples = sampler.sample(START + SETTLED)
    waited = [lags[one] for one in STORES for _ in range(len(sales[one]) + 1)]  # with the day's close
    lag = found(samples, "stock_lag")
    assert (lag.n, lag.total, lag.least, lag.most) == (
        len(waited),
        Decimal(str(sum(waited))),
        Decimal("0.5"),
        Decimal("30.0"),
    )
    told = history.quantiles_of(lag.sketch)
    for share in (0.5, 0.95):
        assert float(told[str(share)]) == pytest.approx(nearest(waited, share), rel=0.021)
    for number in STORES:
        own = found(samples, "stock_lag", store=number)
        assert (own.n, float(own.total)) == (1, lags[number])
        # To the books: from the accept of the journal's newest event, by its transactions.
        posted = found(samples, "posting_latency", store=number)
        assert (posted.n, float(posted.total)) == (len(sales[number]), lags[number] * len(sales[number]))
    whole = found(samples, "posting_latency")
    assert whole.n == sum(len(some) for some in sales.values())
    assert float(whole.total) == pytest.approx(sum(lags[one] * len(sales[one]) for one in STORES))
    failed = found(samples, "failed_message_rate")
    assert (failed.total, failed.n) == (0, scalar(connection, "SELECT sum(next_offset)::int FROM event_partition"))
    again = sampler.sample(START + minutes(1) + SETTLED)
    assert not [one for one in again if one.figure in ("stock_lag", "posting_latency")], "each is measured once"
    assert FIGURES["stock_lag"].hub_apart


def test_what_was_in_the_exception_queue_says_nothing_of_lag(
    database_url: str, connection: psycopg.Connection, sampler: Sampler
) -> None:
    load(database_url, *masters(), sale(1))
    sampler.sample(START)
    accept(database_url, [changed(sale(2), lines=[{**sale(2)["data"]["lines"][0], "sku": "tea"}])])
    record(database_url)
    moved(connection, "intake_group", received_at=START - timedelta(hours=9))
    moved(connection, "exception", raised_at=START - timedelta(hours=9))
    load(database_url, product("tea"))
    record(database_url)  # the exception is back in the queue, and recorded now
    moved(connection, "exception", resolved_at=START + minutes(1))
    samples = sampler.sample(START + minutes(2))
    assert not [one for one in samples if one.figure == "stock_lag"]
    resolved = found(samples, "exception_resolution")
    assert (resolved.n, resolved.total) == (1, 9 * 3600 + 60)
    assert found(samples, "exception_resolution", store="101").n == 1
    assert found(samples, "exceptions_open").last == 0


def test_exceptions_by_owner_store_currency_and_age(
    database_url: str, connection: psycopg.Connection, sampler: Sampler
) -> None:
    load(database_url, *masters(store("101"), store("102", currency="EUR")))
    bad = [
        changed(sale(n, store=number), currency=money, total=f"{n}.00")
        for n, number, money in ((1, "101", "USD"), (2, "101", "USD"), (3, "102", "EUR"))
    ]
    accept(database_url, bad, [sale(1, store="999")], [sale(7, store="101")])
    record(database_url)
    moved(connection, "exception", raised_at=START)
    held = rows(connection, "SELECT owner, coalesce(store, ''), currency, amount FROM exception WHERE state = 'open'")
    assert len(held) == 4
    samples = sampler.sample(START + minutes(5))  # a minute of five: states of stores are kept, too
    for figure, value in (("exceptions_open", 4), ("exceptions_raised", 4)):
        assert found(samples, figure).last == value
        for owner in {row[0] for row in held}:
            assert found(samples, figure, part=owner).last == sum(row[0] == owner for row in held)
        for number in {row[1] for row in held if row[1]}:
            assert found(samples, figure, store=number).last == sum(row[1] == number for row in held)
    for currency in ("USD", "EUR"):
        at_risk = sum(row[3] for row in held if row[2] == currency)
        assert found(samples, "money_at_risk", part=currency).last == at_risk > 0
    assert [one for one in samples if one.figure == "money_at_risk" and not one.part] == [], "currencies are not added"
    assert found(samples, "exception_age").last == pytest.approx(
        Decimal(300 - SETTLED.total_seconds()), abs=Decimal("0.1")
    )
    failed = found(samples, "failed_message_rate")
    assert (failed.total, failed.n) == (4, 4 + scalar(connection, "SELECT sum(next_offset)::int FROM event_partition"))
    # Gone again: the store's state comes to nothing, once.
    connection.execute("UPDATE exception SET state = 'dismissed', resolved_at = %s", (START + minutes(6),))
    samples = sampler.sample(START + minutes(10))
    assert found(samples, "exceptions_open", store="101").last == 0
    assert found(samples, "money_at_risk", store="101", part="USD").last == 0
    assert not [one for one in sampler.sample(START + minutes(15)) if one.figure == "exceptions_open" and one.store]


def test_completeness_by_the_stores_own_clock(
    database_url: str, connection: psycopg.Connection, settings: Settings
) -> None:
    """Eight in New York is one in the afternoon in UTC, and ten at night before it in Auckland."""
    load(database_url, *masters(store("101"), store("102", time_zone="Pacific/Auckland"), store("103")))
    days = {one: [sale(n, store=one) for n in (1, 2)] for one in STORES}
    load(database_url, *[each for one in STORES for each in (*days[one], day_close(days[one], store=one))])
    build(connection)
    connection.execute("UPDATE journal SET state = 'posted', document_id = 'x' WHERE store IN ('101', '102')")
    sampler = Sampler(connection, settings, bootstrap.erps(settings))
    begin = datetime(2026, 3, 2, 18, 50, tzinfo=UTC)  # ten to eight on 3 March in Auckland
    sampler.sample(begin)
    samples = sampler.sample(begin + minutes(15))
    assert rows(connection, "SELECT store, business_date, complete FROM day_judged") == [("102", DAY, True)]
    one = found(samples, "days_complete_by_deadline", part="completeness")
    assert (one.total, one.n) == (1, 1)
    # The days of New York have not ended yet: they count in no completeness.
    assert found(samples, "posting_completeness").last == 1
    samples = sampler.sample(datetime(2026, 3, 3, 12, 59, tzinfo=UTC))
    assert not [one for one in samples if one.figure == "days_complete_by_deadline"]
    samples = sampler.sample(datetime(2026, 3, 3, 13, 5, tzinfo=UTC))
    assert found(samples, "days_complete_by_deadline", store="101").total == 1
    assert found(samples, "days_complete_by_deadline", store="103").total == 0
    assert round(found(samples, "posting_completeness").last, 4) == Decimal("0.6667")
    assert found(samples, "posting_completeness", store="103").last == 0
    (level,) = [
        one
        for one in levels(connection, settings.objectives, datetime(2026, 3, 3, 13, 6, tzinfo=UTC)).objectives
        if one.name == "completeness"
    ]
    assert (level.good, level.total, level.met) == (2, 3, False)
    assert level.budget_left is not None
    assert level.budget_left == pytest.approx(1 - (1 / 3) / 0.01)


def test_a_day_is_complete_when_nothing_of_it_is_missing(
    database_url: str, connection: psycopg.Connection, settings: Settings
) -> None:
    from tillwire.observability.storedays import standings

    def standing() -> Any:
        (one,) = standings(connection, [("101", DAY), ("101", date(2020, 1, 1))])
        return one

    load(database_url, *masters(), sale(1))
    build(connection)
    assert (standing().closed, standing().expected, standing().posted, standing().complete) == (False, 1, 0, False)
    assert standing().unposted == {"USD": Decimal("4.40")}
    accept(database_url, [changed(sale(2), total="9.00")])
    record(database_url)
    load(database_url, day_close([sale(1), sale(2)]))
    build(connection)
    connection.execute("UPDATE journal SET state = 'posted', document_id = 'x'")
    held = standing()
    assert (held.closed, held.expected, held.posted, held.complete) == (True, 2, 1, False), "one is in exceptions"
    assert held.unposted == {"USD": Decimal("9.00")}
    (exception_id,) = rows(connection, "SELECT exception_id FROM exception")[0]
    connection.execute("UPDATE exception SET state = 'dismissed' WHERE exception_id = %s", (exception_id,))
    assert standing().complete
    load(database_url, sale(3))
    assert not standing().complete, "what came late is in no journal yet"


def test_resolutions_are_decided_once(database_url: str, connection: psycopg.Connection, settings: Settings) -> None:
    two_hours = ExceptionSettings(service_levels=(ServiceLevel(hours=2),))
    settings = settings_for(database_url, exceptions=two_hours)
    sampler = Sampler(connection, settings, ())
    sampler.sample(START)
    accept(database_url, [sale(n, store=f"9{n}") for n in range(1, 6)])
    record(database_url)
    hours = {1: 1.0, 2: 2.5, 3: None, 4: 2.0, 5: 10.0}
    for n, after in hours.items():
        connection.execute(
            "UPDATE exception SET raised_at = %s, resolved_at = %s, state = %s WHERE key LIKE %s",
            (
                START,
                None if after is None else START + timedelta(hours=after),
                "open" if after is None else "resolved",
                f"9{n}/%",
            ),
        )
    good = bad = 0
    for step in range(1, 60):
        sampler.sample(START + minutes(13 * step))
    for total, n in rows(
        connection,
        "SELECT total, n FROM figure_history WHERE figure = 'objective' AND part = 'exceptions' AND store = ''"
        " AND grain = 'hour'",
    ):
        good, bad = good + int(total), bad + int(n - total)
    assert (good, bad) == (2, 3)


def test_interventions_backlogs_projections_and_double_postings(
    database_url: str, connection: psycopg.Connection, sampler: Sampler
) -> None:
    load(database_url, *masters(), sale(1), day_close([sale(1)]))
    accept(database_url, [sale(1, store="999")])
    record(database_url)
    assert build(connection) == 1
    moved(connection, "journal", built_at=START - minutes(30))
    queue.retry(connection, by="somebody")
    connection.execute(
        "INSERT INTO erp_incident (erp, kind, detail, at) VALUES ('erp', 'posted_twice', 'J', %s)", (START,)
    )
    connection.execute("INSERT INTO projection_position (projection, partition, next_offset) VALUES ('relay', 0, 2)")
    samples = sampler.sample(START + SETTLED)
    assert found(samples, "manual_interventions").last == 1
    assert found(samples, "manual_interventions", part="exception retry").last == 1
    assert found(samples, "duplicate_postings", part="erp").last == 1
    assert found(samples, "posting_backlog", part="erp").last == 1
    assert found(samples, "posting_backlog_age").last == Decimal(str(30 * 60 + SETTLED.total_seconds()))
    events = scalar(connection, "SELECT sum(next_offset)::int FROM event_partition")
    assert found(samples, "projection_lag", part="relay").last == events - 2
    assert found(sampler.sample(START + minutes(2)), "manual_interventions").last == 0


def test_hours_and_days_hold_what_their_minutes_held(
    database_url: str, connection: psycopg.Connection, settings: Settings
) -> None:
    values = [(0.1 * n, n) for n in range(1, 40)]
    rolled = history.floor(START, "hour")
    for n, (seconds, times) in enumerate(values):
        at = START + minutes(7 * n)
        history.add(
            connection,
            [
                history.distribution("stock_lag", [(seconds, times)]),
                history.distribution("stock_lag", [(seconds, times)], store="101"),
                history.state("exceptions_open", Decimal(n)),
            ],
            at,
        )
        rolled = history.roll(connection, rolled, at, settings.service_levels)
    end = START + timedelta(days=2, minutes=5)
    rolled = history.roll(connection, rolled, end, settings.service_levels)
    assert rolled == history.floor(end, "hour")
    flat = [seconds for seconds, times in values for _ in range(times)]
    for grain, reach in (("hour", None), ("day", None), ("hour", ["101"]), ("day", ["101"])):
        points = history.history(
            connection,
            "stock_lag",
            since=START - timedelta(days=1),
            until=end,
            grain=grain,  # type: ignore[arg-type]
            reach=Reach(None if reach is None else frozenset(reach)),
        )
        assert sum(point.n for point in points) == len(flat)
        assert sum(point.n * point.value for point in points if point.value) == pytest.approx(
            Decimal(str(sum(flat))), rel=Decimal("0.0001")
        )
        if grain == "day":
            (point,) = points
            assert float(point.quantiles["0.95"]) == pytest.approx(nearest(flat, 0.95), rel=0.021)
            assert (float(point.least), float(point.most)) == (0.1, pytest.approx(3.9))
    (day,) = history.history(connection, "exceptions_open", since=START - timedelta(days=1), until=end, grain="day")
    assert (day.value, day.most) == (19, 38)
    far = START + timedelta(days=settings.service_levels.keep_minutes_days + 1)
    history.roll(connection, rolled, far, settings.service_levels)
    assert dict(rows(connection, "SELECT grain, count(*) FROM figure_history GROUP BY 1")).get("minute") is None


def test_who_reaches_some_stores_sees_those(
    database_url: str, connection: psycopg.Connection, sampler: Sampler, settings: Settings
) -> None:
    load(database_url, *masters(*[store(one) for one in STORES]))
    accept(
        database_url, [changed(sale(n, store=one), total="7.00") for one in STORES for n in range(1, 1 + int(one[-1]))]
    )
    record(database_url)
    moved(connection, "exception", raised_at=START)
    now = START + minutes(5)
    sampler.sample(now)
    mine = Reach(frozenset({"101", "102"}))

    def value(figure: str, reach: Reach, part: str = "", **more: Any) -> Any:
        (one,) = [
            each
            for each in levels(connection, settings.objectives, now, reach=reach, **more).figures
            if each.name == figure
        ]
        return one.value if not part else next((each.value for each in one.parts if each.part == part), None)

    everything = Reach()
    assert value("exceptions_open", everything) == 6
    assert value("exceptions_open", mine) == 3
    assert value("money_at_risk", everything, "USD") == 42
    assert value("money_at_risk", mine, "USD") == 21
    assert value("exceptions_open", mine, store="102") == 2
    assert value("exceptions_open", mine, store="103") is None
    names = {one.name for one in levels(connection, settings.objectives, now, reach=mine).figures}
    assert names == {name for name, figure in FIGURES.items() if figure.per_store}
    assert {one.store for one in of_stores(connection, "exceptions_open", now, reach=mine)} == {"101", "102"}
    assert of_stores(connection, "projection_lag", now) == []
    for reach, total in ((everything, 6), (mine, 3), (Reach(frozenset()), None)):
        points = history.history(
            connection, "exceptions_raised", since=START - timedelta(hours=2), until=now, reach=reach
        )
        told = sum(int(point.value or 0) for point in points)
        assert told == (0 if reach == everything else total or 0)  # the hub's hour is not over
    minute = history.history(
        connection, "exceptions_raised", since=START - timedelta(hours=2), until=now, grain="minute"
    )
    assert sum(int(point.value or 0) for point in minute) == 6
    assert history.history(connection, "exceptions_raised", since=START, until=now, grain="minute", reach=mine) == []


def test_another_sampler_goes_on_where_one_stopped(
    database_url: str, connection: psycopg.Connection, sampler: Sampler, settings: Settings
) -> None:
    load(database_url, *masters(), *[sale(n) for n in range(1, 4)])
    sampler.sample(START)
    load(database_url, *[sale(n) for n in range(4, 9)])
    other = Sampler(connection, settings, bootstrap.erps(settings))
    assert found(other.sample(START + minutes(1)), "stock_lag").n == 5
    assert ("stock_lag", "", "0.95") in {row[:3] for row in kept(connection)}


OBJECTIVE = Objective(name="fast", figure="stock_lag", target=0.9, threshold_s=1, stores=("10*",), companies=("ACME",))


def test_objectives_count_what_they_are_for(database_url: str, connection: psycopg.Connection) -> None:
    everywhere = Objective(name="all", figure="stock_lag", target=0.9, threshold_s=1)
    settings = settings_for(database_url, objectives=(OBJECTIVE, everywhere))
    sampler = Sampler(connection, settings, ())
    sampler.sample(START - minutes(1))
    load(database_url, *masters(store("101"), store("102", company="OTHER"), store("200")))
    load(database_url, *[sale(n, store=one) for one in ("101", "102", "200") for n in (1, 2, 3)])
    slow = partition_of("200")
    connection.execute("UPDATE event_chunk SET recorded_at = %s, accepted_at = %s", (START, START))
    connection.execute(
        "UPDATE event_chunk SET accepted_at = %s WHERE partition = %s", (START - timedelta(seconds=9), slow)
    )
    apart = [one for one in ("101", "102") if partition_of(one) != slow]
    assert apart == ["101", "102"]
    sampler.sample(START + SETTLED)
    counted = {
        (part, of): (int(total), n)
        for part, of, total, n in rows(
            connection, "SELECT part, store, total, n FROM figure_history WHERE figure = 'objective'"
        )
    }
    assert counted == {
        ("all", ""): (6, 9),
        ("all", "101"): (1, 1),
        ("all", "102"): (1, 1),
        ("all", "200"): (0, 1),
        ("fast", ""): (1, 1),
        ("fast", "101"): (1, 1),
    }
