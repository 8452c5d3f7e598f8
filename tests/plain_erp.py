"""A plain ERP over HTTP, simulated, and its connector: JSON journals, one a call, no uniqueness of its own."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from tillwire.connectors.erp import Accepted, CallWatch, Pending, Posted, PostingOutcome, Rejected, Unknown
from tillwire.connectors.erp_http import ErpHttp, Reply
from tillwire.connectors.erp_run import one_by_one
from tillwire.connectors.simulated_books import BookedDocument, BookLine, RefusalError, SimulatedBooks
from tillwire.connectors.simulation import Answer, ErpSimulator, Request, json_answer
from tillwire.errors import AuthenticationError, RejectedError
from tillwire.model.ledger import Document, DocumentKind, ErpDocument, Journal, JournalLine

SECRET = b"callbacks of the plain ERP"


class PlainErp(ErpSimulator):
    """``POST /journals`` books at once, or with ``asynchronous`` says that it will; ``GET /journals/REFERENCE`` tells."""

    name = "plain"
    contract = "none: made for tests"

    def __init__(self, *, asynchronous: bool = False, **given: Any) -> None:
        super().__init__(**given)
        self.books = SimulatedBooks(unique_references=False)
        self.asynchronous = asynchronous
        self.in_work: list[Any] = []
        self.order: list[str] = []
        """References in the order in which they came."""

    def settings(self) -> dict[str, Any]:
        """Where it is."""
        return {"url": self.url}

    def expire(self) -> None:
        """It asks for no credentials."""

    def handle(self, request: Request) -> Answer:
        """The answer."""
        if request.method == "GET":
            reference = request.path.removeprefix("/journals/")
            found = [self._told(one) for one in self.books.under(reference)]
            return json_answer({"posted": found, "in_work": any(one["reference"] == reference for one in self.in_work)})
        given = msgspec.json.decode(request.body)
        self.order.append(given["reference"])
        if self.asynchronous:
            self.in_work.append(given)
            return json_answer({"job": f"job-{given['reference']}"}, 202)
        try:
            return json_answer(self._told(self._book(given)), 201)
        except RefusalError as refusal:
            return json_answer({"kind": refusal.kind, "words": str(refusal)}, 422)

    def finish_work(self) -> None:
        """Book what was accepted."""
        for given in self.in_work:
            self._book(given)
        self.in_work = []

    def _book(self, given: Any) -> BookedDocument:
        lines = [BookLine(line["account"], Decimal(line["amount"])) for line in given["lines"]]
        return self.books.book(given["reference"], date.fromisoformat(given["on"]), given["currency"], lines)

    def _told(self, document: BookedDocument) -> dict[str, Any]:
        lines = [{"account": line.account, "amount": str(line.amount)} for line in document.lines]
        return {"id": document.number, "number": f"P{document.number}", "on": str(document.on), "lines": lines}


class PlainConnector:
    """Its connector."""

    name = "plain"
    takes: frozenset[DocumentKind] = frozenset(("journal",))

    def __init__(self, url: str, *, most_lanes: int = 8, timeout_s: float = 5.0) -> None:
        self.most_lanes = most_lanes
        self._http = ErpHttp(url, authorize=dict, timeout_s=timeout_s)

    def watched_by(self, watch: CallWatch) -> None:
        """Tell of every call."""
        self._http.watch = watch

    def post(self, documents: Sequence[Document]) -> list[PostingOutcome]:
        """One call each."""
        return one_by_one([one.reference for one in documents], lambda n: self._post(documents[n]))

    def _post(self, document: Document) -> PostingOutcome:
        assert isinstance(document, Journal)
        lines = [{"account": line.account, "amount": str(line.debit - line.credit)} for line in document.lines]
        given = {
            "reference": document.reference,
            "on": str(document.books_date),
            "currency": document.currency,
            "lines": lines,
        }
        reply = self._http.request("POST", "/journals", writes=True, content=msgspec.json.encode(given))
        if reply.status == 422:
            told = reply.json()
            return Rejected(document.reference, f"{document.reference}: {told['words']}", told["kind"])
        if reply.status == 202:
            return Accepted(document.reference, reply.json()["job"])
        return Posted(document.reference, reply.json()["id"], reply.json()["number"])

    def find(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """One call each."""
        found = {}
        for reference in references:
            told = self._get(reference).json()
            for one in told["posted"]:
                lines = [_line(line["account"], Decimal(line["amount"])) for line in one["lines"]]
                found[reference] = ErpDocument(
                    reference=reference, document_id=one["id"], number=one["number"], posted=True, lines=tuple(lines)
                )
            if told["in_work"] and reference not in found:
                found[reference] = ErpDocument(reference=reference, document_id="work", number=None, posted=False)
        return found

    def _get(self, reference: str) -> Reply:
        return self._http.request("GET", f"/journals/{reference}", writes=False)

    def finish(self, documents: Sequence[ErpDocument], kind: DocumentKind = "journal") -> list[PostingOutcome]:
        """What is in work stays so."""
        return [Accepted(one.reference, f"job-{one.reference}") for one in documents]

    def poll(self, pending: Sequence[Pending]) -> list[PostingOutcome]:
        """Posted, or still in work."""
        found = self.find([one.reference for one in pending])
        outcomes: list[PostingOutcome] = []
        for one in pending:
            document = found.get(one.reference)
            if document is None:
                outcomes.append(Unknown(one.reference, "the ERP knows no such job"))
            elif document.posted:
                outcomes.append(Posted(one.reference, document.document_id, document.number or ""))
            else:
                outcomes.append(Accepted(one.reference, one.handle))
        return outcomes

    def read_back(self, references: Sequence[str], kind: DocumentKind = "journal") -> dict[str, ErpDocument]:
        """As ``find``."""
        return self.find(references, kind)

    def called_back(self, headers: Mapping[str, str], body: bytes) -> list[PostingOutcome]:
        """Outcomes as JSON, signed."""
        if not hmac.compare_digest(headers.get("x-signature", ""), signature(body)):
            raise AuthenticationError("the signature is not the plain ERP's")
        try:
            return msgspec.json.decode(body, type=list[Posted | Accepted | Rejected])  # type: ignore[return-value]
        except msgspec.DecodeError as error:
            raise RejectedError(f"the callback cannot be read: {error}") from error

    def close(self) -> None:
        """Let go."""
        self._http.close()


def _line(account: str, amount: Decimal) -> JournalLine:
    zero = Decimal(0)
    return JournalLine(account=account, debit=max(amount, zero), credit=max(-amount, zero))


def signature(body: bytes) -> str:
    """How the plain ERP signs."""
    return hmac.new(SECRET, body, "sha256").hexdigest()
