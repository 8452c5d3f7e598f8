"""Sees to it that the shop's webhooks live: WooCommerce disables one after five failed deliveries, and plugins, moves
and people delete them. What was missed meanwhile is fetched by pull."""

from __future__ import annotations

from typing import Any

import structlog

from tillwire.connectors.payload import members, parsed
from tillwire.connectors.woocommerce.client import ShopClient
from tillwire.connectors.woocommerce.settings import WooCommerceSettings
from tillwire.errors import ConfigurationError, TransientError

_log = structlog.get_logger(__name__)


def see_to_webhooks(client: ShopClient, settings: WooCommerceSettings) -> list[str]:
    """Re-enable the disabled webhooks of ours and make the missing ones; what was done is returned and logged.

    One that is ``paused`` was paused by a person, and stays so. Raises what the client raises.
    """
    if not settings.webhook_secret:
        raise ConfigurationError("delivery_url is set, but no webhook_secret to sign the webhooks with")
    done: list[str] = []
    ours = [hook for hook in _webhooks(client) if hook.get("delivery_url") == settings.delivery_url]
    for topic in settings.webhook_topics:
        found = [hook for hook in ours if hook.get("topic") == topic]
        if not found:
            body = {
                "name": f"Tillwire {topic}",
                "topic": topic,
                "delivery_url": settings.delivery_url,
                "secret": settings.webhook_secret,
                "status": "active",
            }
            client.send("POST", "webhooks", body)
            done.append(f"created {topic}")
        elif all(hook.get("status") == "disabled" for hook in found):
            # With the secret: one that was changed by hand would fail again at once.
            body = {"status": "active", "secret": settings.webhook_secret}
            client.send("PUT", f"webhooks/{int(found[0]['id'])}", body)
            done.append(f"enabled {topic}")
    for what in done:
        _log.warning("webhook mended", what=what, delivery_url=settings.delivery_url)
    return done


def _webhooks(client: ShopClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page, more = 1, True
    while more:
        reply = client.get("webhooks", {"per_page": 100}, page)
        elements = members(reply.body, "webhooks")
        if not isinstance(elements, list):
            raise TransientError("webhooks: the shop answered with no list")
        hooks = [parsed(raw, "webhooks") for raw in elements]
        found += [hook for hook in hooks if isinstance(hook, dict)]
        more, page = reply.more, page + 1
    return found
