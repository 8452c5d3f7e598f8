"""The state of one ``post`` or ``finish``: an outcome for each document, whatever the ERP does in the middle of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from tillwire.connectors.erp import NotSent, PostingOutcome, Rejected, RejectionKind, Unknown
from tillwire.errors import (
    AuthenticationError,
    ContractChangedError,
    OutcomeUnknownError,
    RejectedError,
    TillwireError,
    TransientError,
)

UNAVAILABLE = (TransientError, AuthenticationError, ContractChangedError)
"""What says that a call did nothing, and that the next would do no better."""

_T = TypeVar("_T")


class Run:
    """Outcomes by position. Stops at the first sign that the ERP cannot be used."""

    def __init__(self, references: Sequence[str]) -> None:
        self.references = references
        self.outcomes: dict[int, PostingOutcome] = {}
        self.happened = False
        """True once the ERP may hold something of this run."""
        self.stopped_by: TillwireError | None = None

    def note(self, position: int, outcome: PostingOutcome) -> None:
        """The ERP has taken this one."""
        self.happened = True
        self.outcomes[position] = outcome

    def reject(self, position: int, reason: str, kind: RejectionKind = "other") -> None:
        """The ERP, or the connector on its behalf, refuses this one."""
        reference = self.references[position]
        words = reason if reason.startswith(reference) else f"{reference}: {reason}"
        self.outcomes[position] = Rejected(reference, words, kind)

    def leave_unknown(self, positions: Sequence[int], reason: str) -> None:
        """These may or may not be there."""
        self.happened = True
        for position in positions:
            self.outcomes[position] = Unknown(self.references[position], reason)

    def stop(self, error: TillwireError) -> None:
        """The ERP cannot be used at present: send nothing more."""
        self.stopped_by = self.stopped_by or error

    def result(self) -> list[PostingOutcome]:
        """One outcome per position. Raises what stopped the run if nothing at all has happened."""
        if self.stopped_by is not None:
            if not self.happened:
                raise self.stopped_by
            for position, reference in enumerate(self.references):
                self.outcomes.setdefault(position, NotSent(reference, f"not sent: {self.stopped_by}"))
        return [self.outcomes[position] for position in range(len(self.references))]


def one_by_one(
    references: Sequence[str],
    post: Callable[[int], PostingOutcome],
    *,
    kind_of: Callable[[str], RejectionKind] = lambda _: "other",
) -> list[PostingOutcome]:
    """Post documents by one call each: ``post`` does that for a position. For ERPs that take no batches.

    ``post`` may raise ``RejectedError`` (its words give the kind by ``kind_of``), ``OutcomeUnknownError``, or what says
    that nothing has happened; the latter ends the run.
    """
    run = Run(references)
    for position in range(len(references)):
        try:
            run.note(position, post(position))
        except RejectedError as refusal:
            run.reject(position, str(refusal), kind_of(str(refusal)))
            run.happened = True
        except OutcomeUnknownError as lost:
            run.leave_unknown([position], str(lost))
        except UNAVAILABLE as unavailable:
            run.stop(unavailable)
            break
    return run.result()


def pieces(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """``items`` in runs of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
