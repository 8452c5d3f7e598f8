"""Posts journals to SAP S/4HANA, and says what became of them.

SAP takes the same reference any number of times. What "exactly once" rests on here: whatever is to be sent is looked
up before; and a message to the asynchronous service has a UUID, by which SAP takes it once however often it comes
(``Unanswered``). The synchronous service knows no such thing, but what it has done is done when it answers.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from tillwire import clock
from tillwire.connectors.erp import (
    Accepted,
    CallWatch,
    DuplicatePostingError,
    MasterKind,
    Pending,
    Posted,
    PostingOutcome,
    Rejected,
    Unknown,
)
from tillwire.connectors.erp_run import UNAVAILABLE, Run
from tillwire.connectors.erp_token import basic
from tillwire.connectors.sap_s4hana import lookup, masters
from tillwire.connectors.sap_s4hana.client import ASYNCHRONOUS, SYNCHRONOUS, SapClient
from tillwire.connectors.sap_s4hana.confirmations import bulk_errors, confirmations
from tillwire.connectors.sap_s4hana.journal import bulk_request, content_digest, objection
from tillwire.connectors.sap_s4hana.references import message_id, of_message_id
from tillwire.connectors.sap_s4hana.settings import SapSettings
from tillwire.connectors.sap_s4hana.soap import NotReadableError, message_of, parse
from tillwire.connectors.sap_s4hana.unanswered import Unanswered
from tillwire.errors import AuthenticationError, OutcomeUnknownError, RejectedError
from tillwire.model.ledger import Document, DocumentKind, ErpDocument, Journal
from tillwire.model.master import MasterRecord

_Batch = list[tuple[int, Journal]]


class SapConnector:
    """The ERP connector for SAP S/4HANA. Blocking; for one thread at a time."""

    name = "sap_s4hana"
    takes: frozenset[DocumentKind] = frozenset({"journal"})
    most_lanes = 4

    def __init__(self, settings: SapSettings) -> None:
        self.settings = settings
        self.client = SapClient(settings)
        self._unanswered = Unanswered(settings.same_message_s)

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call from now on."""
        self.client.watched_by(watch)

    def close(self) -> None:
        """Let go of connections."""
        self.client.close()

    # ---- posting

    def post(self, documents: Sequence[Document]) -> list[PostingOutcome]:
        """Post journals, several to a message; each has an outcome of its own, in order.

        What SAP has already is ``Posted`` and not sent. The asynchronous service answers for no journal: all of a
        message are ``Accepted``. Raises what says that nothing has happened.
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
        """The journals that may go; what SAP has, and what must not go, is noted."""
        there, twice = self._look_first(run.references)
        seen: set[str] = set()
        batch: _Batch = []
        for position, document in enumerate(documents):
            reference = document.reference
            if reference in seen:
                run.reject(position, "the same reference occurs earlier in the batch")
            elif reference in twice:
                run.leave_unknown([position], str(twice[reference]))
            elif reference in there:
                run.note(position, _posted(there[reference]))
            elif not isinstance(document, Journal):
                run.reject(position, "this connector posts journals only")
            elif words := objection(document, self.settings):
                run.reject(position, words)
            else:
                batch.append((position, document))
            seen.add(reference)
        return batch

    def _look_first(self, references: Sequence[str]) -> tuple[dict[str, ErpDocument], dict[str, DuplicatePostingError]]:
        try:
            return lookup.documents(self.client, references, lines=False), {}
        except DuplicatePostingError as error:
            return error.found, dict.fromkeys(error.duplicates, error)

    def _batches(self, journals: _Batch) -> Iterator[_Batch]:
        batch: _Batch = []
        lines = 0
        for position, journal in journals:
            count = len(journal.lines)
            if batch and (len(batch) >= self.settings.most_journals or lines + count > self.settings.batch_lines):
                yield batch
                batch, lines = [], 0
            batch.append((position, journal))
            lines += count
        if batch:
            yield batch

    def _send(self, batch: _Batch, run: Run) -> None:
        """One message. One that SAP cannot read is halved, until what is at fault stands alone."""
        if run.stopped_by is not None:
            return
        positions = [position for position, _ in batch]
        journals = [journal for _, journal in batch]
        content = content_digest(journals, self.settings)
        identifier = self._unanswered.uuid_for(content)
        now = clock.now()
        body = bulk_request(journals, self.settings, bulk_id=identifier.replace("-", ""), now=now)
        waits = self.settings.service == "synchronous"
        try:
            reply = self.client.send(
                SYNCHRONOUS if waits else ASYNCHRONOUS, body, message_uuid="" if waits else identifier
            )
            if waits:
                self._note_answer(reply.body, batch, run)
        except RejectedError as refusal:
            self._unanswered.answered(content)
            if len(batch) == 1:
                run.happened = True
                run.reject(positions[0], str(refusal))
                return
            middle = len(batch) // 2
            self._send(batch[:middle], run)
            self._send(batch[middle:], run)
            return
        except OutcomeUnknownError as lost:
            self._unanswered.lost(content, identifier)
            run.leave_unknown(positions, str(lost))
            return
        except UNAVAILABLE as unavailable:
            run.stop(unavailable)
            return
        self._unanswered.answered(content)
        if not waits:
            handle = f"{identifier}@{now.isoformat()}"
            for position, journal in batch:
                run.note(position, Accepted(journal.reference, handle))

    def _note_answer(self, body: bytes, batch: _Batch, run: Run) -> None:
        """The synchronous service's answer. Raises ``OutcomeUnknownError`` for one that cannot be read, and
        ``RejectedError`` for one that refuses the message as a whole."""
        try:
            message = message_of(parse(body))
            told = {one.message_id: one for one in confirmations(message)}
        except NotReadableError as error:
            raise OutcomeUnknownError(f"SAP's answer cannot be read: {error}") from error
        errors = bulk_errors(message)
        if not told and errors:
            raise RejectedError("; ".join(errors))
        for position, journal in batch:
            confirmation = told.get(message_id(journal.reference))
            outcome = confirmation.outcome(journal.reference) if confirmation is not None else None
            if outcome is None:
                run.leave_unknown([position], "SAP's answer says nothing of it")
            else:
                run.note(position, outcome)

    # ---- looking up

    def find(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """What SAP's books hold under these references. Raises ``DuplicatePostingError``.

        What the asynchronous service has taken in and not worked off yet cannot be seen.
        """
        return lookup.documents(self.client, references, lines=False) if kind == "journal" else {}

    def read_back(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """As ``find``, with lines: amounts in the transaction currency, dimensions by the hub's names."""
        return lookup.documents(self.client, references, lines=True) if kind == "journal" else {}

    def finish(self, documents: Sequence[ErpDocument], kind: DocumentKind = "journal") -> list[PostingOutcome]:
        """SAP has no drafts of ours: what is there is posted, and what is not is ``Unknown``."""
        found = self.find([document.reference for document in documents], kind)
        return [
            _posted(found[document.reference])
            if document.reference in found
            else Unknown(document.reference, f"SAP does not have {document.document_id}: look it up, then send again")
            for document in documents
        ]

    def poll(self, pending: Sequence[Pending]) -> list[PostingOutcome]:
        """What became of accepted journals, as far as SAP's books show it: a refusal shows only by confirmation.

        One that shows for ``overdue_s`` neither way is ``Rejected``, for a person to look at SAP's message monitor.
        """
        found = self.find([one.reference for one in pending])
        return [self._polled(one, found.get(one.reference)) for one in pending]

    def _polled(self, pending: Pending, document: ErpDocument | None) -> PostingOutcome:
        if document is not None:
            return _posted(document)
        identifier, _, sent = pending.handle.partition("@")
        waited = clock.now() - datetime.fromisoformat(sent)
        if waited <= timedelta(seconds=self.settings.overdue_s):
            return Accepted(pending.reference, pending.handle)
        words = (
            f"{pending.reference}: SAP took it in {waited.total_seconds():.0f} s ago and has neither posted nor "
            f"confirmed it. Find message {identifier} in SAP's Message Monitor (AIF) and restart it there, "
            "or cancel it there and send again"
        )
        return Rejected(pending.reference, words)

    def called_back(self, headers: Mapping[str, str], body: bytes) -> list[PostingOutcome]:
        """The outcomes that a confirmation of SAP's tells (the outbound service of SAP_COM_0002).

        Entries whose reference does not fit a message's ID (35 characters) are left to ``poll``. Raises
        ``AuthenticationError``, or ``RejectedError`` if it cannot be read.
        """
        given = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
        expected = basic(self.settings.callback_username, self.settings.callback_password)
        if not self.settings.callback_password or not hmac.compare_digest(given.encode(), expected.encode()):
            raise AuthenticationError(
                "a confirmation comes without callback_username and callback_password: set them here, and as the "
                "outbound user of SAP's communication arrangement"
            )
        try:
            told = confirmations(message_of(parse(body)))
        except NotReadableError as error:
            raise RejectedError(f"SAP's confirmation cannot be read: {error}") from error
        outcomes = []
        for confirmation in told:
            reference = of_message_id(confirmation.message_id)
            outcome = confirmation.outcome(reference) if reference is not None else None
            if outcome is not None:
                outcomes.append(outcome)
        return outcomes

    # ---- master data

    @property
    def kinds(self) -> Sequence[MasterKind]:
        """Accounts (with ``chart_of_accounts``) and products."""
        return masters.kinds(self.client)

    def pull(self, kind: MasterKind, since: datetime | None = None) -> Iterator[MasterRecord]:
        """The records of a kind; see ``MasterSource``."""
        return masters.pull(self.client, kind, since)


def _posted(document: ErpDocument) -> Posted:
    return Posted(document.reference, document.document_id, document.number or "")
