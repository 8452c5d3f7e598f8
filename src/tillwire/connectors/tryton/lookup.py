"""What the ERP holds under our references: moves, by their description, with the rules for finding more than one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import structlog

from tillwire.connectors.erp import DuplicatePostingError
from tillwire.connectors.tryton.books import Company
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.errors import OutcomeUnknownError, RejectedError, TransientError
from tillwire.model.ledger import ErpDocument, JournalLine

_LINE_MOVES = 200
"""So many moves have their lines read by one call."""

_MOVE_FIELDS = ["description", "number", "state", "date", "origin", "create_uid"]
_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


def pieces(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """``items`` in runs of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def documents(
    client: TrytonClient, company: Company, references: Sequence[str], *, batch: int
) -> dict[str, ErpDocument]:
    """One document per reference that the ERP holds: the posted one, else the oldest draft.

    A request whose reply was lost can still be under way when its journal is sent again, and leave a draft beside
    the posted move. Such superfluous drafts of our own user are deleted here: nothing would ever post them, but they
    would keep the period from being closed. Moves that cancel another (they name it as their origin) do not count.

    Raises ``DuplicatePostingError`` if two are posted; ``TransientError`` and ``AuthenticationError`` as any read,
    ``TransientError`` also if there are only drafts and the superfluous ones cannot be deleted.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for some in pieces(sorted(set(references)), batch):
        domain = [["company", "=", company.company_id], ["description", "in", list(some)]]
        for row in client.call("model.account.move.search_read", domain, 0, None, [["id", "ASC"]], _MOVE_FIELDS):
            if not str(row["origin"] or "").startswith("account.move,"):
                rows.setdefault(row["description"], []).append(row)
    found: dict[str, ErpDocument] = {}
    duplicates: dict[str, tuple[ErpDocument, ...]] = {}
    for reference, group in rows.items():
        posted = [row for row in group if row["state"] == "posted"]
        if len(posted) > 1:
            duplicates[reference] = tuple(_document(row) for row in posted)
            continue
        mine = [row for row in group if row["create_uid"] == client.user_id]
        kept = (posted or mine or group)[0]
        found[reference] = _document(kept)
        _discard_rivals(client, kept, [row for row in mine if row is not kept])
    if duplicates:
        raise DuplicatePostingError(duplicates, found)
    return found


def _document(row: dict[str, Any]) -> ErpDocument:
    return ErpDocument(
        reference=row["description"],
        document_id=str(row["id"]),
        number=row["number"] or None,
        posted=row["state"] == "posted",
        posting_date=row["date"],
    )


def _discard_rivals(client: TrytonClient, kept: dict[str, Any], rivals: list[dict[str, Any]]) -> None:
    if not rivals:
        return
    reference, drafts = kept["description"], [row["id"] for row in rivals]
    trouble = discard(client, drafts)
    _log.warning("superfluous erp drafts deleted", reference=reference, drafts=drafts, trouble=trouble)
    if trouble and kept["state"] != "posted":
        # The rival may be in the middle of being posted: were the kept draft posted now, both would be.
        raise TransientError(f"{reference}: drafts {drafts} in the ERP cannot be told from {kept['id']} yet: {trouble}")


def discard(client: TrytonClient, move_ids: list[int]) -> str | None:
    """Delete drafts of ours. What went wrong, if something did: a draft that stays is in no books."""
    try:
        client.call("model.account.move.delete", move_ids)
    except (RejectedError, TransientError, OutcomeUnknownError) as trouble:
        return str(trouble)
    return None


def lines(client: TrytonClient, move_ids: Sequence[int]) -> dict[int, tuple[JournalLine, ...]]:
    """The lines of moves, in the order they were entered, amounts in the company's currency."""
    found: dict[int, list[JournalLine]] = {}
    for some in pieces(move_ids, _LINE_MOVES):
        rows = client.call(
            "model.account.move.line.search_read",
            [["move", "in", list(some)]], 0, None, [["id", "ASC"]],
            ["move", "account.code", "debit", "credit", "description"],
        )  # fmt: skip
        for row in rows:
            line = JournalLine(
                account=row["account."]["code"],
                debit=row["debit"],
                credit=row["credit"],
                description=row["description"] or "",
            )
            found.setdefault(row["move"], []).append(line)
    return {move: tuple(of_move) for move, of_move in found.items()}
