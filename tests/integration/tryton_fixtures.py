"""A real Tryton for the tests: one per pytest-xdist worker, its database cached in the project's ``.cache/erp``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tillwire.connectors.tryton import TrytonConnector
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.faults import FaultProxy
from tillwire.connectors.tryton.server import TrytonServer
from tillwire.connectors.tryton.setup import ChartAccount, ErpSetup
from tillwire.engines.postgres import EmbeddedPostgres
from tillwire.model.ledger import Journal

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "erp"

SETUP = ErpSetup(
    years=(2017,),
    accounts=(
        ChartAccount("1190", "Cash clearing", "asset"),
        ChartAccount("2190", "Sales tax 8.25 %", "liability"),
        ChartAccount("4190", "Grocery sales", "revenue"),
        ChartAccount("5190", "Discounts", "expense"),
    ),
)


@pytest.fixture(scope="session")
def erp_postgres(postgres: EmbeddedPostgres) -> str:
    """The PostgreSQL that holds the ERP's database, as a libpq URI."""
    return postgres.url("postgres")


@pytest.fixture(scope="session")
def erp(erp_postgres: str, engines_folder: Path) -> Iterator[TrytonServer]:
    """A running Tryton with a company, the accounts of ``SETUP`` and the year 2017."""
    with TrytonServer(erp_postgres, setup=SETUP, work_dir=engines_folder / "erp", cache_dir=CACHE) as server:
        yield server


@pytest.fixture(scope="session")
def _proxy(erp: TrytonServer) -> Iterator[FaultProxy]:
    with FaultProxy(erp.settings().url) as running:
        yield running


@pytest.fixture(scope="session")
def _connector(erp: TrytonServer, _proxy: FaultProxy) -> Iterator[TrytonConnector]:
    # Shared, as it keeps nothing of a test and a log-in takes the ERP a fifth of a second.
    made = TrytonConnector(msgspec.structs.replace(erp.settings(), url=_proxy.url))
    yield made
    made.close()


@pytest.fixture
def proxy(_proxy: FaultProxy) -> FaultProxy:
    """What stands between the connector and the ERP; until it is told otherwise it only counts."""
    _proxy.reset()
    return _proxy


@pytest.fixture
def connector(_connector: TrytonConnector, proxy: FaultProxy) -> TrytonConnector:
    """A connector through the proxy."""
    return _connector


@pytest.fixture
def connect(erp: TrytonServer, proxy: FaultProxy) -> Iterator[Callable[..., TrytonConnector]]:
    """Makes connectors of their own, through the proxy unless told otherwise, with settings to taste."""
    made: list[TrytonConnector] = []

    def make(**changes: Any) -> TrytonConnector:
        settings = msgspec.structs.replace(erp.settings(), **({"url": proxy.url} | changes))
        made.append(TrytonConnector(settings))
        return made[-1]

    yield make
    for connector in made:
        connector.close()


@pytest.fixture(scope="session")
def books(erp: TrytonServer) -> Iterator[Books]:
    """The same books past the proxy, with every right."""
    client = TrytonClient(erp.admin_settings())
    client.context = {"company": 1}
    yield Books(client)
    client.close()


class Books:
    """The ERP's books as an accountant sees and changes them."""

    def __init__(self, client: TrytonClient) -> None:
        self.call = client.call
        self.client = client

    def moves(self, journal: Journal) -> list[dict[str, Any]]:
        """All moves under the journal's reference."""
        domain = [["description", "=", journal.reference]]
        fields = ["state", "number"]
        return list(self.call("model.account.move.search_read", domain, 0, None, [["id", "ASC"]], fields))

    def states(self, journal: Journal) -> list[str]:
        """The states of all moves under the journal's reference."""
        return [move["state"] for move in self.moves(journal)]

    def period(self, name: str) -> int:
        """The number of a period by its name, such as 2017-06."""
        (found,) = self.call("model.account.period.search", [["name", "=", name]], 0, None, None)
        return int(found)
