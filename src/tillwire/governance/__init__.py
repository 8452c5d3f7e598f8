"""Governance: who may call."""
