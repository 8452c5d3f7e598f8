"""Connectors: one folder per outside system, each with one registration."""
