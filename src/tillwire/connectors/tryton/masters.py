"""Master data as Tryton has it: accounts, accounting periods, taxes and products, read in pages by their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain
from typing import Any

from tillwire.connectors.erp import MasterKind
from tillwire.connectors.tryton.books import Company
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.model.master import AccountRecord, DatedRate, MasterRecord, PeriodRecord, ProductRecord, TaxCodeRecord

KINDS: tuple[MasterKind, ...] = ("account", "period", "tax-code", "product")

PAGE = 500
"""Records read by one call."""

Row = dict[str, Any]


def pull(
    client: TrytonClient, company: Company, name: str, kind: MasterKind, since: datetime | None
) -> Iterator[MasterRecord]:
    """The records of a kind; ``name`` is what the hub calls the company."""
    yield from _KINDS[kind](client, company, name, since)


def _pages(
    client: TrytonClient, model: str, domain: list[Any], fields: list[str], since: datetime | None
) -> Iterator[list[Row]]:
    """Every record that matches, in the order of their numbers: what is made meanwhile comes last, and none is left out
    because another one went.
    """
    changed: list[Any] = []
    if since is not None:
        moment = since.astimezone(UTC).replace(tzinfo=None)  # Tryton's own are in UTC, without saying so
        changed = [["OR", ["write_date", ">=", moment], ["create_date", ">=", moment]]]
    last = 0
    while True:
        page = [*domain, *changed, ["id", ">", last]]
        rows = client.call(f"model.{model}.search_read", page, 0, PAGE, [["id", "ASC"]], fields)
        yield rows
        if len(rows) < PAGE:
            return
        last = rows[-1]["id"]


def _rows(*of: Any) -> Iterator[Row]:
    return chain.from_iterable(_pages(*of))


def _accounts(client: TrytonClient, company: Company, name: str, since: datetime | None) -> Iterator[MasterRecord]:
    domain = [["company", "=", company.company_id], ["code", "!=", None], ["type", "!=", None]]
    kinds = ("assets", "receivable", "stock", "payable", "debt", "revenue", "expense")
    fields = ["code", "name", "closed", *(f"type.{kind}" for kind in kinds)]
    for row in _rows(client, "account.account", domain, fields, since):
        if row["code"]:
            yield AccountRecord(
                company=name,
                account=row["code"],
                name=row["name"][:500],
                kind=_account_kind(row.get("type.") or {}),
                active=not row["closed"],
                revision=0,
            )


def _account_kind(of: Row) -> Any:
    """As far as Tryton says it: its account types have flags for what it needs to know itself, not for everything."""
    if of.get("revenue"):
        return "revenue"
    if of.get("expense"):
        return "expense"
    if of.get("assets") or of.get("receivable") or of.get("stock"):
        return "asset"
    if of.get("payable") or of.get("debt"):
        return "liability"
    return "other"


def _periods(client: TrytonClient, company: Company, name: str, since: datetime | None) -> Iterator[MasterRecord]:
    domain = [["company", "=", company.company_id], ["type", "=", "standard"]]
    fields = ["name", "start_date", "end_date", "state"]
    for row in _rows(client, "account.period", domain, fields, since):
        yield PeriodRecord(
            company=name,
            period=row["name"],
            first=row["start_date"],
            last=row["end_date"],
            open=row["state"] == "open",
            revision=0,
        )


def _taxes(client: TrytonClient, company: Company, _: str, since: datetime | None) -> Iterator[MasterRecord]:
    """Taxes by a percentage. Tryton dates a tax as a whole: several of one name are the rates of one code over time, so
    all of them are read whatever has changed.
    """
    domain = [["company", "=", company.company_id], ["type", "=", "percentage"], ["active", "in", [True, False]]]
    fields = ["name", "description", "rate", "start_date", "end_date", "active"]
    by_name: dict[str, list[Row]] = {}
    for row in _rows(client, "account.tax", domain, fields, None):
        by_name.setdefault(row["name"], []).append(row)
    for code, rows in sorted(by_name.items()):
        in_use = [row for row in rows if row["active"]]
        dated = {row["start_date"]: row for row in (in_use or rows) if row["start_date"] is not None}
        always = [row for row in (in_use or rows) if row["start_date"] is None]
        first = always[-1] if always else dated[min(dated)]
        yield TaxCodeRecord(
            code=code,
            name=(first["description"] or code)[:500],
            rate=Decimal(first["rate"]),
            rates=tuple(DatedRate(effective_from=day, rate=Decimal(dated[day]["rate"])) for day in sorted(dated)),
            active=bool(in_use),
            revision=0,
        )


def _products(client: TrytonClient, _: Company, __: str, since: datetime | None) -> Iterator[MasterRecord]:
    """Products with a code, which is the SKU. The class is the first of the categories, else the product's type.

    ``since`` looks at variants; what has changed at their common template is found by a pull without it.
    """
    domain: list[Any] = [["code", "!=", None], ["active", "in", [True, False]]]
    fields = ["code", "name", "active", "categories", "identifiers", "type", "default_uom.symbol"]
    for page in _pages(client, "product.product", domain, fields, since):
        rows = [row for row in page if row["code"]]
        categories = _read(client, "product.category", rows, "categories", ["name"])
        codes = _read(client, "product.identifier", rows, "identifiers", ["type", "code"])
        for row in rows:
            classes = [categories[number]["name"] for number in sorted(row["categories"] or ())]
            found = [codes[number] for number in row["identifiers"] or ()]
            yield ProductRecord(
                sku=row["code"],
                name=row["name"][:500],
                product_class=classes[0] if classes else row["type"],
                unit=(row.get("default_uom.") or {}).get("symbol") or "EA",
                gtins=tuple(sorted(code["code"] for code in found if code["type"] == "ean" and code["code"])),
                active=row["active"],
                revision=0,
            )


def _read(client: TrytonClient, model: str, rows: list[Row], field: str, fields: list[str]) -> dict[int, Row]:
    """What a field of many rows refers to, by one call."""
    numbers = sorted({number for row in rows for number in row[field] or ()})
    return {row["id"]: row for row in client.call(f"model.{model}.read", numbers, fields)} if numbers else {}


_KINDS: dict[str, Callable[[TrytonClient, Company, str, datetime | None], Iterator[MasterRecord]]] = {
    "account": _accounts,
    "period": _periods,
    "tax-code": _taxes,
    "product": _products,
}
