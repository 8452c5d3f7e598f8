"""Tillwire: a self-hosted retail integration hub."""

__version__ = "0.1.0"
