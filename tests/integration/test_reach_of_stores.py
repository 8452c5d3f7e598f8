"""Reach where two stores meet in one thing: an order, a return elsewhere, a message of both, a cause that both have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import psycopg
import pytest
from builders import (
    Event,
    event,
    line,
    mapping,
    masters,
    original_of,
    other_masters,
    price,
    product,
    raw,
    returned,
    sale,
    store,
)
from driving import load, rows, scalar

from tillwire import bootstrap
from tillwire.config import Settings
from tillwire.connectors.inbound import Outgoing, Record
from tillwire.exceptions import dry_run, fixes, queue
from tillwire.exceptions.held import FixRefused, NoSuchException
from tillwire.governance.access import ALL, Reach
from tillwire.intake.recording import Entry, record_entries
from tillwire.masterdata import listing
from tillwire.masterdata.listing import KINDS, NoSuchRecordError, Within
from tillwire.masterdata.places import Stores
from tillwire.model.event import TRANSACTION
from tillwire.model.transaction import Kind, Line, Tender, Transaction
from tillwire.reconciliation.days import reconcile
from tillwire.reconciliation.trace import trace

FIRST, SECOND = Reach(frozenset({"101"})), Reach(frozenset({"202"}))
STORES = (store("101"), store("202", company="OTHER"))


def test_an_order_sold_in_two_stores_names_the_other_to_who_may_see_it(
    database_url: str, connection: psycopg.Connection
) -> None:
    again = sale(1, store="202", order="O-1", source="urn:oms:secret")
    load(database_url, *masters(store("101"), store("202")), sale(1, store="101", order="O-1"))
    connection.execute("UPDATE order_sale SET order_number = 'hidden'")  # as two workers at the same moment see it
    load(database_url, again)
    connection.execute("UPDATE order_sale SET order_number = 'O-1'")

    def told(reach: Reach) -> list[str]:
        report = reconcile(connection, reach=reach)
        return [one.message for day in report.days for one in day.differences if one.code == "duplicate_channel"]

    (whole,) = told(ALL)
    assert "101/1/2026-03-02/1" in whole
    (own,) = told(SECOND)
    assert "202/1/2026-03-02/1" in own
    assert "another store" in own
    assert "101" not in own
    assert told(FIRST) == [], "the other store's day has it"


def test_what_another_store_did_to_a_sale_is_shown_to_who_may_see_it(
    database_url: str, connection: psycopg.Connection
) -> None:
    first = sale(1, store="101")
    load(database_url, *masters(*STORES), first, returned(2, store="202", original=original_of(first)))
    key = "101/1/2026-03-02/1"
    (whole,) = trace(connection, key)
    assert [one["by_key"] for one in whole.referred_to_by] == ["202/1/2026-03-02/2"]
    (own,) = trace(connection, key, reach=FIRST)
    assert own.referred_to_by == []
    assert own.entries == whole.entries
    assert trace(connection, key, reach=SECOND) == []


def test_what_waits_is_traced_by_the_store_it_was_sent_for_and_what_is_recorded_by_its_own(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(*STORES), sale(1, line("nothing", "1", "2.00"), store="101"))
    key = "101/1/2026-03-02/1"
    assert len(trace(connection, key, reach=FIRST)) == 1
    assert trace(connection, key, reach=SECOND) == []
    exception_id = scalar(connection, "SELECT exception_id FROM exception")
    moved = raw(sale(1, line("milk", "1", "2.00"), store="202"))
    fixes.edit(connection, exception_id, moved, by="b", reason="r", limit=Decimal(10))
    load(database_url, store("303"))
    assert trace(connection, key, reach=FIRST) == [], "it is the other store's now"
    assert len(trace(connection, key, reach=SECOND)) == 1
    for master in ("store:101@1", "product:milk@1"):
        assert len(trace(connection, master)) == 1
        assert trace(connection, master, reach=FIRST) == []


def of_one_message(*stores: str) -> list[Entry]:
    def outgoing(number: str) -> Outgoing:
        data = Transaction(
            store=number,
            register="1",
            business_date=date(2026, 3, 2),
            sequence=1,
            kind=Kind.SALE,
            currency="USD",
            total=Decimal(2),
            lines=(Line(sku="milk", quantity=Decimal(1), unit_price=Decimal(2), amount=Decimal(2)),),
            tenders=(Tender(type="cash", amount=Decimal(2)),),
        )
        return Outgoing(type=TRANSACTION, data=data, id=f"e-{number}")

    events = tuple(outgoing(number) for number in stores)
    return [Entry(record=Record(place="1", raw=b"of both stores", events=events), part_of="a file")]


def test_the_message_that_two_stores_came_in_is_for_who_sees_both(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(*STORES))
    with connection.transaction():
        record_entries(connection, "files", of_one_message("101", "202"))
    (whole,) = trace(connection, "101/1/2026-03-02/1")
    assert whole.origin is not None
    assert whole.origin["raw"] == "of both stores"
    (own,) = trace(connection, "101/1/2026-03-02/1", reach=FIRST)
    assert own.origin == {"connection": "files"}


def unknown(*numbers: str) -> list[Event]:
    """Sales in stores that one product would mend."""
    return [sale(n, line("nothing", "1", "2.00"), store=number) for n, number in enumerate(numbers, 1)]


def test_a_dry_run_shows_and_counts_what_is_within_reach(
    database_url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(database_url, *masters(*STORES), *unknown("101", "101", "202", "202", "202"))
    record = [raw(product("nothing"))]

    def shown(reach: Reach) -> tuple[list[str], int]:
        found = bootstrap.rehearsal(connection, Settings(), reach).of_master_data(record)
        return [one.key.split("/")[0] for one in found.results], found.more

    assert shown(ALL) == (["101", "101", "202", "202", "202"], 0)
    assert shown(FIRST) == (["101", "101"], 0)
    monkeypatch.setattr(dry_run, "MOST", 3)
    assert shown(ALL) == (["101", "101", "202"], 2)
    assert shown(FIRST) == (["101", "101"], 0)
    assert shown(SECOND) == (["202"], 2)
    monkeypatch.undo()
    cause = scalar(connection, "SELECT DISTINCT cause FROM exception")
    found = bootstrap.rehearsal(connection, Settings(), SECOND).of_retry(cause=cause)
    assert {one.key.split("/")[0] for one in found.results} == {"202"}
    assert rows(connection, "SELECT DISTINCT state FROM exception") == [("open",)]


def test_causes_add_up_what_is_within_reach_and_fixes_of_them_do_no_more(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(*STORES), *unknown("101", "202", "202"))
    (whole,), (own,) = queue.causes(connection), queue.causes(connection, reach=FIRST)
    assert (whole.exceptions, whole.money[0].amount) == (3, Decimal("6.00"))
    assert (own.exceptions, own.money[0].amount) == (1, Decimal("2.00"))
    assert queue.causes(connection, store="202", reach=FIRST) == []
    assert queue.cause_named(connection, own.name, reach=Reach(frozenset({"303"}))) is None
    assert queue.retry(connection, cause=own.cause, reach=FIRST) == 1
    # Many small ones are as much money as a large one: of what is within reach.
    dismissed = fixes.dismiss_cause(connection, own.cause, by="b", reason="r", limit=Decimal(3), reach=SECOND)
    assert dismissed == {"dismissed": 0, "approval": 2}
    states = "SELECT store, state, count(*) FROM exception GROUP BY 1, 2 ORDER BY 1"
    assert rows(connection, states) == [("101", "retrying", 1), ("202", "approval", 2)]


def test_what_has_no_known_store_is_for_who_reaches_all(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(*STORES), sale(1, store="999"))
    exception_id = scalar(connection, "SELECT exception_id FROM exception")
    both = Reach(frozenset({"101", "202"}))
    assert queue.found(connection, queue.Filter(reach=both)) == []
    assert len(queue.found(connection, queue.Filter())) == 1
    assert queue.detail(connection, exception_id, reach=both) is None
    with pytest.raises(NoSuchException):
        fixes.dismiss(connection, exception_id, by="b", reason="r", limit=Decimal(10), reach=both)
    connection.execute("UPDATE exception SET store = NULL")
    assert queue.found(connection, queue.Filter(reach=both)) == []
    with pytest.raises(NoSuchException):
        fixes.assign(connection, exception_id, "somebody", by="b", reach=both)


def test_words_of_another_system_are_edited_by_who_reaches_all(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(*STORES), *unknown("101"))
    exception_id = scalar(connection, "SELECT exception_id FROM exception")
    connection.execute("UPDATE exception SET foreign_id = 1")
    with pytest.raises(FixRefused, match="own words"):
        fixes.edit(connection, exception_id, b"{}", by="b", reason="r", limit=Decimal(10), reach=FIRST)


# ---------------------------------------------------------------- master data


RECORDS = [
    *masters(*STORES),
    *other_masters(),
    price("beer", "3.00", store="202"),
    price("beer", "3.00", price_list="north"),
    event("master.register", {"store": "202", "register": "9", "revision": 1}),
    event("master.account", {"company": "OTHER", "account": "4000", "name": "Sales", "revision": 1}),
    event(
        "master.period",
        {"company": "OTHER", "period": "2026-03", "first": "2026-03-01", "last": "2026-03-31", "revision": 1},
    ),
    mapping("store", "A", "101"),
    mapping("store", "B", "202"),
]
HIDDEN: dict[str, Sequence[str]] = {
    "store": ["202"],
    "register": ["202/9"],
    "price": ["store:202/beer/EA/USD/2026-01-01T00:00:00"],
    "account": ["OTHER/4000"],
    "period": ["OTHER/2026-03"],
    "mapping": ["urn:pos:test/store/B"],
}


def test_master_records_of_other_stores_and_companies_are_not_there(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *RECORDS)
    within = Within(FIRST, frozenset({"ACME"}))
    for kind, name in KINDS.items():
        everything = {one for (one,) in rows(connection, "SELECT id FROM master_record WHERE type = %s", name)}
        assert everything, kind
        hidden = set(HIDDEN.get(kind, ()))
        assert hidden <= everything
        seen = {one for one in everything if sees(connection, kind, one, within)}
        assert seen == everything - hidden, kind
        assert all(sees(connection, kind, one, listing.EVERYTHING) for one in everything)
        page = listing.listed(connection, kind, most=1000, within=within)
        assert len(page.records) == len(seen), kind
        assert len(listing.listed(connection, kind, most=1000).records) == len(everything)


def sees(connection: psycopg.Connection, kind: str, identifier: str, within: Within) -> bool:
    """Whether a record is shown; its versions are where it is."""
    try:
        listing.one(connection, kind, identifier, within=within)
    except NoSuchRecordError:
        with pytest.raises(NoSuchRecordError):
            listing.versions(connection, kind, identifier, within=within)
        return False
    assert listing.versions(connection, kind, identifier, within=within).versions
    return True


async def refreshed(url: str, stores: Stores) -> bool:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return await stores.refresh(connection)


def test_the_companies_of_stores_are_read_when_a_record_has_come(database_url: str) -> None:
    import asyncio

    stores = Stores()
    assert not asyncio.run(refreshed(database_url, stores))
    load(database_url, *masters(*STORES))
    assert asyncio.run(refreshed(database_url, stores))
    assert stores.companies == {"101": "ACME", "202": "OTHER"}
    before = stores.companies
    assert not asyncio.run(refreshed(database_url, stores))
    load(database_url, product("another"))
    assert not asyncio.run(refreshed(database_url, stores)), "no store has changed"
    assert stores.companies is before
    load(database_url, store("202", company="ACME", revision=2), store("101", revision=2, active=False))
    assert asyncio.run(refreshed(database_url, stores))
    assert stores.companies == {"101": "ACME", "202": "ACME"}, "a closed store's past stays its company's"
    assert stores.companies_of(FIRST) == {"ACME"}
    assert stores.companies_of(ALL) == frozenset()
