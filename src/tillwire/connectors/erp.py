"""What every ERP connector offers to dispatch, whatever the ERP.

A connector keeps no state of its own that matters: dispatch keeps the states of journals in PostgreSQL and decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from tillwire.errors import (
    AuthenticationError,
    ContractChangedError,
    OutcomeUnknownError,
    RateLimitedError,
    TillwireError,
    TransientError,
)
from tillwire.model.ledger import Document, DocumentKind, ErpDocument
from tillwire.model.master import MasterRecord


class Posted(msgspec.Struct, frozen=True, tag=True):
    """The ERP says the journal is posted, under ``number``."""

    reference: str
    document_id: str
    number: str


class Accepted(msgspec.Struct, frozen=True, tag=True):
    """The ERP has taken it in and will say later what became of it: not posted yet. ``handle`` is what to ask by."""

    reference: str
    handle: str


RejectionKind = Literal["closed_period", "unknown_account", "unbalanced", "other"]


class Rejected(msgspec.Struct, frozen=True, tag=True):
    """The ERP refused this journal for good; ``reason`` is in its own words. Nothing of it is posted there.

    An ERP that refuses because it has the reference already is looked up: that is ``Posted``.
    """

    reference: str
    reason: str
    kind: RejectionKind = "other"


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """No reply came: the journal may or may not be there. It must be looked up before it is sent again."""

    reference: str
    reason: str


class NotSent(msgspec.Struct, frozen=True, tag=True):
    """The connector stopped before this one (the ERP became unavailable on the way): nothing of it has happened."""

    reference: str
    reason: str


PostingOutcome = Posted | Accepted | Rejected | Unknown | NotSent


class DuplicatePostingError(TillwireError):
    """The ERP's books hold more than one posted move under one reference: an accountant must cancel the others.

    ``duplicates`` has all of them by reference; ``found`` has what the same look-up found for all other references,
    so that one bad reference need not hold up the rest.
    """

    def __init__(self, duplicates: dict[str, tuple[ErpDocument, ...]], found: dict[str, ErpDocument]) -> None:
        self.duplicates = duplicates
        self.found = found
        named = "; ".join(
            f"{reference}: {', '.join(document.number or document.document_id for document in documents)}"
            for reference, documents in sorted(duplicates.items())
        )
        super().__init__(f"posted more than once in the ERP: {named}; cancel all but one of each there")


class CallWatch(Protocol):
    """Who watches a connector's calls: keeps them within the ERP's limits, and notes those that fail."""

    def before_call(self) -> None:
        """Called before every call to the ERP; may wait."""
        ...

    def failed(self, kind: str, detail: str, retry_after_s: float | None = None) -> None:
        """Called for every call that failed, with ``failure_kind``, and with how long the ERP asked us to wait."""
        ...


class Unwatched:
    """No limit, no notes."""

    def before_call(self) -> None:
        """Nothing to wait for."""

    def failed(self, kind: str, detail: str, retry_after_s: float | None = None) -> None:
        """Nobody to tell."""


def failure_kind(error: TillwireError) -> str | None:
    """How a failed call is noted; none for what is no failure of the call (a refusal in the ERP's own words)."""
    match error:
        case RateLimitedError():
            return "rate_limited"
        case TransientError():
            return "unavailable"
        case OutcomeUnknownError():
            return "outcome_unknown"
        case AuthenticationError():
            return "authentication"
        case ContractChangedError():
            return "contract_changed"
    return None


def tell_failure(watch: CallWatch, error: TillwireError) -> None:
    """Tell the watch of a failed call; a refusal in the ERP's own words is none."""
    kind = failure_kind(error)
    if kind is not None:
        retry_after_s = getattr(error, "retry_after_s", None)
        watch.failed(kind, str(error), retry_after_s)


class Pending(msgspec.Struct, frozen=True):
    """What an ERP has accepted and not posted yet, as ``Accepted`` told."""

    reference: str
    handle: str
    kind: DocumentKind = "journal"


class ErpConnector(Protocol):
    """One instance speaks to one ERP. Methods are blocking and may be called from one thread at a time.

    Of several lanes each has an instance of its own, perhaps in another process.
    """

    name: str
    takes: frozenset[DocumentKind]
    """The kinds of documents that this ERP is sent; ``journal`` always is."""
    most_lanes: int
    """In how many lanes at once it may be posted to without fighting over its own locks."""

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call from now on."""
        ...

    def post(self, documents: Sequence[Document]) -> list[PostingOutcome]:
        """Create and post the documents, in as few calls as the ERP allows; one outcome per document, in order.

        A document that the ERP refuses must not take its neighbours with it (batches are bisected). Raises
        ``TransientError`` (``RateLimitedError``), ``AuthenticationError`` or ``ContractChangedError`` only if nothing
        at all has happened.
        """
        ...

    def find(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """What the ERP holds under these references, posted or draft. A missing key means: it is not there.

        Raises ``DuplicatePostingError`` where two are posted under one reference.
        """
        ...

    def finish(self, documents: Sequence[ErpDocument], kind: DocumentKind = "journal") -> list[PostingOutcome]:
        """Post drafts that an earlier, interrupted ``post`` left behind; one outcome per document, in order."""
        ...

    def poll(self, pending: Sequence[Pending]) -> list[PostingOutcome]:
        """What became of documents that were ``Accepted``: one outcome each, in order; ``Accepted`` again for those
        that the ERP still works on. ERPs that post at once are never asked.
        """
        ...

    def read_back(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """As ``find``, with the posted lines (or goods), for the proof that the ERP's books say what ours say."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class CallbackConnector(Protocol):
    """An ERP that calls back when it has posted what it had accepted."""

    def called_back(self, headers: Mapping[str, str], body: bytes) -> list[PostingOutcome]:
        """The outcomes that a call of the ERP's tells, purely. Raises ``AuthenticationError`` if it does not prove to
        come from the ERP, ``RejectedError`` if it cannot be read.
        """
        ...


MasterKind = Literal["account", "period", "product", "tax-code"]
"""Kinds of master records that an ERP may be the master of."""


class MasterSource(Protocol):
    """An ERP that master data is pulled from. Reads only."""

    kinds: Sequence[MasterKind]
    """What this ERP has, in the order in which it is best pulled."""

    def pull(self, kind: MasterKind, since: datetime | None = None) -> Iterator[MasterRecord]:
        """The records of a kind, those without effect included (``active`` is false); with ``since``, at least those
        that changed at or after that instant.

        Their revision is 0: the hub numbers them by content, so that what has not changed makes no event. Raises
        ``TransientError``, ``AuthenticationError``, or ``RejectedError`` in the ERP's own words.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
