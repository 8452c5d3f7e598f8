"""Master data as Odoo has it: accounts, the lock date as a period, taxes and products, in pages by their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from tillwire.connectors.erp import MasterKind
from tillwire.connectors.odoo.books import Company
from tillwire.connectors.odoo.rpc import OdooRpc
from tillwire.model.master import AccountRecord, MasterRecord, PeriodRecord, ProductRecord, TaxCodeRecord

KINDS: tuple[MasterKind, ...] = ("account", "period", "tax-code", "product")

PAGE = 500
"""Records read by one call."""

Row = dict[str, Any]


def pull(rpc: OdooRpc, company: Company, name: str, kind: MasterKind, since: datetime | None) -> Iterator[MasterRecord]:
    """The records of a kind; ``name`` is what the hub calls the company."""
    yield from _KINDS[kind](rpc, company, name, since)


def _rows(rpc: OdooRpc, model: str, domain: list[Any], fields: list[str], since: datetime | None) -> Iterator[Row]:
    """Every record that matches by its number: one that is made meanwhile comes last, and none is left out."""
    changed: list[Any] = []
    if since is not None:
        changed = [["write_date", ">=", since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")]]
    last = 0
    while True:
        page = [*domain, *changed, ["id", ">", last]]
        rows = rpc.read(model, "search_read", page, fields=["id", *fields], limit=PAGE, order="id asc")
        yield from rows
        if len(rows) < PAGE:
            return
        last = rows[-1]["id"]


_ACCOUNT_KINDS = {
    "asset": "asset",
    "liability": "liability",
    "equity": "equity",
    "income": "revenue",
    "expense": "expense",
}


def _accounts(rpc: OdooRpc, _: Company, name: str, since: datetime | None) -> Iterator[MasterRecord]:
    for row in _rows(rpc, "account.account", [], ["code", "name", "account_type", "deprecated"], since):
        if row["code"]:
            kind: Any = _ACCOUNT_KINDS.get(str(row["account_type"]).partition("_")[0], "other")
            yield AccountRecord(
                company=name,
                account=row["code"],
                name=row["name"][:500],
                kind=kind,
                active=not row["deprecated"],
                revision=0,
            )


def _periods(rpc: OdooRpc, company: Company, name: str, _: datetime | None) -> Iterator[MasterRecord]:
    """Odoo has no periods but lock dates: up to the latest one everything is closed, and after it all is open."""
    locked: list[date] = []
    if company.lock_fields:
        (row,) = rpc.read("res.company", "read", [company.company_id], list(company.lock_fields))
        locked = [date.fromisoformat(row[field]) for field in company.lock_fields if row[field]]
    first = date(1900, 1, 1)
    if locked:
        yield PeriodRecord(company=name, period="locked", first=first, last=max(locked), open=False, revision=0)
        first = date.fromordinal(max(locked).toordinal() + 1)
    yield PeriodRecord(company=name, period="open", first=first, last=date(9999, 12, 31), revision=0)


def _taxes(rpc: OdooRpc, _: Company, __: str, since: datetime | None) -> Iterator[MasterRecord]:
    """Sales taxes by a percentage; the code is the tax's name, which Odoo keeps unique in a company."""
    domain = [["type_tax_use", "=", "sale"], ["amount_type", "=", "percent"], ["active", "in", [True, False]]]
    for row in _rows(rpc, "account.tax", domain, ["name", "description", "amount", "active"], since):
        yield TaxCodeRecord(
            code=row["name"][:64],
            name=row["name"][:500],
            rate=Decimal(row["amount"]) / 100,
            active=row["active"],
            revision=0,
        )


def _products(rpc: OdooRpc, _: Company, __: str, since: datetime | None) -> Iterator[MasterRecord]:
    """Variants with an internal reference, which is the SKU; the class is the product category."""
    domain = [["default_code", "!=", False], ["active", "in", [True, False]]]
    fields = ["default_code", "name", "categ_id", "uom_id", "barcode", "active"]
    for row in _rows(rpc, "product.product", domain, fields, since):
        yield ProductRecord(
            sku=row["default_code"],
            name=row["name"][:500],
            product_class=row["categ_id"][1] if row["categ_id"] else "uncategorized",
            unit=row["uom_id"][1] if row["uom_id"] else "EA",
            gtins=(row["barcode"],) if row["barcode"] else (),
            active=row["active"],
            revision=0,
        )


_KINDS: dict[str, Callable[[OdooRpc, Company, str, datetime | None], Iterator[MasterRecord]]] = {
    "account": _accounts,
    "period": _periods,
    "tax-code": _taxes,
    "product": _products,
}
