"""Documents on their way into Tryton: created as drafts by one call, posted by another, whatever kind they are.

The two are separate transactions of the ERP, each all or nothing for its batch. Nothing but the holder of a draft's
number ever posts it, and none can be posted twice; that is what "exactly once" rests on where the ERP itself takes the
same reference any number of times.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tillwire.connectors.erp import DuplicatePostingError, Posted
from tillwire.connectors.erp_run import UNAVAILABLE, Run, pieces
from tillwire.connectors.tryton import wire
from tillwire.connectors.tryton.books import Company
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.refusals import is_taken, kind_of
from tillwire.connectors.tryton.settings import TrytonSettings
from tillwire.errors import ConfigurationError, OutcomeUnknownError, RejectedError, TillwireError, TransientError
from tillwire.model.ledger import Document, DocumentKind, ErpDocument

STOPS = (*UNAVAILABLE, ConfigurationError)
"""What says that a call did nothing, and that the next would do no better."""


class Entry(NamedTuple):
    """A document as the records that it becomes in the ERP."""

    position: int
    reference: str
    records: list[dict[str, Any]]
    lines: int


class Draft(NamedTuple):
    """A document that stands in the ERP, posted or not; ``ids`` are all of its records."""

    position: int
    reference: str
    ids: tuple[int, ...]


class Desk(ABC):
    """One kind of documents of one company in Tryton."""

    kind: DocumentKind
    model: str
    post_method: str

    def __init__(self, client: TrytonClient, company: Company, settings: TrytonSettings) -> None:
        self.client = client
        self.company = company
        self.settings = settings

    @abstractmethod
    def entries(self, documents: Sequence[tuple[int, Any]], run: Run) -> list[Entry]:
        """The documents, by position, as records; those that cannot be posted are rejected in ``run``. Reads only."""

    @abstractmethod
    def held(self, references: Sequence[str]) -> dict[str, ErpDocument]:
        """What the ERP holds under these references, without its content. Raises ``DuplicatePostingError``."""

    @abstractmethod
    def posted(self, ids: Sequence[int]) -> dict[int, bool]:
        """Whether records are posted; those that are gone are left out."""

    @abstractmethod
    def filled(self, documents: Mapping[str, ErpDocument]) -> dict[str, ErpDocument]:
        """The documents that ``held`` told, with what stands in the books under those that are posted."""

    def delete(self, ids: Sequence[int]) -> str | None:
        """Delete drafts of ours. What went wrong, if something did: a draft that stays is in no books."""
        try:
            self.client.call(f"model.{self.model}.delete", list(ids))
        except (RejectedError, TransientError, OutcomeUnknownError) as trouble:
            return str(trouble)
        return None


class Drafts:
    """One ``post`` or ``finish`` of documents of one kind; what becomes of them is noted in ``run``."""

    def __init__(self, desk: Desk, run: Run) -> None:
        self._desk = desk
        self._run = run
        self._posted: list[Draft] = []

    def post(self, documents: Sequence[tuple[int, Document]], *, batch_lines: int, batch_references: int) -> None:
        """Create and post documents, given with their positions. What the ERP is seen to hold is not created again."""
        try:
            entries = self._desk.entries(documents, self._run)
            held = self._held([entry.reference for entry in entries], batch_references)
        except STOPS as unavailable:
            self._run.stop(unavailable)
            return
        there, new = self._sorted(entries, held)
        for some in pieces(there, batch_references):
            self._post(list(some))
        for batch in _batches(new, batch_lines):
            self._post(self._create(batch))
        self._number(batch_references)

    def finish(self, documents: Sequence[ErpDocument], *, batch_references: int) -> None:
        """Post drafts, all of ``run``. What has been posted meanwhile is posted, what is gone is unknown."""
        held: dict[str, ErpDocument] = {}
        for some in pieces([document.reference for document in documents], batch_references):
            held |= self._desk.held(some)
        drafts: list[Draft] = []
        for position, document in enumerate(documents):
            current = held.get(document.reference)
            if current is None:
                self._leave_unknown([position], f"draft {document.document_id} is no longer in the ERP")
            else:
                self._sort_in(position, current, drafts)
        for batch in pieces(drafts, batch_references):
            self._post(list(batch))
        self._number(batch_references)

    def _leave_unknown(self, positions: Sequence[int], reason: str) -> None:
        self._run.leave_unknown(positions, reason)

    def _held(self, references: Sequence[str], batch: int) -> dict[str, ErpDocument | None]:
        """What is there already; none for a reference that is posted twice."""
        held: dict[str, ErpDocument | None] = {}
        for some in pieces(references, batch):
            try:
                held |= self._desk.held(some)
            except DuplicatePostingError as twice:
                held |= twice.found | dict.fromkeys(twice.duplicates)
        return held

    def _sorted(
        self, entries: Sequence[Entry], held: Mapping[str, ErpDocument | None]
    ) -> tuple[list[Draft], list[Entry]]:
        """The drafts that are there, and what is to be created; what is posted is noted."""
        drafts: list[Draft] = []
        new = []
        for entry in entries:
            if entry.reference not in held:
                new.append(entry)
            elif (document := held[entry.reference]) is not None:
                self._sort_in(entry.position, document, drafts)
            else:
                self._leave_unknown([entry.position], "the ERP has it more than once: look it up")
        return drafts, new

    def _sort_in(self, position: int, document: ErpDocument, drafts: list[Draft]) -> None:
        draft = Draft(position, document.reference, ids_of(document))
        if document.posted:
            self._run.happened = True
            self._posted.append(draft)
        else:
            drafts.append(draft)

    def _create(self, entries: Sequence[Entry]) -> list[Draft]:
        if self._run.stopped_by is not None or not entries:
            return []
        positions = [entry.position for entry in entries]
        records = [record for entry in entries for record in entry.records]
        try:
            ids = iter(self._desk.client.call(f"model.{self._desk.model}.create", records))
        except RejectedError as refusal:
            return self._create_apart(entries, refusal)
        except OutcomeUnknownError as lost:
            self._leave_unknown(positions, f"creating: {lost}")
            return []
        except STOPS as unavailable:
            self._run.stop(unavailable)
            return []
        self._run.happened = True
        return [Draft(entry.position, entry.reference, tuple(next(ids) for _ in entry.records)) for entry in entries]

    def _create_apart(self, entries: Sequence[Entry], refusal: RejectedError) -> list[Draft]:
        """A refused batch, in halves, so that a bad document ends up alone."""
        if is_taken(str(refusal)):
            return self._create_rest(entries, refusal)
        if isinstance(refusal, wire.ErpFaultError) and self._may_be_there(entries):
            # An ERP that broke down rather than refused may have done so after its commit.
            self._leave_unknown([entry.position for entry in entries], f"creating: {refusal}")
            return []
        if len(entries) == 1:
            self._run.reject(entries[0].position, str(refusal), kind_of(str(refusal)))
            return []
        middle = len(entries) // 2
        return self._create(entries[:middle]) + self._create(entries[middle:])

    def _create_rest(self, entries: Sequence[Entry], refusal: RejectedError) -> list[Draft]:
        """The ERP has at least one of the references already: take what it has, create the others."""
        references = [entry.reference for entry in entries]
        try:
            held = self._held(references, len(references))
        except TillwireError as trouble:
            self._leave_unknown([entry.position for entry in entries], f"creating: {refusal}; looking up: {trouble}")
            return []
        if not held:
            # Whoever had it has deleted it since.
            self._leave_unknown([entry.position for entry in entries], f"creating: {refusal} It is not found, though")
            return []
        drafts, new = self._sorted(entries, held)
        return drafts + self._create(new)

    def _may_be_there(self, entries: Sequence[Entry]) -> bool:
        try:
            return bool(self._desk.held([entry.reference for entry in entries]))
        except TillwireError:
            return True

    def _post(self, drafts: list[Draft]) -> None:
        if not drafts:
            return
        positions = [draft.position for draft in drafts]
        if self._run.stopped_by is not None:
            self._leave_unknown(positions, f"left as a draft: {self._run.stopped_by}")
            return
        ids = [number for draft in drafts for number in draft.ids]
        try:
            self._desk.client.call(f"model.{self._desk.model}.{self._desk.post_method}", ids)
        except RejectedError as refusal:
            if len(drafts) == 1:
                self._settle_refused(drafts[0], refusal)
                return
            middle = len(drafts) // 2
            self._post(drafts[:middle])
            self._post(drafts[middle:])
        except OutcomeUnknownError as lost:
            self._leave_unknown(positions, f"posting: {lost}")
        except STOPS as unavailable:
            self._run.stop(unavailable)
            if self._run.happened:
                self._leave_unknown(positions, f"left as a draft: {unavailable}")
        else:
            self._run.happened = True
            self._posted += drafts

    def _settle_refused(self, draft: Draft, refusal: RejectedError) -> None:
        """A draft that the ERP will not post. It may be that someone else has posted or deleted it."""
        self._run.happened = True
        try:
            posted = self._desk.posted(draft.ids)
        except TillwireError as trouble:
            self._leave_unknown([draft.position], f"posting: {refusal}; looking it up: {trouble}")
            return
        if len(posted) < len(draft.ids):
            self._leave_unknown([draft.position], f"draft {draft.ids[0]} is no longer in the ERP: {refusal}")
        elif all(posted.values()):
            self._posted.append(draft)
        else:
            obstacle = self._desk.delete(draft.ids)
            remainder = f"; its draft {draft.ids[0]} stays in the ERP: {obstacle}" if obstacle else ""
            self._run.reject(draft.position, f"{refusal}{remainder}", kind_of(str(refusal)))

    def _number(self, batch: int) -> None:
        """Note what was posted, as the ERP itself tells it by the references: with numbers, and once each. A draft
        that is left of a request which arrived twice is deleted on the way.
        """
        for some in pieces(self._posted, batch):
            try:
                held = self._held([draft.reference for draft in some], batch)
            except TillwireError as trouble:
                self._leave_unknown(
                    [draft.position for draft in some], f"posted, but its number could not be read: {trouble}"
                )
                continue
            for draft in some:
                document = held.get(draft.reference)
                if document is not None and document.posted and document.number:
                    posted = Posted(draft.reference, document.document_id, document.number)
                    self._run.note(draft.position, posted)
                else:
                    self._leave_unknown(
                        [draft.position], f"posted as {draft.ids[0]}, but the ERP does not tell one number"
                    )


def document_id(ids: Sequence[int]) -> str:
    """What we call a document of these records."""
    return ",".join(str(number) for number in ids)


def ids_of(document: ErpDocument) -> tuple[int, ...]:
    """The numbers of the records that a document consists of."""
    return tuple(int(number) for number in document.document_id.split(","))


def _batches(entries: Iterable[Entry], most_lines: int) -> Iterator[list[Entry]]:
    """Runs of entries with at most so many lines together; an entry with more goes alone."""
    batch: list[Entry] = []
    lines = 0
    for entry in entries:
        if batch and lines + entry.lines > most_lines:
            yield batch
            batch, lines = [], 0
        batch.append(entry)
        lines += entry.lines
    if batch:
        yield batch
