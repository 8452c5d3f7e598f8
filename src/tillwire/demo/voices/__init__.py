"""Stores and shops of the demo that speak other languages than the hub's own: POSLog, CSV, Shopify, WooCommerce."""
