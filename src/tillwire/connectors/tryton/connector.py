"""Posts journals to Tryton as ``account.move``: created as drafts by one call, posted by another.

The two are separate transactions of the ERP, each all or nothing for its batch. Nothing but the holder of a draft's
number ever posts it, and a move cannot be posted twice; that is what "exactly once" rests on here, as Tryton itself
takes the same description any number of times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from tillwire.connectors.erp import CallWatch, MasterKind, Posted, PostingOutcome, Rejected, Unknown
from tillwire.connectors.tryton import lookup, masters, wire
from tillwire.connectors.tryton.books import Books, Company, find_company, look_up
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.settings import TrytonSettings
from tillwire.errors import AuthenticationError, OutcomeUnknownError, RejectedError, TillwireError, TransientError
from tillwire.model.ledger import ErpDocument, Journal
from tillwire.model.master import MasterRecord


class _Draft(NamedTuple):
    position: int
    reference: str
    move_id: int


class _Entry(NamedTuple):
    position: int
    journal: Journal
    move: dict[str, Any]


class _Run:
    """The state of one ``post`` or ``finish``: an outcome for each position, in the end."""

    def __init__(self, references: Sequence[str]) -> None:
        self.references = references
        self.outcomes: dict[int, PostingOutcome] = {}
        self.posted: list[_Draft] = []
        self.happened = False
        """True once the ERP may hold something of this run."""
        self.stopped_by: TillwireError | None = None

    def reject(self, position: int, reason: str) -> None:
        reference = self.references[position]
        words = reason if reason.startswith(reference) else f"{reference}: {reason}"
        self.outcomes[position] = Rejected(reference, words)

    def leave_unknown(self, positions: Sequence[int], reason: str) -> None:
        for position in positions:
            self.outcomes[position] = Unknown(self.references[position], reason)

    def stop(self, error: TillwireError) -> None:
        """The ERP cannot be used at present: send nothing more."""
        self.stopped_by = self.stopped_by or error

    def result(self) -> list[PostingOutcome]:
        if self.stopped_by is not None:
            if not self.happened:
                raise self.stopped_by
            rest = [position for position in range(len(self.references)) if position not in self.outcomes]
            self.leave_unknown(rest, f"not sent: {self.stopped_by}")
        return [self.outcomes[position] for position in range(len(self.references))]


class TrytonConnector:
    """The ERP connector for Tryton 8.2. Blocking; for one thread at a time, and one lane per company is best:
    posting takes numbers from a sequence that only one transaction can hold.
    """

    name = "tryton"

    def __init__(self, settings: TrytonSettings, *, watch: CallWatch | None = None) -> None:
        self.settings = settings
        self.client = TrytonClient(settings, watch=watch)
        self._company: Company | None = None

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call from now on."""
        self.client.watch = watch

    def post(self, journals: Sequence[Journal]) -> list[PostingOutcome]:
        """Create and post the journals, amounts in the company's currency; one outcome per journal, in order.

        In calls of at most ``batch_lines`` lines. A refused batch is halved until the journals at fault are alone;
        their drafts are deleted. Journals whose create or post got no reply are ``Unknown``, as are those not sent
        because the ERP became unavailable on the way; the rest stand.

        Raises ``TransientError`` (``RateLimitedError``) or ``AuthenticationError`` if nothing at all has happened,
        and ``ConfigurationError`` if company or journal do not exist in the ERP.
        """
        if not journals:
            return []
        company = self._open()
        books = look_up(self.client, company, journals)
        run = _Run([journal.reference for journal in journals])
        for batch in _batches(self._entries(journals, books, run), self.settings.batch_lines):
            self._post_drafts(self._create(batch, run), run)
        return self._numbered(run)

    def find(self, references: Sequence[str]) -> dict[str, ErpDocument]:
        """What the ERP holds under these references, posted or draft. A missing key means: it is not there.

        Deletes superfluous drafts of our own on the way (see ``lookup.documents``). Raises ``DuplicatePostingError``
        if two moves are posted under one reference; it carries what was found for the others.
        """
        return lookup.documents(self.client, self._open(), references, batch=self.settings.batch_references)

    def finish(self, documents: Sequence[ErpDocument]) -> list[PostingOutcome]:
        """Post drafts that an earlier, interrupted ``post`` left behind; one outcome per document, in order.

        Looks them up first: what has been posted meanwhile is ``Posted``, what is gone is ``Unknown`` (look it up,
        then send it again). Raises as ``post`` and ``find`` do.
        """
        if not documents:
            return []
        found = self.find([document.reference for document in documents])
        run = _Run([document.reference for document in documents])
        drafts: list[_Draft] = []
        for position, reference in enumerate(run.references):
            current = found.get(reference)
            if current is None:
                run.leave_unknown([position], f"draft {documents[position].document_id} is no longer in the ERP")
                continue
            draft = _Draft(position, reference, int(current.document_id))
            (run.posted if current.posted else drafts).append(draft)
        for some in lookup.pieces(drafts, self.settings.batch_references):
            self._post_drafts(list(some), run)
        return self._numbered(run)

    def read_back(self, references: Sequence[str]) -> dict[str, ErpDocument]:
        """As ``find``, with the lines of the posted documents, amounts in the company's currency."""
        found = self.find(references)
        posted = [int(document.document_id) for document in found.values() if document.posted]
        lines = lookup.lines(self.client, posted)
        return {
            reference: ErpDocument(
                reference=reference,
                document_id=document.document_id,
                number=document.number,
                posted=document.posted,
                posting_date=document.posting_date,
                lines=lines.get(int(document.document_id), ()),
            )
            for reference, document in found.items()
        }

    kinds = masters.KINDS

    def pull(self, kind: MasterKind, since: datetime | None = None) -> Iterator[MasterRecord]:
        """The records of a kind as the ERP has them, with revision 0; see ``MasterSource``. Reads only."""
        company = self._open()
        name = self.settings.hub_companies[0] if self.settings.hub_companies else self.settings.company
        return masters.pull(self.client, company, name, kind, since)

    def close(self) -> None:
        """Log out and let go of the connection."""
        self.client.close()

    def _open(self) -> Company:
        if self._company is None:
            company = find_company(self.client, self.settings)
            self.client.context = {"company": company.company_id}
            self._company = company
        return self._company

    def _entries(self, journals: Sequence[Journal], books: Books, run: _Run) -> list[_Entry]:
        entries = []
        seen: set[str] = set()
        for position, journal in enumerate(journals):
            objection = books.objection(journal, self.settings)
            if journal.reference in seen:
                objection = f"{journal.reference}: the same reference occurs earlier in the batch"
            seen.add(journal.reference)
            if objection:
                run.reject(position, objection)
            else:
                entries.append(_Entry(position, journal, books.move(journal)))
        return entries

    def _create(self, entries: Sequence[_Entry], run: _Run) -> list[_Draft]:
        if run.stopped_by is not None:
            return []
        positions = [entry.position for entry in entries]
        try:
            move_ids = self.client.call("model.account.move.create", [entry.move for entry in entries])
        except RejectedError as refusal:
            return self._create_apart(entries, refusal, run)
        except OutcomeUnknownError as lost:
            run.happened = True
            run.leave_unknown(positions, f"creating: {lost}")
            return []
        except (TransientError, AuthenticationError) as unavailable:
            run.stop(unavailable)
            return []
        run.happened = True
        return [
            _Draft(entry.position, entry.journal.reference, move_id)
            for entry, move_id in zip(entries, move_ids, strict=True)
        ]

    def _create_apart(self, entries: Sequence[_Entry], refusal: RejectedError, run: _Run) -> list[_Draft]:
        """A refused batch, in halves, so that a bad journal ends up alone."""
        if isinstance(refusal, wire.ErpFaultError) and self._may_be_there(entries):
            # An ERP that broke down rather than refused may have done so after its commit.
            run.happened = True
            run.leave_unknown([entry.position for entry in entries], f"creating: {refusal}")
            return []
        if len(entries) == 1:
            run.reject(entries[0].position, str(refusal))
            return []
        middle = len(entries) // 2
        return self._create(entries[:middle], run) + self._create(entries[middle:], run)

    def _may_be_there(self, entries: Sequence[_Entry]) -> bool:
        try:
            return bool(self.find([entry.journal.reference for entry in entries]))
        except TillwireError:
            return True

    def _post_drafts(self, drafts: list[_Draft], run: _Run) -> None:
        if not drafts:
            return
        positions = [draft.position for draft in drafts]
        if run.stopped_by is not None:
            run.leave_unknown(positions, f"left as a draft: {run.stopped_by}")
            return
        try:
            self.client.call("model.account.move.post", [draft.move_id for draft in drafts])
        except RejectedError as refusal:
            if len(drafts) == 1:
                self._settle_refused(drafts[0], refusal, run)
                return
            middle = len(drafts) // 2
            self._post_drafts(drafts[:middle], run)
            self._post_drafts(drafts[middle:], run)
        except OutcomeUnknownError as lost:
            run.happened = True
            run.leave_unknown(positions, f"posting: {lost}")
        except (TransientError, AuthenticationError) as unavailable:
            run.stop(unavailable)
            if run.happened:
                run.leave_unknown(positions, f"left as a draft: {unavailable}")
        else:
            run.happened = True
            run.posted += drafts

    def _settle_refused(self, draft: _Draft, refusal: RejectedError, run: _Run) -> None:
        """A draft that the ERP will not post. It may be that someone else has posted or deleted it."""
        run.happened = True
        try:
            rows = self._read_moves([draft.move_id])
        except TillwireError as trouble:
            run.leave_unknown([draft.position], f"posting: {refusal}; looking it up: {trouble}")
            return
        if not rows:
            run.leave_unknown([draft.position], f"draft {draft.move_id} is no longer in the ERP: {refusal}")
        elif rows[0]["state"] == "posted":
            run.posted.append(draft)
        else:
            obstacle = lookup.discard(self.client, [draft.move_id])
            remainder = f"; its draft {draft.move_id} stays in the ERP: {obstacle}" if obstacle else ""
            run.reject(draft.position, f"{refusal}{remainder}")

    def _numbered(self, run: _Run) -> list[PostingOutcome]:
        """The outcomes, once the numbers of what was posted have been read."""
        for some in lookup.pieces(run.posted, self.settings.batch_references):
            try:
                numbers = {row["id"]: row["number"] for row in self._read_moves([draft.move_id for draft in some])}
            except (TransientError, AuthenticationError, RejectedError) as trouble:
                run.leave_unknown([draft.position for draft in some], f"posted, but reading its number: {trouble}")
                continue
            for draft in some:
                number = numbers.get(draft.move_id)
                if number:
                    run.outcomes[draft.position] = Posted(draft.reference, str(draft.move_id), number)
                else:
                    run.leave_unknown([draft.position], f"posted as {draft.move_id}, but it has no number")
        return run.result()

    def _read_moves(self, move_ids: list[int]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.client.call(
            "model.account.move.search_read", [["id", "in", move_ids]], 0, None, None, ["number", "state"]
        )
        return rows


def _batches(entries: Sequence[_Entry], most_lines: int) -> Iterator[list[_Entry]]:
    """Runs of entries with at most so many lines together; an entry with more goes alone."""
    batch: list[_Entry] = []
    lines = 0
    for entry in entries:
        count = len(entry.journal.lines)
        if batch and lines + count > most_lines:
            yield batch
            batch, lines = [], 0
        batch.append(entry)
        lines += count
    if batch:
        yield batch
