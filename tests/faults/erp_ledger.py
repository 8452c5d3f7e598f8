"""The real ERP of the fault tests, and what its own books say, asked as an accountant would."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal

import msgspec
import psycopg
from builders import Event
from driving import rows, scalar
from holding import by_account
from rig import Place
from store_days import YEAR
from straight import known

from tillwire import bootstrap
from tillwire.config import Erp
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.server import TrytonServer
from tillwire.connectors.tryton.setup import ChartAccount, ErpSetup
from tillwire.posting.read_back import confirm
from tillwire.reconciliation.days import reconcile

SETUP = ErpSetup(
    company="Unlucky Stores",
    years=(YEAR,),
    accounts=(
        ChartAccount("1010", "Cash in tills", "asset"),
        ChartAccount("1015", "Cash under way", "asset"),
        ChartAccount("1020", "Cards, clearing", "asset"),
        ChartAccount("1999", "Suspense", "asset"),
        ChartAccount("2200", "Sales tax", "liability"),
        ChartAccount("2300", "Gift cards", "liability"),
        ChartAccount("2310", "Deposits", "liability"),
        ChartAccount("4000", "Sales", "revenue"),
        ChartAccount("4900", "Discounts", "revenue"),
        ChartAccount("6900", "Rounding", "expense"),
        ChartAccount("6910", "Over and short", "expense"),
    ),
)


class Ledger:
    """The ERP's books of one company of stores, told by the references of its journals."""

    def __init__(self, server: TrytonServer) -> None:
        self._server = server

    @property
    def url(self) -> str:
        """Where the ERP answers."""
        return self._server.settings().url

    def for_hub(self, url: str = "", **changes: object) -> Erp:
        """The hub's settings of this ERP, through ``url`` if one is given."""
        settings = msgspec.structs.replace(self._server.settings(), **changes)
        return Erp(kind="tryton", settings=msgspec.to_builtins(settings) | ({"url": url} if url else {}))

    def check(self, place: Place, company: str, events: Iterable[Event]) -> int:
        """Assert that the ERP has every journal of the hub's posted once, with its amounts, and nothing else.

        Returns how many it has.
        """
        client = TrytonClient(self._server.admin_settings())
        client.context = {"company": 1}
        try:
            with place.connect() as connection:
                return self._check(client, connection, place, company, events)
        finally:
            client.close()

    def _check(
        self, client: TrytonClient, connection: psycopg.Connection, place: Place, company: str, events: Iterable[Event]
    ) -> int:
        ours = ["description", "like", f"{company}/%"]
        fields = ["description", "number", "state"]
        moves = client.call("model.account.move.search_read", [ours], 0, None, None, fields)
        assert Counter(move["state"] for move in moves).keys() <= {"posted"}, [
            m for m in moves if m["state"] == "draft"
        ]
        journals = dict(
            rows(connection, "SELECT reference, document_number FROM journal WHERE document_id IS NOT NULL")
        )
        numbers = Counter(move["description"] for move in moves)
        assert not [reference for reference, times in numbers.items() if times > 1]
        assert {move["description"]: move["number"] for move in moves} == journals
        assert scalar(connection, "SELECT count(*) FROM journal WHERE state <> 'posted'") == 0

        names = {move["id"]: move["description"] for move in moves}
        sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        of_moves = [["move.description", "like", f"{company}/%"]]
        columns = ["move", "account.code", "debit", "credit"]
        for row in client.call("model.account.move.line.search_read", of_moves, 0, None, None, columns):
            sums[(names[row["move"]], row["account."]["code"])] += row["debit"] - row["credit"]
        query = "SELECT reference, account, sum(debit - credit) FROM journal JOIN journal_line USING (journal_id) GROUP BY 1, 2"
        assert known(sums) == known(
            {(reference, account): amount for reference, account, amount in rows(connection, query)}
        )
        assert _by_code(sums) == _by_code(by_account(events))

        connector = bootstrap.erp_connector(place.settings)
        try:
            assert confirm(connection, connector) == []
        finally:
            connector.close()
        report = reconcile(connection)
        assert report.ok, [day.differences for day in report.days if day.differences]
        return len(moves)


def _by_code(sums: dict[tuple[str, str], Decimal] | dict[tuple[str, str, str], Decimal]) -> dict[str, Decimal]:
    """The trial balance: the last part of each key is the account."""
    balance: dict[str, Decimal] = defaultdict(Decimal)
    for place, amount in sums.items():
        balance[place[-1]] += amount
    return {account: amount for account, amount in balance.items() if amount}
