"""Master records by themselves: what is sound, moments by the store's clock, tables, translation."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from builders import changed, event, line, mapping, movement, other_masters, price, product, raw, sale, store, tender
from hypothesis import given
from hypothesis import strategies as st

from tillwire.intake.door import Prepared, Refusal, read_event
from tillwire.masterdata.localtime import instant, local_time
from tillwire.masterdata.lookup import in_force
from tillwire.masterdata.snapshot import Snapshot
from tillwire.masterdata.tables import TableError, read_table, write_table
from tillwire.masterdata.translate import Translator, reencoded
from tillwire.model.event import EVENT_DECODER, MESSAGE_DECODER
from tillwire.model.master import MappingRecord, MasterRecord, PriceRecord, ProductRecord, TaxCodeRecord, joined

NEW_YORK = "America/New_York"


def record(one: Any) -> Any:
    return EVENT_DECODER.decode(raw(one)).data


# ---------------------------------------------------------------- what is sound


@pytest.mark.parametrize(
    ("wrong", "pointer", "why"),
    [
        (product(gtins=["4006381333931", "4006381333932"]), "/data/gtins/1", "check digit"),
        (product(units={"CS": "0"}), "/data/units/CS", "above zero"),
        (product(units={"EA": "2"}), "/data/units/EA", "stock unit"),
        (product("a", components=[{"sku": "a", "quantity": "1"}]), "/data/components/0/sku", "itself"),
        (product("a", components=[{"sku": "b", "quantity": "0"}]), "/data/components/0/quantity", "above zero"),
        (price(amount="-1"), "/data/amount", "below zero"),
        (price(since="2026-03-02", until="2026-03-02"), "/data/effective_to", "before it begins"),
        (price(store="101", price_list="west"), "/data/price_list", "one at most"),
        (price(since="0001-01-01"), "/data/effective_from", "year 1 "),
        (changed(price(), effective_from="2026-01-01T00:00:00Z"), "/data/effective_from", ""),
        (changed(price(), currency="usd"), "/data/currency", "capital"),
        (store(time_zone="America/Nowhere"), "/data/time_zone", "IANA"),
        (
            event(
                "master.period",
                {"company": "A", "period": "1", "first": "2026-02-01", "last": "2026-01-31", "revision": 1},
            ),
            "/data/last",
            "before it begins",
        ),
        (
            event(
                "master.tax-code",
                {
                    "code": "V",
                    "name": "V",
                    "rate": "0.1",
                    "revision": 1,
                    "rates": [{"effective_from": "2026-07-01", "rate": r} for r in ("0.2", "0.3")],
                },
            ),
            "/data/rates/1/effective_from",
            "0.2 and 0.3 both begin on 2026-07-01",
        ),
        (event("master.tax-group", {"group": "a\nb", "name": "", "revision": 1}), "/data", "printable"),
        (mapping("colour", "a", "b"), "/data/kind", "colour"),
    ],
)
def test_what_is_wrong_by_itself_is_refused_at_the_door(wrong: Any, pointer: str, why: str) -> None:
    told = read_event(raw(wrong))
    assert isinstance(told, Refusal)
    assert told.pointer == pointer
    assert why in told.detail


@pytest.mark.parametrize("one", other_masters(), ids=lambda one: one["type"])
def test_records_of_every_kind_pass_the_door_under_their_own_key(one: Any) -> None:
    told = read_event(raw(one))
    assert isinstance(told, Prepared), told
    assert told.key == f"{told.key.partition(':')[0]}:{record(one).identifier}@1"
    assert told.partition == (17 if one["type"].split(".")[2] in ("price", "customer") else 0)


@given(st.lists(st.text("a/%|@:", min_size=1), min_size=1), st.lists(st.text("a/%|@:", min_size=1), min_size=1))
def test_parts_of_identifiers_are_never_mistaken(one: list[str], other: list[str]) -> None:
    assert (joined(*one) == joined(*other)) == (one == other)


# ---------------------------------------------------------------- moments by the store's clock


@pytest.mark.parametrize(
    ("local", "zone", "utc"),
    [
        ("2026-01-01T00:00", NEW_YORK, "2026-01-01T05:00Z"),
        ("2026-07-01T00:00", NEW_YORK, "2026-07-01T04:00Z"),
        ("2026-03-08T02:30", NEW_YORK, "2026-03-08T07:00Z"),  # never occurs: the clock jumps from 2 to 3
        ("2026-03-08T03:00", NEW_YORK, "2026-03-08T07:00Z"),
        ("2026-11-01T01:30", NEW_YORK, "2026-11-01T05:30Z"),  # occurs twice: the first
        ("2026-11-01T02:00", NEW_YORK, "2026-11-01T07:00Z"),
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:30Z"),  # half an hour is skipped
        ("2026-03-29T00:30", "Europe/London", "2026-03-29T00:30Z"),
        ("2026-03-29T01:30", "Europe/London", "2026-03-29T01:00Z"),
    ],
)
def test_a_local_time_is_the_first_instant_at_which_the_clock_has_passed_it(local: str, zone: str, utc: str) -> None:
    assert instant(datetime.fromisoformat(local), zone) == datetime.fromisoformat(utc)


@given(
    st.datetimes(datetime.fromisoformat("1990-01-01"), datetime.fromisoformat("2040-01-01")),
    st.timedeltas(timedelta(0), timedelta(hours=4)),
    st.sampled_from([NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Cairo"]),
)
def test_instants_are_in_the_order_of_local_times(local: datetime, later: timedelta, zone: str) -> None:
    local = local.replace(microsecond=0)
    first, second = instant(local, zone), instant(local + later.__class__(seconds=int(later.total_seconds())), zone)
    assert first <= second
    assert local_time(first, zone) >= local
    a_second_before = first - timedelta(seconds=1)
    assert local_time(a_second_before, zone) < local


def prices(*some: Any) -> list[PriceRecord]:
    return [record(one) for one in some]


def amount_at(known: list[PriceRecord], moment: str, zone: str = NEW_YORK) -> str | None:
    found = in_force(known, datetime.fromisoformat(moment), zone)
    return None if found is None else str(found.amount)


def test_a_price_without_end_holds_until_the_next_begins() -> None:
    known = prices(price(amount="1"), price(amount="2", since="2026-03-08"))
    assert amount_at(known, "2026-01-01T04:59:59Z") is None
    assert amount_at(known, "2026-01-01T05:00:00Z") == "1"
    assert amount_at(known, "2026-03-08T04:59:59Z") == "1"
    assert amount_at(known, "2026-03-08T05:00:00Z") == "2"
    assert amount_at(known, "2026-03-08T04:59:59Z", "Europe/Berlin") == "2"


def test_a_price_with_an_end_goes_before_one_without_and_gives_way_again() -> None:
    known = prices(price(amount="3"), price(amount="2", since="2026-03-08", until="2026-03-09"))
    assert amount_at(known, "2026-03-08T04:59:59Z") == "3"
    assert amount_at(known, "2026-03-08T05:00:00Z") == "2"
    assert amount_at(known, "2026-03-09T03:59:59Z") == "2"
    assert amount_at(known, "2026-03-09T04:00:00Z") == "3"  # the day had 23 hours


def test_the_day_of_twenty_five_hours_has_no_hole_and_no_overlap() -> None:
    def half(one: Any, **times: str) -> Any:
        return changed(one, **times)

    first = half(price(amount="1"), effective_from="2026-11-01T00:00:00", effective_to="2026-11-01T01:30:00")
    second = half(price(amount="2"), effective_from="2026-11-01T01:30:00", effective_to="2026-11-02T00:00:00")
    known = prices(first, second)
    begin = datetime(2026, 11, 1, 4, tzinfo=UTC)
    told = [in_force(known, begin + timedelta(minutes=30 * n), NEW_YORK) for n in range(50)]
    assert [str(one.amount) if one else None for one in told] == ["1"] * 3 + ["2"] * 47
    assert in_force(known, begin + timedelta(hours=25), NEW_YORK) is None


def test_rates_of_a_tax_code_by_day() -> None:
    code = record(other_masters()[4])
    assert isinstance(code, TaxCodeRecord)
    assert [code.rate_on(date(2026, 6, 30)), code.rate_on(date(2026, 7, 1))] == [Decimal("0.10"), Decimal("0.12")]
    snapshot = Snapshot()
    snapshot.put(code)
    assert snapshot.rate_of("VAT", date(2030, 1, 1)) == Decimal("0.12")
    assert snapshot.rate_of("none", date(2030, 1, 1)) is None


# ---------------------------------------------------------------- the snapshot


def test_the_snapshot_holds_what_rules_need() -> None:
    snapshot = Snapshot()
    for one in [store(), *other_masters()]:
        snapshot.put(record(one))
    assert snapshot.registers["101"] == {"1", "2", "9"}
    assert snapshot.serial_controlled == {"breakfast"}
    assert snapshot.tax_groups == {"food": frozenset({"STD", "RED"})}
    assert snapshot.customers == {"C1"}
    assert snapshot.accounts == {"ACME": {"4000"}}
    assert snapshot.periods == {"ACME": [(date(2026, 3, 1), date(2026, 3, 31), True)]}
    assert snapshot.mappings == {"urn:pos:test": {"product": {"4711": "milk"}}}
    for one in [store(), *other_masters()]:
        snapshot.put(record(changed(one, active=False, revision=2)))
    assert not any([snapshot.registers, snapshot.serial_controlled, snapshot.tax_groups, snapshot.customers])
    assert not any([snapshot.stores, snapshot.products, snapshot.tenders, snapshot.mappings])
    assert snapshot.periods == {"ACME": []}


# ---------------------------------------------------------------- tables


def rows(text: str, kind: type[msgspec.Struct] = ProductRecord) -> list[Any]:
    return list(read_table(text, kind))


def test_a_table_has_lists_and_pairs_in_its_cells() -> None:
    text = (
        "sku,name,gtins,units,components,active\n"
        '"a","two\nlines",96385074|4006381333931,CS=24|SIX=6,cup=1|saucer=0.5 KG,\n'
        "\n"
        "b,;,,,,false\n"
    )
    first, second = rows(text)
    assert (first.row, second.row) == (2, 5)
    assert first.fields == {
        "sku": "a",
        "name": "two\nlines",
        "gtins": ["96385074", "4006381333931"],
        "units": {"CS": "24", "SIX": "6"},
        "components": [{"sku": "cup", "quantity": "1"}, {"sku": "saucer", "quantity": "0.5", "unit": "KG"}],
    }
    assert second.fields == {"sku": "b", "name": ";", "active": "false"}


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters(delimiter: str) -> None:
    (row,) = rows(delimiter.join(["sku", "name"]) + "\r\n" + delimiter.join(["a", "b, c"]) + "\r\n")
    assert row.fields == {"sku": "a", "name": "b, c"}


@pytest.mark.parametrize(
    ("text", "row", "column"),
    [
        ("", 1, None),
        ("sku,colour\n", 1, "colour"),
        ("sku,sku\n", 1, "sku"),
        ("sku,\n", 1, "(empty)"),
        ('sku,name\na,b\n"c,d\n', 3, None),
    ],
)
def test_what_is_no_table_is_told_with_its_place(text: str, row: int, column: str | None) -> None:
    with pytest.raises(TableError) as told:
        rows(text)
    assert (told.value.row, told.value.column) == (row, column)


def test_a_bad_cell_spoils_its_row_alone() -> None:
    found = rows("sku,units\na,CS\nb,CS=2|CS=3\nc\nd,CS=4\n")
    assert [(one.row, one.column, bool(one.error)) for one in found] == [
        (2, "units", True),
        (3, "units", True),
        (4, None, True),
        (5, None, False),
    ]


@pytest.mark.parametrize("one", other_masters(), ids=lambda one: one["type"])
def test_what_is_written_as_a_table_reads_back_the_same(one: Any) -> None:
    written = record(one)
    text = "".join(write_table([written], type(written)))
    (row,) = rows(text, type(written))
    assert msgspec.convert(row.fields, type(written), strict=False) == written


# ---------------------------------------------------------------- translation


def translator(*records: Any) -> Translator:
    snapshot = Snapshot()
    for one in records:
        made: MasterRecord = record(one)
        assert isinstance(made, MappingRecord)
        snapshot.put(made)
    return Translator(snapshot)


MAPPINGS = (
    mapping("product", "4711", "milk"),
    mapping("unit", "PCE", "EA"),
    mapping("tax_code", "A", "STD"),
    mapping("tender", "BAR", "cash"),
    mapping("customer", "77", "C1"),
)


def test_every_external_identifier_becomes_ours() -> None:
    theirs = sale(
        1,
        line("4711", "2", unit="PCE", tax=("A", "0.40")),
        line("bread"),
        customer="77",
        tenders=[tender("6.40", "BAR")],
    )
    ours = sale(1, line("milk", "2", unit="EA", tax=("STD", "0.40")), line("bread"), customer="C1",
                tenders=[tender("6.40", "cash")])  # fmt: skip
    decoded = MESSAGE_DECODER.decode(raw(theirs))
    made = translator(*MAPPINGS).translate("urn:pos:test", decoded)
    assert made.data == record(ours)
    again = EVENT_DECODER.decode(reencoded(raw({**theirs, "extension": 1.5}), made))
    assert again == EVENT_DECODER.decode(raw(ours))
    assert msgspec.json.decode(reencoded(raw({**theirs, "extension": "x"}), made))["extension"] == "x"


def test_what_has_nothing_to_translate_stays_the_same_object() -> None:
    one = MESSAGE_DECODER.decode(raw(sale(1, line("bread"))))
    assert translator(*MAPPINGS).translate("urn:pos:test", one) is one
    theirs = MESSAGE_DECODER.decode(raw(sale(1, line("4711"))))
    assert translator(*MAPPINGS).translate("urn:another", theirs) is theirs
    assert translator().translate("urn:pos:test", theirs) is theirs
    moved = MESSAGE_DECODER.decode(raw(movement("D", [("4711", "2")], unit="PCE")))
    made = translator(*MAPPINGS).translate("urn:pos:test", moved)
    assert [(one.sku, one.unit) for one in made.data.lines] == [("milk", "EA")]
