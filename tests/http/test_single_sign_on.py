"""Signing in by the company's own sign-in: the way there and back, and what an attacker sends instead."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import psycopg
import pytest
from driving import rows, scalar
from fixture_types import NewDatabase
from joserfc import jwt
from joserfc.jwk import RSAKey
from oidc_provider import CLIENT, SECRET, Claims, Provider, forged, simulated
from serving import Api, serving

from tillwire import clock
from tillwire.config import Oidc
from tillwire.errors import TransientError
from tillwire.governance import audit, identities, oidc, people
from tillwire.governance.people import RoleGrant
from tillwire.governance.sealing import Sealer

KEY = "k" * 40
GROUPS = """
[[access.oidc.groups]]
group = "shops"
roles = ["viewer"]
companies = ["ACME"]

[[access.oidc.groups]]
group = "books"
roles = ["viewer", "finance"]

[[access.oidc.groups]]
group = "nothing"
roles = []
"""
CALLBACK = "/sign-in/oidc/callback"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with simulated() as one:
        yield one


@pytest.fixture(scope="module")
def hub(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("single-sign-on")
    (folder / "tillwire.toml").write_text(GROUPS)
    (folder / "secret").write_text(SECRET + "\n")
    settings = {
        "ACCESS_OIDC_ISSUER": provider.url,
        "ACCESS_OIDC_CLIENT_ID": CLIENT,
        "ACCESS_OIDC_CLIENT_SECRET_FILE": str(folder / "secret"),
        "ACCESS_OIDC_TITLE": "Acme <single> sign-on",
    }
    with (
        new_database() as url,
        serving(url, folder, HTTP_API_KEYS="required", CLIENTS_TOKEN_KEY=KEY, **settings) as one,
    ):
        yield one


@pytest.fixture
def db(hub: Api) -> Iterator[psycopg.Connection]:
    with psycopg.connect(hub.database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def honest(provider: Provider) -> Iterator[Provider]:
    """The provider, which tells no lie once the test is over."""
    yield provider
    provider.twist = provider.forge = None
    provider.once, provider.down, provider.iss, provider.metadata = True, False, True, {}


@pytest.fixture
def browser(hub: Api) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=hub.url, timeout=30) as http:
        yield http


def begin(browser: httpx2.Client, there: str = "/stores") -> str:
    """The provider's address that the hub sends a browser to."""
    answer = browser.get(f"/sign-in/oidc?{urlencode({'next': there})}")
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def at_provider(address: str) -> dict[str, str]:
    """What the provider sends back, as parameters."""
    answer = httpx2.get(address, follow_redirects=False)
    parts = urlsplit(answer.headers["location"])
    assert parts.path == CALLBACK
    return {name: values[0] for name, values in parse_qs(parts.query).items()}


def come_back(browser: httpx2.Client, answer: dict[str, str]) -> httpx2.Response:
    return browser.get(f"{CALLBACK}?{urlencode(answer)}")


def sign_in(browser: httpx2.Client, there: str = "/stores") -> httpx2.Response:
    return come_back(browser, at_provider(begin(browser, there)))


def somebody(name: str, *groups: str, amr: tuple[str, ...] = ("mfa",), **claims: Any) -> Claims:
    """Claims of somebody at the provider."""
    return {
        "sub": f"subject-of-{name}",
        "preferred_username": name,
        "name": name.title(),
        "groups": list(groups),
        "amr": list(amr),
        **claims,
    }


def refused(answer: httpx2.Response) -> None:
    """Nobody is let in, and nothing is told of why."""
    assert answer.status_code == 403, answer.text
    assert "could not be verified" in answer.text
    assert "tillwire=" not in answer.headers.get("set-cookie", "").replace("tillwire-oidc=", "")


def test_the_way_there_and_back(hub: Api, browser: httpx2.Client, honest: Provider, db: psycopg.Connection) -> None:
    assert "Go on with Acme &lt;single&gt; sign-on" in browser.get("/sign-in").text
    honest.user = somebody("anna", "books", "shops")
    address = begin(browser, "/stores?region=east")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert asked["redirect_uri"] == hub.url + CALLBACK
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    assert all(len(asked[name]) >= 43 for name in ("state", "nonce", "code_challenge"))
    assert SECRET not in address
    answer = come_back(browser, at_provider(address))
    assert (answer.status_code, answer.headers["location"]) == (303, "/stores?region=east")
    told = answer.headers.get_list("set-cookie")
    assert any("tillwire-oidc=;" in one.replace('""', "") for one in told), "what was carried is taken away"
    assert all("httponly" in one.lower() and "samesite=lax" in one.lower() for one in told)
    assert browser.get("/stores").status_code == 200
    assert browser.get("/v1/ledger/balance").status_code == 200
    (anna,) = people.listed(db, "anna")
    assert (anna.display, anna.has_password, anna.identities) == ("Anna", False, (f"{honest.url} subject-of-anna",))
    assert {one.role for one in anna.grants} == {"viewer", "finance"}
    newest = audit.listed(db, who="anna", action="sign in")[0]
    assert newest.details == {"issuer": honest.url, "subject": "subject-of-anna"}
    audit.verify(db)
    page = browser.get("/account").text
    assert "You have none here" in page
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)
    assert csrf is not None
    form = {"csrf": csrf[1], "current": "", "password": "another long password"}
    assert browser.post("/account/password", data=form, headers={"Origin": hub.url}).status_code == 409
    assert not people.listed(db, "anna")[0].has_password


def test_groups_are_as_they_were_told_last(browser: httpx2.Client, honest: Provider, db: psycopg.Connection) -> None:
    honest.user = somebody("greta", "books")
    assert sign_in(browser).status_code == 303
    people.grant(db, "greta", RoleGrant(role="approver"), by="test")
    honest.user = somebody("greta", "shops", "else")
    assert sign_in(browser).status_code == 303
    (greta,) = people.listed(db, "greta")
    assert set(greta.grants) == {
        RoleGrant(role="approver"),
        RoleGrant(role="viewer", companies=("ACME",), by_groups=True),
    }
    honest.user = somebody("greta")
    assert sign_in(browser).status_code == 303, "what an administrator has given stays"
    assert people.listed(db, "greta")[0].grants == (RoleGrant(role="approver"),)
    people.revoke(db, "greta", "approver", by="test")
    answer = sign_in(browser)
    assert answer.status_code == 403
    assert "no role here any more" in answer.text


def test_who_loses_all_groups_loses_their_roles_at_once(
    browser: httpx2.Client, honest: Provider, db: psycopg.Connection
) -> None:
    honest.user = somebody("gina", "books")
    assert sign_in(browser).status_code == 303
    honest.user = somebody("gina")
    with httpx2.Client(base_url=browser.base_url) as other:
        assert sign_in(other).status_code == 403
    assert people.listed(db, "gina")[0].grants == ()


def test_who_is_in_no_group_leaves_nothing(browser: httpx2.Client, honest: Provider, db: psycopg.Connection) -> None:
    for groups in ((), ("strangers",), ("nothing",)):
        honest.user = somebody("strange", *groups)
        answer = sign_in(browser)
        assert (answer.status_code, "no group that has a role" in answer.text) == (403, True)
    assert people.listed(db, "strange") == []
    assert browser.get("/stores").status_code == 303


def test_nobody_takes_over_somebody_by_a_name(browser: httpx2.Client, honest: Provider, db: psycopg.Connection) -> None:
    people.add(db, "Boss", "correct horse battery", [RoleGrant(role="administrator")], by="test", must_change=False)
    for name in ("Boss", "boss", "BOSS", "ｂｏｓｓ"):
        honest.user = somebody(name, "shops", email="boss@example.com", email_verified=True, sub="somebody-else")
        answer = sign_in(browser)
        assert answer.status_code == 403, name
        assert "cannot be here" in answer.text
    assert browser.get("/people").status_code == 303
    assert scalar(db, "SELECT count(*) FROM person_identity WHERE person ILIKE 'boss'") == 0
    identities.link(db, "Boss", honest.url, "somebody-else", by="test")
    assert sign_in(browser, "/people").headers["location"] == "/people"
    assert browser.get("/people").status_code == 200
    honest.user = somebody("Boss", "shops", sub="another-one")
    with httpx2.Client(base_url=browser.base_url) as other:
        assert sign_in(other).status_code == 403, "one subject is not another"
    identities.unlink(db, "Boss", by="test")
    assert rows(db, "SELECT * FROM person_session WHERE person = 'Boss'") == [], "and is signed out"


@pytest.mark.parametrize("name", ["a/b", "x" * 65, "a\u200bb", "a\nb", "<script>alert(1)</script>"])
def test_names_that_cannot_be_are_told_and_not_run(browser: httpx2.Client, honest: Provider, name: str) -> None:
    honest.user = somebody(name, "shops")
    answer = sign_in(browser)
    assert answer.status_code == 403
    assert "<script>alert" not in answer.text


def test_who_is_disabled_is_not_let_in(browser: httpx2.Client, honest: Provider, db: psycopg.Connection) -> None:
    honest.user = somebody("dirk", "shops")
    assert sign_in(browser).status_code == 303
    people.disable(db, "dirk", by="test")
    answer = sign_in(browser)
    assert (answer.status_code, "not sign in here any more" in answer.text) == (403, True)


def test_money_needs_a_second_factor_there_or_here(
    browser: httpx2.Client, honest: Provider, db: psycopg.Connection
) -> None:
    honest.user = somebody("paula", "books", amr=("pwd",))
    assert sign_in(browser).status_code == 303
    assert browser.get("/stores").headers["location"].startswith("/sign-in/enrol")
    assert browser.get("/v1/ledger/balance").status_code == 401
    honest.user = somebody("paula", "books", amr=("pwd", "otp"))
    assert sign_in(browser).status_code == 303
    assert browser.get("/v1/ledger/balance").status_code == 200
    honest.user = somebody("petra", "shops", amr=())
    assert sign_in(browser).status_code == 303
    assert browser.get("/stores").status_code == 200, "a viewer needs none"


def test_a_key_that_is_changed_is_asked_for(browser: httpx2.Client, honest: Provider) -> None:
    honest.user = somebody("anna", "books")
    assert sign_in(browser).status_code == 303
    for kid, algorithm in (("second", "RS256"), ("third", "ES256"), ("fourth", "RS256")):
        honest.rotate(kid=kid, algorithm=algorithm)
        assert sign_in(browser).status_code == 303
    asked = honest.asked.count("/jwks")
    assert sign_in(browser).status_code == 303
    assert honest.asked.count("/jwks") == asked, "keys are kept"
    assert honest.asked.count("/.well-known/openid-configuration") == 1


# ---------------------------------------------------------------- attacks


def without(name: str) -> Callable[[Claims], Claims]:
    return lambda claims: {key: value for key, value in claims.items() if key != name}


def changed(**values: Any) -> Callable[[Claims], Claims]:
    return lambda claims: claims | values


NOW = int(time.time())
TWISTS: dict[str, Callable[[Claims], Claims]] = {
    "another nonce": changed(nonce="n" * 43),
    "no nonce": without("nonce"),
    "empty nonce": changed(nonce=""),
    "another audience": changed(aud="another-client"),
    "no audience": without("aud"),
    "an audience of others": changed(aud=["another-client", "third"]),
    "for another party": changed(aud=[CLIENT, "another-client"], azp="another-client"),
    "of several without a party": changed(aud=["another-client", CLIENT], azp=None),
    "another issuer": changed(iss="https://evil.example"),
    "an issuer that begins alike": lambda claims: claims | {"iss": claims["iss"] + ".evil.example"},
    "no issuer": without("iss"),
    "expired": changed(iat=NOW - 7200, exp=NOW - 3600),
    "without an end": without("exp"),
    "an end that is no number": changed(exp="never"),
    "an end that is not a number": changed(exp=float("nan")),
    "of a time to come": changed(iat=NOW + 86_400, exp=NOW + 90_000),
    "not yet good": changed(nbf=NOW + 86_400),
    "no subject": without("sub"),
    "an empty subject": changed(sub=""),
    "a subject that is no text": changed(sub=["subject-of-anna"]),
    "a subject without end": changed(sub="s" * 300),
    "another access token's": changed(at_hash="x" * 22),
    "no name": without("preferred_username"),
    "a name that is no text": changed(preferred_username={"$ne": None}),
}


def test_a_token_that_says_anything_else_is_refused(browser: httpx2.Client, honest: Provider) -> None:
    honest.user = somebody("anna", "books")
    for lie, twist in TWISTS.items():
        honest.twist = twist
        answer = sign_in(browser)
        assert (answer.status_code, "could not be verified" in answer.text) == (403, True), lie
        assert browser.get("/stores").status_code == 303, lie
    honest.twist = changed(extra="more", aud=[CLIENT])
    assert sign_in(browser).status_code == 303, "what says more is let in"


Forging = Callable[[Claims], str]


def _by_public_key(provider: Provider, form: str) -> Forging:
    key = provider.keys[-1]
    shared = key.as_pem(private=False) if form == "pem" else str(key.as_dict(private=False)["n"]).encode()
    return lambda claims: forged({"alg": "HS256", "kid": key.kid, "typ": "JWT"}, claims, shared)


def _signed(header: Claims, key: Any = None) -> Forging:
    """By somebody's own key, or by the provider's in another way than is allowed."""
    own = key or RSAKey.generate_key(2048)
    return lambda claims: jwt.encode({"alg": "RS256"} | header, claims, own, algorithms=["RS256", "RS512"])


def _bringing_its_key(provider: Provider) -> Forging:
    own = RSAKey.generate_key(2048)
    return _signed({"kid": provider.keys[-1].kid, "jwk": own.as_dict(private=False)}, own)


def _otherwise(provider: Provider) -> Forging:
    told = {name: value for name, value in provider.keys[-1].as_dict(private=True).items() if name != "alg"}
    return _signed({"alg": "RS512", "kid": told["kid"]}, RSAKey.import_key(told))  # type: ignore[arg-type]


FORGERIES: dict[str, Callable[[Provider], Forging]] = {
    "alg none": lambda provider: lambda claims: forged({"alg": "none", "kid": provider.keys[-1].kid}, claims),
    "alg None": lambda provider: lambda claims: forged({"alg": "None", "kid": provider.keys[-1].kid}, claims),
    "no alg": lambda provider: lambda claims: forged({"kid": provider.keys[-1].kid}, claims),
    "HS256 by the public key (PEM)": lambda provider: _by_public_key(provider, "pem"),
    "HS256 by the public key (n)": lambda provider: _by_public_key(provider, "n"),
    "HS256 by the client's secret": lambda _: lambda claims: forged({"alg": "HS256"}, claims, SECRET.encode()),
    "another's key under a known name": lambda provider: _signed({"kid": provider.keys[-1].kid}),
    "another's key without a name": lambda _: _signed({}),
    "an unknown key": lambda _: _signed({"kid": "never-there"}),
    "a key that it brings": _bringing_its_key,
    "a key that is no text": lambda _: lambda claims: forged({"alg": "RS256", "kid": ["first"]}, claims),
    "an algorithm that is not allowed": _otherwise,
    "no token": lambda _: lambda claims: "no token",
    "two dots": lambda _: lambda claims: "..",
    "without end": lambda _: lambda claims: "a" * 100_000,
    "not ASCII": lambda _: lambda claims: "ü.ü.ü",
}


def test_a_forged_token_is_refused(browser: httpx2.Client, honest: Provider) -> None:
    honest.user = somebody("anna", "books")
    for forgery, made in FORGERIES.items():
        honest.forge = made(honest)
        answer = sign_in(browser)
        assert (answer.status_code, "could not be verified" in answer.text) == (403, True), forgery
        assert browser.get("/stores").status_code == 303, forgery
    honest.forge = None
    assert sign_in(browser).status_code == 303, "the provider's own is let in"


def test_an_answer_is_good_in_the_browser_that_asked_and_once(
    hub: Api, browser: httpx2.Client, honest: Provider
) -> None:
    honest.user = somebody("anna", "books")
    answer = at_provider(begin(browser))
    with httpx2.Client(base_url=hub.url) as victim:  # an attacker's answer in somebody else's browser
        refused(come_back(victim, answer))
        begin(victim)
        refused(come_back(victim, answer))
    kept = browser.cookies.get("tillwire-oidc")
    assert kept is not None
    assert come_back(browser, answer).status_code == 303
    honest.once = False
    answer = at_provider(begin(browser))
    carried = browser.cookies.get("tillwire-oidc")
    assert carried is not None
    assert come_back(browser, answer).status_code == 303
    browser.cookies.set("tillwire-oidc", carried, domain="127.0.0.1")
    refused(come_back(browser, answer))  # even where the provider would give a token again


@pytest.mark.parametrize(
    "change",
    [
        {"state": "s" * 43},
        {"state": ""},
        {"state": None},
        {"code": None},
        {"code": ""},
        {"code": "c" * 5000},
        {"code": "never-given"},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"error": "access_denied", "error_description": "<script>alert(1)</script>"},
    ],
)
def test_a_changed_answer_is_refused(browser: httpx2.Client, honest: Provider, change: dict[str, str | None]) -> None:
    honest.user = somebody("anna", "books")
    answer = {**at_provider(begin(browser)), **change}
    told = come_back(browser, {name: value for name, value in answer.items() if value is not None})
    refused(told)
    assert "<script>alert" not in told.text


def test_a_parameter_that_is_there_twice_is_refused(browser: httpx2.Client, honest: Provider) -> None:
    honest.user = somebody("anna", "books")
    answer = urlencode(at_provider(begin(browser)))
    refused(browser.get(f"{CALLBACK}?{answer}&state=x"))


@pytest.mark.parametrize("carried", ["", "x", "AAAA", "=" * 100, "A" * 3000])
def test_what_no_browser_was_given_is_refused(browser: httpx2.Client, honest: Provider, carried: str) -> None:
    answer = at_provider(begin(browser))
    browser.cookies.clear()
    browser.cookies.set("tillwire-oidc", carried, domain="127.0.0.1")
    refused(come_back(browser, answer))


def test_nobody_is_sent_to_another_site_by_it(browser: httpx2.Client, honest: Provider) -> None:
    honest.user = somebody("anna", "books")
    for there in ("https://evil.example", "//evil.example", "/\\evil.example"):
        assert sign_in(browser, there).headers["location"] == "/"


def test_a_provider_that_is_away_is_told(browser: httpx2.Client, honest: Provider) -> None:
    honest.user = somebody("anna", "books")
    answer = at_provider(begin(browser))
    honest.down = True
    told = come_back(browser, answer)
    assert (told.status_code, told.headers["retry-after"]) == (503, "5")
    assert "does not answer" in told.text
    honest.down = False
    assert sign_in(browser).status_code == 303, "and begins anew when it is back"


# ---------------------------------------------------------------- what the provider says of itself


@pytest.fixture
def own(honest: Provider) -> Iterator[Callable[..., oidc.Provider]]:
    """Makes what a process knows of the provider."""
    made: list[oidc.Provider] = []

    def make(*, secret: str = SECRET, **settings: Any) -> oidc.Provider:
        chosen = Oidc(**{"issuer": honest.url, "client_id": CLIENT} | settings)
        redirect, sealer = "http://127.0.0.1:1/sign-in/oidc/callback", Sealer(KEY, purpose="test")
        made.append(oidc.Provider(chosen, secret=secret, redirect_uri=redirect, sealer=sealer))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": "http://169.254.169.254/latest/meta-data"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
        {"token_endpoint": ["https://a.example"]},
    ],
)
def test_a_provider_that_says_what_is_not_sound_is_not_believed(
    honest: Provider, own: Callable[..., oidc.Provider], metadata: Claims
) -> None:
    honest.metadata = metadata
    with pytest.raises(oidc.SignInRefused):
        own().begin("/")


def test_a_provider_of_another_scheme_than_https_is_of_this_machine_alone(own: Callable[..., oidc.Provider]) -> None:
    with pytest.raises(oidc.SignInRefused, match="not over https"):
        oidc._refuse_unsafe("http://127.0.0.1/token", "https://login.example.com")


def exchanged(provider: oidc.Provider) -> str:
    """Who comes back from the provider."""
    address, carried = provider.begin("/stores")
    answer = at_provider(address)
    attempt = provider.attempt(carried, answer)
    assert attempt.there == "/stores"
    return provider.finish(attempt, answer).name


def test_the_secret_goes_where_the_provider_wants_it(honest: Provider, own: Callable[..., oidc.Provider]) -> None:
    honest.user = somebody("anna")
    assert exchanged(own()) == "anna"
    honest.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert exchanged(own()) == "anna"
    with pytest.raises(oidc.SignInRefused, match="401 'invalid_client'"):
        exchanged(own(secret="another"))
    with pytest.raises(oidc.SignInRefused, match="401 'invalid_client'"):
        exchanged(own(secret=""))


def test_a_code_is_no_good_with_another_verifier(honest: Provider, own: Callable[..., oidc.Provider]) -> None:
    honest.user = somebody("anna")
    provider = own()
    address, carried = provider.begin("/")
    answer = at_provider(address)
    stolen = oidc.Attempt(seed="the thief's", there="/", made_s=int(time.time()))
    with pytest.raises(oidc.SignInRefused, match="400 'invalid_grant'"):
        provider.finish(stolen, answer)
    assert provider.attempt(carried, answer).verifier != stolen.verifier


def test_an_attempt_is_over_after_ten_minutes(
    honest: Provider, own: Callable[..., oidc.Provider], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = own()
    address, carried = provider.begin("/")
    answer = at_provider(address)
    provider.attempt(carried, answer)
    later = clock.now() + timedelta(seconds=oidc.GOOD_S)
    monkeypatch.setattr(clock, "now", lambda: later)
    with pytest.raises(oidc.SignInRefused, match="too long"):
        provider.attempt(carried, answer)


def test_a_provider_that_is_away_is_not_asked_by_everybody(
    honest: Provider, own: Callable[..., oidc.Provider], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(clock, "monotonic_s", lambda: now[0])
    provider = own()
    honest.down = True
    before = len(honest.asked)
    for _ in range(5):
        with pytest.raises(TransientError):
            provider.begin("/")
    assert len(honest.asked) == before + 1
    honest.down = False
    now[0] += oidc.AWAY_S
    assert provider.begin("/")
    honest.down = True
    now[0] += oidc.METADATA_GOOD_S
    assert provider.begin("/"), "what it has said of itself is kept"


def test_groups_may_be_within_other_claims() -> None:
    claims = {"sub": "1", "preferred_username": "anna", "realm_access": {"roles": ["a", 1]}, "https://x.example/g": "b"}
    for claim, groups in (
        ("realm_access.roles", {"a"}),
        ("https://x.example/g", {"b"}),
        ("realm_access.none", set()),
        ("sub.roles", set()),
        ("none", set()),
    ):
        found = oidc.identity_of(claims, Oidc(issuer="https://x.example", groups_claim=claim))
        assert found.groups == groups, claim


def test_nothing_secret_is_kept_or_told(
    hub: Api, browser: httpx2.Client, honest: Provider, db: psycopg.Connection
) -> None:
    honest.user = somebody("anna", "books")
    answer = at_provider(begin(browser))
    come_back(browser, answer)
    token = browser.cookies.get("tillwire")
    assert token
    kept = str(rows(db, "SELECT * FROM person_session")) + str(rows(db, "SELECT * FROM sign_in_used"))
    kept += str(rows(db, "SELECT * FROM audit_entry")) + hub.child.spec.log.read_text("utf-8")
    for secret in (SECRET, KEY, token, answer["code"], answer["state"]):
        assert secret not in kept
