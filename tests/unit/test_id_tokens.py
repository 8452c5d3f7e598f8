"""The provider's keys: when they are asked for, and which of them a signature is looked at by."""

from __future__ import annotations

import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from tillwire import clock
from tillwire.errors import TransientError
from tillwire.governance.id_tokens import KEYS_GOOD_S, KEYS_KEPT_S, LOOK_AGAIN_S, KeySource, TokenRefused

RSA, SHORT = RSAKey.generate_key(2048), RSAKey.generate_key(1024)
EC = ECKey.generate_key("P-256")


def told(key: Any, **more: Any) -> dict[str, Any]:
    return key.as_dict(private=isinstance(key, OctKey)) | more


class Told:
    """What the provider tells, and how often it was asked."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = keys
        self.asked = 0
        self.away = False

    def __call__(self) -> bytes:
        self.asked += 1
        if self.away:
            raise TransientError("away")
        return json.dumps({"keys": self.keys}).encode()


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock; add to its first entry."""
    now = [1000.0]
    monkeypatch.setattr(clock, "monotonic_s", lambda: now[0])
    return now


def test_a_key_fits_its_own_kind_of_signature_alone() -> None:
    source = KeySource(
        Told(
            told(RSA, kid="r"),
            told(EC, kid="e"),
            told(RSA, kid="sealing", use="enc"),
            told(RSA, kid="pss", alg="PS256"),
            told(OctKey.generate_key(256), kid="shared"),
            told(SHORT, kid="short"),
            {"kty": "unheard-of", "kid": "odd"},
        )
    )
    assert source.fitting("RS256", "r").kid == "r"
    assert source.fitting("ES256", "e").kid == "e"
    assert source.fitting("ES256", None).kid == "e", "the only one of its kind"
    for algorithm, key_id in (
        ("ES256", "r"), ("RS256", "e"), ("RS256", "sealing"), ("RS256", "pss"), ("RS256", "shared"), ("RS256", "short"),
        ("RS256", "odd"), ("RS256", ""), ("RS256", "never-there"),
    ):  # fmt: skip
        with pytest.raises(TokenRefused, match="of the provider's keys fit"):
            source.fitting(algorithm, key_id)
    with pytest.raises(TokenRefused, match=r"^2 of"):  # which of two cannot be told without a name
        source.fitting("PS256", None)


def test_keys_are_asked_for_as_they_age_and_where_one_is_not_known(hands: list[float]) -> None:
    provider = Told(told(RSA, kid="first"))
    source = KeySource(provider)
    source.fitting("RS256", "first")
    source.fitting("RS256", "first")
    assert provider.asked == 1
    provider.keys = (told(RSA, kid="second"),)
    assert source.fitting("RS256", "second").kid == "second"
    with pytest.raises(TokenRefused):
        source.fitting("RS256", "first")  # was withdrawn
    assert provider.asked == 3
    for _ in range(5):
        with pytest.raises(TokenRefused):
            source.fitting("RS256", "never-there")
    assert provider.asked == 3, "nothing had changed: not so soon again"
    hands[0] += LOOK_AGAIN_S + 1
    with pytest.raises(TokenRefused):
        source.fitting("RS256", "never-there")
    assert provider.asked == 4
    hands[0] += KEYS_GOOD_S + 1
    source.fitting("RS256", "second")
    assert provider.asked == 5


def test_keys_are_kept_for_a_day_while_the_provider_is_away(hands: list[float]) -> None:
    provider = Told(told(RSA, kid="first"))
    source = KeySource(provider)
    source.fitting("RS256", "first")
    provider.away = True
    hands[0] += KEYS_GOOD_S + 1
    assert source.fitting("RS256", "first").kid == "first"
    hands[0] += KEYS_KEPT_S
    with pytest.raises(TransientError):
        source.fitting("RS256", "first")


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"keys": 1}', b'{"keys": [1, null, {}]}', b"\xff"])
def test_what_is_no_set_of_keys_lets_nobody_in(answer: bytes) -> None:
    with pytest.raises(TokenRefused):
        KeySource(lambda: answer).fitting("RS256", "first")
