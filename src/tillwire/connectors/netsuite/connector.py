"""Posts to NetSuite, one record for each journal or stock document, with the reference as its external id.

NetSuite refuses a second record of an external id; what exactly once rests on. A PUT to ``eid:…`` would be no better:
it changes what is there, and adds its lines once more. The header for idempotency counts for asynchronous calls only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import httpx2

from tillwire.connectors.erp import (
    Accepted,
    CallWatch,
    DuplicatePostingError,
    MasterKind,
    Pending,
    Posted,
    PostingOutcome,
    Rejected,
)
from tillwire.connectors.erp_run import UNAVAILABLE, Run
from tillwire.connectors.netsuite import lookup, masters
from tillwire.connectors.netsuite.books import Books
from tillwire.connectors.netsuite.client import NetSuiteClient, RefusalError
from tillwire.connectors.netsuite.settings import NetSuiteSettings
from tillwire.errors import OutcomeUnknownError
from tillwire.model.ledger import Document, DocumentKind, ErpDocument, Journal, StockDocument, kind_of
from tillwire.model.master import MasterRecord


class NetSuiteConnector:
    """One NetSuite account. For one thread at a time; several may post at once."""

    name = "netsuite"
    kinds: Sequence[MasterKind] = masters.KINDS

    def __init__(self, settings: NetSuiteSettings, *, transport: httpx2.BaseTransport | None = None) -> None:
        """``transport`` stands in for the network, for tests."""
        self.settings = settings
        self.takes: frozenset[DocumentKind] = frozenset(
            {"journal", "stock"} if settings.adjustment_accounts else {"journal"}
        )
        self.most_lanes = settings.most_lanes
        self._client = NetSuiteClient(settings, transport=transport)
        self._books = Books(self._client, settings)

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call from now on."""
        self._client.watched_by(watch)

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def post(self, documents: Sequence[Document]) -> list[PostingOutcome]:
        """Enter documents of one kind, one call each, then ask for their numbers by one. Raises what says that nothing
        happened."""
        if not documents:
            return []
        run = Run([document.reference for document in documents])
        taken = [document for document in documents if isinstance(document, Journal | StockDocument)]
        if taken:
            self._books.look_up(taken)
        there: list[int] = []
        for position, document in enumerate(documents):
            if not isinstance(document, Journal | StockDocument) or kind_of(document) not in self.takes:
                run.reject(position, f"NetSuite is not sent documents of kind {kind_of(document)} by this connector")
            elif objection := self._books.objection(document):
                run.reject(position, objection.reason, objection.kind)
            elif not self._enter(run, position, document, there):
                break
        self._settle(run, there, kind_of(documents[0]))
        return run.result()

    def _enter(self, run: Run, position: int, document: Journal | StockDocument, there: list[int]) -> bool:
        """Enter one; false if NetSuite cannot be used any more."""
        try:
            self._client.create(*self._books.record(document))
        except RefusalError as refusal:
            if refusal.there_already:
                run.happened = True
                there.append(position)
            else:
                run.reject(position, str(refusal), refusal.kind)
                if refusal.kind == "unknown_account":
                    self._books.forget_accounts()
        except OutcomeUnknownError as lost:
            run.leave_unknown([position], str(lost))
        except UNAVAILABLE as unavailable:
            run.stop(unavailable)
            return False
        else:
            run.happened = True
            there.append(position)
        return True

    def _settle(self, run: Run, there: Sequence[int], kind: DocumentKind) -> None:
        """Ask for the numbers of what NetSuite has, and whether it is posted."""
        if not there:
            return
        references = [run.references[position] for position in there]
        try:
            found = lookup.by_reference(self._client, references, kind)
        except DuplicatePostingError as error:
            found = error.found
        except UNAVAILABLE as unavailable:
            run.leave_unknown(there, f"NetSuite has it, but could not be asked for its number: {unavailable}")
            return
        for position in there:
            document = found.get(run.references[position])
            if document is None:
                run.leave_unknown([position], "NetSuite has taken it, but does not show exactly one: look it up")
            else:
                run.note(position, _outcome(document))

    def find(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """What NetSuite holds under these references; not posted: it waits for an approval."""
        return lookup.by_reference(self._client, references, kind) if kind in self.takes and references else {}

    def finish(self, documents: Sequence[ErpDocument], kind: DocumentKind = "journal") -> list[PostingOutcome]:
        """What became of entries that wait for an approval. The hub approves nothing: that is a person's part."""
        return self.poll([Pending(document.reference, document.document_id, kind) for document in documents])

    def poll(self, pending: Sequence[Pending]) -> list[PostingOutcome]:
        """Whether entries that waited for an approval are posted now, by one call."""
        if not pending:
            return []
        found = lookup.by_id(self._client, (one.handle for one in pending))
        outcomes: list[PostingOutcome] = []
        for one in pending:
            entry = found.get(one.handle)
            if entry is None:
                words = f"{one.reference}: {one.handle} has been deleted in NetSuite before it was posted"
                outcomes.append(Rejected(one.reference, words))
            elif entry.refused:
                words = f"{one.reference}: {one.handle} was rejected in NetSuite, not approved"
                outcomes.append(Rejected(one.reference, words))
            elif entry.document.number and entry.document.posted:
                outcomes.append(Posted(one.reference, one.handle, entry.document.number))
            else:
                outcomes.append(Accepted(one.reference, one.handle))
        return outcomes

    def read_back(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """As ``find``, with lines in the currency of the transaction, or goods."""
        found = self.find(references, kind)
        if kind == "stock":
            return lookup.with_goods(self._client, found)
        return lookup.with_lines(self._client, self.settings, found)

    def pull(self, kind: MasterKind, since: datetime | None = None) -> Iterator[MasterRecord]:
        """Accounts, periods and items as NetSuite has them."""
        return masters.pull(self._client, self.settings, kind, since)


def _outcome(document: ErpDocument) -> PostingOutcome:
    if document.posted and document.number:
        return Posted(document.reference, document.document_id, document.number)
    return Accepted(document.reference, document.document_id)
