"""The connector and a simulated shop over real HTTP: backfill, webhooks, and every fault of the shop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
import stamina
from knowing import claimed, outcome, sold

from tillwire.connectors.inbound import Delivery, Outgoing, Record, body_source
from tillwire.connectors.woocommerce import SPEC
from tillwire.connectors.woocommerce.connector import WooCommerceConnector
from tillwire.connectors.woocommerce.simulator import MOST_FAILURES, Faults, Shop
from tillwire.errors import AuthenticationError, ConfigurationError, RateLimitedError, TransientError
from tillwire.model.transaction import Kind, Transaction

HOOK = "http://127.0.0.1:9/v1/connections/shop"


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    stamina.set_testing(True, attempts=3)
    yield
    stamina.set_testing(False)


class Hub:
    """What the hub does with a connector, without a database: stores deliveries once, keeps the newest version."""

    def __init__(self, shop: Shop, **settings: Any) -> None:
        keys = {"url": shop.url, "consumer_key": shop.consumer_key, "consumer_secret": shop.consumer_secret}
        hooks = {"webhook_secret": "s1", "delivery_url": HOOK}
        self.connector = SPEC.configure({**keys, **hooks, "page_size": 5, **settings}, of="test")
        assert isinstance(self.connector, WooCommerceConnector)
        self.state: Mapping[str, Any] = {}
        self.deliveries: list[Delivery] = []
        self.records: list[Record] = []
        self.newest: dict[str, Outgoing] = {}
        self._keys: set[str] = set()
        self.down = False

    def store(self, deliveries: Any, state: Mapping[str, Any] | None = None) -> None:
        for delivery in deliveries:
            key = delivery.key or delivery.body.decode()
            if key in self._keys:
                continue
            self._keys.add(key)
            self.deliveries.append(delivery)
            found = list(self.connector.read(body_source(delivery.body, delivery.topic)))
            self.records += found
            for event in (event for record in found for event in record.events):
                if event.version > self.newest.get(event.entity, event).version or event.entity not in self.newest:
                    self.newest[event.entity] = event
        if state is not None:
            self.state = json.loads(json.dumps(state))

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        if self.down:
            return 500
        try:
            self.store([self.connector.verify(headers, body)])
        except AuthenticationError:
            return 401
        return 200

    def pull(self, tries: int = 1) -> int:
        """Pull until it is through; how often it had to be put off."""
        for put_off in range(tries):
            try:
                self.connector.pull(self.state, self.store)
            except TransientError:
                continue
            return put_off
        raise AssertionError(f"not through after {tries} tries")

    def transactions(self) -> dict[str, Transaction]:
        return {name: event.data for name, event in self.newest.items() if isinstance(event.data, Transaction)}


def truth(shop: Shop) -> dict[str, Decimal]:
    """What the shop's own books say: the total of each order that is sold, gift cards included, and of each refund."""
    found = {}
    for number, order in shop.orders.items():
        if order["status"] in ("processing", "completed", "refunded"):
            cards = sum((Decimal(str(card["amount"])) for card in order.get("gift_cards", ())), Decimal(0))
            found[f"order:{number}"] = Decimal(order["total"]) + cards
    for refunds in shop.refunds.values():
        found |= {f"refund:{refund['id']}": -Decimal(refund["amount"]) for refund in refunds}
    return found


def recorded(hub: Hub) -> dict[str, Decimal]:
    return {name: made.total for name, made in hub.transactions().items() if made.kind is not Kind.CANCELLED}


def busy(shop: Shop, orders: int = 25) -> None:
    """Some trade: orders, some paid later, cancelled, completed, refunded in part or whole."""
    for i in range(orders):
        number = shop.place_order("pending" if i % 6 == 5 else "processing")
        if i % 4 == 1:
            shop.set_status(number, "completed")
        if i % 5 == 2:
            shop.refund(number, whole=i % 2 == 0)
        if i % 9 == 4:
            shop.set_status(number, "cancelled")


@pytest.mark.parametrize("included", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_backfill_is_the_shops_own_books_and_passes_every_rule(seed: int, included: bool) -> None:
    with Shop(seed, included=included) as shop:
        busy(shop, 40)
        hub = Hub(shop)
        hub.pull()
        assert recorded(hub) == truth(shop)
        assert {outcome(record) for record in hub.records if record.events} == {"mapped"}
        assert sold(hub.records) == claimed(hub.records)
        for made in hub.transactions().values():
            if made.kind is Kind.RETURN:
                assert made.original is not None
                assert hub.transactions()[f"order:{made.original.sequence}"].base_key == made.original.key


def test_products_variations_and_stock_come_with_a_backfill() -> None:
    with Shop(1) as shop:
        hub = Hub(shop)
        hub.pull()
        assert {name for name in hub.newest if name.startswith("product:")} == {f"product:{n}" for n in shop.products}
        assert hub.newest["stock:91"].data.quantity == 20
        shop.set_stock(91, 3)
        hub.pull()
        assert hub.newest["stock:91"].data.quantity == 3


def test_the_next_pull_asks_for_what_changed_and_reaches_back_a_little() -> None:
    with Shop(1) as shop:
        busy(shop)
        hub = Hub(shop, overlap_s=30)
        hub.pull()
        shop.pass_time(3600)
        number = shop.place_order()
        before, asked = len(hub.deliveries), len(shop.requests)
        hub.pull()
        assert recorded(hub) == truth(shop)
        assert [json.loads(one.body)["id"] for one in hub.deliveries[before:]] == [number]
        assert sum("/orders?" in target for _, target, _ in shop.requests[asked:]) == 1


def test_what_changes_while_pages_are_read_is_not_lost() -> None:
    """One that was read is deleted and another ordered, so that the total stays the same and all that follow move up."""
    with Shop(3) as shop:
        for _ in range(20):
            shop.place_order()
        hub = Hub(shop, pull_products=False)
        gone = [1003, 1007]

        def meanwhile(deliveries: Any, state: Mapping[str, Any]) -> None:
            hub.store(deliveries, state)
            if deliveries and gone and f"order:{gone[0]}" in hub.newest:
                shop.trash_order(gone.pop(0))
                shop.set_status(1001, "completed")
                shop.place_order()

        hub.connector.pull({}, meanwhile)
        assert not gone
        assert recorded(hub).keys() >= truth(shop).keys()


def test_a_list_that_never_holds_still_is_put_off() -> None:
    with Shop(3) as shop:
        for _ in range(40):
            shop.place_order()
        hub = Hub(shop, pull_products=False)

        def hostile(deliveries: Any, state: Mapping[str, Any]) -> None:
            hub.store(deliveries, state)
            shop.trash_order(min(shop.orders))
            del shop.orders[int(state["orders"]["last"])]

        with pytest.raises(TransientError, match="faster"):
            hub.connector.pull({}, hostile)


def test_a_pull_that_dies_goes_on_at_its_page() -> None:
    with Shop(1) as shop:
        for _ in range(30):
            shop.place_order()
        hub, pages = Hub(shop), 0

        def dying(deliveries: Any, state: Mapping[str, Any]) -> None:
            nonlocal pages
            pages += 1
            if pages == 6:
                raise RuntimeError("killed")
            hub.store(deliveries, state)

        with pytest.raises(RuntimeError):
            hub.connector.pull({}, dying)
        done = len(hub.deliveries)
        assert hub.state["orders"]["done"] == done > 0
        hub.pull()
        asked = [target for _, target, _ in shop.requests if "/orders?" in target]
        assert sum("offset=" not in target for target in asked) == 1, "the first page came once"
        assert recorded(hub) == truth(shop)


FAULTS = {
    "too many requests, no hint": Faults(rate_limited=0.25),
    "too many requests, short hint": Faults(rate_limited=0.25, retry_after_s=1),
    "too many requests, long hint": Faults(rate_limited=0.25, retry_after_s=600),
    "5xx": Faults(failing=0.4),
    "dropped connections": Faults(dropped=0.4),
    "pages of HTML": Faults(garbled=0.4),
    "all together": Faults(rate_limited=0.1, failing=0.2, dropped=0.2, garbled=0.1),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_backfill_gets_through_every_fault(name: str) -> None:
    with Shop(5, faults=FAULTS[name]) as shop:
        busy(shop)
        hub = Hub(shop, pull_products=False)
        hub.pull(tries=200)
        assert recorded(hub) == truth(shop)
        assert any(status != 200 for _, _, status in shop.requests), "the fault struck"


@pytest.mark.parametrize(("hint", "wait_s"), [(600, 600), (None, 30)])
def test_a_limit_is_passed_on_with_its_wait(hint: int | None, wait_s: int) -> None:
    with Shop(1, faults=Faults(rate_limited=1, retry_after_s=hint)) as shop, pytest.raises(RateLimitedError) as caught:
        Hub(shop).connector.pull({}, lambda _, __: None)
    assert caught.value.retry_after_s == wait_s


def test_a_wrong_key_and_a_wrong_path_are_named() -> None:
    with Shop(1) as shop:
        with pytest.raises(AuthenticationError, match="cannot list"):
            Hub(shop, consumer_secret="wrong").connector.pull({}, lambda _, __: None)
        with pytest.raises(ConfigurationError, match="permalinks"):
            Hub(shop, url=shop.url + "/blog").connector.pull({}, lambda _, __: None)


# ---------------------------------------------------------------- webhooks


def subscribed(shop: Shop, **settings: Any) -> Hub:
    """A hub whose watchdog has made its webhooks, the pings delivered."""
    hub = Hub(shop, **settings)
    hub.pull()
    shop.deliver(hub.post)
    return hub


def settled(shop: Shop, deliver: Callable[[], int], most: int = 50) -> None:
    for _ in range(most):
        deliver()


def test_the_watchdog_subscribes_once() -> None:
    with Shop(1) as shop:
        hub = subscribed(shop)
        topics = sorted(hook["topic"] for hook in shop.webhooks.values())
        assert topics == sorted(hub.connector.settings.webhook_topics)
        assert sum("the ping" in record.ignored for record in hub.records) == len(topics)
        hub.pull()
        assert len(shop.webhooks) == len(topics)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(),
        Faults(duplicated=0.7),
        Faults(late=0.5),
        Faults(shuffled=True),
        Faults(duplicated=0.3, late=0.3, shuffled=True),
    ],
    ids=["none", "duplicates", "late", "out of order", "all"],
)
def test_webhooks_in_any_order_come_to_the_shops_books(faults: Faults) -> None:
    with Shop(7) as shop:
        hub = subscribed(shop)
        shop.faults = faults
        busy(shop)
        settled(shop, lambda: shop.deliver(hub.post))
        books = {name: total for name, total in truth(shop).items() if name.startswith("order:")}
        assert {name: total for name, total in recorded(hub).items() if name.startswith("order:")} == books
        hub.pull()
        assert recorded(hub) == truth(shop), "refunds are fetched"


def test_lost_webhooks_are_fetched() -> None:
    with Shop(8) as shop:
        hub = subscribed(shop)
        shop.faults = Faults(lost=0.5)
        busy(shop)
        shop.deliver(hub.post)
        assert recorded(hub) != truth(shop)
        hub.pull()
        assert recorded(hub) == truth(shop)


def test_a_disabled_webhook_is_enabled_again_and_a_deleted_one_made_anew() -> None:
    with Shop(9) as shop:
        hub = subscribed(shop)
        hub.down = True
        for _ in range(MOST_FAILURES + 1):
            shop.place_order()
        shop.deliver(hub.post)
        [created] = [hook for hook in shop.webhooks.values() if hook["topic"] == "order.created"]
        assert created["status"] == "disabled"
        [number] = [number for number, hook in shop.webhooks.items() if hook["topic"] == "order.updated"]
        del shop.webhooks[number]
        [paused] = [hook for hook in shop.webhooks.values() if hook["topic"] == "product.updated"]
        paused["status"] = "paused"
        hub.down = False
        hub.pull()
        assert created["status"] == "active"
        assert sum(hook["topic"] == "order.updated" for hook in shop.webhooks.values()) == 1
        assert paused["status"] == "paused", "a person did that"
        assert recorded(hub) == truth(shop)
        shop.set_status(shop.place_order(), "completed")
        assert shop.deliver(hub.post) >= 2
        assert recorded(hub) == truth(shop)


def test_a_secret_is_rotated_without_a_lost_webhook() -> None:
    with Shop(1) as shop:
        hub = subscribed(shop)
        rotated = Hub(shop, webhook_secret="s2", old_webhook_secret="s1")
        shop.place_order()
        assert shop.deliver(rotated.post) == 1
        shop.rotate_secret("s2")
        shop.place_order()
        assert shop.deliver(rotated.post) == 1
        shop.place_order()
        assert shop.deliver(hub.post) == 0, "who knows the old one only takes nothing"


def test_a_shop_repeats_itself_by_its_seed() -> None:
    def run() -> dict[int, Any]:
        shop = Shop(42)
        busy(shop)
        return shop.orders

    assert run() == run()
