"""The conformance suite of ERPs: what every connector that posts must hold, against the simulator of its ERP.

The connectors are those of the registry that have a simulator. What is told nowhere else: a document may be posted
once, never twice and never not at all, whatever becomes of the calls; and the ERP's own words come back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from erp_driving import (
    DAY,
    SIMULATED,
    Case,
    Dispatcher,
    Rig,
    find_all,
    post,
    rig,
    settle,
    until,
    writing_calls,
)

from tillwire.connectors.erp import Accepted, DuplicatePostingError, NotSent, Pending, Posted, Rejected, Unknown
from tillwire.connectors.simulation import Fault, Faults
from tillwire.connectors.spec import secrets_of
from tillwire.errors import AuthenticationError, RateLimitedError, TransientError
from tillwire.model.ledger import Journal
from tillwire.model.master import AccountRecord, PeriodRecord

pytestmark = pytest.mark.parametrize("case", SIMULATED, ids=repr)


@pytest.fixture
def erp(case: Case) -> Iterator[Rig]:
    with rig(case) as made:
        yield made


# ---- what it says of itself


def test_it_says_what_it_is(case: Case, erp: Rig) -> None:
    spec = case.spec
    connector = erp.connector()
    assert connector.name == spec.name == erp.simulator.name
    assert "journal" in connector.takes
    assert connector.most_lanes >= 1
    assert spec.about
    assert spec.contract
    assert erp.simulator.contract
    config = spec.settings.__struct_config__
    assert config.frozen
    assert config.forbid_unknown_fields


def test_no_secret_is_shown(case: Case, erp: Rig) -> None:
    spec = case.spec
    given = erp.simulator.settings()
    secrets = secrets_of(spec.settings)
    assert secrets, "an ERP asks who calls"
    shown = repr(msgspec.convert(given, spec.settings, strict=False))
    for name in secrets & given.keys():
        assert str(given[name]) not in shown


# ---- posting


def test_a_journal_is_posted_found_and_read_back(erp: Rig) -> None:
    journal = erp.journal()
    assert erp.connector().find([journal.reference]) == {}
    (outcome,) = settle(erp.connector(), journal)
    assert isinstance(outcome, Posted)
    found = erp.connector().find([journal.reference, erp.journal().reference])
    assert set(found) == {journal.reference}
    assert found[journal.reference].posted
    assert found[journal.reference].number == outcome.number
    erp.assert_books(journal)


def test_nothing_is_asked_for_nothing(erp: Rig) -> None:
    connector = erp.connector()
    assert connector.post([]) == []
    assert connector.find([]) == {}
    assert connector.finish([]) == []
    assert connector.poll([]) == []
    assert connector.read_back([]) == {}
    assert not erp.simulator.called_at


def test_many_journals_are_posted_in_order(erp: Rig) -> None:
    journals = [erp.journal(amount=f"{number}.01") for number in range(1, 41)]
    outcomes = settle(erp.connector(), *journals)
    assert [outcome.reference for outcome in outcomes] == [journal.reference for journal in journals]
    assert len({outcome.number for outcome in outcomes if isinstance(outcome, Posted)}) == 40
    erp.assert_books(*journals)


def test_accepted_is_not_posted(erp: Rig) -> None:
    """What is only accepted has no number in the books, and is found again as such or not at all; a connector of
    another process asks what became of it."""
    journal = erp.journal()
    (outcome,) = erp.connector().post([journal])
    assert isinstance(outcome, Posted | Accepted)
    if isinstance(outcome, Accepted):
        found = erp.connector().find([journal.reference])
        if not erp.simulator.held("journal"):
            assert not any(document.posted for document in found.values())
        dispatcher = Dispatcher(erp.connector(), [journal])
        dispatcher.note([outcome], [journal])
        assert isinstance(dispatcher.run()[journal.reference], Posted)
        (again,) = erp.connector().poll([Pending(journal.reference, outcome.handle)])
        assert isinstance(again, Posted)
    erp.assert_books(journal)


def test_the_date_of_the_books_is_the_posting_date(erp: Rig) -> None:
    late = erp.journal(posting_date=date(2026, 3, 2))
    post(erp.connector(), late)
    erp.assert_books(late)


def test_a_reversal_is_posted_beside_its_original(erp: Rig) -> None:
    original = erp.journal()
    swapped = tuple(msgspec.structs.replace(line, debit=line.credit, credit=line.debit) for line in original.lines)
    reversal = erp.journal(lines=swapped, reverses=original.reference, description="Takes back")
    post(erp.connector(), original)
    post(erp.connector(), reversal)
    erp.assert_books(original, reversal)


def test_long_and_strange_texts_are_carried(erp: Rig) -> None:
    whole = erp.journal()
    words = 'Bäckerei & <Söhne> "№ 7"; it\'s, a\\long | story ' * 12
    lines = tuple(
        msgspec.structs.replace(line, description=words[: 40 + 200 * at]) for at, line in enumerate(whole.lines)
    )
    strange = msgspec.structs.replace(whole, description=words, lines=lines)
    post(erp.connector(), strange)
    erp.assert_books(strange)


def test_long_references_stay_apart(erp: Rig) -> None:
    """References that differ at the very end only, and longer than most ERPs' fields."""
    base = f"{erp.simulator.company}/{'store-of-a-very-long-name-' * 3}/{DAY}/"
    journals = [erp.journal(reference=f"{base}{number}/{erp.simulator.currency}") for number in (1000001, 1000002)]
    post(erp.connector(), journals[0])
    assert find_all(erp.connector(), [journal.reference for journal in journals]) == ({journals[0].reference}, set())
    post(erp.connector(), journals[1])
    erp.assert_books(*journals)


def test_small_and_great_amounts_come_to_the_cent(erp: Rig) -> None:
    journals = [erp.journal(amount=amount) for amount in ("0.01", "0.10", "99999999.99", "1234567.89")]
    post(erp.connector(), *journals)
    erp.assert_books(*journals)


def test_other_kinds_of_documents_are_posted_once(case: Case, erp: Rig) -> None:
    for kind in sorted(erp.connector().takes - {"journal"}):
        document = erp.document(kind)
        post(erp.connector(), document)
        found = erp.connector().read_back([document.reference], kind)
        assert found[document.reference].posted
        if kind == "stock":
            assert [(line.sku, line.quantity) for line in found[document.reference].goods] == [
                (line.sku, line.quantity)
                for line in document.lines  # type: ignore[union-attr]
            ]
        for step in range(writing_calls(case, kind)):
            with rig(case) as made:
                lost = made.document(kind)
                made.simulator.fail_next("lost_reply", writing=True, after=step)
                post(made.connector(), lost)
                assert made.simulator.injected == {"lost_reply": 1}
                assert made.simulator.held(kind) == 1


# ---- refusals


@pytest.mark.parametrize("wrong", ["unbalanced", "unknown_account", "closed_period"])
def test_what_the_erp_refuses_is_rejected_in_its_words_and_mends(erp: Rig, wrong: str) -> None:
    bad = {"unbalanced": erp.unbalanced, "unknown_account": erp.to_unknown_account, "closed_period": erp.journal}[
        wrong
    ]()
    if wrong == "closed_period":
        erp.simulator.close_period(date(2026, 2, 1), date(2026, 2, 28))
    (outcome,) = settle(erp.connector(), bad)
    assert isinstance(outcome, Rejected), outcome
    assert outcome.kind == wrong
    assert bad.reference in outcome.reason
    assert len(outcome.reason) > len(bad.reference) + 10
    assert erp.simulator.held("journal") == 0
    assert not any(document.posted for document in erp.connector().find([bad.reference]).values())
    mended = bad
    match wrong:
        case "closed_period":
            erp.simulator.books.closed.clear()
        case "unknown_account":
            erp.simulator.open_accounts([*erp.simulator.account_codes, erp.simulator.unknown_account])
        case _:
            mended = msgspec.structs.replace(erp.journal(), reference=bad.reference)
    post(erp.connector(), mended)
    erp.assert_books(mended)


def test_a_closed_period_is_passed_by_a_posting_date(erp: Rig) -> None:
    erp.simulator.close_period(date(2026, 2, 1), date(2026, 2, 28))
    journal = erp.journal(posting_date=date(2026, 3, 1))
    post(erp.connector(), journal)
    erp.assert_books(journal)


def test_a_bad_journal_does_not_take_its_neighbours(erp: Rig) -> None:
    erp.simulator.close_period(date(2026, 1, 1), date(2026, 1, 31))
    good = [erp.journal(amount=f"{number}.00") for number in range(1, 6)]
    closed = erp.journal(business_date=date(2026, 1, 15))
    batch = [good[0], erp.unbalanced(), good[1], erp.to_unknown_account(), good[2], closed, good[3], good[4]]
    outcomes = settle(erp.connector(), *batch)
    told = [outcome.kind if isinstance(outcome, Rejected) else "" for outcome in outcomes]
    assert told == ["", "unbalanced", "", "unknown_account", "", "closed_period", "", ""]
    erp.assert_books(*good)


def test_the_same_reference_twice_in_a_batch_is_posted_once(erp: Rig) -> None:
    journal = erp.journal()
    other = erp.journal()
    outcomes = erp.connector().post([journal, other, journal])
    assert [outcome.reference for outcome in outcomes] == [journal.reference, other.reference, journal.reference]
    assert not isinstance(outcomes[2], Accepted)
    dispatcher = Dispatcher(erp.connector(), [journal, other])
    dispatcher.note(outcomes[:2], [journal, other])
    dispatcher.run()
    erp.assert_books(journal, other)


def test_a_reference_that_is_there_already_is_found_or_told(erp: Rig) -> None:
    """An ERP that refuses a second is asked for the first; of one that takes it, two that are posted are told."""
    journal, other = erp.journal(), erp.journal()
    (first,) = settle(erp.connector(), journal)
    post(erp.connector(), other)
    assert isinstance(first, Posted)
    if erp.simulator.books.unique_references:
        (again,) = settle(erp.connector(), journal)
        assert isinstance(again, Posted), again
        assert again.number == first.number
        erp.assert_books(journal, other)
        return
    erp.simulator.copy(next(iter(erp.simulator.books.documents.values())).reference)
    with pytest.raises(DuplicatePostingError) as raised:
        erp.connector().find([journal.reference, other.reference])
    assert len(raised.value.duplicates[journal.reference]) == 2
    assert set(raised.value.found) == {other.reference}
    assert all(document.posted for document in raised.value.duplicates[journal.reference])


# ---- calls that fail


ONCE: Sequence[Fault] = (
    "lost_request", "lost_reply", "cut_reply", "duplicated", "throttled", "unavailable", "broken", "slow", "expired",
)  # fmt: skip


@pytest.mark.parametrize("fault", ONCE)
def test_whatever_call_fails_a_journal_is_posted_once(case: Case, fault: Fault) -> None:
    """Every call that writes, in turn; then all of a batch."""
    for step in range(writing_calls(case)):
        with rig(case, faults=Faults(slow_s=0.02)) as made:
            journals = [made.journal(amount="1.00"), made.journal(amount="2.00")]
            made.simulator.fail_next(fault, writing=True, after=step)
            post(made.connector(), *journals)
            assert made.simulator.injected == {fault: 1}
            made.assert_books(*journals)


@pytest.mark.parametrize("fault", ["lost_reply", "cut_reply", "broken"])
def test_a_lost_reply_is_no_outcome(erp: Rig, fault: Fault) -> None:
    """Whatever was lost: nobody says "posted" or "rejected" of what nobody has said anything of."""
    journal = erp.journal()
    erp.simulator.fail_next(fault, writing=True)
    (outcome,) = erp.connector().post([journal])
    assert isinstance(outcome, Unknown | Posted | Accepted), outcome
    if isinstance(outcome, Posted):
        assert erp.simulator.held("journal") == 1


def test_every_reply_lost_for_a_while_is_one_posting(case: Case, erp: Rig) -> None:
    journals = [erp.journal() for _ in range(5)]
    erp.simulator.fail_next("lost_reply", writing=True, times=2 * writing_calls(case))
    post(erp.connector(), *journals)
    erp.assert_books(*journals)


def test_a_rejection_whose_reply_is_lost_is_rejected_in_the_end(erp: Rig) -> None:
    good, bad = erp.journal(), erp.to_unknown_account()
    erp.simulator.fail_next("lost_reply", writing=True)
    outcomes = settle(erp.connector(), good, bad)
    assert isinstance(outcomes[0], Posted)
    assert isinstance(outcomes[1], Rejected), outcomes[1]
    erp.assert_books(good)


def test_too_many_calls_are_told_and_nothing_has_happened(erp: Rig) -> None:
    journal = erp.journal()
    connector = erp.connector()
    erp.simulator.fail_next("throttled", writing=True)
    with pytest.raises(RateLimitedError) as raised:
        connector.post([journal])
    assert raised.value.retry_after_s is None or raised.value.retry_after_s > 0
    assert "rate_limited" in erp.watch.failures
    assert erp.simulator.held("journal") == 0
    post(connector, journal)
    erp.assert_books(journal)


def test_a_throttled_look_up_raises(erp: Rig) -> None:
    connector = erp.connector()
    erp.simulator.fail_next("throttled")
    with pytest.raises(RateLimitedError):
        connector.find([erp.journal().reference])


def test_an_erp_that_is_away_is_told_and_nothing_has_happened(erp: Rig) -> None:
    """It keeps its books while it is away."""
    before, after = erp.journal(), erp.journal()
    connector = erp.connector()
    post(connector, before)
    erp.simulator.stop()
    for call in (lambda: connector.post([after]), lambda: connector.find([after.reference])):
        with pytest.raises(TransientError):
            call()
    assert "unavailable" in erp.watch.failures
    erp.simulator.start()
    post(connector, after)
    erp.assert_books(before, after)


def test_a_reply_that_comes_too_late_is_looked_up(case: Case) -> None:
    with rig(case, faults=Faults(slow_s=1.5)) as made:
        journal = made.journal()
        patient, hasty = made.connector(), made.connector(timeout_s=1)
        made.simulator.fail_next("slow", writing=True)
        (outcome,) = hasty.post([journal])
        assert isinstance(outcome, Unknown | Accepted | Posted), outcome
        # It is being worked on: nothing is sent again before the ERP shows it, as dispatch waits before it does.
        until(lambda: patient.find([journal.reference]))
        dispatcher = Dispatcher(patient, [journal])
        dispatcher.in_doubt = {journal.reference}
        dispatcher.run()
        made.assert_books(journal)


# ---- credentials


def test_credentials_that_ran_out_are_renewed(erp: Rig) -> None:
    first, second = erp.journal(), erp.journal()
    connector = erp.connector()
    post(connector, first)
    erp.simulator.expire()
    post(connector, second)
    erp.simulator.expire()
    assert set(connector.find([first.reference, second.reference])) == {first.reference, second.reference}
    erp.assert_books(first, second)


def test_wrong_credentials_are_told_and_nothing_has_happened(case: Case, erp: Rig) -> None:
    given = erp.simulator.settings()
    wrong = erp.simulator.wrong_credentials() or dict.fromkeys(secrets_of(case.spec.settings) & given.keys(), "wrong")
    assert wrong
    connector = erp.connector(**wrong)
    for call in (lambda: connector.post([erp.journal()]), lambda: connector.find(["x"])):
        with pytest.raises(AuthenticationError):
            call()
    assert "authentication" in erp.watch.failures
    assert erp.simulator.held("journal") == 0


# ---- limits


def test_every_call_is_announced(erp: Rig) -> None:
    """Those for tokens and look-ups, too: the budget of an ERP is kept by who watches."""
    journal = erp.journal()
    connector = erp.connector()
    post(connector, journal)
    connector.read_back([journal.reference])
    erp.simulator.expire()
    connector.find([journal.reference])
    assert erp.watch.calls == len(erp.simulator.called_at)


def test_no_more_calls_at_once_than_lanes(erp: Rig) -> None:
    lanes = min(erp.connector().most_lanes, 4)
    journals = [erp.journal() for _ in range(3 * lanes)]
    connectors = [erp.connector() for _ in range(lanes)]
    with ThreadPoolExecutor(lanes) as pool:
        list(pool.map(lambda at: post(connectors[at], *journals[at::lanes]), range(lanes)))
    assert erp.simulator.peak_at_once <= lanes
    erp.assert_books(*journals)


# ---- everything at once


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_chance_makes_no_double_and_loses_nothing(case: Case, seed: int) -> None:
    rates: dict[Fault, float] = {
        "lost_request": 0.04, "lost_reply": 0.06, "cut_reply": 0.03, "duplicated": 0.05, "throttled": 0.05,
        "unavailable": 0.03, "broken": 0.04, "expired": 0.03,
    }  # fmt: skip
    with rig(case, faults=Faults(rates=rates, everywhere=True, seed=seed)) as made:
        journals = [made.journal(amount=f"{number}.37") for number in range(1, 61)]
        for at in range(0, 60, 6):
            settle_through(made, journals[at : at + 6])
        assert len(made.simulator.injected) >= 3
        made.simulator.faults = Faults()
        made.assert_books(*journals)


def settle_through(made: Rig, journals: Sequence[Journal]) -> None:
    """Settle them with a connector that is exchanged when its credentials were refused twice in a row, by chance."""
    dispatcher = Dispatcher(made.connector(), journals)
    for _ in range(50):
        try:
            outcomes = dispatcher.run()
        except AuthenticationError:
            dispatcher.connector = made.connector()
            continue
        assert all(isinstance(outcome, Posted) for outcome in outcomes.values()), outcomes
        return
    pytest.fail("credentials are refused for ever")


def test_interrupted_between_calls_it_is_finished_by_another(case: Case) -> None:
    """The process dies after any of its calls; another one, that knows the reference only, looks up and goes on."""
    for step in range(writing_calls(case)):
        with rig(case) as made:
            journals = [made.journal(amount="3.00"), made.journal(amount="4.00")]
            made.simulator.fail_next("lost_reply", writing=True, after=step)
            made.connector().post(journals)
            dispatcher = Dispatcher(made.connector(), journals)
            dispatcher.in_doubt = {journal.reference for journal in journals}
            dispatcher.run()
            made.assert_books(*journals)


# ---- master data


def test_master_data_is_what_the_erp_has(erp: Rig) -> None:
    connector: Any = erp.connector()
    if not hasattr(connector, "pull"):
        assert not hasattr(connector, "kinds")
        return
    erp.simulator.close_period(date(2026, 2, 1), date(2026, 2, 28))
    pulled = {kind: list(connector.pull(kind)) for kind in connector.kinds}
    for kind, records in pulled.items():
        assert records
        assert all(record.revision == 0 for record in records)
        assert list(connector.pull(kind, datetime(2000, 1, 1, tzinfo=UTC))) == records
    if "account" in pulled:
        codes = {record.account for record in pulled["account"] if isinstance(record, AccountRecord) and record.active}
        assert codes >= set(erp.simulator.account_codes)
        assert erp.simulator.unknown_account not in codes
    if "period" in pulled:
        closed = [record for record in pulled["period"] if isinstance(record, PeriodRecord) and not record.open]
        assert any(record.first <= date(2026, 2, 10) <= record.last for record in closed)


def test_amounts_are_decimals(erp: Rig) -> None:
    journal = erp.journal()
    post(erp.connector(), journal)
    for document in erp.connector().read_back([journal.reference]).values():
        for line in document.lines:
            assert isinstance(line.debit, Decimal)
            assert isinstance(line.credit, Decimal)


def test_what_was_not_sent_is_said_to_be_so(erp: Rig) -> None:
    """After a sign that the ERP cannot be used nothing more is sent, and that is no reason to look it up."""
    journals = [erp.journal() for _ in range(3)]
    erp.simulator.fail_next("unavailable", writing=True)
    with pytest.raises(TransientError):
        erp.connector().post(journals)
    assert erp.simulator.held("journal") == 0
    outcomes = erp.connector().post(journals)
    assert not any(isinstance(outcome, NotSent) for outcome in outcomes)
