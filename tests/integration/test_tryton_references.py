"""One reference, one move: with the server-side module that makes it so, and without it by lane and look-up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
from tryton_journals import CREATE, POST, kinds, sales, until_idle

from tillwire.connectors.erp import NotSent, Posted, PostingOutcome, Rejected, Unknown
from tillwire.connectors.tryton import TrytonConnector
from tillwire.connectors.tryton.faults import FaultPlan, FaultProxy
from tillwire.connectors.tryton.server import TrytonServer
from tillwire.errors import RejectedError, TransientError
from tillwire.model.ledger import Journal

if TYPE_CHECKING:
    from tryton_fixtures import Books

pytest_plugins = ("tryton_fixtures", "tryton_others")
pytestmark = pytest.mark.erp


class Ground(NamedTuple):
    """One of the two Trytons."""

    unique: bool
    server: TrytonServer
    proxy: FaultProxy
    connect: Callable[..., TrytonConnector]
    books: Books


@pytest.fixture(params=[False, True], ids=["without-module", "with-module"])
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """Both Trytons, one after the other."""
    names = (
        ("group", "group_proxy", "of_group", "group_books") if request.param else ("erp", "proxy", "connect", "books")
    )
    return Ground(request.param, *(request.getfixturevalue(name) for name in names))


def test_the_field_is_filled_where_it_is(ground: Ground) -> None:
    journal = sales()
    (outcome,) = ground.connect().post([journal])
    assert isinstance(outcome, Posted)
    fields = ["description"] + ["hub_reference"] * ground.unique
    (move,) = ground.books.call("model.account.move.read", [int(outcome.document_id)], fields)
    assert {move[field] for field in fields} == {journal.reference}


def test_what_is_there_is_not_created_again(ground: Ground) -> None:
    journals = [sales(), sales(), sales()]
    connector = ground.connect()
    first = connector.post(journals[:2])
    again = connector.post(journals)
    assert again[:2] == first
    assert kinds(again) == [Posted] * 3
    assert [ground.books.states(journal) for journal in journals] == [["posted"]] * 3


def test_a_draft_that_is_there_is_posted_instead_of_created(ground: Ground) -> None:
    journals = [sales(), sales()]
    ground.proxy.inject_next("lose_reply", CREATE)
    connector = ground.connect()
    assert kinds(connector.post(journals[:1])) == [Unknown]
    assert kinds(connector.post(journals)) == [Posted] * 2
    assert [ground.books.states(journal) for journal in journals] == [["posted"]] * 2


@pytest.mark.parametrize("method", [CREATE, POST])
def test_a_lost_reply_is_found_and_finished(ground: Ground, method: str) -> None:
    journals = [sales(), sales()]
    connector = ground.connect()
    ground.proxy.inject_next("lose_reply", method)
    assert kinds(connector.post(journals)) == [Unknown] * 2
    found = connector.find([journal.reference for journal in journals])
    assert {document.posted for document in found.values()} == {method == POST}
    assert kinds(connector.finish(list(found.values()))) == [Posted] * 2
    assert [ground.books.states(journal) for journal in journals] == [["posted"]] * 2


def test_a_request_that_arrives_too_late_leaves_nothing(ground: Ground) -> None:
    journal = sales()
    connector = ground.connect()
    with FaultProxy(ground.server.settings().url, FaultPlan(delay_s=2.0)) as slow:
        slow.inject_next("delay", CREATE)
        assert kinds(ground.connect(url=slow.url, timeout_s=1.5).post([journal])) == [Unknown]
        assert kinds(connector.post([journal])) == [Posted]
        until_idle(slow)
        assert slow.calls[CREATE] == 1
    assert connector.find([journal.reference])[journal.reference].posted
    assert ground.books.states(journal) == ["posted"]


def _racing(connectors: Sequence[TrytonConnector], act: Callable[[TrytonConnector], Any]) -> list[Any]:
    together = threading.Barrier(len(connectors))

    def run(connector: TrytonConnector) -> Any:
        connector.find(["nothing"])  # logged in before the race
        together.wait()
        return act(connector)

    with ThreadPoolExecutor(len(connectors)) as pool:
        return list(pool.map(run, connectors))


def test_of_six_raw_creates_the_module_lets_one_through(ground: Ground) -> None:
    journal = sales()
    connector = ground.connect()
    values = _values(connector, ground, journal)

    def create(racer: TrytonConnector) -> str:
        try:
            racer.client.call(CREATE, [values])
        except (RejectedError, TransientError) as refusal:
            return str(refusal)
        return "created"

    said = _racing([ground.connect() for _ in range(6)], create)
    created = said.count("created")
    if not ground.unique:
        assert created == 6
        return
    assert created == 1
    assert all("hub_reference_unique" in words for words in said if words != "created")
    assert len(ground.books.states(journal)) == 1


def test_six_connectors_with_one_reference_post_it_once_with_the_module(
    of_group: Callable[..., TrytonConnector], group_books: Books
) -> None:
    journals = [sales(), sales(), sales()]
    outcomes: list[list[PostingOutcome]] = _racing([of_group() for _ in range(6)], lambda one: _post(one, journals))
    assert {kind for some in outcomes for kind in kinds(some)} <= {Posted, Unknown, NotSent}
    connector = of_group()
    for some in outcomes:
        drafts = [d for d in connector.find([j.reference for j in journals]).values() if not d.posted]
        assert set(kinds(connector.finish(drafts))) <= {Posted}
        assert Rejected not in kinds(some)
    found = connector.find([journal.reference for journal in journals])
    told = {outcome for some in outcomes for outcome in some if isinstance(outcome, Posted)}
    assert {(one.document_id, one.number) for one in told} <= {(d.document_id, d.number) for d in found.values()}
    assert [group_books.states(journal) for journal in journals] == [["posted"]] * 3


def test_six_lanes_in_turn_post_it_once_without_the_module(
    connect: Callable[..., TrytonConnector], books: Books
) -> None:
    journal = sales()
    lane = threading.Lock()

    def in_turn(connector: TrytonConnector) -> list[PostingOutcome]:
        with lane:
            return connector.post([journal])

    outcomes = _racing([connect() for _ in range(6)], in_turn)
    assert len({outcome for some in outcomes for outcome in some}) == 1
    assert kinds(outcomes[0]) == [Posted]
    assert books.states(journal) == ["posted"]


def _post(connector: TrytonConnector, journals: list[Journal]) -> list[PostingOutcome]:
    try:
        return connector.post(journals)
    except TransientError as busy:
        return [NotSent(journal.reference, str(busy)) for journal in journals]


def _values(connector: TrytonConnector, ground: Ground, journal: Journal) -> dict[str, Any]:
    """A draft's values as the connector makes them."""
    values: dict[str, Any] = {}
    whole = connector.client.call

    def catch(method: str, *parameters: Any) -> Any:
        if method == CREATE:
            values.update(parameters[0][0])
            raise TransientError("caught")
        return whole(method, *parameters)

    connector.client.call = catch  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="caught"):
        connector.post([journal])
    assert ("hub_reference" in values) == ground.unique
    return values


def test_a_batch_in_which_one_is_there_is_posted_whole_with_the_module(
    of_group: Callable[..., TrytonConnector], group_books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if another one had posted it between our look-up and our create."""
    journals = [sales() for _ in range(5)]
    connector = of_group()
    (before,) = of_group().post([journals[2]])
    whole = connector.client.call
    looked: list[str] = []

    def blind(method: str, *parameters: Any) -> Any:
        if method == "model.account.move.search_read" and not looked:
            looked.append(method)
            return []
        return whole(method, *parameters)

    monkeypatch.setattr(connector.client, "call", blind)
    outcomes = connector.post(journals)
    assert kinds(outcomes) == [Posted] * 5
    assert outcomes[2] == before
    assert [group_books.states(journal) for journal in journals] == [["posted"]] * 5


def test_a_cancelled_move_is_not_a_second_posting(ground: Ground) -> None:
    journal = sales()
    connector = ground.connect()
    (outcome,) = connector.post([journal])
    assert isinstance(outcome, Posted)
    number = int(outcome.document_id)
    about = {"active_model": "account.move", "active_id": number, "active_ids": [number]}
    client = ground.books.client
    before = client.context
    client.context = before | about
    session, *_ = client.call("wizard.account.move.cancel.create")
    client.call("wizard.account.move.cancel.execute", session, {"default": {"reversal": True}}, "cancel")
    client.context = before
    assert ground.books.states(journal) == ["posted", "posted"]
    assert connector.find([journal.reference])[journal.reference].document_id == outcome.document_id
    assert kinds(connector.post([journal])) == [Posted]


def test_a_move_without_the_field_is_found_by_its_text(
    of_group: Callable[..., TrytonConnector], group_books: Books
) -> None:
    """It was posted before the module was installed."""
    journal = sales()
    connector = of_group()
    connector._open()
    assert connector._company is not None
    connector._company = msgspec.structs.replace(connector._company, unique=frozenset())
    (before,) = connector.post([journal])
    assert isinstance(before, Posted)
    fields = group_books.call("model.account.move.read", [int(before.document_id)], ["hub_reference"])
    assert fields[0]["hub_reference"] is None
    assert of_group().post([journal]) == [before]


@pytest.mark.parametrize("method", [CREATE, POST])
def test_a_request_that_arrives_twice_leaves_one_move(ground: Ground, method: str) -> None:
    journals = [sales(), sales(), sales()]
    ground.proxy.inject_next("twice", method)
    assert kinds(ground.connect().post(journals)) == [Posted] * 3
    assert [ground.books.states(journal) for journal in journals] == [["posted"]] * 3


def test_whatever_goes_wrong_every_journal_is_posted_once(ground: Ground) -> None:
    kinds_of_fault = ("unavailable", "rate_limited", "lose_request", "lose_reply", "cut_reply", "twice")
    plan = FaultPlan(rates=dict.fromkeys(kinds_of_fault, 0.1), seed=11)
    journals = {journal.reference: journal for journal in (sales() for _ in range(24))}
    open_ = set(journals)
    with FaultProxy(ground.server.settings().url, plan) as troubled:
        connector = ground.connect(url=troubled.url, batch_lines=12)
        for _ in range(100):
            try:
                outcomes = connector.post([journals[reference] for reference in sorted(open_)])
            except TransientError:
                continue
            open_ -= {outcome.reference for outcome in outcomes if isinstance(outcome, Posted)}
            if not open_:
                break
        assert not open_
        assert troubled.injected.total() > 5
    assert [ground.books.states(journal) for journal in journals.values()] == [["posted"]] * 24
