"""Access tokens: what is ours, whole, for us and in time is read; whatever else is no token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from tillwire import clock
from tillwire.errors import ConfigurationError
from tillwire.governance.access import Operation
from tillwire.governance.keys import digest_of
from tillwire.governance.tokens import Tokens
from tillwire.http.callers import Callers

KEY = "0123456789abcdef" * 3
ISSUER = "https://hub.example.com"
TOKENS = Tokens(KEY, issuer=ISSUER, life_s=900)
SENDS = frozenset({Operation.SEND_EVENTS})


def given() -> str:
    return TOKENS.give("till vendor", 7, SENDS)


def claims_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def signed(claims: dict[str, Any], key: Any = KEY, algorithm: str = "HS256", **headers: Any) -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers={"typ": "at+jwt", **headers})


def part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], claims: dict[str, Any], key: bytes = KEY.encode()) -> str:
    """A token signed with HMAC, whatever its header says."""
    text = f"{part(header)}.{part(claims)}"
    signature = hmac.digest(key, text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_a_token_says_who_has_it_and_for_what() -> None:
    read = TOKENS.read(given())
    assert read is not None
    assert (read.client, read.key_id, read.operations) == ("till vendor", 7, SENDS)
    assert 890 < read.expires_s - clock.now().timestamp() <= 900
    assert given() != given(), "every token has a number of its own"


def test_what_is_made_by_hand_as_ours_is_made_is_read() -> None:
    """So that the tests below fail for the reason they name."""
    assert TOKENS.read(by_hand({"alg": "HS256", "typ": "at+jwt"}, claims_of(given()))) is not None
    assert TOKENS.read(signed(claims_of(given()))) is not None


def test_every_process_with_the_same_key_reads_it_and_no_other() -> None:
    assert Tokens(KEY, issuer=ISSUER, life_s=1).read(given()) is not None
    assert Tokens(KEY[::-1], issuer=ISSUER, life_s=1).read(given()) is None


def test_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    token, now = given(), datetime.now(UTC)
    for seconds, good in ((890, True), (901, False), (-3600, False)):
        then = now + timedelta(seconds=seconds)
        monkeypatch.setattr(clock, "now", lambda then=then: then)
        assert (TOKENS.read(token) is not None) == good


def forged() -> dict[str, str]:
    """Tokens that must not be read, by what is wrong with them."""
    claims = claims_of(given())
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = rsa_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    header = {"alg": "HS256", "typ": "at+jwt"}
    own_jwk = {"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).decode()}
    head, body, signature = given().split(".")
    more = part(claims | {"scope": " ".join(Operation)})
    return {
        "no signature": f"{part({'alg': 'none', 'typ': 'at+jwt'})}.{part(claims)}.",
        "none with a signature": by_hand({"alg": "none", "typ": "at+jwt"}, claims),
        "NoNe": f"{part({'alg': 'NoNe', 'typ': 'at+jwt'})}.{part(claims)}.",
        "signature left out": f"{head}.{body}.",
        "another's signature": f"{head}.{body}.{TOKENS.give('x', 1, SENDS).split('.')[2]}",
        "more than was signed": f"{head}.{more}.{signature}",
        "RS256": signed(claims, rsa_key, "RS256"),
        "EdDSA": signed(claims, ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
        "HS512 with our key": signed(claims, KEY * 2, "HS512"),
        "HS256 that says RS256": by_hand({"alg": "RS256", "typ": "at+jwt"}, claims),
        "HMAC by a public key": by_hand(header, claims, public),
        "an empty key": by_hand(header, claims, b""),
        "a key of its own": by_hand({**header, "jwk": own_jwk}, claims, b"x" * 32),
        "a key id": by_hand({**header, "kid": "../../dev/null"}, claims),
        "a key id of an empty file": by_hand({**header, "kid": "/dev/null"}, claims, b""),
        "a key id of SQL": by_hand({**header, "kid": "x' UNION SELECT 'y"}, claims, b"y"),
        "a key's address": by_hand({**header, "jku": "http://203.0.113.9/keys"}, claims),
        "a certificate's address": by_hand({**header, "x5u": "http://203.0.113.9/c"}, claims),
        "critical": by_hand({**header, "crit": ["exp"]}, claims),
        "no type": by_hand({"alg": "HS256"}, claims),
        "an identity token": by_hand({"alg": "HS256", "typ": "JWT"}, claims),
        "another audience": signed(claims | {"aud": "another"}),
        "no audience": signed({name: claims[name] for name in claims.keys() - {"aud"}}),
        "another issuer": signed(claims | {"iss": "https://evil.example.com"}),
        "no issuer": signed({name: claims[name] for name in claims.keys() - {"iss"}}),
        "no end": signed({name: claims[name] for name in claims.keys() - {"exp"}}),
        "an end in words": signed(claims | {"exp": "never"}),
        "no key named": signed({name: claims[name] for name in claims.keys() - {"key"}}),
        "a key in words": signed(claims | {"key": "7"}),
        "two clients": signed(claims | {"sub": "another"}),
        "an operation that there is not": signed(claims | {"scope": "moon:shoot"}),
        "scopes as a list": signed(claims | {"scope": ["events:send"]}),
        "from the future": signed(claims | {"iat": claims["iat"] + 3600, "exp": claims["exp"] + 3600}),
        "expired": signed(claims | {"exp": claims["iat"] - 1}),
        "two parts": f"{head}.{body}",
        "four parts": f"{given()}.x",
        "dots": "..",
        "not base64": "%.%.%",
        "blanks around": f" {given()} ",
    }


FORGED = forged()


@pytest.mark.parametrize("what", FORGED)
def test_whatever_else_is_no_token(what: str) -> None:
    assert TOKENS.read(FORGED[what]) is None


@pytest.mark.parametrize("key", ["", "short", "x" * 31])
def test_a_key_that_could_be_guessed_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match="32"):
        Tokens(key, issuer=ISSUER, life_s=1)


# ---------------------------------------------------------------- a token is as good as its client's key


def row(key: str, key_id: int, name: str, operations: list[str], ends: datetime | None = None) -> tuple[Any, ...]:
    grants = [{"operations": operations, "stores": ["1*"], "companies": ["*"], "sources": ["*"]}]
    return (digest_of(key), key_id, ends, name, None, [], grants)


SCOPE: dict[str, Any] = {"client": ("203.0.113.9", 1), "headers": []}


def test_a_token_allows_what_its_client_may_and_its_scope_has() -> None:
    callers = Callers(TOKENS, ())
    callers.refresh([row("k", 7, "till vendor", ["events:send", "sales:read"])])
    token = TOKENS.give("till vendor", 7, SENDS | {Operation.WORK_LEDGER})
    principal = callers.principal(token, SCOPE)
    assert principal is not None
    assert principal.name == "till vendor"
    assert {one for one in Operation if principal.may(one)} == SENDS
    assert principal.grants[0].stores == ("1*",)
    assert callers.principal(token, SCOPE) is principal, "narrowed once, not for every request"
    callers.refresh([row("k", 7, "till vendor", ["sales:read"])])
    changed = callers.principal(token, SCOPE)
    assert changed is not None
    assert changed.grants == (), "a grant that was taken away is taken from tokens, too"


def test_a_token_dies_with_the_key_it_was_given_for() -> None:
    callers = Callers(TOKENS, ())
    callers.refresh([row("k", 7, "till vendor", ["events:send"])])
    token = given()
    assert callers.principal(token, SCOPE) is not None
    for rows in (
        [],  # revoked
        [row("k2", 8, "till vendor", ["events:send"])],  # made again, or rotated without an overlap
        [row("k", 7, "another", ["events:send"])],
        [row("k", 7, "till vendor", ["events:send"], datetime.now(UTC) - timedelta(seconds=1))],
    ):
        callers.refresh(rows)
        assert callers.principal(token, SCOPE) is None, rows


def test_a_token_that_was_sound_is_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    callers = Callers(TOKENS, ())
    callers.refresh([row("k", 7, "till vendor", ["events:send"])])
    token = given()
    assert callers.principal(token, SCOPE) is not None
    later = datetime.now(UTC) + timedelta(seconds=901)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert callers.principal(token, SCOPE) is None


def test_without_a_signing_key_nothing_is_a_token() -> None:
    callers = Callers(None, ())
    callers.refresh([row("k", 7, "till vendor", ["events:send"])])
    assert callers.principal(given(), SCOPE) is None
    assert callers.principal("k", SCOPE) is not None
