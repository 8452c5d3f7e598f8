"""Named SQL: ``.sql`` files beside the capability that owns the tables, each query under a ``-- name:`` line."""

from __future__ import annotations

import re
from importlib.resources import files
from types import SimpleNamespace

_NAME = re.compile(r"^-- name: *([a-z_][a-z0-9_]*) *$", re.MULTILINE)


def load(package: str, filename: str) -> SimpleNamespace:
    """The queries of ``filename`` in ``package`` as attributes (text). Raises ``ValueError`` if two share a name."""
    text = files(package).joinpath(filename).read_text("utf-8")
    pieces = _NAME.split(text)
    queries: dict[str, str] = {}
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        if name in queries:
            raise ValueError(f"{package}/{filename}: two queries are named {name}")
        queries[name] = body.strip()
    return SimpleNamespace(**queries)
