"""What other systems deliver, and what is fetched from them, is there once when the process dies right behind its commit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import msgspec
import psycopg
import pytest
from driving import rows, scalar, settings_for, until
from serving import Api, serving

from tillwire import bootstrap
from tillwire.config import Connection, Settings
from tillwire.connectors.woocommerce.connector import signature
from tillwire.connectors.woocommerce.simulator import Shop
from tillwire.intake.foreign import unpacked
from tillwire.intake.normalise import Normaliser

SECRET = "s1"
POSLOG = """<POSLog><Transaction><RetailStoreID>7</RetailStoreID><WorkstationID>2</WorkstationID>
<SequenceNumber>{number}</SequenceNumber><BusinessDayDate>2026-03-02</BusinessDayDate><CurrencyCode>USD</CurrencyCode>
<RetailTransaction><LineItem><Sale><ItemID>A</ItemID><ExtendedAmount>10.00</ExtendedAmount><Quantity>1</Quantity></Sale>
</LineItem><LineItem><Tender TenderType="Cash"><Amount>10.00</Amount></Tender></LineItem>
<Total TotalType="TransactionGrandAmount">10.00</Total></RetailTransaction></Transaction></POSLog>"""


class Sender(NamedTuple):
    """How a system delivers the ``number``-th of its transactions, and under which key it is taken in."""

    connection: Connection
    prefix: str
    kind: str
    signed: bool
    first_status: int

    def body(self, number: int) -> bytes:
        if not self.signed:
            return POSLOG.format(number=number).encode()
        line = {"id": 1, "name": "Lamp", "product_id": 30, "sku": "LAMP", "quantity": 1, "total": "10.00"}
        dates = {"date_created_gmt": "2026-03-02T10:00:00", "date_modified_gmt": "2026-03-02T10:00:05"}
        paid = {"date_paid_gmt": "2026-03-02T10:00:05", "payment_method": "stripe", "status": "processing"}
        return json.dumps(
            {"id": number, "currency": "EUR", "total": "10.00", "line_items": [line], **dates, **paid}
        ).encode()

    def headers(self, number: int) -> dict[str, str]:
        if not self.signed:
            return {}
        return {
            "X-WC-Webhook-Signature": signature(self.body(number), SECRET),
            "X-WC-Webhook-Topic": "order.updated",
            "X-WC-Webhook-Delivery-ID": f"delivery-{number}",
        }

    def send(self, api: Api, number: int) -> httpx2.Response:
        """POST it, as its sender does each time."""
        headers = {"Content-Type": self.kind, **self.headers(number)}
        return api.http.post(f"/v1/connections/{self.connection.name}", content=self.body(number), headers=headers)


SENDERS = {
    "poslog": Sender(
        Connection(name="stores", connector="poslog"),
        "7/2/2026-03-02/",
        "application/xml",
        signed=False,
        first_status=202,
    ),
    "webhook": Sender(
        Connection(
            name="shop",
            connector="woocommerce",
            settings={"store": "900", "currency": "EUR", "webhook_secret": SECRET},
        ),
        "900/web/2026-03-02/",
        "application/json",
        signed=True,
        first_status=200,
    ),
}


def configured(folder: Path, connection: Connection) -> dict[str, str]:
    """The variables of a process that has this connection."""
    path = folder / "tillwire.toml"
    settings = "".join(f"{name} = {json.dumps(value)}\n" for name, value in connection.settings.items())
    head = f'[[connections]]\nname = "{connection.name}"\nconnector = "{connection.connector}"\n'
    path.write_text(f"{head}[connections.settings]\n{settings}", "utf-8")
    return {"CONFIG": str(path)}


def keys(connection: psycopg.Connection) -> list[str]:
    return [key for (key,) in rows(connection, "SELECT key FROM intake ORDER BY group_id, ordinal")]


def normalise(connection: psycopg.Connection, settings: Settings) -> None:
    normaliser = Normaliser(connection, bootstrap.inbound_connectors(settings))
    while normaliser.normalise_once():
        pass


@pytest.mark.parametrize("how", SENDERS)
def test_a_delivery_whose_answer_was_lost_is_kept_and_a_duplicate_when_it_comes_again(
    how: str, database_url: str, tmp_path: Path
) -> None:
    sender = SENDERS[how]
    variables = configured(tmp_path, sender.connection)
    with psycopg.connect(database_url, autocommit=True) as connection:
        with serving(database_url, tmp_path, FAULT="foreign.after_receive:2", **variables) as api:
            assert sender.send(api, 1).json()["status"] == "accepted"
            with pytest.raises(httpx2.TransportError):
                sender.send(api, 2)
            until(lambda: not api.child.alive)
            assert api.child.exit_text() == "killed by signal 9"
        stored = rows(connection, "SELECT body FROM foreign_message ORDER BY message_id")
        assert [unpacked(body) for (body,) in stored] == [sender.body(1), sender.body(2)]
        with serving(database_url, tmp_path, **variables) as api:
            again, other = sender.send(api, 2), sender.send(api, 3)
        assert (again.status_code, again.json()["status"]) == (200, "duplicate")
        assert (other.status_code, other.json()["status"]) == (sender.first_status, "accepted")
        normalise(connection, settings_for(database_url, connections=(sender.connection,)))
        assert keys(connection) == [f"{sender.prefix}{number}" for number in (1, 2, 3)]
        assert rows(connection, "SELECT code FROM exception") == []


def die_fetching(settings: Path) -> None:
    """One life of ``tillwire connect`` that ends behind the first page it delivers."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TILLWIRE_")}
    environment |= {"TILLWIRE_SETTINGS": str(settings), "TILLWIRE_FAULT": "pull.after_delivery:1"}
    done = subprocess.run(
        [sys.executable, "-m", "tillwire", "connect"], env=environment, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def test_a_fetch_that_dies_behind_every_page_goes_on_and_ends_in_the_shops_own_books(
    database_url: str, tmp_path: Path
) -> None:
    with Shop(1) as shop, psycopg.connect(database_url, autocommit=True) as connection:
        for number in [shop.place_order() for _ in range(10)][::4]:
            shop.refund(number, whole=True)
        access = {"url": shop.url, "consumer_key": shop.consumer_key, "consumer_secret": shop.consumer_secret}
        more: dict[str, Any] = {"page_size": 4, "pull_products": False, "interval_s": 3600}
        one = Connection(name="shop", connector="woocommerce", settings={**access, **more})
        settings = settings_for(database_url, connections=(one,))
        path = tmp_path / "settings.json"
        path.write_bytes(msgspec.json.encode(settings))
        asked: list[list[str]] = []
        while rows(connection, "SELECT state->'orders'->>'started' FROM connection_state") != [(None,)]:
            before = len(shop.requests)
            die_fetching(path)
            asked.append([target for _, target, _ in shop.requests[before:] if "/orders?" in target])
            assert len(asked) < 8, "no life gets on"
        # Each life asks for the one page behind those that are on disk; the last of them finds the end.
        assert [len(targets) for targets in asked] == [1] * len(asked)
        assert len({targets[0] for targets in asked}) == len(asked) == 4
        assert scalar(connection, "SELECT count(*) FROM foreign_message") == 10 + 3, "orders, and refunds with theirs"
        normalise(connection, settings)
        sold = {f"order:{number}" for number in shop.orders}
        returned = {f"refund:{refund['id']}" for found in shop.refunds.values() for refund in found}
        entities = [entity for (entity,) in rows(connection, "SELECT entity FROM foreign_entity")]
        assert sorted(entities) == sorted(sold | returned)
        assert len(set(keys(connection))) == len(keys(connection)) == 10 + 3
        assert rows(connection, "SELECT code FROM exception") == []
