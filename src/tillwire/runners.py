"""The processes: API, worker, relay, dispatcher. Each runs alone, several times over, on one database.

They stop on SIGTERM between two transactions, and start over by themselves when a server they need was away.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import structlog
import uvloop
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from tillwire import bootstrap, clock
from tillwire.collector import quiet_garbage_collector
from tillwire.config import AlertRoute, Connection, Settings
from tillwire.connectors.inbound import Delivery, InboundConnector, PullConnector
from tillwire.database.migrate import migrate
from tillwire.errors import AuthenticationError, ConfigurationError, RejectedError, TransientError
from tillwire.events import follow, relay
from tillwire.events.master_stream import MasterStream
from tillwire.intake import foreign
from tillwire.intake.dropfolder import DropFolder
from tillwire.intake.normalise import Normaliser
from tillwire.intake.worker import Worker
from tillwire.masterdata.listing import set_at
from tillwire.masterdata.taking import take_pulled
from tillwire.observability.delivering import Deliverer
from tillwire.observability.observer import Observer
from tillwire.posting.backlog import Upkeep
from tillwire.posting.build import build_journals
from tillwire.posting.dispatch import Dispatcher
from tillwire.posting.pulls import Pulls

_log = structlog.get_logger(__name__)

RECONNECT_S = 0.5

INBOX_IDLE_S = 0.5
OBSERVE_IDLE_S = 1.0
PULL_AGAIN_S = 15.0
"""How long to wait after a fetch that failed, where the other system does not say."""

PULL_LANE = 0x7111_0004
"""Key space of the advisory locks under which systems are fetched from."""


class Stop:
    """A request to stop, from SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def listen(self) -> Stop:
        """Take SIGTERM and SIGINT as the request. Call it in the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._event.set())
        return self

    def set(self) -> None:
        """Ask for it."""
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        """Wait so long, or until asked to stop."""
        self._event.wait(seconds)


_POINT_LOOKUPS = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
"""A worker touches few rows of large tables by their keys. A plan made while they were small would scan them."""


def connect(settings: Settings, options: str = "") -> psycopg.Connection:
    """A database connection in autocommit, with prepared statements. Raises ``psycopg.OperationalError``."""
    if not settings.database_url:
        raise ConfigurationError("database_url is not set: give one, or use `tillwire up`, which starts a server")
    return psycopg.connect(
        settings.database_url, autocommit=True, prepare_threshold=0, application_name="tillwire", options=options
    )


def _for_ever(
    settings: Settings,
    stop: Stop,
    idle_s: float,
    make: Callable[[psycopg.Connection], Callable[[], int]],
    options: str = "",
) -> None:
    """Connect, make a step, repeat it while it finds work; connect again whenever the database was away."""
    migrated = False
    while not stop:
        try:
            if not migrated:
                migrate(settings.database_url)
                migrated = True
            with connect(settings, options) as connection:
                step = make(connection)
                while not stop:
                    if not step():
                        stop.wait(idle_s)
        except psycopg.OperationalError as error:
            _log.warning("database_away", error=str(error).strip())
            stop.wait(RECONNECT_S)


def work(settings: Settings, stop: Stop) -> None:
    """Record accepted events until asked to stop."""
    quiet_garbage_collector()
    rules = bootstrap.policy(settings.rules)
    late = bootstrap.late_policy(settings.late_arrivals)

    def make(connection: psycopg.Connection) -> Callable[[], int]:
        projections = bootstrap.inline_projections()
        worker = Worker(connection, projections, rules, most_events=settings.work.most_events, late=late)
        return worker.work_once

    _for_ever(settings, stop, settings.work.idle_ms / 1000, make, _POINT_LOOKUPS)


def connect_systems(settings: Settings, stop: Stop) -> None:
    """Read what other systems sent, and fetch from those that are to be asked, until asked to stop."""
    connectors = bootstrap.inbound_connectors(settings)
    threads = [
        threading.Thread(target=_pull_for_ever, args=(settings, stop, name, connector), name=f"pull-{name}")
        for name, connector in connectors.items()
        if hasattr(connector, "pull")
    ]
    threads += [
        threading.Thread(
            target=_watch_for_ever, args=(settings, stop, one, connectors[one.name]), name=f"inbox-{one.name}"
        )
        for one in settings.connections
        if one.inbox and one.enabled
    ]
    for thread in threads:
        thread.start()
    try:
        _for_ever(settings, stop, 0.05, lambda connection: Normaliser(connection, connectors).normalise_once)
    finally:
        for thread in threads:
            thread.join()


def _pull_for_ever(settings: Settings, stop: Stop, name: str, connector: PullConnector) -> None:
    """Fetch from one system, at the pace its connector asks for; one process does so at a time."""

    def make(connection: psycopg.Connection) -> Callable[[], int]:
        def step() -> int:
            row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (PULL_LANE, name)).fetchone()
            if row is None or not row[0]:
                stop.wait(RECONNECT_S)
                return 0
            state = foreign.state_of(connection, name)

            def deliver(deliveries: Sequence[Delivery], after: Mapping[str, Any]) -> None:
                foreign.deliver(connection, name, deliveries, after)

            try:
                wait_s = connector.pull(state, deliver)
            except (TransientError, AuthenticationError, ConfigurationError, RejectedError) as error:
                _log.warning("pull_failed", connection=name, error=str(error))
                foreign.note_error(connection, name, str(error))
                wait_s = getattr(error, "retry_after_s", None) or PULL_AGAIN_S
            finally:
                connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", (PULL_LANE, name))
            stop.wait(wait_s)
            return 1

        return step

    try:
        _for_ever(settings, stop, RECONNECT_S, make)
    finally:
        connector.close()


def _watch_for_ever(settings: Settings, stop: Stop, one: Connection, connector: InboundConnector) -> None:
    """Take files from one connection's inbox. Several processes may watch it: each file is taken by one."""

    def make(connection: psycopg.Connection) -> Callable[[], int]:
        folder: DropFolder | None = None

        def step() -> int:
            nonlocal folder
            try:
                folder = folder or DropFolder(
                    connection,
                    one.name,
                    connector,
                    Path(one.inbox),
                    one.drop,
                    backlog_limit=settings.http.backlog_limit,
                    wait=stop.wait,
                    stopping=lambda: bool(stop),
                )
                return folder.work_once()
            except psycopg.OperationalError:
                raise  # the database is away: connect again
            except (
                OSError,
                psycopg.Error,
            ) as error:  # the share is away, the disk full: nothing is lost
                _log.warning("inbox_failed", connection=one.name, inbox=one.inbox, error=str(error))
                foreign.note_error(connection, one.name, f"inbox {one.inbox}: {str(error).strip()}")
                stop.wait(PULL_AGAIN_S)
                return 0

        return step

    _for_ever(settings, stop, INBOX_IDLE_S, make)


def dispatch(settings: Settings, stop: Stop) -> None:
    """Build journals of closed store days and send them to every ERP that is configured, until asked to stop."""
    book, policy = bootstrap.account_book(settings), bootstrap.posting_policy(settings)
    policies = bootstrap.erps(settings)
    make_connector = partial(bootstrap.erp_connector, settings)
    pulls = Pulls(settings.posting.pull_minutes, make_connector, partial(take_pulled, settings.database_url))
    dispatcher = Dispatcher(
        policies,
        settings.posting,
        stop,
        connect=partial(connect, settings),
        make_connector=make_connector,
        chore=pulls if settings.posting.pull_minutes else None,
    )

    def make(connection: psycopg.Connection) -> Callable[[], int]:
        if not begun:
            begun.append(True)
            dispatcher.start()
        upkeep = Upkeep(connection, policies, settings.posting)

        def step() -> int:
            upkeep.look()
            return build_journals(connection, book, policy)

        return step

    begun: list[bool] = []
    try:
        _for_ever(settings, stop, settings.posting.idle_ms / 1000, make)
    finally:
        stop.set()
        dispatcher.join()


def observe(settings: Settings, stop: Stop) -> None:
    """Measure figures, judge alerts and deliver what people are told, until asked to stop."""
    threads = [
        threading.Thread(target=_deliver_for_ever, args=(settings, stop, route), name=f"route-{route.name}")
        for route in settings.alert_routes
    ]
    for thread in threads:
        thread.start()

    def make(connection: psycopg.Connection) -> Callable[[], int]:
        observer = Observer(connection, settings, bootstrap.erps(settings), hub=bootstrap.public_url(settings))

        def step() -> int:
            try:
                observer.step(clock.now())
            except psycopg.OperationalError:
                raise  # the database is away: connect again
            except Exception:  # noqa: BLE001 - alerts must outlive whatever went wrong with one look
                _log.exception("observing_failed")
            return 0

        return step

    try:
        _for_ever(settings, stop, OBSERVE_IDLE_S, make)
    finally:
        for thread in threads:
            thread.join()


def _deliver_for_ever(settings: Settings, stop: Stop, route: AlertRoute) -> None:
    """Deliver one route's messages. Several processes may: each message is claimed by one."""

    def make(connection: psycopg.Connection) -> Callable[[], int]:
        deliverer = Deliverer(connection, settings, route)

        def step() -> int:
            try:
                return deliverer.deliver_once(clock.now())
            except psycopg.OperationalError:
                raise
            except Exception:  # noqa: BLE001 - the message waits for its lease to end, and is tried again
                _log.exception("delivering_failed", route=route.name)
                return 0

        return step

    _for_ever(settings, stop, OBSERVE_IDLE_S, make)


def spread(settings: Settings, stop: Stop) -> None:
    """Run the async projections and, where a backbone is configured, publish on it, until asked to stop."""
    asyncio.run(_spread(settings, stop))


async def _spread(settings: Settings, stop: Stop) -> None:
    projections = bootstrap.async_projections()
    migrated = False
    while not stop:
        try:
            if not migrated:
                await asyncio.to_thread(migrate, settings.database_url)
                migrated = True
            await _spread_connected(settings, stop, projections)
        except psycopg.OperationalError as error:
            _log.warning("database_away", error=str(error).strip())
        except (TimeoutError, OSError, TransientError, *relay.BACKBONE_ERRORS) as error:
            _log.warning("backbone_away", error=f"{type(error).__name__}: {error}")
        if not stop:
            await asyncio.sleep(RECONNECT_S)


async def _spread_connected(settings: Settings, stop: Stop, projections: list[follow.AsyncProjection]) -> None:
    with connect(settings) as connection:
        client = await relay.connect(settings.nats_url) if settings.nats_url else None
        try:
            publisher = relay.Relay(connection, client, settings.relay) if client else None
            masters = MasterStream(connection, client, settings.relay, set_at) if client else None
            if publisher and masters:
                await publisher.ensure_stream()
                await masters.ensure_stream()
            while not stop:
                done = sum(follow.follow_once(connection, projection) for projection in projections)
                if publisher and masters:
                    done += await publisher.publish_once()
                    done += await masters.publish_once()
                # Also lets the client answer the server's pings.
                await asyncio.sleep(0 if done else settings.relay.idle_ms / 1000)
        finally:
            if client:
                await client.close()


async def rebuild_stream(settings: Settings) -> int:
    """Publish every event, and every master record, again on new streams; returns how many events."""
    with connect(settings) as connection:
        client = await relay.connect(settings.nats_url)
        try:
            await MasterStream(connection, client, settings.relay, set_at).rebuild()
            return await relay.Relay(connection, client, settings.relay).rebuild()
        finally:
            await client.close()


def serve(settings: Settings) -> None:
    """The API, until SIGTERM."""
    from tillwire.http.app import create_app

    async def run() -> None:
        app = create_app(settings)
        server = Server(
            app,
            address=settings.http.host,
            port=settings.http.port,
            interface=Interfaces.ASGI,
            websockets=False,
            backlog=1024,
            http1_settings=HTTP1Settings(max_buffer_size=1024 * 1024),
            log_access=False,
            log_level="warning",  # type: ignore[arg-type]
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        quiet_garbage_collector()
        await server.serve()

    uvloop.run(run())
