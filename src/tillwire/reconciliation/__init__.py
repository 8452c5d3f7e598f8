"""Reconciliation: what the source says, what the hub recorded, what the ERP has; and the way of one sale."""
