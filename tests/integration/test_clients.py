"""API clients come, change and go: keys are never kept, rotate with an overlap, and end when they are to."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from driving import rows
from serving import ANYTHING

from tillwire import clock
from tillwire.errors import TillwireError
from tillwire.governance import clients as service
from tillwire.governance.access import Grant, Operation
from tillwire.governance.clients import KEYS_IN_FORCE, NoSuchClient, add_client, client_named, clients, revoke_client
from tillwire.governance.keys import KeyRing, digest_of

SENDS = (Grant(operations=frozenset({Operation.SEND_EVENTS}), stores=("1*",), sources=("urn:pos:*",)),)


def ring_of(connection: psycopg.Connection) -> KeyRing:
    ring = KeyRing()
    ring.refresh(rows(connection, KEYS_IN_FORCE))
    return ring


def test_a_key_is_shown_once_and_its_digest_kept(connection: psycopg.Connection) -> None:
    key = add_client(connection, "till vendor", SENDS)
    assert key.startswith("tw_")
    assert len(key) > 40
    assert key != add_client(connection, "another", SENDS)
    ((digest,),) = rows(connection, "SELECT digest FROM api_client_key WHERE client = 'till vendor'")
    assert bytes(digest) == digest_of(key) == hashlib.sha256(key.encode()).digest()
    tables = rows(connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for (table,) in tables:
        found = rows(connection, f"SELECT 1 FROM {table} AS t WHERE strpos(t::text, %s) > 0", key)
        assert found == [], f"{table} holds the key"
    shown = str(client_named(connection, "till vendor")) + str(clients(connection))
    assert key not in shown
    assert bytes(digest).hex() not in shown


def test_a_key_brings_its_client_with_its_grants(connection: psycopg.Connection) -> None:
    key = add_client(connection, "till vendor", SENDS, networks=["10.0.0.0/8", "::1"])
    known = ring_of(connection).of_key(key)
    assert known is not None
    assert known.principal.name == "till vendor"
    assert known.principal.grants == SENDS
    assert [str(network) for network in known.networks] == ["10.0.0.0/8", "::1/128"]
    assert ring_of(connection).of_key(key + "x") is None


def test_a_name_is_taken_once_and_may_be_given_again_without_what_it_had(connection: psycopg.Connection) -> None:
    old = add_client(connection, "till vendor", ANYTHING, networks=["10.0.0.0/8"])
    with pytest.raises(TillwireError, match="till vendor"):
        add_client(connection, "till vendor", SENDS)
    assert len(clients(connection)) == 1
    revoke_client(connection, "till vendor")
    new = add_client(connection, "till vendor", SENDS)
    ring = ring_of(connection)
    assert ring.of_key(old) is None
    known = ring.of_key(new)
    assert known is not None
    assert known.principal.grants == SENDS
    assert known.networks == ()


def test_a_revoked_client_is_out_of_force(connection: psycopg.Connection) -> None:
    gone, kept = add_client(connection, "a", SENDS), add_client(connection, "b", SENDS)
    revoke_client(connection, "a")
    ring = ring_of(connection)
    assert ring.of_key(gone) is None
    assert ring.of_key(kept) is not None
    assert [(one.name, one.revoked_at is None) for one in clients(connection)] == [("a", False), ("b", True)]
    for name in ("a", "never there"):
        for act in (
            lambda name=name: revoke_client(connection, name),
            lambda name=name: service.rotate(connection, name),
            lambda name=name: service.grant(connection, name, SENDS),
            lambda name=name: service.restrict(connection, name, networks=[]),
        ):
            with pytest.raises(NoSuchClient, match=name):
                act()


def test_keys_rotate_with_an_overlap(connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    first = add_client(connection, "a", SENDS)
    second = service.rotate(connection, "a", keep=timedelta(hours=24))
    third = service.rotate(connection, "a", keep=timedelta(hours=48), expires_at=clock.now() + timedelta(days=90))
    ring = ring_of(connection)

    def in_force(hours: float) -> list[bool]:
        now = datetime.now(UTC) + timedelta(hours=hours)
        monkeypatch.setattr(clock, "now", lambda: now)
        found = [not known.expired for key in (first, second, third) if (known := ring.of_key(key))]
        monkeypatch.undo()
        return found

    assert in_force(0) == [True, True, True]
    assert in_force(25) == [False, True, True], "the first was to end with the first overlap, not with the second"
    assert in_force(49) == [False, False, True]
    assert in_force(91 * 24) == [False, False, False]
    fourth = service.rotate(connection, "a")
    ring = ring_of(connection)
    assert [ring.of_key(key) is None for key in (first, second, third, fourth)] == [True, True, True, False]
    assert len(client_named(connection, "a").keys) == 1


def test_a_client_ends_with_all_its_keys(connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    key = add_client(connection, "a", SENDS, expires_at=clock.now() + timedelta(days=1))
    ring = ring_of(connection)
    known = ring.of_key(key)
    assert known is not None
    assert not known.expired
    later = datetime.now(UTC) + timedelta(days=1, seconds=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert known.expired


def test_grants_are_added_or_replaced(connection: psycopg.Connection) -> None:
    add_client(connection, "a", SENDS)
    reads = Grant(operations=frozenset({Operation.READ_SALES, Operation.READ_STOCK}), companies=("ACME",))
    service.grant(connection, "a", [reads])
    assert client_named(connection, "a").grants == (*SENDS, reads)
    service.grant(connection, "a", [reads], replace=True)
    assert client_named(connection, "a").grants == (reads,)
    service.restrict(connection, "a", networks=["10.0.0.0/8"])
    service.restrict(connection, "a", expires_at=clock.now() + timedelta(days=1))
    shown = client_named(connection, "a")
    assert shown.networks == ["10.0.0.0/8"]
    assert shown.expires_at is not None
    service.restrict(connection, "a", networks=[])
    assert client_named(connection, "a").networks == []


@pytest.mark.parametrize("name", ["", "  ", "a\n", "a/b", "x" * 65, "\x00"])
def test_a_name_that_is_none_is_refused(connection: psycopg.Connection, name: str) -> None:
    with pytest.raises(TillwireError, match="no name"):
        add_client(connection, name, SENDS)


@pytest.mark.parametrize(
    ("grants", "more", "words"),
    [
        ((), {}, "grants"),
        ((Grant(operations=frozenset()),), {}, "operation"),
        ((Grant(operations=frozenset({Operation.SEND_EVENTS}), stores=()),), {}, "stores"),
        ((Grant(operations=frozenset({Operation.SEND_EVENTS}), sources=("",)),), {}, "sources"),
        ((Grant(operations=frozenset({Operation.SEND_EVENTS}), companies=("a\x00",)),), {}, "companies"),
        (SENDS, {"networks": ["10.0.0.1/8"]}, "network"),
        (SENDS, {"networks": ["everywhere"]}, "network"),
        (SENDS, {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "past"),
    ],
)
def test_what_is_wrong_with_a_client_is_told_and_makes_none(
    connection: psycopg.Connection, grants: tuple[Grant, ...], more: dict, words: str
) -> None:
    with pytest.raises(TillwireError, match=words):
        add_client(connection, "a", grants, **more)
    assert clients(connection) == []


def test_an_operation_of_a_newer_release_allows_nothing(connection: psycopg.Connection) -> None:
    key = add_client(connection, "a", SENDS)
    connection.execute("UPDATE api_client_grant SET operations = '{moon:shoot,events:send}'")
    known = ring_of(connection).of_key(key)
    assert known is not None
    assert known.principal.grants == SENDS
