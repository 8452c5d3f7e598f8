"""Master data by the API and by commands: bulk with its statuses, lists, history, look-ups within their budget."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from builders import batch, event, price, store
from driving import exception_codes, load, record
from fixture_types import NewDatabase
from serving import BATCH, Api, problem_of, serving

from tillwire.cli import masterdata as commands
from tillwire.config import Settings


@pytest.fixture(scope="module")
def api(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API that asks for no key; its tests use records of their own."""
    with new_database() as url, serving(url, tmp_path_factory.mktemp("api")) as one:
        yield one


def post(api: Api, kind: str, content: bytes | str, media_type: str = "text/csv", **query: Any) -> Any:
    body = content.encode() if isinstance(content, str) else content
    return api.http.post(f"/v1/masterdata/{kind}", content=body, headers={"Content-Type": media_type}, params=query)


def test_a_table_is_answered_row_by_row(api: Api) -> None:
    table = "sku,name,product_class,gtins\na1,A,x,4006381333931\na2,B,x,4006381333932\n"
    told = post(api, "product", "\ufeff" + table)
    assert told.status_code == 207
    answer = told.json()
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    assert [(error["row"], error["column"]) for error in answer["errors"]] == [(3, "gtins")]
    assert "check digit" in answer["errors"][0]["detail"]
    again = post(api, "product", table.splitlines()[0] + "\n" + table.splitlines()[1])
    assert (again.status_code, again.json()["duplicate"]) == (200, 1)
    whole = post(api, "product", table.replace("a1", "a3"), all_or_nothing="true")
    assert (whole.status_code, whole.json()["accepted"]) == (422, 0)


def test_records_as_json_are_read_back_with_their_versions(api: Api) -> None:
    for name in ("One", "Two"):
        body = b'[{"sku":"j/1","name":"%s","product_class":"x"}]' % name.encode()
        assert post(api, "product", body, "application/json; charset=utf-8").json()["accepted"] == 1
        record(api.database_url)
    assert api.http.get("/v1/masterdata/product/j/1").json()["name"] == "Two"
    versions = api.http.get("/v1/masterdata/product/j/1/versions").json()["versions"]
    assert [(one["revision"], one["record"]["name"]) for one in versions] == [(2, "Two"), (1, "One")]
    page = api.http.get("/v1/masterdata/product", params={"prefix": "j", "q": "two", "most": 1}).json()
    assert [one["sku"] for one in page["records"]] == ["j/1"]
    assert page["after"] is None


@pytest.mark.parametrize(
    ("kind", "content", "media_type", "status"),
    [
        ("product", "sku,colour\n", "text/csv", 400),
        ("product", "", "text/csv", 400),
        ("product", b"sku\n\xff\n", "text/csv", 400),
        ("product", b"{}", "application/json", 400),
        ("product", b"[1", "application/json", 400),
        ("product", b"[" * 100_000, "application/json", 400),
        ("product", b"[" + b"0," * 200_000 + b"0]", "application/json", 413),
        ("product", "sku\n" + "\n" * 200_001, "text/csv", 413),
        ("product", b"x", "application/xml", 415),
        ("colour", b"[]", "application/json", 400),
        ("product", b"[" + b" " * (11 * 1024 * 1024) + b"]", "application/json", 413),
    ],
)
def test_what_is_wrong_as_a_whole_is_a_problem(
    api: Api, kind: str, content: bytes | str, media_type: str, status: int
) -> None:
    problem_of(post(api, kind, content, media_type), status)


@pytest.mark.parametrize("path", ["product/none", "product/none/versions", "prices?store=none&sku=x",
                                  "rates?store=none&code=x"])  # fmt: skip
def test_what_is_not_there(api: Api, path: str) -> None:
    problem_of(api.http.get(f"/v1/masterdata/{path}"), 404)


def test_prices_and_rates_at_a_moment(api: Api) -> None:
    code = event("master.tax-code", {"code": "T1", "name": "T", "rate": "0.1", "revision": 1,
                                     "rates": [{"effective_from": "2026-03-08", "rate": "0.2"}]})  # fmt: skip
    load(api.database_url, store("m1"), code, price("m", "2.00"), price("m", "3.00", since="2026-03-08"))
    asked = {"store": "m1", "sku": "m", "code": "T1"}
    for moment, amount, rate in (("2026-03-08T04:59:59Z", "2.00", "0.1"), ("2026-03-08T00:00:00-05:00", "3.00", "0.2")):
        told = api.http.get("/v1/masterdata/prices", params={**asked, "at": moment}).json()
        assert [one["amount"] for one in told["prices"]] == [amount]
        assert api.http.get("/v1/masterdata/rates", params={**asked, "at": moment}).json()["rate"] == rate
    problem_of(api.http.get("/v1/masterdata/prices", params={**asked, "at": "2026-03-08T00:00:00"}), 400)


def test_a_look_up_among_many_prices_is_fast(api: Api) -> None:
    load(api.database_url, store("f1"))
    table = "sku,currency,amount,effective_from,store\n"
    rows = [f"f{n // 5},USD,{n}.00,202{n % 5}-01-01,{'f1' if n % 2 else ''}\n" for n in range(20_000)]
    for start in range(0, len(rows), 5000):
        assert post(api, "price", table + "".join(rows[start : start + 5000])).json()["accepted"] == 5000
    record(api.database_url)
    delays = []
    for n in range(300):
        asked = {"store": "f1", "sku": f"f{n * 13 % 4000}", "at": "2026-03-08T12:00:00Z"}
        started = time.monotonic()
        told = api.http.get("/v1/masterdata/prices", params=asked).json()
        delays.append(time.monotonic() - started)
        assert len(told["prices"]) == 1
    # The budget is 10 ms at the p99, measured by the benchmark; half of all look-ups hold it on any machine.
    assert statistics.median(delays) < 0.01


def test_prices_by_the_way_of_events_have_the_same_lane(api: Api) -> None:
    assert api.post(batch([price("e1"), price("e1", revision=2, amount="3.00")]), BATCH).json()["accepted"] == 2
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        assert connection.execute("SELECT DISTINCT partition FROM intake_queue").fetchall() == [(17,)]
    record(api.database_url)


def test_commands_import_list_show_and_export(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    settings = Settings(database_url=database_url)
    monkeypatch.setattr(commands, "settings_of", lambda _: settings)
    monkeypatch.setattr(commands, "connect", lambda _: psycopg.connect(database_url, autocommit=True))
    file = tmp_path / "products.csv"
    file.write_text("sku,name,product_class,units\na,A,x,CS=12\nb,B,x,\n")
    assert commands.master_import("product", file) == 0
    record(database_url)
    capfdbinary.readouterr()
    commands.master_export("product")
    table = capfdbinary.readouterr().out
    assert table.startswith(b"revision,active,sku,name,")
    file.write_bytes(table)
    assert commands.master_import("product", file) == 0
    commands.master_list("product", prefix="a")
    assert commands.master_show("product", "a", versions=True) == 0
    shown = capfdbinary.readouterr().out
    assert b"2 duplicate" in shown
    assert b'"CS": "12"' in shown
    assert commands.master_show("product", "none") == 1
    file.write_text("sku,name,product_class\n,A,x\n")
    assert commands.master_import("product", file) == 1
    file.write_text("colour\nred\n")
    assert commands.master_import("product", file) == 1
    listed = tmp_path / "tenders.json"
    listed.write_text('[{"type": "cash", "name": "Cash"}]')
    assert commands.master_import("tender", listed) == 0


def test_the_worked_example_of_the_guide_works(api: Api) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "howto" / "master-data.md").read_text("utf-8")
    tables = dict(re.findall(r"cat > (\w+)s\.csv <<'CSV'\n(.*?)CSV\n", guide, re.DOTALL))
    assert list(tables) == ["product", "price"]
    shop = re.search(r"BASE/store .*?-d '(\[.*?\])'", guide, re.DOTALL)
    mapped = re.search(r"printf '(.*?)' > mappings.csv", guide)
    assert shop
    assert mapped
    assert post(api, "store", shop.group(1), "application/json").json()["accepted"] == 1
    assert post(api, "mapping", mapped.group(1).replace("\\n", "\n")).json()["accepted"] == 2
    # Other tests of this module use the guide's GTINs.
    tables["product"] = tables["product"].replace("4006381333931|96385074", "00012348")
    for kind, table in tables.items():
        told = post(api, kind, table).json()
        assert (told["accepted"], told["errors"]) == (table.count("\n") - 1, [])
    record(api.database_url)
    for kind, table in tables.items():
        assert post(api, kind, table).json()["unchanged"] == table.count("\n") - 1
    asked = re.findall(r"BASE(/prices\S+)\" .*# ([\d.]+),", guide)
    assert len(asked) == 2
    for path, amount in asked:
        (told,) = api.http.get(f"/v1/masterdata{path}").json()["prices"]
        assert told["amount"] == amount
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        assert "price_overlap" not in exception_codes(connection)
