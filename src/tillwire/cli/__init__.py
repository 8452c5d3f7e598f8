"""The command line."""

from tillwire.cli.main import main

__all__ = ["main"]
