"""Sending: the same bytes until answered, every event accepted once, late stores after the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx2
import msgspec
import pytest

from tillwire.demo.faults import Resend, Troubles, choose
from tillwire.demo.retailer import Retailer, master_events
from tillwire.demo.sender import Sender, SendingError
from tillwire.demo.simulation import Simulation


class Hub:
    """Answers as a hub does, from memory. ``forgetful``: takes every event for a new one."""

    def __init__(self, *, forgetful: bool = False) -> None:
        self.known: dict[tuple[str, str], bytes] = {}
        self.order: list[str] = []
        self.forgetful = forgetful

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        body = request.read()
        if request.headers["content-type"] == "application/cloudevents+json":
            return httpx2.Response({"accepted": 202, "duplicate": 200, "conflict": 409}[self.judge(body)])
        counts = dict.fromkeys(("accepted", "duplicate", "conflict", "rejected"), 0)
        for raw in msgspec.json.decode(body, type=list[msgspec.Raw]):
            counts[self.judge(bytes(raw))] += 1
        return httpx2.Response(202, json={**counts, "results": []})

    def judge(self, raw: bytes) -> str:
        event = msgspec.json.decode(raw)
        data = event["data"]
        place = (event["source"], event["id"])
        known = self.known.setdefault(place, raw)
        if known is raw or self.forgetful:
            if event["type"] == "tillwire.day.closed.v1":
                self.order.append(f"{data['store']} {data['business_date']}")
            return "accepted"
        return "duplicate" if known == raw else "conflict"


def simulate(retailer: Retailer, hub: Callable[[httpx2.Request], httpx2.Response]) -> Simulation:
    chosen = retailer.in_weeks(2, 2, stores=12)
    troubles = choose(retailer.ordinary(chosen), retailer.business_days(chosen), seed=1)
    done: list[int] = []

    async def run() -> Simulation:
        async with Sender("http://hub", transport=httpx2.MockTransport(hub)) as sender:
            simulation = Simulation(sender, troubles, seed=1, check=lambda: None)
            await simulation.send_master_data(master_events(retailer)[:1200])
            await simulation.trade(retailer.sales(chosen), done.append)
        return simulation

    simulation = asyncio.run(run())
    assert sum(done) == len(chosen)
    return simulation


def test_every_event_arrives_once_and_what_is_sent_again_is_a_duplicate(retailer: Retailer) -> None:
    hub = Hub()
    simulation = simulate(retailer, hub)
    traffic = simulation.traffic
    assert len(hub.known) == traffic.events + 1200
    assert traffic.sent_again > 0
    assert traffic.effects == 0
    assert set(traffic.resends) == set(Resend)
    assert traffic.harmless_resends == traffic.resends
    assert set(traffic.conflicts.values()) == {409}
    assert len(traffic.conflicts) >= 2


def test_late_stores_close_their_days_after_all_others(retailer: Retailer) -> None:
    hub = Hub()
    simulation = simulate(retailer, hub)
    late = {f"{store} {day}" for store, day in simulation.traffic.late}
    assert late
    for closed in late:
        day = closed.split()[1]
        others = [other for other in hub.order if other.endswith(day) and other not in late]
        assert all(hub.order.index(closed) > hub.order.index(other) for other in others)
    for store in {closed.split()[0] for closed in hub.order}:
        own = [closed for closed in hub.order if closed.split()[0] == store]
        assert own == sorted(own)


def test_a_hub_that_takes_duplicates_for_new_events_is_caught(retailer: Retailer) -> None:
    traffic = simulate(retailer, Hub(forgetful=True)).traffic
    assert traffic.effects == traffic.sent_again > 0
    assert not traffic.harmless_resends.total()


def test_busy_and_broken_answers_are_met_with_the_same_bytes_again() -> None:
    bodies: list[bytes] = []

    def hub(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.read())
        match len(bodies):
            case 1:
                return httpx2.Response(503, headers={"Retry-After": "0"})
            case 2:
                raise httpx2.ReadError("hung up")
            case _:
                return httpx2.Response(202, json={"accepted": 0, "duplicate": 2, "conflict": 0, "rejected": 0})

    async def run() -> None:
        async with Sender("http://hub", transport=httpx2.MockTransport(hub)) as sender:
            answer = await sender.batch([b'{"a":1}', b'{"b":2}'])
            assert (answer.duplicate, answer.attempts, sender.repeated) == (2, 3, 2)

    asyncio.run(run())
    assert bodies == [b'[{"a":1},{"b":2}]'] * 3


def test_sending_gives_up_at_last_and_says_what_the_hub_said() -> None:
    async def run(answer: httpx2.Response) -> None:
        transport = httpx2.MockTransport(lambda _: answer)
        async with Sender("http://hub", patience_s=0.0, transport=transport) as sender:
            await sender.batch([b"{}"])

    with pytest.raises(SendingError, match="answered 503"):
        asyncio.run(run(httpx2.Response(503, headers={"Retry-After": "1"}, text="the backlog is full")))
    with pytest.raises(SendingError, match="413"):
        asyncio.run(run(httpx2.Response(413, text="too much")))


def test_a_refusal_of_new_events_ends_the_simulation(retailer: Retailer) -> None:
    refusing = {"accepted": 0, "duplicate": 0, "conflict": 0, "rejected": 1}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(207, json=refusing))

    async def run() -> None:
        async with Sender("http://hub", transport=transport) as sender:
            simulation = Simulation(sender, Troubles({}, frozenset(), {}), seed=1, check=lambda: None)
            await simulation.trade(retailer.sales(retailer.in_weeks(2, 2, stores=2)), lambda _: None)

    with pytest.raises(SendingError, match="was answered"):
        asyncio.run(run())
