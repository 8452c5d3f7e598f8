"""What must hold after whatever happened, computed from the raw events that were sent and nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
from builders import SELLING, Event
from driving import check_effects, check_event_store, check_projections, exception_codes, rows, scalar
from nats.js.errors import NotFoundError
from rig import Place
from sending import Load
from straight import Straight, known

from tillwire.config import Settings
from tillwire.events import relay
from tillwire.events.frames import unpack
from tillwire.events.log import next_offsets, read_chunks

Recorded = dict[int, list[bytes]]
_ACCOUNTS = {
    "revenue": "4000",
    "discount": "4900",
    "tax": "2200",
    "cash_movement": "1015",
    "rounding": "6900",
    "over_short": "6910",
}


def account_of(component: str, code: str) -> str:
    """The account of a component, by the default mapping as its documentation has it."""
    if component in ("tender", "change"):
        return {"cash": "1010", "gift_card": "2300"}.get(code, "1020")
    if component == "liability":
        return "2300" if code == "gift_card" else "2310"
    return _ACCOUNTS[component]


def check_everything(place: Place, load: Load, told: Sequence[Event] = (), *, raised: Sequence[str] = ()) -> int:
    """Assert all that must hold of a settled hub (but for the ERP's own books); returns the number of events.

    ``told`` is what other systems said in their own words, as canonical events; ``raised`` the exceptions there must be.
    """
    load.check_answers()
    events = [*load.events(), *told]
    with place.connect() as connection:
        assert exception_codes(connection) == list(raised)
        final = final_versions(events)
        # A version that comes after a later one is recorded without effect: there is nothing to take back for it.
        overtaken = scalar(connection, "SELECT count(*) FROM version WHERE outcome = 'superseded'")
        reversals = len(events) - len(final) - overtaken
        check_event_store(connection, len(events) + reversals)
        recorded = check_recorded(connection, load.sent, told, reversals)
        (check_effects if len(final) < len(events) else check_projections)(connection, final)
        check_hours(connection, final)
        check_journals(connection, final)
    check_stream(place.settings, recorded)
    return len(events)


def final_versions(events: Iterable[Event]) -> list[Event]:
    """Events without those that a later version took the place of, each as if it had been the first."""
    newest: dict[tuple[Any, ...], Event] = {}
    others = []
    for one in events:
        data = one["data"]
        if "sequence" not in data:
            others.append(one)
            continue
        key = tuple(data[name] for name in ("store", "register", "business_date", "sequence"))
        if key not in newest or data.get("version", 1) > newest[key]["data"].get("version", 1):
            newest[key] = one
    return others + list(newest.values())


def check_recorded(
    connection: psycopg.Connection, sent: Iterable[bytes], told: Iterable[Event] = (), reversals: int = 0
) -> Recorded:
    """Assert that what was sent is recorded, each event once, its bytes unchanged, and what was ``told`` by connections,
    each transaction once, beside the hub's own reversals, none of a version twice; returns all of it by partition.
    """
    recorded: Recorded = {}
    for partition, count in next_offsets(connection).items():
        stored = [one for chunk in read_chunks(connection, partition, 0, most_chunks=count + 1) for one in chunk]
        assert [one.offset for one in stored] == list(range(count))
        recorded[partition] = [one.raw for one in stored]
    query = "SELECT partition, event_offset, body, ordinal FROM event JOIN intake_group USING (group_id) ORDER BY 1, 2"
    everything: list[bytes] = []
    reversed_versions: Counter[tuple[Any, ...]] = Counter()
    for partition, offset, body, ordinal in rows(connection, query):
        raw = recorded[partition][offset]
        if ordinal < 0:  # made by the hub beside the correction that it goes before
            data = msgspec.json.decode(raw)["data"]
            reversed_versions[(*_place({"data": data["transaction"]})[:4], data["by_version"])] += 1
            continue
        assert raw == unpack(bytes(body))[ordinal]
        everything.append(raw)
    assert reversed_versions.total() == len(reversed_versions) == reversals
    made = [one for one in everything if b'"source":"urn:connection:' in one]
    assert Counter(_place(msgspec.json.decode(one)) for one in made) == Counter(_place(one) for one in told)
    expected, found = Counter(list(sent)), Counter(everything) - Counter(made)
    assert [(expected - found).most_common(3), (found - expected).most_common(3)] == [[], []]
    return {partition: events for partition, events in recorded.items() if events}


def _place(one: Event) -> tuple[Any, ...]:
    """What identifies a transaction, and what it came to."""
    data = one["data"]
    return (
        *(data[name] for name in ("store", "register", "business_date", "sequence", "kind")),
        Decimal(data["total"]),
    )


def check_hours(connection: psycopg.Connection, events: Iterable[Event]) -> None:
    """Assert that the async projection has every sale in its hour, once."""
    expected: dict[tuple[Any, ...], tuple[int, Decimal]] = {}
    for one in events:
        data = one["data"]
        if data.get("kind") in SELLING and "ended_at" in data:
            place = (data["store"], data["business_date"], int(data["ended_at"][11:13]))
            count, amount = expected.get(place, (0, Decimal(0)))
            expected[place] = (count + 1, amount + Decimal(data["total"]))
    query = "SELECT store, business_date::text, hour, transactions, amount FROM hourly_sales"
    assert {tuple(row[:3]): tuple(row[3:]) for row in rows(connection, query)} == expected


def by_account(events: Iterable[Event]) -> dict[tuple[str, str, str], Decimal]:
    """(store, day, account) -> what its journals must add up to, for days that were closed."""
    expected = Straight(events)
    sums: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for (store, day, component, code), amount in expected.ledger.items():
        if (store, day) in expected.days:
            sums[(store, day, account_of(component, code))] += amount
    return dict(known(sums))


def check_journals(connection: psycopg.Connection, events: Iterable[Event]) -> None:
    """Assert that the journals hold every closed day, each entry once, and balance.

    What takes back something posted is a journal of its own with the range of the journal that it was built beside.
    """
    unbalanced = "SELECT journal_id FROM journal_line GROUP BY 1 HAVING sum(debit) <> sum(credit)"
    assert rows(connection, unbalanced) == []
    lines = (
        "SELECT store, business_date::text, account, sum(debit - credit)"
        " FROM journal JOIN journal_line USING (journal_id) GROUP BY 1, 2, 3"
    )
    journaled = {tuple(row[:3]): row[3] for row in rows(connection, lines)}
    assert known(journaled) == by_account(events)
    overlapping = (
        "SELECT a.reference, b.reference FROM journal a JOIN journal b USING (store, business_date, currency)"
        " WHERE a.journal_id < b.journal_id AND a.reverses IS NOT DISTINCT FROM b.reverses"
        " AND a.from_offset < b.to_offset AND b.from_offset < a.to_offset"
    )
    assert rows(connection, overlapping) == []


def check_stream(settings: Settings, recorded: Recorded) -> None:
    """Assert that the stream has exactly the recorded events, in order per partition, none twice."""
    found: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for partition, offset, body in asyncio.run(_messages(settings)):
        found[partition].append((offset, body))
    assert {p: [offset for offset, _ in messages] for p, messages in found.items()} == {
        p: list(range(len(events))) for p, events in recorded.items()
    }
    assert found == {p: list(enumerate(events)) for p, events in recorded.items()}


async def _messages(settings: Settings) -> list[tuple[int, int, bytes]]:
    """Every message of the stream, in its order: partition, offset, body."""
    client = await relay.connect(settings.nats_url)
    try:
        jetstream = client.jetstream()
        try:
            state = (await jetstream.stream_info(settings.relay.stream)).state
        except NotFoundError:
            return []
        follower = await jetstream.subscribe(f"{settings.relay.subject_prefix}.>", ordered_consumer=True)
        found = []
        for _ in range(state.messages):
            message = await follower.next_msg(timeout=30)
            headers = message.headers or {}
            found.append((int(headers["Tillwire-Partition"]), int(headers["Tillwire-Offset"]), message.data))
        return found
    finally:
        await client.close()
