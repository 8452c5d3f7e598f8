"""What stands around the application: the headers of every answer, and the names that an open hub answers to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tillwire.http.outer import STRICT, USUAL, OwnMachine, WithHeaders, headers_of, host_of

Message = dict[str, Any]


async def _answers(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"Content-Type", b"text/plain"), (b"Cache-Control", b"public")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"told"})


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def asked(application: Any, host: str | None, kind: str = "http") -> list[Message]:
    told: list[Message] = []

    async def send(message: Message) -> None:
        told.append(message)

    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    asyncio.run(application({"type": kind, "path": "/", "method": "GET", "headers": headers}, _nothing, send))
    return told


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost:8400", "localhost"),
        ("LocalHost", "localhost"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]:8400", "::1"),
        ("[::1", "::1"),
        ("evil.example", "evil.example"),
        ("", ""),
    ],
)
def test_a_host_is_its_name_without_a_port(host: str, name: str) -> None:
    assert host_of([(b"accept", b"*/*"), (b"host", host.encode())]) == name


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (None, 200),
        ("localhost:8400", 200),
        ("127.0.0.1:8400", 200),
        ("[::1]:8400", 200),
        ("hub.example.com", 200),
        ("evil.example:8400", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("evil.example@127.0.0.1", 421),
        ("0.0.0.0", 421),
        ("hub.example.com.evil.example", 421),
        ("\xff", 421),
    ],
)
def test_an_open_hub_answers_to_names_of_its_own_machine_alone(host: str | None, status: int) -> None:
    start, body = asked(OwnMachine(_answers, "hub.example.com"), host)
    assert start["status"] == status
    assert (b"told" in body["body"]) == (status == 200)


def test_nothing_but_requests_is_looked_at() -> None:
    assert asked(OwnMachine(_answers, ""), "evil.example", kind="lifespan")[0]["status"] == 200
    assert asked(WithHeaders(_answers, USUAL), None, kind="lifespan")[0]["headers"][-1] == (b"Cache-Control", b"public")


def test_every_answer_has_the_usual_headers_and_keeps_its_own() -> None:
    start, _ = asked(WithHeaders(_answers, headers_of("https://hub.example.com")), None)
    names = [name.lower() for name, _ in start["headers"]]
    assert sorted(names) == sorted({*names, *(name for name, _ in USUAL), STRICT[0]})
    assert (b"Cache-Control", b"public") in start["headers"]


def test_only_a_hub_behind_https_asks_for_it_always() -> None:
    assert STRICT in headers_of("https://hub.example.com")
    assert STRICT not in headers_of("http://hub.example.com")
    assert STRICT not in headers_of("")
