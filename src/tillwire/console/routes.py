"""The console's routes, behind its own guard."""

from __future__ import annotations

from typing import Any

from litestar import Router
from litestar.exceptions import HTTPException

from tillwire.console import (
    account,
    assets,
    audit,
    causes,
    connectors,
    events,
    exceptions,
    live,
    master_data,
    overview,
    people,
    posting,
    proof,
    service_levels,
    sign_in,
    single_sign_on,
    stock,
    stores,
    transactions,
)
from tillwire.console.shell import on_http_exception, on_transient, on_unexpected, page_granted
from tillwire.errors import TransientError

PAGES: list[Any] = [
    overview.overview,
    *stores.ROUTES,
    *transactions.ROUTES,
    *causes.ROUTES,
    *exceptions.ROUTES,
    *posting.ROUTES,
    *proof.ROUTES,
    *service_levels.ROUTES,
    *stock.ROUTES,
    *master_data.ROUTES,
    *connectors.ROUTES,
    *events.ROUTES,
    *audit.ROUTES,
    *account.ROUTES,
    *people.ROUTES,
]


def router() -> list[Any]:
    """Pages, the files they need, and what tells them of changes."""
    handlers: Any = {HTTPException: on_http_exception, TransientError: on_transient, Exception: on_unexpected}
    pages = Router("/", guards=[page_granted], route_handlers=[*PAGES, live.live], exception_handlers=handlers)
    doors = Router("/", route_handlers=[*sign_in.ROUTES, *single_sign_on.ROUTES], exception_handlers=handlers)
    return [pages, doors, assets.served]
