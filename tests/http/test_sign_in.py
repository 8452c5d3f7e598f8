"""Signing in, as browsers and attackers do it: passwords, codes, sessions, tokens of forms, and how long who fails waits."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
from tillwire.config import Settings
from tillwire.console.account import browser_of
from tillwire.console.sign_in import local_path
from tillwire.errors import ConfigurationError, TillwireError
from tillwire.governance import audit, people
from tillwire.governance.access import ROLES
from tillwire.governance.people import RoleGrant
from tillwire.governance.sealing import Sealer
from tillwire.http.app import routes_of
from tillwire.http.node import Node

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


# ---------------------------------------------------------------- forms, as a table


EXAMPLE = {"silence_id": "1", "exception_id": "1", "action": "retry"}
"""What there may be, by the names of parameters in paths; anything will do for others."""


def allowed(db: psycopg.Connection, hub: Api, name: str) -> Browser:
    """Somebody of every role, signed in."""
    secret, _ = enrolled(db, name, *ROLES)
    made = Browser(hub)
    made.sign_in(name)
    made.get("/sign-in/code")
    assert made.post("/sign-in/code", code=code_of(secret)).status_code == 303
    return made


def unsafe() -> list[tuple[str, str]]:
    """Every route of the application that changes something, but those that no session opens."""
    settings = Settings(database_url="postgresql://never.connected/to")
    found = [
        (method, route.path_format)
        for route in routes_of(Node(settings), settings).routes
        for method in sorted(route.methods - {"GET", "HEAD", "OPTIONS"})  # type: ignore[attr-defined]
    ]
    others = {"/oauth/token", "/v1/connections/{name}", "/v1/erps/{name}/callback", "/sign-in"}
    return [(method, path) for method, path in found if path not in others and not path.startswith("/sign-in/")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_everything_that_changes_something_wants_the_token_of_the_session(hub: Api, db: psycopg.Connection) -> None:
    somebody, other = allowed(db, hub, "tina"), allowed(db, hub, "toni")
    tokens = []
    for one in (somebody, other):
        found = re.search(r'name="csrf" value="([^"]+)"', one.get("/account").text)
        assert found is not None
        tokens.append(found[1])
    good, others = tokens
    own = {"Origin": hub.url, "Sec-Fetch-Site": "same-origin"}
    wrong: list[str] = []
    seen = 0
    for method, template in unsafe():
        path = re.sub(r"\{(\w+)\}", lambda found: EXAMPLE.get(found[1], "product"), template)
        seen += 1

        def send(token: str | None, headers: dict[str, str], method: str = method, path: str = path) -> int:
            headers = {**headers, **({"X-CSRF-Token": token} if token is not None else {})}
            if path.startswith("/v1/"):
                return somebody.http.request(method, path, content=b"[]", headers=headers).status_code
            form = {"csrf": token} if token is not None else {"x": "y"}
            return somebody.http.request(method, path, data=form, headers=headers).status_code

        for what, status in {
            "no token": send(None, own),
            "an empty token": send("", own),
            "another session's token": send(others, own),
            "from another site": send(good, {"Origin": "https://evil.example"}),
            "from a sandboxed page": send(good, {"Origin": "null"}),
            "from a neighbour": send(good, {"Sec-Fetch-Site": "same-site"}),
        }.items():
            if status != 403:
                wrong.append(f"{method} {path}, {what}: {status}")
        if path not in ("/sign-out", "/account/sessions/end") and send(good, own) in (401, 403, 500):
            wrong.append(f"{method} {path} with the token: refused")
    assert wrong == []
    assert seen > 25
    assert somebody.http.post("/v1/events", content=b"[]", headers=own | {"X-CSRF-Token": good}).status_code == 401
    for one in (somebody, other):
        one.http.close()


# ---------------------------------------------------------------- who fails


def test_many_guesses_at_once_are_not_all_the_first(hub: Api, db: psycopg.Connection) -> None:
    person(db, "gwen", "viewer")
    form = {"name": "gwen", "password": "not the password"}

    def guess(_: int) -> int:
        return httpx2.post(hub.url + "/sign-in", data=form, timeout=60).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(guess, range(16)))
    assert statuses[:5] == [401] * 5
    assert statuses.count(401) <= 6, "five at once, and perhaps one a second later"
    assert set(statuses) == {401, 429}


def test_a_name_that_nobody_has_is_locked_like_one_that_somebody_has(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "hanna", "viewer")
    told = {}
    for name in ("hanna", "hanno"):
        told[name] = [browser.sign_in(name, "wrong").status_code for _ in range(6)]
    assert told["hanna"] == told["hanno"] == [401] * 5 + [429]


def test_a_password_in_the_wrong_field_is_kept_nowhere(browser: Browser, hub: Api, db: psycopg.Connection) -> None:
    assert browser.sign_in("my very own password", "x").status_code == 401
    kept = str(rows(db, "SELECT * FROM sign_in_failure")) + str(rows(db, "SELECT * FROM audit_entry"))
    assert "my very own password" not in kept + hub.child.spec.log.read_text("utf-8")


def test_a_name_is_one_whatever_its_case(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "Ines", "viewer")
    with pytest.raises(TillwireError, match="already"):
        person(db, "ines", "viewer")
    assert browser.sign_in(" iNES ").status_code == 303
    assert browser.get("/account").status_code == 200
    assert "Ines" in browser.page.text


# ---------------------------------------------------------------- one's own account


def test_somebody_takes_an_authenticator_and_another_one(hub: Api, browser: Browser, db: psycopg.Connection) -> None:
    person(db, "olga", "viewer")
    browser.sign_in("olga")
    assert browser.get("/account/authenticator").status_code == 303, "nothing is shown before the password is"
    browser.get("/account")
    assert browser.post("/account/authenticator", current="wrong").status_code == 409
    secrets = []
    for turn in range(2):
        browser.get("/account")
        if turn:
            assert browser.post("/account/authenticator", current=PASSWORD, code="000000").status_code == 409
            browser.get("/account")
            assert browser.post("/account/authenticator", current=PASSWORD).status_code == 409
            db.execute("UPDATE person SET totp_step = 0 WHERE name = 'olga'")
        browser.get("/account")
        shown = {"code": code_of(secrets[-1])} if turn else {}
        assert browser.post("/account/authenticator", current=PASSWORD, **shown).status_code == 303
        found = re.search(r'class="mono">([A-Z2-7]{32})<', browser.get("/account/authenticator").text)
        assert found is not None
        secrets.append(found[1])
        before = browser.token
        assert browser.post("/account/authenticator/confirm", code="000000").status_code == 409
        browser.get("/account/authenticator")
        told = browser.post("/account/authenticator/confirm", code=code_of(secrets[-1])).text
        assert len(re.findall(r"(?:[a-z2-7]{4}-){3}[a-z2-7]{4}", told)) == 10
        assert browser.token != before, "a session that is worth more has another token"
        assert browser.get("/account/authenticator").status_code == 303
    assert secrets[0] != secrets[1]
    db.execute("UPDATE person SET totp_step = 0 WHERE name = 'olga'")
    again = Browser(hub)
    again.sign_in("olga")
    again.get("/sign-in/code")
    assert again.post("/sign-in/code", code=code_of(secrets[0])).status_code == 400, "the first is good for nothing"
    assert again.post("/sign-in/code", code=code_of(secrets[1])).status_code == 303
    again.http.close()


def test_other_recovery_codes_take_the_place_of_those_that_are_left(hub: Api, db: psycopg.Connection) -> None:
    secret, codes = enrolled(db, "rosa", "viewer")
    browser = Browser(hub)
    browser.sign_in("rosa")
    browser.get("/sign-in/code")
    browser.post("/sign-in/code", code=codes[0])
    browser.get("/account")
    told = browser.post("/account/recovery", current=PASSWORD, code=code_of(secret)).text
    others = re.findall(r"(?:[a-z2-7]{4}-){3}[a-z2-7]{4}", told)
    assert len(set(others) - set(codes)) == 10
    browser.get("/account")
    assert browser.post("/account/recovery", current=PASSWORD, code=codes[1]).status_code == 409
    assert "10 recovery codes left" in browser.get("/account").text
    browser.http.close()


def test_somebody_ends_their_own_sessions_and_nobody_elses(hub: Api, db: psycopg.Connection) -> None:
    for name in ("sara", "sven"):
        person(db, name, "viewer")
    here, there, third, other = (Browser(hub) for _ in range(4))
    for one in (here, there, third):
        one.sign_in("sara")
    other.sign_in("sven")
    places = {row[0]: row[1] for row in rows(db, "SELECT encode(digest, 'hex'), person FROM person_session")}
    assert list(places.values()).count("sara") == 3
    page = here.get("/account").text
    listed = set(re.findall(r'name="session" value="([0-9a-f]{64})"', page))
    assert listed < {digest for digest, name in places.items() if name == "sara"}
    assert len(listed) == 2
    stranger = next(digest for digest, name in places.items() if name == "sven")
    assert "0+sessions+have" in here.post("/account/sessions/end", session=stranger).headers["location"]
    here.get("/account")
    assert here.post("/account/sessions/end", session="no digest").status_code == 400
    here.get("/account")
    ended = hashlib.sha256(there.token.encode()).hexdigest()
    assert "1+session+has" in here.post("/account/sessions/end", session=ended).headers["location"]
    assert there.get("/account").status_code == 303
    here.get("/account")
    assert here.post("/account/sessions/end").status_code == 303
    assert third.get("/account").status_code == 303
    assert (here.get("/account").status_code, other.get("/account").status_code) == (200, 200)
    for one in (here, there, third, other):
        one.http.close()


def test_a_changed_password_gives_the_session_another_token(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "uma", "viewer")
    browser.sign_in("uma")
    before = browser.token
    browser.get("/account")
    assert browser.post("/account/password", current=PASSWORD, password=OTHER).status_code == 303
    assert browser.token not in ("", before)
    assert browser.get("/account").status_code == 200
    browser.http.cookies.set("tillwire", before, domain="127.0.0.1")
    assert browser.get("/account").status_code == 303


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36",
            "Chrome, Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0 Safari/537.36 Edg/150.0",
            "Edge, Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 Version/26.0 Safari/604.1",
            "Safari, iPhone",
        ),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox, Mac OS X"),
        ("curl/8.0", "curl/8.0"),
        ("", ""),
    ],
)
def test_browsers_are_told_in_few_words(agent: str, words: str) -> None:
    assert browser_of(agent) == words


# ---------------------------------------------------------------- sessions


def test_a_page_that_follows_by_itself_keeps_nobody_signed_in(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "kim", "viewer")
    browser.sign_in("kim")
    db.execute("UPDATE person_session SET seen_at = clock_timestamp() - interval '10 minutes' WHERE person = 'kim'")

    def idle_s() -> float:
        query = (
            "SELECT extract(epoch FROM clock_timestamp() - seen_at)::float8 FROM person_session WHERE person = 'kim'"
        )
        return float(scalar(db, query))

    assert browser.http.get("/stores", headers={"X-Live": "1"}).status_code == 200
    assert idle_s() > 590
    assert browser.http.get("/stores").status_code == 200
    assert idle_s() < 60


def test_what_follows_ends_with_the_session(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "leo", "viewer")
    browser.sign_in("leo")
    with browser.http.stream("GET", "/live") as stream:
        lines = stream.iter_lines()
        assert "beat" in next(lines)
        people.end_sessions(db, "leo")
        list(lines)  # ends at the next beat, or never, which the client's patience tells


def test_a_role_that_is_taken_away_is_gone_in_a_second(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "mona", "viewer", "integrator")
    browser.sign_in("mona")
    assert browser.get("/v1/connections").status_code == 200
    people.revoke(db, "mona", "integrator", by="test")
    taken = time.monotonic()
    while browser.get("/v1/connections").status_code == 200:
        assert time.monotonic() - taken < 2.5
    assert browser.page.status_code == 403


def test_who_administers_some_stores_gives_no_roles(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "amy", RoleGrant(role="administrator", companies=("OTHER",)))
    db.execute("UPDATE person SET totp = NULL WHERE name = 'amy'")
    person(db, "bert", "viewer")
    secret = people.new_secret()
    sealer = Sealer(KEY, purpose="people")
    people.enrol(db, "amy", secret, str(pyotp.TOTP(secret).at(clock.now() - timedelta(seconds=30))), sealer)
    browser.sign_in("amy")
    browser.get("/sign-in/code")
    assert browser.post("/sign-in/code", code=code_of(secret)).status_code == 303
    assert browser.get("/people").status_code == 403
    browser.get("/account")
    assert browser.post("/people/bert/grant", role="finance", stores="*").status_code == 403
    assert people.listed(db, "bert")[0].grants == (RoleGrant(role="viewer"),)


def test_nobody_signs_in_over_http_from_another_machine(browser: Browser, db: psycopg.Connection) -> None:
    person(db, "pia", "viewer")
    elsewhere = {"Host": "hub.example.com:8400"}
    answer = browser.http.get("/sign-in", headers=elsewhere)
    assert (answer.status_code, "over http" in answer.text) == (403, True)
    form = {"name": "pia", "password": PASSWORD}
    assert browser.http.post("/sign-in", data=form, headers=elsewhere).status_code == 403
    assert browser.token == ""


def test_behind_https_cookies_are_for_this_host_over_https_alone(
    hub: Api, db: psycopg.Connection, tmp_path: Path
) -> None:
    person(db, "sue", "viewer")
    public = "https://hub.example.com"
    settings = {"HTTP_API_KEYS": "required", "CLIENTS_TOKEN_KEY": KEY, "HTTP_PUBLIC_URL": public}
    with serving(hub.database_url, tmp_path, **settings) as secure:
        form = {"name": "sue", "password": PASSWORD}
        answer = secure.http.post("/sign-in", data=form, headers={"Origin": public, "Sec-Fetch-Site": "same-origin"})
        assert answer.status_code == 303, "a proxy may say another Host than people see"
        told = answer.headers["set-cookie"].lower()
        assert told.startswith("__host-tillwire=")
        parts = {part.strip() for part in told.split(";")}
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= parts
        assert not any(part.startswith("domain") for part in parts)
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        token = answer.cookies["__Host-tillwire"]
        for name, status in (("__Host-tillwire", 200), ("tillwire", 303)):
            assert secure.http.get("/stores", headers={"Cookie": f"{name}={token}"}).status_code == status, name
        cross = {"Origin": "https://evil.example.com"}
        assert secure.http.post("/sign-in", data=form, headers=cross).status_code == 403
