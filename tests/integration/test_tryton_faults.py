"""A real Tryton behind a bad line: whatever is lost, every journal ends up posted exactly once."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg
import pytest
from tryton_journals import CREATE, POST, kinds, reasons, sales, until_idle

from tillwire.connectors.erp import NotSent, Posted, Rejected, Unknown
from tillwire.connectors.tryton import TrytonConnector
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.faults import FaultPlan, FaultProxy
from tillwire.connectors.tryton.journals import JournalDesk
from tillwire.connectors.tryton.server import TrytonServer
from tillwire.connectors.tryton.wire import ErpFaultError
from tillwire.engines.ports import ReservedPort
from tillwire.errors import RateLimitedError, TransientError

if TYPE_CHECKING:
    from tryton_fixtures import Books

pytest_plugins = ("tryton_fixtures",)
pytestmark = pytest.mark.erp

Connect = Callable[..., TrytonConnector]


def test_a_lost_reply_to_create_leaves_a_draft_that_can_be_finished(
    connector: TrytonConnector, proxy: FaultProxy, books: Books
) -> None:
    journals = [sales(), sales()]
    proxy.inject_next("lose_reply", CREATE)
    assert kinds(connector.post(journals)) == [Unknown, Unknown]
    found = connector.find([journal.reference for journal in journals])
    assert [(found[journal.reference].posted, found[journal.reference].number) for journal in journals] == [
        (False, None),
        (False, None),
    ]
    outcomes = connector.finish([found[journal.reference] for journal in journals])
    assert kinds(outcomes) == [Posted, Posted]
    assert [books.states(journal) for journal in journals] == [["posted"], ["posted"]]
    assert proxy.injected == {"lose_reply": 1}


def test_a_lost_reply_to_post_is_found_posted_and_nothing_is_posted_twice(
    connector: TrytonConnector, proxy: FaultProxy, books: Books
) -> None:
    journal = sales()
    proxy.inject_next("lose_reply", POST)
    assert kinds(connector.post([journal])) == [Unknown]
    found = connector.find([journal.reference])[journal.reference]
    assert found.posted
    stale = msgspec.structs.replace(found, posted=False, number=None)
    (outcome,) = connector.finish([stale])
    assert isinstance(outcome, Posted)
    assert [outcome.number] == [found.number] == [move["number"] for move in books.moves(journal)]
    assert proxy.calls[POST] == 1


@pytest.mark.parametrize(("method", "left"), [(CREATE, "draft"), (POST, "posted")])
def test_half_a_reply_is_no_reply(
    connector: TrytonConnector, proxy: FaultProxy, books: Books, method: str, left: str
) -> None:
    journal = sales()
    proxy.inject_next("cut_reply", method)
    assert kinds(connector.post([journal])) == [Unknown]
    assert books.states(journal) == [left]
    document = connector.find([journal.reference])[journal.reference]
    assert kinds(connector.finish([document])) == [Posted]


def test_a_request_that_arrives_after_its_journal_was_sent_again_leaves_nothing(
    erp: TrytonServer, connect: Connect, connector: TrytonConnector, books: Books
) -> None:
    journal = sales()
    with FaultProxy(erp.settings().url, FaultPlan(delay_s=2.0)) as slow:
        slow.inject_next("delay", CREATE)
        assert kinds(connect(url=slow.url, timeout_s=1.5).post([journal])) == [Unknown]
        assert connector.find([journal.reference]) == {}
        assert kinds(connector.post([journal])) == [Posted]
        until_idle(slow)
        assert slow.calls[CREATE] == 1
    # Whether it came before or after the number was read, it is in the way of nobody.
    assert books.states(journal) in (["posted"], ["draft", "posted"], ["posted", "draft"])
    assert connector.find([journal.reference])[journal.reference].posted
    assert books.states(journal) == ["posted"]


def test_a_request_that_never_arrived_can_be_sent_again(
    connector: TrytonConnector, proxy: FaultProxy, books: Books
) -> None:
    journal = sales()
    proxy.inject_next("lose_request", CREATE)
    assert kinds(connector.post([journal])) == [Unknown]
    assert connector.find([journal.reference]) == {}
    assert kinds(connector.post([journal])) == [Posted]
    assert books.states(journal) == ["posted"]


@pytest.mark.parametrize(
    ("kind", "error", "retry_after_s"),
    [
        ("unavailable", TransientError, None),
        ("unavailable_retry_after", TransientError, 1.0),
        ("rate_limited", RateLimitedError, 1.0),
    ],
)
def test_an_erp_that_takes_nothing_raises_and_nothing_has_happened(
    connector: TrytonConnector,
    proxy: FaultProxy,
    books: Books,
    kind: Any,
    error: type[TransientError],
    retry_after_s: float | None,
) -> None:
    journal = sales()
    proxy.inject_next(kind, CREATE)
    with pytest.raises(error) as caught:
        connector.post([journal])
    assert caught.value.retry_after_s == retry_after_s
    assert books.states(journal) == []
    assert kinds(connector.post([journal])) == [Posted]


def test_an_erp_that_goes_away_on_the_way_is_not_sent_the_rest(
    connect: Connect, proxy: FaultProxy, books: Books
) -> None:
    journals = [sales() for _ in range(4)]
    proxy.inject_next("delay", CREATE)  # the first batch passes
    proxy.inject_next("unavailable", CREATE)
    connector = connect(batch_lines=3)
    outcomes = connector.post(journals)
    assert kinds(outcomes) == [Posted, NotSent, NotSent, NotSent]
    assert all(reason.startswith("not sent") for reason in reasons(outcomes))
    assert [books.states(journal) for journal in journals] == [["posted"], [], [], []]
    assert proxy.calls[CREATE] == 2


def test_an_erp_that_goes_away_after_a_lost_reply_does_not_raise(connect: Connect, proxy: FaultProxy) -> None:
    proxy.inject_next("lose_reply", CREATE)
    proxy.inject_next("unavailable", CREATE)
    assert kinds(connect(batch_lines=3).post([sales(), sales(), sales()])) == [Unknown, NotSent, NotSent]


def test_only_the_batch_whose_reply_was_lost_is_unknown(connect: Connect, proxy: FaultProxy) -> None:
    journals = [sales() for _ in range(3)]
    proxy.inject_next("lose_reply", POST)
    assert kinds(connect(batch_lines=3).post(journals)) == [Unknown, Posted, Posted]


def test_numbers_that_cannot_be_read_leave_the_outcome_unknown(connector: TrytonConnector, proxy: FaultProxy) -> None:
    journal = sales()
    proxy.inject_next("delay", "model.account.move.search_read")  # the look-up before creating passes
    proxy.inject_next("unavailable", "model.account.move.search_read")
    outcomes = connector.post([journal])
    assert kinds(outcomes) == [Unknown]
    assert connector.find([journal.reference])[journal.reference].posted


def test_a_sequence_that_someone_holds_leaves_a_draft(
    connector: TrytonConnector, erp_postgres: str, books: Books
) -> None:
    journal = sales()
    with psycopg.connect(erp_postgres, dbname="erp") as holder:
        holder.execute("SELECT id FROM ir_sequence_strict FOR UPDATE")
        outcomes = connector.post([journal])
        assert kinds(outcomes) == [Unknown]
        assert "could not obtain lock" in reasons(outcomes)[0]
        draft = connector.find([journal.reference])[journal.reference]
        assert not draft.posted
        with pytest.raises(TransientError, match="could not obtain lock"):
            connector.finish([draft])
    assert kinds(connector.finish([draft])) == [Posted]
    assert books.states(journal) == ["posted"]


def test_a_draft_the_erp_will_not_post_is_rejected_and_removed(
    connector: TrytonConnector, proxy: FaultProxy, books: Books
) -> None:
    journals = [sales(), sales(), sales()]
    proxy.inject_next("lose_reply", CREATE)
    connector.post(journals)
    found = connector.find([journal.reference for journal in journals])
    domain = [["move", "=", int(found[journals[1].reference].document_id)], ["debit", ">", Decimal(0)]]
    lines = books.call("model.account.move.line.search", domain, 0, None, None)
    books.call("model.account.move.line.write", lines, {"debit": Decimal(1)})
    outcomes = connector.finish([found[journal.reference] for journal in journals])
    assert kinds(outcomes) == [Posted, Rejected, Posted]
    assert "balance" in reasons(outcomes)[0]
    assert books.states(journals[1]) == []


def test_a_draft_that_somebody_posts_meanwhile_is_posted(
    connector: TrytonConnector, proxy: FaultProxy, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    journals = [sales(), sales()]
    proxy.inject_next("lose_reply", CREATE)
    connector.post(journals)
    seen = connector.find([journal.reference for journal in journals])
    drafts = [seen[journal.reference] for journal in journals]
    books.call(POST, [int(seen[journals[0].reference].document_id)])
    # As if they had posted it right after we looked.
    whole = JournalDesk.held
    stale = [seen]
    monkeypatch.setattr(JournalDesk, "held", lambda desk, wanted: stale.pop() if stale else whole(desk, wanted))
    assert kinds(connector.finish(drafts)) == [Posted, Posted]
    assert [books.states(journal) for journal in journals] == [["posted"], ["posted"]]


def test_a_draft_that_was_removed_in_the_erp_is_unknown(
    connector: TrytonConnector, proxy: FaultProxy, books: Books
) -> None:
    journal = sales()
    proxy.inject_next("lose_reply", CREATE)
    connector.post([journal])
    draft = connector.find([journal.reference])[journal.reference]
    books.call("model.account.move.delete", [int(draft.document_id)])
    assert kinds(connector.finish([draft])) == [Unknown]


def test_an_expired_session_is_renewed(connector: TrytonConnector, proxy: FaultProxy) -> None:
    connector.find(["x"])
    other = TrytonClient(connector.settings)
    other._session = connector.client._session
    other.close()
    assert kinds(connector.post([sales()])) == [Posted]
    assert proxy.calls["common.db.login"] == 1


def test_nobody_listening_is_transient(connect: Connect) -> None:
    port = ReservedPort()
    with pytest.raises(TransientError, match="no connection to the ERP"):
        connect(url=f"http://127.0.0.1:{port.number}").post([sales()])
    port.release()


def test_an_erp_that_was_killed_is_found_again(connector: TrytonConnector, erp: TrytonServer, books: Books) -> None:
    first, second = sales(), sales()
    assert kinds(connector.post([first])) == [Posted]
    erp.kill()
    with pytest.raises(TransientError):
        connector.post([second])
    erp.start()
    assert kinds(connector.post([second])) == [Posted]
    assert [books.states(first), books.states(second)] == [["posted"], ["posted"]]


def test_a_draft_that_came_too_late_is_removed_but_not_somebody_elses(connector: TrytonConnector, books: Books) -> None:
    journal = sales()
    (outcome,) = connector.post([journal])
    assert isinstance(outcome, Posted)
    connector.client.call("model.account.move.copy", [int(outcome.document_id)], {})
    books.call("model.account.move.copy", [int(outcome.document_id)], {})
    assert books.states(journal) == ["posted", "draft", "draft"]
    found = connector.find([journal.reference])[journal.reference]
    assert (found.document_id, found.posted) == (outcome.document_id, True)
    assert books.states(journal) == ["posted", "draft"]


def test_of_two_drafts_one_is_posted(connector: TrytonConnector, proxy: FaultProxy, books: Books) -> None:
    journal = sales()
    proxy.inject_next("lose_reply", CREATE)
    assert kinds(connector.post([journal])) == [Unknown]
    draft = connector.find([journal.reference])[journal.reference]
    connector.client.call("model.account.move.copy", [int(draft.document_id)], {})
    assert books.states(journal) == ["draft", "draft"]
    assert kinds(connector.finish(list(connector.find([journal.reference]).values()))) == [Posted]
    assert books.states(journal) == ["posted"]


@pytest.mark.parametrize(("committed", "outcome", "left"), [(True, Unknown, ["draft"]), (False, Rejected, [])])
def test_an_erp_that_breaks_down_is_looked_at_before_anything_is_sent_again(
    connector: TrytonConnector,
    books: Books,
    monkeypatch: pytest.MonkeyPatch,
    committed: bool,
    outcome: type,
    left: list[str],
) -> None:
    journals = [sales(), sales(), sales()]
    whole = connector.client.call

    def broken(method: str, *parameters: object) -> object:
        if method != CREATE:
            return whole(method, *parameters)
        if committed:
            whole(method, *parameters)
        raise ErpFaultError("the ERP failed: KeyError: 17")

    monkeypatch.setattr(connector.client, "call", broken)
    assert kinds(connector.post(journals)) == [outcome] * 3
    assert [books.states(journal) for journal in journals] == [left] * 3


def test_whatever_goes_wrong_every_journal_is_posted_once(erp: TrytonServer, connect: Connect, books: Books) -> None:
    kinds_of_fault = ("unavailable", "rate_limited", "lose_request", "lose_reply", "cut_reply")
    plan = FaultPlan(rates=dict.fromkeys(kinds_of_fault, 0.1), seed=7)
    journals = {journal.reference: journal for journal in (sales() for _ in range(30))}
    open_ = set(journals)
    with FaultProxy(erp.settings().url, plan) as troubled:
        connector = connect(url=troubled.url, batch_lines=12)
        for _ in range(100):
            found = connector.find(sorted(open_))
            try:
                outcomes = connector.finish([document for document in found.values() if not document.posted])
                missing = [journals[reference] for reference in sorted(open_) if reference not in found]
                outcomes += connector.post(missing[:12])
            except TransientError:
                continue
            open_ -= {outcome.reference for outcome in outcomes if isinstance(outcome, Posted)}
            open_ -= {document.reference for document in found.values() if document.posted}
            if not open_:
                break
        assert not open_
        assert set(troubled.injected) == set(kinds_of_fault)
    assert [books.states(journal) for journal in journals.values()] == [["posted"]] * 30
