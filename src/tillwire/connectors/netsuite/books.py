"""What a posting needs of NetSuite's books, asked by SuiteQL; and journals and stock as records of NetSuite."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import msgspec

from tillwire.connectors.erp import RejectionKind
from tillwire.connectors.netsuite.client import NetSuiteClient, quoted
from tillwire.connectors.netsuite.settings import NetSuiteSettings
from tillwire.model.ledger import Journal, JournalLine, StockDocument

MOST_EXTERNAL_ID = 100
"""NetSuite states no length for external ids of transactions; longer references travel shortened."""
MOST_MEMO = 999
_KEPT = 59


class Objection(msgspec.Struct, frozen=True):
    """Why a journal cannot be entered."""

    reason: str
    kind: RejectionKind


class Period(msgspec.Struct, frozen=True):
    """A base period of the account's calendar."""

    period_id: str
    name: str
    first: date
    last: date
    open: bool


def external_id(reference: str) -> str:
    """The external id of a reference: itself, or its beginning and a hash of the whole if it is too long."""
    if len(reference) <= MOST_EXTERNAL_ID:
        return reference
    return f"{reference[:_KEPT]}~{hashlib.sha256(reference.encode()).hexdigest()[:40]}"


class Books:
    """Internal ids by what the hub calls things. Accounts and currencies that are known stay known; periods are asked
    for each batch, for an accountant may close one any time."""

    def __init__(self, client: NetSuiteClient, settings: NetSuiteSettings) -> None:
        self._client = client
        self._settings = settings
        self._accounts: dict[str, str] = {}
        self._currencies = dict(settings.currencies)
        self._items: dict[str, str] = {}
        self._periods: tuple[Period, ...] = ()

    def look_up(self, documents: Sequence[Journal | StockDocument]) -> None:
        """Ask for what these documents need: one call for their periods, one each for what is not known yet."""
        days = [document.books_date for document in documents]
        self._periods = tuple(_periods(self._client, min(days), max(days)))
        journals = [document for document in documents if isinstance(document, Journal)]
        stock = [document for document in documents if isinstance(document, StockDocument)]
        accounts = {number for document in documents for number in self._account_numbers(document)}
        if accounts := accounts - set(self._accounts):
            self._find_accounts(accounts)
        if currencies := {journal.currency for journal in journals} - set(self._currencies):
            self._find_currencies(currencies)
        if skus := {line.sku for document in stock for line in document.lines} - set(self._items):
            self._find_items(skus)

    def _account_numbers(self, document: Journal | StockDocument) -> set[str]:
        if isinstance(document, Journal):
            return {line.account for line in document.lines}
        number = self._settings.adjustment_accounts.get(document.company)
        return {number} if number else set()

    def forget_accounts(self) -> None:
        """Ask for all accounts anew: NetSuite has refused one that was known."""
        self._accounts.clear()

    def _find_accounts(self, numbers: Iterable[str]) -> None:
        listed = ", ".join(quoted(number) for number in sorted(numbers))
        for row in self._client.query(
            f"SELECT id, acctnumber FROM account WHERE isinactive = 'F' AND acctnumber IN ({listed})"
        ):
            self._accounts[row["acctnumber"]] = row["id"]

    def _find_currencies(self, codes: Iterable[str]) -> None:
        listed = ", ".join(quoted(code) for code in sorted(codes))
        for row in self._client.query(
            f"SELECT id, symbol FROM currency WHERE isinactive = 'F' AND symbol IN ({listed})"
        ):
            self._currencies[row["symbol"]] = row["id"]

    def _find_items(self, skus: Iterable[str]) -> None:
        listed = ", ".join(quoted(sku) for sku in sorted(skus))
        for row in self._client.query(f"SELECT id, itemid FROM item WHERE isinactive = 'F' AND itemid IN ({listed})"):
            self._items[row["itemid"]] = row["id"]

    def objection(self, document: Journal | StockDocument) -> Objection | None:
        """What is known against a document; none if NetSuite may be asked."""
        if document.company not in self._settings.subsidiaries:
            return Objection(f"company {document.company!r} has no subsidiary in the connector's settings", "other")
        if isinstance(document, Journal) and document.currency not in self._currencies:
            return Objection(f"NetSuite has no active currency {document.currency}", "other")
        if unknown := sorted(self._account_numbers(document) - set(self._accounts)):
            return Objection(f"NetSuite has no active account of number {', '.join(unknown)}", "unknown_account")
        skus = {line.sku for line in document.lines} if isinstance(document, StockDocument) else set()
        if missing := sorted(skus - set(self._items)):
            return Objection(f"NetSuite has no active item {', '.join(missing)}", "other")
        period = self._period(document.books_date)
        if period is None:
            return Objection(f"NetSuite has no accounting period for {document.books_date}", "closed_period")
        if not period.open:
            return Objection(f"the accounting period {period.name} of {document.books_date} is closed", "closed_period")
        return None

    def _period(self, day: date) -> Period | None:
        return next((period for period in self._periods if period.first <= day <= period.last), None)

    def record(self, document: Journal | StockDocument) -> tuple[str, dict[str, Any]]:
        """The type of record that a document becomes, and its content. Only for one without an objection.

        The posting period is told: left out, NetSuite may put what is of a closed period into another one.
        """
        period = self._period(document.books_date)
        assert period is not None
        content: dict[str, Any] = {
            "externalId": external_id(document.reference),
            "tranDate": document.books_date.isoformat(),
            "postingPeriod": {"id": period.period_id},
            "memo": memo(document),
        }
        if subsidiary := self._settings.subsidiaries[document.company]:
            content["subsidiary"] = {"id": subsidiary}
        if isinstance(document, StockDocument):
            return "inventoryAdjustment", content | self._adjustment(document)
        return "journalEntry", content | self._entry(document)

    def _entry(self, journal: Journal) -> dict[str, Any]:
        content: dict[str, Any] = {
            "currency": {"id": self._currencies[journal.currency]},
            "approved": self._settings.approved,
            "line": {"items": [self._line(line) for line in journal.lines]},
        }
        if self._settings.custom_form:
            content["customForm"] = {"id": self._settings.custom_form}
        return content

    def _adjustment(self, document: StockDocument) -> dict[str, Any]:
        location = self._reference(self._settings.location_dimension, document.store)
        return {
            "account": {"id": self._accounts[self._settings.adjustment_accounts[document.company]]},
            "inventory": {
                "items": [
                    {
                        "item": {"id": self._items[line.sku]},
                        "location": location,
                        "adjustQtyBy": line.quantity,
                        "memo": f"{line.reason} {line.bucket} {line.unit}",
                    }
                    for line in document.lines
                ]
            },
        }

    def _line(self, line: JournalLine) -> dict[str, Any]:
        item: dict[str, Any] = {"account": {"id": self._accounts[line.account]}}
        if line.credit:
            item["credit"] = line.credit
        else:
            item["debit"] = line.debit
        words = line.description
        if line.foreign is not None:
            words = f"{words} [{line.foreign.amount} {line.foreign.currency}]".lstrip()
        if words:
            item["memo"] = words[:MOST_MEMO]
        for dimension, value in line.dimensions.items():
            field = self._settings.dimensions.get(dimension)
            if field and value:
                item[field] = self._reference(dimension, value)
        return item

    def _reference(self, dimension: str, value: str) -> dict[str, str]:
        known = self._settings.dimension_values.get(dimension, {}).get(value)
        return {"id": known} if known else {"externalId": value}


def memo(document: Journal | StockDocument) -> str:
    """The text of a record: the whole reference, what it reverses, the day of business if that is another one."""
    parts = [document.reference]
    if document.reverses:
        parts.append(f"reverses {document.reverses}")
    if document.books_date != document.business_date:
        parts.append(f"business date {document.business_date}")
    if document.description:
        parts.append(document.description)
    return "; ".join(parts)[:MOST_MEMO]


def _periods(client: NetSuiteClient, first: date, last: date) -> Iterable[Period]:
    rows = client.query(
        "SELECT id, periodname, TO_CHAR(startdate, 'YYYY-MM-DD') AS startdate, "
        "TO_CHAR(enddate, 'YYYY-MM-DD') AS enddate, closed, alllocked FROM accountingperiod "
        "WHERE isyear = 'F' AND isquarter = 'F' AND isposting = 'T' AND isadjust = 'F' AND isinactive = 'F' "
        f"AND TO_CHAR(startdate, 'YYYY-MM-DD') <= {quoted(last.isoformat())} "
        f"AND TO_CHAR(enddate, 'YYYY-MM-DD') >= {quoted(first.isoformat())} ORDER BY id"
    )
    for row in rows:
        yield Period(
            period_id=row["id"],
            name=row["periodname"],
            first=date.fromisoformat(row["startdate"]),
            last=date.fromisoformat(row["enddate"]),
            open=row.get("closed") != "T" and row.get("alllocked") != "T",
        )
