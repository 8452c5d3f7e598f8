"""Deliveries of alerts to real receivers: signed, at least once, whatever fails or dies, and never where none may lead."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller
from driving import rows, scalar

from tillwire.config import AlertRoute, Alerts, Settings, Smtp
from tillwire.engines.ports import ReservedPort
from tillwire.errors import TillwireError
from tillwire.observability import hooks
from tillwire.observability.delivering import Deliverer, send_test

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = timedelta(hours=1)


class Receiver:
    """A hook: what it was sent, and what it answers next (200 if nothing is said)."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
                status, headers = outer.answers.pop(0) if outer.answers else (200, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quietly."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join(30)
    made.server.server_close()


def settings_of(*routes: AlertRoute, smtp: Smtp | None = None, url: str = "") -> Settings:
    return Settings(alert_routes=routes, smtp=smtp or Smtp(), alerts=Alerts(), database_url=url)


def queued(connection: psycopg.Connection, route: str, recipient: str = "", key: str = "k-1") -> None:
    """A message that waits."""
    message = {
        "status": "firing", "group": "stores", "at": NOW.isoformat(), "severity": "critical", "firing": [],
        "resolved": [], "hub": "http://hub",
    }  # fmt: skip
    connection.execute(
        "INSERT INTO alert_delivery (route, recipient, delivery_key, group_key, message, made_at, next_at)"
        " VALUES (%s, %s, %s, 'stores', %s::jsonb, %s, %s)",
        (route, recipient, key, json.dumps(message), NOW, NOW),
    )


def states(connection: psycopg.Connection) -> list[tuple[str, int]]:
    return rows(connection, "SELECT state, attempts FROM alert_delivery ORDER BY delivery_id")


def test_a_webhook_is_signed_and_has_a_key_that_stays(connection: psycopg.Connection, receiver: Receiver) -> None:
    route = AlertRoute(name="hook", kind="webhook", url=receiver.url, secret="s" * 20)
    queued(connection, "hook")
    receiver.answers = [(503, {}), (429, {"Retry-After": "90"})]
    deliverer = Deliverer(connection, settings_of(route), route)
    assert deliverer.deliver_once(NOW) == 0
    assert states(connection) == [("waiting", 1)]
    assert "503" in scalar(connection, "SELECT last_error FROM alert_delivery")
    assert deliverer.deliver_once(NOW) == 0, "not yet"
    assert len(receiver.taken) == 1
    deliverer.deliver_once(NOW + LATER)
    assert scalar(connection, "SELECT next_at FROM alert_delivery") == NOW + LATER + timedelta(seconds=90)
    assert deliverer.deliver_once(NOW + 2 * LATER) == 1
    assert states(connection) == [("sent", 3)]
    assert deliverer.deliver_once(NOW + 3 * LATER) == 0
    for headers, body in receiver.taken:
        assert headers["idempotency-key"] == "k-1"
        assert headers["x-tillwire-signature"] == hooks.signature("s" * 20, body)
        assert json.loads(body)["status"] == "firing"


def test_a_slack_compatible_hook_gets_words(connection: psycopg.Connection, receiver: Receiver) -> None:
    route = AlertRoute(name="chat", kind="slack", url=receiver.url)
    queued(connection, "chat")
    assert Deliverer(connection, settings_of(route), route).deliver_once(NOW) == 1
    ((_, body),) = receiver.taken
    assert "stores" in json.loads(body)["text"]


def test_what_nobody_takes_for_a_day_is_given_up(connection: psycopg.Connection) -> None:
    port = ReservedPort()  # nobody listens there
    route = AlertRoute(name="gone", kind="webhook", url=f"http://127.0.0.1:{port.number}/")
    queued(connection, "gone")
    deliverer = Deliverer(connection, settings_of(route), route)
    deliverer.deliver_once(NOW)
    assert states(connection) == [("waiting", 1)]
    deliverer.deliver_once(NOW + timedelta(hours=25))
    port.release()
    assert states(connection) == [("failed", 2)]


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]/",
        "http://[fe80::1]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://0.0.0.0:80/",
        "http://2852039166/",
    ],
)
def test_no_hook_leads_to_the_secrets_of_a_cloud(connection: psycopg.Connection, url: str) -> None:
    route = AlertRoute(name="sly", kind="webhook", url=url)
    queued(connection, "sly")
    Deliverer(connection, settings_of(route), route).deliver_once(NOW)
    assert states(connection) == [("waiting", 1)]
    assert "refused" in scalar(connection, "SELECT last_error FROM alert_delivery")


def test_a_name_is_judged_by_every_address_it_has() -> None:
    def sly(_: str, __: int) -> list[str]:
        return ["127.0.0.1", "169.254.169.254"]

    with pytest.raises(hooks.RefusedAddressError, match="is refused"):
        hooks.post("http://nice.example/", b"{}", headers={}, timeout_s=1, resolver=sly)
    assert hooks.judged("nice.example", 80, ["169.254.0.0/16"], sly) == ["127.0.0.1", "169.254.169.254"]


def test_redirects_are_not_followed(connection: psycopg.Connection, receiver: Receiver) -> None:
    route = AlertRoute(name="hook", kind="webhook", url=receiver.url)
    queued(connection, "hook")
    receiver.answers = [(307, {"Location": "http://169.254.169.254/"})]
    Deliverer(connection, settings_of(route), route).deliver_once(NOW)
    assert len(receiver.taken) == 1
    assert "redirects to 169.254.169.254" in scalar(connection, "SELECT last_error FROM alert_delivery")


class Mailbox:
    """Takes mail, but for a recipient that it refuses."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, ___: Any) -> str:
        if address.startswith("nobody"):
            return "550 there is nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:
        self.mails.append((envelope.rcpt_tos, envelope.content.decode()))
        return "250 taken"


def test_mail_goes_to_each_recipient_by_itself(connection: psycopg.Connection) -> None:
    port = ReservedPort()
    port.release()
    box = Mailbox()
    server = Controller(box, hostname="127.0.0.1", port=port.number)
    server.start()
    try:
        smtp = Smtp(host="127.0.0.1", port=port.number, security="none", sender="hub@example.com")
        route = AlertRoute(name="books", kind="email", to=("ann@example.com", "nobody@example.com"))
        settings = settings_of(route, smtp=smtp)
        for recipient in route.to:
            queued(connection, "books", recipient, f"k-{recipient}")
        assert Deliverer(connection, settings, route).deliver_once(NOW) == 1
        assert states(connection) == [("sent", 1), ("waiting", 1)]
        assert "nobody of that name" in str(rows(connection, "SELECT last_error FROM alert_delivery"))
        ((to, content),) = box.mails
        assert to == ["ann@example.com"]
        assert "From: hub@example.com" in content
        send_test(settings_of(AlertRoute(name="one", kind="email", to=("ann@example.com",)), smtp=smtp), "one", "", NOW)
        assert len(box.mails) == 2
        with pytest.raises(TillwireError, match="there is no route 'other'"):
            send_test(settings, "other", "", NOW)
    finally:
        server.stop()


_ONCE = """
import sys
from datetime import datetime
import msgspec, psycopg
from tillwire.config import Settings
from tillwire.observability.delivering import Deliverer
settings = msgspec.json.decode(sys.argv[1], type=Settings)
with psycopg.connect(settings.database_url, autocommit=True) as connection:
    Deliverer(connection, settings, settings.alert_routes[0]).deliver_once(datetime.fromisoformat(sys.argv[2]))
"""


@pytest.mark.parametrize(("point", "heard"), [("alerts.before_send", 1), ("alerts.after_send", 2)])
def test_who_dies_in_the_middle_leaves_it_to_the_next(
    database_url: str, connection: psycopg.Connection, receiver: Receiver, point: str, heard: int
) -> None:
    import msgspec

    route = AlertRoute(name="hook", kind="webhook", url=receiver.url)
    settings = settings_of(route, url=database_url)
    queued(connection, "hook")

    def once(now: datetime, fault: str = "") -> int:
        words = [sys.executable, "-c", _ONCE, msgspec.json.encode(settings).decode(), now.isoformat()]
        return subprocess.run(words, env={**os.environ, "TILLWIRE_FAULT": fault}, check=False, timeout=60).returncode

    assert once(NOW, point) == -signal.SIGKILL
    assert states(connection) == [("waiting", 1)]
    assert once(NOW) == 0
    assert len(receiver.taken) == heard - 1, "somebody may still be at it"
    assert once(NOW + LATER) == 0
    assert states(connection) == [("sent", 2)]
    assert {headers["idempotency-key"] for headers, _ in receiver.taken} == {"k-1"}
    assert len(receiver.taken) == heard
