"""Dispatch: journals and documents to every ERP, exactly once, within its limits, however it fails.

A process runs a thread for every lane of every ERP. Of several processes one owns a lane and the others stand by. So an
ERP that is slow, or away, holds up nothing but what goes there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import psycopg
import structlog

from tillwire.config import ErpPolicy
from tillwire.config import Posting as PostingSettings
from tillwire.connectors.erp import ErpConnector
from tillwire.posting.gate import Gate
from tillwire.posting.lane import Lane, lane_count

_log = structlog.get_logger(__name__)

STAND_BY_S = 0.5
"""How often a lane that somebody else owns is tried."""

AGAIN_S = 0.5
AGAIN_MOST_S = 30.0
"""A lane that broke down by a fault of ours begins again so soon at first, and at the latest."""

Chore = Callable[[Lane, psycopg.Connection, Gate], object]
"""What the owner of an ERP's first lane does while nothing waits there."""


class Stopping(Protocol):
    """A request to stop."""

    def __bool__(self) -> bool:
        """True once it is made."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait so long, or until it is made."""
        ...


class Dispatcher:
    """The lanes of one process. ``start`` them, ``join`` them after the stop was asked for."""

    def __init__(
        self,
        policies: Sequence[ErpPolicy],
        settings: PostingSettings,
        stop: Stopping,
        *,
        connect: Callable[[], psycopg.Connection],
        make_connector: Callable[[ErpPolicy], ErpConnector],
        chore: Chore | None = None,
    ) -> None:
        """``connect`` gives a connection in autocommit; every lane has one, and a connector, of its own.

        Raises ``ConfigurationError`` if a connector cannot be made.
        """
        self._policies = policies
        self._settings = settings
        self._stop = stop
        self._connect = connect
        self._make_connector = make_connector
        self._chore = chore
        self._threads = [
            threading.Thread(target=self._run, args=(policy, number), name=f"lane-{policy.name}-{number}")
            for policy in policies
            if policy.enabled
            for number in range(self._lanes_of(policy))
        ]

    def _lanes_of(self, policy: ErpPolicy) -> int:
        connector = self._make_connector(policy)
        try:
            return lane_count(policy, connector)
        finally:
            connector.close()

    def start(self) -> None:
        """Start a thread for every lane."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until all of them have ended."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _run(self, policy: ErpPolicy, number: int) -> None:
        """One lane, until asked to stop. Whatever breaks, it begins again: its lock is gone with its connection, so
        that what it had sent is looked up first.
        """
        again_s = AGAIN_S
        while not self._stop:
            try:
                self._work(policy, number)
            except psycopg.OperationalError as error:
                _log.warning("database_away", erp=policy.name, lane=number, error=str(error).strip())
                again_s = AGAIN_S
            except Exception:  # noqa: BLE001 - a lane that ends unseen would keep its journals for ever
                _log.exception("lane_broke_down", erp=policy.name, lane=number, again_s=again_s)
            else:
                continue
            self._stop.wait(again_s)
            again_s = min(AGAIN_MOST_S, again_s * 2)

    def _work(self, policy: ErpPolicy, number: int) -> None:
        connector = self._make_connector(policy)
        try:
            with self._connect() as connection:
                gate = Gate(connection, policy, wait=self._stop.wait, stopping=lambda: bool(self._stop))
                connector.watched_by(gate)
                lane = Lane(
                    connection,
                    connector,
                    policy,
                    gate,
                    number=number,
                    policies=self._policies,
                    closed_period=self._settings.closed_period,
                )
                while not self._stop:
                    if not lane.own():
                        self._stop.wait(STAND_BY_S)
                    elif not lane.work():
                        if self._chore is not None and number == 0 and lane.idle():
                            self._chore(lane, connection, gate)
                        self._stop.wait(self._settings.idle_ms / 1000)
        finally:
            connector.close()
