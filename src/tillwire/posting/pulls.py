"""Master data from ERPs, on schedule: when nothing waits to be sent, by the owner of an ERP's first lane.

Its calls are the lane's, so that neither budget nor concurrency is exceeded; journals that come meanwhile go between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import psycopg
import structlog

from tillwire import clock
from tillwire.config import ErpPolicy
from tillwire.connectors.erp import ErpConnector, MasterSource
from tillwire.database import sql
from tillwire.errors import TillwireError
from tillwire.faultpoints import passing
from tillwire.model.master import MasterRecord
from tillwire.posting.gate import Gate
from tillwire.posting.lane import Lane

_sql = sql.load("tillwire.posting", "pulls.sql")
_log = structlog.get_logger(__name__)

TURN_S = 1.0
"""After so long of a pull journals have their turn."""

AGAIN_MINUTES = 1
"""A pull that failed is tried again so soon, if it would not be anyway."""

TakeIn = Callable[[ErpPolicy, str, Iterable[MasterRecord]], Any]
"""Takes in records of a kind that were pulled from an ERP."""


class Pulls:
    """The chore of a dispatcher: pulls every ERP that offers master data, every so many minutes."""

    def __init__(self, minutes: int, make_connector: Callable[[ErpPolicy], ErpConnector], take_in: TakeIn) -> None:
        self._minutes = minutes
        self._make_connector = make_connector
        self._take_in = take_in

    def __call__(self, lane: Lane, connection: psycopg.Connection, gate: Gate) -> bool:
        """Pull if it is time to; true if anything was done. What fails is told in the log, and tried again."""
        erp = lane.policy.name
        parameters = {"erp": erp, "minutes": self._minutes}
        if not self._minutes or connection.execute(_sql.due, parameters).fetchone() is None or not gate.admit():
            return False
        connector = self._make_connector(lane.policy)
        ago = 0
        try:
            if hasattr(connector, "pull"):
                connector.watched_by(gate)
                source = cast(MasterSource, connector)
                for kind in source.kinds:
                    outcome = self._take_in(lane.policy, kind, _between(source.pull(kind), lane))
                    _log.info("master_data_pulled", erp=erp, kind=kind, accepted=outcome.accepted)
                    passing("posting.after_pull")
        except TillwireError as error:
            _log.warning("pull_failed", erp=erp, error=str(error))
            ago = max(0, self._minutes - AGAIN_MINUTES)
        finally:
            connector.close()
        gate.finished()
        connection.execute(_sql.pulled, {"erp": erp, "minutes_ago": ago})
        return True


def _between(records: Iterable[MasterRecord], lane: Lane) -> Iterator[MasterRecord]:
    """The records, with a turn for journals every so often."""
    turn_s = clock.monotonic_s() + TURN_S
    for record in records:
        if clock.monotonic_s() > turn_s:
            lane.work()
            turn_s = clock.monotonic_s() + TURN_S
        yield record
