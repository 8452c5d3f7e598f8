"""Access as callers meet it: keys and tokens, scopes of what is sent, networks, who may read metrics, clients by the API."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from builders import batch, changed, masters, price, raw, sale, store
from driving import load, rows, scalar, until
from fixture_types import NewDatabase
from serving import ANYTHING, BATCH, ONE, Api, problem_of, serving

from tillwire.governance import clients
from tillwire.governance.access import Grant, Operation
from tillwire.governance.clients import add_client, revoke_client

CONFIGURATION = """
[http]
trusted_proxies = ["127.0.0.1"]
public_url = "https://hub.example.com/"
[[connections]]
name = "orders"
connector = "flatfile"
[connections.settings]
format = "json"
[[connections.settings.events]]
type = "stock.movement"
[connections.settings.events.fields]
store = { column = "store" }
business_date = { column = "day" }
document = { column = "no" }
reason = { constant = "receipt" }
[[connections.settings.events.lists]]
into = "lines"
[connections.settings.events.lists.fields]
sku = { column = "sku" }
quantity = { column = "quantity" }
[[connections]]
name = "web-shop"
connector = "shopify"
[connections.settings]
shop = "my-shop.myshopify.com"
"""

TOKEN_KEY = "a-signing-key-of-these-tests-that-is-long"
SEND = Operation.SEND_EVENTS
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Hub:
    """An API with keys, its database, and clients by name."""

    api: Api
    connection: psycopg.Connection
    log: Path
    made: int = 0

    def key(self, *grants: Grant, **more: Any) -> str:
        """The key of a new client."""
        return add_client(self.connection, self.name(), grants or ANYTHING, **more)

    def name(self) -> str:
        """A name for a client, of its own."""
        self.made += 1
        return f"client {self.made}"

    def get(self, path: str, secret: str = "", **headers: str) -> httpx2.Response:
        """GET with a key or a token."""
        shown = {"Authorization": f"Bearer {secret}"} if secret else {}
        return self.api.http.get(path, headers={**shown, **headers})

    def send(self, secret: str, *events: Any, **headers: str) -> httpx2.Response:
        """POST events: one alone, several as a batch."""
        kind = ONE if len(events) == 1 else BATCH
        content = raw(events[0]) if len(events) == 1 else batch(events)
        return self.api.post(content, kind, **{"Authorization": f"Bearer {secret}", **headers})

    def post(self, path: str, secret: str, body: Any, method: str = "POST") -> httpx2.Response:
        """Send JSON."""
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        return self.api.http.request(method, path, content=raw(body), headers=headers)

    def token(self, content: dict[str, str] | str, **headers: str) -> httpx2.Response:
        """POST /oauth/token."""
        if isinstance(content, str):
            return self.api.http.post("/oauth/token", content=content, headers={**FORM, **headers})
        return self.api.http.post("/oauth/token", data=content, headers=headers)


@pytest.fixture(scope="module")
def hub(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("access")
    (folder / "tillwire.toml").write_text(CONFIGURATION)
    variables = {
        "HTTP_API_KEYS": "required",
        "CLIENTS_TOKEN_KEY": TOKEN_KEY,
        "CONNECTION_WEB_SHOP_SECRET": "whsec",
    }
    with new_database() as url:
        load(url, *masters(store(), store("102"), store("201", company="OTHER")))
        with serving(url, folder, **variables) as api, psycopg.connect(url, autocommit=True) as connection:
            yield Hub(api, connection, folder / "api.log")


def grant(*operations: Operation, **scope: tuple[str, ...]) -> Grant:
    return Grant(operations=frozenset(operations), **scope)


def stored(hub: Hub, key: str) -> bool:
    """Whether an event was stored under a key."""
    return bool(rows(hub.connection, "SELECT 1 FROM intake WHERE key = %s", key))


# ---------------------------------------------------------------- what is sent


def test_a_refused_event_is_told_and_leaves_nothing_while_its_neighbours_go_on(hub: Hub) -> None:
    key = hub.key(grant(SEND, stores=("101",), sources=("urn:pos:*",)))
    mine, other = sale(1), sale(2, store="102")
    foreign = {**sale(3), "source": "urn:wms"}
    answer = hub.send(key, mine, other, foreign, store("301"), sale(4), changed(sale(5), total="NaN"))
    assert answer.status_code == 207
    told = answer.json()
    assert [one["status"] for one in told["results"]] == ["accepted"] + ["rejected"] * 3 + ["accepted", "rejected"]
    assert (told["accepted"], told["rejected"]) == (2, 4)
    problems = [one["problem"] for one in told["results"][1:4]]
    assert [(one["status"], one["title"]) for one in problems] == [(403, "not granted")] * 3
    assert [one["pointer"] for one in problems] == ["/data/store", "/source", "/type"]
    assert [one["id"] for one in told["results"][1:3]] == [other["id"], foreign["id"]]
    assert [stored(hub, f"{place}/1/2026-03-02/{n}") for place, n in (("101", 1), ("102", 2), ("101", 3))] == [
        True,
        False,
        False,
    ]
    assert not stored(hub, "store:301@1")
    alone = problem_of(hub.send(key, other), 403)
    assert alone["pointer"] == "/data/store"
    assert "102" not in alone["detail"], "what is refused need not be repeated"


def test_a_company_is_a_scope_and_a_new_store_is_in_it_within_seconds(hub: Hub) -> None:
    key = hub.key(grant(SEND, companies=("OTHER",)))
    assert hub.send(key, sale(1, store="201")).status_code == 202
    assert problem_of(hub.send(key, sale(1, store="102")), 403)["pointer"] == "/data/store"
    assert problem_of(hub.send(key, sale(1, store="202")), 403)["pointer"] == "/data/store"
    load(hub.api.database_url, store("202", company="OTHER"))
    until(lambda: hub.send(key, sale(1, store="202")).status_code in (200, 202))


def test_who_may_send_nothing_is_refused_before_the_body_is_read(hub: Hub) -> None:
    key = hub.key(grant(Operation.READ_SALES))
    problem_of(hub.send(key, sale(7)), 403)
    big = hub.api.post(b" " * 9_000_000, ONE, Authorization=f"Bearer {key}")
    problem_of(big, 403)


def test_master_data_needs_its_own_grant_however_it_comes(hub: Hub) -> None:
    sends, writes = hub.key(grant(SEND)), hub.key(grant(Operation.WRITE_MASTER_DATA))
    assert problem_of(hub.send(sends, store("401")), 403)["pointer"] == "/type"
    assert problem_of(hub.send(writes, sale(8)), 403)["pointer"] == "/type"
    assert hub.send(writes, store("401")).status_code == 202
    assert hub.send(sends, sale(8)).status_code == 202
    body = [{"sku": "m1", "name": "M", "product_class": "x"}]
    problem_of(hub.post("/v1/masterdata/product", sends, body), 403)
    assert hub.post("/v1/masterdata/product", writes, body).status_code == 200


def test_bulk_master_data_keeps_to_source_and_store(hub: Hub) -> None:
    write = Operation.WRITE_MASTER_DATA
    scoped = hub.key(grant(write, stores=("101",), sources=("urn:franchise",)))
    prices = [price(store="101")["data"], price(store="102")["data"], price()["data"]]
    problem_of(hub.post("/v1/masterdata/price", scoped, prices), 403)
    answer = hub.post("/v1/masterdata/price?source=urn:franchise", scoped, prices)
    assert answer.status_code == 207
    told = answer.json()
    assert (told["accepted"], told["rejected"]) == (1, 2)
    assert [error["row"] for error in told["errors"]] == [1, 2]
    keys = [key for (key,) in rows(hub.connection, "SELECT key FROM intake WHERE source = 'urn:franchise'")]
    assert [key.split("/")[0] for key in keys] == ["price:store:101"]
    whole = hub.post("/v1/masterdata/store?source=urn:franchise", scoped, [store("101", company="X")["data"]])
    assert whole.json()["rejected"] == 1


# ---------------------------------------------------------------- deliveries


def delivered(*stores: str) -> bytes:
    lines = [
        raw({"store": one, "day": "2026-03-02", "no": f"D{n}-{one}", "sku": "milk", "quantity": "1"})
        for n, one in enumerate(stores)
    ]
    return b"\n".join(lines) + b"\n"


def deliver(hub: Hub, key: str, content: bytes, name: str = "orders", **headers: str) -> httpx2.Response:
    shown = {"Authorization": f"Bearer {key}"} if key else {}
    return hub.api.http.post(f"/v1/connections/{name}", content=content, headers={**shown, **headers})


def test_a_delivery_needs_the_connection_and_every_store_in_it(hub: Hub) -> None:
    def messages() -> int:
        return int(scalar(hub.connection, "SELECT count(*) FROM foreign_message WHERE connection = 'orders'"))

    problem_of(deliver(hub, "", delivered("101")), 401)
    problem_of(deliver(hub, hub.key(grant(Operation.READ_SALES)), delivered("101")), 403)
    problem_of(deliver(hub, hub.key(grant(SEND, sources=("urn:connection:web-*",))), delivered("101")), 403)
    scoped = hub.key(grant(SEND, stores=("101",), sources=("urn:connection:orders",)))
    assert "102" not in problem_of(deliver(hub, scoped, delivered("101", "102")), 403)["detail"]
    assert messages() == 0
    assert deliver(hub, scoped, delivered("101", "101")).status_code == 202
    assert deliver(hub, hub.key(grant(SEND)), delivered("101", "102")).status_code == 202
    assert messages() == 2


def test_a_webhook_is_known_by_its_signature_and_by_no_key(hub: Hub) -> None:
    body = b'{"id":1}'
    named = {"X-Shopify-Shop-Domain": "my-shop.myshopify.com", "X-Shopify-Topic": "orders/create"}
    problem_of(deliver(hub, hub.key(), body, "web-shop", **named), 401)
    signature = base64.b64encode(hmac.digest(b"whsec", body, hashlib.sha256)).decode()
    signed = {**named, "X-Shopify-Hmac-Sha256": signature}
    assert deliver(hub, "", body, "web-shop", **signed).status_code == 200
    problem_of(deliver(hub, hub.key(), body + b" ", "web-shop", **signed), 401)


def test_connections_are_shown_to_who_reads_their_source_for_all_stores(hub: Hub) -> None:
    def shown(**scope: tuple[str, ...]) -> list[str]:
        key = hub.key(grant(Operation.READ_CONNECTORS, **scope))
        return [one["name"] for one in hub.get("/v1/connections", key).json()]

    assert shown() == ["orders", "web-shop"]
    assert shown(sources=("urn:connection:web-*",)) == ["web-shop"]
    assert shown(stores=("101",)) == []


# ---------------------------------------------------------------- networks and metrics


def test_a_key_counts_from_its_networks(hub: Hub) -> None:
    key = hub.key(networks=["203.0.113.0/24"])
    path = "/v1/exceptions"
    problem_of(hub.get(path, key), 401)
    assert hub.get(path, key, **{"X-Forwarded-For": "203.0.113.7"}).status_code == 200
    assert hub.get(path, key, **{"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}).status_code == 200
    problem_of(hub.get(path, key, **{"X-Forwarded-For": "203.0.113.7, 198.51.100.1"}), 401)
    problem_of(hub.send(key, sale(20)), 401)
    assert hub.send(key, sale(20), **{"X-Forwarded-For": "203.0.113.7"}).status_code == 202
    assert "client_from_another_network" in hub.log.read_text()
    assert key not in hub.log.read_text()


def test_metrics_are_for_this_machine_or_by_grant(hub: Hub) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.7"}
    assert "tillwire_intake_events" in hub.get("/metrics").text
    assert hub.get("/metrics", **forwarded).status_code == 401
    problem_of(hub.get("/metrics", hub.key(grant(SEND)), **forwarded), 403)
    assert hub.get("/metrics", hub.key(grant(Operation.READ_SERVICE_LEVELS)), **forwarded).status_code == 200


@pytest.mark.parametrize(("rule", "near", "far"), [("granted", 401, 401), ("open", 200, 200)])
def test_metrics_by_another_rule(new_database: NewDatabase, tmp_path: Path, rule: str, near: int, far: int) -> None:
    with new_database() as url, serving(url, tmp_path, HTTP_API_KEYS="required", HTTP_METRICS=rule) as api:
        assert api.http.get("/metrics").status_code == near
        assert api.http.get("/metrics", headers={"X-Forwarded-For": "203.0.113.7"}).status_code == far
        refused = api.http.post("/oauth/token", data={"grant_type": "client_credentials"})
        assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
        assert api.http.get("/.well-known/oauth-authorization-server").status_code == 404


# ---------------------------------------------------------------- tokens


def basic(client: str, secret: str) -> dict[str, str]:
    from urllib.parse import quote_plus

    pair = f"{quote_plus(client)}:{quote_plus(secret)}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def test_a_token_is_given_for_a_key_and_used_in_its_place(hub: Hub) -> None:
    name = "till: vendor & söhne"
    key = add_client(hub.connection, name, [grant(SEND, Operation.READ_SALES, stores=("101",))])
    for answer in (
        hub.token({"grant_type": "client_credentials"}, **basic(name, key)),
        hub.token({"grant_type": "client_credentials", "client_id": name, "client_secret": key}),
        hub.token({"grant_type": "client_credentials", "client_id": name}, **basic(name, key)),
        hub.token({"grant_type": "client_credentials", "scope": ""}, **basic(name, key)),
    ):
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        told = answer.json()
        assert (told["token_type"], told["expires_in"], told["scope"]) == ("Bearer", 900, "events:send sales:read")
        token = told["access_token"]
        assert hub.send(token, sale(30)).status_code in (200, 202)
        assert problem_of(hub.send(token, sale(30, store="102")), 403)["pointer"] == "/data/store"
        assert hub.get("/v1/reconciliation", token).status_code == 200
        problem_of(hub.get("/v1/exceptions", token), 403)
    revoke_client(hub.connection, name)
    until(lambda: hub.get("/v1/reconciliation", token).status_code == 401)
    problem_of(hub.send(token, sale(31)), 401)
    assert not stored(hub, "101/1/2026-03-02/31")


def test_a_token_may_allow_less_than_its_client(hub: Hub) -> None:
    name = hub.name()
    key = add_client(hub.connection, name, [grant(SEND, Operation.READ_SALES)])
    told = hub.token({"grant_type": "client_credentials", "scope": "sales:read"}, **basic(name, key)).json()
    assert told["scope"] == "sales:read"
    assert hub.get("/v1/reconciliation", told["access_token"]).status_code == 200
    problem_of(hub.send(told["access_token"], sale(32)), 403)


def test_a_token_is_narrowed_when_its_client_is(hub: Hub) -> None:
    name = hub.name()
    key = add_client(hub.connection, name, [grant(SEND, Operation.READ_SALES)])
    token = hub.token({"grant_type": "client_credentials"}, **basic(name, key)).json()["access_token"]
    assert hub.get("/v1/reconciliation", token).status_code == 200
    clients.grant(hub.connection, name, [grant(SEND)], replace=True)
    until(lambda: hub.get("/v1/reconciliation", token).status_code == 403)


def test_what_is_wrong_with_a_request_for_a_token_is_told_as_oauth_does(hub: Hub) -> None:
    name, other = hub.name(), hub.name()
    key = add_client(hub.connection, name, [grant(SEND)])
    add_client(hub.connection, other, [grant(SEND)])
    by_form = {"client_id": name, "client_secret": key}
    kind = {"grant_type": "client_credentials"}
    token = hub.token(kind | by_form).json()["access_token"]
    cases: list[tuple[httpx2.Response, int, str]] = [
        (hub.token(by_form), 400, "invalid_request"),
        (hub.token(by_form | {"grant_type": "password"}), 400, "unsupported_grant_type"),
        (hub.token(by_form | {"grant_type": "authorization_code", "code": "x"}), 400, "unsupported_grant_type"),
        (hub.token(by_form | kind | {"scope": "sales:read"}), 400, "invalid_scope"),
        (hub.token(by_form | kind | {"scope": "events:send access:administer"}), 400, "invalid_scope"),
        (hub.token(by_form | kind | {"scope": "moon:shoot"}), 400, "invalid_scope"),
        (hub.token(by_form | kind | {"scope": " "}), 400, "invalid_scope"),
        (hub.token(kind), 401, "invalid_client"),
        (hub.token(kind | {"client_id": name}), 401, "invalid_client"),
        (hub.token(kind | {"client_id": name, "client_secret": "tw_wrong"}), 401, "invalid_client"),
        (hub.token(kind | {"client_id": other, "client_secret": key}), 401, "invalid_client"),
        (hub.token(kind | {"client_id": name, "client_secret": token}), 401, "invalid_client"),
        (hub.token(kind, **basic(name, "tw_wrong")), 401, "invalid_client"),
        (hub.token(kind, **basic("nobody", key)), 401, "invalid_client"),
        (hub.token(kind | by_form, **basic(name, key)), 400, "invalid_request"),
        (hub.token(kind | {"client_id": other}, **basic(name, key)), 400, "invalid_request"),
        (hub.token(kind, Authorization=f"Bearer {key}"), 400, "invalid_request"),
        (hub.token(kind, Authorization="Basic %%%"), 400, "invalid_request"),
        (hub.token(kind, Authorization="Basic " + base64.b64encode(b"nocolon").decode()), 400, "invalid_request"),
        (hub.token("grant_type=client_credentials&grant_type=x", **basic(name, key)), 400, "invalid_request"),
        (hub.token("&".join(f"a{n}=b" for n in range(50)), **basic(name, key)), 400, "invalid_request"),
        (hub.token("grant_type=\xff", **basic(name, key)), 400, "invalid_request"),
        (
            hub.api.http.post("/oauth/token", json=kind, headers=basic(name, key)),
            400,
            "invalid_request",
        ),
    ]
    for number, (answer, status, error) in enumerate(cases):
        assert (answer.status_code, answer.json()["error"]) == (status, error), (number, answer.text)
        assert answer.headers["cache-control"] == "no-store"
        assert key not in answer.text
    assert hub.token(kind, **basic(name, "tw_wrong")).headers["www-authenticate"].startswith("Basic")
    assert hub.api.http.post("/oauth/token", content=b"x" * 70_000, headers=FORM).status_code == 413
    assert hub.api.http.get("/oauth/token").status_code == 405
    log = hub.log.read_text()
    assert key not in log
    assert token not in log


def test_a_token_is_given_within_the_clients_networks_only(hub: Hub) -> None:
    name = hub.name()
    key = add_client(hub.connection, name, [grant(Operation.READ_SALES)], networks=["203.0.113.0/24"])
    kind, inside = {"grant_type": "client_credentials"}, {"X-Forwarded-For": "203.0.113.7"}
    assert hub.token(kind, **basic(name, key)).status_code == 401
    given = hub.token(kind, **basic(name, key), **inside)
    token = given.json()["access_token"]
    assert hub.get("/v1/reconciliation", token, **inside).status_code == 200
    problem_of(hub.get("/v1/reconciliation", token), 401)


def test_the_token_endpoint_describes_itself(hub: Hub) -> None:
    told = hub.api.http.get("/.well-known/oauth-authorization-server").json()
    assert told["issuer"] == "https://hub.example.com"
    assert told["token_endpoint"] == "https://hub.example.com/oauth/token"
    assert told["grant_types_supported"] == ["client_credentials"]
    assert set(told["scopes_supported"]) == set(Operation)


def test_another_api_process_with_the_same_key_takes_the_token(hub: Hub, tmp_path: Path) -> None:
    name = hub.name()
    key = add_client(hub.connection, name, [grant(Operation.READ_SALES)])
    token = hub.token({"grant_type": "client_credentials"}, **basic(name, key)).json()["access_token"]
    shared = tmp_path / "token.key"
    shared.write_text(TOKEN_KEY + "\n")
    common = {"HTTP_API_KEYS": "required", "HTTP_PUBLIC_URL": "https://hub.example.com"}
    with serving(hub.api.database_url, tmp_path, CLIENTS_TOKEN_KEY_FILE=str(shared), **common) as second:
        shown = {"Authorization": f"Bearer {token}"}
        assert second.http.get("/v1/reconciliation", headers=shown).status_code == 200


# ---------------------------------------------------------------- clients by the API


def administrator(hub: Hub) -> tuple[str, str]:
    name = hub.name()
    return name, add_client(hub.connection, name, [grant(Operation.ADMINISTER_ACCESS)])


def test_clients_are_made_shown_changed_rotated_and_revoked(hub: Hub) -> None:
    _, admin = administrator(hub)
    name = hub.name()
    path = f"/v1/access/clients/{name}"
    ends = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    asked = {
        "name": name,
        "grants": [{"roles": ["viewer"], "operations": ["events:send"], "stores": ["1*"], "sources": ["urn:pos:*"]}],
        "networks": ["127.0.0.0/8"],
        "expires_at": ends,
    }
    answer = hub.post("/v1/access/clients", admin, asked)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    key = answer.json()["key"]
    assert hub.get("/v1/reconciliation", key).status_code == 200
    problem_of(hub.post("/v1/access/clients", admin, asked), 422)
    shown = hub.get(path, admin).json()
    assert shown["grants"][0]["stores"] == ["1*"]
    assert "events:send" in shown["grants"][0]["operations"]
    assert shown["networks"] == ["127.0.0.0/8"]
    assert len(shown["keys"]) == 1
    assert name in [one["name"] for one in hub.get("/v1/access/clients", admin).json()]
    rotated = hub.post(f"{path}/keys", admin, {"keep_minutes": 60})
    assert rotated.status_code == 201
    second = rotated.json()["key"]
    assert [hub.get("/v1/reconciliation", one).status_code for one in (key, second)] == [200, 200]
    third = hub.post(f"{path}/keys", admin, {}).json()["key"]
    until(lambda: hub.get("/v1/reconciliation", second).status_code == 401)
    assert hub.get("/v1/reconciliation", key).status_code == 401
    grants = {"grants": [{"operations": ["events:send"]}]}
    assert hub.post(f"{path}/grants", admin, grants, "PUT").json()["grants"][0]["operations"] == ["events:send"]
    until(lambda: hub.get("/v1/reconciliation", third).status_code == 403)
    assert hub.post(f"{path}/limits", admin, {"networks": []}, "PUT").json()["networks"] == []
    assert hub.post(f"{path}/revoke", admin, None).json()["revoked_at"]
    until(lambda: hub.get("/v1/reconciliation", third).status_code == 401)
    for act, body, method in (("keys", {}, "POST"), ("revoke", None, "POST"), ("grants", grants, "PUT")):
        problem_of(hub.post(f"{path}/{act}", admin, body, method), 404)
    problem_of(hub.get("/v1/access/clients/never%20there", admin), 404)
    for answer in (hub.get("/v1/access/clients", admin), hub.get(path, admin)):
        for secret in (key, second, third):
            assert secret not in answer.text
            assert hashlib.sha256(secret.encode()).hexdigest() not in answer.text
    for secret in (key, second, third):
        assert secret not in hub.log.read_text()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"grants": [{"operations": ["events:send"]}]}, None),
        ({"name": "m"}, None),
        ({"name": "m", "grants": []}, "/grants"),
        ({"name": "m", "grants": [{"operations": ["all"]}]}, "/grants/0/operations/0"),
        ({"name": "m", "grants": [{"roles": ["king"]}]}, None),
        ({"name": "m", "grants": [{}]}, None),
        ({"name": "m", "grants": [{"operations": ["events:send"], "stores": []}]}, "/grants/0/stores"),
        ({"name": "m/n", "grants": [{"operations": ["events:send"]}]}, None),
        ({"name": "m", "grants": [{"operations": ["events:send"]}], "networks": ["here"]}, None),
        ({"name": "m", "grants": [{"operations": ["events:send"]}], "expires_at": "2020-01-01T00:00:00Z"}, None),
        (
            {"name": "m", "grants": [{"operations": ["events:send"]}], "expires_at": "2040-01-01T00:00:00"},
            "/expires_at",
        ),
        ({"name": "m", "grants": [{"operations": ["events:send"]}], "key_digest": "00"}, None),
        ({"name": "m", "grants": [{"operations": ["events:send"]}], "revoked_at": None}, None),
        ({"name": "m", "grants": [{"operations": ["events:send"], "client": "other"}]}, "/grants/0"),
        ([], None),
    ],
)
def test_only_what_is_named_can_be_set_and_what_is_wrong_is_told(hub: Hub, body: Any, pointer: str | None) -> None:
    _, admin = administrator(hub)
    before = scalar(hub.connection, "SELECT count(*) FROM api_client")
    told = problem_of(hub.post("/v1/access/clients", admin, body), 422)
    assert told["detail"]
    assert told.get("pointer") == pointer
    assert scalar(hub.connection, "SELECT count(*) FROM api_client") == before


def test_nobody_gives_rights_to_themselves(hub: Hub) -> None:
    name, admin = administrator(hub)
    path = f"/v1/access/clients/{name}"
    problem_of(hub.post(f"{path}/grants", admin, {"grants": [{"roles": ["finance"]}]}, "PUT"), 409)
    problem_of(hub.post(f"{path}/limits", admin, {"networks": []}, "PUT"), 409)
    problem_of(hub.get("/v1/ledger/balance", admin), 403)


def test_who_administers_some_stores_administers_no_client(hub: Hub) -> None:
    key = hub.key(grant(Operation.ADMINISTER_ACCESS, stores=("101",)))
    problem_of(hub.get("/v1/access/clients", key), 403)
    new = {"name": hub.name(), "grants": [{"roles": ["finance"]}]}
    problem_of(hub.post("/v1/access/clients", key, new), 403)
