"""How a store sends: batches over HTTP on kept connections, the same bytes again until they are answered."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import httpx2
import msgspec

from tillwire import clock
from tillwire.demo.wire import batch_bytes
from tillwire.errors import TillwireError

_BATCH = {"Content-Type": "application/cloudevents-batch+json"}
_ONE = {"Content-Type": "application/cloudevents+json"}
_FIRST_WAIT_S, _MOST_WAIT_S = 0.1, 5.0


class SendingError(TillwireError):
    """The hub did not answer as it should: what it said is in the message."""


class Answer(msgspec.Struct, frozen=True):
    """What became of a batch, and how often it had to be sent until it was answered."""

    accepted: int
    duplicate: int
    conflict: int
    rejected: int
    attempts: int = 1


class Sender:
    """Sends events to a hub. ``patience_s`` is how long one request may go unanswered, over all its attempts."""

    def __init__(
        self,
        url: str,
        *,
        connections: int = 24,
        patience_s: float = 120.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._client = httpx2.AsyncClient(
            base_url=url,
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
            timeout=httpx2.Timeout(30.0, pool=None),
            trust_env=False,
            transport=transport,
        )
        self._patience_s = patience_s
        self.repeated = 0
        """Requests that were sent again because the hub was busy, away, or hung up on us."""

    async def batch(self, events: list[bytes]) -> Answer:
        """Send events as one batch. Raises ``SendingError`` if the hub refuses it or does not answer for too long."""
        reply, attempts = await self._post(batch_bytes(events), _BATCH)
        if reply.status_code not in (202, 207):
            raise SendingError(f"the hub answered {reply.status_code} to a batch: {reply.text[:500]}")
        return msgspec.structs.replace(msgspec.json.decode(reply.content, type=Answer), attempts=attempts)

    async def one(self, event: bytes) -> int:
        """Send one event by itself; returns the HTTP status."""
        reply, _ = await self._post(event, _ONE)
        return reply.status_code

    async def _post(self, body: bytes, headers: dict[str, str]) -> tuple[httpx2.Response, int]:
        give_up_at = clock.monotonic_s() + self._patience_s
        wait_s, attempts = _FIRST_WAIT_S, 0
        while True:
            attempts += 1
            try:
                reply = await self._client.post("/v1/events", content=body, headers=headers)
                if reply.status_code != 503:
                    return reply, attempts
                trouble = f"answered 503: {reply.text[:200]}"
                wait_s = float(reply.headers.get("retry-after", wait_s))
            except httpx2.TransportError as error:
                trouble = f"{type(error).__name__}: {error}"
            if clock.monotonic_s() + wait_s > give_up_at:
                raise SendingError(f"the hub did not take a request within {self._patience_s:g} s; last it {trouble}")
            self.repeated += 1
            await asyncio.sleep(wait_s)
            wait_s = min(_MOST_WAIT_S, 2 * wait_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()
