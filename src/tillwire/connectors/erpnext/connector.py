"""Posts journals to ERPNext as ``Journal Entry``, many by one call.

With a unique ``reference_field`` they are inserted and submitted at once: ERPNext itself refuses a second. Without one
they are inserted as drafts and submitted singly by name: a draft too many does no harm, and a submitted one cannot be
submitted again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from tillwire.connectors.erp import CallWatch, MasterKind, Pending, Posted, PostingOutcome
from tillwire.connectors.erp_run import UNAVAILABLE, Run, pieces
from tillwire.connectors.erpnext import lookup, masters
from tillwire.connectors.erpnext.books import company_currency, look_up
from tillwire.connectors.erpnext.payload import DOCTYPE, entry
from tillwire.connectors.erpnext.rest import AlreadyThereError, FrappeRest, GoneError, rejection_kind
from tillwire.connectors.erpnext.settings import ErpNextSettings
from tillwire.errors import OutcomeUnknownError, RejectedError, TillwireError
from tillwire.model.ledger import Document, DocumentKind, ErpDocument, Journal
from tillwire.model.master import MasterRecord


class _Entry(NamedTuple):
    position: int
    document: dict[str, Any]


class _Draft(NamedTuple):
    position: int
    name: str


class ErpNextConnector:
    """The ERP connector for ERPNext 14 and 15. Blocking; for one thread at a time."""

    name = "erpnext"
    takes: frozenset[DocumentKind] = frozenset({"journal"})
    most_lanes = 4
    kinds = masters.KINDS

    def __init__(self, settings: ErpNextSettings) -> None:
        self.settings = settings
        self.rest = FrappeRest(settings)
        self._currency = ""

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call from now on."""
        self.rest.watched_by(watch)

    def post(self, documents: Sequence[Document]) -> list[PostingOutcome]:
        """Insert and submit the journals, at most ``batch_journals`` by one call; see ``ErpConnector.post``."""
        if not documents:
            return []
        run = Run([document.reference for document in documents])
        for batch in pieces(self._entries(documents, run), self.settings.batch_journals):
            self._insert(batch, run)
        return run.result()

    def find(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """What ERPNext holds under these references; see ``ErpConnector.find``.

        Deletes drafts of ours that are one too many, which a network that repeats itself may have left.
        """
        if not references or kind not in self.takes:
            return {}
        found = lookup.look_up(self.rest, self.settings, references)
        for name in found.superfluous:
            self._discard(name)
        return found.unique()

    def finish(self, documents: Sequence[ErpDocument], kind: DocumentKind = "journal") -> list[PostingOutcome]:
        """Submit drafts that an interrupted ``post`` left behind. Looks first: what is gone is ``Unknown``."""
        if not documents:
            return []
        run = Run([document.reference for document in documents])
        found = self._there(run.references)
        for position, reference in enumerate(run.references):
            there = found.get(reference)
            if there is None:
                run.leave_unknown([position], f"draft {documents[position].document_id} is no longer in ERPNext")
            elif there.posted:
                run.note(position, Posted(reference, there.document_id, there.number or ""))
            else:
                self._submit(_Draft(position, there.document_id), run)
        return run.result()

    def poll(self, pending: Sequence[Pending]) -> list[PostingOutcome]:
        """What is posted: ERPNext accepts nothing for later, and dispatch has nothing to ask."""
        run = Run([one.reference for one in pending])
        found = self.find(run.references)
        for position, reference in enumerate(run.references):
            there = found.get(reference)
            if there is not None and there.posted:
                run.note(position, Posted(reference, there.document_id, there.number or ""))
            else:
                run.leave_unknown([position], "ERPNext does not have it as a submitted entry")
        return run.result()

    def read_back(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """As ``find``, with what stands in the ledger under posted entries, amounts in the accounts' currencies."""
        return lookup.with_lines(self.rest, self.settings, self.find(references, kind))

    def pull(self, kind: MasterKind, since: datetime | None = None) -> Iterator[MasterRecord]:
        """The records of a kind as ERPNext has them, with revision 0; see ``MasterSource``. Reads only."""
        return masters.pull(self.rest, self.settings, kind, since)

    def close(self) -> None:
        """Let go of connections."""
        self.rest.close()

    # ---- the steps of a posting

    def _entries(self, documents: Sequence[Document], run: Run) -> list[_Entry]:
        if not self._currency:
            # Frappe drops fields that it does not have without a word: nothing is sent before a look-up by ours works.
            lookup.look_up(self.rest, self.settings, [documents[0].reference])
            self._currency = company_currency(self.rest, self.settings)
        journals = [document for document in documents if isinstance(document, Journal)]
        books = look_up(self.rest, self.settings, self._currency, journals)
        at_once = bool(self.settings.reference_field)
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
            objection = books.objection(document)
            if objection is not None:
                run.reject(position, *objection)
                continue
            try:
                made = entry(document, books.accounts, books.valuation(document), self.settings, submit=at_once)
            except ValueError as error:
                run.reject(position, str(error))
                continue
            entries.append(_Entry(position, made))
        return entries

    def _insert(self, entries: Sequence[_Entry], run: Run) -> None:
        """Insert entries, in halves where ERPNext refuses, so that a bad one ends up alone."""
        if run.stopped_by is not None or not entries:
            return
        positions = [one.position for one in entries]
        try:
            names = self.rest.insert_many([one.document for one in entries])
        except AlreadyThereError as refusal:
            self._insert_others(entries, str(refusal), run)
            return
        except RejectedError as refusal:
            if len(entries) == 1:
                run.happened = True
                run.reject(positions[0], str(refusal), rejection_kind(str(refusal)))
                return
            middle = len(entries) // 2
            self._insert(entries[:middle], run)
            self._insert(entries[middle:], run)
            return
        except OutcomeUnknownError as lost:
            run.leave_unknown(positions, f"creating: {lost}")
            return
        except UNAVAILABLE as unavailable:
            run.stop(unavailable)
            return
        if len(names) != len(entries):
            run.leave_unknown(positions, f"creating: ERPNext made {len(names)} entries of {len(entries)}")
            return
        run.happened = True
        for position, name in zip(positions, names, strict=True):
            if self.settings.reference_field:
                run.note(position, Posted(run.references[position], name, name))
            else:
                self._submit(_Draft(position, name), run)

    def _insert_others(self, entries: Sequence[_Entry], words: str, run: Run) -> None:
        """Of a batch with references that are there already: note these, and insert the rest."""
        run.happened = True
        try:
            found = self._there([run.references[one.position] for one in entries])
        except TillwireError as trouble:
            run.leave_unknown([one.position for one in entries], f"creating: {words}; looking it up: {trouble}")
            return
        others = []
        for one in entries:
            there = found.get(run.references[one.position])
            if there is None:
                others.append(one)
            elif there.posted:
                run.note(one.position, Posted(there.reference, there.document_id, there.number or ""))
            else:
                self._submit(_Draft(one.position, there.document_id), run)
        if len(others) == len(entries) == 1:
            # A cancelled entry keeps its reference, and nothing else can have it.
            run.reject(others[0].position, f"{words}; it is neither submitted nor a draft: look for a cancelled entry")
            return
        middle = len(others) // 2 if len(others) == len(entries) else len(others)
        self._insert(others[:middle], run)
        self._insert(others[middle:], run)

    def _submit(self, draft: _Draft, run: Run) -> None:
        if run.stopped_by is not None:
            run.leave_unknown([draft.position], f"left as a draft: {run.stopped_by}")
            return
        try:
            self.rest.submit(DOCTYPE, draft.name)
        except GoneError as gone:
            run.leave_unknown([draft.position], f"draft {draft.name} is no longer in ERPNext: {gone}")
        except RejectedError as refusal:
            run.happened = True
            remainder = self._discard(draft.name)
            run.reject(draft.position, f"{refusal}{remainder}", rejection_kind(str(refusal)))
        except OutcomeUnknownError as lost:
            run.leave_unknown([draft.position], f"posting: {lost}")
        except UNAVAILABLE as unavailable:
            run.stop(unavailable)
            run.leave_unknown([draft.position], f"left as a draft: {unavailable}")
        else:
            run.note(draft.position, Posted(run.references[draft.position], draft.name, draft.name))

    def _there(self, references: Sequence[str]) -> dict[str, ErpDocument]:
        """What is there, any one of several that are posted: dispatch hears of those by its own look-ups."""
        found = lookup.look_up(self.rest, self.settings, references)
        return found.documents | {reference: several[0] for reference, several in found.duplicates.items()}

    def _discard(self, name: str) -> str:
        """Delete a draft; in words, if it stays."""
        try:
            self.rest.delete(DOCTYPE, name)
        except TillwireError as obstacle:
            return f"; its draft {name} stays in ERPNext: {obstacle}"
        return ""
