"""The operators' console: pages that the hub serves."""
