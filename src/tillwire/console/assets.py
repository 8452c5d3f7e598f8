"""Files that pages need, each under the digest of its content: it may be kept for ever, and a new one is fetched."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from litestar import Response, get
from litestar.exceptions import NotFoundException

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
NAMES = ("console.css", "console.js", "icon.svg")


@cache
def _content(name: str) -> bytes:
    return files("tillwire.console").joinpath("static", name).read_bytes()


@cache
def address(name: str) -> str:
    """Where a page finds one of these files."""
    return f"/static/{hashlib.sha256(_content(name)).hexdigest()[:16]}/{name}"


@get("/static/{digest:str}/{name:str}", include_in_schema=False, sync_to_thread=False)
def served(digest: str, name: str) -> Response[Any]:
    """One of the files; of another digest than today's, too, as a page may be older than the hub."""
    if name not in NAMES:
        raise NotFoundException("there is no such file")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(_content(name), media_type=_TYPES[name.rpartition(".")[2]], headers=headers)
