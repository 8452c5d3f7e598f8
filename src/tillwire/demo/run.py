"""The demo: a whole hub and a real ERP are started, a retailer's week goes through them, and the end proves it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import psycopg
from rich.console import Console
from rich.markup import escape

from tillwire import bootstrap, clock, logs
from tillwire.config import Connection, Http, LateArrivals, Posting, Rules, Settings
from tillwire.connectors.tryton.server import erp_programs
from tillwire.demo.erp import ACCOUNT_RULES, CACHE, SUSPENSE, DemoErp
from tillwire.demo.faults import choose, erp_plan
from tillwire.demo.mending import Mended, mend_dearest
from tillwire.demo.others import Others
from tillwire.demo.proof import Proof, Witness
from tillwire.demo.report import write_report
from tillwire.demo.retailer import COMPANY_NAME, EACH, FIRST_FULL_WEEK, LAST_WEEK, Retailer
from tillwire.demo.screen import Screen, show_around, show_proof
from tillwire.demo.sender import Sender
from tillwire.demo.simulation import Simulation
from tillwire.demo.watch import Interrupted, Signals, Watch
from tillwire.demo.wire import HEAD_OFFICE, event_bytes
from tillwire.engines.supervisor import ChildEvent
from tillwire.errors import ConfigurationError
from tillwire.hub import Hub
from tillwire.model.master import ProductRecord

_POLL_S = 0.05
_MOST_CLOSES = 500


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What may be chosen."""

    weeks: int = 1
    whole_year: bool = False
    seed: int = 1
    report: Path | None = None
    stay: bool = False
    data: Path | None = None
    stores: int | None = None
    """Only so many of the busiest stores."""
    days: int | None = None
    """Only so many of the first days."""


def settings_for(erp: DemoErp, connections: Iterable[Connection] = ()) -> Settings:
    """The hub's settings: a free port, no API keys (it listens on the loopback only), the demo's accounts and ERP."""
    return Settings(
        http=Http(port=0, api_keys="off"),
        # The baskets are of 2017, whenever the demo is run.
        rules=Rules(past_days=36_500),
        late_arrivals=LateArrivals(most_days=36_500),
        posting=Posting(
            accounts=ACCOUNT_RULES,
            suspense_account=SUSPENSE,
            idle_ms=50,
            # The proxy lets the ERP finish before it loses the reply, and a batch takes the ERP a few seconds.
            settle_s=20.0,
            retry_first_s=0.2,
            retry_most_s=2.0,
            limit_per_min=6_000,
        ),
        erp=erp.for_hub(),
        connections=tuple(connections),
    )


def run(options: Options, console: Console) -> int:
    """Run the demo; returns the exit code: 0 if everything is proven, 1 if not, 130 or 143 after a signal.

    Raises ``ConfigurationError`` and ``EngineError`` if something it needs is missing.
    """
    _check(options)
    with (
        _folder(options, console) as folder,
        Signals(lambda: console.print("[yellow]stopping … (once more: at once)[/]")) as signals,
    ):
        log_file = folder.path / "logs" / "demo.log"
        log_file.parent.mkdir()
        with log_file.open("w", encoding="utf-8") as log:
            logs.configure("demo", stream=log)
            try:
                proof = _Demo(options, folder.path, console, signals).run()
            except Interrupted as stopped:
                console.print(f"[yellow]{stopped}[/]")
                folder.still_needed = False
                return 128 + signals.number
            except SystemExit:  # nobody reads what we print any more
                folder.still_needed = False
                raise
        folder.still_needed = options.stay or not proof.ok
        return 0 if proof.ok else 1


def _check(options: Options) -> None:
    """Raises ``ConfigurationError`` or ``EngineError`` for what can be known before anything is started."""
    weeks = LAST_WEEK - FIRST_FULL_WEEK + 1
    if not 1 <= options.weeks <= weeks:
        raise ConfigurationError(f"the data has {weeks} full weeks, not {options.weeks}")
    erp_programs()


class _Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.still_needed = True
        """Until everything went well, for its logs."""


@contextmanager
def _folder(options: Options, console: Console) -> Iterator[_Folder]:
    """The data folder: the one that was asked for, or a fresh one that goes with the demo unless it is still needed."""
    if options.data is not None:
        if options.data.exists() and any(options.data.iterdir()):
            raise ConfigurationError(f"{options.data} is not empty: the demo needs a fresh folder")
        options.data.mkdir(parents=True, exist_ok=True)
        yield _Folder(options.data.resolve())
        return
    folder = _Folder(Path(tempfile.mkdtemp(prefix="tillwire-demo-")))
    try:
        yield folder
    finally:
        if folder.still_needed:
            console.print(f"data and logs are kept in {folder.path}", highlight=False, soft_wrap=True)
        else:
            shutil.rmtree(folder.path)


class _Plan:
    """What is going to be sent: the chosen baskets, and what goes wrong with them."""

    def __init__(self, options: Options) -> None:
        self.retailer = Retailer(seed=options.seed)
        first, last = FIRST_FULL_WEEK, FIRST_FULL_WEEK + options.weeks - 1
        if options.whole_year:
            first, last = 1, LAST_WEEK
        self.chosen = self.retailer.in_weeks(first, last, stores=options.stores, days=options.days)
        self.days = self.retailer.business_days(self.chosen)
        self.store_days = sum(map(len, self.days.values()))
        self.all_days = sorted({day for days in self.days.values() for day in days})
        self.troubles = choose(self.retailer.ordinary(self.chosen), self.days, seed=options.seed)

    def stores(self) -> list[str]:
        """The stores, those that trade on the fewest days first."""
        return sorted(self.days, key=lambda store: (len(self.days[store]), store))

    def headline(self) -> str:
        first, last = min(days[0] for days in self.days.values()), max(days[-1] for days in self.days.values())
        return (
            f"[bold]{COMPANY_NAME}[/], {first} to {last}: {len(self.chosen):,} baskets of {len(self.days):,} stores "
            f"on {self.store_days:,} store days"
        )


class _Demo:
    """One run."""

    def __init__(self, options: Options, folder: Path, console: Console, signals: Signals) -> None:
        self._options = options
        self._folder = folder
        self._console = console
        self._signals = signals
        self._screen = Screen(console)
        self._began_s = clock.monotonic_s()
        self._stopping = False

    def run(self) -> Proof:
        """All phases; whatever was started is stopped in the end, in reverse order."""
        with ExitStack() as started:
            with self._screen:
                plan, erp = self._start_erp(started)
                others = Others(self._folder, plan.stores(), plan.all_days, seed=self._options.seed)
                started.enter_context(others)
                hub = self._start_hub(started, erp, others)
                watch = started.enter_context(Watch(hub.settings.database_url, self._signals.check))
                simulation = asyncio.run(self._send_all(hub, watch, plan, others))
                mended = self._finish(hub, watch, simulation, plan)
                proof = self._prove(hub, erp, simulation, others)
            seconds = clock.monotonic_s() - self._began_s
            if self._options.report is not None:
                write_report(self._options.report, proof, seconds)
            show_proof(self._console, proof, mended, seconds)
            if self._options.stay:
                self._stay(hub, erp, simulation)
            self._stopping = True
        return proof

    def _start_erp(self, started: ExitStack) -> tuple[_Plan, DemoErp]:
        """The ERP takes longest to start: read the baskets meanwhile."""
        with self._screen.phase("starting the ERP") as phase, ThreadPoolExecutor(1) as pool:
            erp = DemoErp(self._folder / "erp", erp_plan(self._options.seed), listener=self._tell)
            started.callback(erp.stop)
            starting = pool.submit(erp.start)
            try:
                plan = _Plan(self._options)
                self._screen.say(plan.headline())
                if not erp.is_cached:
                    self._screen.say(f"[dim]the first time Tryton's database is made and kept in {CACHE}: a minute[/]")
                self._wait_for(starting)
            except BaseException:
                erp.stop()  # or the thread that starts it would be waited for
                raise
            phase.result = f"Tryton on {erp.server.settings().url}, faults in front of it"
        return plan, erp

    def _start_hub(self, started: ExitStack, erp: DemoErp, others: Others) -> Hub:
        with self._screen.phase("starting the hub") as phase, ThreadPoolExecutor(1) as pool:
            hub = Hub(self._folder, settings_for(erp, others.connections("")), listener=self._tell)
            # Shops are told where to send, which is known once the hub has a port.
            connections = others.connections(hub.url)
            hub.settings = msgspec.structs.replace(hub.settings, connections=connections)
            started.callback(hub.stop)
            starting = pool.submit(hub.start)
            try:
                self._wait_for(starting)
            except BaseException:
                hub.stop()
                raise
            phase.result = f"{hub.url}; PostgreSQL, NATS, API, workers, relay, dispatcher, connections"
        return hub

    def _wait_for(self, starting: Future[None]) -> None:
        while not starting.done():
            self._signals.check()
            time.sleep(_POLL_S)
        starting.result()

    async def _send_all(self, hub: Hub, watch: Watch, plan: _Plan, others: Others) -> Simulation:
        async with Sender(hub.url) as sender:
            simulation = Simulation(
                sender, plan.troubles, seed=self._options.seed, check=self._signals.check, voices=others.voices
            )
            records = [*plan.retailer.master_records(), *others.shops.master_records()]
            await self._send_master_data(
                simulation, watch, [event_bytes(record, source=HEAD_OFFICE) for record in records]
            )
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.to_thread(others.shops.trade, self._signals.check))
                await self._send_baskets(simulation, watch, plan, others)
            await self._close_shops(sender, simulation, watch, others)
        return simulation

    async def _close_shops(self, sender: Sender, simulation: Simulation, watch: Watch, others: Others) -> None:
        """Once the hub has every order, those of lost webhooks too, head office closes the shops' days."""
        with self._screen.phase("online shops") as phase:
            expected = others.shops.sales()
            lost = sum(shop.lost() for shop in others.shops.all)
            await asyncio.to_thread(watch.until, lambda now: now.online >= expected, "fetching what webhooks lost")
            closes = others.shops.enter(simulation.books)
            for at in range(0, len(closes), _MOST_CLOSES):
                await sender.batch([event_bytes(close, source=HEAD_OFFICE) for close in closes[at : at + _MOST_CLOSES]])
            phase.result = f"{expected:,} orders and refunds, {lost:,} webhooks lost and made up for"

    async def _send_master_data(self, simulation: Simulation, watch: Watch, events: list[bytes]) -> None:
        with self._screen.phase("master data") as phase:
            with self._screen.bar("records recorded", len(events)) as bar:
                watch.tell(lambda now: bar.move(now.masters))
                await simulation.send_master_data(events)
                await asyncio.to_thread(watch.until, lambda now: now.masters >= len(events), "master data")
            phase.result = f"{len(events):,} stores, products, tax codes and tenders"

    async def _send_baskets(self, simulation: Simulation, watch: Watch, plan: _Plan, others: Others) -> None:
        screen = self._screen
        with screen.phase("trading") as phase:
            with (
                screen.bar("baskets sent", len(plan.chosen)) as sent,
                screen.bar("journals posted", plan.store_days) as bar,
            ):
                watch.tell(lambda now: bar.move(now.posted))
                await simulation.trade(plan.retailer.sales(plan.chosen), sent.advance)
            traffic = simulation.traffic
            phase.result = f"{traffic.events:,} events, {traffic.sent_again:,} of them again; {others.words()}"

    def _finish(self, hub: Hub, watch: Watch, simulation: Simulation, plan: _Plan) -> Mended:
        screen, expected = self._screen, simulation.traffic.events
        with screen.phase("recording") as phase, screen.bar("events recorded", expected) as bar:
            watch.tell(lambda now: bar.move(now.recorded + now.exceptions))
            now = watch.until(
                lambda now: not now.queued and not now.unread and now.recorded + now.exceptions >= expected, "recording"
            )
            phase.result = f"{now.recorded:,} events in the event store, {now.exceptions:,} in exceptions"
        mended = self._mend(hub, watch, simulation, plan)
        with screen.phase("posting") as phase, screen.bar("journals posted", now.journals) as bar:
            watch.tell(lambda now: bar.move(now.posted, now.journals + now.due))
            now = watch.until(lambda now: not now.due and now.posted == now.journals, "posting")
            phase.result = f"{now.posted:,} journals in the ERP"
        with screen.phase("publishing") as phase:
            everything = now.recorded + now.masters
            now = watch.until(lambda now: now.relayed >= everything, "publishing")
            phase.result = f"{now.relayed:,} events on the backbone"
        return mended

    def _mend(self, hub: Hub, watch: Watch, simulation: Simulation, plan: _Plan) -> Mended:
        """One root cause is mended as a person would: by the record that was missing. What waited for it follows."""
        records = {record.sku: record for record in plan.retailer.product_records() if record.unit == EACH}
        ordinary = next(iter(records.values()))

        def send(record: ProductRecord) -> None:
            async def hand_over() -> None:
                async with Sender(hub.url) as sender:
                    await sender.batch([event_bytes(record, source=HEAD_OFFICE)])

            asyncio.run(hand_over())

        with self._screen.phase("mending a cause") as phase:
            with psycopg.connect(hub.settings.database_url, autocommit=True) as connection:
                mended = mend_dearest(
                    connection,
                    simulation.books,
                    lambda sku: records.get(sku, ordinary),
                    send,
                    lambda done: watch.wait_for(done, "mending a cause"),
                )
            phase.result = f"{mended.record} recorded: {mended.transactions} transactions, {mended.amount:,.2f} USD"
        return mended

    def _prove(self, hub: Hub, erp: DemoErp, simulation: Simulation, others: Others) -> Proof:
        with self._screen.phase("reading back") as phase, ExitStack() as opened:
            connection = opened.enter_context(psycopg.connect(hub.settings.database_url, autocommit=True))
            connector = bootstrap.erp_connector(hub.settings)
            opened.callback(connector.close)
            proof = Witness(connection, simulation.books, simulation.traffic, erp, others).prove(connector)
            phase.result = f"{proof.acknowledged.count:,} transactions acknowledged by Tryton's own books"
        return proof

    def _stay(self, hub: Hub, erp: DemoErp, simulation: Simulation) -> None:
        show_around(self._console, self._folder, hub, erp, simulation)
        while not self._signals.number:
            time.sleep(_POLL_S)

    def _tell(self, event: ChildEvent) -> None:
        if event.kind == "died" and not self._stopping:
            self._screen.say(f"[yellow]{event.name} died ({escape(event.detail)}) and is started again[/]")
