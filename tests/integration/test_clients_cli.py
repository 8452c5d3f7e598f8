"""`tillwire client`: what it makes, shows and refuses; and the key that signs tokens, which `tillwire up` makes."""

from __future__ import annotations

import stat
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from driving import rows

from tillwire import bootstrap, clock
from tillwire.cli import main
from tillwire.cli.clients import duration
from tillwire.config import Clients, Settings
from tillwire.errors import ConfigurationError, TillwireError
from tillwire.governance.access import ROLES, Grant, Operation
from tillwire.governance.clients import KEYS_IN_FORCE, Client, client_named
from tillwire.governance.keys import KeyRing, Known
from tillwire.hub import TOKEN_KEY, Hub


@pytest.fixture
def command(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Any:
    """Runs `tillwire client`; its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TILLWIRE_DATABASE_URL", database_url)

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["tillwire", "client", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capfd.readouterr()
        return int(ended.value.code or 0), (told.out + told.err).strip()

    return run


def known(connection: psycopg.Connection, key: str) -> Known | None:
    ring = KeyRing()
    ring.refresh(rows(connection, KEYS_IN_FORCE))
    return ring.of_key(key)


def test_a_client_of_no_further_words_may_send_events_and_nothing_else(
    command: Any, connection: psycopg.Connection
) -> None:
    ended, key = command("add", "till vendor")
    assert ended == 0
    found = known(connection, key)
    assert found is not None
    assert found.principal.grants == (Grant(operations=frozenset({Operation.SEND_EVENTS})),)
    assert (found.expires_at, found.networks) == (None, ())


def test_a_client_is_made_with_all_that_can_be_said_of_it(command: Any, connection: psycopg.Connection) -> None:
    said = (
        "add", "franchise", "--allow", "events:send", "stock:read", "--role", "viewer", "--store", "1*", "2*",
        "--company", "ACME", "--source", "urn:pos:*", "--network", "10.0.0.0/8", "192.0.2.1", "--expires", "90d",
    )  # fmt: skip
    ended, key = command(*said)
    assert ended == 0
    found = known(connection, key)
    assert found is not None
    (grant,) = found.principal.grants
    assert grant.operations == ROLES["viewer"] | {Operation.SEND_EVENTS, Operation.READ_STOCK}
    assert (grant.stores, grant.companies, grant.sources) == (("1*", "2*"), ("ACME",), ("urn:pos:*",))
    assert [str(network) for network in found.networks] == ["10.0.0.0/8", "192.0.2.1/32"]
    assert found.expires_at is not None
    assert timedelta(days=89) < found.expires_at - clock.now() <= timedelta(days=90)


def shown(connection: psycopg.Connection, name: str = "a") -> Client:
    return client_named(connection, name)


def test_a_client_is_granted_rotated_shown_listed_and_revoked(command: Any, connection: psycopg.Connection) -> None:
    _, first = command("add", "a", "--store", "1*")
    assert command("grant", "a", "--allow", "sales:read", "--company", "ACME") == (0, "")
    assert len(shown(connection).grants) == 2
    assert command("grant", "a", "--allow", "events:send", "--replace", "--network", "10.0.0.0/8") == (0, "")
    assert shown(connection).grants == (Grant(operations=frozenset({Operation.SEND_EVENTS})),)
    assert shown(connection).networks == ["10.0.0.0/8"]
    assert command("grant", "a", "--expires", "1d") == (0, "")
    ended, second = command("rotate", "a", "--keep", "24h")
    assert ended == 0
    assert known(connection, first) is not None
    assert known(connection, second) is not None
    _, told = command("show", "a")
    assert '"events:send"' in told
    assert "10.0.0.0/8" in told
    _, listed = command("list")
    assert "events:send" in listed
    for said in (told, listed):
        assert first not in said
        assert second not in said
    _, third = command("rotate", "a")
    assert [known(connection, key) is None for key in (first, second, third)] == [True, True, False]
    assert command("revoke", "a") == (0, "")
    assert known(connection, third) is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("add", "b", "--allow", "send"), "events:send"),
        (("add", "b", "--role", "king"), "administrator"),
        (("add", "b", "--network", "here"), "network"),
        (("add", "b", "--expires", "soon"), "90d"),
        (("add", "b", "--expires", "0"), "past"),
        (("add", "b/c"), "name"),
        (("grant", "a"), "--allow"),
        (("grant", "a", "--store", "1*"), "--allow"),
        (("grant", "nobody", "--allow", "events:send"), "nobody"),
        (("rotate", "nobody"), "nobody"),
        (("rotate", "a", "--keep", "a while"), "24h"),
        (("revoke", "nobody"), "nobody"),
        (("show", "nobody"), "nobody"),
    ],
)
def test_what_is_wrong_is_told_and_changes_nothing(
    command: Any, connection: psycopg.Connection, words: tuple[str, ...], told: str
) -> None:
    command("add", "a")
    before = rows(connection, "SELECT * FROM api_client"), rows(connection, "SELECT * FROM api_client_key")
    ended, said = command(*words)
    assert ended == 2
    assert told in said
    assert (rows(connection, "SELECT * FROM api_client"), rows(connection, "SELECT * FROM api_client_key")) == before


def test_a_duration_is_a_number_and_a_unit() -> None:
    for text, expected in (("0", timedelta(0)), ("30m", timedelta(minutes=30)), ("24h", timedelta(days=1))):
        assert duration(text) == expected
    for text in ("", "1", "d", "-1d", "1.5h", "1y", "1d 2h", "9999999d"):
        with pytest.raises(TillwireError, match=r"90d"):
            duration(text)


# ---------------------------------------------------------------- the key that signs tokens


def test_a_hub_makes_its_signing_key_once_and_for_itself_alone(tmp_path: Path) -> None:
    def hub(**clients: str) -> Hub:
        settings = Settings(database_url="postgresql://x", nats_url="nats://x", clients=Clients(**clients))
        made = Hub(tmp_path / "data", settings)
        made.write_settings()
        return made

    first = hub()
    path = tmp_path / "data" / TOKEN_KEY
    key = path.read_text()
    assert len(key.strip()) >= 60
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    tokens = bootstrap.tokens(first.settings)
    assert tokens is not None
    assert key.strip() not in (tmp_path / "data" / "settings.json").read_text()
    again = bootstrap.tokens(hub().settings)
    assert again is not None
    assert again.read(tokens.give("a", 1, [Operation.SEND_EVENTS])) is not None
    assert path.read_text() == key
    path.write_text("")  # as a power cut may leave it
    hub()
    assert len(path.read_text().strip()) >= 60
    own = hub(token_key="x" * 40)
    assert own.settings.clients.token_key_file == ""


def test_a_signing_key_that_is_none_is_told(tmp_path: Path) -> None:
    assert bootstrap.tokens(Settings()) is None
    short = tmp_path / "key"
    short.write_text("short\n")
    for clients in (Clients(token_key_file=str(short)), Clients(token_key_file=str(tmp_path / "away"))):
        with pytest.raises(ConfigurationError, match="token_key"):
            bootstrap.tokens(Settings(clients=clients))
