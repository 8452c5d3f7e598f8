"""A simulated shop over real HTTP: webhooks and pulls, each with its faults, come to the same."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from shopify_reading import faults as broken_rules

from tillwire.connectors.inbound import Delivery, Outgoing, body_source
from tillwire.connectors.shopify import SPEC
from tillwire.connectors.shopify.client import TooCostlyError
from tillwire.connectors.shopify.connector import ShopifyConnector
from tillwire.connectors.shopify.pull import Puller
from tillwire.connectors.shopify.settings import TOPICS
from tillwire.connectors.shopify.simulator import Faults, ShopifySimulator
from tillwire.errors import AuthenticationError, ConfigurationError, TransientError
from tillwire.model.transaction import Transaction


class Hub:
    """What intake does with deliveries: keeps each key once, and the newest version of each entity."""

    def __init__(self, connector: ShopifyConnector) -> None:
        self.connector = connector
        self.state: dict[str, Any] = {}
        self.stored: dict[str, Delivery] = {}
        self.pages = 0
        self.refused = 0
        self.dies_after: int | None = None

    def take(self, delivery: Delivery) -> None:
        self.stored.setdefault(delivery.key or f"{delivery.topic} {delivery.body!r}", delivery)

    def deliver(self, deliveries: Sequence[Delivery], state: Mapping[str, Any]) -> None:
        if self.dies_after is not None and self.pages >= self.dies_after:
            raise KeyboardInterrupt
        for delivery in deliveries:
            self.take(delivery)
        self.pages += 1
        self.state = json.loads(json.dumps(state))

    def pull(self) -> float:
        return self.connector.pull(self.state, self.deliver)

    def entities(self, order: Sequence[Delivery] | None = None) -> dict[str, Outgoing]:
        """The last version of each entity, whatever the order of deliveries."""
        known: dict[str, Outgoing] = {}
        for delivery in order if order is not None else list(self.stored.values()):
            for record in self.connector.read(body_source(delivery.body, delivery.topic, delivery.headers)):
                assert record.troubles == ()
                for one in record.events:
                    old = known.get(one.entity)
                    if old is None or one.version > old.version:
                        known[one.entity] = one
                    elif one.version == old.version:
                        assert one.data == old.data, f"{one.entity} says two things at {one.version}"
        return known


@contextmanager
def receiving(hub: Hub) -> Iterator[str]:
    """An address that takes webhooks for the hub."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                hub.take(hub.connector.verify({k.lower(): v for k, v in self.headers.items()}, body))
                status = 202
            except AuthenticationError:
                hub.refused += 1
                status = 401
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/connections/shop"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def hub_of(simulator: ShopifySimulator, **more: Any) -> Hub:
    settings = {"shop": simulator.domain, "secret": simulator.secret, "token": simulator.token, "url": simulator.url}
    # The simulated shop lives in March 2026; the window must reach it whenever this runs.
    defaults = {"backfill_days": 36_500, "stores": {"61001": "HIGH-ST"}, "time_zone": "America/New_York"}
    return Hub(SPEC.configure({**settings, **defaults, **more}, of="test"))


@pytest.fixture
def shop() -> Iterator[ShopifySimulator]:
    with ShopifySimulator(seed=11) as simulator:
        yield simulator


def same(left: dict[str, Outgoing], right: dict[str, Outgoing]) -> None:
    assert left.keys() == right.keys()
    for entity, one in left.items():
        assert one.data == right[entity].data, entity


def test_webhooks_and_backfill_say_the_same(shop: ShopifySimulator) -> None:
    hub = hub_of(shop)
    with receiving(hub) as address:
        hub.connector = hub_of(shop, callback_url=address).connector
        hub.pull()
        shop.shop.trade(60)
        assert shop.deliver() > 60
        pushed = {e: o for e, o in hub.entities().items() if not e.startswith("product:")}
    pulled = hub_of(shop)
    pulled.pull()
    fetched = {e: o for e, o in pulled.entities().items() if not e.startswith("product:")}
    same(pushed, fetched)
    sold = [one.data for one in fetched.values() if isinstance(one.data, Transaction)]
    assert len(sold) > 20
    assert {(t.kind.value, t.store) for t in sold} == {(k, s) for k in ("sale", "return") for s in ("web", "HIGH-ST")}
    assert [broken_rules(t) for t in sold] == [[] for _ in sold]
    hub.connector.close()
    pulled.connector.close()


@pytest.mark.parametrize("seed", range(6))
def test_any_interleaving_comes_to_the_same(seed: int) -> None:
    faults = Faults(duplicated=0.3, lost=0.2, late=0.2, shuffled=True)
    with ShopifySimulator(seed=seed, faults=faults) as shop:
        hub = hub_of(shop)
        with receiving(hub) as address:
            hub.connector = hub_of(shop, callback_url=address, page_size=3).connector
            for _ in range(4):
                hub.pull()
                shop.shop.trade(12)
                shop.deliver()
            shop.release_late()
            shop.deliver()
            hub.pull()
            shop.faults = Faults()
        whole = hub_of(shop)
        whole.pull()
        expected = whole.entities()
        same(hub.entities(), expected)
        deliveries = list(hub.stored.values())
        chance = random.Random(seed)
        for _ in range(3):
            chance.shuffle(deliveries)
            same(hub.entities(deliveries), expected)
        assert shop.lost
        hub.connector.close()
        whole.connector.close()


@pytest.mark.parametrize("fault", ["429", "429-hint", "500", "503", "drop", "cut", "throttled"])
def test_a_pull_outlives_each_fault(shop: ShopifySimulator, fault: str) -> None:
    shop.shop.trade(10)
    hub = hub_of(shop)
    shop.fail_next(fault, fault)
    hub.pull()
    clean = hub_of(shop)
    clean.pull()
    same(hub.entities(), clean.entities())
    hub.connector.close()
    clean.connector.close()


def test_a_pull_that_died_goes_on_where_it_was(shop: ShopifySimulator) -> None:
    shop.shop.trade(60)
    hub = hub_of(shop, page_size=2)
    hub.dies_after = 4
    with pytest.raises(KeyboardInterrupt):
        hub.pull()
    assert hub.state["orders"]["after"]
    begun = len([call for call in shop.calls if call[0] == "Orders"])
    hub.dies_after = None
    hub.pull()
    again = len([call for call in shop.calls if call[0] == "Orders"]) - begun
    clean = hub_of(shop, page_size=2)
    clean.pull()
    whole = len([call for call in shop.calls if call[0] == "Orders"]) - begun - again
    assert again < whole
    same(hub.entities(), clean.entities())
    hub.connector.close()
    clean.connector.close()


def test_the_next_pull_brings_only_what_changed(shop: ShopifySimulator) -> None:
    shop.shop.trade(40)
    hub = hub_of(shop, overlap_s=5.0)
    hub.pull()
    before = set(hub.stored)
    shop.shop.pass_time(3600)
    shop.shop.place()
    hub.pull()
    assert len([key for key in set(hub.stored) - before if "graphql/order" in key]) == 1
    hub.connector.close()


def test_the_budget_is_never_exceeded() -> None:
    waits: list[float] = []
    now = 1000.0

    def wait(seconds: float) -> None:
        nonlocal now
        waits.append(seconds)
        now += seconds

    with ShopifySimulator(seed=5, bucket=1000, restore_rate=50, monotonic=lambda: now) as shop:
        shop.shop.trade(60)
        hub = hub_of(shop, page_size=4)
        puller = Puller(hub.connector.settings, wait)
        puller.client.budget._monotonic = lambda: now
        puller.client.budget._seen = now
        puller.pull({}, hub.deliver)
        assert shop.throttled == 0
        assert sum(waits) > 1
        # The reserve of the bucket stays with the shop's other apps.
        assert min(left - cost for _, cost, left in shop.calls) >= 1000 * 0.2 - 1
        puller.close()


def test_pages_shrink_until_a_query_may_be_asked() -> None:
    with ShopifySimulator(seed=5, most_cost=120) as shop:
        shop.shop.trade(30)
        hub = hub_of(shop)
        hub.pull()
        asked = [cost for name, cost, _ in shop.calls if name == "Orders"]
        assert asked[0] > 120 >= asked[-1]
        whole = hub_of(shop)
        shop.most_cost = 1000
        whole.pull()
        same(hub.entities(), whole.entities())
        whole.connector.close()
        hub.connector.close()
    with ShopifySimulator(seed=5, most_cost=3) as shop:
        hub = hub_of(shop)
        with pytest.raises(TooCostlyError):
            hub.pull()
        hub.connector.close()


def test_an_order_longer_than_a_page_is_whole(shop: ShopifySimulator) -> None:
    for _ in range(12):
        shop.shop.place()
    for order in list(shop.shop.orders):
        shop.shop.refund(order)
        shop.shop.refund(order)
        shop.shop.fulfil(order)
    hub = hub_of(shop)
    hub.pull()
    small = hub_of(shop)
    puller = Puller(small.connector.settings)
    puller._inner = 1
    puller.pull({}, small.deliver)
    assert any(name == "OrderItems" for name, _, _ in shop.calls)
    same(small.entities(), hub.entities())
    puller.close()
    hub.connector.close()


def test_the_watchdog_mends_subscriptions(shop: ShopifySimulator) -> None:
    hub = hub_of(shop)
    with receiving(hub) as address:
        hub.connector = hub_of(shop, callback_url=address, watch_interval_s=0.0).connector
        hub.pull()
        assert sorted(one["topic"] for one in shop.subscriptions.values()) == sorted(
            topic.replace("/", "_").upper() for topic in TOPICS
        )
        shop.drop_subscriptions("orders/paid", "refunds/create")
        moved = next(iter(shop.subscriptions.values()))
        moved["uri"] = "https://elsewhere.example/hook"
        hub.pull()
        assert len(shop.subscriptions) == len(TOPICS)
        assert {one["uri"] for one in shop.subscriptions.values()} == {address}
        shop.drop_subscriptions()
        hub.pull()
        shop.shop.place()
        assert shop.deliver() == 2
        assert hub.refused == 0
        hub.connector.close()


def test_wrong_credentials_and_settings_are_told(shop: ShopifySimulator) -> None:
    wrong = hub_of(shop, token="other")
    with pytest.raises(AuthenticationError):
        wrong.pull()
    version = hub_of(shop, api_version="nonsense")
    with pytest.raises(ConfigurationError):
        version.pull()
    with pytest.raises(ConfigurationError, match="token"):
        hub_of(shop, token="")
    forged = hub_of(shop, secret="other")
    with receiving(forged) as address:
        pusher = hub_of(shop, callback_url=address)
        pusher.pull()
        shop.shop.place()
        assert shop.deliver() == 0
        assert (forged.refused, forged.stored) == (2, {})
        pusher.connector.close()
    wrong.connector.close()
    version.connector.close()


def test_a_shop_that_is_down_is_transient(shop: ShopifySimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tillwire.connectors.shopify.client._ATTEMPTS", 2)
    shop.fail_next("503", "503")
    hub = hub_of(shop)
    with pytest.raises(TransientError):
        hub.pull()
    assert hub.stored == {}
    hub.connector.close()
