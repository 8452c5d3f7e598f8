"""What has become of journals that were opened in Finance: posted, whole and waiting, on their way, or failed.

A journal is whole when it has as many lines as its label says. One that is not is asked for at the import that was to
bring them; when that has ended, the journal is deleted, so that nobody posts a part of it, and is rejected with what
Finance says of its rows, or was never sent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from tillwire.connectors.dynamics365 import labels
from tillwire.connectors.dynamics365.journals import HEADERS, Header, Journals, Place
from tillwire.connectors.dynamics365.odata import FinanceClient, NotKnownError
from tillwire.connectors.dynamics365.settings import Dynamics365Settings
from tillwire.connectors.erp import Accepted, NotSent, Posted, PostingOutcome, Rejected, RejectionKind, Unknown
from tillwire.connectors.erp_run import UNAVAILABLE
from tillwire.errors import ContractChangedError, OutcomeUnknownError, RejectedError

JobState = Literal["running", "succeeded", "failed", "never"]
_STATES: dict[str, JobState] = {
    "NotRun": "running",
    "Executing": "running",
    "Succeeded": "succeeded",
    "PartiallySucceeded": "failed",
    "Failed": "failed",
    "Canceled": "failed",
}


class RowError(msgspec.Struct, frozen=True):
    """What Finance says of a row of an import; ``record`` is empty if it does not say which."""

    record: str
    words: str

    def concerns(self, number: str) -> bool:
        """Whether it is of the journal with this number, or may be."""
        named = re.search(rf"(?<![0-9A-Za-z]){re.escape(number)}(?![0-9A-Za-z])", f"{self.record} {self.words}")
        return bool(named) or not self.record


class Settling:
    """Asks Finance, and deletes what is not to be posted."""

    def __init__(self, client: FinanceClient, settings: Dynamics365Settings, journals: Journals) -> None:
        self._client = client
        self._patience_s = settings.import_patience_s
        self._journals = journals
        self._never: set[str] = set()
        self._counts: Counter[Place] = Counter()

    def never_sent(self, job: str) -> None:
        """This import has not been asked for, we know."""
        self._never.add(job)

    def outcomes(self, found: Mapping[str, Sequence[Header]]) -> dict[str, PostingOutcome]:
        """Of each reference. Raises ``TransientError``, ``AuthenticationError``, ``ContractChangedError``."""
        told: dict[str, PostingOutcome] = {}
        unposted: dict[str, Sequence[Header]] = {}
        for reference, headers in found.items():
            posted = [header for header in headers if header.posted]
            if posted:
                told[reference] = Posted(reference, posted[0].document_id, posted[0].number)
                self._withdraw_twins([header for header in headers if not header.posted])
            else:
                unposted[reference] = headers
        incomplete = self._note_whole(told, unposted)
        jobs: dict[str, JobState] = {}
        ended: dict[str, Sequence[Header]] = {}
        for reference, headers in incomplete.items():
            for header in headers:
                if header.label.job not in jobs:
                    jobs[header.label.job] = self.job(header.label.job)
            running = [header for header in headers if jobs[header.label.job] == "running"]
            if running:
                told[reference] = Accepted(reference, handle_of(running[0]))
            else:
                ended[reference] = headers
        # Counted anew: the lines may have come between the count and the question whether any more will.
        for reference, headers in self._note_whole(told, ended).items():
            told[reference] = self._give_up(reference, headers, jobs)
        return told

    def _note_whole(
        self, told: dict[str, PostingOutcome], found: Mapping[str, Sequence[Header]]
    ) -> dict[str, Sequence[Header]]:
        """Note those that have all their lines as accepted: Finance has yet to post them. The others are returned."""
        self._counts = self._journals.line_counts(header for headers in found.values() for header in headers)
        rest: dict[str, Sequence[Header]] = {}
        for reference, headers in found.items():
            whole = [header for header in headers if self._counts[header.place] == header.label.lines]
            if whole:
                self._withdraw_twins(whole[1:])
                told[reference] = Accepted(reference, handle_of(whole[0]))
            else:
                rest[reference] = headers
        return rest

    def job(self, job: str) -> JobState:
        """How far an import has come. One that Finance does not know is on its way until the patience is over."""
        if job in self._never:
            return "never"
        try:
            status = self._client.action("GetExecutionSummaryStatus", {"executionId": labels.execution_id(job)})
        except NotKnownError:
            status = "Unknown"
        if status == "Unknown":
            return "never" if labels.age_s(job) >= self._patience_s else "running"
        state = _STATES.get(status)
        if state is None:
            raise ContractChangedError(f"Finance tells a status of import {job} that is not in its contract: {status}")
        return state

    def errors(self, job: str) -> list[RowError]:
        """What Finance says of the rows of an import; nothing if it does not know it."""
        try:
            told = self._client.action("GetExecutionErrors", {"executionId": labels.execution_id(job)})
        except NotKnownError:
            return []
        try:
            rows: Any = msgspec.json.decode(told or "[]")
        except msgspec.DecodeError:
            rows = [told]
        return [
            RowError(str(row.get("RecordId") or ""), str(row.get("ErrorMessage") or row))
            if isinstance(row, dict)
            else RowError("", str(row))
            for row in (rows if isinstance(rows, list) else [rows])
        ]

    def _give_up(self, reference: str, headers: Sequence[Header], jobs: Mapping[str, JobState]) -> PostingOutcome:
        """The lines will not come: take away what is there."""
        words: list[str] = []
        for header in headers:
            if jobs[header.label.job] == "failed" or self._counts[header.place]:
                words += self._words(header, self._counts[header.place])
        for header in headers:
            left = self._withdraw(reference, header)
            if left is not None:
                return left
        if words:
            text = "; ".join(dict.fromkeys(words))
            return Rejected(reference, f"{reference}: {text}", kind_of(text))
        return NotSent(reference, "Finance has no lines of it, and will get none: the header was deleted")

    def _words(self, header: Header, lines: int) -> list[str]:
        errors = self.errors(header.label.job)
        told = [error.words for error in errors if error.concerns(header.number)]
        if not told and (lines or not errors):
            told = [f"only {lines} of {header.label.lines} lines were imported, and Finance does not say why"]
        return told

    def _withdraw(self, reference: str, header: Header) -> PostingOutcome | None:
        """Delete an unposted journal; none when it is gone."""
        try:
            self._client.delete(HEADERS, {"dataAreaId": header.legal_entity, "JournalBatchNumber": header.number})
        except OutcomeUnknownError as lost:
            return Unknown(reference, f"journal {header.number} may or may not have been deleted: {lost}")
        except (RejectedError, *UNAVAILABLE):
            # Posted meanwhile, or locked, or out of reach: the next question tells.
            return Accepted(reference, handle_of(header))
        return None

    def _withdraw_twins(self, twins: Sequence[Header]) -> None:
        """A network that repeats itself can make a second header: only one may be left to be posted."""
        for twin in twins:
            self._withdraw(twin.label.key, twin)


def handle_of(header: Header) -> str:
    """What to ask by: legal entity, journal batch number, import."""
    return f"{header.document_id}/{header.label.job}"


def kind_of(words: str) -> RejectionKind:
    """The kind of a refusal, by Finance's words."""
    lower = words.lower()
    if "period" in lower:
        return "closed_period"
    if "balance" in lower:
        return "unbalanced"
    if "account" in lower:
        return "unknown_account"
    return "other"
