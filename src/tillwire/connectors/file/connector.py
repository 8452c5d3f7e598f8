"""Posts journals as files: one data file and one control file for each, named by its reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from typing import TypeVar

import msgspec

from tillwire.connectors.erp import (
    Accepted,
    CallWatch,
    Pending,
    Posted,
    PostingOutcome,
    Rejected,
    RejectionKind,
    Unknown,
    Unwatched,
    failure_kind,
)
from tillwire.connectors.erp_run import UNAVAILABLE, Run
from tillwire.connectors.file.layout import Form, control, data_bytes, file_name
from tillwire.connectors.file.settings import FileSettings
from tillwire.connectors.file.storage import Attempt, Record, RecordLine, Storage
from tillwire.errors import OutcomeUnknownError, TillwireError, TransientError
from tillwire.model.ledger import Document, DocumentKind, ErpDocument, Journal, JournalLine

_T = TypeVar("_T")


class FileConnector:
    """The ERP connector for folders. For one thread at a time."""

    name = "file"
    takes: frozenset[DocumentKind] = frozenset({"journal"})
    most_lanes = 4

    def __init__(self, settings: FileSettings) -> None:
        self.settings = settings
        self.watch: CallWatch = Unwatched()
        self._storage = Storage(settings)
        self._form = Form(
            columns=settings.fields,
            header=settings.format == "csv",
            delimiter=settings.delimiter,
            encoding=settings.encoding,
            constants={"ledger": settings.ledger, "source": settings.source, "category": settings.category},
            segment_separator=settings.segment_separator,
        )

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every journal that is written or looked for: that is a call."""
        self.watch = watch

    def post(self, documents: Sequence[Document]) -> list[PostingOutcome]:
        """Write the journals and hand them over. One that was handed over already is not written again.

        Raises ``TransientError`` if the folders cannot be used and nothing has been handed over.
        """
        run = Run([document.reference for document in documents])
        seen: set[str] = set()
        for position, document in enumerate(documents):
            if not isinstance(document, Journal):
                run.reject(position, "this connector takes journals only")
            elif document.reference in seen:
                run.reject(position, "the same reference occurs earlier in the batch")
            elif not document.balances():
                words = f"debits {document.debit()} and credits {document.credit()} differ"
                run.reject(position, words, "unbalanced")
            elif not document.lines:
                run.reject(position, "a journal needs lines")
            elif not self._note(run, position, partial(self._post, document)):
                break
            seen.add(document.reference)
        return run.result()

    def find(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """What was handed over under these references, and what is written and was not: posted, once the ERP has
        acknowledged it (or at once where it never does). What the ERP has rejected is not there."""
        if kind not in self.takes:
            return {}
        found: dict[str, ErpDocument] = {}
        for reference in references:
            attempt = self._called(partial(self._newest, reference))
            if attempt.record is not None and attempt.state != "rejected":
                found[reference] = self._document(reference, attempt)
        return found

    def finish(self, documents: Sequence[ErpDocument], kind: DocumentKind = "journal") -> list[PostingOutcome]:
        """Hand over what an interrupted ``post`` has written, and say of the rest what has become of it."""
        run = Run([document.reference for document in documents])
        for position, reference in enumerate(run.references):
            if not self._note(run, position, partial(self._finish, reference)):
                break
        return run.result()

    def poll(self, pending: Sequence[Pending]) -> list[PostingOutcome]:
        """What the ERP has answered by files."""
        return [self._called(partial(self._answered, one.reference)) for one in pending]

    def read_back(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """As ``find``, with the lines as they were written: an ERP that only takes files shows no books."""
        found = self.find(references, kind)
        for reference, document in found.items():
            record = self._called(partial(self._newest, reference)).record
            lines = tuple(_line(line) for line in record.lines) if record is not None and document.posted else ()
            found[reference] = msgspec.structs.replace(document, lines=lines)
        return found

    def close(self) -> None:
        """Nothing is held open."""

    # ---- one journal

    def _newest(self, reference: str) -> Attempt:
        return self._storage.newest(file_name(reference, self.settings.prefix))

    def _post(self, journal: Journal) -> PostingOutcome:
        base = file_name(journal.reference, self.settings.prefix)
        newest = self._storage.newest(base)
        name = newest.name
        if newest.state in ("nothing", "rejected"):
            name = self._storage.next_name(base, newest)
        data = data_bytes(journal, self._form)
        said = control(journal, f"{name}{self.settings.data_suffix}", data)
        if newest.state in ("handed_over", "accepted"):
            if newest.record is not None and newest.record.control["sha256"] != said["sha256"]:
                words = f"{journal.reference}: {name} was handed over under this reference with other content"
                return Rejected(journal.reference, words)
            return self._outcome(journal.reference, newest)
        lines = [RecordLine(one.account, f"{one.debit:f}", f"{one.credit:f}", one.description) for one in journal.lines]
        encoded = msgspec.json.format(msgspec.json.encode(said), indent=2) + b"\n"
        self._storage.write(name, data, encoded, Record(said, lines))
        return self._hand_over(journal.reference, name)

    def _finish(self, reference: str) -> PostingOutcome:
        newest = self._newest(reference)
        if newest.state == "draft":
            return self._hand_over(reference, newest.name)
        return self._answered(reference)

    def _hand_over(self, reference: str, name: str) -> PostingOutcome:
        try:
            self._storage.hand_over(name)
        except OSError as error:
            raise OutcomeUnknownError(f"handing over {name}: {error}") from error
        return self._outcome(reference, Attempt(name, "handed_over"))

    def _answered(self, reference: str) -> PostingOutcome:
        newest = self._newest(reference)
        if newest.state == "rejected":
            return Rejected(reference, f"{reference}: {newest.words}", rejection_kind(newest.words))
        if newest.state in ("nothing", "draft"):
            return Unknown(reference, f"{newest.name} has not been handed over")
        return self._outcome(reference, newest)

    def _outcome(self, reference: str, attempt: Attempt) -> PostingOutcome:
        if attempt.state == "accepted" or self.settings.acknowledge == "none":
            return Posted(reference, attempt.name, attempt.words or attempt.name)
        return Accepted(reference, attempt.name)

    def _document(self, reference: str, attempt: Attempt) -> ErpDocument:
        posted = attempt.state == "accepted" or (attempt.state == "handed_over" and self.settings.acknowledge == "none")
        assert attempt.record is not None
        return ErpDocument(
            reference=reference,
            document_id=attempt.name,
            number=(attempt.words or attempt.name) if posted else None,
            posted=posted,
            posting_date=date.fromisoformat(attempt.record.control["posting_date"]),
        )

    # ---- calls

    def _note(self, run: Run, position: int, do: Callable[[], PostingOutcome]) -> bool:
        """Note what becomes of one; false if the rest must wait."""
        try:
            outcome = self._called(do)
        except OutcomeUnknownError as lost:
            run.leave_unknown([position], str(lost))
        except UNAVAILABLE as unavailable:
            run.stop(unavailable)
            return False
        else:
            if isinstance(outcome, Rejected):
                run.reject(position, outcome.reason, outcome.kind)
            else:
                run.note(position, outcome)
        return True

    def _called(self, do: Callable[[], _T]) -> _T:
        """Watched, and with errors of the file system as those of an ERP. Nothing is handed over before the last step,
        which tells its own."""
        self.watch.before_call()
        try:
            return do()
        except OSError as cause:
            error: TillwireError = TransientError(f"{self.settings.folder} cannot be used: {cause}")
            self._tell(error)
            raise error from cause
        except msgspec.DecodeError as cause:
            error = OutcomeUnknownError(f"a record in {self.settings.kept} cannot be read, look at it: {cause}")
            self._tell(error)
            raise error from cause
        except TillwireError as error:
            self._tell(error)
            raise

    def _tell(self, error: TillwireError) -> None:
        kind = failure_kind(error)
        if kind is not None:
            self.watch.failed(kind, str(error))


def rejection_kind(words: str) -> RejectionKind:
    """What an ERP's reason means, as far as such words go."""
    told = words.lower()
    if "balance" in told or ("debit" in told and "credit" in told):
        return "unbalanced"
    if "period" in told or "closed" in told:
        return "closed_period"
    if "account" in told or "segment" in told or "code combination" in told:
        return "unknown_account"
    return "other"


def _line(line: RecordLine) -> JournalLine:
    return JournalLine(
        account=line.account, debit=Decimal(line.debit), credit=Decimal(line.credit), description=line.description
    )
