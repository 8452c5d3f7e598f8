"""Master data as SAP has it: G/L accounts of one chart, and products, each with its name in one language."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from tillwire.connectors.erp import MasterKind
from tillwire.connectors.sap_s4hana.client import SapClient
from tillwire.connectors.sap_s4hana.lookup import account_of
from tillwire.connectors.sap_s4hana.odata import flag, optional_text, quoted, text
from tillwire.model.master import AccountRecord, MasterRecord, ProductRecord

ACCOUNT_FIELDS = ("ChartOfAccounts", "GLAccount", "AccountIsMarkedForDeletion", "AccountIsBlockedForPosting")
PRODUCT_FIELDS = ("Product", "ProductGroup", "BaseUnit", "ProductStandardID", "IsMarkedForDeletion")


def kinds(client: SapClient) -> tuple[MasterKind, ...]:
    """What can be pulled with the settings as they are. Periods are not: SAP has no released service for them."""
    return ("account", "product") if client.settings.chart_of_accounts else ("product",)


def pull(client: SapClient, kind: MasterKind, since: datetime | None) -> Iterator[MasterRecord]:
    """The records of a kind, ``active`` false for those marked for deletion or blocked."""
    if kind == "account":
        yield from _accounts(client, since)
    elif kind == "product":
        yield from _products(client, since)


def _since(since: datetime | None) -> str:
    if since is None:
        return ""
    return f"LastChangeDateTime ge datetimeoffset'{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'"


def _accounts(client: SapClient, since: datetime | None) -> Iterator[MasterRecord]:
    """Every company of the settings has the chart's accounts."""
    chart = f"ChartOfAccounts eq {quoted(client.settings.chart_of_accounts)}"
    names = _names(
        client,
        "API_GLACCOUNTINCHARTOFACCOUNTS_SRV",
        "A_GLAccountText",
        ("GLAccount", "GLAccountName"),
        f"{chart} and Language eq {quoted(client.settings.language)}",
    )
    rows = client.rows(
        "API_JOURNALENTRYITEMBASIC_SRV",
        "A_GLAccountInChartOfAccounts",
        filter=" and ".join(part for part in (chart, _since(since)) if part),
        select=",".join(ACCOUNT_FIELDS),
        orderby="ChartOfAccounts,GLAccount",
    )
    for row in rows:
        told = text(row, "GLAccount")
        for company in client.settings.company_codes:
            yield AccountRecord(
                company=company,
                account=account_of(told),
                name=names.get(told) or account_of(told),
                active=not (flag(row, "AccountIsMarkedForDeletion") or flag(row, "AccountIsBlockedForPosting")),
                revision=0,
            )


def _products(client: SapClient, since: datetime | None) -> Iterator[MasterRecord]:
    language = f"Language eq {quoted(client.settings.language)}"
    names = _names(
        client, "API_PRODUCT_SRV", "A_ProductDescription", ("Product", "ProductDescription"), language
    )  # fmt: skip
    rows = client.rows(
        "API_PRODUCT_SRV",
        "A_Product",
        filter=_since(since),
        select=",".join(PRODUCT_FIELDS),
        orderby="Product",
    )
    for row in rows:
        sku, gtin = text(row, "Product"), optional_text(row, "ProductStandardID")
        yield ProductRecord(
            sku=sku,
            name=names.get(sku) or sku,
            product_class=optional_text(row, "ProductGroup") or "uncategorized",
            unit=optional_text(row, "BaseUnit") or "EA",
            gtins=(gtin,) if gtin else (),
            active=not flag(row, "IsMarkedForDeletion"),
            revision=0,
        )


def _names(client: SapClient, service: str, entity_set: str, fields: tuple[str, str], condition: str) -> dict[str, str]:
    key, name = fields
    rows: Iterator[dict[str, Any]] = client.rows(
        service, entity_set, filter=condition, select=f"{key},{name}", orderby=key
    )
    return {text(row, key): optional_text(row, name) for row in rows}
