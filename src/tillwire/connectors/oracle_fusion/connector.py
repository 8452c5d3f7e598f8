"""Imports journals into Oracle Fusion, has them posted, and says what became of them.

An import answers with the number of a job. When the job is over, each journal is a batch of its own that is not posted
(or refused, for reasons in the job's files); AutoPost posts what it is told to. Accepted lasts until a batch is posted.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from tillwire import clock
from tillwire.connectors.erp import (
    Accepted,
    CallWatch,
    DuplicatePostingError,
    Pending,
    Posted,
    PostingOutcome,
    Rejected,
    Unknown,
)
from tillwire.connectors.erp_run import UNAVAILABLE, Run
from tillwire.connectors.oracle_fusion import lookup
from tillwire.connectors.oracle_fusion.client import OracleFusionClient
from tillwire.connectors.oracle_fusion.fbdi import batch_name, objection, packed, rows
from tillwire.connectors.oracle_fusion.lookup import Batch
from tillwire.connectors.oracle_fusion.outcome import Refusal, failed_jobs, refusals, texts
from tillwire.connectors.oracle_fusion.settings import OracleFusionSettings
from tillwire.errors import OutcomeUnknownError, TransientError
from tillwire.model.ledger import Document, DocumentKind, ErpDocument, Journal

_Batch = list[tuple[int, Journal]]

IN_WORK = frozenset({"WAIT", "READY", "RUNNING", "BLOCKED", "COMPLETED", "PAUSED", "HOLD", "PENDING_VALIDATION", ""})
"""Statuses of a job that is not over. COMPLETED is: its work is done, what follows it is not."""
NO_JOB = "posting"
"""The first part of a handle that has no import: the batch is there, and waits for being posted."""


class OracleFusionConnector:
    """The ERP connector for Oracle Fusion Cloud Financials. Blocking; for one thread at a time."""

    name = "oracle_fusion"
    takes: frozenset[DocumentKind] = frozenset({"journal"})
    most_lanes = 1
    """An import takes in all groups of the source: of two at once, one would refuse what the other is asked about."""

    def __init__(self, settings: OracleFusionSettings) -> None:
        self.settings = settings
        self.client = OracleFusionClient(settings)
        self._posting: str | None = None
        """The last run of AutoPost that this instance started."""

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call from now on."""
        self.client.watched_by(watch)

    def close(self) -> None:
        """Let go of connections."""
        self.client.close()

    # ---- posting

    def post(self, documents: Sequence[Document]) -> list[PostingOutcome]:
        """Import journals, many by one call: each is ``Accepted``, or ``Rejected`` without being sent.

        What Oracle has already is not sent again. Raises what says that nothing has happened.
        """
        if not documents:
            return []
        run = Run([document.reference for document in documents])
        for batch in self._batches(self._to_send(documents, run)):
            if run.stopped_by is not None:
                break
            self._send(batch, run)
        return run.result()

    def _to_send(self, documents: Sequence[Document], run: Run) -> _Batch:
        try:
            there: Mapping[str, ErpDocument] = self.find(run.references)
            twice: frozenset[str] = frozenset()
        except DuplicatePostingError as error:
            there, twice = error.found, frozenset(error.duplicates)
        seen: set[str] = set()
        batch: _Batch = []
        for position, document in enumerate(documents):
            reference = document.reference
            if reference in seen:
                run.reject(position, "the same reference occurs earlier in the batch")
            elif reference in twice:
                run.leave_unknown([position], "it is posted more than once in Oracle: look it up")
            elif reference in there:
                run.note(position, self._there(there[reference]))
            elif not isinstance(document, Journal):
                run.reject(position, "this connector posts journals only")
            elif refused := objection(document, self.settings):
                run.reject(position, *refused)
            else:
                batch.append((position, document))
            seen.add(reference)
        return batch

    def _there(self, document: ErpDocument) -> PostingOutcome:
        if document.posted:
            return Posted(document.reference, document.document_id, document.number or "")
        return Accepted(document.reference, f"{NO_JOB}@{clock.now().isoformat()}")

    def _batches(self, journals: _Batch) -> Iterator[_Batch]:
        """One import is for one ledger."""
        by_ledger: dict[str, _Batch] = defaultdict(list)
        for position, journal in journals:
            by_ledger[self.settings.ledgers[journal.company].ledger_id].append((position, journal))
        for some in by_ledger.values():
            batch: _Batch = []
            lines = 0
            for position, journal in some:
                count = len(journal.lines)
                full = len(batch) >= self.settings.batch_journals or lines + count > self.settings.batch_lines
                if batch and full:
                    yield batch
                    batch, lines = [], 0
                batch.append((position, journal))
                lines += count
            yield batch

    def _send(self, batch: _Batch, run: Run) -> None:
        positions = [position for position, _ in batch]
        journals = [journal for _, journal in batch]
        ledger = self.settings.ledgers[journals[0].company].ledger_id
        archive = packed(rows(journals, self.settings))
        name = f"Tillwire_{hashlib.sha256(archive).hexdigest()[:16]}.zip"
        parameters = f"{self.settings.data_access_set_id or '#NULL'},{self.settings.source},{ledger},ALL,N,N,N"
        try:
            number = self.client.import_file(archive, name, parameters)
        except OutcomeUnknownError as lost:
            run.leave_unknown(positions, str(lost))
        except UNAVAILABLE as unavailable:
            run.stop(unavailable)
        else:
            handle = f"{number}@{clock.now().isoformat()}"
            for position, journal in batch:
                run.note(position, Accepted(journal.reference, handle))

    # ---- looking up

    def find(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """Batches under these references; those that are imported and not posted are drafts. Deletes superfluous ones.

        What is still in an import cannot be seen. Raises ``DuplicatePostingError``.
        """
        if kind != "journal":
            return {}
        return {reference: batch.document() for reference, batch in lookup.batches(self.client, references).items()}

    def read_back(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """As ``find``, posted ones with their lines: amounts as entered, dimensions by the hub's names."""
        if kind != "journal":
            return {}
        return {
            reference: lookup.with_lines(self.client, batch) if batch.posted else batch.document()
            for reference, batch in lookup.batches(self.client, references).items()
        }

    def finish(self, documents: Sequence[ErpDocument], kind: DocumentKind = "journal") -> list[PostingOutcome]:
        """Have imported batches posted: ``Accepted`` until they are. What is gone is ``Unknown``."""
        if kind != "journal" or not documents:
            return [Unknown(document.reference, "this connector posts journals only") for document in documents]
        found = self.find([document.reference for document in documents])
        if any(not document.posted for document in found.values()):
            self._have_posted()
        return [
            self._there(found[document.reference])
            if document.reference in found
            else Unknown(document.reference, f"batch {document.document_id} is no longer in Oracle")
            for document in documents
        ]

    # ---- what became of it

    def poll(self, pending: Sequence[Pending]) -> list[PostingOutcome]:
        """What became of accepted journals: one call per job, one per 25 references; AutoPost is run for those that are
        imported and not posted.
        """
        if not pending:
            return []
        numbers = {one.handle.partition("@")[0] for one in pending} - {NO_JOB}
        statuses = {number: self.client.job_status(number) for number in sorted(numbers)}
        found = lookup.batches(self.client, [one.reference for one in pending])
        missing = [one for one in pending if one.reference not in found]
        refused = self._refused(missing, statuses)
        outcomes = [self._polled(one, statuses, found.get(one.reference), refused) for one in pending]
        if any(batch.status == "U" for batch in found.values()):
            self._have_posted()
        return outcomes

    def _polled(
        self,
        pending: Pending,
        statuses: Mapping[str, str],
        batch: Batch | None,
        refused: Mapping[str, Refusal],
    ) -> PostingOutcome:
        reference = pending.reference
        number, _, since = pending.handle.partition("@")
        if batch is not None and batch.posted:
            return Posted(reference, batch.batch_id, batch.name)
        if batch is not None and batch.trouble:
            lookup.discard(self.client, batch)
            return Rejected(reference, f"{reference}: Oracle imported it and will not post it: {batch.trouble}")
        if batch is None and number == NO_JOB:
            return Unknown(reference, "its batch is no longer in Oracle: look it up, then send it again")
        status = statuses.get(number, "SUCCEEDED")
        if batch is not None or status in IN_WORK:
            return Accepted(reference, pending.handle)
        if reference in refused:
            refusal = refused[reference]
            return Rejected(reference, f"{reference}: {refusal.words}", refusal.kind)
        if status != "SUCCEEDED":
            return Rejected(reference, f"{reference}: job {number} ended as {status}: see its log in Oracle")
        waited = clock.now() - datetime.fromisoformat(since)
        if waited <= timedelta(seconds=self.settings.overdue_s):
            return Accepted(reference, pending.handle)
        words = f"job {number} succeeded {waited.total_seconds():.0f} s ago, and no batch of it is found: see its log"
        return Rejected(reference, f"{reference}: {words} in Oracle before sending again")

    def _refused(self, missing: Sequence[Pending], statuses: Mapping[str, str]) -> dict[str, Refusal]:
        """Why journals were refused, by reference, from the files of those jobs that are over and lack a batch."""
        by_job: dict[str, dict[str, str]] = defaultdict(dict)
        for one in missing:
            number = one.handle.partition("@")[0]
            if statuses.get(number, "") not in IN_WORK:
                by_job[number][batch_name(one.reference)] = one.reference
        refused: dict[str, Refusal] = {}
        for number, references in by_job.items():
            names = frozenset(references)
            for failed in failed_jobs(self.client.job_tree(number)):
                for content in texts(self.client.job_files(failed)):
                    for name, refusal in refusals(content, names).items():
                        refused.setdefault(references[name], refusal)
        return refused

    def _have_posted(self) -> None:
        """Run AutoPost, unless the last run is not over."""
        if not self.settings.autopost_criteria_set_id:
            return
        if self._posting is not None and self.client.job_status(self._posting) in IN_WORK:
            return
        lookup.tidy(self.client)
        try:
            self._posting = self.client.run_autopost()
        except (OutcomeUnknownError, TransientError):
            # The client's watch has noted it. Running it twice does no harm: the next poll sees whether it must.
            self._posting = None
