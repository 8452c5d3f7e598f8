"""The ERP connector for Tryton: journals as moves, stock documents as stock moves, invoices as invoices.

How a document gets posted exactly once is told in ``drafts``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from tillwire.connectors.erp import CallWatch, DuplicatePostingError, MasterKind, Pending, PostingOutcome, Unknown
from tillwire.connectors.erp_run import Run, pieces
from tillwire.connectors.tryton import masters
from tillwire.connectors.tryton.books import Company, find_company
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.drafts import Desk, Drafts
from tillwire.connectors.tryton.invoices import InvoiceDesk
from tillwire.connectors.tryton.journals import JournalDesk
from tillwire.connectors.tryton.settings import TrytonSettings
from tillwire.connectors.tryton.stock import StockDesk
from tillwire.model.ledger import Document, DocumentKind, ErpDocument, kind_of
from tillwire.model.master import MasterRecord

_DESKS: dict[DocumentKind, type[Desk]] = {"journal": JournalDesk, "stock": StockDesk, "invoice": InvoiceDesk}


class TrytonConnector:
    """The ERP connector for Tryton 8.2: one company's books. Blocking; for one thread at a time."""

    name = "tryton"
    takes: frozenset[DocumentKind] = frozenset(_DESKS)
    most_lanes = 1
    """Posting takes numbers from a sequence that only one transaction can hold. And without the server-side module, the
    one lane and the look-up before creating are what keeps a reference from being posted twice."""

    def __init__(self, settings: TrytonSettings, *, watch: CallWatch | None = None) -> None:
        self.settings = settings
        self.client = TrytonClient(settings, watch=watch)
        self._company: Company | None = None

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call from now on."""
        self.client.watch = watch

    def post(self, documents: Sequence[Document]) -> list[PostingOutcome]:
        """Create and post the documents; one outcome per document, in order.

        In calls of at most ``batch_lines`` lines. What the ERP holds already is not created again. A refused batch is
        halved until the documents at fault are alone; their drafts are deleted. Documents whose create or post got no
        reply are ``Unknown``; those not sent because the ERP became unavailable on the way are ``NotSent``; the rest
        stand.

        Raises ``TransientError`` (``RateLimitedError``) or ``AuthenticationError`` if nothing at all has happened,
        and ``ConfigurationError`` if company or journal do not exist in the ERP.
        """
        if not documents:
            return []
        run = Run([document.reference for document in documents])
        by_kind: dict[DocumentKind, list[tuple[int, Document]]] = {}
        seen: set[tuple[DocumentKind, str]] = set()
        for position, document in enumerate(documents):
            kind = kind_of(document)
            if (kind, document.reference) in seen:
                run.reject(position, "the same reference occurs earlier in the batch")
                continue
            seen.add((kind, document.reference))
            by_kind.setdefault(kind, []).append((position, document))
        for kind, of_kind in by_kind.items():
            if run.stopped_by is None:
                batches = {"batch_lines": self.settings.batch_lines, "batch_references": self.settings.batch_references}
                Drafts(self._desk(kind), run).post(of_kind, **batches)
        return run.result()

    def find(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """What the ERP holds under these references, posted or draft. A missing key means: it is not there.

        Deletes superfluous drafts of our own on the way (see ``lookup.one_each``). Raises ``DuplicatePostingError``
        if two are posted under one reference; it carries what was found for the others.
        """
        desk = self._desk(kind)
        found: dict[str, ErpDocument] = {}
        duplicates: dict[str, tuple[ErpDocument, ...]] = {}
        for some in pieces(sorted(set(references)), self.settings.batch_references):
            try:
                found |= desk.held(some)
            except DuplicatePostingError as twice:
                found |= twice.found
                duplicates |= twice.duplicates
        if duplicates:
            raise DuplicatePostingError(duplicates, found)
        return found

    def finish(self, documents: Sequence[ErpDocument], kind: DocumentKind = "journal") -> list[PostingOutcome]:
        """Post drafts that an earlier, interrupted ``post`` left behind; one outcome per document, in order.

        Looks them up first: what has been posted meanwhile is ``Posted``, what is gone is ``Unknown`` (look it up,
        then send it again). Raises as ``post`` and ``find`` do.
        """
        if not documents:
            return []
        run = Run([document.reference for document in documents])
        Drafts(self._desk(kind), run).finish(documents, batch_references=self.settings.batch_references)
        return run.result()

    def poll(self, pending: Sequence[Pending]) -> list[PostingOutcome]:
        """Tryton posts at once, so nothing is ever accepted only; whoever asks is told to look it up."""
        return [Unknown(one.reference, "Tryton accepts nothing without posting it: look it up") for one in pending]

    def read_back(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """As ``find``, with the posted lines in the currency of the journal or invoice, or the goods that moved."""
        found = self.find(references, kind)
        return self._desk(kind).filled(found)

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

    def _desk(self, kind: DocumentKind) -> Desk:
        return _DESKS[kind](self.client, self._open(), self.settings)
