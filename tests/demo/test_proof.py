"""The proof: it holds when everything is right, and says what is wrong when anything is."""

from __future__ import annotations

import asyncio
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal
from types import SimpleNamespace

import httpx2
import msgspec
import psycopg
import pytest
from driving import record
from posting_kit import book_of, policy_of
from rich.console import Console

from tillwire.connectors.erp import Posted, PostingOutcome
from tillwire.demo.erp import ACCOUNT_RULES, SUSPENSE, DemoErp, ErpBooks
from tillwire.demo.faults import choose
from tillwire.demo.mending import Mended, ranked
from tillwire.demo.others import Others
from tillwire.demo.proof import Proof, Witness
from tillwire.demo.retailer import Retailer, master_events
from tillwire.demo.screen import show_proof
from tillwire.demo.sender import Sender
from tillwire.demo.simulation import Simulation
from tillwire.intake.door import Prepared, read_batch, read_one
from tillwire.intake.group_commit import GroupCommit
from tillwire.intake.rules import Policy
from tillwire.model.ledger import ErpDocument, Journal
from tillwire.posting import documents
from tillwire.posting.build import build_journals


class MemoryErp:
    """An ERP that keeps its books in memory: connector, and the demo's look past it."""

    def __init__(self) -> None:
        self.moves: list[Journal] = []
        self.proxy = SimpleNamespace(injected=Counter())

    def post(self, journals: Sequence[Journal]) -> list[PostingOutcome]:
        self.moves += journals
        return [Posted(journal.reference, journal.reference, journal.reference) for journal in journals]

    def read_back(self, references: Sequence[str], kind: str = "journal") -> dict[str, ErpDocument]:
        return {
            move.reference: ErpDocument(
                reference=move.reference, document_id="1", number="1", posted=True, lines=move.lines
            )
            for move in self.moves
            if move.reference in references
        }

    def books(self) -> ErpBooks:
        debit: dict[str, Decimal] = defaultdict(Decimal)
        credit: dict[str, Decimal] = defaultdict(Decimal)
        for move in self.moves:
            for line in move.lines:
                debit[line.account] += line.debit
                credit[line.account] += line.credit
        times = Counter(move.reference for move in self.moves)
        return ErpBooks(
            posted=len(self.moves),
            drafts=0,
            repeated=[reference for reference, count in times.items() if count > 1],
            references=frozenset(times),
            debit={account: amount for account, amount in debit.items() if amount},
            credit={account: amount for account, amount in credit.items() if amount},
        )


async def send(url: str, retailer: Retailer) -> Simulation:
    """A few stores' two days through door and group commit, without a server between."""
    chosen = retailer.in_weeks(2, 2, stores=6, days=2)
    troubles = choose(retailer.ordinary(chosen), retailer.business_days(chosen), seed=1)
    commit = GroupCommit(url)
    await commit.start()

    async def hub(request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        if "batch" not in request.headers["content-type"]:
            (status,) = await commit.submit([read_one(body)])  # type: ignore[list-item]
            return httpx2.Response({"accepted": 202, "duplicate": 200, "conflict": 409}[status])
        events = [event for event in read_batch(body, most_events=1_000) if isinstance(event, Prepared)]
        counts = Counter(await commit.submit(events))
        answer = {status: counts[status] for status in ("accepted", "duplicate", "conflict", "rejected")}
        return httpx2.Response(202, json=answer)

    try:
        async with Sender("http://hub", transport=httpx2.MockTransport(hub)) as sender:
            simulation = Simulation(sender, troubles, seed=1, check=lambda: None)
            sold = {line.sku for sale in retailer.sales(chosen) for line in sale.lines}
            await simulation.send_master_data(
                [
                    event
                    for event, record in zip(master_events(retailer), retailer.master_records(), strict=True)
                    if getattr(record, "sku", None) in sold or not hasattr(record, "sku")
                ]
            )
            await simulation.trade(retailer.sales(chosen), lambda _: None)
    finally:
        await commit.stop()
    return simulation


def post(connection: psycopg.Connection, erp: MemoryErp) -> None:
    """Build journals, and have the ERP post them, as dispatch would."""
    build_journals(connection, book_of(*ACCOUNT_RULES, suspense_account=SUSPENSE), policy_of())
    ids = [one for (one,) in connection.execute("SELECT journal_id FROM journal WHERE state = 'built'").fetchall()]
    for journal_id, journal in zip(ids, documents.load(connection, ids), strict=True):
        assert isinstance(journal, Journal)
        erp.post([journal])
        connection.execute(
            "UPDATE journal SET state = 'posted', erp = 'erp', document_id = '1' WHERE journal_id = %s", (journal_id,)
        )


class Nobody(Others):
    """A demo in which everybody speaks the hub's own language."""

    def __init__(self) -> None:
        self.voices = {}


Prove = Callable[[], Proof]


@pytest.fixture
def erp() -> MemoryErp:
    return MemoryErp()


@pytest.fixture
def prove(database_url: str, connection: psycopg.Connection, retailer: Retailer, erp: MemoryErp) -> Prove:
    """Everything sent, recorded and posted; the fixture proves it."""
    simulation = asyncio.run(send(database_url, retailer))
    record(database_url, policy=Policy(past_days=36_500))
    post(connection, erp)

    def run() -> Proof:
        as_demo_erp: DemoErp = erp  # type: ignore[assignment]
        witness = Witness(connection, simulation.books, simulation.traffic, as_demo_erp, Nobody())
        return witness.prove(erp)  # type: ignore[arg-type]

    return run


def broken(proof: Proof) -> set[str]:
    return {check.statement for check in proof.checks if not check.holds} | {
        fault.kind for fault in proof.faults if not fault.holds
    }


def test_everything_holds_and_every_tampering_is_named(
    prove: Prove, connection: psycopg.Connection, erp: MemoryErp
) -> None:
    proof = prove()
    assert not broken(proof)
    assert proof.ok
    assert proof.captured.count == proof.recorded.count + proof.in_exceptions.count
    assert proof.recorded == proof.posted == proof.acknowledged
    assert proof.in_exceptions.count == 4

    for statement, named in (
        ("UPDATE stock_balance SET on_hand = on_hand + 1 WHERE ctid = (SELECT min(ctid) FROM stock_balance)",
         {"stock = recomputed from sales"}),
        ("UPDATE rule_note SET lines = lines + 1 WHERE rule = 'zero_quantity'",
         {"zero quantity: let through, noted"}),
        ("UPDATE store_day SET amount = amount + 1 WHERE ctid = (SELECT min(ctid) FROM store_day)",
         {"captured = recorded + in exceptions", "till and day closes agree"}),
        ("DELETE FROM exception WHERE code = 'unknown_product'",
         {"captured = recorded + in exceptions", "in exceptions are the faulty ones", "till and day closes agree",
          "unknown_product"}),
        ("DELETE FROM exception WHERE code = 'duplicate_conflict'", {"duplicate_conflict"}),
        ("UPDATE completeness SET recorded = recorded + 1 WHERE ctid = (SELECT min(ctid) FROM completeness)",
         {"sound transactions are recorded"}),
        ("INSERT INTO erp_incident (kind, detail) VALUES ('unavailable', 'of its own')", set()),
        ("UPDATE journal SET state = 'unknown' WHERE journal_id = (SELECT min(journal_id) FROM journal)",
         {"recorded = posted = acknowledged", "till and day closes agree", "read back from Tryton, by account",
          "Tryton's trial balance is ours"}),
    ):  # fmt: skip
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
            assert broken(prove()) == named, statement
    assert prove().ok
    erp.proxy.injected["lose_reply"] += 1
    assert broken(prove()) == {"erp_lost_reply"}


def test_an_erp_that_has_too_much_too_little_or_something_else_is_caught(prove: Prove, erp: MemoryErp) -> None:
    assert prove().ok
    first, *rest = erp.moves
    erp.moves = [first, first, *rest]
    assert broken(prove()) == {"Tryton counts as many posted moves", "Tryton's trial balance is ours"}
    erp.moves = rest
    assert broken(prove()) == {
        "recorded = posted = acknowledged",
        "till and day closes agree",
        "read back from Tryton, by account",
        "Tryton counts as many posted moves",
        "Tryton's trial balance is ours",
    }
    line, *others = first.lines
    changed = msgspec.structs.replace(line, debit=line.debit + 1)
    erp.moves = [msgspec.structs.replace(first, lines=(changed, *others)), *rest]
    assert broken(prove()) == {
        "recorded = posted = acknowledged",
        "till and day closes agree",
        "read back from Tryton, by account",
        "Tryton's trial balance is ours",
    }


def test_it_can_be_shown(prove: Prove, connection: psycopg.Connection) -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=100)
    queue = ranked(connection)
    assert queue
    assert [one.at_risk for one in queue] == sorted((one.at_risk for one in queue), reverse=True)
    show_proof(console, prove(), Mended(queue), 12.3)
    connection.execute("DELETE FROM exception")
    show_proof(console, prove(), Mended(ranked(connection)), 12.3)
    told = shown.getvalue()
    assert "proven in 12 s" in told
    assert "NOT PROVEN in 12 s" in told
