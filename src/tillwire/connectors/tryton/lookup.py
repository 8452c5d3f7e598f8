"""What the ERP holds under our references, with the rules for finding more than one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import structlog

from tillwire.connectors.erp import DuplicatePostingError
from tillwire.connectors.erp_run import pieces
from tillwire.connectors.tryton.books import MOVE, Company
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.drafts import Desk, ids_of
from tillwire.errors import TransientError
from tillwire.model.ledger import ZERO, ErpDocument, JournalLine
from tillwire.model.money import Money

_LINE_MOVES = 200
"""So many moves have their lines read by one call."""

_MOVE_FIELDS = ["description", "number", "state", "date", "origin", "create_uid"]
_log = structlog.get_logger(__name__)


class Found(NamedTuple):
    """A document in the ERP; ``mine`` says whether our user made it."""

    document: ErpDocument
    mine: bool


def one_each(desk: Desk, found: Sequence[Found]) -> dict[str, ErpDocument]:
    """One document per reference, given from the oldest to the newest: the posted one, else the oldest draft.

    A request whose reply was lost can still be under way when its document is sent again, and leave a draft beside
    the posted one. Such superfluous drafts of our own user are deleted here: nothing would ever post them, but they
    would keep the period from being closed.

    Raises ``DuplicatePostingError`` if two are posted, ``TransientError`` if there are only drafts and the superfluous
    ones cannot be deleted.
    """
    groups: dict[str, list[Found]] = {}
    for one in found:
        groups.setdefault(one.document.reference, []).append(one)
    kept: dict[str, ErpDocument] = {}
    duplicates: dict[str, tuple[ErpDocument, ...]] = {}
    for reference, group in groups.items():
        posted = [one for one in group if one.document.posted]
        if len(posted) > 1:
            duplicates[reference] = tuple(one.document for one in posted)
            continue
        mine = [one for one in group if one.mine]
        chosen = (posted or mine or group)[0]
        kept[reference] = chosen.document
        _discard_rivals(desk, chosen.document, [one.document for one in mine if one is not chosen])
    if duplicates:
        raise DuplicatePostingError(duplicates, kept)
    return kept


def _discard_rivals(desk: Desk, kept: ErpDocument, rivals: Sequence[ErpDocument]) -> None:
    if not rivals:
        return
    drafts = [number for rival in rivals for number in ids_of(rival)]
    trouble = desk.delete(drafts)
    _log.warning("superfluous erp drafts deleted", reference=kept.reference, drafts=drafts, trouble=trouble)
    if trouble and not kept.posted:
        # The rival may be in the middle of being posted: were the kept draft posted now, both would be.
        raise TransientError(
            f"{kept.reference}: drafts {drafts} in the ERP cannot be told from {kept.document_id} yet: {trouble}"
        )


def moves(client: TrytonClient, company: Company, references: Sequence[str]) -> list[Found]:
    """Moves by their description or, where the server-side module is, by its field. Moves that cancel another (they
    name it as their origin) do not count.
    """
    wanted = list(references)
    fields = list(_MOVE_FIELDS)
    named: list[Any] = ["description", "in", wanted]
    if MOVE in company.unique:
        fields.append("hub_reference")
        named = ["OR", named, ["hub_reference", "in", wanted]]
    domain = [["company", "=", company.company_id], named]
    rows = client.call("model.account.move.search_read", domain, 0, None, [["id", "ASC"]], fields)
    return [
        Found(
            ErpDocument(
                reference=row.get("hub_reference") or row["description"],
                document_id=str(row["id"]),
                number=row["number"] or None,
                posted=row["state"] == "posted",
                posting_date=row["date"],
            ),
            row["create_uid"] == client.user_id,
        )
        for row in rows
        if not str(row["origin"] or "").startswith("account.move,")
    ]


def lines(
    client: TrytonClient, move_ids: Sequence[int], *, of_invoices: bool = False
) -> dict[int, tuple[JournalLine, ...]]:
    """The lines of moves, in the order they were entered, in the currency that each move's journal or invoice is in."""
    found: dict[int, list[dict[str, Any]]] = {}
    fields = ["move", "account.code", "debit", "credit", "description"]
    fields += ["second_currency.code", "amount_second_currency"]
    for some in pieces(move_ids, _LINE_MOVES):
        domain = [["move", "in", list(some)]]
        for row in client.call("model.account.move.line.search_read", domain, 0, None, [["id", "ASC"]], fields):
            found.setdefault(row["move"], []).append(row)
    return {move: _lines(rows, of_invoice=of_invoices) for move, rows in found.items()}


def _lines(rows: Sequence[dict[str, Any]], *, of_invoice: bool) -> tuple[JournalLine, ...]:
    """A journal in another currency than the company's has its amounts in that currency on every line. So has the move
    of an invoice, but for the line that Tryton adds for what rounding leaves; that one is nothing of the invoice.
    """
    seconds = {_second(row) for row in rows}
    if of_invoice and len(seconds) == 2 and None in seconds:
        rows = [row for row in rows if _second(row) is not None]
        seconds.discard(None)
    foreign = len(seconds) == 1 and None not in seconds
    return tuple(_line(row, foreign=foreign) for row in rows)


def _second(row: dict[str, Any]) -> str | None:
    return (row.get("second_currency.") or {}).get("code")


def _line(row: dict[str, Any], *, foreign: bool) -> JournalLine:
    amount, debit, credit = row["amount_second_currency"], row["debit"], row["credit"]
    code = _second(row)
    if foreign:
        debit, credit = max(amount, ZERO), max(-amount, ZERO)
    return JournalLine(
        account=row["account."]["code"],
        debit=debit,
        credit=credit,
        description=row["description"] or "",
        foreign=Money(amount, code) if code and not foreign else None,
    )
