"""One WooCommerce shop: reads its bodies, proves its webhooks, fetches what was missed."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

from tillwire.connectors.inbound import Deliver, Delivery, Record, Source
from tillwire.connectors.woocommerce.client import ShopClient
from tillwire.connectors.woocommerce.pulling import pull_orders, pull_products
from tillwire.connectors.woocommerce.reading import PING, records
from tillwire.connectors.woocommerce.settings import WooCommerceSettings
from tillwire.connectors.woocommerce.watchdog import see_to_webhooks
from tillwire.errors import AuthenticationError

_KEPT = ("x-wc-webhook-topic", "x-wc-webhook-source", "x-wc-webhook-id", "x-wc-webhook-delivery-id")


def signature(body: bytes, secret: str) -> str:
    """What WooCommerce sends as X-WC-Webhook-Signature: base64 of HMAC-SHA256 over the raw bytes."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


class WooCommerceConnector:
    """Pure in ``read`` and ``verify``; ``pull`` speaks with the shop."""

    def __init__(self, settings: WooCommerceSettings, *, transport: httpx2.BaseTransport | None = None) -> None:
        """``transport`` stands in for the network, for tests."""
        self.settings = settings
        self._transport = transport
        self._client: ShopClient | None = None
        self._secrets = tuple(secret for secret in (settings.webhook_secret, settings.old_webhook_secret) if secret)

    def read(self, source: Source) -> Iterator[Record]:
        """The records of a webhook's body, of a page of the REST API, or of a file of either. Raises
        ``MalformedError``."""
        return records(source, self.settings)

    def verify(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """The delivery, if one of the two secrets signed it. Raises ``AuthenticationError``.

        The ping that a new webhook sends is not signed. It is known by its form, and changes nothing.
        """
        told = headers.get("x-wc-webhook-signature", "").strip()
        if not told:
            ping = PING.fullmatch(body) if len(body) < 64 else None
            if ping:
                return Delivery(body=body, topic="ping", key="ping:" + ping.group(1).decode())
            raise AuthenticationError("the header X-WC-Webhook-Signature is missing")
        if not self._secrets:
            raise AuthenticationError("no webhook_secret is set, so that no signature can be checked")
        given = told.encode("utf-8", "replace")
        matching = [hmac.compare_digest(signature(body, secret).encode(), given) for secret in self._secrets]
        if not any(matching):
            raise AuthenticationError("the signature is not that of the webhook's secret over these bytes")
        return Delivery(
            body=body,
            topic=headers.get("x-wc-webhook-topic", ""),
            key=headers.get("x-wc-webhook-delivery-id", ""),
            headers={name: headers[name] for name in _KEPT if name in headers},
        )

    def pull(self, state: Mapping[str, Any], deliver: Deliver) -> float:
        """Orders with their refunds, then products, that changed since ``state``; then the webhooks are seen to.

        Returns the seconds until the next. Raises ``TransientError`` (``RateLimitedError``), ``AuthenticationError`` or
        ``ConfigurationError``; what was fetched until then is delivered with its state.
        """
        if self._client is None:
            self._client = ShopClient(self.settings, transport=self._transport)
        known: dict[str, Any] = dict(state)
        pull_orders(self._client, self.settings, known, deliver)
        if self.settings.pull_products:
            pull_products(self._client, self.settings, known, deliver)
        if self.settings.delivery_url:
            see_to_webhooks(self._client, self.settings)
        return float(self.settings.interval_s)

    def close(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            self._client.close()
            self._client = None
