"""A lean HTTP client for load: prepared requests over keep-alive connections, so that the client costs little."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

BATCH = "application/cloudevents-batch+json"
ONE = "application/cloudevents+json"


CSV = "text/csv"


def request(body: bytes, kind: str, path: str = "/v1/events") -> bytes:
    """One HTTP/1.1 request as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> Connection:
        address = urlsplit(url)
        return cls(*await asyncio.open_connection(address.hostname, address.port, limit=2**20))

    async def send(self, prepared: bytes) -> tuple[int, bytes]:
        """Send a prepared request; returns status and body."""
        self._writer.write(prepared)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        start = lower.index(b"content-length:") + 15
        length = int(lower[start : lower.index(b"\r\n", start)])
        return int(head[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


async def send_all(url: str, prepared: Iterator[bytes], *, connections: int) -> Counter[int]:
    """Send every request over so many connections at once; returns the statuses. Retries 503 after a moment."""
    statuses: Counter[int] = Counter()

    async def one() -> None:
        connection = await Connection.open(url)
        for message in prepared:
            while True:
                status, _ = await connection.send(message)
                statuses[status] += 1
                if status != 503:
                    break
                await asyncio.sleep(0.2)
        connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return statuses
