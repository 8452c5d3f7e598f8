"""Master data on the durable way: bulk, tables, revisions, history, contradictions, the lane, translation, replay."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
import psycopg
import pytest
from builders import (
    changed,
    customer,
    event,
    line,
    mapping,
    masters,
    movement,
    other_masters,
    price,
    product,
    raw,
    sale,
    store,
    tender,
)
from driving import (
    accept,
    check_event_store,
    exception_codes,
    load,
    make_worker,
    record,
    rows,
    scalar,
    settings_for,
    state,
)
from fixture_types import NewDatabase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tillwire.exceptions import queue
from tillwire.intake import claims
from tillwire.intake.group_commit import GroupCommit
from tillwire.masterdata import bulk as bulk_module
from tillwire.masterdata import listing, lookup
from tillwire.masterdata.bulk import Bulk, Outcome, TooManyRowsError
from tillwire.masterdata.snapshot import Snapshot
from tillwire.masterdata.tables import TableError, write_table
from tillwire.model.event import EVENT_DECODER, MESSAGES
from tillwire.reconciliation.trace import trace
from tillwire.replay import replay_inline


def take(url: str, kind: str, content: str | list[Any], **more: Any) -> Outcome:
    """Bulk upsert of a table or of records, as one request."""

    @contextmanager
    def lend() -> Iterator[psycopg.Connection]:
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection

    async def run() -> Outcome:
        commit = GroupCommit(url, writers=1)
        await commit.start()
        try:
            bulk = Bulk(commit.submit, lend)
            if isinstance(content, str):
                return await bulk.table(kind, content, **more)
            return await bulk.array(kind, [msgspec.Raw(raw(one)) for one in content], **more)
        finally:
            await commit.stop()

    return asyncio.run(run())


def counts(outcome: Outcome) -> dict[str, int]:
    names = ("accepted", "duplicate", "unchanged", "conflict", "rejected")
    return {name: getattr(outcome, name) for name in names if getattr(outcome, name)}


def body(connection: psycopg.Connection, kind: str, name: str) -> Any:
    return msgspec.json.decode(listing.one(connection, kind, name))


PRODUCTS = """sku,name,product_class,gtins,units,components
milk,Milk 1 l,dairy,4006381333931|96385074,CS=12,
bread,Bread,bakery,,,
kit,Breakfast,kits,,,milk=1|bread=2
"""


# ---------------------------------------------------------------- bulk upsert


def test_a_table_is_recorded_and_again_has_no_effect(database_url: str, connection: psycopg.Connection) -> None:
    assert counts(take(database_url, "product", PRODUCTS)) == {"accepted": 3}
    assert counts(take(database_url, "product", PRODUCTS)) == {"duplicate": 3}  # not recorded yet
    record(database_url)
    assert counts(take(database_url, "product", PRODUCTS)) == {"unchanged": 3}
    assert body(connection, "product", "kit") == {
        "revision": 1,
        "sku": "kit",
        "name": "Breakfast",
        "product_class": "kits",
        "components": [{"sku": "milk", "quantity": "1"}, {"sku": "bread", "quantity": "2"}],
    }
    check_event_store(connection, 3)


def test_only_what_changed_is_a_new_revision(database_url: str, connection: psycopg.Connection) -> None:
    take(database_url, "product", PRODUCTS)
    other = PRODUCTS.replace("Bread", "Brown bread")
    assert counts(take(database_url, "product", other)) == {"duplicate": 2, "accepted": 1}
    record(database_url)
    assert (body(connection, "product", "bread")["name"], body(connection, "product", "bread")["revision"]) == (
        "Brown bread",
        2,
    )
    assert counts(take(database_url, "product", PRODUCTS)) == {"unchanged": 2, "accepted": 1}
    record(database_url)
    told = listing.versions(connection, "product", "bread")
    assert [(one.revision, msgspec.json.decode(one.record)["name"]) for one in told.versions] == [
        (3, "Bread"),
        (2, "Brown bread"),
        (1, "Bread"),
    ]
    assert [one.revision for one in listing.versions(connection, "product", "bread", before=3, most=1).versions] == [2]


def test_the_hub_numbers_on_from_revisions_of_others(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, product("bread", "bakery", revision=41, name="Bread"))
    assert counts(take(database_url, "product", PRODUCTS)) == {"accepted": 2, "unchanged": 1}
    take(database_url, "product", PRODUCTS.replace("Bread", "Brown bread"))
    record(database_url)
    assert body(connection, "product", "bread")["revision"] == 42


def test_an_import_that_died_before_it_was_accepted_is_completed_not_doubled(
    database_url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(database_url, "product", PRODUCTS)
    record(database_url)
    other = PRODUCTS.replace("bakery", "bread")

    async def dies(*_: Any) -> list[str]:
        raise InterruptedError

    with monkeypatch.context() as killed:
        killed.setattr(GroupCommit, "submit", dies)
        for _ in range(3):  # its revision is on disk, its event is not
            with pytest.raises(InterruptedError):
                take(database_url, "product", other)
    assert counts(take(database_url, "product", other)) == {"unchanged": 2, "accepted": 1}
    assert counts(take(database_url, "product", other)) == {"unchanged": 2, "duplicate": 1}
    record(database_url)
    found = body(connection, "product", "bread")
    assert (found["revision"], found["product_class"]) == (2, "bread")
    check_event_store(connection, 4)


def test_imports_side_by_side_give_each_content_one_revision(database_url: str, connection: psycopg.Connection) -> None:
    tables = [PRODUCTS.replace("Bread", f"Bread {n}") for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda table: take(database_url, "product", table), tables))
    assert sum(outcome.accepted for outcome in outcomes) == 2 + 4
    assert sum(outcome.duplicate for outcome in outcomes) == 3 * 2
    record(database_url)
    told = listing.versions(connection, "product", "bread").versions
    assert sorted(one.revision for one in told) == [1, 2, 3, 4]
    assert {msgspec.json.decode(one.record)["name"] for one in told} == {f"Bread {n}" for n in range(4)}


def test_the_same_record_twice_in_a_file(database_url: str, connection: psycopg.Connection) -> None:
    table = "type,name\ncash,Cash\ncash,Cash\ncash,Notes and coins\n"
    assert counts(take(database_url, "tender", table)) == {"accepted": 2, "duplicate": 1}
    record(database_url)
    assert body(connection, "tender", "cash")["name"] == "Notes and coins"


def test_good_rows_are_taken_and_bad_ones_told_with_their_place(database_url: str) -> None:
    table = (
        "sku,name,product_class,gtins,units,revision\n"
        "a,A,x,4006381333931,CS=2,\n"
        "b,B,x,4006381333932,,\n"
        "c,C,x,,CS=two,\n"
        "d,,x\n"
        ",E,x,,,\n"
        "f,F,x,,CS=-1,\n"
        "g,G,x,,,first\n"
        "h,H,x,,,7\n"
    )
    outcome = take(database_url, "product", table)
    assert counts(outcome) == {"accepted": 2, "rejected": 6}
    assert sorted((error.row, error.column) for error in outcome.errors if error.row != 5) == [
        (3, "gtins"),
        (4, "units"),
        (6, "sku"),
        (7, "units"),
        (8, "revision"),
    ]
    assert all(error.detail for error in outcome.errors)
    assert "`sku`" in next(error.detail for error in outcome.errors if error.row == 6)
    nothing = take(database_url, "product", table.replace("a,A,", "z,Z,"), all_or_nothing=True)
    assert counts(nothing) == {"rejected": 6}


def test_all_or_nothing_is_one_commit(
    database_url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = "customer\n" + "".join(f"C{n}\n" for n in range(600))
    assert counts(take(database_url, "customer", table, all_or_nothing=True)) == {"accepted": 600}
    assert scalar(connection, "SELECT count(*) FROM intake_group") == 1
    monkeypatch.setattr(bulk_module, "MOST_ATOMIC_ROWS", 599)
    with pytest.raises(TooManyRowsError):
        take(database_url, "customer", table, all_or_nothing=True)


def test_a_table_that_breaks_off_is_taken_up_to_there(database_url: str, connection: psycopg.Connection) -> None:
    table = "customer\n" + "".join(f"C{n}\n" for n in range(600)) + '"never closed\n'
    outcome = take(database_url, "customer", table)
    assert counts(outcome) == {"accepted": 600, "rejected": 1}
    assert outcome.errors[0].row == 602
    with pytest.raises(TableError, match="colour"):
        take(database_url, "customer", "customer,colour\nx,red\n")
    assert scalar(connection, "SELECT count(*) FROM intake") == 600


def test_records_as_json(database_url: str, connection: psycopg.Connection) -> None:
    good = {"sku": "milk", "name": "Milk", "product_class": "dairy", "units": {"CS": 12}}
    outcome = take(database_url, "product", [good, {**good, "prize": 1}, {"sku": "x"}, 5, {**good, "revision": 9}])
    assert counts(outcome) == {"accepted": 2, "rejected": 3}
    assert [(error.row, error.column) for error in outcome.errors] == [(1, "prize"), (2, "name"), (3, None)]
    again = take(database_url, "product", [{**good, "revision": 9, "name": "Other"}])
    assert counts(again) == {"conflict": 1}
    record(database_url)
    assert body(connection, "product", "milk")["revision"] == 9


@pytest.mark.parametrize("one", other_masters(), ids=lambda one: one["type"])
def test_what_is_exported_is_taken_back_unchanged(one: Any, database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, one)
    kind = one["type"].split(".")[2]
    struct = MESSAGES[one["type"]]
    page = listing.listed(connection, kind)
    table = "".join(write_table([msgspec.json.decode(body, type=struct) for body in page.records], struct))
    with_revision = counts(take(database_url, kind, table))
    assert with_revision == {"accepted": 1}  # the same revision from another source
    record(database_url)
    (head, values) = table.splitlines()
    assert head.startswith("revision,")
    without = head.removeprefix("revision,") + "\n" + values.removeprefix("1,") + "\n"
    assert counts(take(database_url, kind, without)) == {"unchanged": 1}
    assert len(listing.versions(connection, kind, EVENT_DECODER.decode(raw(one)).data.identifier).versions) == 1


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["1.00", "2.00"])), min_size=1), max_size=6))
def test_however_files_overlap_the_last_word_of_each_record_counts(
    new_database: NewDatabase, files: list[list[tuple[str, str]]]
) -> None:
    with new_database() as url, psycopg.connect(url, autocommit=True) as connection:
        last: dict[str, str] = {}
        for number, file in enumerate(files):
            table = "sku,currency,effective_from,amount\n"
            table += "".join(f"{sku},USD,2026-01-01,{amount}\n" for sku, amount in file)
            outcome = take(url, "price", table)
            assert not outcome.errors
            last.update(file)
            if number % 2:
                record(url)
        record(url)
        told = [msgspec.json.decode(one) for one in listing.listed(connection, "price").records]
        assert {one["sku"]: one["amount"] for one in told} == last
        assert exception_codes(connection) == []


# ---------------------------------------------------------------- lists and look-ups


def test_lists_page_and_search(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *(product(f"p{n:02}", name=f"Product {n}") for n in range(25)), product("q", active=False))
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = listing.listed(connection, "product", after=after, most=10)
        seen += [msgspec.json.decode(one)["sku"] for one in page.records]
        after = page.after
    assert seen == [*(f"p{n:02}" for n in range(25)), "q"]
    assert len(listing.listed(connection, "product", prefix="p1").records) == 10
    assert len(listing.listed(connection, "product", text="PRODUCT 7").records) == 1
    assert len(listing.listed(connection, "product", active=False).records) == 1
    with pytest.raises(lookup.NoSuchRecordError):
        listing.one(connection, "product", "none")
    with pytest.raises(lookup.NoSuchRecordError):
        listing.versions(connection, "product", "none")


def test_prices_by_scope_unit_and_the_clock_of_the_store(database_url: str, connection: psycopg.Connection) -> None:
    load(
        database_url,
        store("101", price_list="west"),
        store("102", time_zone="Europe/Berlin", currency="EUR"),
        store("103"),
        price(amount="4.00"),
        price(amount="3.00", price_list="west", since="2026-03-01"),
        price(amount="2.00", store="101", since="2026-03-08", until="2026-03-09"),
        price(amount="40.00", unit="CS"),
        changed(price(amount="5.00"), currency="EUR"),
        price("milk%2FEA", amount="9.00"),
        price("a/b", amount="8.00"),
    )

    def at(where: str, moment: str, **more: Any) -> dict[str, tuple[str, str]]:
        found = lookup.prices_at(connection, where, more.pop("sku", "milk"), datetime.fromisoformat(moment), **more)
        return {one.unit: (str(one.amount), one.scope) for one in found.prices}

    assert at("103", "2026-03-08T12:00:00Z") == {"EA": ("4.00", "all"), "CS": ("40.00", "all")}
    assert at("101", "2026-02-28T12:00:00Z", unit="EA") == {"EA": ("4.00", "all")}
    assert at("101", "2026-03-08T04:59:59Z", unit="EA") == {"EA": ("3.00", "price_list")}
    assert at("101", "2026-03-08T05:00:00Z", unit="EA") == {"EA": ("2.00", "store")}
    assert at("101", "2026-03-09T03:59:59Z", unit="EA") == {"EA": ("2.00", "store")}
    assert at("101", "2026-03-09T04:00:00Z", unit="EA") == {"EA": ("3.00", "price_list")}
    assert at("102", "2025-12-31T22:59:59Z") == {}
    assert at("102", "2025-12-31T23:00:00Z") == {"EA": ("5.00", "all")}
    assert at("102", "2026-01-02T00:00:00Z", currency="USD", unit="CS") == {"CS": ("40.00", "all")}
    assert at("103", "2026-03-08T12:00:00Z", sku="a/b") == {"EA": ("8.00", "all")}
    assert at("103", "2026-03-08T12:00:00Z", sku="mil") == {}
    with pytest.raises(lookup.NoSuchRecordError, match="104"):
        at("104", "2026-03-08T12:00:00Z")


def test_a_price_that_was_taken_back_counts_no_more(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, store(), price(amount="4.00"), price(amount="5.00", since="2026-02-01"))
    load(database_url, price(amount="5.00", since="2026-02-01", active=False, revision=2))
    found = lookup.prices_at(connection, "101", "milk", datetime.fromisoformat("2026-03-01T00:00:00Z"))
    assert [str(one.amount) for one in found.prices] == ["4.00"]


def test_tax_rates_by_the_day_of_the_store(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, store(), *other_masters())
    before = lookup.rate_at(connection, "101", "VAT", datetime.fromisoformat("2026-07-01T03:59:59Z"))
    after = lookup.rate_at(connection, "101", "VAT", datetime.fromisoformat("2026-07-01T04:00:00Z"))
    assert [(one.day.isoformat(), str(one.rate)) for one in (before, after)] == [
        ("2026-06-30", "0.10"),
        ("2026-07-01", "0.12"),
    ]
    with pytest.raises(lookup.NoSuchRecordError):
        lookup.rate_at(connection, "101", "none", after.at)


# ---------------------------------------------------------------- contradictions


def test_prices_that_overlap_are_raised_with_both_named(database_url: str, connection: psycopg.Connection) -> None:
    week = price(amount="1.00", since="2026-03-01", until="2026-03-08")
    within = price(amount="1.10", since="2026-03-07", until="2026-03-20")
    after = price(amount="1.20", since="2026-03-08", until="2026-03-20")
    other = price(amount="1.30", since="2026-03-02", until="2026-03-03", store="101")
    load(database_url, price(), week, within, after, other)
    assert exception_codes(connection) == ["price_overlap"]
    (message,) = [row.message for row in queue.listed(connection)]
    assert "*/milk/EA/USD/2026-03-07T00:00:00" in message
    assert "*/milk/EA/USD/2026-03-01T00:00:00" in message
    # Across batches, too; and what has been ended early or taken back is no obstacle.
    load(database_url, price(amount="1.40", since="2026-03-19", until="2026-03-25"))
    assert exception_codes(connection) == ["price_overlap"] * 2
    load(database_url, price(amount="1.20", since="2026-03-08", until="2026-03-19", revision=2))
    load(database_url, price(amount="1.00", since="2026-03-01", until="2026-03-07", revision=2))
    assert exception_codes(connection) == ["price_overlap"] * 2
    queue.retry(connection, code="price_overlap")
    record(database_url)
    assert exception_codes(connection) == ["price_overlap"]  # the two still overlap each other
    assert scalar(connection, "SELECT count(*) FROM event WHERE partition = 17") == 7
    assert scalar(connection, "SELECT count(*) FROM exception WHERE state = 'resolved'") == 1


def test_a_gtin_is_one_active_products(database_url: str, connection: psycopg.Connection) -> None:
    code, other, upc = "4006381333931", "96385074", "036000291452"
    load(database_url, product("a", gtins=[code, other]), product("b", gtins=[code]), product("c", gtins=[upc]))
    (told,) = queue.listed(connection)
    assert told.code == "gtin_taken"
    assert "'b'" in told.message
    assert "'a'" in told.message
    assert body(connection, "product", code)["sku"] == "a"
    assert body(connection, "product", "0" + upc)["sku"] == "c"  # the same in its form of 13 digits
    load(database_url, product("d", gtins=["0" + upc]))
    assert exception_codes(connection) == ["gtin_taken"] * 2
    # Given up, it is free: in another batch, in the same one, and by a product that is sold no more.
    load(database_url, product("a", gtins=[other], revision=2))
    queue.retry(connection)
    record(database_url)
    assert exception_codes(connection) == ["gtin_taken"]
    load(database_url, product("c", active=False, gtins=[upc], revision=2), product("e", gtins=[upc]))
    assert body(connection, "product", upc)["sku"] == "e"
    load(database_url, {**product("a", gtins=[upc], revision=1, name="late"), "source": "urn:late"})
    assert exception_codes(connection) == ["gtin_taken"]  # an older revision has no effect, hence no conflict
    assert replay_inline(settings_for(database_url), processes=1).identical


# ---------------------------------------------------------------- the lane


def queued(connection: psycopg.Connection) -> dict[int, int]:
    return dict(rows(connection, "SELECT partition, sum(cardinality(ordinals)) FROM intake_queue GROUP BY 1"))


def test_sales_do_not_wait_behind_prices(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters())
    for start in range(0, 2000, 500):
        accept(database_url, [price(f"p{n}") for n in range(start, start + 500)])
    accept(database_url, [sale(1)])
    with psycopg.connect(database_url, autocommit=True) as own:
        worker = make_worker(own)
        assert worker.work_once() == 1
        assert queued(connection) == {17: 2000}
        assert worker.work_once() == claims.CATALOGUE_EVENTS
        accept(database_url, [sale(2)])
        assert worker.work_once() == 1
        assert queued(connection) == {17: 2000 - claims.CATALOGUE_EVENTS}
    record(database_url)
    check_event_store(connection, len(masters()) + 2002)
    assert scalar(connection, "SELECT count(*) FROM master_record WHERE type = 'tillwire.master.price.v1'") == 2000


def test_prices_have_their_turn_even_if_sales_never_cease(
    database_url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "CATALOGUE_TURN", 3)
    load(database_url, *masters())
    accept(database_url, [price(f"p{n}") for n in range(10)])
    with psycopg.connect(database_url, autocommit=True) as own:
        worker = make_worker(own)
        for number in range(1, 4):
            accept(database_url, [sale(number)])
            worker.work_once()
    assert 17 not in queued(connection)
    assert sum(queued(connection).values()) == 1


def test_the_lane_waits_for_nothing_but_the_mappings_before_it(
    database_url: str, connection: psycopg.Connection
) -> None:
    accept(database_url, [mapping("product", "4711", "milk")], [price("4711", "2.50"), customer()])
    with psycopg.connect(database_url) as another:
        another.execute("SELECT 1 FROM event_partition WHERE partition = 0 FOR UPDATE")
        assert record(database_url) == 0
        another.rollback()
    assert record(database_url) == 3
    assert body(connection, "price", "*/milk/EA/USD/2026-01-01T00:00:00")["amount"] == "2.50"


def test_a_worker_that_dies_in_the_lane_leaves_the_rest_of_a_group_whole(
    database_url: str, connection: psycopg.Connection
) -> None:
    accept(database_url, [price(f"p{n}") for n in range(600)])
    for _ in range(3):
        with psycopg.connect(database_url, autocommit=True) as own:
            worker = make_worker(own)
            worker._finish = lambda claim: own.execute("SELECT pg_terminate_backend(pg_backend_pid())")  # type: ignore[method-assign]
            with pytest.raises(psycopg.OperationalError):
                worker.work_once()
        with psycopg.connect(database_url, autocommit=True) as own:
            assert make_worker(own).work_once() == claims.CATALOGUE_EVENTS
    record(database_url)
    check_event_store(connection, 600)


def test_the_snapshot_takes_in_what_changed_and_no_prices(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), *other_masters())
    snapshot = Snapshot()
    ends = dict(rows(connection, "SELECT partition, next_offset FROM event_partition WHERE partition IN (0, 17)"))
    assert snapshot.refresh(connection, ends[0], ends[17])
    assert not snapshot.refresh(connection, ends[0], ends[17])
    assert snapshot.customers == {"C1"}
    load(database_url, price(amount="7.00", revision=2))
    assert not snapshot.refresh(connection, ends[0], ends[17] + 1)
    load(database_url, customer(active=False, revision=2), customer("C2"))
    assert snapshot.refresh(connection, ends[0], ends[17] + 3)
    assert snapshot.customers == {"C2"}
    plan = "EXPLAIN SELECT type, body FROM master_record WHERE changed >= 5" \
           " AND type NOT IN ('tillwire.master.price.v1', 'tillwire.master.customer.v1')"  # fmt: skip
    connection.execute("SET enable_seqscan = off")
    assert any("master_record_changed_idx" in line for (line,) in rows(connection, plan))


# ---------------------------------------------------------------- translation


THEIRS = [
    mapping("product", "4711", "milk"),
    mapping("tax_code", "A", "STD"),
    mapping("tender", "BAR", "cash"),
    mapping("unit", "PCE", "EA"),
    mapping("customer", "77", "C1"),
]


def test_messages_of_a_mapped_source_are_recorded_in_our_words(
    new_database: NewDatabase, database_url: str, connection: psycopg.Connection
) -> None:
    theirs = sale(1, line("4711", "2", unit="PCE", tax=("A", "0.40")), tenders=[tender("4.40", "BAR")], customer="77")
    ours = sale(1, line("milk", "2", unit="EA", tax=("STD", "0.40")), tenders=[tender("4.40", "cash")], customer="C1")
    moved = movement("D-1", [("4711", "5")], unit="PCE")
    load(database_url, *masters(), *THEIRS)
    load(database_url, theirs, moved)
    with new_database() as straight:
        load(straight, *masters(), *THEIRS)
        load(straight, ours, movement("D-1", [("milk", "5")]))
        with psycopg.connect(straight, autocommit=True) as other:
            assert state(connection) == state(other)
    assert exception_codes(connection) == []
    (told,) = trace(connection, "101/1/2026-03-02/1")
    assert msgspec.json.decode(told.raw) == theirs
    assert told.translated is not None
    assert EVENT_DECODER.decode(told.translated) == EVENT_DECODER.decode(raw(ours))
    before = state(connection)
    # A replay repeats what was recorded, whatever has become of the mappings since.
    load(database_url, mapping("product", "4711", "bread", revision=2))
    assert replay_inline(settings_for(database_url), processes=1).identical
    after = state(connection)
    assert {name: found for name, found in after.items() if name != "master_record"} == {
        name: found for name, found in before.items() if name != "master_record"
    }


def test_a_mapping_that_comes_later_mends_what_was_raised(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters())
    load(database_url, sale(1, line("4711", "2")), sale(2))
    assert exception_codes(connection) == ["unknown_product"]
    (plain,) = trace(connection, "101/1/2026-03-02/2")
    assert plain.translated is None
    load(database_url, THEIRS[0])
    queue.retry(connection)
    record(database_url)
    assert exception_codes(connection) == []
    assert scalar(connection, "SELECT on_hand FROM stock_balance WHERE sku = 'milk'") == -4
    assert not rows(connection, "SELECT 1 FROM stock_balance WHERE sku = '4711'")


def test_a_replay_rebuilds_versions_prices_and_gtins(database_url: str, connection: psycopg.Connection) -> None:
    load(
        database_url,
        *masters(),
        *other_masters(),
        event("master.register", {"store": "1", "register": "2", "revision": 1}),
    )
    load(database_url, product("milk", gtins=["96385074"], revision=3), product("milk", name="late", revision=2))
    load(database_url, *(price(amount=f"{n}.00", revision=n) for n in range(2, 20)))
    outcome = replay_inline(settings_for(database_url), processes=2)
    assert outcome.identical
    sizes = {table: count for table, count, _ in outcome.tables}
    assert sizes["master_version"] == scalar(connection, "SELECT count(*) FROM master_record") + 2 + 18
    assert sizes["product_gtin"] == 2


def test_a_revision_of_another_source_with_other_content_is_raised(
    database_url: str, connection: psycopg.Connection
) -> None:
    """Neither the first nor the second is lost in silence; the same content of another source is no conflict."""
    first = product("milk", "dairy")
    load(database_url, first)
    load(database_url, {**first, "source": "urn:erp"})
    assert exception_codes(connection) == []
    accept(database_url, [{**product("milk", "drinks"), "source": "urn:other"}])
    record(database_url)
    assert exception_codes(connection) == ["revision_conflict"]
    load(database_url, {**product("milk", "drinks", revision=2), "source": "urn:other"})
    assert rows(connection, "SELECT state FROM exception") == [("superseded",)]


def test_two_sources_in_one_batch_are_told_apart(database_url: str, connection: psycopg.Connection) -> None:
    accept(database_url, [product("milk", "dairy"), {**product("milk", "drinks"), "source": "urn:other"}])
    record(database_url)
    assert exception_codes(connection) == ["revision_conflict"]
