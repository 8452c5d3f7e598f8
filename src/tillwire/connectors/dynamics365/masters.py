"""Master data as Finance has it: main accounts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tillwire.connectors.dynamics365.odata import FinanceClient, quoted
from tillwire.connectors.dynamics365.settings import Dynamics365Settings
from tillwire.connectors.erp import MasterKind
from tillwire.model.master import AccountRecord, MasterRecord

KINDS: tuple[MasterKind, ...] = ("account",)

_KINDS = {
    "Asset": "asset",
    "Liability": "liability",
    "Equity": "equity",
    "Revenue": "revenue",
    "Expense": "expense",
    "ProfitAndLoss": "other",
    "BalanceSheet": "other",
}
"""By main account type. Others (totals, reporting, common) are not posted to: they are left out."""


def pull(client: FinanceClient, settings: Dynamics365Settings, kind: MasterKind) -> Iterator[MasterRecord]:
    """The main accounts, for each company. Finance's entity does not say when one has changed: all come each time."""
    assert kind in KINDS
    chart = settings.chart_of_accounts
    condition = f"ChartOfAccounts eq {quoted(chart)}" if chart else ""
    for row in client.rows("MainAccounts", condition, "MainAccountId,Name,MainAccountType,IsSuspended"):
        if row["MainAccountType"] not in _KINDS:
            continue
        for company in settings.legal_entities:
            yield AccountRecord(
                company=company,
                account=row["MainAccountId"],
                name=(row.get("Name") or row["MainAccountId"])[:500],
                kind=_kind(row["MainAccountType"]),
                active=row.get("IsSuspended") != "Yes",
                revision=0,
            )


def _kind(account_type: str) -> Any:
    return _KINDS[account_type]
