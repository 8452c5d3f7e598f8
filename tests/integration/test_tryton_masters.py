"""Master data as a real Tryton has it, pulled into a hub: read only, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from driving import record, rows, scalar

from tillwire.cli import masterdata
from tillwire.config import Erp, Settings
from tillwire.connectors.tryton import TrytonConnector
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.server import TrytonServer
from tillwire.model.master import AccountRecord, DatedRate, PeriodRecord, ProductRecord, TaxCodeRecord

pytestmark = pytest.mark.erp
pytest_plugins = ("tryton_fixtures",)


@pytest.fixture(scope="module")
def shop(erp_postgres: str, engines_folder: Path) -> Iterator[TrytonServer]:
    """A Tryton with products beside its books."""
    from tryton_fixtures import CACHE, SETUP

    setup = msgspec.structs.replace(SETUP, modules=("account", "stock"))
    server = TrytonServer(erp_postgres, setup=setup, work_dir=engines_folder / "shop", cache_dir=CACHE, database="shop")
    with server:
        yield server


@pytest.fixture(scope="module")
def admin(shop: TrytonServer) -> Iterator[TrytonClient]:
    """The administrator, who fills the catalogue."""
    client = TrytonClient(shop.admin_settings())
    client.context = {"company": 1}
    group = client.call("model.ir.model.data.get_id", "product", "group_product_admin")
    client.call("model.res.user.write", [client.user_id], {"groups": [["add", [group]]]})
    yield client
    client.close()


@pytest.fixture(scope="module")
def catalogue(admin: TrytonClient) -> dict[str, int]:
    """A category, a product with a GTIN, one without a code; a tax whose rate has changed."""
    (category,) = admin.call("model.product.category.create", [{"name": "Dairy"}])
    (unit,) = admin.call("model.product.uom.search", [["name", "=", "Unit"]], 0, 1, None)
    (milk,) = admin.call(
        "model.product.template.create",
        [
            {
                "name": "Milk 1 l",
                "default_uom": unit,
                "type": "goods",
                "categories": [["add", [category]]],
                "products": [
                    ["create", [{"suffix_code": "MILK", "identifiers": [["create", [{"type": "ean", "code": "4006381333931"}]]]}]]
                ],
            }
        ],
    )  # fmt: skip
    admin.call(
        "model.product.template.create",
        [{"name": "Nameless", "default_uom": unit, "type": "goods", "products": [["create", [{}]]]}],
    )
    account = admin.call("model.account.account.search", [["code", "=", "2190"]], 0, 1, None)[0]
    tax = {"description": "Sales tax", "name": "SALES", "type": "percentage", "company": 1,
           "invoice_account": account, "credit_note_account": account}  # fmt: skip
    admin.call(
        "model.account.tax.create",
        [
            {**tax, "rate": Decimal("0.08"), "end_date": date(2017, 6, 30)},
            {**tax, "rate": Decimal("0.0825"), "start_date": date(2017, 7, 1)},
        ],
    )
    return {"milk": milk}


@pytest.fixture
def connector(shop: TrytonServer) -> Iterator[TrytonConnector]:
    """The hub's own user, past no proxy."""
    made = TrytonConnector(shop.settings())
    yield made
    made.close()


def test_records_of_every_kind_are_as_the_erp_has_them(connector: TrytonConnector, catalogue: dict[str, int]) -> None:
    company = connector.settings.company
    accounts = {one.account: one for one in connector.pull("account") if isinstance(one, AccountRecord)}
    assert accounts["4190"] == AccountRecord(
        company=company, account="4190", name="Grocery sales", kind="revenue", revision=0
    )
    assert {one.kind for one in accounts.values()} > {"asset", "liability", "revenue"}
    periods = [one for one in connector.pull("period") if isinstance(one, PeriodRecord)]
    assert len(periods) == 12
    assert periods[1] == PeriodRecord(
        company=company, period="2017-02", first=date(2017, 2, 1), last=date(2017, 2, 28), open=True, revision=0
    )
    assert list(connector.pull("tax-code")) == [
        TaxCodeRecord(
            code="SALES",
            name="Sales tax",
            rate=Decimal("0.08"),
            rates=(DatedRate(effective_from=date(2017, 7, 1), rate=Decimal("0.0825")),),
            revision=0,
        )
    ]
    assert list(connector.pull("product")) == [
        ProductRecord(
            sku="MILK", name="Milk 1 l", product_class="Dairy", unit="u", gtins=("4006381333931",), revision=0
        )
    ]
    assert list(connector.pull("product", datetime(2100, 1, 1, tzinfo=UTC))) == []
    assert len(list(connector.pull("product", datetime(2000, 1, 1, tzinfo=UTC)))) == 1


def test_what_has_not_changed_makes_no_event(
    shop: TrytonServer,
    admin: TrytonClient,
    catalogue: dict[str, int],
    database_url: str,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    books: dict[str, Any] = msgspec.to_builtins(shop.settings())
    settings = Settings(database_url=database_url, erp=Erp(kind="tryton", settings=books))
    monkeypatch.setattr(masterdata, "settings_of", lambda _: settings)

    def events() -> int:
        record(database_url)
        return int(scalar(connection, "SELECT next_offset FROM event_partition WHERE partition = 0"))

    def pull() -> None:
        assert masterdata.master_pull() == 0

    pull()
    pull()  # before anything was recorded: the same revisions, hence duplicates
    first = events()
    assert first == scalar(connection, "SELECT count(*) FROM master_record")
    pull()
    assert events() == first
    admin.call("model.product.template.write", [catalogue["milk"]], {"name": "Milk, 1 litre"})
    pull()
    assert events() == first + 1
    ((name, revision),) = rows(
        connection, "SELECT convert_from(body, 'UTF8')::jsonb ->> 'name', revision FROM master_record WHERE id = 'MILK'"
    )
    assert (name, revision) == ("Milk, 1 litre", 2)
