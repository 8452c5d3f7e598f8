"""Posts journals to Odoo as ``account.move``: loaded as drafts by one call, posted by another.

Each call is one transaction of Odoo's. A draft has an external id made of the journal's reference, which Odoo keeps
unique: who loads it again finds the same draft. A posted entry cannot be posted twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from tillwire.connectors.erp import (
    CallWatch,
    DuplicatePostingError,
    MasterKind,
    Pending,
    Posted,
    PostingOutcome,
    RejectionKind,
)
from tillwire.connectors.erp_run import UNAVAILABLE, Run, pieces
from tillwire.connectors.odoo import lookup, masters
from tillwire.connectors.odoo.books import Company, find_company, look_up
from tillwire.connectors.odoo.payload import FIELDS, in_company_currency, rows
from tillwire.connectors.odoo.rpc import OdooRpc
from tillwire.connectors.odoo.settings import OdooSettings
from tillwire.errors import OutcomeUnknownError, RejectedError, TillwireError
from tillwire.model.ledger import Document, DocumentKind, ErpDocument, Journal
from tillwire.model.master import MasterRecord


class _Entry(NamedTuple):
    position: int
    rows: list[list[str]]


class _Draft(NamedTuple):
    position: int
    move_id: int


class OdooConnector:
    """The ERP connector for Odoo 17 and 18. Blocking; for one thread at a time."""

    name = "odoo"
    takes: frozenset[DocumentKind] = frozenset({"journal"})
    most_lanes = 2
    """Entries of one Odoo journal take their numbers one after the other; more lanes only wait for each other."""
    kinds = masters.KINDS

    def __init__(self, settings: OdooSettings) -> None:
        self.settings = settings
        self.rpc = OdooRpc(settings)
        self._company: Company | None = None

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call from now on."""
        self.rpc.watched_by(watch)

    def post(self, documents: Sequence[Document]) -> list[PostingOutcome]:
        """Create and post the journals in calls of at most ``batch_lines`` lines; see ``ErpConnector.post``.

        Raises ``ConfigurationError`` if company or journal do not exist in Odoo.
        """
        if not documents:
            return []
        journals = [document for document in documents if isinstance(document, Journal)]
        run = Run([document.reference for document in documents])
        company = self._open()
        for batch in _batches(self._entries(documents, journals, company, run), self.settings.batch_lines):
            self._post_drafts(self._load(batch, run), run)
        return run.result()

    def find(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """What Odoo holds under these references; see ``ErpConnector.find``."""
        if not references or kind not in self.takes:
            return {}
        company = self._open()
        return lookup.documents(self.rpc, company.company_id, references, batch=self.settings.batch_references)

    def finish(self, documents: Sequence[ErpDocument], kind: DocumentKind = "journal") -> list[PostingOutcome]:
        """Post drafts that an interrupted ``post`` left behind. Looks at them first: what is gone is ``Unknown``."""
        if not documents:
            return []
        run = Run([document.reference for document in documents])
        self._open()
        drafts = [_Draft(at, int(document.document_id)) for at, document in enumerate(documents)]
        for some in pieces(drafts, self.settings.batch_references):
            self._post_drafts(self._settle(list(some), run), run)
        return run.result()

    def poll(self, pending: Sequence[Pending]) -> list[PostingOutcome]:
        """Nothing: Odoo posts at once and accepts nothing for later."""
        found = self.find([one.reference for one in pending])
        run = Run([one.reference for one in pending])
        for position, one in enumerate(pending):
            there = found.get(one.reference)
            if there is not None and there.posted:
                run.note(position, Posted(one.reference, there.document_id, there.number or ""))
            else:
                run.leave_unknown([position], "Odoo does not have it as a posted entry")
        return run.result()

    def read_back(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """As ``find``, with the lines of posted entries, amounts in the journal's currency."""
        found = self.find(references, kind)
        return lookup.with_lines(self.rpc, found, batch=self.settings.batch_references)

    def pull(self, kind: MasterKind, since: datetime | None = None) -> Iterator[MasterRecord]:
        """The records of a kind as Odoo has them, with revision 0; see ``MasterSource``. Reads only."""
        return masters.pull(self.rpc, self._open(), self.settings.company, kind, since)

    def close(self) -> None:
        """Let go of connections."""
        self.rpc.close()

    # ---- the steps of a posting

    def _open(self) -> Company:
        if self._company is None:
            self._company = find_company(self.rpc, self.settings)
        return self._company

    def _entries(
        self, documents: Sequence[Document], journals: Sequence[Journal], company: Company, run: Run
    ) -> list[_Entry]:
        dimensions = self.settings.analytic_dimensions
        books = look_up(self.rpc, company, journals, dimensions)
        entries = []
        seen: set[str] = set()
        for position, document in enumerate(documents):
            if not isinstance(document, Journal):
                run.reject(position, "this connector takes journals only")
                continue
            if document.reference in seen:
                run.reject(position, "the same reference occurs earlier in the batch")
                continue
            seen.add(document.reference)
            objection = books.objection(document, dimensions)
            if objection is not None:
                run.reject(position, *objection)
                continue
            own = document.currency == company.currency
            amounts = in_company_currency(document, None if own else books.factor(document), company.currency)
            entries.append(_Entry(position, rows(document, books.place(document), amounts, dimensions)))
        return entries

    def _load(self, entries: Sequence[_Entry], run: Run) -> list[_Draft]:
        """Drafts of the entries; those that Odoo refuses are rejected, and the others loaded without them."""
        if run.stopped_by is not None or not entries:
            return []
        try:
            answer = self.rpc.write(
                "account.move", "load", list(FIELDS), [row for entry in entries for row in entry.rows]
            )
        except RejectedError as refusal:
            return self._load_apart(entries, str(refusal), run)
        except OutcomeUnknownError as lost:
            run.leave_unknown([entry.position for entry in entries], f"creating: {lost}")
            return []
        except UNAVAILABLE as unavailable:
            run.stop(unavailable)
            return []
        ids = answer.get("ids") if isinstance(answer, dict) else None
        if ids:
            if len(ids) != len(entries):
                words = f"creating: Odoo made {len(ids)} entries of {len(entries)}"
                run.leave_unknown([entry.position for entry in entries], words)
                return []
            run.happened = True
            return [_Draft(entry.position, move_id) for entry, move_id in zip(entries, ids, strict=True)]
        return self._load_rest(entries, answer, run)

    def _load_rest(self, entries: Sequence[_Entry], answer: Any, run: Run) -> list[_Draft]:
        """``load`` names the rows that it refuses, and has undone everything."""
        messages = (answer or {}).get("messages") or [] if isinstance(answer, dict) else []
        refused: dict[int, str] = {}
        first = 0
        for entry in entries:
            own = range(first, first + len(entry.rows))
            words = [
                str(message.get("message", ""))
                for message in messages
                if message.get("type") == "error" and (message.get("rows") or {}).get("from", -1) in own
            ]
            if words:
                refused[entry.position] = " ".join(words)
            first = own.stop
        if not refused:
            return self._load_apart(entries, " ".join(str(one.get("message")) for one in messages) or "no words", run)
        self._refuse(refused, run)
        return self._load([entry for entry in entries if entry.position not in refused], run)

    def _load_apart(self, entries: Sequence[_Entry], words: str, run: Run) -> list[_Draft]:
        """A batch refused as a whole, in halves, so that a bad journal ends up alone."""
        if len(entries) == 1:
            self._refuse({entries[0].position: words}, run)
            return []
        middle = len(entries) // 2
        return self._load(entries[:middle], run) + self._load(entries[middle:], run)

    def _refuse(self, refused: Mapping[int, str], run: Run) -> None:
        """Rejected, but for those that are posted already: Odoo does not let posted entries be loaded over."""
        try:
            found = self._find_any([run.references[position] for position in refused])
        except TillwireError as trouble:
            for position, words in refused.items():
                run.leave_unknown([position], f"creating: {words}; looking it up: {trouble}")
            return
        run.happened = True
        for position, words in refused.items():
            there = found.get(run.references[position])
            if there is not None and there.posted:
                run.note(position, Posted(there.reference, there.document_id, there.number or ""))
            else:
                run.reject(position, words, rejection_kind(words))

    def _find_any(self, references: Sequence[str]) -> dict[str, ErpDocument]:
        """As ``find``, with any one of several that are posted under one reference: dispatch hears of those by its own
        look-ups."""
        try:
            return self.find(references)
        except DuplicatePostingError as doubled:
            return doubled.found | {reference: several[0] for reference, several in doubled.duplicates.items()}

    def _post_drafts(self, drafts: list[_Draft], run: Run) -> None:
        if not drafts:
            return
        positions = [draft.position for draft in drafts]
        if run.stopped_by is not None:
            run.leave_unknown(positions, f"left as a draft: {run.stopped_by}")
            return
        try:
            self.rpc.write("account.move", "action_post", [draft.move_id for draft in drafts])
        except RejectedError as refusal:
            self._post_apart(drafts, str(refusal), run)
            return
        except OutcomeUnknownError as lost:
            run.leave_unknown(positions, f"posting: {lost}")
            return
        except UNAVAILABLE as unavailable:
            run.stop(unavailable)
            if run.happened:
                run.leave_unknown(positions, f"left as a draft: {unavailable}")
            return
        run.happened = True
        left = self._settle(drafts, run)
        run.leave_unknown([draft.position for draft in left], "posting: Odoo says it did, and shows a draft")

    def _post_apart(self, drafts: list[_Draft], words: str, run: Run) -> None:
        """A refused batch: what has been posted before is told so, the rest is tried in halves, down to the one."""
        run.happened = True
        left = self._settle(drafts, run)
        if len(left) == 1 and len(drafts) == 1:
            remainder = self._discard(left[0].move_id)
            run.reject(left[0].position, f"{words}{remainder}", rejection_kind(words))
            return
        middle = (len(left) + 1) // 2
        self._post_drafts(left[:middle], run)
        self._post_drafts(left[middle:], run)

    def _settle(self, drafts: list[_Draft], run: Run) -> list[_Draft]:
        """Those that are still drafts; the others are noted as posted, or are gone."""
        try:
            moves = [draft.move_id for draft in drafts]
            found = self.rpc.read(
                "account.move", "search_read", [["id", "in", moves]], fields=["id", "name", "ref", "date", "state"]
            )
        except TillwireError as trouble:
            run.leave_unknown([draft.position for draft in drafts], f"reading what was posted: {trouble}")
            return []
        states = {row["id"]: row for row in found}
        left = []
        for draft in drafts:
            row = states.get(draft.move_id)
            reference = run.references[draft.position]
            if row is None:
                run.leave_unknown([draft.position], f"draft {draft.move_id} is no longer in Odoo")
            elif row["state"] == "posted":
                run.note(draft.position, Posted(reference, str(row["id"]), row["name"]))
            elif row["state"] == "cancel":
                run.reject(draft.position, f"it was cancelled in Odoo as {row['id']}: delete it or reset it to draft")
                run.happened = True
            else:
                left.append(draft)
        return left

    def _discard(self, move_id: int) -> str:
        """Delete a draft that Odoo will not post; in words, if it stays."""
        try:
            self.rpc.write("account.move", "unlink", [move_id])
        except TillwireError as obstacle:
            return f"; its draft {move_id} stays in Odoo: {obstacle}"
        return ""


def rejection_kind(words: str) -> RejectionKind:
    """What Odoo's words mean, in the English of its sources."""
    told = words.lower()
    if "not balanced" in told:
        return "unbalanced"
    if "lock date" in told or "prior to and inclusive of" in told or "locked period" in told:
        return "closed_period"
    if "account" in told and ("deprecated" in told or "no matching record" in told):
        return "unknown_account"
    return "other"


def _batches(entries: Sequence[_Entry], most_lines: int) -> Iterator[list[_Entry]]:
    """Runs of entries with at most ``most_lines`` lines together; one with more goes alone."""
    batch: list[_Entry] = []
    lines = 0
    for entry in entries:
        if batch and lines + len(entry.rows) > most_lines:
            yield batch
            batch, lines = [], 0
        batch.append(entry)
        lines += len(entry.rows)
    if batch:
        yield batch
