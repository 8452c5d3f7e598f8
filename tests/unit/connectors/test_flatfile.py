"""Flat files: what is read, what is refused, and where a row that cannot be mapped says it was."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tillwire.connectors.flatfile import SPEC
from tillwire.connectors.flatfile.lines import Lines
from tillwire.connectors.inbound import MalformedError, Record, body_source
from tillwire.errors import ConfigurationError
from tillwire.model.event import DAY_CLOSED, MASTER_TENDER, TRANSACTION

Settings = dict[str, Any]
SALE: Settings = {
    "group_by": ["no"],
    "events": [
        {
            "type": "transaction",
            "fields": {
                "store": {"constant": "101"},
                "register": {"constant": "1"},
                "business_date": {"constant": "2026-03-02"},
                "sequence": {"column": "no"},
                "kind": {"constant": "sale"},
                "currency": {"constant": "USD"},
                "total": {"column": "total"},
            },
            "lists": [
                {
                    "into": "lines",
                    "fields": {
                        "sku": {"column": "sku"},
                        "quantity": {"column": "qty"},
                        "unit_price": {"column": "price"},
                        "amount": {"product": ["quantity", "unit_price"]},
                    },
                }
            ],
        }
    ],
}
HEAD = "no,sku,qty,price,total\n"


def sale(**more: Any) -> Settings:
    return {**copy.deepcopy(SALE), **more}


def with_field(path: str, **field: Any) -> Settings:
    settings = sale()
    event = settings["events"][0]
    name, _, inner = path.partition(".")
    if name == "lines":
        event["lists"][0]["fields"][inner] = field
    else:
        event["fields"][path] = field
    return settings


def read(body: bytes | str, settings: Settings | None = None) -> list[Record]:
    raw = body if isinstance(body, bytes) else body.encode()
    return list(SPEC.configure(settings or SALE, of="test").read(body_source(raw)))


def data(record: Record) -> Any:
    assert not record.troubles, record.troubles
    (event,) = record.events
    return event.data


def trouble(record: Record) -> str:
    assert not record.events
    (one,) = record.troubles
    assert one.code == "schema_drift"
    assert one.pointer
    return one.message


def tender(**more: Any) -> Settings:
    """The smallest mapping: one row, one record."""
    fields = {"type": {"column": "t"}, "name": {"column": "n"}, "revision": {"column": "r"}}
    return {"events": [{"type": "master.tender", "fields": fields}], **more}


# ---------------------------------------------------------------- rows and groups


def test_rows_of_one_key_are_one_transaction() -> None:
    first, second = read(HEAD + "1,milk,2,1.50,8.00\n1,bread,1,5.00,8.00\n2,milk,1,1.50,1.50\n")
    assert [line.sku for line in data(first).lines] == ["milk", "bread"]
    assert data(first).lines[0].amount == Decimal("3.00")
    assert (first.place, second.place) == ("lines 2-3", "line 4")
    assert first.raw == (HEAD + "1,milk,2,1.50,8.00\n1,bread,1,5.00,8.00\n").encode()
    assert first.claims[0].amount == Decimal("8.00")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("2,milk,x,1.50,1.50", "line 3, column qty: 'x' is no number"),
        ("2,milk,1,1.50,12,50", "has 6 columns, and there are 5"),
        ("2,milk,1", "has 3 columns"),
        ("two,milk,1,1.50,1.50", "column no: 'two' is no number"),
        ("2,,1,1.50,1.50", "column sku: '' lines.sku: needs a value"),
        ("2," + "m" * 80 + ",1,1.50,1.50", "lines.sku: Expected `str` of length <= 64"),
        ("2,milk,1,1.50,1e3", "'1e3' is no number"),
        ("2,milk,1,1.50,NaN", "'NaN' is no number"),
        ("2,milk,1,1.50,9999999999999999", "below 10^15"),
        ("2,mi\x00lk,1,1.50,1.50", "NUL"),
        ("-2,milk,1,1.50,1.50", "sequence"),
        ("2.5,milk,1,1.50,1.50", "is no whole number"),
        ('2,"milk"x,1,1.50,1.50', "expected after"),
        (",milk,1,1.50,1.50", "group_by"),
    ],
)
def test_a_row_that_cannot_be_mapped_says_where_and_spares_its_neighbours(row: str, words: str) -> None:
    before, bad, after = read(HEAD + f"1,milk,1,1.50,1.50\n{row}\n3,milk,1,1.50,1.50\n")
    assert words in trouble(bad)
    assert "line 3" in bad.troubles[0].pointer
    assert data(before).sequence == 1
    assert data(after).sequence == 3


def test_a_bad_row_takes_its_whole_group() -> None:
    body = HEAD + "1,milk,1,1.50,3.00\n1,milk,1,1.50\n1,milk,1,1.50,3.00\n2,milk,1,1.50,1.50\n"
    bad, good = read(body)
    assert trouble(bad).startswith("line 3: has 4 columns")
    assert bad.troubles[0].store == "101"
    assert bad.troubles[0].amount == Decimal("3.00")
    assert data(good).sequence == 2


def test_rows_that_are_not_adjacent_are_a_trouble() -> None:
    first, _, again = read(HEAD + "1,a,1,1,1\n2,a,1,1,1\n1,b,1,1,1\n")
    assert data(first).sequence == 1
    assert "line 2 already" in trouble(again)


def test_rows_of_a_group_that_contradict_each_other_are_a_trouble() -> None:
    (bad,) = read(HEAD + "1,a,1,1,2\n1,b,1,1,3\n")
    assert "'3' differs from '2' in line 2" in trouble(bad)


def test_an_unclosed_quote_costs_one_row() -> None:
    rows = [f"{number},milk,1,1.50,1.50" for number in range(2, 300)]
    records = read(HEAD + '1,"milk,1,1.50,1.50\n' + "\n".join(rows) + "\n")
    assert len(records) == 299
    assert "quoted text" in trouble(records[0])
    assert [data(record).sequence for record in records[1:]] == list(range(2, 300))


def test_blank_lines_comments_and_padding_are_read_over() -> None:
    body = "# made by hand\n\n" + HEAD + "\n1,milk,1,1.50,1.50\n  \n# end\n\x1a\x00\x00"
    (record,) = read(body, sale(comment="#"))
    assert data(record).sequence == 1


def test_quoted_texts_may_span_lines_and_hold_delimiters() -> None:
    (record,) = read(HEAD + '1,"mi""lk,\n1 l",1,1.50,1.50\n')
    assert data(record).lines[0].sku == 'mi"lk,\n1 l'
    assert record.place == "lines 2-3"


def test_headers_are_found_by_name_whatever_their_order_case_and_blanks() -> None:
    (record,) = read(" TOTAL ;Price; qty;SKU;No\n1.50;1.50;1;milk;1\n", sale(delimiter=";"))
    assert data(record).total == Decimal("1.50")


def test_without_header_columns_go_by_name_or_number() -> None:
    settings = tender(header=False)
    settings["events"][0]["fields"] = {"type": {"column": "1"}, "name": {"column": "3"}, "revision": {"column": "2"}}
    (record,) = read("cash,7,Cash\n", settings)
    assert data(record).name == "Cash"
    settings = tender(header=False, columns=["t", "r", "n"])
    (record,) = read("cash,7,Cash\n", settings)
    assert (data(record).name, data(record).revision) == ("Cash", 7)


def test_longer_rows_are_read_if_nothing_is_in_them() -> None:
    (record,) = read(HEAD + "1,milk,1,1.50,1.50,,\n")
    assert data(record).sequence == 1


def test_files_without_rows_say_so() -> None:
    (record,) = read(HEAD)
    assert record.ignored == "no rows"
    assert read(record.raw) == [record]


# ---------------------------------------------------------------- files as a whole


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"\n \n\x00\n", "no header line"),
        (b"no,sku,qty,price\n1,milk,1,1.50\n", "no column 'total'"),
        (b"no,sku,qty,price,total,Total\n", "several columns"),
        (b"no,sku,\xff\xfe,price,total\n", "byte 0xff"),
        (HEAD.encode() + b"x" * 2_000_000, "longer than"),
    ],
)
def test_a_file_that_is_none_is_malformed(body: bytes, words: str) -> None:
    with pytest.raises(MalformedError, match=words) as raised:
        read(body)
    assert raised.value.place


def test_a_file_in_which_nothing_fits_fails_as_a_whole() -> None:
    body = HEAD + "".join(f"{number},milk,x,1,1\n" for number in range(1, 30))
    with pytest.raises(MalformedError, match="most_troubles"):
        read(body, sale(most_troubles=20))
    with pytest.raises(MalformedError, match="most_group_rows"):
        read(HEAD + "1,milk,1,1,1\n" * 30, sale(most_group_rows=20))


@pytest.mark.parametrize(
    ("encoding", "configured"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "cp1252"),
        ("utf-16", "utf-8"),
        ("utf-16-be", "utf-16-be"),
        ("utf-16-le", "utf-16"),
        ("utf-32", "utf-8"),
        ("cp1252", "cp1252"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_marks_and_line_ends(encoding: str, configured: str, end: str) -> None:
    body = end.join(["no,sku,qty,price,total", "1,Müsli,1,1.50,1.50", "2,Käse,1,2.00,2.00", ""])
    records = read(body.encode(encoding), sale(encoding=configured))
    assert [data(record).lines[0].sku for record in records] == ["Müsli", "Käse"]
    for record in records:
        assert [one.events for one in read(record.raw, sale(encoding=configured))] == [record.events]


def test_shift_jis_whose_second_bytes_are_delimiters() -> None:
    body = (HEAD + "1,表ソ能,1,150,150\n").encode("shift_jis")
    settings = sale(encoding="shift_jis")
    (record,) = read(body, settings)
    assert data(record).lines[0].sku == "表ソ能"


def test_bytes_of_another_encoding_are_a_trouble_of_their_row() -> None:
    body = HEAD.encode() + b"1,K\xe4se,1,1.50,1.50\n2,milk,1,1.50,1.50\n"
    bad, good = read(body)
    assert "byte 0xe4 at 4 is not utf-8" in trouble(bad)
    assert data(good).sequence == 2


def test_lines_are_split_alike_whatever_the_pieces_that_come() -> None:
    class Slow:
        """A stream that gives little at a time."""

        def __init__(self, content: bytes) -> None:
            self.content = content

        def read(self, size: int) -> bytes:
            piece, self.content = self.content[: min(size, 3)], self.content[min(size, 3) :]
            return piece

    for encoding in ("utf-8", "utf-16", "utf-32-be"):
        body = "a,b\r\nĊ,ਊ\n\nlast".encode(encoding)
        lines = list(Lines(Slow(body), encoding, most_bytes=100))  # type: ignore[arg-type]
        assert [line.text for line in lines] == ["a,b\r\n", "Ċ,ਊ\n", "\n", "last"]


# ---------------------------------------------------------------- record types, counts and totals

BATCH: Settings = {
    "header": False,
    "discriminator": "1",
    "rows": {
        "F": {"role": "header", "columns": ["k", "store", "day"]},
        "H": {"starts": True, "columns": ["k", "no", "total"]},
        "L": {"columns": ["k", "sku", "amount"]},
        "X": {"role": "ignored"},
        "E": {"role": "trailer", "columns": ["k", "rows", "total"]},
    },
    "events": [
        {
            "type": "transaction",
            "fields": {
                "store": {"header": "store"},
                "register": {"constant": "1"},
                "business_date": {"header": "day"},
                "sequence": {"column": "no"},
                "kind": {"constant": "sale"},
                "currency": {"constant": "USD"},
                "total": {"sum": ["lines.amount"]},
            },
            "claim": {"column": "total"},
            "lists": [
                {
                    "into": "lines",
                    "rows": ["L"],
                    "fields": {
                        "sku": {"column": "sku"},
                        "quantity": {"constant": "1"},
                        "unit_price": {"column": "amount"},
                        "amount": {"column": "amount"},
                    },
                }
            ],
        }
    ],
    "checks": [
        {"claimed": {"column": "rows"}, "extra": 2},
        {"claimed": {"column": "total"}, "rows": ["H"], "sum": {"column": "total"}},
    ],
}
GOOD = "F,101,2026-03-02\nH,1,3.00\nL,a,1.00\nL,b,2.00\nH,2,5.00\nL,a,5.00\n"


def test_records_of_several_rows_with_counts_and_totals() -> None:
    records = read(GOOD + "E,7,8.00\n", BATCH)
    assert [data(record).total for record in records] == [Decimal("3.00"), Decimal("5.00")]
    assert [record.claims[0].amount for record in records] == [Decimal("3.00"), Decimal("5.00")]
    for record in records:
        assert b"E,7" not in record.raw
        assert [one.events for one in read(record.raw, BATCH)] == [record.events]


@pytest.mark.parametrize(
    ("body", "place", "words"),
    [
        (GOOD + "E,8,8.00\n", "line 7, column rows", "says 8, and the rows that were read are 7"),
        (GOOD + "E,7,9.00\n", "line 7, column total", "says 9.00, and the rows that were read add up to 8.00"),
        (GOOD, "line 6", "without its trailer"),
        (GOOD + "E,7,8.00\nL,c,1.00\n", "line 8", "after the trailer"),
        (GOOD + "E,7,8.00\nE,7,8.00\n", "line 8", "second trailer"),
        (GOOD + "E,x,8.00\n", "line 7", "'x' is no number"),
        (GOOD + "E,,8.00\n", "line 7, column rows", "is empty"),
        (GOOD + "E,7\n", "line 7", "has 2 columns"),
        (GOOD[17:] + "E,7,8.00\n", "line 1", "begin with its header"),
        (GOOD + GOOD + "E,7,8.00\n", "line 7", "second header"),
    ],
)
def test_a_file_that_contradicts_itself_has_no_effect(body: str, place: str, words: str) -> None:
    with pytest.raises(MalformedError, match=words) as raised:
        read(body, BATCH)
    assert raised.value.place == place


def test_two_files_in_one_are_both_held() -> None:
    assert len(read((GOOD + "E,7,8.00\n") * 2, copy.deepcopy(BATCH))) == 4


def test_a_total_that_cannot_be_checked_is_raised_beside_the_row() -> None:
    body = GOOD.replace("H,2,5.00", "H,2,5.x0") + "E,7,8.00\n"
    first, bad, total = read(body, BATCH)
    assert data(first).sequence == 1
    assert "5.x0" in trouble(bad)
    assert "cannot be checked" in trouble(total)
    (alone,) = read(total.raw, BATCH)
    assert alone.ignored


def test_rows_of_other_kinds() -> None:
    ignored, *_ = read("F,101,2026-03-02\nX,whatever\nE,2,0\n", BATCH)
    assert ignored.ignored == "row of kind X"
    (orphan,) = read("F,101,2026-03-02\nL,a,1.00\nE,3,0\n", BATCH)
    assert "before any that begins a group" in trouble(orphan)
    unknown, good = read("F,101,2026-03-02\nH,1,1.00\nL,a,1.00\nQ,1\nH,2,1.00\nL,a,1.00\nE,7,2.00\n", BATCH)
    assert "'Q', which is no kind of row" in trouble(unknown)
    assert data(good).sequence == 2


def test_rows_that_make_nothing_are_never_silent() -> None:
    settings = sale()
    settings["events"][0]["lists"][0]["when"] = [{"column": "sku", "not_in": ["odd"]}]
    (bad,) = read(HEAD + "1,milk,1,1,1\n1,odd,1,1,1\n", settings)
    assert "fits no list" in trouble(bad)


def test_groups_that_fit_no_event_are_raised_or_ignored() -> None:
    settings = sale()
    settings["events"][0]["when"] = [{"column": "sku", "is_in": ["milk"]}]
    assert "no event" in trouble(read(HEAD + "1,x,1,1,1\n", settings)[0])
    settings["other_groups"] = "ignored"
    assert read(HEAD + "1,x,1,1,1\n", settings)[0].ignored


# ---------------------------------------------------------------- fixed width and JSON

FIXED: Settings = {
    "format": "fixed",
    "spans": {"t": "1-4", "r": "5-8", "n": "9-20"},
    "events": tender()["events"],
}


def test_fixed_width() -> None:
    (record,) = read("cash0007Cash on hand\n", FIXED)
    assert data(record) == msgspec.convert({"type": "cash", "revision": 7, "name": "Cash on hand"}, type(data(record)))
    (trimmed,) = read("cash0007Cash\n", FIXED)
    assert data(trimmed).name == "Cash"
    (cut,) = read("cash00\n", FIXED)
    assert "cut off" in trouble(cut)


def test_fixed_width_without_line_ends() -> None:
    settings = {**FIXED, "record_length": 20, "encoding": "cp037"}
    body = "".join(f"t{number:03}{number:04}{'name':<12}" for number in range(1, 4)).encode("cp037")
    records = read(body + b"\x40" * 7, settings)
    assert [data(record).revision for record in records] == [1, 2, 3]
    records = read(body + "x".encode("cp037"), settings)
    assert "has 1 bytes" in trouble(records[3])


def json_settings() -> Settings:
    settings = sale(format="json", group_by=[])
    fields = settings["events"][0]["fields"]
    fields["customer"] = {"column": "buyer.id", "optional": True}
    settings["events"][0]["lists"][0]["each"] = "items"
    return settings


def order(**more: Any) -> dict[str, Any]:
    return {"no": 2**53 + 1, "total": "3.00", "items": [{"sku": "a", "qty": 2, "price": "1.50"}], **more}


def test_json_lines() -> None:
    body = json.dumps(order(buyer={"id": 2**60 + 1})) + "\n\n" + json.dumps(order(no=2, buyer=None))
    first, second = read(body, json_settings())
    assert data(first).sequence == 2**53 + 1
    assert data(first).customer == str(2**60 + 1)
    assert data(second).customer is None
    assert data(first).lines[0].amount == Decimal("3.00")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "no JSON"),
        ("[1]", "no JSON object"),
        ("17", "no JSON object"),
        ('{"no":1,"no":2}', "occurs twice"),
        ('{"no":NaN}', "no number of JSON"),
        ("[" * 100_000, "nested too deep"),
        (json.dumps(order(total=None)), "total: needs a value"),
        (json.dumps(order(total=[1])), "not one value"),
        (json.dumps(order(total=True)), "is true, not a decimal"),
        (json.dumps(order(items={})), "is no list"),
        (json.dumps(order(items=[1])), "is no object"),
        (json.dumps({"no": 1, "total": "1"}), "items: is missing"),
        (json.dumps({"no": 1, "items": []}), "total: is missing"),
        ('{"no":1,"total":1e400,"items":[]}', "below 10^15"),
        ('{"no":' + "9" * 5000 + ',"total":1,"items":[]}', "line 1"),
    ],
)
def test_json_that_does_not_fit(line: str, words: str) -> None:
    bad, good = read(line + "\n" + json.dumps(order(no=5)), json_settings())
    assert words in trouble(bad)
    assert data(good).sequence == 5


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("text", "more", "expected"),
    [
        ("12.50", {}, "12.50"),
        ("-12.50", {}, "-12.50"),
        ("12.50-", {}, "-12.50"),
        ("(12.50)", {}, "-12.50"),
        ("+.5", {}, "0.5"),
        ("1250", {"decimals": 2}, "12.50"),
        ("12.5", {"decimals": 2}, "12.5"),
        ("000001250", {"decimals": 2}, "12.50"),
        ("1'234.50", {"thousands_separator": "'"}, "1234.50"),
        ("7", {"factor": "0.01"}, "0.07"),
        ("-3", {"absolute": True}, "3"),
        ("3", {"negate": True}, "-3"),
        ("", {"default": "0"}, "0"),
        ("NULL", {"empty": ["NULL"], "default": "1"}, "1"),
        ("EUR 9.99", {"pattern": "[0-9.]+"}, "9.99"),
        ("low", {"lookup": "prices"}, "1.5"),
    ],
)
def test_numbers(text: str, more: dict[str, Any], expected: str) -> None:
    settings = with_field("total", column="total", **more)
    settings["tables"] = {"prices": {"low": "1.5"}}
    (record,) = read(HEAD + f"1,milk,1,1,{text}\n", settings)
    assert data(record).total == Decimal(expected)


@pytest.mark.parametrize("text", ["12.50", "1.2345,0", "1,2,3", "1.23", "12 50", "1.234.56"])
def test_decimal_commas_are_not_guessed(text: str) -> None:
    settings = sale(decimal_separator=",", thousands_separator=".", delimiter=";")
    (record,) = read("no;sku;qty;price;total\n" + f"1;milk;1;1,00;{text}\n", settings)
    assert "is no number" in trouble(record)


def test_signs_by_a_column() -> None:
    field = {"column": "total", "sign_column": "sku", "negative": ["CR"], "positive": ["DR"]}
    settings = with_field("total", **field)
    records = read(HEAD + "1,CR,1,1,5\n2,DR,1,1,-5\n3,?,1,1,5\n", settings)
    assert [data(record).total for record in records[:2]] == [Decimal(-5), Decimal(5)]
    assert "column sku: '?'" in trouble(records[2])


@pytest.mark.parametrize(
    ("text", "more", "expected"),
    [
        ("2026-03-02", {}, date(2026, 3, 2)),
        ("20260302", {}, date(2026, 3, 2)),
        ("02.03.26", {"format": "%d.%m.%y"}, date(2026, 3, 2)),
        ("2026-03-02T23:59:00Z", {}, date(2026, 3, 2)),
        ("31/02/2026", {"format": "%d/%m/%Y"}, "no date of the form"),
        ("0000-00-00", {}, "no date"),
        ("2026-W10-1", {}, "no date"),
    ],
)
def test_dates(text: str, more: dict[str, Any], expected: date | str) -> None:
    (record,) = read(HEAD + f"1,{text},1,1,1\n", with_field("business_date", column="sku", **more))
    if isinstance(expected, str):
        assert expected in trouble(record)
    else:
        assert data(record).business_date == expected


@pytest.mark.parametrize(
    ("text", "more", "expected"),
    [
        ("2026-07-01T12:00:00", {"time_zone": "America/New_York"}, datetime(2026, 7, 1, 16, tzinfo=UTC)),
        ("2026-07-01T12:00:00.1234567Z", {}, datetime(2026, 7, 1, 12, microsecond=123456, tzinfo=UTC)),
        ("1782907200", {"format": "epoch"}, datetime(2026, 7, 1, 12, tzinfo=UTC)),
        ("1782907200000", {"format": "epoch_ms"}, datetime(2026, 7, 1, 12, tzinfo=UTC)),
        ("20260701 1200 +0200", {"format": "%Y%m%d %H%M %z"}, datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("2026-07-01T12:00:00", {}, "has no zone"),
        ("1899-12-30T00:00:00Z", {}, "between 1970"),
        ("99999999999999999999", {"format": "epoch"}, "no time"),
        ("noon", {}, "no time"),
    ],
)
def test_times(text: str, more: dict[str, Any], expected: datetime | str) -> None:
    (record,) = read(HEAD + f"1,{text},1,1,1\n", with_field("ended_at", column="sku", **more))
    if isinstance(expected, str):
        assert expected in trouble(record)
    else:
        assert data(record).ended_at == expected
        assert record.events[0].time == expected


def test_texts_lookups_and_booleans() -> None:
    settings = with_field("lines.voided", column="qty")
    settings["events"][0]["fields"]["register"] = {"column": "sku", "strip_zeros": True, "upper": True, "cut": 5}
    settings["events"][0]["lists"][0]["fields"]["quantity"] = {"constant": "1"}
    first, second = read(HEAD + "1,000a/b|c,Y,1,1\n2,0,maybe,1,1\n", settings)
    assert data(first).register == "A-B-C"
    assert data(first).lines[0].voided
    assert "'maybe' is no word for true or false" in trouble(second)
    unknown = with_field("kind", column="sku", lookup="kinds")
    unknown["tables"] = {"kinds": {"S": "sale"}}
    assert "'Q' is not in the table 'kinds'" in trouble(read(HEAD + "1,Q,1,1,1\n", unknown)[0])
    assert "is none of sale, return" in trouble(read(HEAD + "1,Q,1,1,1\n", with_field("kind", column="sku"))[0])


def test_parts_lists_and_maps() -> None:
    fields: Settings = {
        "sku": {"column": "sku"},
        "name": {"column": "sku"},
        "product_class": {"constant": "X"},
        "revision": {"column": "day", "type": "date"},
        "gtins": {"column": "codes", "split": ";"},
        "units.CASE": {"column": "case", "optional": True},
    }
    settings = {"events": [{"type": "master.product", "fields": fields}]}
    (record,) = read("sku,day,codes\na,2026-03-02,1; 2 ;\n", settings)
    assert (data(record).gtins, data(record).units, data(record).revision) == (("1", "2"), {}, 20260302)
    (record,) = read("sku,day,codes,case\na,2026-03-02,,12\n", settings)
    assert (data(record).gtins, data(record).units) == ((), {"CASE": Decimal(12)})
    closed: Settings = {
        "store": {"column": "s"},
        "business_date": {"column": "d"},
        "currency": {"constant": "USD"},
        "totals.transactions": {"column": "n"},
        "totals.amount": {"column": "a"},
    }
    (record,) = read("s,d,n,a\n7,2026-03-02,3,9.50\n", {"events": [{"type": "day.closed", "fields": closed}]})
    assert record.events[0].type == DAY_CLOSED
    assert data(record).totals.amount == Decimal("9.50")


def test_versions_of_transactions() -> None:
    settings = sale()
    settings["events"][0]["version"] = {"column": "qty"}
    (record,) = read(HEAD + "1,milk,7,1,7\n", settings)
    assert (record.events[0].entity, record.events[0].version) == ("transaction:101/1/2026-03-02/1", 7)


# ---------------------------------------------------------------- the mapping is checked before the first file


def changed(change: Callable[[Settings], Any]) -> Settings:
    settings = sale()
    change(settings)
    return settings


def fields(settings: Settings) -> Settings:
    found: Settings = settings["events"][0]["fields"]
    return found


def lines(settings: Settings) -> Settings:
    found: Settings = settings["events"][0]["lists"][0]
    return found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: fields(s).update(totl={"column": "x"}), r"events\[0\].fields.totl: Transaction has no field 'totl'"),
        (lambda s: fields(s).pop("store"), r"events\[0\].fields: Transaction needs store"),
        (lambda s: s["events"][0].update(type="sale"), "no event type 'sale'; there are transaction"),
        (lambda s: lines(s)["fields"].pop("sku"), r"events\[0\].lists\[0\].fields: Line needs sku"),
        (lambda s: lines(s).update(into="linse"), r"lists\[0\].into: Transaction has no field 'linse'"),
        (lambda s: lines(s).update(into="total"), r"lists\[0\].into: total is no list"),
        (lambda s: fields(s).update(total={"colum": "x"}), r"unknown field `colum` - at `\$.events\[0\].fields"),
        (lambda s: fields(s).update(total={}), "exactly one of"),
        (lambda s: fields(s).update(total={"column": "a", "constant": "1"}), "exactly one of"),
        (lambda s: fields(s).update(total={"constant": "x"}), "'x' is no number"),
        (lambda s: fields(s).update(total={"constant": 1.5}), "events"),
        (lambda s: fields(s).update(kind={"constant": "sold"}), "is none of sale"),
        (lambda s: fields(s).update(kind={"column": "k", "lookup": "kinds"}), "no table 'kinds'; there are none"),
        (lambda s: fields(s).update(total={"column": "a", "type": "date"}), "date cannot become decimal"),
        (lambda s: fields(s).update(store={"column": "a", "pattern": "("}), "pattern"),
        (lambda s: fields(s).update(business_date={"column": "a", "format": "%Y-%m"}), "must have year, month and day"),
        (lambda s: fields(s).update(ended_at={"column": "a", "time_zone": "Mars/North"}), "no IANA time zone"),
        (lambda s: fields(s).update(store={"header": "a"}), "no kind of row has the role header"),
        (lambda s: fields(s).update(store={"column": "a", "negate": True}), "a sign needs a number"),
        (lambda s: fields(s).update(total={"column": "a", "sign_column": "b"}), "belong together"),
        (lambda s: fields(s).update({"lines.sku": {"column": "a"}}), "is a list"),
        (lambda s: fields(s).update(original={"column": "a"}), "map its parts"),
        (lambda s: fields(s).update({"original.store": {"column": "a"}}), "needs original.register"),
        (lambda s: s.update(encoding="utf-9"), "no encoding"),
        (lambda s: s.update(encoding="rot13"), "no encoding of text"),
        (lambda s: s.update(encoding="cp037"), "record_length"),
        (lambda s: s.update(delimiter="||"), "delimiter"),
        (lambda s: s.update(discriminator="k"), "rows: name the kinds"),
        (lambda s: s.update(rows={"A": {}}), "discriminator: name the column"),
        (lambda s: s.update(format="fixed", header=False), "no kind of row has a span"),
        (lambda s: s.update(header=False), "no kind of row has a column"),
        (lambda s: lines(s).update(each="items"), "only JSON has arrays"),
        (lambda s: lines(s).update(when=[{"column": "a"}]), "either is_in or not_in"),
        (lambda s: lines(s).update(rows=["Q"]), "no kind of row 'Q'"),
        (lambda s: s.update(checks=[{"claimed": {"column": "n"}}]), "no kind of row has the role"),
        (lambda s: s["events"][0].update(claim={"constant": "1"}), "claim: it must name a column"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused_by_path(change: Callable[[Settings], Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        SPEC.configure(changed(change), of="connections.franchise")


def test_a_kind_of_row_that_nothing_uses_is_refused() -> None:
    settings = copy.deepcopy(BATCH)
    settings["rows"]["P"] = {"columns": ["k"]}
    with pytest.raises(ConfigurationError, match=r"rows.P: no event uses it"):
        SPEC.configure(settings, of="test")


def test_the_worked_mapping_of_the_guide_is_that_of_the_example() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "connectors" / "flatfile.md").read_text("utf-8")
    whole = next(part for part in guide.split("```") if part.startswith("toml\n[[connections]]"))
    (connection,) = tomllib.loads(whole.removeprefix("toml"))["connections"]
    (example,) = (one for one in SPEC.examples if one.file == "franchise.csv")
    assert connection["settings"] == example.settings
    shown = next(part for part in guide.split("```") if part.startswith("csv\n")).removeprefix("csv\n")
    assert len(read(shown, connection["settings"])) == 2


def test_the_types_of_the_tests() -> None:
    assert read(HEAD + "1,milk,1,1,1\n")[0].events[0].type == TRANSACTION
    assert read("t,n,r\nc,c,1\n", tender())[0].events[0].type == MASTER_TENDER


def test_times_of_the_stores_own_clock_have_no_zone() -> None:
    price: Settings = {
        "sku": {"column": "sku"},
        "currency": {"constant": "EUR"},
        "amount": {"column": "price"},
        "effective_from": {"column": "from"},
        "revision": {"constant": 1},
    }
    settings = {"time_zone": "Europe/Berlin", "events": [{"type": "master.price", "fields": price}]}
    good, day, bad = read("sku,price,from\na,1.5,2026-03-02T06:00\nb,1.5,2026-03-02\nc,1,2026-03-02T06:00Z\n", settings)
    assert data(good).effective_from == datetime(2026, 3, 2, 6)  # noqa: DTZ001
    assert data(day).effective_from == datetime(2026, 3, 2)  # noqa: DTZ001
    assert "names a zone" in trouble(bad)


def test_every_field_of_the_model_can_be_mapped() -> None:
    from tillwire.connectors.flatfile.targets import fields_of
    from tillwire.model.event import MESSAGES

    waiting: list[type[Any]] = list(MESSAGES.values())
    for struct in waiting:
        for name, (target, _) in fields_of(struct).items():
            assert target is not None, f"{struct.__name__}.{name}"
            if target.struct is not None and target.struct not in waiting:
                waiting.append(target.struct)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_parts_of_a_file_with_trailer_are_readable_alone_in_any_encoding(encoding: str) -> None:
    records = read((GOOD + "E,7,8.00\n").encode(encoding), BATCH)
    assert len(records) == 2
    for record in records:
        assert [one.events for one in read(record.raw, BATCH)] == [record.events]


@pytest.mark.parametrize("encoding", ["utf-8", "cp037", "cp500"])
def test_rows_of_one_length_with_header_and_trailer(encoding: str) -> None:
    settings: Settings = {
        "format": "fixed",
        "encoding": encoding,
        "record_length": 24,
        "discriminator": "1",
        "rows": {
            "H": {"role": "header", "spans": {"day": "2-9"}},
            "D": {"spans": {"t": "2-5", "n": "6-15"}},
            "T": {"role": "trailer", "spans": {"count": "2-5"}},
        },
        "events": [
            {
                "type": "master.tender",
                "fields": {
                    "type": {"column": "t"},
                    "name": {"column": "n"},
                    "revision": {"header": "day", "type": "date"},
                },
            }
        ],
        "checks": [{"claimed": {"column": "count"}}],
    }
    rows = ["H20260302", "Dcashcash here", "Dcardcard here", "T0002"]
    body = "".join(row.ljust(24) for row in rows).encode(encoding)
    records = read(body, settings)
    assert [data(record).type for record in records] == ["cash", "card"]
    assert data(records[0]).revision == 20260302
    for record in records:
        assert [one.events for one in read(record.raw, settings)] == [record.events]
    with pytest.raises(MalformedError, match="says 3"):
        read(body.replace("T0002".encode(encoding), "T0003".encode(encoding)), settings)


def test_lines_before_the_header_and_tabs() -> None:
    body = "sep=\t\nexport of 2 March\nno\tsku\tqty\tprice\ttotal\n1\tmilk\t1\t1.50\t1.50\n"
    settings = sale(delimiter="\t", skip_lines=2)
    (record,) = read(body, settings)
    assert data(record).sequence == 1
    assert read(record.raw, settings)[0].events == record.events
