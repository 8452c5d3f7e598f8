"""Further Trytons for the tests: with the server-side module, several companies, goods and invoices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tryton_fixtures import CACHE, SETUP, Books
from tryton_places import CANADA, JAPAN

from tillwire.connectors.tryton import TrytonConnector
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.faults import FaultProxy
from tillwire.connectors.tryton.server import TrytonServer
from tillwire.connectors.tryton.setup import CompanySetup, ExchangeRate

MODULE = Path(__file__).resolve().parents[2] / "erp-modules" / "tryton-hub-reference"

GROUP = msgspec.structs.replace(
    SETUP,
    modules=("account", "stock"),
    more_companies=(CompanySetup(CANADA, "CAD"), CompanySetup(JAPAN, "JPY", 0)),
    rates=(
        ExchangeRate("USD", date(2017, 1, 1), Decimal(1)),
        ExchangeRate("CAD", date(2017, 1, 1), Decimal("1.3441")),
        ExchangeRate("CAD", date(2017, 7, 1), Decimal("1.2963")),
        ExchangeRate("JPY", date(2017, 1, 1), Decimal("116.87"), 0),
        ExchangeRate("EUR", date(2017, 3, 1), Decimal("0.9468")),
    ),
)


@pytest.fixture(scope="session")
def group(erp_postgres: str, engines_folder: Path) -> Iterator[TrytonServer]:
    """A Tryton with the server-side module, and three companies with three currencies."""
    server = TrytonServer(
        erp_postgres,
        setup=GROUP,
        work_dir=engines_folder / "group",
        cache_dir=CACHE,
        database="grp",
        extra_modules=[MODULE],
    )
    with server:
        yield server


@pytest.fixture(scope="session")
def _group_proxy(group: TrytonServer) -> Iterator[FaultProxy]:
    with FaultProxy(group.settings().url) as running:
        yield running


@pytest.fixture
def group_proxy(_group_proxy: FaultProxy) -> FaultProxy:
    """What stands between the group's Tryton and the connectors."""
    _group_proxy.reset()
    return _group_proxy


@pytest.fixture
def of_group(group: TrytonServer, group_proxy: FaultProxy) -> Iterator[Callable[..., TrytonConnector]]:
    """Makes connectors to the group's Tryton, through the proxy, with settings to taste."""
    made: list[TrytonConnector] = []

    def make(**changes: Any) -> TrytonConnector:
        made.append(TrytonConnector(msgspec.structs.replace(group.settings(), **({"url": group_proxy.url} | changes))))
        return made[-1]

    yield make
    for connector in made:
        connector.close()


@pytest.fixture(scope="session")
def group_books(group: TrytonServer) -> Iterator[Books]:
    """The books of the group's first company past the proxy, with every right."""
    client = TrytonClient(group.admin_settings())
    client.context = {"company": 1}
    yield Books(client)
    client.close()
