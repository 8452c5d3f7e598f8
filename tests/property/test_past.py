"""Whatever order versions, voids and returns come in, the end is that of the final versions alone."""

from __future__ import annotations

import random
from typing import Any

import psycopg
from builders import Event, masters, store
from driving import accept, check_effects, exception_codes, make_worker, record, rows, scalar, settings_for
from fixture_types import NewDatabase
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pasts import STORES, pasts
from posting_kit import BOOK, policy_of

from tillwire import bootstrap
from tillwire.events.recorded import InlineProjection, Recorded
from tillwire.posting.build import build_journals
from tillwire.replay import replay_inline


class Dying(InlineProjection):
    """Fails when it writes, once, as if the database had gone away."""

    tables: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.died = False

    def begin(self) -> None:
        """Nothing is gathered."""

    def apply(self, recorded: Recorded) -> None:
        """Nothing is gathered."""

    def write(self, connection: psycopg.Connection) -> None:
        """Fail the first time."""
        if not self.died:
            self.died = True
            raise psycopg.OperationalError("the server has gone away")


def record_dying(url: str, **more: Any) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        dying = Dying()
        worker = make_worker(connection, [*bootstrap.inline_projections(), dying], **more)
        try:
            worker.work_once()
        except psycopg.OperationalError:
            assert dying.died


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(past=pasts(), seed=st.integers(0, 2**32))
def test_the_end_is_that_of_the_final_versions(
    new_database: NewDatabase, past: tuple[list[Event], list[Event]], seed: int
) -> None:
    arriving, final = past
    chance = random.Random(seed)
    records = masters(*(store(number) for number in STORES))
    with new_database() as url, psycopg.connect(url, autocommit=True) as connection:
        accept(url, records)
        record(url)
        shuffled = chance.sample(arriving, len(arriving))
        while shuffled:
            size = chance.randint(1, 6)
            some, shuffled = shuffled[:size], shuffled[size:]
            accept(url, some)
            if chance.random() < 0.3:
                record_dying(url)
            if chance.random() < 0.7:
                record(url, most_events=chance.choice((1, 2, 1000)), most_partitions=chance.choice((1, 8)))
            if chance.random() < 0.3:
                build_journals(connection, BOOK, policy_of())
        record(url)
        waiting = rows(connection, "SELECT code, key, message FROM exception WHERE state IN ('open', 'retrying')")
        assert waiting == []
        assert exception_codes(connection) == []
        check_effects(connection, [*records, *final])
        build_journals(connection, BOOK, policy_of())
        check_books(connection)
        before = rows(connection, "SELECT sale::text FROM sale ORDER BY 1")
        assert {status for found in accept(url, arriving) for status in found} == {"duplicate"}
        assert record(url) == 0
        assert rows(connection, "SELECT sale::text FROM sale ORDER BY 1") == before
        assert chance.random() < 0.7 or replay_inline(settings_for(url), processes=1).identical


def check_books(connection: psycopg.Connection) -> None:
    """What is in journals is what the subledger holds, and each journal balances."""
    unbalanced = "SELECT journal_id FROM journal_line GROUP BY 1 HAVING sum(debit) <> sum(credit)"
    assert rows(connection, unbalanced) == []
    posted = (
        "SELECT component, code, sum(debit - credit) FROM journal_line GROUP BY 1, 2"
        " HAVING sum(debit - credit) <> 0 ORDER BY 1, 2"
    )
    ledger = "SELECT component, code, sum(amount) FROM ledger_entry GROUP BY 1, 2 HAVING sum(amount) <> 0 ORDER BY 1, 2"
    assert rows(connection, posted) == rows(connection, ledger)
    counted = "SELECT coalesce(sum(transactions), 0), coalesce(sum(amount), 0) FROM journal"
    sold = "SELECT coalesce(sum(selling), 0), coalesce(sum(amount), 0) FROM completeness"
    assert rows(connection, counted) == rows(connection, sold)
    assert scalar(connection, "SELECT count(*) FROM posting_due") == 0
