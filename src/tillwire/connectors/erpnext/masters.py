"""Master data as ERPNext has it: accounts, accounting periods and items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

from tillwire.connectors.erp import MasterKind
from tillwire.connectors.erpnext.payload import DOCTYPE
from tillwire.connectors.erpnext.rest import FrappeRest
from tillwire.connectors.erpnext.settings import ErpNextSettings
from tillwire.model.master import AccountRecord, MasterRecord, PeriodRecord, ProductRecord

KINDS: tuple[MasterKind, ...] = ("account", "period", "product")

_ROOTS: dict[str, Any] = {
    "Asset": "asset",
    "Liability": "liability",
    "Equity": "equity",
    "Income": "revenue",
    "Expense": "expense",
}


def pull(
    rest: FrappeRest, settings: ErpNextSettings, kind: MasterKind, since: datetime | None
) -> Iterator[MasterRecord]:
    """The records of a kind. ERPNext's times of change are in the site's own zone, so ``since`` reaches back a day."""
    changed: list[list[Any]] = []
    if since is not None:
        moment = since.astimezone(UTC).replace(tzinfo=None)
        changed = [["modified", ">=", date.fromordinal(moment.date().toordinal() - 1).isoformat()]]
    yield from _KINDS[kind](rest, settings, changed)


def _accounts(rest: FrappeRest, settings: ErpNextSettings, changed: list[list[Any]]) -> Iterator[MasterRecord]:
    filters = [["company", "=", settings.company], ["is_group", "=", 0], *changed]
    fields = ["name", "account_name", "account_number", "root_type", "disabled"]
    for row in rest.rows("Account", filters, fields, order="name asc"):
        code = row["account_number"] if settings.accounts_by == "number" else row["name"]
        if code:
            yield AccountRecord(
                company=settings.company,
                account=code,
                name=row["account_name"][:500],
                kind=_ROOTS.get(row["root_type"], "other"),
                active=not row["disabled"],
                revision=0,
            )


def _periods(rest: FrappeRest, settings: ErpNextSettings, changed: list[list[Any]]) -> Iterator[MasterRecord]:
    """Accounting periods, which ERPNext has only where somebody closed something; open are those that let journal
    entries through."""
    filters = [["company", "=", settings.company], *changed]
    for row in rest.rows("Accounting Period", filters, ["name", "start_date", "end_date"], order="start_date asc"):
        whole = rest.document("Accounting Period", row["name"])
        closed = any(one["document_type"] == DOCTYPE and one["closed"] for one in whole["closed_documents"])
        yield PeriodRecord(
            company=settings.company,
            period=row["name"][:64],
            first=date.fromisoformat(row["start_date"]),
            last=date.fromisoformat(row["end_date"]),
            open=not closed,
            revision=0,
        )


def _products(rest: FrappeRest, _: ErpNextSettings, changed: list[list[Any]]) -> Iterator[MasterRecord]:
    fields = ["item_code", "item_name", "item_group", "stock_uom", "disabled"]
    for row in rest.rows("Item", [["has_variants", "=", 0], *changed], fields, order="item_code asc"):
        yield ProductRecord(
            sku=row["item_code"],
            name=row["item_name"][:500],
            product_class=row["item_group"],
            unit=row["stock_uom"],
            active=not row["disabled"],
            revision=0,
        )


_KINDS: dict[str, Callable[[FrappeRest, ErpNextSettings, list[list[Any]]], Iterator[MasterRecord]]] = {
    "account": _accounts,
    "period": _periods,
    "product": _products,
}
