"""Types of fixtures, for tests to name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

NewDatabase = Callable[[], AbstractContextManager[str]]
"""Makes one more migrated database, for the time of a ``with``; gives its URL."""
