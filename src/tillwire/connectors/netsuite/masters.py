"""Master data as NetSuite has it: accounts, accounting periods and items, by SuiteQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

from tillwire.connectors.erp import MasterKind
from tillwire.connectors.netsuite.client import NetSuiteClient, Row, quoted
from tillwire.connectors.netsuite.settings import NetSuiteSettings
from tillwire.model.master import AccountRecord, MasterRecord, PeriodRecord, ProductRecord

KINDS: tuple[MasterKind, ...] = ("account", "period", "product")

_ACCOUNT_KINDS = {
    "Bank": "asset",
    "AcctRec": "asset",
    "OthCurrAsset": "asset",
    "FixedAsset": "asset",
    "OthAsset": "asset",
    "DeferExpense": "asset",
    "UnbilledRec": "asset",
    "AcctPay": "liability",
    "CredCard": "liability",
    "OthCurrLiab": "liability",
    "LongTermLiab": "liability",
    "DeferRevenue": "liability",
    "Equity": "equity",
    "Income": "revenue",
    "OthIncome": "revenue",
    "COGS": "expense",
    "Expense": "expense",
    "OthExpense": "expense",
}
"""By account type. ``NonPosting`` and ``Stat`` accounts are not of the ledger: they are left out."""
_NOT_SOLD = ("Description", "Discount", "Markup", "Payment", "Subtotal", "EndGroup")


def pull(
    client: NetSuiteClient, settings: NetSuiteSettings, kind: MasterKind, since: datetime | None
) -> Iterator[MasterRecord]:
    """The records of a kind. Accounts and periods come for each company, for NetSuite has them for all of them."""
    return _PULLS[kind](client, settings, since)


def _changed(since: datetime | None) -> str:
    """A condition on the last change. NetSuite keeps those in the account's zone: a day more is asked for."""
    if since is None:
        return ""
    day = since.astimezone(UTC).date().toordinal() - 1
    return f" AND TO_CHAR(lastmodifieddate, 'YYYY-MM-DD') >= {quoted(date.fromordinal(day).isoformat())}"


def _accounts(client: NetSuiteClient, settings: NetSuiteSettings, since: datetime | None) -> Iterator[MasterRecord]:
    parents = _parents(client) if any(settings.subsidiaries.values()) else {}
    rows = client.query(
        "SELECT acctnumber, accountsearchdisplaynamecopy, accttype, isinactive, includechildren, subsidiary "
        f"FROM account WHERE acctnumber IS NOT NULL AND issummary = 'F'{_changed(since)} ORDER BY id"
    )
    for row in rows:
        if row["accttype"] not in _ACCOUNT_KINDS:
            continue
        for company, subsidiary in settings.subsidiaries.items():
            if _serves(row, subsidiary, parents):
                yield AccountRecord(
                    company=company,
                    account=row["acctnumber"],
                    name=(row.get("accountsearchdisplaynamecopy") or row["acctnumber"])[:500],
                    kind=_kind(row["accttype"]),
                    active=row["isinactive"] == "F",
                    revision=0,
                )


def _kind(account_type: str) -> Any:
    return _ACCOUNT_KINDS[account_type]


def _parents(client: NetSuiteClient) -> dict[str, str]:
    return {row["id"]: row.get("parent", "") for row in client.query("SELECT id, parent FROM subsidiary ORDER BY id")}


def _serves(row: Row, subsidiary: str, parents: dict[str, str]) -> bool:
    """Whether an account is one of a subsidiary: named by it, or by one above it and meant for those below too."""
    named = {part.strip() for part in row.get("subsidiary", "").split(",") if part.strip()}
    if not subsidiary or not named or subsidiary in named:
        return True
    above = parents.get(subsidiary, "")
    while row.get("includechildren") == "T" and above:
        if above in named:
            return True
        above = parents.get(above, "")
    return False


def _periods(client: NetSuiteClient, settings: NetSuiteSettings, since: datetime | None) -> Iterator[MasterRecord]:
    rows = client.query(
        "SELECT periodname, TO_CHAR(startdate, 'YYYY-MM-DD') AS startdate, TO_CHAR(enddate, 'YYYY-MM-DD') AS enddate, "
        "closed, alllocked, isinactive FROM accountingperiod WHERE isyear = 'F' AND isquarter = 'F' "
        f"AND isposting = 'T' AND isadjust = 'F'{_changed(since)} ORDER BY id"
    )
    for row in rows:
        for company in settings.subsidiaries:
            yield PeriodRecord(
                company=company,
                period=row["periodname"],
                first=date.fromisoformat(row["startdate"]),
                last=date.fromisoformat(row["enddate"]),
                open=row.get("closed") != "T" and row.get("alllocked") != "T",
                active=row["isinactive"] == "F",
                revision=0,
            )


def _items(client: NetSuiteClient, _: NetSuiteSettings, since: datetime | None) -> Iterator[MasterRecord]:
    """Items that can be sold. The class is NetSuite's class of the item, else its type."""
    left_out = ", ".join(quoted(kind) for kind in _NOT_SOLD)
    rows = client.query(
        "SELECT itemid, displayname, itemtype, isinactive, upccode, BUILTIN.DF(class) AS class, "
        f"BUILTIN.DF(stockunit) AS unit FROM item WHERE itemtype NOT IN ({left_out}){_changed(since)} ORDER BY id"
    )
    for row in rows:
        code = row.get("upccode", "")
        yield ProductRecord(
            sku=row["itemid"],
            name=(row.get("displayname") or row["itemid"])[:500],
            product_class=row.get("class") or row["itemtype"],
            unit=row.get("unit") or "EA",
            gtins=(code,) if code else (),
            active=row["isinactive"] == "F",
            revision=0,
        )


_PULLS: dict[str, Callable[[NetSuiteClient, NetSuiteSettings, datetime | None], Iterator[MasterRecord]]] = {
    "account": _accounts,
    "period": _periods,
    "product": _items,
}
