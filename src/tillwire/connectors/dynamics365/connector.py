"""Posts journals to Dynamics 365 Finance: headers over OData, lines by one data package for each legal entity.

Importing is asynchronous, and Finance posts what was imported by a batch job of its own. An import is nothing that can
be found by our references, and Finance takes the same twice; therefore the headers are made first, by one call: they
carry the references (see ``labels``), and lines only ever go into a header that is there and not posted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

import httpx2
import msgspec

from tillwire.connectors.dynamics365 import labels, masters
from tillwire.connectors.dynamics365.batch import MOST_ROWS
from tillwire.connectors.dynamics365.journals import HEADERS, Header, Journals, chosen
from tillwire.connectors.dynamics365.odata import FinanceClient
from tillwire.connectors.dynamics365.package import Opened, account_of, package
from tillwire.connectors.dynamics365.settings import Dynamics365Settings
from tillwire.connectors.dynamics365.settling import Settling, handle_of, kind_of
from tillwire.connectors.erp import (
    Accepted,
    CallWatch,
    MasterKind,
    NotSent,
    Pending,
    PostingOutcome,
    Rejected,
    RejectionKind,
    Unknown,
)
from tillwire.connectors.erp_run import UNAVAILABLE, Run, pieces
from tillwire.errors import ContractChangedError, OutcomeUnknownError, RejectedError
from tillwire.model.ledger import Document, DocumentKind, ErpDocument, Journal
from tillwire.model.master import MasterRecord

_MOST_LINES = 99_999


class Dynamics365Connector:
    """One environment. For one thread, and one of these, at a time: imports must not be asked for in parallel."""

    name = "dynamics365"
    takes: frozenset[DocumentKind] = frozenset({"journal"})
    most_lanes = 1
    kinds: Sequence[MasterKind] = masters.KINDS

    def __init__(self, settings: Dynamics365Settings, *, transport: httpx2.BaseTransport | None = None) -> None:
        """``transport`` stands in for the network, for tests."""
        self.settings = settings
        self._client = FinanceClient(settings, transport=transport)
        self._journals = Journals(self._client, settings)
        self._settling = Settling(self._client, settings, self._journals)

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call from now on."""
        self._client.watched_by(watch)

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    # ---- posting

    def post(self, documents: Sequence[Document]) -> list[PostingOutcome]:
        """Open the journals that are not there yet and have their lines imported: ``Accepted``. Raises what says that
        nothing is in the books; headers without lines may be left then, which the next ``post`` takes away."""
        if not documents:
            return []
        run = Run([document.reference for document in documents])
        to_send = self._checked(run, documents)
        found = self._journals.by_references(journal.reference for journal in to_send.values())
        there = self._settling.outcomes(found) if found else {}
        by_company: dict[str, dict[int, Journal]] = defaultdict(dict)
        for position, journal in to_send.items():
            outcome = there.get(journal.reference)
            if outcome is None or isinstance(outcome, Rejected | NotSent):
                by_company[journal.company][position] = journal
            elif isinstance(outcome, Unknown):
                run.leave_unknown([position], outcome.reason)
            else:
                run.note(position, outcome)
        for company, journals in by_company.items():
            self._send(run, company, journals)
            if run.stopped_by is not None:
                break
        return run.result()

    def _checked(self, run: Run, documents: Sequence[Document]) -> dict[int, Journal]:
        """What may be sent, by position; the rest has its outcome."""
        to_send: dict[int, Journal] = {}
        seen: set[str] = set()
        for position, document in enumerate(documents):
            if not isinstance(document, Journal):
                run.reject(position, "Finance is sent journals only by this connector")
            elif objection := self._objection(document):
                run.reject(position, *objection)
            elif document.reference in seen:
                run.outcomes[position] = NotSent(document.reference, "it is in this batch already")
            else:
                seen.add(document.reference)
                to_send[position] = document
        return to_send

    def _objection(self, journal: Journal) -> tuple[str, RejectionKind] | None:
        """What Finance would find out too late: it imports what does not balance and then does not post it."""
        if journal.company not in self.settings.legal_entities:
            return f"company {journal.company!r} has no legal entity in the connector's settings", "other"
        if not 0 < len(journal.lines) <= _MOST_LINES:
            return f"a journal has 1 to {_MOST_LINES} lines, not {len(journal.lines)}", "other"
        if not journal.balances():
            return f"the journal does not balance: debit {journal.debit()}, credit {journal.credit()}", "unbalanced"
        try:
            for line in journal.lines:
                account_of(line, self.settings)
        except ValueError as wrong:
            return str(wrong), "other"
        return None

    def _send(self, run: Run, company: str, journals: dict[int, Journal]) -> None:
        """Open the journals of one company and import their lines."""
        job = labels.new_job()
        opened: dict[int, Opened] = {}
        for positions in pieces(list(journals), MOST_ROWS):
            some = {position: journals[position] for position in positions}
            try:
                opened |= self._open_together(company, some, job)
            except RejectedError:  # all of them, for the sake of one: that one has to be found
                opened |= self._open_singly(run, company, some, job)
            except OutcomeUnknownError as lost:
                run.leave_unknown(positions, str(lost))
            except UNAVAILABLE as unavailable:
                run.stop(unavailable)
            if run.stopped_by is not None:
                break
        if opened:
            self._import(run, company, job, opened)

    def _open_together(self, company: str, journals: dict[int, Journal], job: str) -> dict[int, Opened]:
        """Open all of them by one call, or none."""
        wanted = [(journal, _label(journal, job)) for journal in journals.values()]
        made = self._client.create_all(HEADERS, [self._header(company, label) for _, label in wanted])
        numbers = {str(row.get("Description")): row.get("JournalBatchNumber") for row in made}
        opened = [_opened(journal, label, numbers.get(labels.describe(label))) for journal, label in wanted]
        return dict(zip(journals, opened, strict=True))

    def _open_singly(self, run: Run, company: str, journals: dict[int, Journal], job: str) -> dict[int, Opened]:
        opened: dict[int, Opened] = {}
        for position, journal in journals.items():
            label = _label(journal, job)
            try:
                made = self._client.create(HEADERS, self._header(company, label))
                opened[position] = _opened(journal, label, made.get("JournalBatchNumber"))
            except RejectedError as refusal:
                run.reject(position, str(refusal), kind_of(str(refusal)))
            except OutcomeUnknownError as lost:
                run.leave_unknown([position], str(lost))
            except UNAVAILABLE as unavailable:
                run.stop(unavailable)
                break
        return opened

    def _header(self, company: str, label: labels.Label) -> dict[str, object]:
        return {
            "dataAreaId": self.settings.legal_entities[company],
            "JournalName": self.settings.journal_name,
            "Description": labels.describe(label),
        }

    def _import(self, run: Run, company: str, job: str, opened: dict[int, Opened]) -> None:
        execution = labels.execution_id(job)
        entity = self.settings.legal_entities[company]
        try:
            place = self._client.action("GetAzureWriteUrl", {"uniqueFileName": f"{execution}.zip"})
            url = _blob_url(place)
            self._client.upload(url, package(list(opened.values()), self.settings))
            self._start(url, execution, entity, job)
        except OutcomeUnknownError as lost:
            run.leave_unknown(list(opened), str(lost))
            return
        except RejectedError as refusal:
            self._settling.never_sent(job)
            run.stop(
                ContractChangedError(f"Finance does not import packages of {self.settings.data_project}: {refusal}")
            )
            return
        except UNAVAILABLE as unavailable:
            self._settling.never_sent(job)
            run.stop(unavailable)
            return
        for position, one in opened.items():
            header = Header(entity.lower(), one.number, one.label, posted=False)
            run.note(position, Accepted(run.references[position], handle_of(header)))

    def _start(self, url: str, execution: str, entity: str, job: str) -> None:
        """Ask for the import. Finance refuses a second one of the same execution: then the first is under way."""
        asked = {
            "packageUrl": url,
            "definitionGroupId": self.settings.data_project,
            "executionId": execution,
            "execute": True,
            "overwrite": True,
            "legalEntityId": entity,
        }
        try:
            self._client.action("ImportFromPackage", asked, writes=True)
        except RejectedError as refusal:
            try:
                self._client.action("GetExecutionSummaryStatus", {"executionId": execution})
            except RejectedError:
                raise refusal from None
            except UNAVAILABLE as unavailable:
                raise OutcomeUnknownError(
                    f"import {job} was refused ({refusal}), but may be under way"
                ) from unavailable

    # ---- what became of it

    def find(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """What Finance holds under these references: posted, or opened and not posted yet, with or without lines."""
        if kind != "journal" or not references:
            return {}
        found = chosen(self._journals.by_references(references))
        return {reference: header.document(reference) for reference, header in found.items()}

    def finish(self, documents: Sequence[ErpDocument], kind: DocumentKind = "journal") -> list[PostingOutcome]:
        """What became of journals that were opened. Those whose lines will not come are deleted: ``NotSent``."""
        return self._ask([document.reference for document in documents], {})

    def poll(self, pending: Sequence[Pending]) -> list[PostingOutcome]:
        """Whether the lines are there, and whether Finance has posted them. What was taken for accepted and has never
        arrived is unknown again: a look-up shows that it is not there, and it is sent anew."""
        outcomes = self._ask([one.reference for one in pending], {one.reference: one.handle for one in pending})
        return [
            Unknown(outcome.reference, outcome.reason) if isinstance(outcome, NotSent) else outcome
            for outcome in outcomes
        ]

    def _ask(self, references: Sequence[str], handles: dict[str, str]) -> list[PostingOutcome]:
        if not references:
            return []
        outcomes = self._settling.outcomes(self._journals.by_references(references))
        told: list[PostingOutcome] = []
        for reference in references:
            outcome = outcomes.get(reference)
            if outcome is None and reference in handles:
                outcome = self._gone(reference, handles[reference])
            told.append(outcome or NotSent(reference, "its header is no longer there"))
        return told

    def _gone(self, reference: str, handle: str) -> Rejected | Unknown:
        """The header is not there any more: somebody has deleted it, or we have and died before anybody noted why.

        We delete what will get no lines; if its import never arrived, nothing of it can come any more.
        """
        _, number, job = handle.rsplit("/", 2)
        if self._settling.job(job) == "never":
            return Unknown(reference, f"import {job} never arrived, and journal {number} was taken away")
        words = [error.words for error in self._settling.errors(job) if error.record and error.concerns(number)]
        text = "; ".join(words) or f"journal {number} has been deleted in Finance before it was posted"
        return Rejected(reference, f"{reference}: {text}", kind_of("; ".join(words)))

    def read_back(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """As ``find``, with lines in the currency of the transaction."""
        if kind != "journal" or not references:
            return {}
        return self._journals.with_lines(chosen(self._journals.by_references(references)))

    def pull(self, kind: MasterKind, since: datetime | None = None) -> Iterator[MasterRecord]:
        """Main accounts."""
        return masters.pull(self._client, self.settings, kind)


def _label(journal: Journal, job: str) -> labels.Label:
    return labels.Label(labels.key_of(journal.reference), job, len(journal.lines))


def _opened(journal: Journal, label: labels.Label, number: object) -> Opened:
    if not isinstance(number, str) or not number:
        raise OutcomeUnknownError(f"Finance opened a journal for {journal.reference} and does not say its number")
    return Opened(journal, number, label)


def _blob_url(told: str) -> str:
    """Where a package is to be written, from the text that Finance answers, which is JSON once more."""
    try:
        url = msgspec.json.decode(told)["BlobUrl"]
    except (msgspec.DecodeError, KeyError, TypeError) as cause:
        raise ContractChangedError(f"Finance does not say where to write a package: {told[:300]}") from cause
    if not isinstance(url, str):
        raise ContractChangedError(f"Finance does not say where to write a package: {told[:300]}")
    return url
