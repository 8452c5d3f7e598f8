"""What the conformance suite of ERPs drives connectors with: a simulator beside each, journals that it takes, and a
dispatcher of few lines that carries every document to its end as the contract in ``connectors/erp.py`` says."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any, cast

import msgspec

from tillwire.connectors.erp import (
    Accepted,
    CallbackConnector,
    DuplicatePostingError,
    ErpConnector,
    NotSent,
    Pending,
    Posted,
    PostingOutcome,
    Rejected,
    Unknown,
)
from tillwire.connectors.registry import registered
from tillwire.connectors.simulation import ErpSimulator, Faults
from tillwire.connectors.spec import Spec
from tillwire.errors import OutcomeUnknownError, TransientError
from tillwire.model.ledger import (
    ZERO,
    Document,
    DocumentKind,
    Invoice,
    InvoiceLine,
    Journal,
    JournalLine,
    StockDocument,
    StockLine,
    kind_of,
)


class Case:
    """An ERP's spec, and one way in which its simulator is set up."""

    def __init__(self, spec: Spec, given: Mapping[str, Any]) -> None:
        self.spec = spec
        self.given = given

    def __repr__(self) -> str:
        return "-".join([self.spec.name, *(f"{name}={value}" for name, value in self.given.items())])

    def simulated(self, **given: Any) -> ErpSimulator:
        """A simulator that is set up so."""
        simulator: ErpSimulator = self.spec.simulated(**self.given, **given)
        return simulator


SIMULATED = [
    Case(spec, given)
    for spec in registered().values()
    if "erp" in spec.roles and spec.simulator
    for given in spec.simulator_class().variants
]
DAY = date(2026, 2, 10)
PATIENCE_S = 30.0
"""So long may it take until everything is settled; calls take milliseconds."""

_numbers = count(1)
_CALLING: dict[int, ErpSimulator] = {}
"""By the identity of a connector: the ERP that calls back what became of documents."""


class Watch:
    """Counts the calls that a connector announces, and the failures that it tells of."""

    def __init__(self) -> None:
        self.calls = 0
        self.failures: list[str] = []

    def before_call(self) -> None:
        """Wait for nothing."""
        self.calls += 1

    def failed(self, kind: str, detail: str, retry_after_s: float | None = None) -> None:
        """Note it."""
        assert detail
        self.failures.append(kind)


class Rig:
    """One ERP: its simulator, which listens, and connectors to it."""

    def __init__(self, spec: Spec, simulator: ErpSimulator) -> None:
        self.spec = spec
        self.simulator = simulator
        self.watch = Watch()
        self.made: list[ErpConnector] = []

    def connector(self, **settings: Any) -> ErpConnector:
        """A new connector, as another process would have; all are watched by ``watch``."""
        made: ErpConnector = self.spec.configure(self.simulator.settings() | settings, of=self.spec.name)
        made.watched_by(self.watch)
        self.made.append(made)
        _CALLING[id(made)] = self.simulator
        return made

    def journal(self, amount: str = "100.00", **changes: Any) -> Journal:
        """A balanced journal of three lines with a reference of its own."""
        cash, revenue, tax = self.simulator.account_codes[:3]
        net = Decimal(amount)
        told: dict[str, Any] = {
            "reference": f"{self.simulator.company}/101/{DAY}/{next(_numbers) * 1000}/{self.simulator.currency}",
            "company": self.simulator.company,
            "store": "101",
            "business_date": DAY,
            "currency": self.simulator.currency,
            "description": f"Store 101, {DAY}",
            "lines": (
                self.line(cash, net + Decimal("8.25"), "tender cash"),
                self.line(revenue, -net, "sales"),
                self.line(tax, Decimal("-8.25"), "tax STD"),
            ),
        }
        return Journal(**told | changes)

    def line(self, account: str, amount: Decimal, description: str = "") -> JournalLine:
        """A line, a debit if ``amount`` is positive."""
        return JournalLine(
            account=account,
            debit=max(amount, ZERO),
            credit=max(-amount, ZERO),
            description=description,
            dimensions=self.simulator.dimensions,
        )

    def unbalanced(self) -> Journal:
        """Debits of one more than credits."""
        whole = self.journal()
        first = msgspec.structs.replace(whole.lines[0], debit=whole.lines[0].debit + 1)
        return msgspec.structs.replace(whole, lines=(first, *whole.lines[1:]))

    def to_unknown_account(self) -> Journal:
        """One of its accounts is not there."""
        whole = self.journal()
        first = msgspec.structs.replace(whole.lines[0], account=self.simulator.unknown_account)
        return msgspec.structs.replace(whole, lines=(first, *whole.lines[1:]))

    def document(self, kind: DocumentKind) -> Document:
        """A document of a kind that the simulator takes."""
        reference = f"{self.simulator.company}/101/{DAY}/{next(_numbers) * 1000}/{kind}"
        head: dict[str, Any] = {
            "reference": reference,
            "company": self.simulator.company,
            "store": "101",
            "business_date": DAY,
            "description": f"Store 101, {DAY}",
        }
        sku = self.simulator.skus[0]
        match kind:
            case "journal":
                return self.journal()
            case "stock":
                moved = StockLine(sku=sku, quantity=Decimal(-2), unit=self.simulator.unit, reason="sale")
                return StockDocument(**head, lines=(moved,))
            case "invoice":
                cash, revenue = self.simulator.account_codes[:2]
                line = InvoiceLine(
                    sku=sku,
                    description="Two of them",
                    quantity=Decimal(2),
                    unit=self.simulator.unit,
                    amount=Decimal("20.00"),
                    account=revenue,
                )
                return Invoice(
                    **head,
                    currency=self.simulator.currency,
                    lines=(line,),
                    taxes=(),
                    total=Decimal("20.00"),
                    receivable_account=cash,
                )

    def assert_books(self, *journals: Journal) -> None:
        """The ERP has booked these journals, each once, and nothing else; and its books say what they say."""
        assert self.simulator.held("journal") == len(journals)
        wanted: Counter[Decimal] = Counter()
        sums: dict[str, Decimal] = {}
        for journal in journals:
            for line in journal.lines:
                sums[line.account] = sums.get(line.account, ZERO) + line.debit - line.credit
        wanted.update(amount for amount in sums.values() if amount)
        assert Counter(self.simulator.books.trial_balance().values()) == wanted
        if journals:
            self.assert_read_back(journals)

    def assert_read_back(self, journals: Sequence[Journal]) -> None:
        """The connector reads the very lines back."""
        found = self.connector().read_back([journal.reference for journal in journals])
        assert set(found) == {journal.reference for journal in journals}
        for journal in journals:
            document = found[journal.reference]
            assert document.posted
            assert document.number
            assert document.reference == journal.reference
            assert document.posting_date == journal.books_date
            assert amounts(document.lines) == amounts(journal.lines)


def amounts(lines: Sequence[JournalLine]) -> Counter[tuple[str, Decimal, Decimal]]:
    """Account, debit and credit of each line, whatever their order."""
    return Counter((line.account, line.debit, line.credit) for line in lines)


@contextmanager
def rig(case: Case, *, faults: Faults | None = None, **given: Any) -> Iterator[Rig]:
    """A new simulator with the accounts that journals of the suite name, and what drives it."""
    simulator = case.simulated(faults=faults, **given)
    simulator.open_accounts(simulator.account_codes)
    with simulator:
        made = Rig(case.spec, simulator)
        try:
            yield made
        finally:
            for connector in made.made:
                connector.close()
                del _CALLING[id(connector)]


Settled = dict[str, Posted | Rejected]


class Dispatcher:
    """Carries documents to their end: sends, looks up what got no reply, finishes drafts, polls what was accepted."""

    def __init__(self, connector: ErpConnector, documents: Sequence[Document]) -> None:
        self.connector = connector
        self.documents = {document.reference: document for document in documents}
        self.kind = kind_of(documents[0])
        self.settled: Settled = {}
        self.accepted: dict[str, str] = {}
        self.in_doubt: set[str] = set()
        self.once_accepted: set[str] = set()
        """References that were accepted before they were posted."""

    def run(self) -> Settled:
        """Until every document is posted or rejected. Fails after ``PATIENCE_S``."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self.settled) < len(self.documents):
            assert time.monotonic() < deadline, f"not settled: {set(self.documents) - set(self.settled)}"
            self.step()
            if len(self.settled) < len(self.documents):
                time.sleep(0.002)
        return self.settled

    def step(self) -> None:
        """One round: hear what the ERP calls, look up, poll, send."""
        self._hear()
        if self.in_doubt:
            self._trying(self._look_up)
        if self.accepted:
            pending = [Pending(one, handle, self.kind) for one, handle in self.accepted.items()]
            self._trying(lambda: self.note(self.connector.poll(pending), pending))
        rest = self.documents.keys() - self.settled.keys() - self.accepted.keys() - self.in_doubt
        documents = [document for reference, document in self.documents.items() if reference in rest]
        if documents:
            self._trying(lambda: self.note(self.connector.post(documents), documents), in_doubt=rest)

    def _hear(self) -> None:
        """What the ERP calls is said of documents of any connector, and perhaps before its answer came."""
        simulator = _CALLING.get(id(self.connector))
        for headers, body in simulator.calls_back() if simulator is not None else ():
            told = cast(CallbackConnector, self.connector).called_back(headers, body)
            for outcome in told:
                if outcome.reference in self.documents and isinstance(outcome, Posted | Rejected):
                    self.accepted.pop(outcome.reference, None)
                    self.in_doubt.discard(outcome.reference)
                    self.settled[outcome.reference] = outcome

    def _trying(self, do: Callable[[], None], in_doubt: set[str] | None = None) -> None:
        try:
            do()
        except OutcomeUnknownError:
            self.in_doubt |= in_doubt or set()
        except TransientError:
            return  # nothing has happened: the next round tries again

    def _look_up(self) -> None:
        asked = sorted(self.in_doubt)
        found = self.connector.find(asked, self.kind)
        posted = [document for document in found.values() if document.posted]
        drafts = [document for document in found.values() if not document.posted]
        for document in posted:
            self.in_doubt.discard(document.reference)
            self.settled[document.reference] = Posted(document.reference, document.document_id, document.number or "")
        self.in_doubt -= set(asked) - set(found)
        if drafts:
            self.note(self.connector.finish(drafts, self.kind), drafts)

    def note(self, outcomes: Sequence[PostingOutcome], asked: Sequence[Any]) -> None:
        """Take over what the connector says; it says something of each, in order."""
        assert [outcome.reference for outcome in outcomes] == [one.reference for one in asked]
        for outcome in outcomes:
            self.in_doubt.discard(outcome.reference)
            self.accepted.pop(outcome.reference, None)
            match outcome:
                case Posted(number=number):
                    assert number
                    self.settled[outcome.reference] = outcome
                case Rejected(reason=reason):
                    assert reason
                    self.settled[outcome.reference] = outcome
                case Accepted(handle=handle):
                    assert handle
                    self.accepted[outcome.reference] = handle
                    self.once_accepted.add(outcome.reference)
                case Unknown(reason=reason):
                    assert reason
                    self.in_doubt.add(outcome.reference)
                case NotSent(reason=reason):
                    assert reason


def until(condition: Callable[[], Any]) -> None:
    """Until it holds; fails after ``PATIENCE_S``."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it does not come to hold"
        time.sleep(0.02)


def settle(connector: ErpConnector, *documents: Document) -> list[Posted | Rejected]:
    """What becomes of each document in the end, in order."""
    settled = Dispatcher(connector, documents).run()
    return [settled[document.reference] for document in documents]


def post(connector: ErpConnector, *documents: Document) -> None:
    """Post them; fails if one is not."""
    for outcome in settle(connector, *documents):
        assert isinstance(outcome, Posted), outcome


def writing_calls(case: Case, kind: DocumentKind = "journal") -> int:
    """How many calls that write it takes to post one document."""
    with rig(case) as made:
        post(made.connector(), made.document(kind))
        return made.simulator.writing_calls


def find_all(connector: ErpConnector, references: Sequence[str]) -> tuple[set[str], set[str]]:
    """What is posted once, and what more than once."""
    try:
        found = connector.find(references)
    except DuplicatePostingError as error:
        return set(error.found), set(error.duplicates)
    return {reference for reference, document in found.items() if document.posted}, set()
