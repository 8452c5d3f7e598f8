"""Entries in Odoo by our references, and their lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from tillwire.connectors.erp import DuplicatePostingError
from tillwire.connectors.erp_run import pieces
from tillwire.connectors.odoo.rpc import OdooRpc
from tillwire.model.ledger import ZERO, ErpDocument, JournalLine

_FIELDS = ["id", "name", "ref", "date", "state"]


def documents(rpc: OdooRpc, company_id: int, references: Sequence[str], *, batch: int) -> dict[str, ErpDocument]:
    """What Odoo holds under these references, posted or draft; cancelled entries are none.

    By the field ``ref`` rather than by external id: that finds what a person entered under the same reference, too.
    Raises ``DuplicatePostingError`` if two are posted under one.
    """
    by_reference: dict[str, list[ErpDocument]] = {}
    for some in pieces(sorted(set(references)), batch):
        domain = [
            ["ref", "in", list(some)],
            ["company_id", "=", company_id],
            ["move_type", "=", "entry"],
            ["state", "in", ["draft", "posted"]],
        ]
        for row in rpc.read("account.move", "search_read", domain, fields=_FIELDS, order="id asc"):
            by_reference.setdefault(row["ref"], []).append(document(row))
    found: dict[str, ErpDocument] = {}
    duplicates: dict[str, tuple[ErpDocument, ...]] = {}
    for reference, several in by_reference.items():
        posted = [one for one in several if one.posted]
        if len(posted) > 1:
            duplicates[reference] = tuple(posted)
        else:
            found[reference] = (posted or several)[0]
    if duplicates:
        raise DuplicatePostingError(duplicates, found)
    return found


def document(row: dict[str, Any]) -> ErpDocument:
    """An entry as Odoo tells it."""
    posted = row["state"] == "posted"
    return ErpDocument(
        reference=row["ref"],
        document_id=str(row["id"]),
        number=row["name"] if posted else None,
        posted=posted,
        posting_date=date.fromisoformat(row["date"]),
    )


def with_lines(rpc: OdooRpc, found: dict[str, ErpDocument], *, batch: int) -> dict[str, ErpDocument]:
    """The documents with their lines, amounts in the journal's currency."""
    numbers = [int(one.document_id) for one in found.values() if one.posted]
    lines: dict[int, list[JournalLine]] = {number: [] for number in numbers}
    codes: dict[int, str] = {}
    for some in pieces(numbers, batch):
        rows = rpc.read(
            "account.move.line",
            "search_read",
            [["move_id", "in", list(some)]],
            fields=["move_id", "account_id", "name", "amount_currency"],
            order="id asc",
        )
        unknown = sorted({row["account_id"][0] for row in rows} - codes.keys())
        if unknown:
            codes |= {row["id"]: row["code"] for row in rpc.read("account.account", "read", unknown, ["code"])}
        for row in rows:
            amount = Decimal(row["amount_currency"])
            lines[row["move_id"][0]].append(
                JournalLine(
                    account=codes[row["account_id"][0]],
                    debit=max(amount, ZERO),
                    credit=max(-amount, ZERO),
                    description=row["name"] or "",
                )
            )
    return {
        reference: msgspec.structs.replace(one, lines=tuple(lines.get(int(one.document_id), ())))
        for reference, one in found.items()
    }
