"""The API as its callers see it: statuses, problems, keys, limits, and a database that goes and comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psycopg
import pytest
from builders import batch, changed, day_close, line, masters, raw, sale
from driving import check_event_store, record, rows, scalar, until
from fixture_types import NewDatabase
from serving import ANYTHING, BATCH, ONE, Api, problem_of, serving

from tillwire.engines.postgres import EmbeddedPostgres
from tillwire.engines.process import Child
from tillwire.governance.clients import add_client, revoke_client


@pytest.fixture(scope="module")
def api(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API that asks for no key; its tests use stores of their own."""
    with (
        new_database() as url,
        serving(url, tmp_path_factory.mktemp("api"), HTTP_MOST_BATCH_EVENTS="50", HTTP_MOST_BODY_BYTES="300000") as one,
    ):
        yield one


def test_one_event_is_accepted_duplicate_or_in_conflict(api: Api) -> None:
    one = sale(1, store="one")
    accepted = api.post(raw(one))
    assert accepted.status_code == 202
    assert accepted.json() == {"status": "accepted", "id": one["id"], "key": "one/1/2026-03-02/1"}
    assert (api.post(raw(one)).status_code, api.post(raw(one)).json()["status"]) == (200, "duplicate")
    told = problem_of(api.post(raw(changed(one, operator="x"))), 409)
    assert "accepted before" in told["detail"]


def test_parameters_of_the_content_type_do_not_matter(api: Api) -> None:
    assert api.post(raw(sale(1, store="two")), "Application/CloudEvents+JSON; charset=UTF-8").status_code == 202


@pytest.mark.parametrize(
    ("content", "status", "pointer"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (raw(sale()).replace(b'"lines":', b'"x":' + b"[" * 5000 + b"]" * 5000 + b',"lines":'), 400, None),
        (b"\xff\xfe{}", 400, None),
        (raw(sale(1, operator="Zoë")).decode().encode("latin-1"), 400, None),
        (raw(changed(sale(), total="NaN")), 422, "/data/total"),
        (raw(changed(sale(), lines=[{**line(), "quantity": "1e999"}])), 422, "/data/lines/0/quantity"),
        (raw({**sale(), "type": "tillwire.unheard.of.v9"}), 422, "/type"),
        (raw([]), 422, None),
    ],
)
def test_what_is_wrong_is_told_with_its_place(api: Api, content: bytes, status: int, pointer: str | None) -> None:
    told = problem_of(api.post(content), status)
    assert (told.get("pointer") or None) == pointer
    assert told["detail"]


def test_a_batch_is_answered_event_by_event(api: Api) -> None:
    first, second = sale(1, store="batch"), sale(2, store="batch")
    all_good = api.post(batch([first, first]), BATCH)
    assert all_good.status_code == 202
    assert [one["status"] for one in all_good.json()["results"]] == ["accepted", "duplicate"]
    mixed = api.post(batch([changed(first, total="NaN"), second, first, changed(first, operator="x"), b"1"]), BATCH)
    assert mixed.status_code == 207
    told = mixed.json()
    assert [one["status"] for one in told["results"]] == ["rejected", "accepted", "duplicate", "conflict", "rejected"]
    assert {name: told[name] for name in ("accepted", "duplicate", "conflict", "rejected")} == {
        "accepted": 1,
        "duplicate": 1,
        "conflict": 1,
        "rejected": 2,
    }
    assert told["results"][0]["problem"]["pointer"] == "/data/total"
    assert told["results"][0]["problem"]["status"] == 422
    assert told["results"][3]["problem"]["status"] == 409
    assert told["results"][1]["key"] == "batch/1/2026-03-02/2"
    assert api.post(b"[]", BATCH).json() == {
        "accepted": 0,
        "duplicate": 0,
        "conflict": 0,
        "rejected": 0,
        "results": [],
    }


def test_what_is_accepted_is_recorded(api: Api) -> None:
    events = [*masters(), sale(1), day_close([sale(1)])]
    assert api.post(batch(events), BATCH).json()["accepted"] == len(events)
    record(api.database_url)
    trace = api.http.get("/v1/trace/101/1/2026-03-02/1").json()
    assert trace[0]["recorded"]["event_offset"] >= 0
    (day,) = [one for one in api.http.get("/v1/reconciliation?store=101").json()["days"] if one["store"] == "101"]
    assert (day["captured"], day["recorded"]) == ({"count": 1, "amount": "4.40"},) * 2
    faulty = api.http.get("/v1/exceptions?code=unknown_store&most=1000").json()
    assert all(one["code"] == "unknown_store" for one in faulty)


@pytest.mark.parametrize("path", ["/v2/events", "/v1/trace/never/sent", "/v1/schemas/unheard", "/v1/events/x"])
def test_what_is_not_there_is_told(api: Api, path: str) -> None:
    problem_of(api.http.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/events"), ("DELETE", "/v1/events"), ("POST", "/healthz"), ("PUT", "/v1/exceptions")],
)
def test_a_method_that_is_not_there_is_told(api: Api, method: str, path: str) -> None:
    answer = api.http.request(method, path)
    problem_of(answer, 405)
    assert answer.headers["allow"]


@pytest.mark.parametrize("kind", ["", "application/json", "text/plain", "application/xml", "cloudevents", "é"])
def test_a_content_type_that_is_not_ours_is_told(api: Api, kind: str) -> None:
    headers = {"Content-Type": kind.encode()} if kind else {}
    told = problem_of(api.http.post("/v1/events", content=raw(sale(8)), headers=headers), 415)  # type: ignore[arg-type]
    assert ONE in told["detail"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
def test_a_content_encoding_is_not_taken(api: Api, encoding: str) -> None:
    problem_of(api.post(raw(sale(8)), ONE, **{"Content-Encoding": encoding}), 415)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/reconciliation?from=yesterday",
        "/v1/reconciliation?store=" + "x" * 65,
        "/v1/exceptions?most=0",
        "/v1/exceptions?most=many",
        "/v1/exceptions?after=-1",
        "/v1/exceptions?code=DROP%20TABLE",
    ],
)
def test_a_wrong_parameter_is_told(api: Api, path: str) -> None:
    assert problem_of(api.http.get(path), 400)["detail"]


def test_a_body_or_a_batch_over_its_limit_is_told(api: Api) -> None:
    assert "send smaller" in problem_of(api.post(b" " * 300_001), 413)["detail"]
    assert "several batches" in problem_of(api.post(batch([b"1"] * 51), BATCH), 413)["detail"]
    assert api.post(batch([sale(n, store="limit") for n in range(50)]), BATCH).json()["accepted"] == 50
    chunked = api.http.post("/v1/events", content=iter([b" " * 1000] * 301), headers={"Content-Type": ONE})
    problem_of(chunked, 413)
    in_pieces = iter([raw(sale(1, store="pieces"))[:100], raw(sale(1, store="pieces"))[100:]])
    assert api.http.post("/v1/events", content=in_pieces, headers={"Content-Type": ONE}).status_code == 202


def test_schemas_documentation_and_metrics_are_open(api: Api) -> None:
    types = api.http.get("/v1/schemas").json()
    assert "tillwire.transaction.v1" in types
    for event_type in types:
        assert api.http.get(f"/v1/schemas/{event_type}").json()["$id"] == f"/v1/schemas/{event_type}"
    described = api.http.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    page = api.http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for path in described["paths"]:
        assert path in page.text
    api.post(raw(sale(1, store="metrics")))
    metrics = api.http.get("/metrics").text
    assert 'tillwire_intake_events_total{status="accepted"}' in metrics
    assert "tillwire_waiting_events" in metrics
    assert 'tillwire_recorded_events{partition="16"}' in metrics


def test_a_fault_of_ours_is_told_without_its_inside(new_database: NewDatabase, tmp_path: Path) -> None:
    with new_database() as url, serving(url, tmp_path) as api, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE exception RENAME TO hidden")
        told = problem_of(api.http.get("/v1/exceptions"), 500)
        assert "hidden" not in str(told)
        assert "relation" not in str(told)
        until(lambda: "UndefinedTable" in (tmp_path / "api.log").read_text())
        assert api.http.get("/healthz").status_code == 200


# ---------------------------------------------------------------- keys


def test_keys_are_asked_for_taken_and_revoked(new_database: NewDatabase, tmp_path: Path) -> None:
    with (
        new_database() as url,
        serving(url, tmp_path, HTTP_API_KEYS="required") as api,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        key = add_client(connection, "till vendor", ANYTHING)
        for headers in (
            {},
            {"Authorization": "Bearer tw_wrong"},
            {"Authorization": f"Basic {key}"},
            {"Authorization": key},
        ):
            for answer in (api.post(raw(sale(1)), ONE, **headers), api.http.get("/v1/exceptions", headers=headers)):
                problem_of(answer, 401)
                assert answer.headers["www-authenticate"] == "Bearer"
        assert rows(connection, "SELECT 1 FROM intake") == []
        bearer = {"Authorization": f"Bearer {key}"}
        until(lambda: api.post(raw(sale(1)), ONE, **bearer).status_code == 202)
        for path in ("/v1/exceptions", "/v1/reconciliation"):
            assert api.http.get(path, headers=bearer).status_code == 200
        assert problem_of(api.http.get("/v1/trace/none", headers=bearer), 404)
        for path in ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/v1/schemas"):
            assert api.http.get(path).status_code == 200
        revoke_client(connection, "till vendor")
        until(lambda: api.post(raw(sale(1)), ONE, **bearer).status_code == 401)
        assert api.http.get("/v1/exceptions", headers=bearer).status_code == 401


def test_a_large_body_without_a_key_gets_its_answer(new_database: NewDatabase, tmp_path: Path) -> None:
    with new_database() as url, serving(url, tmp_path, HTTP_API_KEYS="required") as api:
        for _ in range(3):
            problem_of(api.post(b" " * 9_000_000), 401)
        assert api.http.get("/healthz").status_code == 200


# ---------------------------------------------------------------- limits and outages


def test_a_backlog_over_its_limit_is_answered_503_until_workers_catch_up(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    with new_database() as url, serving(url, tmp_path, HTTP_BACKLOG_LIMIT="20") as api:
        numbers = iter(range(10_000))
        assert api.post(batch([sale(next(numbers)) for _ in range(30)]), BATCH).status_code == 202

        def refused() -> httpx2.Response | None:
            answer = api.post(raw(sale(next(numbers))))
            return answer if answer.status_code == 503 else None

        answer = until(refused)
        assert "the limit is 20" in problem_of(answer, 503)["detail"]
        assert int(answer.headers["retry-after"]) >= 1
        assert api.http.get("/readyz").status_code == 200
        record(url)
        until(lambda: api.post(raw(sale(next(numbers)))).status_code == 202)


@pytest.fixture
def own_postgres(tmp_path_factory: pytest.TempPathFactory, engines_folder: Path) -> Iterator[Child]:
    """A PostgreSQL of the test's own, to be killed: one that keeps what it has committed."""
    server = EmbeddedPostgres(engines_folder / tmp_path_factory.mktemp("own").name)
    with Child(server.spec()) as child:
        server.create_database("tillwire")
        child.url = server.url("tillwire")  # type: ignore[attr-defined]
        yield child


def test_a_database_that_is_killed_and_comes_back(own_postgres: Child, tmp_path: Path) -> None:
    url: str = own_postgres.url  # type: ignore[attr-defined]
    sent = [0]
    accepted: list[int] = []

    def send() -> int:
        sent[0] += 1
        status = api.post(raw(sale(sent[0]))).status_code
        if status == 202:
            accepted.append(sent[0])
        return status

    with serving(url, tmp_path) as api:
        assert send() == 202
        own_postgres.sweep()
        until(lambda: not own_postgres.alive)
        answer = api.post(raw(sale(999)))
        assert "nothing" in problem_of(answer, 503)["detail"]
        assert answer.headers["retry-after"]
        until(lambda: api.http.get("/readyz").status_code == 503)
        problem_of(api.http.get("/readyz"), 503)
        assert api.http.get("/healthz").status_code == 200
        for path in ("/v1/exceptions", "/v1/reconciliation", "/v1/trace/a"):
            answer = api.http.get(path)
            problem_of(answer, 503)
            assert answer.headers["retry-after"]
        assert api.http.get("/metrics").status_code == 200
        away_since = time.monotonic()
        until(lambda: time.monotonic() - away_since > 6 or send() == 0)
        own_postgres.spawn()
        own_postgres.wait_ready()
        back_at = time.monotonic()
        until(lambda: send() == 202)
        assert time.monotonic() - back_at < 5
        until(lambda: api.http.get("/readyz").status_code == 200)
        assert time.monotonic() - back_at < 6, "ready again long after the database was"
        assert api.http.get("/v1/exceptions").status_code == 200
    with psycopg.connect(url, autocommit=True) as connection:
        keys = {key for (key,) in rows(connection, "SELECT key FROM intake")}
        assert {f"101/1/2026-03-02/{number}" for number in accepted} == keys
        record(url)
        assert scalar(connection, "SELECT count(*) FROM exception") == len(accepted)
        check_event_store(connection, 0)


def test_an_api_that_starts_before_its_database(engines_folder: Path, tmp_path: Path) -> None:
    server = EmbeddedPostgres(engines_folder / tmp_path.name, durable=False)
    child = Child(server.spec())
    child.start()
    server.create_database("tillwire")
    child.end()
    try:
        with serving(server.url("tillwire"), tmp_path, ready=False, HTTP_API_KEYS="required") as api:
            problem_of(api.http.get("/readyz"), 503)
            problem_of(api.post(raw(sale(1))), 503)
            problem_of(api.http.get("/v1/exceptions"), 503)
            child.spawn()
            child.wait_ready()
            until(lambda: api.http.get("/readyz").status_code == 200)
            problem_of(api.post(raw(sale(1))), 401)
    finally:
        child.stop()
