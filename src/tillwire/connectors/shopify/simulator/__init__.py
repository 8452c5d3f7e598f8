"""A simulated Shopify shop for tests and the demo; needs the package graphql-core."""

from __future__ import annotations

from tillwire.connectors.shopify.simulator.server import ANSWER_FAULTS, Faults, Hook, ShopifySimulator

__all__ = ["ANSWER_FAULTS", "Faults", "Hook", "ShopifySimulator"]
