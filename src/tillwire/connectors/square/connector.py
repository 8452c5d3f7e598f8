"""One Square seller: reads bodies, proves webhooks, fetches orders, payments and refunds."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import msgspec

from tillwire.connectors.inbound import Deliver, Delivery, Record, Source
from tillwire.connectors.square.client import SquareClient
from tillwire.connectors.square.pulling import pull_all
from tillwire.connectors.square.reading import records
from tillwire.connectors.square.settings import SquareSettings
from tillwire.errors import AuthenticationError


class _Head(msgspec.Struct):
    event_id: str = ""
    type: str = ""


_HEAD = msgspec.json.Decoder(_Head)


def signature(url: str, body: bytes, key: str) -> str:
    """What Square sends as x-square-hmacsha256-signature: base64 of HMAC-SHA256 over the notification URL and the raw
    bytes of the body."""
    return base64.b64encode(hmac.new(key.encode(), url.encode() + body, hashlib.sha256).digest()).decode()


class SquareConnector:
    """Pure in ``read`` and ``verify``; ``pull`` speaks with Square."""

    def __init__(self, settings: SquareSettings, *, transport: httpx2.BaseTransport | None = None) -> None:
        """``transport`` stands in for the network, for tests."""
        self.settings = settings
        self._transport = transport
        self._client: SquareClient | None = None
        self._keys = tuple(key for key in (settings.signature_key, settings.old_signature_key) if key)

    def read(self, source: Source) -> Iterator[Record]:
        """The records of a webhook event, of an API answer, or of a file of either. Raises ``MalformedError``."""
        return records(source, self.settings)

    def verify(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """The delivery, if one of the two keys signed it. Raises ``AuthenticationError``."""
        given = headers.get("x-square-hmacsha256-signature", "").strip().encode("utf-8", "replace")
        if not given:
            raise AuthenticationError("the header x-square-hmacsha256-signature is missing")
        if not self._keys or not self.settings.notification_url:
            raise AuthenticationError("signature_key and notification_url are needed to check signatures")
        url = self.settings.notification_url
        matching = [hmac.compare_digest(signature(url, body, key).encode(), given) for key in self._keys]
        if not any(matching):
            raise AuthenticationError("the signature is not that of the key over the notification URL and these bytes")
        try:
            head = _HEAD.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            head = _Head()  # signed, so it is stored; reading it says what is wrong
        return Delivery(body=body, topic=head.type[:200], key=head.event_id[:200])

    def pull(self, state: Mapping[str, Any], deliver: Deliver) -> float:
        """Orders, payments and refunds that changed since ``state``. Returns the seconds until the next.

        Raises ``TransientError`` (``RateLimitedError``), ``AuthenticationError`` or ``ConfigurationError``; what was
        fetched until then is delivered with its state.
        """
        if self._client is None:
            self._client = SquareClient(self.settings, transport=self._transport)
        pull_all(self._client, self.settings, dict(state), deliver)
        return float(self.settings.interval_s)

    def close(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            self._client.close()
            self._client = None
