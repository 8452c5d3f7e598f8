"""A Tryton with invoices and analytic accounts for the tests, if its modules for them are installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tryton_fixtures import CACHE, SETUP, Books
from tryton_others import GROUP, MODULE

from tillwire.connectors.tryton import TrytonConnector
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.faults import FaultProxy
from tillwire.connectors.tryton.server import TrytonServer, erp_programs

INVOICING = msgspec.structs.replace(
    SETUP, modules=("account_invoice", "analytic_account"), years=(2017, 2018), rates=GROUP.rates
)


@pytest.fixture(scope="session")
def invoicing(erp_postgres: str, engines_folder: Path) -> Iterator[TrytonServer]:
    """A Tryton with the server-side module, invoices and analytic accounts."""
    there = {folder.name for folder in erp_programs().parent.glob("lib/python*/site-packages/trytond/modules/*")}
    if missing := set(INVOICING.modules) - there:
        pytest.skip(f"the Tryton environment lacks {sorted(missing)}: see requirements-erp.in")
    server = TrytonServer(
        erp_postgres,
        setup=INVOICING,
        work_dir=engines_folder / "invoicing",
        cache_dir=CACHE,
        database="invoicing",
        extra_modules=[MODULE],
    )
    with server:
        yield server


@pytest.fixture(scope="session")
def invoice_books(invoicing: TrytonServer) -> Iterator[Books]:
    """Its books with every right, with a walk-in customer and a receivable account."""
    client = TrytonClient(invoicing.admin_settings())
    client.context = {"company": 1}
    books = Books(client)
    address = [["create", [{"street": "Main Street 1"}]]]
    for code, name in (("WALKIN", "Walk-in customers"), ("C-77", "A known one")):
        books.call("model.party.party.create", [{"name": name, "code": code, "addresses": address}])
    (template,) = books.call("model.account.account.search", [["type.receivable", "=", True]], 0, 1, [["code", "ASC"]])
    (row,) = books.call("model.account.account.read", [template], ["type", "parent"])
    account = {"code": "1290", "name": "Walk-in receivable", "company": 1, "type": row["type"], "parent": row["parent"]}
    books.call("model.account.account.create", [account | {"party_required": True, "reconcile": True}])
    yield books
    client.close()


@pytest.fixture
def to_invoicing(invoicing: TrytonServer, invoice_books: Books) -> Iterator[Callable[..., TrytonConnector]]:
    """Makes connectors to it."""
    made: list[TrytonConnector] = []

    def make(**changes: Any) -> TrytonConnector:
        settings = msgspec.structs.replace(invoicing.settings(), **({"walk_in_party": "WALKIN"} | changes))
        made.append(TrytonConnector(settings))
        return made[-1]

    yield make
    for connector in made:
        connector.close()


@pytest.fixture
def invoice_proxy(invoicing: TrytonServer) -> Iterator[FaultProxy]:
    """What can stand before it."""
    with FaultProxy(invoicing.settings().url) as proxy:
        yield proxy
