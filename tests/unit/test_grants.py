"""Who may do what where: grants and their reach, what a client may send, from where it calls."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from builders import (
    event,
    fulfilment,
    level,
    movement,
    other_masters,
    price,
    raw,
    sale,
    store,
    trading_day,
)

from tillwire import clock
from tillwire.errors import TillwireError
from tillwire.governance import keys as keys_module
from tillwire.governance import networks
from tillwire.governance.access import (
    ALL,
    EVERYTHING,
    LOCAL,
    ROLES,
    Grant,
    Operation,
    Principal,
    Reach,
    operations_of,
    role_named,
)
from tillwire.governance.keys import KeyRing, digest_of
from tillwire.http.callers import Callers
from tillwire.http.sending import NOT_GRANTED, Sending
from tillwire.intake.door import Prepared, Refusal, read_event
from tillwire.model.event import HUB_MADE, MESSAGES

COMPANIES = {"101": "ACME", "102": "ACME", "201": "OTHER"}
SEND, WRITE, READ = Operation.SEND_EVENTS, Operation.WRITE_MASTER_DATA, Operation.READ_SALES


def client(*grants: Grant) -> Principal:
    return Principal(name="c", kind="client", grants=grants)


def grant(*operations: Operation, **scope: tuple[str, ...]) -> Grant:
    return Grant(operations=frozenset(operations), **scope)


# ---------------------------------------------------------------- reach


@pytest.mark.parametrize(
    ("grants", "stores"),
    [
        ((), set()),
        ((grant(SEND),), set()),
        ((grant(READ),), None),
        ((grant(READ, stores=("1*",)),), {"101", "102"}),
        ((grant(READ, stores=("101",)), grant(READ, stores=("201",))), {"101", "201"}),
        ((grant(READ, companies=("OTHER",)),), {"201"}),
        ((grant(READ, stores=("1*",), companies=("OTHER",)),), set()),
        ((grant(READ, stores=("9*",)),), set()),
        ((grant(READ, stores=("101",)), grant(READ)), None),
        ((grant(READ, stores=("101",)), grant(SEND)), {"101"}),
    ],
)
def test_reach_is_where_an_operation_is_granted(grants: tuple[Grant, ...], stores: set[str] | None) -> None:
    reach = client(*grants).reach(READ, COMPANIES)
    assert reach.stores == (None if stores is None else frozenset(stores))
    assert reach.parameter == (None if stores is None else sorted(stores))
    for number in (*COMPANIES, "999", None):
        assert reach.covers(number) == (stores is None or number in stores)


def test_a_parameter_narrows_and_never_widens() -> None:
    some = Reach(frozenset({"101", "102"}))
    assert some.narrowed(None) is some
    assert some.narrowed("101").stores == {"101"}
    assert some.narrowed("201").stores == frozenset()
    assert ALL.narrowed("201").stores == {"201"}
    assert ALL.narrowed(None) is ALL


def test_nothing_is_allowed_that_is_not_granted() -> None:
    nobody = client()
    for operation in Operation:
        assert not nobody.may(operation)
        assert nobody.reach(operation, COMPANIES).stores == frozenset()
        assert LOCAL.may(operation)


def test_names_that_there_are_not_are_told() -> None:
    assert operations_of(["events:send"]) == {SEND}
    with pytest.raises(TillwireError, match=r"'send'.*events:send"):
        operations_of(["send"])
    with pytest.raises(TillwireError, match=r"'king'.*viewer"):
        role_named("king")
    assert role_named("finance") == ROLES["finance"]


def test_no_role_has_everything() -> None:
    """Who gives rights has no say about money, and who proposes does not approve."""
    for name, operations in ROLES.items():
        assert operations < EVERYTHING, name
        assert not {Operation.WORK_EXCEPTIONS, Operation.APPROVE_FIXES} <= operations, name
        if Operation.ADMINISTER_ACCESS in operations:
            money = {Operation.WORK_LEDGER, Operation.APPROVE_FIXES, Operation.WORK_EXCEPTIONS, SEND}
            assert not operations & money, name


# ---------------------------------------------------------------- what is sent


def sent(principal: Principal, *events: Any) -> list[str]:
    """The places at which events are refused; empty for those that are not."""
    prepared = [read_event(raw(one)) for one in events]
    assert all(isinstance(one, Prepared) for one in prepared), prepared
    judged = Sending(principal, COMPANIES).judged(prepared)
    told = []
    for one in judged:
        if isinstance(one, Refusal):
            assert one.title == NOT_GRANTED
            assert one.id
        told.append(one.pointer if isinstance(one, Refusal) else "")
    return told


OF_STORES = [*trading_day(), movement(), level(), fulfilment()]
MASTERS = [store(), *other_masters()]
EXAMPLES = {one["type"]: one for one in (*OF_STORES, *MASTERS)} | {
    one["type"]: one
    for one in (event("master.product", {"sku": "x", "name": "x", "product_class": "x", "revision": 1}),)
}


def test_there_is_an_example_of_every_event_type() -> None:
    assert EXAMPLES.keys() == MESSAGES.keys()
    assert not HUB_MADE.keys() & MESSAGES.keys()


IN_SCOPE = {"stores": ("101",), "sources": ("urn:pos:*",)}
CLIENTS = {
    "all": client(grant(SEND, WRITE)),
    "sends": client(grant(SEND)),
    "writes": client(grant(WRITE)),
    "sends in scope": client(grant(SEND, **IN_SCOPE)),
    "writes in scope": client(grant(WRITE, **IN_SCOPE)),
    "both in scope": client(grant(SEND, WRITE, **IN_SCOPE)),
    "other store": client(grant(SEND, WRITE, stores=("102",))),
    "other company": client(grant(SEND, WRITE, companies=("OTHER",))),
    "other source": client(grant(SEND, WRITE, sources=("urn:wms:*",))),
    "store and source apart": client(
        grant(SEND, WRITE, stores=("101",), sources=("urn:wms:*",)), grant(SEND, WRITE, stores=("102",))
    ),
    "reads": client(grant(*(EVERYTHING - {SEND, WRITE}))),
}
STORES_OWN = ("tillwire.master.register.v1", "tillwire.master.price.v1")
"""Master records that may be written with a grant for one store, where they name it."""


@pytest.mark.parametrize("event_type", MESSAGES)
def test_every_event_type_needs_its_grant(event_type: str) -> None:
    one = EXAMPLES[event_type]
    if event_type == "tillwire.master.price.v1":
        one = price(store="101")
    if event_type.startswith("tillwire.master."):
        own = event_type in STORES_OWN
        expected = {
            "all": "",
            "sends": "/type",
            "writes": "",
            "sends in scope": "/type",
            "writes in scope": "" if own else "/type",
            "both in scope": "" if own else "/type",
            "other store": "/data/store" if own else "/type",
            "other company": "/data/store" if own else "/type",
            "other source": "/source",
            "store and source apart": "/data/store" if own else "/type",
            "reads": "/type",
        }
    else:
        expected = {
            "all": "",
            "sends": "",
            "writes": "/type",
            "sends in scope": "",
            "writes in scope": "/type",
            "both in scope": "",
            "other store": "/data/store",
            "other company": "/data/store",
            "other source": "/source",
            "store and source apart": "/data/store",
            "reads": "/type",
        }
    assert {name: sent(principal, one)[0] for name, principal in CLIENTS.items()} == expected


def test_a_store_that_nobody_knows_is_in_scope_by_its_number_and_by_no_company() -> None:
    assert sent(client(grant(SEND, stores=("9*",))), sale(store="999")) == [""]
    assert sent(client(grant(SEND, companies=("ACME",))), sale(store="999")) == ["/data/store"]


def test_a_price_for_all_stores_needs_a_grant_for_all_stores() -> None:
    own = client(grant(WRITE, stores=("101",)))
    assert sent(own, price(store="101"), price(), price(price_list="north"), price(store="102")) == [
        "",
        "/type",
        "/type",
        "/data/store",
    ]


def test_who_writes_for_a_company_cannot_take_a_store_into_it() -> None:
    """Its own scope would be wider then."""
    own = client(grant(WRITE, companies=("ACME",)))
    assert sent(own, store("201", company="ACME"), store("101", company="ACME")) == ["/type", "/type"]


def test_neighbours_of_what_is_refused_go_on_and_refusals_stay() -> None:
    refused = Refusal("invalid event", "…", "/x", "e")
    events: list[Prepared | Refusal] = [refused]
    events += [read_event(raw(one)) for one in (sale(1), sale(1, store="102"), store(), sale(2))]
    for name in ("all", "sends", "sends in scope"):
        judged = Sending(CLIENTS[name], COMPANIES).judged(events)
        assert judged[0] is refused
        assert judged[1] is events[1]
        assert judged[4] is events[4]
        assert len(judged) == len(events)


# ---------------------------------------------------------------- networks


TRUSTED = networks.networks_of(["10.1.0.0/16", "127.0.0.1"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["10.0.0.1"], "203.0.113.9"),  # anybody may write that
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["10.9.9.9, 203.0.113.9"], "203.0.113.9"),  # the caller wrote the first
        ("127.0.0.1", ["10.9.9.9", "203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["203.0.113.9, 10.1.2.3"], "203.0.113.9"),  # by two proxies that are trusted
        ("127.0.0.1", ["203.0.113.9, 10.2.2.3"], "10.2.2.3"),
        ("127.0.0.1", ["10.1.1.1,10.1.1.2"], "10.1.1.1"),
        ("127.0.0.1", ["unknown"], None),
        ("127.0.0.1", ["203.0.113.9, "], None),
        ("127.0.0.1", ["203.0.113.9:4711"], None),
        ("::ffff:127.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("2001:db8::1", [], "2001:db8::1"),
        ("", [], None),
    ],
)
def test_only_trusted_proxies_say_who_calls(peer: str, forwarded: list[str], address: str | None) -> None:
    found = networks.caller(peer, forwarded, TRUSTED)
    assert (None if found is None else str(found)) == address


def test_an_address_lies_in_a_network_or_in_none() -> None:
    some = networks.networks_of(["10.0.0.0/8", "2001:db8::/32"])
    inside = [
        networks.within(networks.address_of(one), some) for one in ("10.9.9.9", "2001:db8:1::", "::ffff:10.1.1.1")
    ]
    outside = [networks.within(networks.address_of(one), some) for one in ("11.0.0.1", "2001:db9::", "none", "")]
    assert inside == [True] * 3
    assert outside == [False] * 4


# ---------------------------------------------------------------- keys


def callers(key: str, *, networks: tuple[str, ...] = (), ends: datetime | None = None, trusted: str = "") -> Callers:
    found = Callers(None, networks_of(trusted))
    grants = [{"operations": ["events:send"], "stores": ["*"], "companies": ["*"], "sources": ["*"]}]
    found.refresh([(digest_of(key), 1, None, "c", ends, list(networks), grants)])
    return found


def networks_of(text: str) -> tuple[networks.Network, ...]:
    return networks.networks_of(text.split())


def scope(peer: str = "203.0.113.9", **headers: str) -> dict[str, Any]:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"client": (peer, 1), "headers": named}


def test_a_key_counts_from_the_networks_of_its_client_only() -> None:
    anywhere, somewhere = callers("k"), callers("k", networks=("10.0.0.0/8",), trusted="127.0.0.1")
    assert anywhere.principal("k", scope()) is not None
    assert somewhere.principal("k", scope("10.2.3.4")) is not None
    assert somewhere.principal("k", scope()) is None
    assert somewhere.principal("k", scope(x_forwarded_for="10.2.3.4")) is None
    assert somewhere.principal("k", scope("127.0.0.1", x_forwarded_for="10.2.3.4")) is not None
    assert somewhere.principal("k", scope("127.0.0.1", x_forwarded_for="203.0.113.9")) is None
    assert somewhere.principal("k", {"client": None, "headers": []}) is None


def test_a_key_ends_with_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = datetime(2026, 3, 1, tzinfo=UTC)
    found = callers("k", ends=ends)
    for seconds, good in ((-1, True), (0, False), (1, False)):
        now = ends + timedelta(seconds=seconds)
        monkeypatch.setattr(clock, "now", lambda now=now: now)
        assert (found.principal("k", scope()) is not None) == good


@pytest.mark.parametrize(
    ("request_scope", "local"),
    [
        (scope("127.0.0.1"), True),
        (scope("::1"), True),
        (scope("10.0.0.1"), False),
        (scope("127.0.0.1", x_forwarded_for="127.0.0.1"), False),
        (scope("127.0.0.1", forwarded="for=127.0.0.1"), False),
        (scope("127.0.0.1", x_real_ip="127.0.0.1"), False),
        ({"client": None, "headers": []}, False),
    ],
)
def test_what_a_proxy_passes_on_is_not_local(request_scope: dict[str, Any], local: bool) -> None:
    assert callers("k").is_local(request_scope) == local


def test_a_key_is_compared_with_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the time of a check could tell is told about the digest of what was sent, whose bits nobody chooses. So
    the ring holds digests only, and asks for the digest of the whole of what is sent, whatever that is.
    """
    key = "tw_" + "a" * 43
    found = callers(key)
    digested: list[str] = []

    def digest(text: str) -> bytes:
        digested.append(text)
        return hashlib.sha256(text.encode()).digest()

    monkeypatch.setattr(keys_module, "digest_of", digest)
    near = key[:-1] + "b"
    tried = [key, near, key[:-1], key + "a", "", "é" * 1000]
    assert [found.ring.of_key(one) is not None for one in tried] == [True, False, False, False, False, False]
    assert digested == tried, "what was sent was looked at in another way than by its digest"
    held = found.ring._by_digest
    assert list(held) == [hashlib.sha256(key.encode()).digest()]
    assert key not in repr(found.ring.__dict__)


def test_a_ring_is_made_anew_only_when_a_row_has_changed() -> None:
    ring = KeyRing()
    row = (digest_of("k"), 1, None, "c", None, [], None)
    assert ring.refresh([row])
    known = ring.of_key("k")
    assert not ring.refresh([row])
    assert ring.of_key("k") is known
    assert known is not None
    assert known.principal.grants == ()
    assert ring.refresh([])
    assert ring.of_key("k") is None
    assert ring.of_id(1) is None
