"""Journal entries in ERPNext by our references, and what stands in its ledger under them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from tillwire.connectors.erp import DuplicatePostingError
from tillwire.connectors.erpnext.payload import DOCTYPE, carried
from tillwire.connectors.erpnext.rest import FrappeRest, looked_for
from tillwire.connectors.erpnext.settings import ErpNextSettings
from tillwire.model.ledger import ErpDocument, JournalLine


class Found(NamedTuple):
    """What is there: one document under each reference, drafts that are one too many, and those posted twice."""

    documents: dict[str, ErpDocument]
    superfluous: list[str]
    """Names of drafts under a reference that has another document."""
    duplicates: dict[str, tuple[ErpDocument, ...]]

    def unique(self) -> dict[str, ErpDocument]:
        """The documents. Raises ``DuplicatePostingError`` if a reference is posted more than once."""
        if self.duplicates:
            raise DuplicatePostingError(self.duplicates, self.documents)
        return self.documents


def look_up(rest: FrappeRest, settings: ErpNextSettings, references: Sequence[str]) -> Found:
    """What ERPNext holds under these references, posted or draft; cancelled entries are none."""
    by_carried = {carried(reference): reference for reference in references}
    several: dict[str, list[ErpDocument]] = {}
    for some in looked_for(by_carried, settings.batch_references):
        filters = [["company", "=", settings.company], [settings.field, "in", some], ["docstatus", "<", 2]]
        fields = ["name", "docstatus", "posting_date", settings.field]
        for row in rest.rows(DOCTYPE, filters, fields, order="creation asc"):
            reference = by_carried.get(row[settings.field])
            if reference is not None:
                several.setdefault(reference, []).append(_document(reference, row))
    found = Found({}, [], {})
    for reference, documents in several.items():
        posted = [one for one in documents if one.posted]
        drafts = [one for one in documents if not one.posted]
        found.superfluous.extend(one.document_id for one in (drafts if posted else drafts[1:]))
        if len(posted) > 1:
            found.duplicates[reference] = tuple(posted)
        else:
            found.documents[reference] = (posted or drafts)[0]
    return found


def _document(reference: str, row: dict[str, Any]) -> ErpDocument:
    posted = row["docstatus"] == 1
    return ErpDocument(
        reference=reference,
        document_id=row["name"],
        number=row["name"] if posted else None,
        posted=posted,
        posting_date=date.fromisoformat(str(row["posting_date"])),
    )


def with_lines(rest: FrappeRest, settings: ErpNextSettings, found: dict[str, ErpDocument]) -> dict[str, ErpDocument]:
    """The documents with what stands in the ledger (``GL Entry``) under them, amounts in the accounts' currencies."""
    names = sorted(one.document_id for one in found.values() if one.posted)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    fields = [
        "voucher_no",
        "account",
        "account_currency",
        "debit_in_account_currency",
        "credit_in_account_currency",
        "remarks",
    ]
    for some in looked_for(names, settings.batch_references):
        filters = [["voucher_type", "=", DOCTYPE], ["voucher_no", "in", some], ["is_cancelled", "=", 0]]
        for row in rest.rows("GL Entry", filters, fields, order="creation asc"):
            rows[row["voucher_no"]].append(row)
    codes = _codes(rest, settings, {row["account"] for several in rows.values() for row in several})
    return {
        reference: msgspec.structs.replace(one, lines=_lines(rows.get(one.document_id, []), codes, settings))
        for reference, one in found.items()
    }


def _codes(rest: FrappeRest, settings: ErpNextSettings, names: set[str]) -> dict[str, str]:
    """What we call the accounts."""
    if settings.accounts_by == "name":
        return {name: name for name in names}
    found: dict[str, str] = {}
    for some in looked_for(names, settings.batch_references):
        for row in rest.rows("Account", [["name", "in", some]], ["name", "account_number"], order="name asc"):
            found[row["name"]] = row["account_number"] or row["name"]
    return found


def _lines(rows: list[dict[str, Any]], codes: dict[str, str], settings: ErpNextSettings) -> tuple[JournalLine, ...]:
    """Without the cents that the exchange rate left over, which are in another currency than the journal."""
    currencies = {row["account_currency"] for row in rows}
    return tuple(
        JournalLine(
            account=codes.get(row["account"], row["account"]),
            debit=Decimal(row["debit_in_account_currency"]),
            credit=Decimal(row["credit_in_account_currency"]),
            description=row["remarks"] or "",
        )
        for row in rows
        if len(currencies) == 1 or codes.get(row["account"]) != settings.exchange_account
    )
