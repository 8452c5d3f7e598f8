"""Hostile input: no 500, no harm to those who come after, and no memory that stays taken."""

from __future__ import annotations

import contextlib
import gzip
import socket
from collections.abc import Iterator

import pytest
from builders import batch, changed, line, raw, sale
from driving import until
from fixture_types import NewDatabase
from serving import BATCH, ONE, Api, serving

MEGABYTE = 2**20
LIMIT_MB = 96.0
"""How much a process may grow by all of this: several bodies of 10 MiB are in memory at a time."""


@pytest.fixture(scope="module")
def api(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API with the limits it has by default."""
    with new_database() as url, serving(url, tmp_path_factory.mktemp("hostile")) as one:
        yield one


def lines_of(count: int, text: bytes) -> bytes:
    """A sale with so many lines."""
    return raw(changed(sale(1), lines=["@"])).replace(b'"@"', b",".join([text] * count))


def with_total(value: str) -> bytes:
    return raw(changed(sale(1), total="@")).replace(b'"@"', value.encode())


FULL_LINE = raw(line())
DEEP = 100_000

HOSTILE: dict[str, tuple[bytes, str]] = {
    "a million lines": (lines_of(1_000_000, b"{}"), ONE),
    "a million full lines": (lines_of(1_000_000, FULL_LINE)[: 9 * MEGABYTE], ONE),
    "a million full lines, whole": (lines_of(1_000_000, FULL_LINE), ONE),
    "lines up to the limit of a body": (lines_of(150_000, FULL_LINE), ONE),
    "more lines than a sale has": (lines_of(20_001, FULL_LINE), ONE),
    "a million events": (batch([b"0"] * 1_000_000), BATCH),
    "a thousand bad events": (batch([with_total('"NaN"')] * 1000), BATCH),
    "deep arrays": (b"[" * DEEP + b"]" * DEEP, ONE),
    "deep arrays, open": (b"[" * 5_000_000, BATCH),
    "deep objects": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, ONE),
    "deep extension": (raw(sale(1) | {"x": "@"}).replace(b'"@"', b"[" * DEEP + b"]" * DEEP), ONE),
    "deep lines": (raw(changed(sale(1), lines="@")).replace(b'"@"', b"[" * DEEP + b"]" * DEEP), ONE),
    "a little too deep": (raw(sale(1) | {"x": "@"}).replace(b'"@"', b"[" * 65 + b"]" * 65), ONE),
    "many texts, some brackets": (
        raw(sale(1) | {"x": "@"}).replace(b'"@"', b"[" * 65 + b"]" * 64 + b',"ab"' * 1_900_000 + b"]"),
        ONE,
    ),
    "many texts of brackets": (
        raw(sale(1) | {"x": "@"}).replace(b'"@"', b"[" * 65 + b"]" * 64 + b',["["]' * 1_500_000 + b"]"),
        ONE,
    ),
    "deep batch": (batch([b"[" * DEEP + b"]" * DEEP]), BATCH),
    "a huge integer": (with_total("9" * 5_000_000), ONE),
    "a huge integer as text": (with_total('"' + "9" * 5_000_000 + '"'), ONE),
    "a huge exponent": (with_total("1e999999999"), ONE),
    "a huge exponent as text": (with_total('"1e999999999999999999"'), ONE),
    "a tiny number": (with_total('"1e-999999999"'), ONE),
    "a huge sequence": (raw(changed(sale(1), sequence="@")).replace(b'"@"', b"9" * 1_000_000), ONE),
    "NaN": (with_total("NaN"), ONE),
    "sNaN": (with_total('"sNaN123"'), ONE),
    "a long text": (raw(changed(sale(1), operator="x" * 5_000_000)), ONE),
    "a long key": (raw(changed(sale(1), store="x" * 5_000_000)), ONE),
    "a long type": (raw({**sale(1), "type": "x" * 5_000_000}), ONE),
    "one key many times": (b'{"id":"1"' + b',"id":"1"' * 500_000 + b"}", ONE),
    "escapes": (raw(changed(sale(1), operator="@")).replace(b"@", b"\\ud83d\\ude00" * 300_000), ONE),
    "lone surrogates": (raw(changed(sale(1), operator="@")).replace(b"@", b"\\udc00"), ONE),
    "nothing but nulls": (b"\x00" * MEGABYTE, ONE),
    "nothing but spaces": (b" " * 9 * MEGABYTE, BATCH),
    "not UTF-8": (b"\xff" * MEGABYTE, ONE),
    "half a character": (raw(sale(1, operator="レ"))[:-10] + b"\xe3\x83", ONE),
    "UTF-16": (raw(sale(1)).decode().encode("utf-16"), ONE),
    "UTF-32": (raw(sale(1)).decode().encode("utf-32"), ONE),
    "EBCDIC": (raw(sale(1)).decode().encode("cp500"), ONE),
    "truncated": (raw(sale(1))[:-1], ONE),
    "truncated batch": (batch([sale(1), sale(2)])[:-2], BATCH),
    "XML": (b"<?xml version='1.0'?><POSLog/>", ONE),
    "gzip that nobody announced": (gzip.compress(raw(sale(1))), ONE),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_get_a_plain_refusal(api: Api, name: str) -> None:
    content, kind = HOSTILE[name]
    answer = api.post(content, kind)
    assert answer.status_code in (207, 400, 413, 422), answer.text[:300]
    if answer.status_code == 207:
        assert answer.json()["accepted"] == 0
    assert len(answer.content) < 300 * 1000, "what was sent is sent back"
    assert api.http.get("/healthz").status_code == 200


def test_a_compressed_bomb_is_not_opened(api: Api) -> None:
    bomb = gzip.compress(b" " * 200 * MEGABYTE)
    before = api.rss_mb()
    for encoding in ("gzip", "GZIP", "deflate", "br", "zstd", "gzip, gzip"):
        assert api.post(bomb, ONE, **{"Content-Encoding": encoding}).status_code == 415
    assert api.rss_mb() - before < LIMIT_MB / 2


def raw_request(api: Api, content: bytes) -> bytes:
    """The first bytes of the answer to bytes that may be no HTTP at all; nothing if the connection was ended."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=30) as connection, contextlib.suppress(OSError):
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(65536)
    return b""


HEAD = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/cloudevents+json\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        HEAD + b"Content-Length: 1000\r\n\r\n" + raw(sale(1))[:100],
        HEAD + b"Content-Length: 99999999999999999999\r\n\r\n{}",
        HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
        HEAD + b"Content-Length: -1\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n{",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        HEAD + b"X: " + b"y" * 2_000_000 + b"\r\n\r\n",
        HEAD + b"\xff\xfe: \x00\r\n\r\n",
        b"POST /v1/events\r\n\r\n",
        b"GET /v1/trace/%00%ff%ed%a0%80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /v1/exceptions?code=%ff&after=%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /v1/reconciliation?store=%00&from=9999-99-99 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /v1/reconciliation?store=%ed%a0%80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /v1/schemas/..%2f..%2fetc HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
        b"\x00" * 100_000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_bytes_that_are_hardly_http_harm_nobody(api: Api, request_bytes: bytes) -> None:
    answer = raw_request(api, request_bytes)
    if answer.startswith(b"HTTP/"):
        status = int(answer.split(b" ", 2)[1])
        assert 200 <= status < 500, answer[:300]
    assert api.http.get("/healthz").status_code == 200


def test_bodies_that_never_come_do_not_fill_the_memory(api: Api) -> None:
    """Ten megabytes each are promised on a hundred connections: beyond the limit they are told to come again, while
    what is small still gets in.
    """
    promise = HEAD + b"Content-Length: 10000000\r\n\r\n{"
    with contextlib.ExitStack() as opened:
        connections = []
        for _ in range(100):
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", api.port), timeout=30))
            connection.sendall(promise)
            connections.append(connection)
        refused = connections[-1].recv(65536)
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in refused
        assert api.post(raw(sale(4712))).status_code == 202
    whole = b"[" + b" " * 9_999_998 + b"]"
    assert until(lambda: api.post(whole, BATCH).status_code == 202)


def test_memory_does_not_grow_with_hostile_input(api: Api) -> None:
    bodies = [body for body in HOSTILE.values() if len(body[0]) < 11 * MEGABYTE]

    def one_round() -> float:
        for content, kind in bodies:
            api.post(content, kind)
        return api.rss_mb()

    start = api.rss_mb()
    first = one_round()
    later = [one_round() for _ in range(3)]
    assert min(later) - first < LIMIT_MB / 3, (start, first, later)
    assert max(later) < start + LIMIT_MB + 200, (start, first, later)
    good = api.post(raw(sale(4711)))
    assert good.status_code == 202
