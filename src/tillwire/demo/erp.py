"""The demo's ERP: a real Tryton with its own PostgreSQL, a proxy that troubles it, and a look into its books.

The look goes past proxy and connector, straight to Tryton: what it says is Tryton's word, not the hub's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import psutil

from tillwire.config import DEFAULT_ACCOUNTS, AccountRule, Erp
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.faults import FaultPlan, FaultProxy
from tillwire.connectors.tryton.server import TrytonServer
from tillwire.connectors.tryton.setup import ChartAccount, ErpSetup
from tillwire.demo.retailer import COMPANY, COMPANY_NAME, CURRENCY, YEAR
from tillwire.engines.postgres import EmbeddedPostgres
from tillwire.engines.supervisor import ChildEvent, Supervisor
from tillwire.errors import EngineError

CACHE = Path(".cache", "erp")
"""Where the ERP's database is kept once it was made, below the current folder."""

SUSPENSE = "1999"
ACCOUNT_RULES = (
    AccountRule(component="discount", code="coupon_match", account="4910"),
    AccountRule(component="tender", code="manufacturer_coupon", account="1030"),
    *DEFAULT_ACCOUNTS,
)
_CHART = (
    ChartAccount("1010", "Cash in tills", "asset"),
    ChartAccount("1015", "Cash under way", "asset"),
    ChartAccount("1020", "Payment cards, clearing", "asset"),
    ChartAccount("1030", "Manufacturers' coupons, clearing", "asset"),
    ChartAccount(SUSPENSE, "Suspense", "asset"),
    ChartAccount("2200", "Sales tax collected", "liability"),
    ChartAccount("2300", "Gift cards outstanding", "liability"),
    ChartAccount("2310", "Deposits, tips and donations", "liability"),
    ChartAccount("4000", "Sales", "revenue"),
    ChartAccount("4900", "Discounts given", "revenue"),
    ChartAccount("4910", "Coupons matched", "revenue"),
    ChartAccount("6900", "Rounding", "expense"),
    ChartAccount("6910", "Cash over and short", "expense"),
)
_JOURNAL = "POS"
_PAGE = 5_000


class ErpBooks(msgspec.Struct, frozen=True, kw_only=True):
    """What Tryton itself says it holds of ours. Amounts in dollars."""

    posted: int
    """Posted moves in the journal that the hub enters."""
    drafts: int
    repeated: list[str]
    """References under which more than one move is posted."""
    references: frozenset[str]
    debit: dict[str, Decimal]
    """By account: posted debits of the whole chart."""
    credit: dict[str, Decimal]


class DemoErp:
    """Tryton, its database server and the proxy before it; all of it is in ``folder`` and gone when it stops."""

    def __init__(self, folder: Path, plan: FaultPlan, *, listener: Callable[[ChildEvent], None]) -> None:
        self.folder = folder
        # An ERP of a real company would be durable; this one ends with the demo.
        postgres = EmbeddedPostgres(folder / "postgres", durable=False)
        setup = ErpSetup(company=COMPANY_NAME, currency=CURRENCY, years=(YEAR,), accounts=_CHART, journal_code=_JOURNAL)
        self.server = TrytonServer(postgres.url("postgres"), setup=setup, work_dir=folder / "tryton", cache_dir=CACHE)
        self._supervisor = Supervisor([postgres.spec(), self.server.spec()], folder=folder, listener=listener)
        self._plan = plan
        self._proxy: FaultProxy | None = None
        self._up = False

    @property
    def proxy(self) -> FaultProxy:
        """What stands between hub and ERP. Only after ``start``."""
        assert self._proxy is not None
        return self._proxy

    @property
    def is_cached(self) -> bool:
        """Whether some Tryton's database was made here before; the first one takes a minute or two."""
        return any(CACHE.glob("*.dump"))

    def start(self) -> None:
        """Bring it up. Raises ``EngineError`` if Tryton is not installed."""
        self._supervisor.start()
        self._proxy = FaultProxy(self.server.settings().url, self._plan).start()
        # However few calls there are: each fault once, where it hurts.
        self._proxy.inject_next("unavailable", "account.move.create")
        self._proxy.inject_next("lose_reply", "account.move.create")
        self._proxy.inject_next("lose_reply", "account.move.post")
        self._up = True

    def stop(self) -> None:
        """End it; harmless to repeat, and while it starts."""
        if self._proxy is not None:
            self._proxy.stop()
        if self._up:
            self._supervisor.stop()
            return
        # Making its database takes a minute that nobody should wait for who wants to stop.
        for process in psutil.Process().children():
            with suppress(psutil.Error):
                if any(word in part for part in process.cmdline() for word in ("trytond-admin", "pg_restore")):
                    process.terminate()
        with suppress(EngineError):
            self._supervisor.stop()

    @property
    def credentials_file(self) -> Path:
        """The passwords of Tryton's users, as JSON."""
        return self.folder / "tryton" / "erp.credentials"

    def for_hub(self) -> Erp:
        """The hub's settings of its ERP: this one, through the proxy."""
        settings = msgspec.structs.replace(self.server.settings(), url=self.proxy.url, hub_companies=(COMPANY,))
        return Erp(kind="tryton", settings=msgspec.to_builtins(settings))

    def books(self) -> ErpBooks:
        """Read Tryton's books, as an auditor with an account of their own would."""
        client = TrytonClient(self.server.admin_settings())
        try:
            (company,) = client.call("model.company.company.search", [["party.name", "=", COMPANY_NAME]], 0, 2, None)
            client.context = {"company": company, "posted": True}
            ours: list[Any] = [["journal.code", "=", _JOURNAL], ["company", "=", company]]
            references = _posted_references(client, ours)
            accounts = client.call("model.account.account.search_read", [], 0, None, None, ["code", "debit", "credit"])
            return ErpBooks(
                posted=references.total(),
                drafts=client.call("model.account.move.search_count", [*ours, ["state", "=", "draft"]]),
                repeated=sorted(reference for reference, times in references.items() if times > 1),
                references=frozenset(references),
                debit={row["code"]: row["debit"] for row in accounts if row["debit"]},
                credit={row["code"]: row["credit"] for row in accounts if row["credit"]},
            )
        finally:
            client.close()


def _posted_references(client: TrytonClient, ours: list[Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    posted = [*ours, ["state", "=", "posted"]]
    while True:
        rows = client.call(
            "model.account.move.search_read", posted, found.total(), _PAGE, [["id", "ASC"]], ["description"]
        )
        found.update(row["description"] for row in rows)
        if len(rows) < _PAGE:
            return found
