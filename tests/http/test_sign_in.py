"""Signing in, as browsers and attackers do it: passwords, codes, sessions, tokens of forms, and how long who fails waits."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pyotp
import pytest
from builders import masters, sale
from driving import load, rows, scalar
from fixture_types import NewDatabase
from serving import Api, serving

from tillwire import clock
from tillwire.console.sign_in import local_path
from tillwire.errors import ConfigurationError
from tillwire.governance import audit, people
from tillwire.governance.people import RoleGrant
from tillwire.governance.sealing import Sealer

KEY = "k" * 40
PASSWORD = "correct horse battery"
OTHER = "another long password"


@pytest.fixture(scope="module")
def hub(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API that asks for keys and sign-in, with some trade in two stores of two companies."""
    with new_database() as url:
        from builders import store

        load(url, *masters(store("101"), store("201", company="OTHER")), sale(1), sale(1, store="201"))
        folder = tmp_path_factory.mktemp("sign-in")
        with serving(url, folder, HTTP_API_KEYS="required", CLIENTS_TOKEN_KEY=KEY) as one:
            yield one


@pytest.fixture
def db(hub: Api) -> Iterator[psycopg.Connection]:
    with psycopg.connect(hub.database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM sign_in_failure")
        yield connection


class Browser:
    """A browser's cookies, and what it says of where requests come from."""

    def __init__(self, hub: Api) -> None:
        self.http = httpx2.Client(base_url=hub.url, timeout=30)
        self.page: Any = None

    def get(self, path: str) -> httpx2.Response:
        self.page = self.http.get(path)
        return self.page

    def post(self, path: str, *, csrf: str | None = None, **fields: str) -> httpx2.Response:
        """A form of the page that was opened last."""
        token = re.search(r'name="csrf" value="([^"]*)"', self.page.text if self.page is not None else "")
        form = {"csrf": csrf if csrf is not None else token[1] if token else "", **fields}
        headers = {"Origin": str(self.http.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
        self.page = self.http.post(path, data=form, headers=headers)
        return self.page

    def sign_in(self, name: str, password: str = PASSWORD) -> httpx2.Response:
        return self.post("/sign-in?next=/stores", name=name, password=password)

    @property
    def token(self) -> str:
        return self.http.cookies.get("tillwire") or ""


@pytest.fixture
def browser(hub: Api) -> Iterator[Browser]:
    made = Browser(hub)
    yield made
    made.http.close()


def person(db: psycopg.Connection, name: str, *roles: str | RoleGrant, must_change: bool = False) -> str:
    given = [one if isinstance(one, RoleGrant) else RoleGrant(role=one) for one in roles]
    people.add(db, name, PASSWORD, given, by="test", must_change=must_change)
    return name


def enrolled(db: psycopg.Connection, name: str, *roles: str) -> tuple[str, list[str]]:
    """Somebody with an authenticator: its secret, and their recovery codes."""
    person(db, name, *roles)
    secret = people.new_secret()
    sealer = Sealer(KEY, purpose="people")
    codes = people.enrol(db, name, secret, pyotp.TOTP(secret).at(clock.now() - timedelta(seconds=30)), sealer)
    return secret, codes


def code_of(secret: str) -> str:
    return str(pyotp.TOTP(secret).at(clock.now()))


def test_who_is_not_signed_in_is_asked_to_and_comes_back(browser: Browser) -> None:
    answer = browser.get("/stores?region=east")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fstores%3Fregion%3Deast")
    assert browser.get("/v1/exceptions").status_code == 401


def test_a_password_opens_a_session_of_its_own(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "viola", "viewer")
    browser.http.cookies.set("tillwire", "fixed-by-somebody-else", domain="127.0.0.1")
    answer = browser.sign_in("viola")
    assert (answer.status_code, answer.headers["location"]) == (303, "/stores")
    assert browser.token not in ("", "fixed-by-somebody-else")
    told = answer.headers["set-cookie"].lower()
    assert "httponly" in told
    assert "samesite=lax" in told
    assert browser.get("/stores").status_code == 200
    assert "viola" in browser.page.text
    assert rows(db, "SELECT digest FROM person_session WHERE person = 'viola'") != []
    assert browser.token.encode() not in b"".join(row[0] for row in rows(db, "SELECT digest FROM person_session"))
    kept = browser.token
    browser.get("/account")
    assert browser.post("/sign-out").status_code == 303
    browser.http.cookies.set("tillwire", kept, domain="127.0.0.1")
    assert browser.get("/stores").status_code == 303, "a session that has ended stays ended"


@pytest.mark.parametrize("name", ["wendy", "nobody-there", "", "x" * 500, "wendy' OR '1'='1"])
def test_a_wrong_password_and_an_unknown_name_are_alike(browser: Browser, db: psycopg.Connection, name: str) -> None:
    if not people.listed(db, "wendy"):
        person(db, "wendy", "viewer")
    answer = browser.sign_in(name, "not the password")
    assert answer.status_code == 401
    assert "do not go together" in answer.text
    assert browser.token == ""


def test_the_same_work_is_done_for_who_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    worked: list[str] = []

    class Counting:
        def verify(self, hashed: str, _: str) -> bool:
            worked.append(" ".join(hashed.split("$")[1:4]))
            return False

    known = people._hasher.hash(PASSWORD)
    people._nobody()
    monkeypatch.setattr(people, "_hasher", Counting())
    assert not people.password_is(None, PASSWORD)
    assert not people.password_is(known, PASSWORD)
    assert worked[0] == worked[1]
    assert worked[0].startswith("argon2id v=19 m=65536,t=3,p=4")


def test_who_fails_waits_longer_each_time(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "larry", "viewer")
    for _ in range(5):
        assert browser.sign_in("larry", "wrong").status_code == 401
    answer = browser.sign_in("larry")
    assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (429, True)
    assert browser.token == ""
    db.execute("UPDATE sign_in_failure SET failures = 30, last_at = clock_timestamp() - interval '14 minutes'")
    assert browser.sign_in("larry").status_code == 429
    db.execute("UPDATE sign_in_failure SET last_at = clock_timestamp() - interval '16 minutes'")
    assert browser.sign_in("larry").status_code == 303
    assert rows(db, "SELECT * FROM sign_in_failure WHERE subject NOT LIKE 'address%%'") == []


def test_money_needs_an_authenticator(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "fiona", "finance")
    browser.sign_in("fiona")
    first = browser.token
    assert browser.get("/stores").headers["location"] == "/sign-in/enrol?next=%2Fstores"
    assert browser.get("/v1/ledger/balance").status_code == 401, "nothing is open yet"
    page = browser.get("/sign-in/enrol?next=/posting").text
    secret = re.search(r'class="mono">([A-Z2-7]{32})<', page)
    assert secret is not None
    assert browser.post("/sign-in/enrol?next=/stores", code="000000").status_code == 200
    assert "not the code" in browser.page.text
    answer = browser.post("/sign-in/enrol?next=/stores", code=code_of(secret[1]))
    codes = re.findall(r"(?:[a-z2-7]{4}-){3}[a-z2-7]{4}", answer.text)
    assert len(set(codes)) == 10
    assert browser.token != first
    assert browser.get("/v1/ledger/balance").status_code == 200
    stored = str(rows(db, "SELECT totp, recovery FROM person WHERE name = 'fiona'"))
    assert secret[1] not in stored
    assert not any(code in stored for code in codes)


def test_a_code_is_good_once(hub: Api, browser: Browser, db: psycopg.Connection) -> None:
    secret, codes = enrolled(db, "frank", "finance")
    browser.sign_in("frank")
    assert browser.get("/stores").headers["location"].startswith("/sign-in/code")
    browser.get("/sign-in/code")
    code = code_of(secret)
    assert browser.post("/sign-in/code?next=/stores", code=code).status_code == 303
    assert browser.get("/stores").status_code == 200
    for used, status in ((code, 400), (codes[0], 303), (codes[0], 400), ("", 400), ("abc", 400)):
        again = Browser(hub)
        again.sign_in("frank")
        again.get("/sign-in/code")
        assert again.post("/sign-in/code?next=/stores", code=used).status_code == status, used
        again.http.close()


def test_a_given_password_is_changed_first(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "nina", "viewer", must_change=True)
    browser.sign_in("nina")
    assert browser.get("/stores").headers["location"].startswith("/sign-in/password")
    browser.get("/sign-in/password")
    assert browser.post("/sign-in/password", password="short", again="short").status_code == 400
    assert browser.post("/sign-in/password", password=OTHER, again=PASSWORD).status_code == 400
    assert browser.post("/sign-in/password?next=/stores", password=OTHER, again=OTHER).status_code == 303
    assert browser.get("/stores").status_code == 200


def test_a_changed_password_ends_all_other_sessions(hub: Api, browser: Browser, db: psycopg.Connection) -> None:
    person(db, "otto", "viewer")
    elsewhere = Browser(hub)
    elsewhere.sign_in("otto")
    browser.sign_in("otto")
    browser.get("/account")
    assert browser.post("/account/password", current="wrong", password=OTHER).status_code == 409
    browser.get("/account")
    assert browser.post("/account/password", current=PASSWORD, password=OTHER).status_code == 303
    assert browser.get("/stores").status_code == 200
    assert scalar(db, "SELECT count(*) FROM person_session WHERE person = 'otto'") == 1
    assert elsewhere.get("/stores").status_code == 303
    elsewhere.http.close()


def test_who_is_disabled_is_out(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "dora", "viewer")
    browser.sign_in("dora")
    people.disable(db, "dora", by="test")
    assert browser.get("/stores").status_code == 303
    assert browser.sign_in("dora").status_code == 401
    people.disable(db, "dora", by="test", disabled=False)
    assert browser.sign_in("dora").status_code == 303


@pytest.mark.parametrize("idle", ["ends_at = clock_timestamp()", "seen_at = clock_timestamp() - interval '31 minutes'"])
def test_sessions_end(browser: Browser, db: psycopg.Connection, idle: str) -> None:
    name = person(db, f"eve-{len(idle)}", "viewer")
    browser.sign_in(name)
    db.execute(f"UPDATE person_session SET {idle} WHERE person = %s".encode(), (name,))
    assert browser.get("/stores").status_code == 303


def test_a_form_of_another_site_does_nothing(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "carl", "viewer")
    browser.sign_in("carl")
    browser.get("/account")
    good = re.search(r'name="csrf" value="([^"]+)"', browser.page.text)
    assert good is not None
    form = {"csrf": good[1], "current": PASSWORD, "password": OTHER}
    for headers in (
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert browser.http.post("/account/password", data=form, headers=headers).status_code == 403
    for token in ("", "x", good[1][:-1], "ü"):
        assert browser.post("/account/password", csrf=token, current=PASSWORD, password=OTHER).status_code == 403
    other = browser.http.post("/account/password", content=b"{}", headers={"Content-Type": "application/json"})
    assert other.status_code == 400
    assert browser.http.post("/v1/exceptions/1/retry").status_code == 403, "the API wants the token, too"
    assert people.password_is(scalar(db, "SELECT password FROM person WHERE name = 'carl'"), PASSWORD)


def test_a_sign_in_form_of_another_site_does_nothing(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "cora", "viewer")
    form = {"name": "cora", "password": PASSWORD}
    answer = browser.http.post("/sign-in", data=form, headers={"Origin": "https://evil.example"})
    assert (answer.status_code, browser.token) == (403, "")


@pytest.mark.parametrize(
    "there",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "\\\\evil",
        "/a\nb",
        "",
        "evil",
    ],
)
def test_nobody_is_sent_to_another_site(there: str) -> None:
    assert local_path(there) == "/"
    assert local_path("/stores?x=1") == "/stores?x=1"


def test_roles_reach_as_far_as_they_are_given(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "rita", RoleGrant(role="viewer", companies=("OTHER",)))
    browser.sign_in("rita")
    page = browser.get("/stores?date=2026-03-02").text
    assert "/stores/201" in page
    assert "/stores/101" not in page
    assert browser.get("/stores/101").status_code == 404
    assert browser.get("/transactions?store=101").text.count("/transactions/of/101") == 0
    assert browser.get("/transactions/of/101/1/2026-03-02/1").status_code == 404
    assert browser.get("/transactions/of/201/1/2026-03-02/1").status_code == 200
    assert browser.get("/people").status_code == 403
    assert "/people" not in browser.get("/stores").text


def test_an_administrator_gives_roles_and_none_to_themselves(browser: Browser, db: psycopg.Connection) -> None:
    secret, _ = enrolled(db, "ada", "administrator")
    person(db, "zoe", "viewer")
    browser.sign_in("ada")
    browser.get("/sign-in/code")
    browser.post("/sign-in/code", code=code_of(secret))
    browser.get("/people")
    assert browser.post("/people/zoe/grant", role="finance", stores="1*, 2*").status_code == 303
    (zoe,) = people.listed(db, "zoe")
    assert zoe.grants[-1] == RoleGrant(role="finance", stores=("1*", "2*"))
    browser.get("/people")
    assert browser.post("/people/ada/grant", role="finance").status_code == 403
    browser.get("/people")
    assert browser.post("/people/zoe/grant", role="king").status_code == 409
    newest = audit.listed(db, who="ada", action="grant")[0]
    assert (newest.subject, newest.kind, newest.details["role"]) == ("zoe", "person", "finance")
    audit.verify(db)


def test_what_is_sealed_opens_for_whom_it_was_sealed() -> None:
    sealer = Sealer(KEY, purpose="people")
    sealed = sealer.seal("secret", "ann")
    assert sealer.open(sealed, "ann") == "secret"
    assert sealer.seal("secret", "ann") != sealed
    for other, of in (
        (Sealer("o" * 40, purpose="people"), "ann"),
        (Sealer(KEY, purpose="else"), "ann"),
        (sealer, "bob"),
    ):
        with pytest.raises(ConfigurationError, match="another key"):
            other.open(sealed, of)


def test_pages_let_nothing_in_from_elsewhere(browser: Browser, hub: Api, tmp_path: Path) -> None:
    answer = browser.get("/sign-in")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert "<style" not in answer.text
    assert not re.search(r"<script(?![^>]*src=)", answer.text)
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', answer.text):
        assert "immutable" in hub.http.get(path).headers["cache-control"]
    for path in ("/static/x/..%2f..%2fshell.py", "/static/x/console.css.bak", "/static/../shell.py"):
        assert hub.http.get(path).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"),
        ("GET", "/v1/exceptions"),
        ("POST", "/v1/events"),
        ("POST", "/oauth/token"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/nothing/here"),
        ("GET", "/sign-in"),
        ("GET", "/metrics"),
    ],
)
def test_every_answer_keeps_others_out(hub: Api, method: str, path: str) -> None:
    headers = hub.http.request(method, path, headers={"X-Forwarded-For": "203.0.113.9"}).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers, "this one is reached over http"
    assert headers.get_list("content-security-policy") == [policy]


def test_the_style_of_the_documentation_is_the_one_that_is_allowed(hub: Api) -> None:
    answer = hub.http.get("/docs")
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["content-security-policy"]
