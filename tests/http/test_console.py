"""The console's pages: who may open which, what is shown of whose stores, and that texts are shown and never run."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Iterator
from urllib.parse import quote

import httpx2
import psycopg
import pytest
from console_kit import HOSTILE, TOML, fill, number_of
from console_routes import FORMS, PAGES
from driving import record, rows, scalar
from fixture_types import NewDatabase
from serving import Api, serving

from tillwire.console.exceptions import ACTIONS
from tillwire.console.transactions import amount_of
from tillwire.events.partitions import partition_of
from tillwire.governance import audit
from tillwire.governance.access import EVERYTHING, ROLES, Grant, Operation
from tillwire.governance.clients import add_client

DAY = "2026-03-02"
KEY = "7101/1/2026-03-02/2"


@pytest.fixture(scope="module")
def hub(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("console")
    (folder / "tillwire.toml").write_text(TOML)
    with new_database() as url:
        fill(url)
        with serving(url, folder, HTTP_API_KEYS="required") as one:
            yield one


@pytest.fixture(scope="module")
def db(hub: Api) -> Iterator[psycopg.Connection]:
    with psycopg.connect(hub.database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def keys(db: psycopg.Connection) -> dict[str, str]:
    """A key for each role, one for everything, and one for everything in the stores of one company."""
    made = {name: add_client(db, name, [Grant(operations=operations)]) for name, operations in ROLES.items()}
    made["everything"] = add_client(db, "everything", [Grant(operations=EVERYTHING)])
    made["another"] = add_client(db, "another", [Grant(operations=EVERYTHING)])
    made["north"] = add_client(db, "north", [Grant(operations=EVERYTHING, companies=("NORTH",))])
    return made


def get(hub: Api, key: str, path: str) -> httpx2.Response:
    return hub.http.get(path, headers={"Authorization": f"Bearer {key}"} if key else {})


def post(hub: Api, key: str, path: str, **form: str) -> httpx2.Response:
    return hub.http.post(path, data=form, headers={"Authorization": f"Bearer {key}"} if key else {})


def example(path: str, db: psycopg.Connection) -> str:
    """A page that there is."""
    exception_id = scalar(db, "SELECT min(exception_id) FROM exception")
    name = scalar(db, "SELECT md5(cause) FROM exception ORDER BY exception_id LIMIT 1")
    known = {"number": "7101", "day": DAY, "key": KEY, "exception_id": exception_id, "action": "nothing", "name": name}
    known |= {"store": "7101", "sku": "milk", "kind": "store", "record": "7101"}
    known |= {"partition": partition_of("7101"), "offset": 0}
    found = re.sub(r"\{(\w+)\}", lambda match: str(known[match[1]]), path)
    if path == "/posting/journal":
        found += f"?reference={quote(scalar(db, 'SELECT min(reference) FROM journal'))}&line=1"
    return found


def test_every_page_opens_for_whom_it_is(hub: Api, db: psycopg.Connection, keys: dict[str, str]) -> None:
    wrong = []
    for path, operation in PAGES.items():
        if path == "/live":
            continue  # it never ends; see below
        there = example(path, db)
        assert get(hub, "", there).status_code == 303
        for role, operations in ROLES.items():
            expected = 200 if operation in operations else 403
            if path.startswith("/account"):
                expected = 404  # a key is no session
            if path == "/" and expected == 403:
                expected = 303  # to the first page that is theirs
            answer = get(hub, keys[role], there)
            if answer.status_code != expected:
                wrong.append(f"{role} {there}: {answer.status_code}, not {expected}")
            if answer.headers["content-type"].startswith("text/html"):
                assert "default-src 'none'" in answer.headers["content-security-policy"], there
                assert not re.search(r"<script(?![^>]*src=)|<style|style=|onclick|javascript:", answer.text), there
    assert wrong == []


def test_every_form_is_refused_to_whom_it_is_not(hub: Api, db: psycopg.Connection, keys: dict[str, str]) -> None:
    wrong = []
    for path, operation in FORMS.items():
        there = example(path, db)
        assert post(hub, "", there).status_code == 401, there
        for role, operations in ROLES.items():
            answer = post(hub, keys[role], there)
            if (answer.status_code == 403) == (operation in operations):
                wrong.append(f"{role} {there}: {answer.status_code}")
            assert answer.status_code < 500
    one = scalar(db, "SELECT min(exception_id) FROM exception")
    for action, (operation, _) in ACTIONS.items():
        for role, operations in ROLES.items():
            answer = post(hub, keys[role], f"/exceptions/{one}/{action}", payload="{}")
            allowed = {operation, Operation.READ_EXCEPTIONS} <= operations
            if (answer.status_code == 403) == allowed:
                wrong.append(f"{role} {action}: {answer.status_code}")
    assert wrong == []


def test_changes_are_told_to_whom_looks(hub: Api, db: psycopg.Connection, keys: dict[str, str]) -> None:
    headers = {"Authorization": f"Bearer {keys['viewer']}"}
    assert hub.http.get("/live").status_code == 303
    deadline = time.monotonic() + 30
    with hub.http.stream("GET", "/live", headers=headers) as stream:
        for line in stream.iter_lines():
            assert time.monotonic() < deadline
            if line.startswith("event: beat"):
                db.execute("UPDATE event_partition SET next_offset = next_offset + 1 WHERE partition = 16")
            if line.startswith("data: ") and "sales" in line:
                break
    db.execute("UPDATE event_partition SET next_offset = 0 WHERE partition = 16")


def test_nothing_of_others_stores_is_on_any_page(hub: Api, db: psycopg.Connection, keys: dict[str, str]) -> None:
    """Only stores 7117 to 7124 are NORTH's: no other number appears, whatever is asked for."""
    others = re.compile(r"\b71(?:0\d|1[0-6])\b(?=[/ <\"&])")
    single = {"/stores/{number}", "/stores/{number}/{day}", "/transactions/of/{key}", "/exceptions/{exception_id}",
              "/exceptions/causes/{name}", "/posting/journal", "/stock/{store}/{sku}",
              "/master-data/{kind}/{record}", "/events/{partition}/{offset}"}  # fmt: skip
    for path in PAGES:
        if path in ("/live", "/audit", "/people", "/connectors") or path.startswith("/account"):
            continue
        there = example(path, db)
        answer = get(hub, keys["north"], there)
        if path in single:
            assert answer.status_code == 404, there
            continue
        assert answer.status_code == 200
        for asked in (
            "",
            "?store=7101",
            "?company=ACME",
            "?search=7.70",
            f"?date={DAY}&store=7101",
            "?view=list&store=7106",
        ):
            page = get(hub, keys["north"], path + asked).text
            shown = re.sub(r'<input[^>]*>|<span class="badge">[^<]*</span>|href="[^"]*"', "", page)
            assert others.findall(shown) == [], (path, asked)
    assert "7117" in get(hub, keys["north"], "/stores").text
    assert "/stores/7101" in get(hub, keys["everything"], "/stores").text


def test_texts_are_shown_and_never_run(hub: Api, keys: dict[str, str]) -> None:
    escaped = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"
    for path in ("/stores", f"/stores/{number_of(3)}", f"/transactions/of/{number_of(3)}/2/{DAY}/1"):
        page = get(hub, keys["everything"], path).text
        assert escaped in page, path
        assert "<script>alert" not in page, path
        assert "49" not in re.findall(r"tea&#34; &#39;n&#39; ([^<]*)", page), path
    for asked in (
        HOSTILE,
        '"><img src=x onerror=alert(1)>',
        "'; DROP TABLE sale; --",
        "\x00",
        "%00",
        "../../etc/passwd",
    ):
        for path in (
            "/transactions?search=",
            "/stores?q=",
            "/exceptions?view=list&owner=",
            "/exceptions?told=",
            "/audit?who=",
        ):
            answer = get(hub, keys["everything"], path + quote(asked))
            assert answer.status_code in (200, 400), (path, asked)
            assert "<img src=x" not in answer.text
            assert "<script>alert" not in answer.text


def test_tables_sort_filter_page_and_export(hub: Api, keys: dict[str, str]) -> None:
    def order(path: str) -> list[str]:
        return re.findall(r'<td class="tight"><a href="/stores/(\d+)">', get(hub, keys["everything"], path).text)

    assert order("/stores") == sorted(order("/stores"))
    assert order("/stores?sort=-store") == sorted(order("/stores"), reverse=True)
    assert order("/stores?q=north") == [number_of(place) for place in range(24) if place % 4 == 2 or place >= 16]
    assert order("/stores?sort=nonsense&page=99&q=") == sorted(order("/stores"))
    answer = get(hub, keys["everything"], "/stores?format=csv&sort=-store")
    assert answer.headers["content-disposition"] == 'attachment; filename="stores.csv"'
    found = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert (len(found), found[0]["Store"]) == (24, number_of(23))
    page = get(hub, keys["everything"], f"/transactions?date={DAY}&store=7101").text
    assert page.count("/transactions/of/7101/") == 7
    assert (
        get(hub, keys["everything"], f"/transactions?search={quote(KEY)}").headers["location"]
        == f"/transactions/of/{KEY}"
    )


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("12.95", "12.95"),
        ("-12,95", "12.95"),
        ("1,234.50", "1234.50"),
        ("1 234.50", "1234.50"),
        ("abc", None),
        ("NaN", None),
    ],
)
def test_amounts_are_read_as_people_write_them(text: str, amount: str | None) -> None:
    found = amount_of(text)
    assert (None if found is None else str(found)) == amount


def test_a_store_day_is_told_as_it_is(hub: Api, keys: dict[str, str]) -> None:
    page = get(hub, keys["everything"], f"/stores/7108/{DAY}").text
    assert "missing_transactions" in page, "its day close counts a sale that nobody sent"
    page = get(hub, keys["everything"], f"/stores?date={DAY}").text
    states = dict(re.findall(r'href="/stores/(\d+)/[^"]*" title="[^:"]*: ([^"]*), \d+ transactions"', page))
    assert states["7101"] == "sells; its day is open"
    assert states["7102"] == "closed, posted, without a difference"
    assert states["7108"] == "closed, with a difference"
    assert states["7124"] == "nothing came on this date"


def test_an_unknown_product_is_added_and_what_waited_mends_itself(
    hub: Api, db: psycopg.Connection, keys: dict[str, str]
) -> None:
    name = scalar(db, "SELECT md5(cause) FROM exception WHERE code = 'unknown_product'")
    there = f"/exceptions/causes/{name}"
    assert "mystery" in get(hub, keys["integrator"], there).text
    record_ = {"sku": "mystery", "name": "A mystery", "product_class": "other", "unit": "EA"}
    shown = post(hub, keys["integrator"], f"{there}/record", **record_)
    assert "1 of 1 would be recorded" in shown.text
    assert "4000" in shown.text, "the account that it would be on"
    assert rows(db, "SELECT * FROM master_record WHERE id = 'mystery'") == [], "nothing is done yet"
    refused = post(hub, keys["integrator"], f"{there}/record", **record_ | {"unit": ""}, sure="yes")
    assert (refused.status_code, "Nothing was changed" in refused.text) == (409, True)
    assert post(hub, keys["finance"], f"{there}/record", **record_, sure="yes").status_code == 403
    assert post(hub, keys["integrator"], f"{there}/record", **record_, sure="yes").status_code == 303
    record(hub.database_url)
    assert scalar(db, "SELECT state FROM exception WHERE code = 'unknown_product'") == "resolved"
    assert get(hub, keys["integrator"], f"/transactions/of/7106/1/{DAY}/8").status_code == 200


def test_much_money_waits_for_a_second_person(hub: Api, db: psycopg.Connection, keys: dict[str, str]) -> None:
    from builders import line, raw, sale, tender
    from driving import accept

    wrong = sale(90, line("nowhere", "3", "900.00"), store="7117", tenders=[tender("2700.00")])
    accept(hub.database_url, [wrong])
    record(hub.database_url)
    one = scalar(db, "SELECT max(exception_id) FROM exception")
    there = f"/exceptions/{one}"
    wrong["data"]["lines"][0] |= {"sku": "milk", "quantity": "1", "amount": "900.00"}
    wrong["data"] |= {"total": "900.00", "tenders": [tender("900.00")]}
    form = {"payload": raw(wrong).decode(), "reason": "typed wrong"}
    shown = post(hub, keys["everything"], f"{there}/edit", **form)
    assert "until a second person approves" in shown.text
    assert post(hub, keys["everything"], f"{there}/edit", **form, sure="yes").status_code == 303
    assert "Waits for a second person" in get(hub, keys["another"], there).text
    refused = post(hub, keys["everything"], f"{there}/approve", reason="it is right")
    assert (refused.status_code, "Nothing was changed" in refused.text) == (409, True)
    assert scalar(db, "SELECT state FROM exception WHERE exception_id = %s", one) == "approval"
    assert post(hub, keys["another"], f"{there}/approve", reason="").status_code == 303
    record(hub.database_url)
    assert scalar(db, "SELECT state FROM exception WHERE exception_id = %s", one) == "resolved"
    done = [(entry.who, entry.action) for entry in reversed(audit.listed(db, subject=f"exception {one}"))]
    assert done[:2] == [("everything", "exception propose"), ("another", "exception approve")]
    audit.verify(db)


def test_a_page_of_another_site_does_nothing(hub: Api, keys: dict[str, str]) -> None:
    answer = hub.http.get("/nothing-here", headers={"Authorization": f"Bearer {keys['viewer']}", "Accept": "text/html"})
    assert answer.status_code == 404
    assert hub.http.post("/exceptions/1/retry", headers={"Origin": "https://evil.example"}).status_code in (401, 403)
