"""The Shopify connector: reads payloads, proves webhooks, and pulls."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from typing import Any

from tillwire.connectors.inbound import Claim, Deliver, Delivery, Outgoing, Record, Source, Trouble
from tillwire.connectors.shopify.fields import Drift
from tillwire.connectors.shopify.goods import read_fulfilment, read_level, read_product
from tillwire.connectors.shopify.graphql_shape import is_graphql, rest_shaped
from tillwire.connectors.shopify.orders import read_order
from tillwire.connectors.shopify.payload import Part, decoded, parts_of, slices, slurp
from tillwire.connectors.shopify.pull import Puller
from tillwire.connectors.shopify.refunds import read_refund
from tillwire.connectors.shopify.settings import ShopifySettings
from tillwire.errors import AuthenticationError

_KEPT = ("topic", "shop-domain", "triggered-at", "api-version", "event-id", "webhook-id")
CONNECTION_LOST = "connection_lost"


class ShopifyConnector:
    """One shop."""

    def __init__(self, settings: ShopifySettings) -> None:
        self.settings = settings
        self._secrets = [secret.encode() for secret in (settings.secret, settings.previous_secret) if secret]
        self._shop = settings.shop.casefold()
        self._puller: Puller | None = None

    def verify(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """The delivery, if it is signed with one of the two secrets and comes from the configured shop.

        Its key is the event's id with the topic and the body's digest: one action in the shop gives several webhooks
        the same event id, and only what says the same again is a repetition. Raises ``AuthenticationError``.
        """
        if not self._secrets or not self._shop:
            raise AuthenticationError("webhooks need the settings shop and secret")
        signature = headers.get("x-shopify-hmac-sha256", "").strip().encode("ascii", "replace")
        right = False
        for secret in self._secrets:
            expected = base64.b64encode(hmac.digest(secret, body, "sha256"))
            right |= hmac.compare_digest(expected, signature)
        if not right:
            raise AuthenticationError("the webhook's signature (X-Shopify-Hmac-Sha256) is missing or wrong")
        shop = headers.get("x-shopify-shop-domain", "").strip().casefold()
        if shop != self._shop:
            raise AuthenticationError(f"the webhook is of the shop {shop[:80]!r}, not of {self._shop!r}")
        topic = headers.get("x-shopify-topic", "").strip().casefold()
        event_id = headers.get("x-shopify-event-id") or headers.get("x-shopify-webhook-id") or ""
        key = f"{event_id}:{topic}:{hashlib.blake2b(body, digest_size=12).hexdigest()}" if event_id else ""
        kept = {f"x-shopify-{name}": headers[f"x-shopify-{name}"] for name in _KEPT if f"x-shopify-{name}" in headers}
        return Delivery(body=body, topic=topic, key=key, headers=kept)

    def read(self, source: Source) -> Iterator[Record]:
        """A record per object of the payload. Raises ``MalformedError`` for what is not JSON."""
        body = slurp(source.stream)
        document = decoded(body)
        if source.topic.strip().casefold() == "app/uninstalled":
            yield self._uninstalled(body)
            return
        parts = list(parts_of(document, source.topic))
        for part, raw in zip(parts, slices(body, parts), strict=True):
            yield self._record(part, raw, whole=source.topic.strip().casefold().startswith("orders/"))

    def pull(self, state: Mapping[str, Any], deliver: Deliver) -> float:
        """Fetch what changed, and see to the subscriptions; see ``Puller``."""
        if self._puller is None:
            self._puller = Puller(self.settings)
        return self._puller.pull(state, deliver)

    def close(self) -> None:
        """Let go of connections."""
        if self._puller is not None:
            self._puller.close()
            self._puller = None

    def _uninstalled(self, body: bytes) -> Record:
        shop = self.settings.shop or "the shop"
        message = f"the app was uninstalled from {shop}: no webhook and no answer comes until it is installed again"
        return Record(place="app/uninstalled", raw=body, troubles=(Trouble(code=CONNECTION_LOST, message=message),))

    def _record(self, part: Part, raw: bytes, *, whole: bool) -> Record:
        part = part._replace(place=part.place or _named(part))
        if part.fault:
            return Record(place=part.place, raw=raw, troubles=(Trouble(code="schema_drift", message=part.fault),))
        if not part.kind:
            return Record(place=part.place, raw=raw, ignored=part.reason)
        try:
            events, claims, ignored = self._mapped(part, whole=whole)
        except Drift as drift:
            pointer = drift.pointer or "/"
            trouble = Trouble(code=drift.code, message=f"{pointer}: {drift.reason}"[:1000], pointer=pointer[:300])
            return Record(place=part.place, raw=raw, troubles=(trouble,))
        reason = "" if events else ignored or f"the {part.kind} holds nothing to record"
        note = f"no sale: {ignored}" if events and ignored and part.kind == "order" else ""
        return Record(place=part.place, raw=raw, events=events, claims=claims, ignored=reason, note=note)

    def _mapped(self, part: Part, *, whole: bool) -> tuple[tuple[Outgoing, ...], tuple[Claim, ...], str]:
        node = rest_shaped(part.node) if is_graphql(part.node) else part.node
        settings = self.settings
        match part.kind:
            case "order":
                return read_order(node, settings, "", whole=whole)
            case "refund":
                result = read_refund(node, settings, "")
                events = (result.outgoing,) if result.outgoing is not None else ()
                return events, (result.claim,) if result.claim is not None else (), result.ignored
            case "product":
                products = read_product(node, settings, "")
                return products, (), "" if products else "a product without variants sells nothing"
            case "inventory_level":
                level = read_level(node, settings, "")
                counted = (level,) if level is not None else ()
                return counted, (), "" if counted else "the shop does not keep count of the item"
            case _:
                return (read_fulfilment(node, settings, ""),), (), ""


def _named(part: Part) -> str:
    """What a payload of one object is, for a person."""
    own = part.node.get("id") if isinstance(part.node, dict) else None
    return f"{part.kind} {str(own)[:60]}" if part.kind and own is not None else part.kind or "the payload"
