"""Keeps a shop's webhooks coming: subscriptions that vanished or lead elsewhere are made anew."""

from __future__ import annotations

from typing import Any

import structlog

from tillwire.connectors.shopify import queries
from tillwire.connectors.shopify.client import AdminClient
from tillwire.connectors.shopify.settings import ShopifySettings
from tillwire.errors import RejectedError

_log = structlog.get_logger(__name__)


def enum_of(topic: str) -> str:
    """A topic as GraphQL names it: orders/create is ORDERS_CREATE."""
    return topic.replace("/", "_").upper()


class Watchdog:
    """Looks at the app's subscriptions and mends them."""

    def __init__(self, settings: ShopifySettings, client: AdminClient) -> None:
        self.settings = settings
        self._client = client

    def look(self) -> list[str]:
        """Mend what is lost or wrong; returns the topics that were. Shopify drops a subscription whose receiver failed
        for long. What other subscriptions of the app are for is not ours to judge: they stay.
        """
        wanted = self.settings.callback_url
        if not wanted:
            return []
        listed = self._listed()
        mended = []
        for topic in self.settings.topics:
            own = [one for one in listed if one.get("topic") == enum_of(topic)]
            if any(one.get("uri") == wanted and one.get("format", "JSON") == "JSON" for one in own):
                continue
            # One of ours that leads elsewhere is redirected; creating a second would deliver everything twice.
            if own:
                self._redirect(str(own[0].get("id")), wanted)
            else:
                self._subscribe(topic, wanted)
            mended.append(topic)
        if mended:
            _log.warning("webhook subscriptions were lost or led elsewhere, and are mended", topics=mended)
        return mended

    def _listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = None
        while True:
            data = self._client.call("Subscriptions", queries.SUBSCRIPTIONS, {"first": 100, "after": after})
            page = data.get("webhookSubscriptions") or {}
            found += page.get("nodes") or []
            info = page.get("pageInfo") or {}
            if not info.get("hasNextPage"):
                return found
            after = info.get("endCursor")

    def _subscribe(self, topic: str, uri: str) -> None:
        variables = {"topic": enum_of(topic), "subscription": {"uri": uri, "format": "JSON"}}
        data = self._client.call("Subscribe", queries.SUBSCRIBE, variables)
        errors = (data.get("webhookSubscriptionCreate") or {}).get("userErrors") or []
        # A reply that was lost and tried again finds the subscription already there: that is what was wanted.
        if errors and not any("already been taken" in str(one.get("message")) for one in errors):
            raise RejectedError(f"the shop refused to subscribe to {topic}: {errors[0].get('message')}")

    def _redirect(self, subscription: str, uri: str) -> None:
        variables = {"id": subscription, "subscription": {"uri": uri, "format": "JSON"}}
        data = self._client.call("Redirect", queries.REDIRECT, variables)
        errors = (data.get("webhookSubscriptionUpdate") or {}).get("userErrors") or []
        if errors:
            raise RejectedError(f"the shop refused to redirect {subscription}: {errors[0].get('message')}")
