"""Other systems' messages: durable, read once by their connector, recorded whole or raised whole, whatever comes twice,
late, spoilt, or is killed on the way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest
from driving import rows, scalar

from tillwire.connectors.inbound import Claim, Delivery, MalformedError, Outgoing, Record, Source, Trouble
from tillwire.intake import foreign
from tillwire.intake.normalise import Normaliser
from tillwire.intake.recording import record_batch
from tillwire.model.event import MASTER_TENDER, STOCK_LEVEL, TRANSACTION
from tillwire.model.master import TenderRecord
from tillwire.model.transaction import Kind, Line, Tender, Transaction

SHOP = "shop"


class Order(msgspec.Struct):
    """What the connector of these tests reads."""

    number: int
    version: int
    total: str
    store: str = "101"
    claim: str | None = None
    trouble: str = ""
    ignored: str = ""
    crash: bool = False


class Orders:
    """A connector: a JSON list of orders, each a record."""

    def read(self, source: Source) -> Iterator[Record]:
        try:
            orders = msgspec.json.decode(source.stream.read(), type=list[Order])
        except msgspec.DecodeError as error:
            raise MalformedError("the body", str(error)) from error
        for order in orders:
            if order.crash:
                raise RuntimeError("a defect")
            yield self._record(order)

    def _record(self, order: Order) -> Record:
        place, raw = f"order {order.number}", msgspec.json.encode([order])
        if order.trouble:
            return Record(place=place, raw=raw, troubles=(Trouble(code=order.trouble, message="as told"),))
        if order.ignored:
            return Record(place=place, raw=raw, ignored=order.ignored)
        total = Decimal(order.total)
        data = Transaction(
            store=order.store,
            register="web",
            business_date=date(2026, 3, 2),
            sequence=order.number,
            kind=Kind.SALE,
            currency="USD",
            total=total,
            lines=(Line(sku="milk", quantity=Decimal(1), unit_price=total, amount=total),),
            tenders=(Tender(type="card", amount=total),),
        )
        entity = f"order:{order.number}" if order.version else ""
        event = Outgoing(
            type=TRANSACTION, data=data, id=f"{order.number}-{order.version}", entity=entity, version=order.version
        )
        claims = (Claim(amount=Decimal(order.claim), currency="USD"),) if order.claim else ()
        return Record(place=place, raw=raw, events=(event,), claims=claims)


def body(*orders: Order) -> bytes:
    return msgspec.json.encode(orders)


def receive(connection: psycopg.Connection, *bodies: bytes) -> int:
    return foreign.receive(connection, SHOP, [Delivery(body=one, topic="orders") for one in bodies])


def normalise(connection: psycopg.Connection) -> int:
    return Normaliser(connection, {SHOP: Orders()}).normalise_once()


def keys(connection: psycopg.Connection) -> list[str]:
    return [key for (key,) in rows(connection, "SELECT key FROM intake ORDER BY group_id, ordinal")]


def states(connection: psycopg.Connection) -> list[tuple[str, str]]:
    return rows(connection, "SELECT state, outcome FROM foreign_message ORDER BY message_id")


def exceptions(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return rows(connection, "SELECT code, state, key FROM exception ORDER BY exception_id")


def test_a_delivery_is_kept_as_it_came_and_mapped_once(connection: psycopg.Connection) -> None:
    raw = b' [ {"number": 1, "version":0,"total":"3.00", "unknown": "kept"}]'
    assert receive(connection, raw) == 1
    assert receive(connection, raw) == 0
    assert normalise(connection) == 1
    assert normalise(connection) == 0
    assert keys(connection) == ["101/web/2026-03-02/1"]
    assert states(connection) == [("mapped", "1 event")]
    ((group_id, ordinal),) = rows(connection, "SELECT group_id, ordinal FROM intake")
    origin = foreign.origin_of(connection, group_id, ordinal)
    assert origin is not None
    assert origin["raw"] == raw.decode()
    assert origin["connection"] == SHOP


def test_the_senders_key_tells_a_repetition(connection: psycopg.Connection) -> None:
    one = Delivery(body=body(Order(1, 0, "3")), key="delivery-1")
    other = Delivery(body=body(Order(1, 0, "3.0")), key="delivery-2")
    assert foreign.receive(connection, SHOP, [one, one, other]) == 2
    assert foreign.receive(connection, "other", [one]) == 1
    normalise(connection)
    assert keys(connection) == ["101/web/2026-03-02/1"]


def test_a_newer_version_is_a_correction_an_older_one_superseded_the_same_no_change(
    connection: psycopg.Connection,
) -> None:
    receive(connection, body(Order(1, 10, "3.00")))
    normalise(connection)
    receive(connection, body(Order(1, 9, "2.00")), body(Order(1, 11, "3.00")), body(Order(1, 12, "4.00")))
    receive(connection, body(Order(1, 11, "9.00")), body(Order(2, 1, "1.00"), Order(2, 2, "1.50")))
    normalise(connection)
    key = "101/web/2026-03-02/"
    assert keys(connection) == [key + "1", key + "1@2", key + "2", key + "2@2"]
    assert not exceptions(connection)


def test_versions_in_any_order_and_batch_end_in_the_newest(connection: psycopg.Connection) -> None:
    for version in (3, 1, 5, 2, 4, 5, 1):
        receive(connection, body(Order(7, version, f"{version}.00")) + b" " * version)
        normalise(connection)
    assert keys(connection) == [f"101/web/2026-03-02/7{v}" for v in ("", "@2")]
    ((version, hub),) = rows(connection, "SELECT version, hub_version FROM foreign_entity")
    assert (version, hub) == (5, 2)


def test_an_entity_that_moves_to_another_key_is_raised(connection: psycopg.Connection) -> None:
    receive(connection, body(Order(1, 1, "3.00")), body(Order(1, 2, "3.00", store="102")))
    normalise(connection)
    assert keys(connection) == ["101/web/2026-03-02/1"]
    assert [code for code, _, _ in exceptions(connection)] == ["duplicate_conflict"]


def test_what_cannot_be_read_is_raised_with_its_bytes_and_harms_no_neighbour(connection: psycopg.Connection) -> None:
    receive(
        connection,
        b"not json",
        body(Order(1, 0, "1.00")),
        body(Order(2, 0, "1", crash=True)),
        body(),
        body(Order(3, 0, "1.00")),
    )
    normalise(connection)
    assert keys(connection) == ["101/web/2026-03-02/1", "101/web/2026-03-02/3"]
    assert [code for code, _, _ in exceptions(connection)] == ["schema_drift", "processing_failed", "schema_drift"]
    assert [state for state, _ in states(connection)] == ["failed", "mapped", "failed", "failed", "mapped"]


def test_a_record_in_trouble_is_raised_alone_and_read_again_alone(connection: psycopg.Connection) -> None:
    receive(connection, body(Order(1, 0, "1.00"), Order(2, 0, "2.00", trouble="unknown_store"), Order(3, 0, "3.00")))
    normalise(connection)
    assert len(keys(connection)) == 2
    assert [(code, state) for code, state, _ in exceptions(connection)] == [("unknown_store", "open")]
    ((message_id,),) = rows(connection, "SELECT message_id FROM foreign_message WHERE state = 'failed'")
    assert foreign.replace_body(connection, message_id, body(Order(2, 0, "2.00")))
    assert foreign.requeue(connection, [message_id]) == 1
    normalise(connection)
    assert len(keys(connection)) == 3
    assert [(code, state) for code, state, _ in exceptions(connection)] == [("unknown_store", "resolved")]


def test_what_fails_again_is_one_exception(connection: psycopg.Connection) -> None:
    receive(connection, b"not json")
    for _ in range(3):
        normalise(connection)
        ((message_id,),) = rows(connection, "SELECT message_id FROM foreign_message")
        assert foreign.requeue(connection, [message_id]) == 1
    normalise(connection)
    assert rows(connection, "SELECT attempts, state FROM exception") == [(4, "open")]


def test_a_mapping_that_loses_money_is_raised(connection: psycopg.Connection) -> None:
    receive(connection, body(Order(1, 0, "3.00", claim="3.50")), body(Order(2, 0, "3.00", claim="3.00")))
    normalise(connection)
    assert keys(connection) == ["101/web/2026-03-02/2"]
    assert [code for code, _, _ in exceptions(connection)] == ["total_mismatch"]


def test_what_the_door_refuses_is_raised_with_its_field(connection: psycopg.Connection) -> None:
    receive(connection, body(Order(1, 0, "1.00", store="a/b")))
    normalise(connection)
    assert rows(connection, "SELECT code, pointer FROM exception") == [("schema_drift", "/data/store")]


def test_ignored_messages_say_why(connection: psycopg.Connection) -> None:
    receive(connection, body(Order(1, 0, "1", ignored="a draft")))
    normalise(connection)
    assert states(connection) == [("mapped", "0 events; a draft")]


def test_records_of_a_file_keep_their_bytes(connection: psycopg.Connection) -> None:
    connector = Orders()
    records = list(
        connector.read(
            Source(_stream(body(*(Order(n, 0, "1.00", ignored="x" if n == 2 else "") for n in range(1, 5)))))
        )
    )
    with connection.transaction():
        counts = record_batch(connection, SHOP, records, part_of="day.json")
    assert (counts.records, counts.accepted, counts.ignored) == (4, 3, 1)
    with connection.transaction():
        again = record_batch(connection, SHOP, records, part_of="day.json")
    assert (again.accepted, again.duplicate) == (0, 3)
    for key, number in (("1", 1), ("3", 3), ("4", 4)):
        ((group_id, ordinal),) = rows(
            connection, "SELECT group_id, ordinal FROM intake WHERE key = %s", f"101/web/2026-03-02/{key}"
        )
        origin = foreign.origin_of(connection, group_id, ordinal)
        assert origin is not None
        assert origin["part_of"] == "day.json"
        assert msgspec.json.decode(origin["raw"])[0]["number"] == number


def _stream(content: bytes) -> Any:
    from io import BytesIO

    return BytesIO(content)


def test_events_that_are_no_transactions_are_versioned_by_their_revision(connection: psycopg.Connection) -> None:
    def tenders(version: int, name: str) -> list[Record]:
        data = TenderRecord(type="card", name=name, revision=version)
        event = Outgoing(type=MASTER_TENDER, data=data, id=f"t{version}", entity="tender:card", version=version)
        return [Record(place="p", raw=b"{}", events=(event,))]

    for version, name in ((2, "b"), (1, "a"), (3, "c")):
        with connection.transaction():
            record_batch(connection, SHOP, tenders(version, name), part_of="f")
    assert keys(connection) == ["tender:card@2", "tender:card@3"]


def test_two_processes_share_the_work_without_doing_it_twice(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as one, psycopg.connect(database_url, autocommit=True) as other:
        receive(one, *(body(Order(n, 0, "1.00")) for n in range(1, 30)))
        with one.transaction():
            one.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (0x7111_0003, SHOP))
            assert normalise(other) == 0
        assert normalise(other) + normalise(one) == 29
        assert len(keys(one)) == 29


def test_killed_before_its_commit_nothing_is_half_done(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        receive(connection, body(Order(1, 5, "1.00"), Order(2, 0, "1.00", trouble="unknown_store")))
        program = (
            "import sys, psycopg; sys.path[:0] = sys.argv[2:]\n"
            "from test_foreign import Orders, Normaliser\n"
            "with psycopg.connect(sys.argv[1], autocommit=True) as c: Normaliser(c, {'shop': Orders()}).normalise_once()\n"
        )
        paths: Sequence[str] = [path for path in sys.path if "tests" in path]
        import os

        environment = {**os.environ, "TILLWIRE_FAULT": "normalise.before_commit"}
        done = subprocess.run(
            [sys.executable, "-c", program, database_url, *paths], env=environment, check=False, capture_output=True
        )
        assert done.returncode == -9, done.stderr
        assert not keys(connection)
        assert states(connection) == [("waiting", "")]
        assert not exceptions(connection)
        normalise(connection)
        assert len(keys(connection)) == 1
        assert scalar(connection, "SELECT count(*) FROM exception") == 1


def test_a_fetch_and_its_state_are_stored_together(connection: psycopg.Connection) -> None:
    assert foreign.state_of(connection, SHOP) == {}
    foreign.deliver(connection, SHOP, [Delivery(body=body(Order(1, 0, "1.00")))], {"cursor": "a"})
    foreign.deliver(connection, SHOP, [], {"cursor": "b"})
    assert foreign.state_of(connection, SHOP) == {"cursor": "b"}
    foreign.note_error(connection, SHOP, "429")
    ((name, messages, waiting, failed, _, error),) = foreign.figures(connection)
    assert (name, messages, waiting, failed, error) == (SHOP, 1, 1, 0, "429")
    foreign.deliver(connection, SHOP, [], {"cursor": "c"})
    assert foreign.figures(connection)[0][-1] == ""


@pytest.mark.parametrize("kind", ["nobody", "STOCK"])
def test_an_unknown_event_type_of_a_connector_is_raised(connection: psycopg.Connection, kind: str) -> None:
    event = Outgoing(type=kind, data=TenderRecord(type="x", name="x", revision=1), id="1")
    assert kind != STOCK_LEVEL
    with connection.transaction():
        counts = record_batch(connection, SHOP, [Record(place="p", raw=b"x", events=(event,))], part_of="f")
    assert counts.failed == 1
    assert [code for code, _, _ in exceptions(connection)] == ["schema_drift"]


def test_a_trace_shows_the_words_of_the_source(connection: psycopg.Connection) -> None:
    from tillwire.reconciliation.trace import trace

    raw = b'[{"number": 1, "version":0,"total":"3.00", "colour": "unknown to us"}]'
    receive(connection, raw)
    normalise(connection)
    (found,) = trace(connection, "101/web/2026-03-02/1")
    assert found.origin is not None
    assert found.origin["raw"] == raw.decode()
    assert (found.origin["connection"], found.origin["topic"]) == (SHOP, "orders")
    assert found.origin["message_id"]
