"""Two years in three currencies to every ERP, both modes, with lost replies, doubled requests, throttling, restarts and
dispatchers killed: the trial balance there is the subledger's to the cent, nothing twice, nothing missing.

``LEDGER_TRANSACTIONS`` says how many transactions each mode posts, where the usual numbers are not enough.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg
import pytest
from driving import rows, scalar
from erp_driving import SIMULATED, Case
from ledger_years import ACCOUNTS, BOOK, COMPANY, Years, subledger
from posting_kit import BY_TRANSACTION, SUMMARY, policy_of

from tillwire import bootstrap
from tillwire.config import ErpInstance, Posting, Settings
from tillwire.connectors.erpnext.simulator import ErpNextSimulator
from tillwire.connectors.simulation import ErpSimulator, Faults
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.faults import FaultPlan, FaultProxy
from tillwire.connectors.tryton.server import TrytonServer
from tillwire.connectors.tryton.setup import AccountKind, ChartAccount, ErpSetup, ExchangeRate
from tillwire.engines.postgres import EmbeddedPostgres
from tillwire.posting.build import build_journals
from tillwire.posting.read_back import confirm

if TYPE_CHECKING:
    from rig import Tell

pytestmark = pytest.mark.faults

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "erp"
GIVEN = int(os.environ.get("LEDGER_TRANSACTIONS", "0"))
TRANSACTIONS = {SUMMARY: GIVEN or 30_000, BY_TRANSACTION: GIVEN or 900}
EVERY = 1 if GIVEN else 3
"""Days between those on which stores are open: a third of the journals is enough for every change."""
FAULTS = {"lost_reply": 0.05, "duplicated": 0.05, "throttled": 0.005, "lost_request": 0.01, "unavailable": 0.005}
_WITHIN_S = 1200.0 if not GIVEN else 7200.0


@pytest.fixture(scope="module")
def years(postgres: EmbeddedPostgres, template_database: str) -> Iterator[dict[str, str]]:
    """For each mode, a database with its journals built, to be copied."""
    made: dict[str, str] = {}
    for mode, transactions in TRANSACTIONS.items():
        name = f"years_{mode}"
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database}".encode())
        Years(transactions, every=EVERY).record(postgres.url(name))
        with psycopg.connect(postgres.url(name), autocommit=True) as connection:
            connection.execute("ANALYZE")
            while build_journals(connection, BOOK, policy_of(mode)):
                pass
        made[mode] = name
    yield made
    for name in made.values():
        postgres.drop_database(name)


@pytest.fixture
def copied(postgres: EmbeddedPostgres, years: dict[str, str], mode: str) -> Iterator[str]:
    """The URL of a database with journals to post."""
    name = f"posted_{mode}_{random.randrange(10**9)}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {years[mode]}".encode())
    yield postgres.url(name)
    postgres.drop_database(name)


class Dispatchers:
    """Processes that dispatch, killed and started anew."""

    def __init__(self, settings: Settings, folder: Path, processes: int) -> None:
        self._file = folder / "settings.json"
        self._file.write_bytes(msgspec.json.encode(settings))
        self._log = folder / "dispatch.log"
        self.kills = 0
        self._running = [self._start() for _ in range(processes)]

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tillwire", "dispatch"],
                env={**os.environ, "TILLWIRE_SETTINGS": str(self._file)},
                stdout=log,
                stderr=log,
            )

    def kill_one(self, chance: random.Random) -> None:
        """End one at once, in the middle of whatever it does, and start another."""
        number = chance.randrange(len(self._running))
        self._running[number].send_signal(signal.SIGKILL)
        self._running[number].wait()
        self._running[number] = self._start()
        self.kills += 1

    def stop(self) -> None:
        """End all."""
        for one in self._running:
            one.terminate()
        for one in self._running:
            # One that has just begun does not listen yet.
            assert one.wait(60) in (0, -signal.SIGTERM), self.words()

    def words(self) -> str:
        """The last of what they said."""
        return self._log.read_text("utf-8", "replace")[-4000:]


def settings_of(url: str, erp: ErpInstance) -> Settings:
    """A hub that posts to one ERP, in a hurry."""
    hurry = Posting(
        settle_s=2.0, poll_s=0.3, idle_ms=20, limit_per_min=1_000_000, concurrency=4, retry_first_s=0.1,
        retry_most_s=1.0, batch_journals=50,
    )  # fmt: skip
    return Settings(database_url=url, posting=hurry, erps=(erp,))


@contextmanager
def dispatching(settings: Settings, folder: Path) -> Iterator[Dispatchers]:
    """Two dispatchers, ended at the end."""
    running = Dispatchers(settings, folder, 2)
    try:
        yield running
    finally:
        running.stop()


def drain(connection: psycopg.Connection, running: Dispatchers, trouble: Any, *, every_s: float) -> Counter[str]:
    """Wait until everything is posted, making trouble meanwhile; the states at the end."""
    deadline = time.monotonic() + _WITHIN_S
    last, since = -1, time.monotonic()
    while True:
        states = Counter(dict(rows(connection, "SELECT state, count(*)::int FROM journal GROUP BY 1")))
        if states.keys() <= {"posted", "rejected"}:
            return states
        if states["posted"] != last:
            last, since = states["posted"], time.monotonic()
        assert time.monotonic() - since < 120, (states, running.words())
        assert time.monotonic() < deadline, (states, running.words())
        time.sleep(every_s)
        trouble()


def balance_there(
    settings: Settings, references: list[str], currencies: dict[str, str]
) -> dict[tuple[str, str], Decimal]:
    """The trial balance by currency and account as the ERP's own books have it."""
    connector = bootstrap.erp_connector(settings, bootstrap.erp_named(settings))
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    seen = 0
    try:
        for start in range(0, len(references), 200):
            for reference, document in connector.read_back(references[start : start + 200]).items():
                assert document.posted, document
                seen += 1
                for one in document.lines:
                    found[(currencies[reference], one.account)] += one.debit - one.credit
    finally:
        connector.close()
    assert seen == len(references)
    return {place: amount for place, amount in found.items() if amount}


def check(connection: psycopg.Connection, settings: Settings) -> int:
    """The ERP holds every journal once, and its trial balance is the subledger's; how many journals."""
    built = rows(connection, "SELECT reference, currency, document_number FROM journal WHERE document_id IS NOT NULL")
    numbers = Counter(number for _, _, number in built)
    assert [number for number, times in numbers.items() if times > 1] == []
    there = balance_there(settings, [row[0] for row in built], {row[0]: row[1] for row in built})
    assert there == subledger(connection)
    connector = bootstrap.erp_connector(settings, bootstrap.erp_named(settings))
    try:
        assert confirm(connection, connector, settings.erps[0].name) == []
    finally:
        connector.close()
    return len(built)


@pytest.mark.parametrize("case", SIMULATED, ids=repr)
@pytest.mark.parametrize("mode", [SUMMARY, BY_TRANSACTION])
def test_a_simulated_erp_has_it_to_the_cent(case: Case, mode: str, copied: str, tmp_path: Path, tell: Tell) -> None:
    chance = random.Random(f"{case}/{mode}")
    simulator: ErpSimulator = case.simulated(faults=Faults(rates=FAULTS, seed=7, retry_after_s=1))
    simulator.open_accounts(ACCOUNTS)
    if isinstance(simulator, ErpNextSimulator):
        simulator.account_currencies = ACCOUNTS
    restarts, seconds = 0, count(1)
    with simulator, psycopg.connect(copied, autocommit=True) as connection:
        given = simulator.settings()
        if case.spec.name == "erpnext":  # where the values of converted lines differ by a cent
            given["exchange_account"] = "6900"
        erp = ErpInstance(name="sim", kind=case.spec.name, settings=given)
        settings = settings_of(copied, erp)

        def trouble() -> None:
            nonlocal restarts
            second = next(seconds) % 12
            if second == 1:
                running.kill_one(chance)
            match second:
                case 1 if restarts:  # at first at once: a fast ERP is done in three seconds
                    pass
                case 1 | 2:
                    simulator.stop()
                    simulator.start()
                    restarts += 1
                case 6:
                    simulator.fail_next("throttled", times=5)

        for fault in ("lost_reply", "duplicated"):  # however few calls an ERP needs that takes large batches
            simulator.fail_next(fault)
        with dispatching(settings, tmp_path) as running:
            states = drain(connection, running, trouble, every_s=1.0)
        assert states.keys() == {"posted"}, rows(
            connection, "SELECT reference, last_error FROM journal WHERE state = 'rejected' LIMIT 3"
        )
        faults = simulator.injected.copy()
        simulator.calm()
        journals = check(connection, settings)
        assert (
            sum(
                len(simulator.books.under(reference))
                for (reference,) in rows(connection, "SELECT reference FROM journal")
            )
            <= journals
        )
        attempts = scalar(connection, "SELECT max(attempts) FROM journal")
        transactions = scalar(connection, "SELECT sum(transactions) FROM journal")
    assert faults.keys() >= {"lost_reply", "duplicated"}, faults
    assert running.kills
    assert restarts
    tell(
        transactions=transactions, journals=journals, faults=faults.total(), calls=sum(simulator.calls.values()),
        kills=running.kills, restarts=restarts, most_attempts=attempts,
    )  # fmt: skip


_KINDS: dict[str, AccountKind] = {"1": "asset", "2": "liability", "4": "revenue", "6": "expense"}
CHART = tuple(ChartAccount(code, f"Account {code}", _KINDS[code[-4]]) for code in sorted({*ACCOUNTS, "1999"}))


@pytest.fixture(scope="module")
def tryton(postgres: EmbeddedPostgres, engines_folder: Path) -> Iterator[TrytonServer]:
    """A real Tryton: one company in USD, with the ERP's own rates for the other currencies."""
    rates = (
        ExchangeRate("USD", date(2024, 1, 1), Decimal(1)),
        ExchangeRate("EUR", date(2024, 1, 1), Decimal("0.92")),
        ExchangeRate("JPY", date(2024, 1, 1), Decimal("149.3"), 0),
    )
    setup = ErpSetup(company=COMPANY, years=(2024, 2025), rates=rates, accounts=CHART)
    server = TrytonServer(
        postgres.url("postgres"), setup=setup, work_dir=engines_folder / "years-erp", cache_dir=CACHE, database="years_erp"
    )  # fmt: skip
    with server:
        yield server


def in_tryton(server: TrytonServer, references: set[str]) -> dict[tuple[str, str], Decimal]:
    """The trial balance by currency and account as an accountant sees it, of the moves under these references: one posted
    move for each, and no other."""
    client = TrytonClient(server.admin_settings())
    client.context = {"company": 1}
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    try:
        fields = ["description", "state"]
        moves = client.call(
            "model.account.move.search_read", [["description", "like", f"{COMPANY}/%"]], 0, None, None, fields
        )
        mine = {move["id"]: move for move in moves if move["description"] in references}
        assert Counter(move["state"] for move in mine.values()) == {"posted": len(references)}
        columns = ["move", "account.code", "debit", "credit", "second_currency.code", "amount_second_currency"]
        ids = list(mine)
        for start in range(0, len(ids), 500):
            domain = [["move", "in", ids[start : start + 500]]]
            for row in client.call("model.account.move.line.search_read", domain, 0, None, None, columns):
                other = row["second_currency."]
                amount = row["amount_second_currency"] if other else row["debit"] - row["credit"]
                found[(other["code"] if other else "USD", row["account."]["code"])] += amount
    finally:
        client.close()
    return {place: amount for place, amount in found.items() if amount}


_TROUBLES = {"lose_reply": 0.05, "twice": 0.05, "rate_limited": 0.03, "lose_request": 0.02, "unavailable": 0.02}


@pytest.mark.erp
@pytest.mark.parametrize("mode", [SUMMARY, BY_TRANSACTION])
def test_the_real_tryton_has_it_to_the_cent(
    tryton: TrytonServer, mode: str, copied: str, tmp_path: Path, tell: Tell
) -> None:
    chance = random.Random(f"tryton/{mode}")
    restarts, seconds = 0, count(1)
    plan = FaultPlan(rates=_TROUBLES, seed=7)
    with FaultProxy(tryton.settings().url, plan) as proxy, psycopg.connect(copied, autocommit=True) as connection:
        given = msgspec.to_builtins(msgspec.structs.replace(tryton.settings(), url=proxy.url, timeout_s=20.0))
        settings = settings_of(copied, ErpInstance(name="sim", kind="tryton", settings=given))
        if mode == BY_TRANSACTION:  # references that no run before this one has posted
            connection.execute("UPDATE journal SET reference = reference || '/each'")

        def trouble() -> None:
            nonlocal restarts
            second = next(seconds)
            if second % 15 == 3:
                running.kill_one(chance)
            elif second % 40 == 10:
                tryton.kill()
                tryton.start()
                restarts += 1

        with dispatching(settings, tmp_path) as running:
            states = drain(connection, running, trouble, every_s=1.0)
        assert states.keys() == {"posted"}, rows(
            connection, "SELECT reference, last_error FROM journal WHERE state = 'rejected' LIMIT 3"
        )
        faults = proxy.injected.copy()
        proxy.reset()
        journals = check(connection, settings)
        built = rows(connection, "SELECT reference FROM journal WHERE document_id IS NOT NULL")
        assert in_tryton(tryton, {reference for (reference,) in built}) == subledger(connection)
        transactions = scalar(connection, "SELECT sum(transactions) FROM journal")
        attempts = scalar(connection, "SELECT max(attempts) FROM journal")
    assert faults.keys() >= {"lose_reply", "twice"}, faults
    assert running.kills
    assert restarts
    tell(
        transactions=transactions, journals=journals, faults=faults.total(), kills=running.kills, restarts=restarts,
        most_attempts=attempts,
    )  # fmt: skip
