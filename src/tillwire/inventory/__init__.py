"""Inventory: append-only stock movements and the balance per store and item."""
